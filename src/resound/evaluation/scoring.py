"""All figures of one case: its estimate beside the baselines, and why a figure is missing where it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.files import open_plain_writer
from resound.audio.formats import Storage
from resound.errors import ResoundError
from resound.evaluation import further
from resound.evaluation.cases import Case, Loaded, Loader
from resound.evaluation.measures import METRICS, least
from resound.evaluation.models import Runner
from resound.inference.opened import rounded
from resound.judging.baselines import BASELINES, CEILINGS, OF_A_SET
from resound.judging.fixed_filter import FixedFilter, Share, share_of
from resound.judging.measures import MEASURES, PERCEPTUAL
from resound.judging.scores import matched, noisy, score, separates, unprocessed
from resound.mixing.example import Example

ENHANCED = "enhanced"  # the name of what is judged, beside those of the baselines
FURTHER = ("sdr", "pesq_nb", "mrstft")
NAN = float("nan")
Scores = dict[str, float]


@dataclass(frozen=True)
class Task:
    """How cases are judged; what a worker process is told."""

    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    model: str | None = None
    rate: int | None = None
    audio_folder: Path | None = None  # to which outputs of a model are written
    n_sources: int = 1
    filters: Mapping[int, FixedFilter] = field(default_factory=dict)  # of the whole set, by sample rate


@dataclass
class Row:
    """What came of one case; plain JSON but for NaN, which is null on disk."""

    name: str
    scores: dict[str, Scores] = field(default_factory=dict)  # by estimate and metric
    seconds: float = 0.0
    sample_rate: int = 0
    about: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # why the output has no value, by metric
    error: str | None = None  # why nothing could be judged
    seconds_taken: float | None = None  # by the model


class Scorer:
    """Judges cases in one process."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._load = Loader(task.rate)
        self._runner = Runner(task.model) if task.model else None

    def __call__(self, case: Case) -> Row:
        """Return what came of a case; what cannot be judged is told in its row."""
        files = {side: [str(Path(path).absolute()) for path in paths] for side, paths in case.files.items()}
        row = Row(case.name, about=case.about, files=files)
        try:
            loaded, row.seconds_taken = self.estimated(case)
            row.seconds = loaded.example.degraded.shape[1] / loaded.example.sample_rate
            row.sample_rate, row.notes = loaded.example.sample_rate, loaded.notes
            if self._runner is not None and self.task.audio_folder is not None:
                row.files["enhanced"] = self._write(case, loaded)
            self._judge(row, loaded)
        except ResoundError as error:
            row.error = str(error)
        return row

    def estimated(self, case: Case) -> tuple[Loaded, float | None]:
        """Return a case with its estimate, voices in the order of the references, and the seconds a model took."""
        loaded, taken = self._load(case), None
        if self._runner is not None:
            began = time.perf_counter()
            loaded.estimate = self._runner(loaded.example)
            taken = time.perf_counter() - began
        assert loaded.estimate is not None
        if loaded.has_clean and separates(loaded.example):
            loaded.estimate = loaded.estimate[matched(loaded.estimate.astype(np.float64), loaded.example.clean)]
        return loaded, taken

    def _judge(self, row: Row, loaded: Loaded) -> None:
        n_channels = len(loaded.example.degraded)
        loaded = _without_silent_channels(loaded)
        example, estimate = loaded.example, loaded.estimate
        assert estimate is not None
        row.scores[ENHANCED] = scores_of(estimate, loaded, self.task.metrics)
        is_known = all(map(_is_heard, example.degraded))
        if not is_known:
            row.notes = [*row.notes, "silent input, so no improvement"]
        if len(example.degraded) < n_channels:
            row.notes = [*row.notes, "silent channels of the input left out"]
        for name in self.task.baselines:
            if name in CEILINGS and not loaded.has_clean:
                continue
            made = self.task.filters[example.sample_rate] if name == OF_A_SET else BASELINES[name]
            row.scores[name] = (
                scores_of(made(example), loaded, self.task.metrics)
                if is_known
                else dict.fromkeys(self.task.metrics, NAN)
            )
        empty = [name for name, value in row.scores[ENHANCED].items() if np.isnan(value)]
        row.missing = {name: _why_missing(name, loaded) for name in empty}

    def _write(self, case: Case, loaded: Loaded) -> list[str]:
        """Write the output of a model, at least as finely as the input is stored."""
        assert self.task.audio_folder is not None and loaded.estimate is not None
        storage: Storage = _storage_of(case.degraded) if case.degraded else "float32"
        voices = loaded.estimate if separates(loaded.example) else [loaded.estimate]
        written = []
        for number, voice in enumerate(voices, 1):
            mark = f"_{number}" if len(voices) > 1 else ""
            path = self.task.audio_folder / f"{case.name}{mark}.wav"
            audio = np.atleast_2d(voice).astype(np.float64)
            is_loud = float(np.abs(audio).max(initial=0.0)) >= 1.0
            with open_plain_writer(
                path,
                sample_rate=loaded.example.sample_rate,
                n_channels=len(audio),
                storage="float32" if is_loud else storage,  # whole numbers would clip
                overwrite=True,
            ) as writer:
                writer.write(audio)
            written.append(str(path.absolute()))
        return written


