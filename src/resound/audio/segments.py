"""A piece of a recording, read by itself and fast: what training material is made of.

Whole files and long ones are read in blocks (`resound.audio.files`); this is for a few seconds out of the middle.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from resound.audio.files import open_reader
from resound.errors import InputError


def read_segment(
    path: Path, *, start_samples: int = 0, n_samples: int | None = None
) -> tuple[NDArray[np.float32], int]:
    """Return ``(channel, time)`` and the sample rate; fewer samples than asked for where the recording ends.

    NaN and infinite samples arrive as 0.  Raises `InputError`.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if start_samples:
                file.seek(min(start_samples, file.frames))
            block = file.read(-1 if n_samples is None else n_samples, dtype="float32", always_2d=True)
            sample_rate = file.samplerate
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        block, sample_rate = _read_through_reader(path, start_samples, n_samples)
    samples = np.ascontiguousarray(block.T)
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return samples, sample_rate


def _read_through_reader(path: Path, start_samples: int, n_samples: int | None) -> tuple[NDArray[np.float32], int]:
    """Return ``(time, channel)`` of what libsndfile does not open: M4A, the sound of a video, a damaged header."""
    with open_reader(path) as reader:
        rate = reader.format.sample_rate
    duration = None if n_samples is None else max(n_samples, 1) / rate
    with open_reader(path, start_seconds=start_samples / rate, duration_seconds=duration) as reader:
        blocks = list(reader.blocks(1 << 20))
    if not blocks:
        raise InputError(f"{path}: holds no samples from {start_samples / rate:g} s on; give an earlier start")
    return np.concatenate(blocks, axis=1)[:, :n_samples].T.astype(np.float32), rate
