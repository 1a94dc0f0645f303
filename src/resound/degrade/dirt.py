"""Dirt and scratches on an optical track: specks that pass the slit of light.

A speck of a size takes size / speed to pass, and lets light through, or keeps it off, by the share of the track that it
covers.  35-mm film runs at 90 ft/min, 457.2 mm/s; 16-mm film at 36 ft/min, 182.9 mm/s, where the same speck lasts 2.5
times as long.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import PeakDb, rms_of_signal
from resound.degrade.pulses import add_events, cover, log_normal_db, poisson_times
from resound.degrade.spread import Spread, spread, within

SLIT_MM = 0.03  # how high the slit is: the sharpest thing that can be heard
SIZE_DEVIATION = 0.6  # of ln(size)
SMALLEST_MM, LARGEST_MM = 0.02, 2.0


def add_dirt(
    audio: Audio,
    sample_rate: int,
    *,
    rate_per_second: float,
    peak_db: float,
    spread_db: float,
    size_mm: float,
    dark_share: float,
    film_mm_per_second: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with specks in all channels, whose median peak is ``peak_db`` above the signal's RMS.

    ``dark_share`` of them push the same way (dirt on the print), the rest the other (scratches, dirt on the negative).
    Raises `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    seconds = poisson_times(rng, rate_per_second, n_samples / sample_rate)
    n = len(seconds)
    size_mm_each = size_mm * np.exp(SIZE_DEVIATION * np.clip(rng.standard_normal(n), -3, 3))
    lasting = (np.clip(size_mm_each, SMALLEST_MM, LARGEST_MM) + SLIT_MM) / film_mm_per_second * sample_rate
    peak = log_normal_db(rng, n, median_db=peak_db, spread_db=spread_db)
    peak *= np.where(rng.random(n) < dark_share, -1.0, 1.0)
    lasting = np.maximum(lasting, 2.0)  # what is shorter lies above half the sample rate
    covered = cover(seconds * sample_rate, lasting, n_samples)
    through = np.minimum(covered.age / lasting[covered.event], 1.0)
    gain = rms_of_signal(audio, sample_rate) * peak[covered.event]
    return add_events(audio, covered, gain * np.sin(np.pi * through) ** 2)


class Dirt(Degradation):
    """Dirt and scratches on an optical track."""

    apply: ClassVar = staticmethod(add_dirt)
    seeded: ClassVar = True
    # Our click detector finds 0.2 to 4 a second in a film of 1968, and up to 12 in government films.
    rate_per_second: Annotated[Spread, within(0, 1000)] = Field(
        spread(0.3, 12, form="log"), description="specks, on average"
    )
    peak_db: PeakDb = Field(spread(-15, 3), description="the median speck's, above the RMS of the signal")
    spread_db: Annotated[Spread, within(0, 20)] = Field(spread(5, 9), description="standard deviation of the peaks")
    size_mm: Annotated[Spread, within(0.02, 2)] = Field(spread(0.05, 0.2), description="the median speck's")
    dark_share: Annotated[Spread, within(0, 1)] = Field(
        spread(0.6, 1), description="share of the specks that push the same way"
    )
    film_mm_per_second: Annotated[Spread, within(50, 1000)] = Field(
        spread(457.2), description="speed of the film; 182.9 for 16 mm"
    )
