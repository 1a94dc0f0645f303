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

Excerpt = NDArray[np.float32]
# What soundfile raises for what it does not open by its name; the last: of a name whose bytes are no UTF-8.
NOT_BY_NAME = (soundfile.LibsndfileError, OSError, RuntimeError, UnicodeEncodeError)


def read_segment(path: Path, *, start_samples: int = 0, n_samples: int | None = None) -> tuple[Excerpt, int]:
    """Return ``(channel, time)`` and the sample rate; fewer samples than asked for where the recording ends.

    NaN and infinite samples arrive as 0.  Raises `InputError`.
    """
    return _read(path, None, start_samples, n_samples)


def read_excerpt(path: Path, sample_rate: int, *, start_seconds: float = 0.0, n_samples: int | None = None) -> Excerpt:
    """Return ``(channel, time)`` resampled to ``sample_rate``, at most ``n_samples`` of it.  Raises `InputError`."""
    samples, native_rate = _read(path, sample_rate, round(start_seconds * sample_rate), n_samples)
    return resample(samples, native_rate, sample_rate)[:, :n_samples]


def resample(samples: Excerpt, from_rate: float, to_rate: float) -> Excerpt:
    """Return ``(channel, time)`` at another rate (soxr, high quality)."""
    if from_rate == to_rate or not samples.size:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples.T, from_rate, to_rate, quality="HQ").T)


def _read(path: Path, rate: int | None, start_samples: int, n_samples: int | None) -> tuple[Excerpt, int]:
    """Return ``(channel, time)`` at the recording's own rate; start and length count at ``rate``, None: the same."""
    try:
        with soundfile.SoundFile(path) as file:
            start, n = _native(start_samples, n_samples, rate, file.samplerate)
            if start:
                file.seek(min(start, file.frames))
            block = file.read(-1 if n is None else n, dtype="float32", always_2d=True)
            native_rate = int(file.samplerate)
    except NOT_BY_NAME:
        block, native_rate = _read_through_reader(path, rate, start_samples, n_samples)
    samples = np.ascontiguousarray(block.T)
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return samples, native_rate


def _read_through_reader(
    path: Path, rate: int | None, start_samples: int, n_samples: int | None
) -> tuple[Excerpt, int]:
    """Return ``(time, channel)`` of what libsndfile does not open: M4A, the sound of a video, a damaged header."""
    with open_reader(path) as reader:
        native_rate = reader.format.sample_rate
    start, n = _native(start_samples, n_samples, rate, native_rate)
    duration = None if n is None else max(n, 1) / native_rate
    with open_reader(path, start_seconds=start / native_rate, duration_seconds=duration) as reader:
        blocks = list(reader.blocks(1 << 20))
    if not blocks:
        raise InputError(f"{path}: holds no samples from {start / native_rate:g} s on; give an earlier start")
    return np.concatenate(blocks, axis=1)[:, :n].T.astype(np.float32), native_rate


def _native(start: int, n_samples: int | None, rate: int | None, native_rate: int) -> tuple[int, int | None]:
    """Return start and length in samples of the recording, rounded so that enough is read."""
    if rate is None or rate == native_rate:
        return start, n_samples
    return start * native_rate // rate, None if n_samples is None else -(-n_samples * native_rate // rate)


def header_of(path: Path) -> tuple[int, int, int]:
    """Return sample rate, samples per channel and channels, as the header says.  Raises `InputError`.

    Where it does not say how long the recording is (M4A, the sound of a video), it is decoded to count.
    """
    try:
        info = soundfile.info(path)
        return info.samplerate, info.frames, info.channels
    except NOT_BY_NAME:
        with open_reader(path) as reader:
            form = reader.format
            n_samples = form.n_samples
            if n_samples is None:
                n_samples = sum(block.shape[1] for block in reader.blocks(1 << 18))
    return form.sample_rate, n_samples, form.n_channels
