"""What came of a search, in words and on disk: best.yaml, trials.csv, report.html.

The best of many trials looks better than it is: it was chosen by the same examples that measured it.  So it is judged
again beside the training as it is, on examples that chose nothing, by the difference on each.
"""

from __future__ import annotations

import csv
import html
import io
import warnings
from dataclasses import dataclass
from typing import Any

import optuna
import plotly.io
import yaml
from optuna.trial import FrozenTrial, TrialState

from resound.audio.atomic import atomic_file
from resound.checkpoint import load_model
from resound.errors import counted
from resound.judging.summary import Statistics, Summary, paired_difference
from resound.mixing.cache import open_cache
from resound.mixing.identity import settings_of
from resound.training.config import RunConfig
from resound.training.fresh import with_fresh_examples
from resound.training.judge import Judge, jobs_for
from resound.training.keeper import Keeper
from resound.training.memory import device_of
from resound.training.prepared import prepare
from resound.training.study import StudyFolder, is_usual

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "given up",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
    TrialState.WAITING: "interrupted",
}


def write_findings(study: StudyFolder) -> list[str]:
    """Write what is known of a study into its folder, and return it in words."""
    write_table(study)
    if study.best is None:
        return [f"{study.folder}: {tally(study)}; no trial was made to its end, so there is no best one yet"]
    lines = [f"{tally(study)}; {best_text(study, study.best)}", certainty(study, study.best)]
    write_best(study, study.best, lines)
    write_report(study, lines)
    return lines


def tally(study: StudyFolder) -> str:
    """Return how many trials ended how."""
    states = [STATES[trial.state] for trial in study.trials]
    parts = [f"{states.count(name)} {name}" for name in dict.fromkeys(STATES.values()) if name in states]
    return f"{counted(len(states), 'trial')} ({', '.join(parts)})"


def best_text(study: StudyFolder, best: FrozenTrial) -> str:
    """Return the best trial with its settings, beside the training as it is."""
    usual = study.usual
    if is_usual(best):
        return f"none was better than the training as it is ({measured(study, best)})"
    beside = f"{measured(study, usual)} as it is ({values_text(study.plan.usual)})" if usual else "not made as it is"
    return f"best is trial {best.number}, {values_text(study.values_of(best))}: {measured(study, best)}; {beside}"


def certainty(study: StudyFolder, best: FrozenTrial) -> str:
    """Return how sure it is that the best trial is better than the training as it is."""
    usual = study.usual
    if is_usual(best):
        return "keep the settings as they are"
    if usual is None:
        return "how much of that is chance is not known: the training as it is was not made to its end"
    config = with_fresh_examples(study.plan.config({}))
    difference = compared(study, best, usual, config)
    digits, unit = study.measure.digits + 1, study.measure.unit
    sign = -1 if study.measure.better == "lower" else 1
    low, high = sorted((sign * difference.low, sign * difference.high))
    amount = f"{sign * difference.mean:+.{digits}f} {unit}".rstrip()
    where = f"on {counted(difference.n, 'fresh example')} that chose nothing, trial {best.number} gains {amount}"
    if low != low:
        return f"{where}: too few to say how sure that is"
    spread = f"(95 % {low:+.{digits}f} to {high:+.{digits}f})"
    once = "each was trained once, and another training.seed may turn a small gain round"
    if abs(difference.mean) < 10.0**-study.measure.digits:
        return f"{where} {spread}: nothing that counts; keep the settings as they are"
    if low > 0:
        return f"{where} {spread}: better than as it is, on such examples; {once}"
    if high < 0:
        return f"{where} {spread}: worse than as it is; keep the settings as they are"
    return f"{where} {spread}: cannot be told from the training as it is; take it for chance"


def compared(study: StudyFolder, one: FrozenTrial, other: FrozenTrial, config: RunConfig) -> Statistics:
    """Return by how much one trial's network is above another's on the validation examples of a config."""
    n_examples = config.validation.n_examples
    for plan in config.prepared_plans[1:]:
        prepare(plan, lambda told: None, jobs_for(plan.n_examples))
    judge = Judge(config, open_cache(config.validation_mixing, n_examples, n_jobs=jobs_for(n_examples)))
    device = device_of(config.training.device)

    def judged(trial: FrozenTrial) -> Summary:
        folder = study.folder_of(trial.number)
        kept = Keeper.of(folder, study.plan.metric, 1).best[0]
        return judge(load_model(folder / kept.folder).to(device), device)

    return paired_difference(judged(one), judged(other), study.plan.metric)


