"""Surface noise of discs: grain of the groove, which comes round once a revolution, and rumble of the bearing.

Measured on a run-out groove of vinyl (33⅓ rpm, noise between 1.5 and 8 kHz): the level sways by 29 % of its mean once a
revolution, by 17 % twice and by 23 % three times.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.hiss import shaped_noise
from resound.degrade.noise import LevelDbfs, SnrDb, add_at_level, power_of
from resound.degrade.slow import Slow, draw_out, n_points, slow_noise, step_samples
from resound.degrade.spread import Spread, spread, within

N_HARMONICS = 4  # of the revolution: a warp, a pressing that is off centre, a worn sector
MODULATION_POINTS_PER_SECOND = 400
RUMBLE_POINTS_PER_SECOND = 2000
RUMBLE_HZ = 30.0


def add_surface(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float | None,
    level_dbfs: float | None,
    db_per_octave: float,
    rpm: float,
    depth: float,
    rumble_db: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with noise that sways once a revolution, by ``depth`` of its mean level at the most.

    ``rumble_db`` is the level of the rumble below 30 Hz relative to the noise; it is the same in all channels.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    step = step_samples(sample_rate, MODULATION_POINTS_PER_SECOND)
    seconds = np.arange(n_points(n_samples, step)) * (step / sample_rate)
    sway = draw_out(1 + depth * revolution(rng, seconds, rpm), step, n_samples)
    noise = shaped_noise(audio.shape, sample_rate, db_per_octave=db_per_octave, seed=rng)
    noise *= sway
    rumble_rms = 10 ** (rumble_db / 20) * power_of(noise, sample_rate) ** 0.5
    noise += np.float32(rumble_rms) * rumble(rng, n_samples, sample_rate)
    return add_at_level(audio, noise, sample_rate, snr_db=snr_db, level_dbfs=level_dbfs)


def revolution(rng: np.random.Generator, seconds: Slow, rpm: float) -> Slow:
    """Return a random shape that repeats once a revolution, mean 0, its largest value 1.

    The first harmonic is the largest, the others have half its amplitude at the most.
    """
    amplitudes = np.concatenate([[1.0], rng.uniform(0, 0.5, N_HARMONICS - 1)])
    phases = rng.uniform(0, 2 * np.pi, N_HARMONICS)

    def shape(turns: Slow) -> Slow:
        orders = np.arange(1, N_HARMONICS + 1)[:, None]
        return (amplitudes[:, None] * np.sin(2 * np.pi * orders * turns + phases[:, None])).sum(axis=0)

    return shape(seconds * rpm / 60) / np.abs(shape(np.arange(512) / 512)).max()


def rumble(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Audio:
    """Return ``(time,)`` noise below 30 Hz, RMS 1: the bearing, the motor, the cutting lathe."""
    step = step_samples(sample_rate, RUMBLE_POINTS_PER_SECOND)
    points = slow_noise(rng, n_points(n_samples, step), cutoff_hz=RUMBLE_HZ, points_per_second=sample_rate / step)
    return draw_out(points, step, n_samples)


class Surface(Degradation):
    """Surface noise of shellac and vinyl, modulated once a revolution, with rumble."""

    apply: ClassVar = staticmethod(add_surface)
    seeded: ClassVar = True
    snr_db: SnrDb | None = Field(spread(10, 40), description="power of the signal over noise and rumble together")
    level_dbfs: LevelDbfs | None = None
    db_per_octave: Annotated[Spread, within(-12, 12)] = spread(-5, -1)  # a worn LP fell by 4 up to 1 kHz
    rpm: Annotated[Spread, within(1, 1000)] = Field(
        spread(100 / 3, 45, 78.26, form="one_of"), description="revolutions a minute"
    )
    depth: Annotated[Spread, within(0, 1)] = Field(
        spread(0.1, 0.5), description="how far the level sways, as a share of its mean"
    )
    rumble_db: Annotated[Spread, within(-150, 50)] = Field(spread(-20, 0), description="rumble over noise")
