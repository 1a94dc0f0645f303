"""Slow signals: worked out at a low rate, then drawn out to the rate of the audio along straight lines.

A modulation of some 10 Hz, a phase that drifts, a thump of 50 Hz need no 48,000 values a second.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.degrade.degradation import Audio

Slow = NDArray[np.floating]  # (..., point)


def step_samples(sample_rate: int, points_per_second: float) -> int:
    """Return how many samples lie between two points, so that there are at least so many points a second."""
    return max(1, int(sample_rate / points_per_second))


def n_points(n_samples: int, step: int) -> int:
    """Return how many points cover ``n_samples``: the last lies at or beyond the end."""
    return -(-n_samples // step) + 1


def draw_out(points: Slow, step: int, n_samples: int) -> Audio:
    """Return ``(..., n_samples)`` float32: straight lines through points that lie ``step`` samples apart."""
    level = points.astype(np.float32)
    if step == 1:
        return level[..., :n_samples]
    share = (np.arange(step) / step).astype(np.float32)
    lines = level[..., :-1, None] + np.diff(points, axis=-1).astype(np.float32)[..., None] * share
    return lines.reshape(*points.shape[:-1], -1)[..., :n_samples]


def slow_noise(rng: np.random.Generator, n: int, *, cutoff_hz: float, points_per_second: float) -> Slow:
    """Return ``n`` points of Gaussian noise, mean 0 and RMS 1, that falls by 12 dB an octave above ``cutoff_hz``."""
    sections = scipy.signal.butter(2, min(2 * cutoff_hz / points_per_second, 0.99), output="sos")
    n_before = min(int(4 * points_per_second / cutoff_hz), 20000)  # until the filter has forgotten its start
    noise = scipy.signal.sosfilt(sections, rng.standard_normal(n_before + n))[n_before:]
    noise -= noise.mean() if n else 0.0
    return noise / max(float(np.sqrt(np.mean(noise**2))) if n else 0.0, 1e-12)
