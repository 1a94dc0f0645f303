"""What a training run was: its phases, its best epochs, what was wasted, what it cost, how it was set up."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.doctor.catalogue import run_checks
from resound.doctor.finding import Finding
from resound.doctor.run_evidence import RunEvidence, median, read_run
from resound.doctor.settings import DoctorSettings
from resound.errors import ResoundError
from resound.evaluation.curves import curves_of
from resound.evaluation.words import number, signed
from resound.judging.measures import ALL

N_BEST = 5
SHOWN = ("si_sdr", "si_sdr_i", "snr", "level_db", "lsd", "pesq", "stoi", "estoi")
BASELINES = ("unprocessed", "noisy", "fixed_filter", "classic", "oracle_mask")
SPOKEN = {
    "unprocessed": "the unprocessed input",
    "fixed_filter": "a fixed filter",
    "classic": "the classic chain",
}
LEAST_GAIN = 3  # units of the last digit: below that there are no phases of a gain
CLIPPED_FROM = 0.999  # of the limit


@dataclass(frozen=True)
class Table:
    """Rows under headings, all text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Story:
    """All that is told of a run."""

    title: str
    verdict: str  # one sentence
    facts: dict[str, str]
    tables: Sequence[Table]
    curves: Sequence[dict[str, Any]]
    findings: Sequence[Finding]
    config: str  # YAML


def story_of(folder: Path) -> Story:
    """Return the story of a run.  Raises `InputError` for a folder that is none, or has no metrics yet."""
    run = read_run(folder)
    sessions = _sessions(folder)
    tables = [_phases(run), _best(run), _rates(run), _gradients(run), _setup(run)]
    return Story(
        title=folder.resolve().name,
        verdict=_verdict(run),
        facts=_facts(run, sessions),
        tables=[table for table in tables if table.rows],
        curves=curves_of(run),
        findings=_findings(run),
        config=(folder / "config.yaml").read_text(encoding="utf-8", errors="replace"),
    )


def _findings(run: RunEvidence) -> list[Finding]:
    try:
        return run_checks("run", run, DoctorSettings())
    except ResoundError:
        return []


