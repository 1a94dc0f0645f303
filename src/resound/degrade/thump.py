"""Thumps: what a large click or a blow sets off, the resonance of tone arm and needle.

A low sine that dies away within some tenths of a second while its frequency glides down, for the arm stiffens where it
is pushed far: Godsill & Rayner, *Digital Audio Restoration* (1998), chapter 7, on low-frequency noise pulses.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import PeakDb, rms_of_signal
from resound.degrade.pulses import add_up, cover, log_normal_db, poisson_times
from resound.degrade.slow import draw_out, n_points, step_samples
from resound.degrade.spread import Spread, spread, within

POINTS_PER_SECOND = 8000  # enough for 100 Hz along straight lines: what they add is 60 dB below
HEARD_DECAYS = 7.0  # time constants until a thump is cut off, 60 dB down
RISE_SECONDS = 0.002  # it begins with a push, not with a corner


def add_thumps(
    audio: Audio,
    sample_rate: int,
    *,
    rate_per_second: float,
    peak_db: float,
    spread_db: float,
    frequency_hz: float,
    decay_ms: float,
    glide: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with thumps in all channels, whose median peak is ``peak_db`` above the signal's RMS.

    A thump starts at ``frequency_hz * glide`` and ends at ``frequency_hz``; its level falls by 8.7 dB in ``decay_ms``.
    Raises `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    step = step_samples(sample_rate, POINTS_PER_SECOND)
    points_per_second, n = sample_rate / step, n_points(n_samples, step)
    rms = rms_of_signal(audio, sample_rate)
    seconds = poisson_times(rng, rate_per_second, n_samples / sample_rate)
    if not len(seconds):
        return audio.copy()
    peak = log_normal_db(rng, len(seconds), median_db=peak_db, spread_db=spread_db)
    peak *= np.where(rng.random(len(seconds)) < 0.5, -1.0, 1.0)
    decay_seconds = decay_ms / 1000
    lengths = np.full(len(seconds), HEARD_DECAYS * decay_seconds * points_per_second)
    covered = cover(seconds * points_per_second, lengths, n)
    shape = thump(covered.age / points_per_second, frequency_hz, decay_seconds, glide)
    rumble = add_up(covered, peak[covered.event] * shape, n)
    return audio + draw_out(rms * rumble, step, n_samples)


def thump(seconds: np.ndarray, frequency_hz: float, decay_seconds: float, glide: float) -> np.ndarray:
    """Return one thump at times from its beginning, its envelope falling from 1.

    The frequency's excess over its end falls as the level does; the phase is its integral.
    """
    fallen = np.exp(-seconds / decay_seconds)
    turns = frequency_hz * (seconds + (glide - 1) * decay_seconds * (1 - fallen))
    return fallen * np.sin(2 * np.pi * turns) * np.minimum(1, seconds / RISE_SECONDS)


class Thump(Degradation):
    """Thumps of a tone arm after a large click, a crack or a blow."""

    apply: ClassVar = staticmethod(add_thumps)
    seeded: ClassVar = True
    rate_per_second: Annotated[Spread, within(0, 50)] = Field(
        spread(0.1, 2, form="log"), description="thumps, on average"
    )
    peak_db: PeakDb = Field(spread(-10, 5), description="the median thump's, above the RMS of the signal")
    spread_db: Annotated[Spread, within(0, 20)] = Field(spread(3, 6), description="standard deviation of the peaks")
    frequency_hz: Annotated[Spread, within(5, 100)] = Field(
        spread(10, 80, form="log"), description="resonance, where it ends"
    )
    decay_ms: Annotated[Spread, within(5, 1000)] = Field(
        spread(20, 200, form="log"), description="time in which it falls by 8.7 dB"
    )
    glide: Annotated[Spread, within(1, 3)] = Field(spread(1, 1.5), description="its first frequency over its last")