def measured(study: StudyFolder, trial: FrozenTrial) -> str:
    """Return what a trial is worth."""
    measure = study.measure
    return f"{measure.title} {trial.values[0]:.{measure.digits + 1}f} {measure.unit}".rstrip()


def values_text(values: dict[str, Any]) -> str:
    """Return settings as they are given on the command line."""
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def write_best(study: StudyFolder, best: FrozenTrial, lines: list[str]) -> None:
    """Write the training of the best trial as `resound train` takes it."""
    told = "".join(f"# {line}\n" for line in lines)
    settings = settings_of(study.plan.config(study.values_of(best)))
    _write(study, "best.yaml", told + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def write_table(study: StudyFolder) -> None:
    """Write a line about each trial."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row_of(study, None)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row_of(study, trial) for trial in study.trials)
    _write(study, "trials.csv", text.getvalue())


def row_of(study: StudyFolder, trial: FrozenTrial | None) -> dict[str, Any]:
    """Return what is told of a trial; of none, the names of the columns."""
    told = trial.user_attrs if trial else {}
    made = study.values_of(trial) if trial else {}
    values = {**study.plan.usual, **made} if trial and is_usual(trial) else made
    return {
        "trial": trial.number if trial else None,
        "state": STATES[trial.state] if trial else None,
        study.plan.metric: value_of(study, trial) if trial else None,
        "best_step": told.get("best_step"),
        **{key: values.get(key) for key in study.plan.search.vary},
        "minutes": told.get("minutes"),
        "ending": told.get("ending", "its process died" if trial and trial.state == TrialState.FAIL else None),
        "folder": f"trials/{trial.number:04}" if trial else None,
    }


def value_of(study: StudyFolder, trial: FrozenTrial) -> float | None:
    """Return the best that a trial reached, whether it was made to its end or not."""
    if trial.values:
        return float(trial.values[0])
    return min(trial.intermediate_values.values(), key=study.measure.badness, default=None)


# The page


@dataclass(frozen=True)
class Section:
    """A picture of the page with what it shows."""

    title: str
    about: str
    figure: Any  # of plotly


def sections(study: StudyFolder) -> list[Section]:
    """Return the pictures that the trials so far give."""
    show, keys, of = optuna.visualization, list(study.plan.search.vary), study.study
    named: dict[str, Any] = {"params": keys, "target_name": study.measure.title}
    history = show.plot_optimization_history(of, target_name=study.measure.title)
    drawn = [
        Section("History", "Each trial made to its end, and the best so far.", history),
        Section("Learning", "All validations; trials that were given up end early.", show.plot_intermediate_values(of)),
    ]
    full = [t for t in study.trials if t.state == TrialState.COMPLETE and set(t.params) >= set(keys)]
    if len(full) >= 2:
        drawn.append(Section("One by one", "Each setting against the result.", show.plot_slice(of, **named)))
    if len(full) >= 4 and len(keys) >= 2:
        shares = show.plot_param_importances(of, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), **named)
        drawn += [
            Section("Two by two", "Between the points the colours are guesses.", show.plot_contour(of, **named)),
            Section("What matters", "Shares of the variance (PED-ANOVA); rough below about 20 trials.", shares),
        ]
    return drawn


def write_report(study: StudyFolder, lines: list[str]) -> None:
    """Write a page that needs no network: plotly's program, 4.5 MB, is in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna's pictures are experimental, it says
        figures = [
            f"<h2>{section.title}</h2><p>{section.about}</p>"
            + plotly.io.to_html(
                section.figure.update_layout(title=None, template="plotly_white"),
                full_html=False,
                include_plotlyjs=number == 0,
                config={"displaylogo": False},
            )
            for number, section in enumerate(sections(study))
        ]
    title = f"Search: {html.escape(str(study.plan.settings.get('preset') or study.folder.name))}"
    told = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    _write(
        study,
        "report.html",
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{told}{''.join(figures)}<h2>Trials</h2>{table_of(study)}</body></html>\n",
    )


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-size:14px}td,th{padding:3px 10px;border-bottom:1px solid #ddd;text-align:left}"
)


def table_of(study: StudyFolder) -> str:
    """Return all trials as a table, the best first."""
    rows = [row_of(study, trial) for trial in sorted(study.trials, key=lambda trial: _rank(study, trial))]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in row_of(study, None))
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _rank(study: StudyFolder, trial: FrozenTrial) -> tuple[bool, float]:
    value = value_of(study, trial)
    return trial.state != TrialState.COMPLETE, float("inf") if value is None else study.measure.badness(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def _write(study: StudyFolder, name: str, text: str) -> None:
    with atomic_file(study.folder / name, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
