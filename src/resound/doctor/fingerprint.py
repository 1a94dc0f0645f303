"""Near-duplicates: the same stretch of a recording in two files, whatever its level, codec or place.

Peaks of the spectrogram are paired with the next ones after Wang, "An industrial-strength audio search algorithm"
(ISMIR 2003): two frequencies and the time between them are a mark, and files of one recording share many marks at one
offset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.dsp.spectral import hann

RATE = 8000  # at which marks are made
FRAME, HOP = 512, 256  # 64 ms and 32 ms
PEAK_FRAMES, PEAK_BINS = 9, 15  # around a peak, which is the highest there
BELOW_LOUDEST_DB = 50.0
FAN_OUT = 5  # pairs that begin at a peak
LONGEST_FRAMES = 63  # from one peak to the next
LEAST_SHARED, LEAST_SHARE = 12, 0.1  # marks at one offset, and of all marks of the smaller file

Marks = list[tuple[int, int]]  # mark, frame


def marks_of(samples: NDArray) -> Marks:
    """Return the marks of ``(time,)`` at `RATE`."""
    if len(samples) < 2 * FRAME:
        return []
    frames = sliding_window_view(samples, FRAME)[::HOP]
    level_db = 20 * np.log10(np.abs(scipy.fft.rfft(frames * hann(FRAME), axis=1)) + 1e-9)
    highest = scipy.ndimage.maximum_filter(level_db, (PEAK_FRAMES, PEAK_BINS), mode="constant", cval=-200)
    is_peak = (level_db == highest) & (level_db > level_db.max() - BELOW_LOUDEST_DB)
    times, bins = np.nonzero(is_peak[:, 2:])
    marks = []
    for number, (time, low) in enumerate(zip(times, bins, strict=True)):
        ahead = slice(number + 1, number + 1 + FAN_OUT)
        for later, high in zip(times[ahead], bins[ahead], strict=True):
            if 0 < later - time <= LONGEST_FRAMES:
                marks.append((int(low) << 16 | int(high) << 8 | int(later - time), int(time)))
    return marks


@dataclass(frozen=True)
class Twin:
    """Two files that hold the same stretch."""

    one: str
    other: str
    n_shared: int


def twins_between(ones: Mapping[str, Marks], others: Mapping[str, Marks]) -> list[Twin]:
    """Return which of ``others`` hold the same stretch as one of ``ones``."""
    where: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, marks in ones.items():
        for mark, frame in marks:
            where[mark].append((name, frame))
    found = []
    for name, marks in others.items():
        votes: Counter[tuple[str, int]] = Counter()
        for mark, frame in marks:
            votes.update((candidate, frame - earlier) for candidate, earlier in where.get(mark, ()))
        if not votes:
            continue
        (candidate, _), n_shared = votes.most_common(1)[0]
        n_least = min(len(marks), len(ones[candidate]))
        if n_shared >= max(LEAST_SHARED, LEAST_SHARE * n_least):
            found.append(Twin(candidate, name, n_shared))
    return found
