"""Wow and flutter: the speed of disc, tape or film sways, slowly (wow, below 6 Hz) and fast (flutter, 6 to 100 Hz).

The division at 6 Hz and the test tone of 3150 Hz are those of IEC 60386 and DIN 45507.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.warp import read_at

WOW_BAND_HZ = (0.2, 6.0)
FLUTTER_BAND_HZ = (6.0, 100.0)
GRID_HZ = 6000  # how often the displacement is computed; straight lines between: for 100 Hz right to 0.1 %


def sway(
    audio: Audio,
    sample_rate: int,
    *,
    wow_percent: float,
    wow_hz: float,
    wow_random_percent: float,
    flutter_percent: float,
    flutter_hz: float,
    flutter_random_percent: float,
    seed: int,
) -> Audio:
    """Return ``audio`` played at a swaying speed: periodic parts by their peak, random ones by their RMS, in per cent.

    The speed's mean over the recording is right, so that nothing drifts and the length stays.
    """
    positions = _positions(
        audio.shape[1],
        sample_rate,
        ((wow_percent, wow_hz), (flutter_percent, flutter_hz)),
        ((wow_random_percent, WOW_BAND_HZ), (flutter_random_percent, FLUTTER_BAND_HZ)),
        seed,
    )
    return audio.copy() if positions is None else read_at(audio, positions)


@lru_cache(maxsize=2)  # the target follows the degraded sound
def _positions(
    n_samples: int,
    sample_rate: int,
    periodic: tuple[tuple[float, float], ...],
    random: tuple[tuple[float, tuple[float, float]], ...],
    seed: int,
) -> NDArray[np.float64] | None:
    """Return where each sample is read, ``(time,)``; None where nothing sways.

    ``periodic`` are peaks in per cent and rates in Hz, ``random`` RMS in per cent and bands in Hz.
    """
    rng = np.random.default_rng(seed)
    step = max(1, round(sample_rate / GRID_HZ))
    n_grid = n_samples // step + 2
    time_seconds = np.arange(n_grid) * (step / sample_rate)
    ahead = np.zeros(n_grid)  # how far the carrier is ahead of its time, in seconds
    for percent, rate_hz in periodic:
        phase = 2 * np.pi * rng.random()
        if percent and rate_hz:  # the integral of sin is known: no sum over samples, no drift from rounding
            turn = 2 * np.pi * rate_hz
            ahead -= percent / 100 / turn * np.cos(turn * time_seconds + phase)
    for percent, band_hz in random:
        if percent:
            ahead += percent / 100 * _random_displacement(n_grid, step / sample_rate, band_hz, rng)
    return _between(sample_rate * (time_seconds + ahead), step)[:n_samples] if ahead.any() else None


def _random_displacement(
    n_grid: int, step_seconds: float, band_hz: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the displacement ``(grid,)`` in seconds of a speed that is Gaussian noise in a band, of RMS 1.

    The noise repeats after the recording (or up to a hundredth later, where the FFT is fast), so that it has no drift
    over it; of what is too slow for that there is none.
    """
    n_period = scipy.fft.next_fast_len(n_grid, real=True)
    turns = 2 * np.pi * np.arange(n_period // 2 + 1) / (n_period * step_seconds)
    low, high = (2 * np.pi * edge for edge in band_hz)
    inside = np.flatnonzero((turns >= low) & (turns < min(high, turns[-1])))
    if not len(inside):
        return np.zeros(n_grid)
    real, imaginary = rng.standard_normal((2, len(inside)))
    scale = n_period / np.sqrt(2 * np.sum(real**2 + imaginary**2))  # Parseval: the speed's RMS is 1
    spectrum = np.zeros(len(turns), np.complex128)
    spectrum[inside] = (imaginary - 1j * real) * (scale / turns[inside])  # divided by i turn: integrated
    return scipy.fft.irfft(spectrum, n_period)[:n_grid]


def _between(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Return ``step`` values for each grid interval, on straight lines."""
    lines = np.multiply.outer(np.diff(values) / step, np.arange(step))
    lines += values[:-1, np.newaxis]
    return lines.ravel()


class WowFlutter(Degradation):
    """Speed that sways once per turn (0.55, 0.75, 1.3 Hz for 33⅓, 45, 78 rpm), per sprocket (24, 96 Hz), and at random.

    The target gets it as well: to take it out is to know the right pitch at each moment, and every loss on waveforms
    would punish a network for the smallest error of it.
    """

    apply: ClassVar = staticmethod(sway)
    apply_to_target: ClassVar = staticmethod(sway)
    seeded: ClassVar = True
    wow_percent: Annotated[Spread, within(0, 10)] = Field(
        spread(0.05, 0.4), description="peak deviation of speed, once per turn"
    )
    wow_hz: Annotated[Spread, within(0, 20)] = Field(
        spread(0.5, 1.3), description="turns a second: 0.55, 0.75, 1.3 for 33⅓, 45, 78 rpm"
    )
    wow_random_percent: Annotated[Spread, within(0, 10)] = Field(
        spread(0, 0.1), description="RMS deviation at random, 0.2 to 6 Hz"
    )
    flutter_percent: Annotated[Spread, within(0, 10)] = Field(
        spread(0, 0.1), description="peak deviation of speed, faster than 6 Hz"
    )
    flutter_hz: Annotated[Spread, within(0, 300)] = Field(
        spread(24, 96, form="one_of"), description="24 is a frame of film, 96 a perforation"
    )
    flutter_random_percent: Annotated[Spread, within(0, 10)] = Field(
        spread(0, 0.05), description="RMS deviation at random, 6 to 100 Hz"
    )
