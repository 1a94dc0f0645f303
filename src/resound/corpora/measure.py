"""What only decoding tells: silence, clipping, DC, samples that are no numbers, and the bandwidth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from resound.audio.segments import NOT_BY_NAME, read_segment
from resound.dsp.bandwidth import bandwidth_hz

MEASURED_SECONDS = 30.0  # at most, out of the middle
SILENT_POWER = 1e-7  # -70 dBFS
CLIPPED_SHARE = 0.01  # of the samples at full scale
FULL_SCALE = 0.999
DC_LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """What decoding told of a recording."""

    bandwidth_hz: float
    has_dc: bool
    why_not: str | None  # it cannot be used


def measure(path: Path, n_samples: int, sample_rate: int, *, seconds: float = MEASURED_SECONDS) -> Measured:
    """Return what up to so many seconds out of the middle of a recording are like.  Raises `InputError`."""
    n_read = min(n_samples, round(seconds * sample_rate))
    audio, is_finite = _read(path, (n_samples - n_read) // 2, n_read)
    if not audio.size:
        return Measured(0.0, False, "no samples")
    level = np.abs(audio.mean(axis=1, dtype=np.float64)).max()
    why_not = None
    if not is_finite:
        why_not = "not finite"
    elif float(np.mean(np.square(audio, dtype=np.float32))) < SILENT_POWER:
        why_not = "silent"
    elif float(np.abs(audio).max()) >= FULL_SCALE and np.mean(np.abs(audio) >= FULL_SCALE) > CLIPPED_SHARE:
        why_not = "clipped"
    return Measured(bandwidth_hz(audio, sample_rate), bool(level > DC_LEVEL), why_not)


def _read(path: Path, start: int, n_samples: int) -> tuple[NDArray[np.float32], bool]:
    """Return ``(channel, time)``, and whether all of it are numbers; `read_segment` mends those that are none."""
    try:
        audio, _ = soundfile.read(path, n_samples, start, dtype="float32", always_2d=True)
        if not np.isfinite(audio).all():
            return np.nan_to_num(audio.T, nan=0.0, posinf=0.0, neginf=0.0), False
        return audio.T, True
    except NOT_BY_NAME:
        return read_segment(path, start_samples=start, n_samples=n_samples)[0], True
