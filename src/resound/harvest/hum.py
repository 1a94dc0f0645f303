"""How loud a recording's hum is, harmonic by harmonic, while its blocks stream by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from resound.classic.dehum import (
    LINE_SECONDS,
    WORKING_RATE,
    DehumConfig,
    demodulate,
    find_comb,
    held_lines,
    track_phase,
)

LEAST_SHARE = 0.5  # of the blocks in which a hum must be found


@dataclass(frozen=True)
class HumProfile:
    """A hum; levels relative to the programme's active level."""

    frequency_hz: float
    harmonics: tuple[int, ...]
    harmonic_db: tuple[float, ...]
    level_db: float  # all harmonics together


class HumMeter:
    """Measures hum in blocks of ``(time,)`` that last some seconds."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._n_blocks = 0
        self._found: list[tuple[float, dict[int, float]]] = []  # fundamental, power of each harmonic

    def add(self, block: NDArray) -> None:
        """Look for hum in the next block; one too short to resolve lines is left out."""
        if len(block) < 1.5 * LINE_SECONDS * self.sample_rate or not np.any(block):
            return
        self._n_blocks += 1
        rate = min(WORKING_RATE, self.sample_rate)
        slow = np.asarray(soxr.resample(block, self.sample_rate, rate, quality="HQ"))
        comb = find_comb(slow[None], rate, DehumConfig())
        comb = comb and held_lines(slow[None], comb, rate)
        if comb is None:
            return
        phase = track_phase(slow, comb, rate)
        # What the programme adds to a line comes and goes: the median of the amplitude is the hum's.
        power = {
            number: 2 * float(np.median(np.abs(demodulate(slow, np.exp(1j * number * phase), rate)[1]))) ** 2
            for number in comb.harmonics
        }
        tracked_hz = float(phase[-1] - phase[0]) / (2 * np.pi * (len(phase) - 1)) * rate
        self._found.append((tracked_hz, power))

    def result(self, reference_power: float) -> HumProfile | None:
        """Return the hum of the recording, None where most blocks have none."""
        if not self._found or len(self._found) < LEAST_SHARE * self._n_blocks:
            return None
        numbers = sorted({number for _, power in self._found for number in power})
        # A harmonic that is found in a few blocks only was found in the programme.
        held = [n for n in numbers if 2 * sum(n in power for _, power in self._found) > len(self._found)]
        if not held:
            return None
        powers = [float(np.median([power[n] for _, power in self._found if n in power])) for n in held]
        return HumProfile(
            frequency_hz=round(float(np.median([hz for hz, _ in self._found])), 3),
            harmonics=tuple(held),
            harmonic_db=tuple(round(float(10 * np.log10(power / reference_power)), 1) for power in powers),
            level_db=round(float(10 * np.log10(sum(powers) / reference_power)), 1),
        )
