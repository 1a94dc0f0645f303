"""Short events scattered over a recording: when they come, and which samples each of them covers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resound.degrade.degradation import Audio

Numbers = NDArray[np.float64]  # one for each event
Indices = NDArray[np.int64]


class Cover(NamedTuple):
    """All samples that events cover, one event after the other; samples under two events come twice."""

    event: Indices  # which event it belongs to
    sample: Indices  # where it lies in the recording
    age: Numbers  # samples since that event began, with the fraction


def poisson_times(rng: np.random.Generator, rate_per_second: float, seconds: float) -> Numbers:
    """Return the times in seconds of events that know nothing of each other, in order."""
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate_per_second * seconds)))


def cover(starts: Numbers, lengths: Numbers, n_samples: int) -> Cover:
    """Return the samples that events cover which begin at ``starts`` and last for ``lengths``, both in samples."""
    first = np.ceil(starts).astype(np.int64)
    n = np.maximum(1, np.ceil(lengths)).astype(np.int64)
    event = np.repeat(np.arange(len(n)), n)
    sample = np.arange(len(event)) - np.repeat(np.cumsum(n) - n - first, n)
    inside = (sample >= 0) & (sample < n_samples)
    event, sample = event[inside], sample[inside]
    return Cover(event, sample, sample - starts[event])


def add_up(covered: Cover, values: Numbers, n_samples: int) -> Numbers:
    """Return ``(n_samples,)``: at each sample the sum of the values of the events that cover it."""
    return np.bincount(covered.sample, values, minlength=n_samples).astype(np.float64, copy=False)


def add_events(audio: Audio, covered: Cover, values: NDArray[np.float64]) -> Audio:
    """Return ``audio`` ``(channel, time)`` plus the values of events, ``(channel, covered)`` or ``(covered,)``."""
    out = audio.copy()
    if len(covered.sample):
        for channel, own in zip(out, np.broadcast_to(values, (len(audio), values.shape[-1])), strict=True):
            channel += add_up(covered, own, len(channel))
    return out


def log_normal_db(rng: np.random.Generator, n: int, *, median_db: float, spread_db: float) -> Numbers:
    """Return amplitudes whose levels in dB are normal around a median, cut at 3 standard deviations."""
    return 10 ** ((median_db + spread_db * np.clip(rng.standard_normal(n), -3, 3)) / 20)
