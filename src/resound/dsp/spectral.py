"""Short-time Fourier transform whose inverse is exact for any length, and what is measured on spectra."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


def hann(length: int, dtype: type = np.float32) -> NDArray:
    """Return the periodic Hann window, ``(length,)``."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(dtype)


def frame_length_for(sample_rate: int, seconds: float) -> int:
    """Return the even, fast FFT length nearest above ``seconds``, a multiple of 4 so that hop = length / 4 is whole."""
    quarter = max(8, round(seconds * sample_rate / 4))
    return 4 * int(scipy.fft.next_fast_len(quarter, real=True))


def frames_of(samples: NDArray, frame_length: int, hop: int) -> NDArray:
    """Return overlapping frames ``(frame, frame_length)`` of ``(time,)``, every sample covered by length / hop frames.

    The signal is padded with zeros by ``frame_length - hop`` in front and to whole hops behind: frame i starts at
    sample ``i * hop - (frame_length - hop)``.
    """
    pad = frame_length - hop
    n_frames = -(-(len(samples) + pad) // hop)
    padded = np.zeros((n_frames - 1) * hop + frame_length, dtype=samples.dtype)
    padded[pad : pad + len(samples)] = samples
    return sliding_window_view(padded, frame_length)[::hop]


def stft(samples: NDArray, frame_length: int, hop: int, window: NDArray) -> NDArray:
    """Return the spectrum ``(frame, freq)`` of ``(time,)``, framed as in `frames_of`."""
    return scipy.fft.rfft(frames_of(samples, frame_length, hop) * window, axis=-1)


def istft(spectrum: NDArray, frame_length: int, hop: int, window: NDArray, n_samples: int) -> NDArray:
    """Return the ``(time,)`` signal of ``n_samples`` whose `stft` was changed into ``spectrum``.

    Windowed overlap-add divided by the sum of the squared windows: the unchanged spectrum gives the signal back to
    rounding, for every length (Griffin & Lim 1984, eq. 6).
    """
    frames = scipy.fft.irfft(spectrum, frame_length, axis=-1) * window
    padded = overlap_add(frames, hop)
    # The padding gives every sample the same number of frames, so one hop of the window sum repeats for all.
    weight = (window.astype(np.float64) ** 2).reshape(-1, hop).sum(axis=0)
    padded /= np.tile(weight, len(padded) // hop).astype(padded.dtype)
    start = frame_length - hop
    return padded[start : start + n_samples]


def overlap_add(frames: NDArray, hop: int) -> NDArray:
    """Sum ``(frame, length)`` at multiples of ``hop``; ``length`` is a multiple of ``hop``.  Returns ``(time,)``."""
    n_frames, length = frames.shape
    parts = length // hop
    total = np.zeros((n_frames + parts - 1, hop), dtype=frames.dtype)
    for part in range(parts):
        total[part : part + n_frames] += frames[:, part * hop : (part + 1) * hop]
    return total.reshape(-1)


def frame_centres(n_frames: int, frame_length: int, hop: int) -> NDArray:
    """Return the sample at the centre of each frame of `frames_of`, ``(n_frames,)``."""
    return np.arange(n_frames) * hop - (frame_length - hop) + frame_length / 2
