"""A damaged recording of our own making, so that anyone can hear and measure a restoration without material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.audio.atomic import check_free
from resound.audio.files import open_plain_writer, open_reader
from resound.errors import OutputError
from resound.inference.pipeline import restore_file
from resound.metrics import si_sdr

SAMPLE_RATE = 44100
NOTE_SECONDS = 0.42
# the opening of "Au clair de la lune", of which a phonautograph of 1860 is the oldest voice that can be heard
MELODY = (
    392.0,
    392.0,
    392.0,
    440.0,
    493.88,
    None,
    440.0,
    None,
    392.0,
    493.88,
    440.0,
    440.0,
    392.0,
    None,
    None,
    None,
)


@dataclass(frozen=True)
class DemoResult:
    """Files of a demo and what was gained."""

    damaged: Path
    restored: Path
    removed: Path
    picture: Path
    si_sdr_before_db: float
    si_sdr_after_db: float


def run_demo(folder: Path, *, overwrite: bool = False, seed: int = 1860) -> DemoResult:
    """Write ``damaged.wav``, restore it with the default model, and measure both against the clean tune."""
    result = folder / "damaged.wav"
    files = {name: folder / name for name in ("restored.wav", "removed.wav", "spectrograms.png")}
    _check_folder(folder, [result, *files.values()], overwrite=overwrite)  # before anything is written
    clean = tune()
    damaged = damage(clean, np.random.default_rng(seed))
    with open_plain_writer(
        result, sample_rate=SAMPLE_RATE, n_channels=1, storage="int16", overwrite=overwrite
    ) as writer:
        writer.write(damaged[None])
    restore_file(
        result,
        files["restored.wav"],
        removed=files["removed.wav"],
        picture=files["spectrograms.png"],
        overwrite=overwrite,
    )
    with open_reader(files["restored.wav"]) as reader:
        restored = np.concatenate([block[0] for block in reader.blocks(65536)])
    return DemoResult(
        result,
        files["restored.wav"],
        files["removed.wav"],
        files["spectrograms.png"],
        float(si_sdr(damaged, clean)),
        float(si_sdr(restored, clean)),
    )


def _check_folder(folder: Path, paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raise `OutputError` where the folder is none, or holds files that may not be replaced."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, and the demo needs a folder; give another name")
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; use --overwrite to replace it, or give another folder")
        check_free(path, overwrite=overwrite)


def tune() -> NDArray:
    """Return a plucked tune with rests, ``(time,)``, peak 0.5."""
    n_note = round(NOTE_SECONDS * SAMPLE_RATE)
    sound = np.zeros(n_note * (len(MELODY) + 2))
    time = np.arange(3 * n_note) / SAMPLE_RATE
    for position, frequency_hz in enumerate(MELODY):
        if frequency_hz is None:
            continue
        partials = sum(
            np.sin(2 * np.pi * frequency_hz * n * time) * np.exp(-time * (3.5 + 1.5 * n)) / n**1.3 for n in range(1, 12)
        )
        note = partials * np.minimum(1, time / 0.004)
        start = position * n_note
        sound[start : start + len(note)] += note[: len(sound) - start]
    return sound / np.abs(sound).max() * 0.5


def damage(clean: NDArray, rng: np.random.Generator) -> NDArray:
    """Return ``(time,)`` with hiss 20 dB and hum 14 dB below it, and 12 clicks a second."""
    rms = float(np.sqrt(np.mean(clean**2)))
    time = np.arange(len(clean)) / SAMPLE_RATE
    hiss = rng.standard_normal(len(clean)) * rms * 10 ** (-20 / 20)
    hum = sum(np.sin(2 * np.pi * 50.0 * n * time + n) / n for n in (1, 2, 3, 4, 6))
    damaged = clean + hiss + hum * rms * 10 ** (-14 / 20) / np.sqrt(np.mean(hum**2))
    for start in rng.integers(0, len(clean) - 60, round(12 * len(clean) / SAMPLE_RATE)):
        length = int(rng.integers(3, 40))
        shape = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 3))
        damaged[start : start + length] += shape / np.abs(shape).max() * rng.uniform(0.15, 0.45)
    return np.clip(damaged, -1, 1 - 2.0**-15)
