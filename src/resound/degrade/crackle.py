"""Crackle: ticks of dust and scratches in a groove.

Each tick is what a pick-up answers to a push: a damped resonance.  The distributions were measured with the detector of
our own restorer (`resound.classic.declick`, threshold 6, edge 2.5) on five recordings of worn vinyl without programme
(39 s, 2,100 ticks) and on six acoustic discs of 1905 to 1922 with programme (37 s, 310 ticks):

==================  ===============================  =============================================
..                  vinyl                            acoustic discs
==================  ===============================  =============================================
ticks a second      24 to 125                        4 to 17, those that stand out of the noise
median length       0.23 to 0.36 ms                  0.16 to 0.30 ms
spread of ln        0.36 to 0.56                     0.33 to 0.56
peaks, deviation    4.5 to 11 dB                     5 to 12 dB; medians -7 to 0 dB re programme
counts in 0.1 s     variance 0.2 to 1.5 times the    0.6 to 1.1: Poisson
                    mean: Poisson, or more even
half waves          2 to 7                           2 to 4
==================  ===============================  =============================================

Lengths and peaks are log-normal, as far as the detector sees them: it misses the weak ones.  The mean spectrum of loud
ticks is flat up to 2 kHz, 7 dB down at 5 kHz and 16 dB at 9 kHz on the best of the vinyls; resonances of half a period
to one and a half within a tick's length come within 3 dB of that, and are found with the same lengths again.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import PeakDb, rms_of_signal
from resound.degrade.pulses import Numbers, add_events, cover, log_normal_db, poisson_times
from resound.degrade.spread import Spread, spread, within

SHORTEST_SECONDS, LONGEST_SECONDS = 0.00005, 0.001
LENGTH_DEVIATION = 0.5  # of ln(length)
FALL = math.log(10)  # after its length a tick has fallen to a tenth ...
PERIODS = (0.5, 1.5)  # of the resonance within that length
HEARD_LENGTHS = 2.5  # ... and after so many lengths to a three-hundredth, where it is cut off
SCRATCH_JITTER_SECONDS = 0.001  # no turntable is that even
SCRATCH_JITTER_DB = 2.0  # and no groove is cut the same way twice


class Ticks(NamedTuple):
    """What tells one tick from another."""

    seconds: Numbers  # when it begins
    length_seconds: Numbers  # until it has fallen to a tenth
    frequency_hz: Numbers  # of its resonance
    peak: Numbers  # with its sign; 1 is the median's


def add_crackle(
    audio: Audio,
    sample_rate: int,
    *,
    rate_per_second: float,
    peak_db: float,
    spread_db: float,
    length_ms: float,
    scratch_share: float,
    rpm: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with ticks whose median peak lies ``peak_db`` above the signal's RMS.

    A scratch crosses the groove once a revolution: ``scratch_share`` of the ticks come again and again so.  In several
    channels a tick is loudest in one of them by chance.  Raises `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    n_channels, n_samples = audio.shape
    seconds = n_samples / sample_rate
    dust = poisson_times(rng, rate_per_second * (1 - scratch_share), seconds)
    ticks = draw_ticks(rng, dust, length_ms=length_ms, spread_db=spread_db)
    if scratch_share > 0:
        scratches = rng.poisson(rate_per_second * scratch_share * 60 / rpm)
        phases = draw_ticks(rng, rng.uniform(0, 60 / rpm, scratches), length_ms=length_ms, spread_db=spread_db)
        ticks = joined(ticks, once_a_revolution(rng, phases, period_seconds=60 / rpm, seconds=seconds))
    gain = rms_of_signal(audio, sample_rate) * 10 ** (peak_db / 20)
    sides = rng.uniform(0, 1, (n_channels, len(ticks.peak)))
    sides *= gain / np.max(sides, axis=0, initial=1e-12)
    return add_ticks(audio, sample_rate, ticks, sides)


def draw_ticks(rng: np.random.Generator, seconds: Numbers, *, length_ms: float, spread_db: float) -> Ticks:
    """Return a tick for each time, its peak around 1, its length around ``length_ms``."""
    n = len(seconds)
    length = length_ms / 1000 * np.exp(LENGTH_DEVIATION * np.clip(rng.standard_normal(n), -3, 3))
    length = np.clip(length, SHORTEST_SECONDS, LONGEST_SECONDS)
    frequency_hz = rng.uniform(*PERIODS, n) / length
    sign = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    return Ticks(seconds, length, frequency_hz, sign * log_normal_db(rng, n, median_db=0.0, spread_db=spread_db))


def once_a_revolution(rng: np.random.Generator, first: Ticks, *, period_seconds: float, seconds: float) -> Ticks:
    """Return all the times that each tick comes in a recording, nearly the same each time."""
    n = len(first.seconds) * (n_turns := math.ceil(seconds / period_seconds))
    turn = np.tile(np.arange(n_turns), len(first.seconds)) * period_seconds
    again = Ticks(*(np.repeat(values, n_turns) for values in first))
    return again._replace(
        seconds=again.seconds + turn + SCRATCH_JITTER_SECONDS * rng.uniform(-0.5, 0.5, n),
        peak=again.peak * log_normal_db(rng, n, median_db=0.0, spread_db=SCRATCH_JITTER_DB),
    )


def joined(one: Ticks, other: Ticks) -> Ticks:
    """Return the ticks of both."""
    return Ticks(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def add_ticks(audio: Audio, sample_rate: int, ticks: Ticks, sides: NDArray[np.float64]) -> Audio:
    """Return ``audio`` plus all ticks, each times its column of ``sides`` ``(channel, tick)``.

    Resonances above 0.45 of the sample rate sound there.
    """
    decay = FALL / ticks.length_seconds / sample_rate  # per sample
    angle = 2 * np.pi * np.minimum(ticks.frequency_hz / sample_rate, 0.45)
    lengths = HEARD_LENGTHS * ticks.length_seconds * sample_rate
    covered = cover(ticks.seconds * sample_rate, lengths, audio.shape[1])
    tick = covered.event
    scale = ticks.peak / largest_of_damped_sine(angle / decay)
    values = scale[tick] * np.exp(-decay[tick] * covered.age) * np.sin(angle[tick] * covered.age)
    return add_events(audio, covered, values * sides[:, tick])


def largest_of_damped_sine(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest value of ``exp(-t) sin(ratio t)``: there ``tan(ratio t) = ratio``."""
    return np.exp(-np.arctan(ratio) / ratio) * ratio / np.sqrt(1 + ratio**2)


class Crackle(Degradation):
    """Crackle of a disc: ticks of dust by chance, and of scratches once a revolution."""

    apply: ClassVar = staticmethod(add_crackle)
    seeded: ClassVar = True
    rate_per_second: Annotated[Spread, within(0, 5000)] = Field(
        spread(2, 100, form="log"), description="ticks, on average"
    )
    peak_db: PeakDb = Field(spread(-15, 5), description="the median tick's, above the RMS of the signal")
    spread_db: Annotated[Spread, within(0, 20)] = Field(spread(5, 10), description="standard deviation of the peaks")
    length_ms: Annotated[Spread, within(0.05, 1)] = Field(
        spread(0.16, 0.36), description="the median tick's, until it has fallen to a tenth"
    )
    scratch_share: Annotated[Spread, within(0, 1)] = Field(
        spread(0, 0.4), description="share of the ticks that come again once a revolution"
    )
    rpm: Annotated[Spread, within(1, 1000)] = Field(
        spread(100 / 3, 45, 78.26, form="one_of"), description="revolutions a minute"
    )
