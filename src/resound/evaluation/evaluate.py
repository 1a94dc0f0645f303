"""Judges a model, or the finished outputs of any tool, beside what is trivial."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from resound.audio.atomic import check_can_write_in
from resound.doctor.catalogue import run_checks
from resound.doctor.data_evidence import evidence_of_pairs
from resound.doctor.finding import Finding
from resound.doctor.output_evidence import evidence_of_outputs
from resound.doctor.output_lists import Output, OutputList
from resound.doctor.pair_lists import Pair, PairList
from resound.doctor.run_evidence import read_run
from resound.doctor.settings import DoctorSettings
from resound.errors import ConfigError, InputError, ResoundError, counted, did_you_mean
from resound.evaluation.cases import Case
from resound.evaluation.cost import cost_of
from resound.evaluation.journal import Journal
from resound.evaluation.lists import cases_between, check_places
from resound.evaluation.measures import METRICS, choose, resampled_for
from resound.evaluation.models import check_fits, found
from resound.evaluation.result import Evaluation, Gathered
from resound.evaluation.scoring import ENHANCED, Scorer, Sharer, Task
from resound.evaluation.words import REFERENCES, left_out_notes
from resound.evaluation.writing import AUDIO
from resound.inference.models import RESTORES
from resound.inference.workers import count_of_jobs, held_signals, map_in_order
from resound.judging.baselines import BASELINES, OF_A_SET, baselines_for
from resound.judging.fixed_filter import FixedFilter, Share, filter_of
from resound.mixing.identity import code_of, hash_of

USUAL_BASELINES = ("unprocessed", "classic", "oracle_mask")
LOOKED_AT = 32  # recordings that doctor looks at: enough to see what most of them have
FEW = 4  # recordings that are done before other processes have begun
SOURCES = ("audio", "classic", "dsp", "evaluation", "inference", "judging", "metrics.py")
Progress = Callable[[int, int], None]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be judged, and how; what the flags of ``resound evaluate`` say."""

    degraded: Path | None = None
    enhanced: tuple[Path, ...] = ()
    clean: tuple[Path, ...] = ()
    about: Path | None = None  # a CSV: speaker, noise, snr_db of each recording
    model: str | None = None
    config: str | None = None  # of mixing, or of a training: its validation split
    overrides: tuple[str, ...] = ()
    n_examples: int | None = None  # of a split
    metrics: tuple[str, ...] = ()
    baselines: tuple[str, ...] = USUAL_BASELINES
    rate: int | None = None
    save_audio: bool = False
    looks: bool = True  # doctor, at outputs


@dataclass(frozen=True)
class Evaluated:
    """The figures, and what it takes to make the sound of each recording again."""

    result: Evaluation
    cases: Sequence[Case]
    task: Task


def evaluate(
    asked: Asked,
    output: Path | None = None,
    *,
    n_jobs: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    tell: Tell = lambda line: None,
) -> Evaluated:
    """Judge what was asked for; ``output`` keeps rows, so that the same call goes on.

    ``tell`` is told what must be known before any figure.  Raises `ResoundError`.
    """
    check(asked)
    cases, notes, title = _cases(asked, tell, n_jobs)
    task = _task(asked, cases, output)
    chosen = choose(
        asked.metrics, has_clean=_has_clean(cases), n_sources=task.n_sources, sample_rate=_rate_of(cases, asked)
    )
    task = replace(task, metrics=chosen.names, baselines=_baselines(asked, cases, task.n_sources))
    if OF_A_SET in asked.baselines and OF_A_SET not in task.baselines:
        tell(f"{OF_A_SET} is left out: it is made with references, of one voice")
    for note in (*left_out_notes(chosen.left_out), *notes):
        tell(note)
    with ExitStack() as stack:
        with held_signals():  # Ctrl-C is for the main thread
            beside = stack.enter_context(ThreadPoolExecutor(1))
            references = beside.submit(references_checked, cases)  # while worker processes begin
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        check_can_write_in(folder)
        journal = Journal(folder, _facts(asked, task), overwrite=overwrite)
        if OF_A_SET in task.baselines:
            tell(f"reads {counted(len(cases), 'recording')} for the filter that never changes")
            task = replace(task, filters=filters_of(cases, task.rate, n_jobs))
            journal.shared = hash_of({rate: each.gains.tolist() for rate, each in task.filters.items()})[:16]
        judge_all(cases, task, journal, partial(_tell_findings, references, tell), n_jobs, progress, tell)
        gathered = Gathered(len(cases)).add(journal.rows([case.name for case in cases]))
        looked, n_looked_at = _looked_at(cases, journal, asked, n_jobs)
    _check_judged(gathered)
    cost = cost_of(asked.model, cases, gathered.seconds, gathered.taken) if asked.model else None
    result = Evaluation(
        title=title,
        names=gathered.names,
        scores=gathered.scores,
        labels=gathered.labels,
        seconds=gathered.seconds,
        sample_rates=gathered.sample_rates,
        errors=gathered.errors,
        missing=gathered.missing,
        notes=[*notes, *_said(gathered, chosen.names)],
        left_out=chosen.left_out,
        findings=[*references.result(), *looked, *_of_run(asked.model)],
        n_looked_at=n_looked_at,
        cost=cost,
        settings=_settings(asked),
    )
    return Evaluated(result, cases, task)


