"""The user's own recordings, to be heard at every validation: read, and refused, before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resound.audio.segments import Excerpt, read_excerpt
from resound.errors import InputError

EXCERPT_SECONDS = 10.0
SEARCHED_SECONDS = 60.0  # in which the excerpt may begin: films begin with silence
SILENCE_DB = -40.0  # below the loudest sample of those; before that has been reached there is nothing to hear


@dataclass(frozen=True)
class Recording:
    """The stretch of a recording that is heard."""

    path: Path
    samples: Excerpt  # (channel, time) at the network's rate
    start_seconds: float


def read_recordings(paths: Iterable[Path], sample_rate: int) -> list[Recording]:
    """Return `EXCERPT_SECONDS` of each recording, from where its sound begins; one that is named twice comes once.

    Raises `InputError` for what cannot be read.
    """
    return [_read(path, sample_rate) for path in dict.fromkeys(path.absolute() for path in paths)]


def _read(path: Path, sample_rate: int) -> Recording:
    try:
        found = read_excerpt(path, sample_rate, n_samples=round(SEARCHED_SECONDS * sample_rate))
    except InputError as error:
        raise InputError(f"listen: {error}") from None
    if not found.size:
        raise InputError(f"listen: {path}: holds no samples; leave it out")
    level = np.abs(found).max(axis=0)
    first = int(np.argmax(level >= level.max() * 10 ** (SILENCE_DB / 20)))
    start = max(0, min(first, found.shape[1] - round(EXCERPT_SECONDS * sample_rate)))
    samples = found[:, start : start + round(EXCERPT_SECONDS * sample_rate)].copy()
    return Recording(path, samples, start / sample_rate)


def names_apart(paths: Sequence[Path], taken: Iterable[str]) -> list[str]:
    """Return a name for each recording: its stem, with a number where that is taken (other cases are the same name)."""
    used = {name.casefold() for name in taken}
    names = []
    for path in paths:
        name, number = path.stem, 2
        while name.casefold() in used:
            name, number = f"{path.stem}-{number}", number + 1
        used.add(name.casefold())
        names.append(name)
    return names
