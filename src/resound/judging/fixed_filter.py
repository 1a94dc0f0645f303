"""The best filter that never changes: one gain for each frequency, the same in all examples of a set and at all times.

A network that has learnt no more than to take away rumble below the voices gains on films what this does: three
decibels were seen, where its curve looked like that of one which hears hiss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resound.dsp.spectral import frame_length_for, hann, istft, stft
from resound.judging.scores import unprocessed
from resound.mixing.example import Example

FRAME_SECONDS = 0.064  # rumble and voices part at 100 Hz
LEAST_OF_INPUT = 1e-4  # a target more than 40 dB below its input, dither perhaps, would rule the filter: it is left out


@dataclass(frozen=True)
class FixedFilter:
    """A gain for each frequency, ``(freq,)`` from 0 to 1."""

    gains: NDArray[np.float64]

    def __call__(self, example: Example) -> NDArray:
        """Return the degraded input filtered, in the shape of the target."""
        length, hop, window = _frames(example.sample_rate)
        return np.stack(
            [
                istft(stft(heard, length, hop, window) * self.gains, length, hop, window, len(heard))
                for heard in unprocessed(example)
            ]
        ).astype(example.clean.dtype)


@dataclass(frozen=True)
class Share:
    """What one example says of the filter of its set, ``(freq,)`` each."""

    common: NDArray[np.float64]  # Re Σ X* S, by the energy of the target
    power: NDArray[np.float64]  # Σ |X|², likewise


def share_of(example: Example) -> Share:
    """Return what an example says; all examples count alike, however loud they are."""
    length, hop, window = _frames(example.sample_rate)
    common, power = np.zeros(length // 2 + 1), np.zeros(length // 2 + 1)
    for heard, wanted in zip(unprocessed(example), example.clean, strict=True):
        heard_spectrum, wanted_spectrum = (stft(samples, length, hop, window) for samples in (heard, wanted))
        heard_power = np.sum(np.abs(heard_spectrum) ** 2, axis=0)
        of_target = np.sum(np.abs(wanted_spectrum) ** 2)
        if of_target > LEAST_OF_INPUT * np.sum(heard_power):
            common += np.sum((heard_spectrum.conj() * wanted_spectrum).real, axis=0) / of_target
            power += heard_power / of_target
    return Share(common, power)


def filter_of(shares: Iterable[Share]) -> FixedFilter:
    """Return the filter of the examples, of one sample rate, that the shares are of."""
    common, power = (
        np.sum(parts, axis=0) for parts in zip(*((each.common, each.power) for each in shares), strict=True)
    )
    gains = np.clip(common / np.maximum(power, np.finfo(np.float64).tiny), 0, 1)
    return FixedFilter(np.where(power > 0, gains, 1.0))


def fixed_filter(examples: Iterable[Example]) -> FixedFilter:
    """Return the real filter that comes nearest to the targets of all examples, each of which counts alike.

    The Wiener filter of the whole set, Re Σ X* S / Σ |X|²: it has heard the examples that it is judged on, and knows no
    more of them than some hundred numbers.
    """
    return filter_of(map(share_of, examples))


def _frames(sample_rate: int) -> tuple[int, int, NDArray]:
    length = frame_length_for(sample_rate, FRAME_SECONDS)
    return length, length // 4, hann(length)
