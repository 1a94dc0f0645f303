"""What a model makes of recordings: as they are, and at other levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resound.doctor.data_evidence import Progress, drawn_from, loudest_stretch
from resound.doctor.output_evidence import LevelPoint, OutputEvidence, OutputFacts, look_at
from resound.doctor.output_measures import power_db
from resound.doctor.settings import DoctorSettings
from resound.doctor.sounds import FileFacts, look_at_file, mono
from resound.errors import InputError, ModelError, counted
from resound.inference.models import find_model
from resound.inference.pipeline import restored

if TYPE_CHECKING:  # it loads what networks need
    from resound.inference.separation import NetworkSeparator

Run = Callable[[NDArray, int], NDArray]  # (channel, time) and its rate -> the same shape

HEARD_SECONDS = 90.0  # of each recording, from its start: five of the chunks that recordings are restored in
LEVELS_SECONDS = 10.0  # of it, where it is loudest
LEVELS_DB = (-20.0, -40.0)
MOST_RECORDINGS = 10


def evidence_of_model(
    model: str, recordings: Sequence[Path], settings: DoctorSettings, *, progress: Progress | None = None
) -> OutputEvidence:
    """Return what a model makes of recordings.  Raises `ModelError`, and `InputError` where none can be read."""
    run, separates = runner_of(model)
    drawn, rest = drawn_from(recordings, replaced_count(settings))
    outputs: list[OutputFacts] = []
    fed: list[LevelPoint] = []
    for number, path in enumerate(drawn, 1):
        facts, points = _tried(path, run, settings)
        outputs.append(facts)
        fed += points
        if progress is not None:
            progress(number, len(drawn))
    if not any(each.change for each in outputs):
        file = outputs[0].degraded
        raise InputError(
            f"{file.path}: {file.fault or 'is too short to be looked at'}; give a recording that can be read"
        )
    of = f" of {len(recordings)}, drawn with seed {settings.seed}" if rest else ""
    return OutputEvidence(
        outputs, False, f"{model} on {counted(len(drawn), 'recording')}{of}", fed=fed, separates=separates
    )


def replaced_count(settings: DoctorSettings) -> DoctorSettings:
    """Return settings by which no more recordings are drawn than can be restored in a minute or two."""
    return settings.model_copy(update={"n_files": min(settings.n_files, MOST_RECORDINGS)})


def runner_of(model: str) -> tuple[Run, bool]:
    """Return what runs a model on a recording as 'restore' or 'separate' would, and whether it separates.

    Raises `ModelError`.
    """
    try:
        found = find_model(model)
    except ModelError:
        separator = _separator_in(model)
        if separator is None:
            raise
        return _sum_of_voices(separator), True

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        pairs = restored([samples], found.stages(sample_rate), sample_rate=sample_rate)
        return np.concatenate([after for _, after in pairs], axis=1)

    return run, False


def _separator_in(model: str) -> NetworkSeparator | None:
    """Return a model if it is one that separates."""
    from resound.inference.separation import open_separator

    try:
        return open_separator(model)
    except ModelError:
        return None


def _sum_of_voices(separator: NetworkSeparator) -> Run:
    from resound.inference.separation import separate_blocks

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        parts = [voices for _, voices in separate_blocks([samples], separator, sample_rate=sample_rate)]
        return np.concatenate(parts, axis=-1).sum(axis=0)

    return run


def _tried(path: Path, run: Run, settings: DoctorSettings) -> tuple[OutputFacts, list[LevelPoint]]:
    """Return what a model makes of one recording."""
    file, audio = look_at_file(path, "degraded", start_seconds=0.0, most_seconds=HEARD_SECONDS)
    if file.fault or not audio.size:
        return OutputFacts(path.name, file, FileFacts(path, "enhanced")), []
    rate = file.sample_rate
    enhanced = run(audio.astype(np.float64), rate)
    files = {"degraded": file, "enhanced": replace(file, side="enhanced")}
    audios = {"degraded": (audio, rate), "enhanced": (enhanced.astype(np.float32), rate)}
    start, length = loudest_stretch(mono(audio), round(LEVELS_SECONDS * rate))
    stretch = audio[:, start : start + length].astype(np.float64)
    return look_at(path.name, files, audios, settings).facts, _at_levels(path.name, stretch, run, rate)


def _at_levels(name: str, samples: NDArray, run: Run, rate: int) -> list[LevelPoint]:
    """Return how much louder than its input the output is at each level; none for silence."""
    if not samples.any():
        return []
    points = []
    for level_db in (0.0, *LEVELS_DB):
        fed = samples * 10 ** (level_db / 20)
        before, after = (power_db(float(np.mean(np.square(side)))) for side in (fed, run(fed, rate)))
        points.append(LevelPoint(name, before, max(after - before, -100.0), is_fed=True))
    return points
