"""Losses on spectra: ``(batch, ..., time)`` -> ``(batch, ...)``.

Spectra are ``(batch, ..., freq, frame)``; frames are centred on multiples of the hop, with zeros outside the waveform,
so that it may have any length.  Means are over the bins that count: a narrow-band example weighs as much as any.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm

from resound.losses.looking_away import heard, limited

# Added to powers, so that roots and logarithms have a gradient at digital silence.
MULTI_STFT_FLOOR = 1e-7  # of a transform that is not normalised; as Yamamoto et al.'s
FLOOR = 1e-10  # of one that is: -100 dB of white noise at full scale
STEEP_UP_TO = 4.0  # spectral convergence; an error 12 dB above the target


def spectral_l1(
    estimate: Tensor,
    target: Tensor,
    *,
    of: Literal["complex", "magnitude"] = "complex",
    n_fft: int = 1024,
    hop: int = 256,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
    is_filtered: bool = False,
) -> Tensor:
    """Return the mean absolute error of real and imaginary parts, or of magnitudes."""
    estimate, target, bandwidth_hz = heard(estimate, target, sample_rate, bandwidth_hz, is_filtered)
    spectra = [spectrum(waveform, n_fft, hop, is_normalised=True) for waveform in (estimate, target)]
    if of == "complex":
        error = torch.view_as_real(spectra[0] - spectra[1]).abs().mean(dim=-1)
    else:
        error = (power(spectra[0], FLOOR).sqrt() - power(spectra[1], FLOOR).sqrt()).abs()
    return mean_over_bins(error, bin_weights(error, sample_rate, bandwidth_hz))


def multi_stft(
    estimate: Tensor,
    target: Tensor,
    *,
    fft_sizes: Sequence[int] = (512, 1024, 2048),
    hops: Sequence[int] = (50, 120, 240),
    windows: Sequence[int] = (240, 600, 1200),
    high_weight: float = 1.0,
    high_from_hz: float = 4000.0,
    sample_rate: int | None = None,
    bandwidth_hz: Tensor | None = None,
    is_filtered: bool = False,
) -> Tensor:
    """Return spectral convergence plus the mean difference of log magnitudes, the mean over resolutions.

    Yamamoto et al. 2020 (Parallel WaveGAN, arXiv 1910.11480), of each example by itself.  Bins from
    ``high_from_hz`` on count ``high_weight`` times.  Where the error is much louder than the target, silence above all,
    spectral convergence goes on as its logarithm.
    """
    if high_weight != 1 and sample_rate is None:
        raise ValueError("high_weight is given without sample_rate; give both")
    estimate, target, bandwidth_hz = heard(estimate, target, sample_rate, bandwidth_hz, is_filtered)
    parts = []
    for n_fft, hop, window in zip(fft_sizes, hops, windows, strict=True):
        ours, theirs = (
            power(spectrum(waveform, n_fft, hop, window), MULTI_STFT_FLOOR) for waveform in (estimate, target)
        )
        weights = bin_weights(ours, sample_rate, bandwidth_hz, high_weight, high_from_hz)
        log_magnitude = mean_over_bins((ours.log() - theirs.log()).abs() / 2, weights)
        parts.append(_spectral_convergence(ours.sqrt(), theirs.sqrt(), weights) + log_magnitude)
    return torch.stack(parts).mean(dim=0)


def _spectral_convergence(estimate: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Return the norm of the error over that of the target, of magnitudes; beyond `STEEP_UP_TO` as a logarithm."""
    error = estimate - target
    if weights is not None:
        error, target = error * weights.sqrt(), target * weights.sqrt()
    ratio = vector_norm(error, dim=(-2, -1)) / vector_norm(target, dim=(-2, -1))
    return ratio.clamp_max(STEEP_UP_TO) + STEEP_UP_TO * (ratio / STEEP_UP_TO).clamp_min(1).log()


def two_stage(
    estimates: Sequence[Tensor], target: Tensor, *, sample_rate: int | None = None, bandwidth_hz: Tensor | None = None
) -> Tensor:
    """Return the mean absolute errors of the spectrograms of all stages, added up: ``(batch,)``.

    Spectrograms are ``(batch, 2, freq, frame)``, real and imaginary: `TwoStageUNet.estimates` of the degraded waveform,
    `TwoStageUNet.spectrogram` of the clean one (Moliner & Välimäki 2022, section 2.3).
    """
    bandwidth_hz = limited(bandwidth_hz, sample_rate, target.device)
    weights = bin_weights(target, sample_rate, bandwidth_hz)
    errors = [mean_over_bins((estimate.float() - target.float()).abs(), weights).mean(dim=1) for estimate in estimates]
    return torch.stack(errors).sum(dim=0)


def spectrum(
    waveform: Tensor, n_fft: int, hop: int, window: int | None = None, *, is_normalised: bool = False
) -> Tensor:
    """Return the complex spectrum ``(..., freq, frame)`` of ``(..., time)``, by a Hann window in the frame's middle.

    ``is_normalised``: divided by the root of ``n_fft``, so that no loss depends on its size much.
    """
    window = window or n_fft
    flat = torch.stft(
        waveform.reshape(-1, waveform.shape[-1]), n_fft, hop, window, hann(window, waveform.device, waveform.dtype),
        pad_mode="constant", normalized=is_normalised, return_complex=True,
    )  # fmt: skip
    return flat.reshape(*waveform.shape[:-1], *flat.shape[1:])


@lru_cache(maxsize=64)
def hann(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the periodic Hann window."""
    with torch.inference_mode(False):  # what validation makes under inference mode, training could not use
        return torch.hann_window(size, device=device, dtype=dtype)


def power(spectrum: Tensor, floor: float) -> Tensor:
    """Return the squared magnitudes plus a floor."""
    real, imaginary = torch.view_as_real(spectrum).unbind(dim=-1)  # a sum over this axis takes twice as long
    return torch.addcmul(real.square() + floor, imaginary, imaginary)


def bin_weights(
    spectrum: Tensor,
    sample_rate: int | None,
    bandwidth_hz: Tensor | None,
    high_weight: float = 1.0,
    high_from_hz: float = 0.0,
) -> Tensor | None:
    """Return how much each bin of ``(batch, ..., freq, frame)`` counts, ``(batch or 1, ..., freq, 1)``; None: all 1."""
    if sample_rate is None or (bandwidth_hz is None and high_weight == 1):
        return None
    n_freqs = spectrum.shape[-2]
    frequency_hz = torch.linspace(0, sample_rate / 2, n_freqs, device=spectrum.device)
    weights = torch.where(frequency_hz >= high_from_hz, high_weight, 1.0)[None]
    if bandwidth_hz is not None:
        weights = weights * (frequency_hz <= bandwidth_hz[:, None])
    return weights.to(spectrum.dtype).reshape(len(weights), *[1] * (spectrum.ndim - 3), n_freqs, 1)


def mean_over_bins(error: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted mean over bins and frames."""
    if weights is None:
        return error.mean(dim=(-2, -1))
    return ((error * weights).sum(dim=-2) / weights.sum(dim=-2)).mean(dim=-1)