def check(asked: Asked) -> None:
    """Raise `ConfigError` where it is not clear what is to be judged, `ModelError` for a model that there is not."""
    if bool(asked.model) == bool(asked.enhanced):
        what = "both a model and outputs are given" if asked.model else "nothing to judge"
        raise ConfigError(f"{what}; give --enhanced DIR (finished outputs) or --model NAME|RUN|PATH")
    if asked.degraded is None and not asked.model:
        raise ConfigError(
            "--degraded is missing: improvements and baselines are measured against the input; give --degraded DIR"
        )
    if asked.clean and asked.degraded is None:
        raise ConfigError("--clean is given without --degraded; give --degraded DIR as well")
    if asked.config and (asked.degraded or asked.enhanced):
        raise ConfigError("both a split (--config) and files are given; leave out either")
    if asked.degraded and (asked.overrides or asked.n_examples):
        what = f"setting {asked.overrides[0]!r}" if asked.overrides else "--count"
        raise ConfigError(
            f"{what} is for a split, and files are given; leave it out, or give --config instead of the files"
        )
    if asked.about and asked.degraded is None:
        raise ConfigError("--about is for files, and a split is judged, which knows its own; leave it out")
    if asked.rate is not None and not 4000 <= asked.rate <= 192000:
        raise ConfigError(f"rate is {asked.rate} Hz; give 4000 to 192000")
    known = (*USUAL_BASELINES, OF_A_SET, "silence", "none")
    unknown = [name for name in asked.baselines if name not in (*BASELINES, OF_A_SET)]
    if unknown:
        raise ConfigError(
            f"baseline {unknown[0]!r} is not known{did_you_mean(unknown[0], known)}; there are {', '.join(known)}"
        )
    check_places(asked.enhanced, asked.clean)
    if asked.model:
        found(asked.model)  # before anything is mixed for it


def judge_all(
    cases: Sequence[Case],
    task: Task,
    journal: Journal,
    before_figures: Callable[[], None],
    n_jobs: int,
    progress: Progress | None,
    tell: Tell,
) -> None:
    """Judge the cases that have no row yet, in parallel, each row written as it is made.

    ``before_figures`` is called once, when the first figures are there and nobody has been told of any.
    """
    waiting = [case for case in cases if not journal.is_done(case)]
    n_done = len(cases) - len(waiting)
    if n_done and waiting:
        tell(f"goes on: {n_done} of {len(cases)} are judged already")
    jobs = 1 if len(waiting) <= FEW else min(count_of_jobs(n_jobs), len(waiting))
    if not waiting:
        before_figures()
        return
    made = map_in_order(partial(Scorer, task), waiting, jobs)
    for n_new, _ in enumerate(journal.add(zip(waiting, made, strict=True)), 1):
        if n_new == 1:  # the processes are at work
            before_figures()
        if progress is not None:
            progress(n_done + n_new, len(cases))


