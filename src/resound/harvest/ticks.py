"""Crackle in noise: how many ticks, how high, how long, those too small to be found reckoned with.

Ticks are found by `resound.classic.declick`.  What lies under the noise cannot be found, so the heights are those of a
log-normal distribution cut off at the smallest that is found for certain; its parameters by maximum likelihood tell how
many there are in all (Cohen 1959, "Simplified estimators for the normal distribution when samples are singly censored
or truncated").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.classic.declick import SEGMENT_SECONDS, Declick, DeclickConfig, find_clicks, fit_segments
from resound.harvest.stretches import runs_of

THRESHOLD = 5.0  # standard deviations of the prediction error: Gaussian noise reaches it every half minute
EDGE = 2.5
LEAST_TICKS = 5
LEAST_PER_SECOND = 0.15
CERTAIN_QUANTILE = 0.1  # ticks lower than this share of them are those of which some were missed


@dataclass(frozen=True)
class CrackleProfile:
    """Ticks; peaks are relative to the RMS of the noise they lie in."""

    per_second: float
    found_per_second: float
    peak_db: float  # median
    spread_db: float  # standard deviation
    length_ms: float  # median


class TickCounter:
    """Takes the ticks out of noise and keeps count of them."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.seconds = 0.0
        self._declick = Declick(sample_rate, DeclickConfig(threshold=THRESHOLD, edge=EDGE))
        self._peaks: list[float] = []
        self._lengths: list[int] = []

    def take(self, noise: NDArray) -> NDArray:
        """Return ``(time,)`` noise without its ticks, which are counted."""
        self.seconds += len(noise) / self.sample_rate
        order = self._declick.order
        if len(noise) < 8 * order or not np.any(noise):
            return noise
        model = fit_segments(noise, order, round(SEGMENT_SECONDS * self.sample_rate))
        runs = runs_of(find_clicks(noise, model, self.sample_rate, self._declick.config))
        calm = self._declick.process(noise[None])[0]
        removed = np.abs(noise - calm)
        self._peaks += [float(removed[first:last].max()) for first, last in runs]
        self._lengths += [last - first for first, last in runs]
        return calm

    def result(self, noise_power: float) -> CrackleProfile | None:
        """Return the crackle, None where there are hardly any."""
        peaks = np.array(self._peaks)
        peaks = peaks[peaks > 0]
        if len(peaks) < max(LEAST_TICKS, LEAST_PER_SECOND * self.seconds) or noise_power <= 0:
            return None
        peak_db = 20 * np.log10(peaks) - 10 * np.log10(noise_power)
        cut_db = float(np.quantile(peak_db, CERTAIN_QUANTILE))
        certain = peak_db[peak_db > cut_db]
        median_db, spread_db = truncated_normal(certain, cut_db)
        share_above = float(scipy.special.ndtr((median_db - cut_db) / spread_db))
        return CrackleProfile(
            per_second=round(max(len(certain) / share_above, len(peaks)) / self.seconds, 2),
            found_per_second=round(len(peaks) / self.seconds, 2),
            peak_db=round(median_db, 1),
            spread_db=round(spread_db, 1),
            length_ms=round(float(np.median(self._lengths)) * 1000 / self.sample_rate, 3),
        )


def truncated_normal(values: NDArray, cut: float) -> tuple[float, float]:
    """Return mean and standard deviation of the normal distribution of which only ``values`` above ``cut`` are seen.

    The mean is kept from falling more than a deviation below the cut: a tail alone does not tell where its middle is.
    """

    def minus_log_likelihood(parameters: NDArray) -> float:
        mean, log_deviation = float(parameters[0]), float(parameters[1])
        deviation = float(np.exp(log_deviation))
        z = (values - mean) / deviation
        return float(
            np.sum(z**2 / 2) + len(values) * (log_deviation + scipy.special.log_ndtr((mean - cut) / deviation))
        )

    start = np.array([values.mean(), np.log(max(values.std(), 0.5))])
    deviation = max(float(values.std()), 0.5)
    bounds = [(cut - deviation, float(values.max())), (np.log(0.5), np.log(3 * deviation))]
    found = scipy.optimize.minimize(minus_log_likelihood, start, bounds=bounds, method="L-BFGS-B")
    return float(found.x[0]), float(np.exp(found.x[1]))
