"""How loud a signal is: peak, RMS, and loudness after ITU-R BS.1770-4, measured block by block in constant memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GATE_BLOCK_SECONDS = 0.4
GATE_STEP_SECONDS = 0.1
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
SURROUND_WEIGHT = 1.41  # of the channels behind, in layouts of 5 and more (BS.1770-4, table 3)


def decibels(power: float) -> float | None:
    """Return a power in dB, None for zero: JSON has no minus infinity."""
    return float(10 * np.log10(power)) if power > 0 else None


class LevelMeter:
    """Peak, RMS, full-scale samples and integrated loudness of ``(channel, time)`` blocks."""

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        self.sample_rate = sample_rate
        self.n_samples = 0
        self.n_full_scale = 0
        self.peak = 0.0
        self._energy = np.zeros(n_channels)
        self._filter = k_weighting(sample_rate)
        self._state = np.zeros((len(self._filter), n_channels, 2))
        self._step_samples = max(1, round(GATE_STEP_SECONDS * sample_rate))
        self._rest = np.zeros((n_channels, 0))  # weighted samples that do not fill a step yet
        self._step_energies: list[float] = []
        self._weights = np.array([SURROUND_WEIGHT if n_channels >= 5 and i in (n_channels - 2, n_channels - 1) else 1.0
                                  for i in range(n_channels)])  # fmt: skip
        if n_channels >= 6:
            self._weights[3] = 0.0  # the low-frequency channel does not count

    def add(self, block: NDArray) -> None:
        """Measure the next ``(channel, time)`` block."""
        if not block.size:
            return
        from scipy.signal import sosfilt

        magnitude = np.abs(block)
        self.n_samples += block.shape[1]
        self.peak = max(self.peak, float(magnitude.max()))
        self.n_full_scale += int(np.count_nonzero(magnitude >= 1.0 - 2.0**-15))
        self._energy += np.einsum("ct,ct->c", block, block)
        weighted, self._state = sosfilt(self._filter, block, axis=1, zi=self._state)
        weighted = np.concatenate([self._rest, weighted], axis=1)
        n_steps = weighted.shape[1] // self._step_samples
        steps = weighted[:, : n_steps * self._step_samples].reshape(len(block), n_steps, self._step_samples)
        self._step_energies += list(self._weights @ np.einsum("csn,csn->cs", steps, steps))
        self._rest = weighted[:, n_steps * self._step_samples :]

    @property
    def peak_dbfs(self) -> float | None:
        """Largest sample, dB relative to full scale; None for silence."""
        return decibels(self.peak**2)

    @property
    def rms_dbfs(self) -> float | None:
        """Mean over channels, dB relative to full scale (a full-scale square wave is 0); None for silence."""
        return decibels(float(self._energy.mean()) / self.n_samples) if self.n_samples else None

    @property
    def loudness_lufs(self) -> float | None:
        """Integrated loudness with both gates; None where nothing is loud or long enough (0.4 s)."""
        steps_per_block = round(GATE_BLOCK_SECONDS / GATE_STEP_SECONDS)
        if len(self._step_energies) < steps_per_block:
            return None
        energies = np.convolve(self._step_energies, np.ones(steps_per_block), "valid")
        powers = energies / (steps_per_block * self._step_samples)
        powers = powers[powers > 10 ** ((ABSOLUTE_GATE_LUFS + 0.691) / 10)]
        if not len(powers):
            return None
        powers = powers[powers > powers.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
        return float(-0.691 + 10 * np.log10(powers.mean()))


def k_weighting(sample_rate: int) -> NDArray:
    """Return the K-weighting filter of BS.1770 as second-order sections ``(2, 6)`` for any sample rate.

    The standard gives coefficients at 48 kHz; these are the analogue prototypes behind them, by bilinear transform
    (De Man 2014, "Evaluation of implementations of the EBU R128 loudness measurement").
    """
    return np.stack([high_shelf(sample_rate), high_pass(sample_rate)])


def high_shelf(sample_rate: int) -> NDArray:
    """Return the first stage, +4 dB above 1.7 kHz, ``(6,)``."""
    k = np.tan(np.pi * min(1681.974450955533, 0.49 * sample_rate) / sample_rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    norm = 1 + k / q + k * k
    numerator = [high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]
    return np.array([*numerator, norm, 2 * (k * k - 1), 1 - k / q + k * k]) / norm


def high_pass(sample_rate: int) -> NDArray:
    """Return the second stage, a high-pass at 38 Hz, ``(6,)``; its numerator is not normalised, as in the standard."""
    k = np.tan(np.pi * min(38.13547087602444, 0.49 * sample_rate) / sample_rate)
    q = 0.5003270373238773
    norm = 1 + k / q + k * k
    return np.array([1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm])
