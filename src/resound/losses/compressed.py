"""Losses on spectra whose magnitudes are compressed, so that what is quiet counts: ``(batch, ..., time)`` -> ``(batch,
...)``.

Their gradient is written by hand: powers of numbers are slow, and torch raises each once more on the way back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from resound.losses.looking_away import heard
from resound.losses.spectral import FLOOR, bin_weights, mean_over_bins, power, spectrum


def compressed_complex(
    estimate: Tensor,
    target: Tensor,
    *,
    exponent: float = 0.3,
    complex_share: float = 0.3,
    n_fft: int = 512,
    hop: int = 128,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
    is_filtered: bool = False,
) -> Tensor:
    """Return the mean squared error of compressed magnitudes, and ``complex_share`` of it with their phases.

    Braun & Tashev 2021 (arXiv 2009.12286); the compression is Ephrat et al.'s (2018, arXiv 1804.03619).  The target
    gets no gradient, and there is no second derivative.
    """
    estimate, target, bandwidth_hz = heard(estimate, target, sample_rate, bandwidth_hz, is_filtered)
    ours, theirs = _spectra(estimate, target, n_fft, hop)
    error = _Error.apply(ours, theirs, exponent, complex_share)
    return mean_over_bins(error, bin_weights(error, sample_rate, bandwidth_hz))


def over_suppression(
    estimate: Tensor,
    target: Tensor,
    *,
    exponent: float = 0.3,
    n_fft: int = 512,
    hop: int = 128,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
    is_filtered: bool = False,
) -> Tensor:
    """Return the mean squared error of compressed magnitudes where the estimate's is below the target's, else 0.

    That is the part which Wang et al. 2020 (VoiceFilter-Lite, arXiv 2009.04323) weigh more.  Alone it is
    content with anything loud: add it to another loss.  The target gets no gradient, and there is no second derivative.
    """
    estimate, target, bandwidth_hz = heard(estimate, target, sample_rate, bandwidth_hz, is_filtered)
    ours, theirs = _spectra(estimate, target, n_fft, hop)
    error = _Missing.apply(ours, theirs, exponent)
    return mean_over_bins(error, bin_weights(error, sample_rate, bandwidth_hz))


def _spectra(estimate: Tensor, target: Tensor, n_fft: int, hop: int) -> tuple[Tensor, Tensor]:
    """Return both spectra, of one shape; no gradient goes to the target's."""
    spectra = (spectrum(waveform, n_fft, hop, is_normalised=True) for waveform in (estimate, target.detach()))
    ours, theirs = torch.broadcast_tensors(*spectra)
    return ours, theirs


class _Error(torch.autograd.Function):
    """The error of each bin of two complex spectra ``(batch, ..., freq, frame)``.

    With p = |S|² + floor, m = p^(e/2), q = m / √p, and those of the target T:

    (1 - c) (m - m')² + c |q S - q' T|².  By S, with D = q S - q' T, that is twice

    ((1 - c) e (m - m') q / √p + c (e - 1) Re(D* S) q / p) S + c q D.
    """

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, exponent: float, share: float) -> Tensor:
        real, imaginary = _parts(theirs)
        m_target, q = _compressed(power(theirs, FLOOR), exponent)[:2]
        real, imaginary = real.mul_(q), imaginary.mul_(q)
        s_real, s_imaginary = _parts(ours)
        m, q, root = _compressed(power(ours, FLOOR), exponent)
        d_real = torch.addcmul(-real, s_real, q)
        d_imaginary = torch.addcmul(-imaginary, s_imaginary, q)
        above = m.sub_(m_target)
        error = torch.addcmul(d_real * d_real, d_imaginary, d_imaginary).mul_(share)
        error.addcmul_(above, above, value=1 - share)
        if ctx.needs_input_grad[0]:
            radial = torch.addcmul(d_real * s_real, d_imaginary, s_imaginary).mul_(root)
            along = above.mul_((1 - share) * exponent).add_(radial, alpha=share * (exponent - 1)).mul_(q).mul_(root)
            slope = torch.empty_like(ours)
            parts = zip(torch.view_as_real(slope).unbind(-1), (s_real, s_imaginary), (d_real, d_imaginary), strict=True)
            for out, s, d in parts:
                out.copy_(s.mul_(along).addcmul_(d, q, value=share).mul_(2))
            ctx.save_for_backward(slope)
        return error

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _scaled(ctx.saved_tensors[0], gradients[0]), None, None, None


class _Missing(torch.autograd.Function):
    """The error of each bin, with the letters of `_Error`: max(m' - m, 0)²; by S, -2 e max(m' - m, 0) q / √p S."""

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, exponent: float) -> Tensor:
        m_target = _raised(power(theirs, FLOOR), exponent)
        m, q, root = _compressed(power(ours, FLOOR), exponent)
        missing = m_target.sub_(m).relu_()
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(_scaled(ours.detach(), q.mul_(root).mul_(missing).mul_(-2 * exponent)))
        return missing * missing

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _scaled(ctx.saved_tensors[0], gradients[0]), None, None


def _compressed(powers: Tensor, exponent: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return m = p^(e/2), m / √p and 1 / √p."""
    root = powers.rsqrt()
    m = _raised(powers, exponent)
    return m, m * root, root


def _raised(powers: Tensor, exponent: float) -> Tensor:
    """Return p^(e/2), in the place of p: by its logarithm, which takes less than half of the time."""
    return powers.log_().mul_(exponent / 2).exp_()


def _parts(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """Return real and imaginary parts, each on its own in memory."""
    real, imaginary = torch.view_as_real(spectrum.detach()).unbind(dim=-1)
    return (
        real.clone(memory_format=torch.contiguous_format),
        imaginary.clone(memory_format=torch.contiguous_format),
    )


def _scaled(spectrum: Tensor, factor: Tensor) -> Tensor:
    """Return a spectrum times real numbers."""
    scaled = torch.empty_like(spectrum)
    for out, part in zip(torch.view_as_real(scaled).unbind(-1), torch.view_as_real(spectrum).unbind(-1), strict=True):
        torch.mul(part, factor, out=out)
    return scaled