def filters_of(cases: Sequence[Case], rate: int | None, n_jobs: int) -> dict[int, FixedFilter]:
    """Return the best filter that never changes of all cases of each sample rate."""
    jobs = 1 if len(cases) <= FEW else min(count_of_jobs(n_jobs), len(cases))
    shares: dict[int, list[Share]] = {}
    for found_share in map_in_order(partial(Sharer, rate), cases, jobs):
        if found_share is not None:
            shares.setdefault(found_share[0], []).append(found_share[1])
    return {sample_rate: filter_of(parts) for sample_rate, parts in shares.items()}


def _check_judged(gathered: Gathered) -> None:
    """Raise `InputError` where there is no figure at all."""
    recordings = counted(len(gathered.names), "recording")
    if len(gathered.errors) == len(gathered.names):
        name, why = next(iter(gathered.errors.items()))
        raise InputError(f"none of {recordings} could be judged; {name}: {why}")
    if not any(np.isfinite(values).any() for values in gathered.scores[ENHANCED].values()):
        reasons = list(dict.fromkeys(why for metric in gathered.missing.values() for why, _ in metric.most_common()))
        raise InputError(
            f"none of {recordings} has a value of any metric ({'; '.join(reasons)}); look at the files, or choose "
            "other --metrics"
        )


def _tell_findings(found: Future[list[Finding]], tell: Tell) -> None:
    for finding in found.result():
        tell(f"{finding.severity}: {finding}")


def references_checked(cases: Sequence[Case]) -> list[Finding]:
    """Return what doctor's DATA01 says: whether the references are the recordings that they are held against."""
    pairs = [Pair(case.name, case.clean[0], case.degraded) for case in cases if len(case.clean) == 1 and case.degraded]
    if not pairs:
        return []
    settings = DoctorSettings(select=(REFERENCES,), n_files=LOOKED_AT)
    drawn = PairList(_drawn(pairs, settings.seed), [])  # so few that other processes would only have begun
    return run_checks("data", evidence_of_pairs(drawn, settings, n_jobs=1), settings)


def _looked_at(cases: Sequence[Case], journal: Journal, asked: Asked, n_jobs: int) -> tuple[list[Finding], int]:
    """Return what doctor finds in some of the outputs, and in how many."""
    drawn = _drawn([case for case in cases if case.degraded and len(case.clean) < 2], 0) if asked.looks else []
    rows = {row.name: row for row in journal.rows([case.name for case in drawn])}
    outputs = [
        Output(case.name, case.degraded, Path(files[0]), case.clean[0] if case.clean else None)
        for case in drawn
        if case.degraded and len(files := rows[case.name].files.get("enhanced", [])) == 1 and not rows[case.name].error
    ]
    if not outputs:
        return [], 0
    settings = DoctorSettings(n_files=LOOKED_AT)
    try:
        evidence = evidence_of_outputs(OutputList(outputs, []), settings, n_jobs=n_jobs)
    except InputError:  # all silent, which the figures say
        return [], 0
    return run_checks("output", evidence, settings), len(outputs)


def _of_run(model: str | None) -> list[Finding]:
    """Return what doctor finds of the training, where the model is a run."""
    if model is None or not (Path(model) / "config.yaml").is_file():
        return []
    try:
        return run_checks("run", read_run(Path(model)), DoctorSettings())
    except ResoundError:  # a run without its tables is a model all the same
        return []


def _drawn(items: Sequence[Any], seed: int) -> list[Any]:
    if len(items) <= LOOKED_AT:
        return list(items)
    chosen = np.random.default_rng(seed).choice(len(items), LOOKED_AT, replace=False)
    return [items[index] for index in sorted(chosen)]


def _cases(asked: Asked, tell: Tell, n_jobs: int) -> tuple[list[Case], list[str], str]:
    """Return what is judged, notes on it, and a title."""
    if asked.degraded is not None:
        cases, notes = cases_between(asked.degraded, asked.enhanced, asked.clean, asked.about)
        judged = asked.model or str(asked.enhanced[0])
        return cases, notes, Path(judged).name or judged
    from resound.evaluation.splits import cases_of_split

    assert asked.model is not None
    cases, where = cases_of_split(asked.model, asked.config, asked.overrides, asked.n_examples, tell, n_jobs)
    return cases, [where], Path(asked.model).name or asked.model


