"""Splices of a film: the joint passes the slit of light as a bump of low frequency.

Overlapping ends, cement and the patch painted over them change the light for some millimetres; the coupling of the
amplifier turns the bump into one that swings back.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import scipy
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import PeakDb, rms_of_signal
from resound.degrade.pulses import add_up, cover, log_normal_db, poisson_times
from resound.degrade.slow import draw_out, n_points, step_samples
from resound.degrade.spread import Spread, spread, within

POINTS_PER_SECOND = 8000
COUPLING_HZ = 20.0  # below it the amplifier lets nothing through


def add_splices(
    audio: Audio,
    sample_rate: int,
    *,
    rate_per_minute: float,
    peak_db: float,
    spread_db: float,
    length_mm: float,
    film_mm_per_second: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with bumps in all channels, whose median peak is ``peak_db`` above the signal's RMS.

    Raises `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    step = step_samples(sample_rate, POINTS_PER_SECOND)
    points_per_second, n = sample_rate / step, n_points(n_samples, step)
    rms = rms_of_signal(audio, sample_rate)
    seconds = poisson_times(rng, rate_per_minute / 60, n_samples / sample_rate)
    if not len(seconds):
        return audio.copy()
    peak = log_normal_db(rng, len(seconds), median_db=peak_db, spread_db=spread_db)
    peak *= np.where(rng.random(len(seconds)) < 0.5, -1.0, 1.0)
    lasting = length_mm / film_mm_per_second * points_per_second
    covered = cover(seconds * points_per_second, np.full(len(seconds), lasting), n)
    light = np.sin(np.pi * np.minimum(covered.age / lasting, 1.0)) ** 2
    bumps = add_up(covered, peak[covered.event] * light, n)
    coupled = scipy.signal.lfilter(*scipy.signal.butter(1, COUPLING_HZ, "highpass", fs=points_per_second), bumps)
    return audio + draw_out(rms * coupled, step, n_samples)


class Splice(Degradation):
    """Bumps where a film was spliced."""

    apply: ClassVar = staticmethod(add_splices)
    seeded: ClassVar = True
    rate_per_minute: Annotated[Spread, within(0, 600)] = Field(
        spread(0.5, 10, form="log"), description="splices, on average"
    )
    peak_db: PeakDb = Field(spread(-5, 8), description="the median bump's change of light, above the RMS of the signal")
    spread_db: Annotated[Spread, within(0, 20)] = Field(spread(2, 6), description="standard deviation of the peaks")
    length_mm: Annotated[Spread, within(0.5, 50)] = Field(spread(2, 20), description="splice and patch along the film")
    film_mm_per_second: Annotated[Spread, within(50, 1000)] = Field(
        spread(457.2), description="speed of the film; 182.9 for 16 mm"
    )
