"""Active speech level after ITU-T P.56 (12/2011), method B: the level while somebody speaks, pauses left out."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

TIME_CONSTANT_SECONDS = 0.03  # of the envelope, twice
HANGOVER_SECONDS = 0.2
MARGIN_DB = 15.9  # between the active level and the threshold that finds activity
THRESHOLDS = 2.0 ** np.arange(-15, 1)  # of full scale
STEP_SECONDS = 0.0005  # the envelope is so slow that half a millisecond resolves it to 0.01 dB


def active_speech_power(audio: NDArray, sample_rate: int) -> float:
    """Return the mean power of ``(channel, time)`` or ``(time,)`` while it is active; 0 for silence.

    Channels are judged together: active is when any of them is (P.56 knows one channel).
    """
    audio = np.atleast_2d(audio)
    energy = float(np.einsum("ct,ct->", audio, audio, dtype=np.float64)) / len(audio)
    if energy == 0.0:
        return 0.0
    longest = _held_envelope(np.abs(audio).max(axis=0) if len(audio) > 1 else np.abs(audio[0]), sample_rate)
    # Thresholds are relative to the peak: the standard's are absolute, for speech at a telephone's level.
    thresholds = THRESHOLDS * float(longest.max())
    seconds_active = np.array([np.count_nonzero(longest >= threshold) for threshold in thresholds]) / len(longest)
    with np.errstate(divide="ignore"):
        level_db = 10 * np.log10(energy / audio.shape[1] / np.maximum(seconds_active, 1e-12))
        margin_db = level_db - 20 * np.log10(thresholds)
    # The active level is where the margin falls to M as thresholds rise: the first time, for a peak at the very end
    # of a recording has no hangover, and so next to no activity at the highest thresholds.
    below = np.flatnonzero(margin_db < MARGIN_DB)
    if not len(below) or below[0] == 0:
        return float(10 ** (level_db[0 if len(below) else -1] / 10))
    low, high = below[0] - 1, below[0]
    share = (margin_db[low] - MARGIN_DB) / (margin_db[low] - margin_db[high])
    return float(10 ** ((level_db[low] + share * (level_db[high] - level_db[low])) / 10))


def _held_envelope(magnitude: NDArray, sample_rate: int) -> NDArray:
    """Return the twice smoothed magnitude, each step the largest of the last 0.2 s."""
    step = max(1, round(STEP_SECONDS * sample_rate))
    n_steps = -(-len(magnitude) // step)
    padded = np.zeros(n_steps * step, magnitude.dtype)
    padded[: len(magnitude)] = magnitude
    means = np.einsum("ij->i", padded.reshape(n_steps, step)) / step  # mean() is 5 times slower on short rows
    decay = np.exp(-step / sample_rate / TIME_CONSTANT_SECONDS)
    envelope = scipy.signal.lfilter([(1 - decay) ** 2], [1, -2 * decay, decay**2], means)
    held = max(1, round(HANGOVER_SECONDS * sample_rate / step))
    return scipy.ndimage.maximum_filter1d(envelope, held, origin=(held - 1) // 2, mode="constant", cval=0.0)