def _task(asked: Asked, cases: Sequence[Case], output: Path | None) -> Task:
    model = found(asked.model) if asked.model else None
    if asked.save_audio and (output is None or model is None):
        raise ConfigError("--save-audio keeps what a model makes; give --model and -o FOLDER, or leave it out")
    n_sources = max(len(cases[0].clean), len(cases[0].enhanced), 1)
    if model and cases[0].cache is None:
        check_fits(model, n_sources)
    folder = output / AUDIO if output and asked.save_audio else None
    inputs = [path for case in cases for path in (case.degraded, *case.clean) if path]
    if folder and any(folder.resolve() in path.resolve().parents for path in inputs):
        raise ConfigError(f"--save-audio would write over the recordings in {folder}; give another folder with -o")
    return Task((), (), model, asked.rate, folder, n_sources)


def _has_clean(cases: Sequence[Case]) -> bool:
    return cases[0].cache is not None or bool(cases[0].clean)


def _rate_of(cases: Sequence[Case], asked: Asked) -> int:
    """Return the rate of the first recording: what the usual metrics are chosen by."""
    from resound.audio.segments import header_of
    from resound.mixing.cache import CachedExamples

    if asked.rate is not None:
        return asked.rate
    if cases[0].cache is not None:
        return CachedExamples(cases[0].cache).sample_rate
    paths = [path for path in (cases[0].degraded, *cases[0].clean, *cases[0].enhanced) if path]
    try:
        return min(header_of(path)[0] for path in paths)
    except InputError:  # which its row will say
        return 0


def _baselines(asked: Asked, cases: Sequence[Case], n_sources: int) -> tuple[str, ...]:
    """Return the baselines that mean something here; where a denoiser went before, what it was given as well."""
    from resound.mixing.cache import CachedExamples

    names = [name for name in asked.baselines if n_sources == 1 or name not in ("classic", OF_A_SET)]
    if not _has_clean(cases):
        names = [name for name in names if name != OF_A_SET]
    if cases[0].cache is None:
        return tuple(names)
    meaningful = baselines_for(CachedExamples(cases[0].cache).task)
    names += ["noisy"] if "noisy" in meaningful and "unprocessed" in names else []
    return tuple(name for name in meaningful if name in names)


def _facts(asked: Asked, task: Task) -> dict[str, Any]:
    """Return what decides the figures of a row."""
    weights = ""
    if task.model and task.model not in RESTORES and Path(task.model).is_dir():
        from resound.checkpoint import model_folder, read_about

        weights = str(read_about(model_folder(Path(task.model))).get("sha256"))
    return {
        "metrics": list(task.metrics),
        "baselines": list(task.baselines),
        "model": task.model,
        "weights": weights,
        "rate": task.rate,
        "audio": asked.save_audio,
        "places": [str(asked.degraded), *map(str, asked.clean), *map(str, asked.enhanced)],
        "code": hash_of(code_of(SOURCES))[:16],
    }


def _said(gathered: Gathered, metrics: Sequence[str]) -> list[str]:
    """Return what was done to recordings to make them comparable, each once with how many it concerns."""
    said = [f"{note}: {counted(n, 'recording')}" for note, n in gathered.notes.most_common()]
    for rate in sorted(set(gathered.sample_rates) - {0}):
        resampled = resampled_for(metrics, rate)
        for other in sorted(set(resampled.values())):
            titles = [METRICS[name].measure.title for name, own in resampled.items() if own == other]
            said.append(f"{', '.join(titles)}: computed at {other} Hz, resampled from {rate} Hz")
    return said


def _settings(asked: Asked) -> dict[str, Any]:
    """Return what was asked for and is not left at nothing, as plain JSON."""
    return {
        key: value for key, value in _plain(asdict(asked)).items() if key != "looks" and value not in (None, [], False)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(own) for key, own in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(own) for own in value]
    return str(value) if isinstance(value, Path) else value