class Sharer:
    """Says what each case adds to the filter of all cases, in one process."""

    def __init__(self, rate: int | None) -> None:
        self._load = Loader(rate)

    def __call__(self, case: Case) -> tuple[int, Share] | None:
        """Return its sample rate and share; None where it cannot be judged, which its row will say."""
        try:
            example = self._load(case).example
        except ResoundError:
            return None
        return example.sample_rate, share_of(example)


def _storage_of(path: Path) -> Storage:
    from resound.audio.files import open_reader

    with open_reader(path) as reader:
        return reader.format.storage


def scores_of(estimate: NDArray, loaded: Loaded, names: tuple[str, ...]) -> Scores:
    """Return the metrics of ``(channel or source, time)``, means over these; NaN where one of them has no answer."""
    example = loaded.example
    found: Scores = {}
    if loaded.has_clean:
        cheap = tuple(name for name in names if name in MEASURES)
        slow = tuple(name for name in names if name in PERCEPTUAL and example.sample_rate >= least(name))
        if cheap or slow:
            found |= score(estimate, example, slow, cheap)
        found |= _against_clean([name for name in names if name in FURTHER], estimate, example)
    blind = [name for name in names if METRICS[name].needs == "degraded" and example.sample_rate >= least(name)]
    found |= _against_input(blind, estimate, example) if blind else {}
    return {name: found.get(name, NAN) for name in names}


def _against_clean(names: list[str], estimate: NDArray, example: Example) -> Scores:
    rate, clean = example.sample_rate, example.clean.astype(np.float64)
    found: Scores = {}
    with np.errstate(all="ignore"):
        for name in names:
            each = [
                further.with_reference(name, own, target, rate) if _is_heard(own) and _is_heard(target) else NAN
                for own, target in zip(estimate.astype(np.float64), clean, strict=True)
            ]
            found[name] = float(np.mean(each))
    return found


def _against_input(names: list[str], estimate: NDArray, example: Example) -> Scores:
    degraded = unprocessed(example) if separates(example) else noisy(example)
    pairs = zip(estimate.astype(np.float64), degraded.astype(np.float64), strict=True)
    with np.errstate(all="ignore"):
        each = [
            further.without_reference(names, own, given, example.sample_rate)
            if np.isfinite(own).all() and _is_heard(given)
            else dict.fromkeys(names, NAN)
            for own, given in pairs
        ]
    return {name: float(np.mean([scores[name] for scores in each])) for name in names}


def _without_silent_channels(loaded: Loaded) -> Loaded:
    """Return a recording without the channels in which nothing went in, as it is where nothing went in at all."""
    example, estimate = loaded.example, loaded.estimate
    heard = np.array([_is_heard(channel) for channel in example.degraded])
    if example.task != "enhance" or heard.all() or not heard.any():
        return loaded
    assert estimate is not None
    kept = replace(example, degraded=example.degraded[heard], clean=example.clean[heard])
    return replace(loaded, example=kept, estimate=estimate[heard])


def _is_heard(samples: NDArray) -> bool:
    return bool(np.isfinite(samples).all() and np.ptp(samples))


def _why_missing(name: str, loaded: Loaded) -> str:
    """Return why a metric has no value for an output."""
    estimate, rate = loaded.estimate, loaded.example.sample_rate
    assert estimate is not None
    if not np.isfinite(estimate).all():
        return "the output has samples that are not finite"
    if rate < least(name):
        return f"is defined from {least(name)} Hz on" + ("; pesq_nb is for less" if name == "pesq" else "")
    if loaded.has_clean and not all(map(_is_heard, loaded.example.clean)):
        return "the reference is silent"
    if not all(map(_is_heard, loaded.example.degraded)):
        return "the input is silent"
    if not all(map(_is_heard, estimate)):
        return "the output is silent"
    return REASONS.get(name, "the figures are beyond what numbers hold")


REASONS = {
    "pesq": "no speech was found in it, or less than 0.25 s",
    "pesq_nb": "no speech was found in it, or less than 0.25 s",
    "stoi": "less than 0.4 s of sound",
    "estoi": "less than 0.4 s of sound",
    "level_db": "shorter than a frame of 30 ms",
    "noise_fall_db": "no pause of 0.5 s in all",
    "active_db": "no pause of 0.5 s in all",
    "removed_correlation": "nothing was removed",
}


def to_json(row: Row) -> dict[str, Any]:
    """Return a row as plain JSON: NaN is null, figures have six digits."""
    plain = vars(row) | {
        "scores": {who: {name: _plain(value) for name, value in own.items()} for who, own in row.scores.items()},
        "seconds_taken": rounded(None if row.seconds_taken is None else 1000 * row.seconds_taken),
    }
    return {key: value for key, value in plain.items() if value not in ({}, [], None)}


def from_json(plain: dict[str, Any]) -> Row:
    """Return a row from what `to_json` gave."""
    scores = {
        who: {name: NAN if value is None else float(value) for name, value in own.items()}
        for who, own in plain.get("scores", {}).items()
    }
    taken = plain.get("seconds_taken")
    return Row(**plain | {"scores": scores, "seconds_taken": None if taken is None else taken / 1000})


def _plain(value: float) -> float | None:
    return None if not np.isfinite(value) else float(f"{value:.6g}")