def _sessions(folder: Path) -> list[dict[str, Any]]:
    """Return what is noted of each session, nothing where that cannot be read."""
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))["sessions"]
        return [each for each in found if isinstance(each, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def best_index(run: RunEvidence) -> int | None:
    """Return which validation was the best one, None where none has a value."""
    return int(np.argmin(run.badness)) if np.isfinite(run.badness).any() else None


def wasted_share(run: RunEvidence) -> float:
    """Return the share of the steps after the first validation that came as near to the best as tables show.

    Of the steps up to the last validation: what those behind it add, nobody has measured.
    """
    best = best_index(run)
    if best is None:
        return math.nan
    at = run.validations["step"]
    first = int(np.argmax(run.badness <= run.badness[best] + run.unit_of_last_digit))
    return 1 - float(at[first]) / max(1.0, float(at[-1]))


def _verdict(run: RunEvidence) -> str:
    best = best_index(run)
    if best is None:
        return f"{run.last_step:,} steps so far, and no validation yet: what the output is worth cannot be told"
    metric, measure = run.metric, run.measure
    value = float(run.validations[metric][best])
    told = f"best {measure.title} {_with_unit(value, metric)} at step {run.validations['step'][best]:,.0f}"
    against = []
    for name in ("unprocessed", "fixed_filter", "classic"):
        baseline = run.baseline(name, metric)
        if math.isfinite(baseline) and measure.better != "near 0":
            gain = measure.badness(baseline) - measure.badness(value)
            against.append(f"{signed(gain, measure.digits)} {measure.unit} beside {_spoken(name)}".replace("  ", " "))
    wasted = wasted_share(run)
    least = f"{run.unit_of_last_digit:g} {measure.unit}".rstrip()
    parts = [
        told,
        *against,
        *([f"the last {wasted:.0%} of the steps added less than {least}"] if wasted >= 0.05 else []),
    ]
    return f"{run.last_step:,} of {_planned(run):,} steps: {'; '.join(parts)}"


def _facts(run: RunEvidence, sessions: Sequence[dict[str, Any]]) -> dict[str, str]:
    told = {"steps": f"{run.last_step:,} of {_planned(run):,}", "validations": str(run.n_validations)}
    if run.steps_per_epoch:
        told["epochs"] = f"{run.last_step / run.steps_per_epoch:,.1f}"
    minutes = run.validations.get("minutes", np.empty(0))
    if len(minutes):
        spent = _minutes_in_all(minutes)
        told["minutes up to the last validation"] = number(spent, 1)
        told["steps a second, validations included"] = number(run.validations["step"][-1] / max(60 * spent, 1e-9), 2)
    wasted = wasted_share(run)
    if math.isfinite(wasted):
        told["wasted share of the steps"] = f"{wasted:.0%}"
    peaks, device = (_noted(sessions, key) for key in ("peak_memory_mb", "peak_device_memory_mb"))
    told["peak memory"] = f"{max(peaks):,.0f} MB" if peaks else "not recorded"
    if device:
        told["peak memory of the GPU"] = f"{max(device):,.0f} MB"
    if sessions:
        told["sessions"] = str(len(sessions))
    return told


def _noted(sessions: Sequence[dict[str, Any]], key: str) -> list[float]:
    """Return the figures that sessions have under a name."""
    return [each[key] for each in sessions if isinstance(each.get(key), int | float) and each[key]]


def _minutes_in_all(minutes: NDArray) -> float:
    """Return the minutes of all sessions: each begins at 0 again."""
    ends = np.flatnonzero(np.diff(minutes) < 0)
    return float(minutes[ends].sum() + minutes[-1])


def _planned(run: RunEvidence) -> int:
    return int(run.setting("training.steps") or run.last_step)


def _phases(run: RunEvidence) -> Table:
    """Return by when how much of the gain was made, and how the learning rate went."""
    rows: list[list[str]] = []
    best = best_index(run)
    if best is not None and run.n_validations > 2:
        at, values = run.validations["step"], run.badness
        gain = float(values[0] - values[best])
        if np.isfinite(gain) and gain > LEAST_GAIN * run.unit_of_last_digit:
            for share, name in ((0.5, "half of the gain"), (0.9, "nine tenths of it")):
                first = int(np.argmax(values <= values[0] - share * gain))
                value = _with_unit(float(run.validations[run.metric][first]), run.metric)
                rows.append([f"{name} was made by", f"step {at[first]:,.0f}", value])
        value = _with_unit(float(run.validations[run.metric][best]), run.metric)
        rows.append(["the best was reached at", f"step {at[best]:,.0f}", value])
        if at[-1] > at[best]:
            last = _with_unit(float(run.validations[run.metric][-1]), run.metric)
            rows.append(["from there to the end", f"{run.long(at[-1] - at[best])}", f"last: {last}"])
    return Table("Phases", ["", "", f"{run.measure.title}"], rows, "From the first validation to the best one.")


def _best(run: RunEvidence) -> Table:
    """Return the best validations with all that was measured, and the baselines below them."""
    names = [name for name in SHOWN if name in run.validations and np.isfinite(run.validations[name]).any()]
    names = [name for name in names if name in ALL]
    order = [int(i) for i in np.argsort(run.badness, kind="stable")[:N_BEST] if np.isfinite(run.badness[i])]
    rows = [
        [
            f"step {run.validations['step'][index]:,.0f}{_epoch(run, float(run.validations['step'][index]))}",
            *(number(float(run.validations[name][index]), ALL[name].digits) for name in names),
        ]
        for index in order
    ]
    rows += [
        [_spoken(who), *(number(run.baseline(who, name), ALL[name].digits) for name in names)]
        for who in BASELINES
        if rows and who in run.baselines
    ]
    headings = ["", *(f"{ALL[name].title} ({ALL[name].unit})" if ALL[name].unit else ALL[name].title for name in names)]
    note = f"By {run.measure.title}, which chooses the checkpoints ({run.measure.better} is better)."
    return Table("Best validations, and the baselines", headings, rows, note)


def _epoch(run: RunEvidence, step: float) -> str:
    return f" (epoch {step / run.steps_per_epoch:,.1f})" if run.steps_per_epoch else ""


def _rates(run: RunEvidence) -> Table:
    """Return how the learning rate went."""
    rates = run.steps.get("lr", np.empty(0))
    step = run.steps.get("step", np.empty(0))[np.isfinite(rates)]
    rates = rates[np.isfinite(rates)]
    rows: list[list[str]] = []
    if len(rates):
        top = int(np.argmax(rates))
        rows = [
            ["first", f"{rates[0]:.3g}", f"step {step[0]:,.0f}"],
            ["highest", f"{rates[top]:.3g}", f"step {step[top]:,.0f}"],
            ["last", f"{rates[-1]:.3g}", f"step {step[-1]:,.0f}"],
        ]
        below = np.flatnonzero(rates[top:] < 0.1 * rates[top])
        if len(below):
            rows.insert(
                2, ["below a tenth of that from", f"{rates[top + below[0]]:.3g}", f"step {step[top + below[0]]:,.0f}"]
            )
    return Table("Learning rate", ["", "rate", "at"], rows)


def _gradients(run: RunEvidence) -> Table:
    """Return the norms of the gradients in each quarter of the run, and how often they were clipped."""
    norms = run.steps.get("grad_norm", np.empty(0))
    limit = run.setting("optimiser.clip_norm")
    rows = []
    for quarter, part in enumerate(np.array_split(norms, 4), 1) if len(norms) >= 4 else ():
        known = part[np.isfinite(part)]
        clipped = f"{np.mean(known > CLIPPED_FROM * limit):.0%}" if limit and len(known) else "–"
        largest = f"{known.max():.3g}" if len(known) else "–"
        rows.append([f"quarter {quarter}", f"{median(part):.3g}", largest, clipped, str(len(part) - len(known))])
    note = f"Clipped from {limit:g} on." if limit else ""
    return Table("Gradient norms", ["", "median", "largest", "clipped steps", "no number"], rows, note)


def _setup(run: RunEvidence) -> Table:
    """Return the settings that decide most."""
    keys = {
        "network": "network", "preset": "preset", "training.batch_size": "batch", "training.accumulate": "accumulated",
        "data.segment_seconds": "seconds of an example", "data.n_examples": "examples an epoch",
        "optimiser.name": "optimiser", "optimiser.lr": "learning rate", "schedule.kind": "schedule",
        "training.precision": "precision", "training.seed": "seed", "config.sample_rate": "sample rate",
    }  # fmt: skip
    told = {name: run.setting(key) for key, name in keys.items()}
    losses = run.setting("loss")
    if isinstance(losses, list):
        told["loss"] = " + ".join(
            f"{each.get('weight', 1)} {each.get('kind')}" for each in losses if isinstance(each, dict)
        )
    rows = [[name, str(value)] for name, value in told.items() if value not in (None, "")]
    return Table("Configuration", ["", ""], rows)


def _with_unit(value: float, metric: str) -> str:
    measure = ALL[metric]
    return f"{number(value, measure.digits + 1)} {measure.unit}".rstrip()


def _spoken(name: str) -> str:
    return SPOKEN.get(name, name.replace("_", " "))
