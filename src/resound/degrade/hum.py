"""Hum and buzz: what is periodic, from the mains, a motor or a flickering lamp.

One period is worked out as a table from its harmonics, and read with a phase that may drift: the cost does not depend
on how many harmonics there are.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import LevelDbfs, SnrDb, add_at_level
from resound.degrade.slow import n_points, step_samples
from resound.degrade.spread import Spread, spread, within

Cause = Literal["rectifier", "dimmer"]
MAX_HARMONICS = 40
MAX_BUZZ_HARMONICS = 512
POINTS_PER_HARMONIC = 128  # of the table: a straight line between its points is 70 dB nearer than the harmonic is loud
PHASE_POINTS_PER_SECOND = 100
LINES_AT_ONCE = 32
WALK_POINTS_PER_SECOND = 10
CYCLE_POINTS = 8192  # on which the pulses of a buzz are written
DRIFT = "how far the frequency walks at the most; mains stay within 0.2 Hz"


def add_hum(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float | None,
    level_dbfs: float | None,
    frequency_hz: float,
    roll_off_db_per_octave: float,
    even_db: float,
    drift_hz: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with harmonics of ``frequency_hz`` in all channels, phases by chance.

    Harmonic k is ``roll_off_db_per_octave * log2(k)`` weaker than the first, the even ones by another ``-even_db``.
    """
    rng = np.random.default_rng(seed)
    k = np.arange(1, 1 + n_harmonics(frequency_hz + drift_hz, sample_rate / 2, MAX_HARMONICS))
    level_db = -roll_off_db_per_octave * np.log2(k) + np.where(k % 2 == 0, even_db, 0.0)
    harmonics = 10 ** (level_db / 20) * np.exp(2j * np.pi * rng.random(MAX_HARMONICS)[: len(k)])
    return _add_periodic(audio, sample_rate, harmonics, frequency_hz, drift_hz, rng, snr_db, level_dbfs)


