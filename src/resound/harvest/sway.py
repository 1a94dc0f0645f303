"""Noise whose level sways: once a revolution of a disc, or with the frames and perforations of a film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RPM = (100 / 3, 45.0, 78.26)
LEAST_REVOLUTIONS = 4.0
LEAST_SHARE = 0.12  # of the variance of the level, that a revolution must explain
SPROCKET_HZ = (24.0, 96.0)
ENVELOPE_SECONDS = 0.001
LEAST_SPROCKET_SECONDS = 2.0
SIGNIFICANT = 4.0  # times the mean power of the frequencies beside


@dataclass(frozen=True)
class Sway:
    """One modulation of the noise's level."""

    rate_hz: float
    depth_percent: float  # amplitude of the sine, of the mean amplitude


def measure_revolution(level_db: NDArray, is_noise: NDArray, step_seconds: float) -> Sway | None:
    """Return how the level of noise ``(step,)`` sways with one of the speeds of discs; None where it does not.

    Least squares of a sine on those steps that are noise, against the sines of all other slow rates.
    """
    steps = np.flatnonzero(is_noise & np.isfinite(level_db))
    if len(steps) * step_seconds < LEAST_REVOLUTIONS * 60 / RPM[0]:
        return None
    seconds, values = steps * step_seconds, level_db[steps] - level_db[steps].mean()
    rates_hz = np.arange(0.3, 2.6, 0.02)
    shares = np.array([sine_share(seconds, values, rate_hz)[0] for rate_hz in rates_hz])
    best = float(rates_hz[int(np.argmax(shares))])
    nearest_hz = min((rpm / 60 for rpm in RPM), key=lambda rate_hz: abs(rate_hz - best))
    share, amplitude_db = sine_share(seconds, values, nearest_hz)
    if share < LEAST_SHARE or abs(best - nearest_hz) > 0.03 + 0.5 / (seconds[-1] - seconds[0]):
        return None
    return Sway(round(nearest_hz, 4), round(100 * (10 ** (amplitude_db / 20) - 1), 1))


def sine_share(seconds: NDArray, values: NDArray, rate_hz: float) -> tuple[float, float]:
    """Return which share of the variance of ``(step,)`` values a sine of this rate explains, and its amplitude."""
    basis = np.stack([np.cos(2 * np.pi * rate_hz * seconds), np.sin(2 * np.pi * rate_hz * seconds)], axis=1)
    weights = np.linalg.lstsq(basis, values, rcond=None)[0]
    explained = np.var(basis @ weights) / max(float(np.var(values)), 1e-12)
    return float(explained), float(np.hypot(*weights))


def measure_sprocket(pieces: list[NDArray], sample_rate: int, rate_hz: float) -> Sway | None:
    """Return how the level of noise, pieces of ``(time,)``, sways at a rate such as 24 Hz; None where it does not.

    The pieces do not keep step with each other, so powers are averaged, and compared with the frequencies beside.
    """
    own = beside = weight = 0.0
    for piece in pieces:
        envelope, rate = quick_envelope(piece, sample_rate)
        seconds = len(envelope) / rate
        if seconds < 0.4:
            continue
        own += seconds * tone_depth(envelope, rate, rate_hz) ** 2
        offsets_hz = [sign * (2 + n) / seconds for n in range(3) for sign in (-1, 1)]
        beside += seconds * float(np.mean([tone_depth(envelope, rate, rate_hz + f) ** 2 for f in offsets_hz]))
        weight += seconds
    if weight < LEAST_SPROCKET_SECONDS or own < SIGNIFICANT * beside:
        return None
    return Sway(rate_hz, round(100 * float(np.sqrt((own - beside) / weight)) / 2, 2))


def quick_envelope(samples: NDArray, sample_rate: int) -> tuple[NDArray, float]:
    """Return the power of the differenced ``(time,)`` samples in steps of about a millisecond, and their rate."""
    step = max(1, round(ENVELOPE_SECONDS * sample_rate))
    quick = np.diff(samples)
    n_steps = len(quick) // step
    return np.mean(np.square(quick[: n_steps * step].reshape(n_steps, step)), axis=1), sample_rate / step


def tone_depth(envelope: NDArray, rate: float, rate_hz: float) -> float:
    """Return the amplitude of a sine in ``(step,)``, of its mean."""
    turns = np.exp(-2j * np.pi * rate_hz / rate * np.arange(len(envelope)))
    return float(2 * np.abs(np.sum((envelope - envelope.mean()) * turns)) / max(float(envelope.sum()), 1e-30))
