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
    return _levelling_off(_power(estimate - target), _power(target), max_snr_db)


def si_sdr(
    estimate: Tensor,
    target: Tensor,
    *,
    zero_mean: bool = True,
    max_si_sdr_db: float | None = None,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
) -> Tensor:
    """Return the negative scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, eq. 5).

    It is blind to the estimate's level, polarity and mean: alone it leaves them to chance.  Silence has 0 dB.
    ``max_si_sdr_db`` is where it levels off, as in `snr`.
    """
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    wanted, distortion, _ = _shares(estimate, target, zero_mean)
    return _levelling_off(distortion, wanted, max_si_sdr_db)


def si_sdr_with_level(
    estimate: Tensor,
    target: Tensor,
    *,
    level_weight: float = 1.0,
    zero_mean: bool = False,
    max_si_sdr_db: float | None = None,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
) -> Tensor:
    """Return `si_sdr` plus by how many dB the target's share of the estimate is louder or quieter than the target.

    It hears polarity, and the mean unless ``zero_mean``.  An estimate that is turned over counts as in `snr`: 6 dB for
    the target times -1, and falling all the way to the target, where SI-SDR has a wall at silence.  Where that value is
    below the one of the rest only its gradient is taken, so that of two voices (PIT) the wrong one, which is like the
    estimate by chance alone, does not become the better one by being turned over.
    """
    estimate, target, _ = heard(estimate, target, sample_rate, bandwidth_hz)
    wanted, distortion, right = _shares(estimate, target, zero_mean)
    upright = _levelling_off(distortion, wanted, max_si_sdr_db) + level_weight * _decibels(wanted, right).abs()
    turned = _levelling_off(_power(estimate - target), right, None)
    turned = turned + (upright - turned).clamp(min=0).detach()
    return upright.where((estimate * target).mean(dim=-1) >= 0, turned)


def silence(estimate: Tensor, mixture_power: Tensor, *, floor_db: float = -20.0) -> Tensor:
    """Return the level in dB, against the mixture's, of an estimate that should be silent.

    A ratio to nothing says nothing: this stands in its place.  It levels off at ``floor_db``, 20 dB down as in Wisdom
    et al. 2021 (arXiv 2011.00803, section 3, L0).  `mixture_power` is the mean square of the mixture, ``(batch, ...)``.
    """
    return _decibels(_power(estimate) + 10 ** (floor_db / 10) * mixture_power, mixture_power)


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


def _levelling_off(error: Tensor, wanted: Tensor, max_ratio_db: float | None) -> Tensor:
    """Return the negative ratio of powers in dB, which does not go below a bound where there is one."""
    if max_ratio_db is not None:
        error = error + 10 ** (-max_ratio_db / 10) * wanted
    return _decibels(error, wanted)


def _decibels(power: Tensor, reference: Tensor) -> Tensor:
    return 10 * ((power + SILENCE).log10() - (reference + SILENCE).log10())