def add_buzz(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float | None,
    level_dbfs: float | None,
    frequency_hz: float,
    cause: Cause,
    angle_degrees: float,
    cutoff_hz: float,
    drift_hz: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with the pulses of mains current in all channels: harmonics locked to each other."""
    rng = np.random.default_rng(seed)
    cycle = rectifier_cycle(angle_degrees) if cause == "rectifier" else dimmer_cycle(angle_degrees)
    spectrum = scipy.fft.rfft(cycle)[1 : 1 + n_harmonics(frequency_hz + drift_hz, sample_rate / 2, MAX_BUZZ_HARMONICS)]
    k = np.arange(1, 1 + len(spectrum))
    # It couples through stray capacitance, which lets the high through: a differentiator, up to where that ends.
    harmonics = spectrum * (1j * k) / (1 + 1j * k * frequency_hz / cutoff_hz) ** 2
    return _add_periodic(audio, sample_rate, harmonics, frequency_hz, drift_hz, rng, snr_db, level_dbfs)


def rectifier_cycle(conduction_degrees: float) -> NDArray[np.float64]:
    """Return a mains cycle of the current into a capacitor after two diodes: a pulse at each crest.

    The second is 10 % smaller, for no two diodes and windings are the same: then there are odd harmonics too.
    """
    angle = 360 * np.arange(CYCLE_POINTS) / CYCLE_POINTS
    from_crest = (angle % 180) - 90
    pulse = np.cos(np.pi * from_crest / conduction_degrees).clip(min=0)
    return np.where(np.abs(from_crest) < conduction_degrees / 2, pulse, 0.0) * np.where(angle < 180, 1.0, 0.9)


def dimmer_cycle(firing_degrees: float) -> NDArray[np.float64]:
    """Return a mains cycle of the voltage behind a thyristor that fires late in each half wave."""
    angle = 360 * np.arange(CYCLE_POINTS) / CYCLE_POINTS
    return np.where(angle % 180 >= firing_degrees, np.sin(np.deg2rad(angle)), 0.0)


def n_harmonics(frequency_hz: float, limit_hz: float, most: int) -> int:
    """Return how many harmonics lie below ``limit_hz``."""
    return max(0, min(most, int(np.ceil(limit_hz / frequency_hz)) - 1))


class Phase(NamedTuple):
    """A phase in periods, as straight lines that last ``step`` samples each."""

    start: NDArray[np.float64]  # (line,)
    per_sample: NDArray[np.float64]  # (line,)
    step: int


def drifting_phase(
    n_samples: int, sample_rate: int, frequency_hz: float, drift_hz: float, rng: np.random.Generator
) -> Phase:
    """Return a phase of at least ``n_samples`` from a random start.

    The frequency walks by chance, at most ``drift_hz`` away from ``frequency_hz``, which is its mean.
    """
    step = step_samples(sample_rate, PHASE_POINTS_PER_SECOND)
    n = n_points(n_samples, step)
    walk = np.cumsum(rng.standard_normal(2 + int(n * step / sample_rate * WALK_POINTS_PER_SECOND)))
    walk -= walk.mean()
    deviation = np.interp(np.arange(n) * step / sample_rate * WALK_POINTS_PER_SECOND, np.arange(len(walk)), walk)
    per_sample = (frequency_hz + drift_hz * deviation / max(float(np.abs(walk).max()), 1e-12)) / sample_rate
    start = rng.random() + np.concatenate([[0.0], np.cumsum(per_sample[:-1] * step)])
    return Phase(start % 1, per_sample, step)


def read_table(harmonics: NDArray[np.complex128], phase: Phase, n_samples: int) -> Audio:
    """Return ``(1, n_samples)``: the sum of harmonics 1, 2, ... (complex amplitudes) along a phase."""
    size = 1 << int(np.ceil(np.log2(POINTS_PER_HARMONIC * len(harmonics))))
    spectrum = np.zeros(size // 2 + 1, np.complex128)
    spectrum[1 : 1 + len(harmonics)] = harmonics * (size / 2)
    table = scipy.fft.irfft(spectrum, size)
    rise = (np.roll(table, -1) - table).astype(np.float32)
    table = table.astype(np.float32)
    out = np.empty((len(phase.start), phase.step), np.float32)
    for first in range(0, len(out), LINES_AT_ONCE):  # in pieces that stay in the processor's cache
        lines = slice(first, first + LINES_AT_ONCE)
        place = (phase.start[lines, None] + phase.per_sample[lines, None] * np.arange(phase.step)) * size
        index = place.astype(np.int64)
        share = (place - index).astype(np.float32)
        index &= size - 1
        out[lines] = table.take(index) + rise.take(index) * share
    return out.reshape(1, -1)[:, :n_samples]


def _add_periodic(
    audio: Audio,
    sample_rate: int,
    harmonics: NDArray[np.complex128],
    frequency_hz: float,
    drift_hz: float,
    rng: np.random.Generator,
    snr_db: float | None,
    level_dbfs: float | None,
) -> Audio:
    if not len(harmonics):
        return audio.copy()  # all of it lies above half the sample rate
    phase = drifting_phase(audio.shape[1], sample_rate, frequency_hz, drift_hz, rng)
    return add_at_level(
        audio, read_table(harmonics, phase, audio.shape[1]), sample_rate, snr_db=snr_db, level_dbfs=level_dbfs
    )


class Hum(Degradation):
    """Hum of the mains (50 or 60 Hz), or of a film's frames (24 Hz): a few harmonics that fall, odd or even ones."""

    apply: ClassVar = staticmethod(add_hum)
    seeded: ClassVar = True
    snr_db: SnrDb | None = spread(20, 45)
    level_dbfs: LevelDbfs | None = None
    frequency_hz: Annotated[Spread, within(1, 1000)] = Field(
        spread(50, 60, form="one_of"), description="of the first harmonic"
    )
    roll_off_db_per_octave: Annotated[Spread, within(0, 60)] = Field(
        spread(3, 12), description="by how much the harmonics fall"
    )
    even_db: Annotated[Spread, within(-60, 60)] = Field(
        spread(-15, 10), description="level of the even harmonics over the odd ones; a rectifier has more of the even"
    )
    drift_hz: Annotated[Spread, within(0, 5)] = Field(spread(0, 0.1), description=DRIFT)


class Buzz(Degradation):
    """Buzz of a rectifier or a dimmer: sharp pulses twice a mains cycle, a comb of harmonics up to several kHz."""

    apply: ClassVar = staticmethod(add_buzz)
    seeded: ClassVar = True
    snr_db: SnrDb | None = spread(25, 50)
    level_dbfs: LevelDbfs | None = None
    frequency_hz: Annotated[Spread, within(1, 1000)] = Field(spread(50, 60, form="one_of"), description="of the mains")
    cause: Cause = Field("rectifier", description="charging pulses of a power supply, or a thyristor that fires late")
    angle_degrees: Annotated[Spread, within(5, 175)] = Field(
        spread(20, 60), description="how long of a half wave a rectifier conducts, or how late in it a dimmer fires"
    )
    cutoff_hz: Annotated[Spread, within(100, 96000)] = Field(
        spread(2000, 8000), description="from here on the harmonics fall"
    )
    drift_hz: Annotated[Spread, within(0, 5)] = Field(spread(0, 0.1), description=DRIFT)
