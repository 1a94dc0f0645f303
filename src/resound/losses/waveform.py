"""Losses on waveforms: how far the samples are apart, ``(batch, ..., time)`` -> ``(batch, ...)``.

>>> import torch
>>> clean = torch.sin(torch.arange(8000) / 10)[None, None]
>>> round(float(snr(0.9 * clean, clean)), 2), round(float(si_sdr(0.9 * clean, clean)) < -60)
(-20.0, 1)
"""

from __future__ import annotations

from torch import Tensor

from resound.losses.looking_away import heard

# Mean square of -100 dBFS: errors and targets below count as this much.  It bounds the ratios and their gradients on
# digital silence; 16 bits end at -98 dBFS.
SILENCE = 1e-10


def l1(
    estimate: Tensor, target: Tensor, *, sample_rate: int | None = None, bandwidth_hz: Tensor | None = None
) -> Tensor:
    """Return the mean absolute error."""
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    return (estimate - target).abs().mean(dim=-1)


def mse(
    estimate: Tensor, target: Tensor, *, sample_rate: int | None = None, bandwidth_hz: Tensor | None = None
) -> Tensor:
    """Return the mean squared error."""
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    return _power(estimate - target)


def snr(
    estimate: Tensor,
    target: Tensor,
    *,
    max_snr_db: float | None = None,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
) -> Tensor:
    """Return the negative signal-to-noise ratio in dB; a wrong level is an error as any other.

    ``max_snr_db`` is where it levels off, so that examples which are good already do not outweigh the others: 30 in
    Wisdom et al. 2020 (MixIT, arXiv 2006.12701).
    """
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    wanted, error = _power(target), _power(estimate - target)
    if max_snr_db is not None:
        error = error + 10 ** (-max_snr_db / 10) * wanted
    return _decibels(error, wanted)


def si_sdr(
    estimate: Tensor,
    target: Tensor,
    *,
    zero_mean: bool = True,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
) -> Tensor:
    """Return the negative scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, eq. 5).

    It is blind to the estimate's level, polarity and mean: alone it leaves them to chance.  Silence has 0 dB.
    """
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    wanted, distortion, _ = _shares(estimate, target, zero_mean)
    return _decibels(distortion, wanted)


def si_sdr_with_level(
    estimate: Tensor,
    target: Tensor,
    *,
    level_weight: float = 1.0,
    zero_mean: bool = True,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
) -> Tensor:
    """Return `si_sdr` plus by how many dB the target's share of the estimate is louder or quieter than the target."""
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    wanted, distortion, right = _shares(estimate, target, zero_mean)
    return _decibels(distortion, wanted) + level_weight * _decibels(wanted, right).abs()


def _shares(estimate: Tensor, target: Tensor, zero_mean: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the powers of the target's share of the estimate, of the rest of it, and of the target."""
    if zero_mean:
        estimate = estimate - estimate.mean(dim=-1, keepdim=True)
        target = target - target.mean(dim=-1, keepdim=True)
    likeness = (estimate * target).mean(dim=-1, keepdim=True)
    wanted = likeness / (target.square().mean(dim=-1, keepdim=True) + SILENCE) * target
    return _power(wanted), _power(estimate - wanted), _power(target)


def _power(waveform: Tensor) -> Tensor:
    return waveform.square().mean(dim=-1)


def _decibels(power: Tensor, reference: Tensor) -> Tensor:
    return 10 * ((power + SILENCE).log10() - (reference + SILENCE).log10())
