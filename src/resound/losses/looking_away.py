"""Looking away above an example's bandwidth: where its target holds nothing, nothing can be learned.

Speech of 16 kHz in a set of 48 kHz ends at 8 kHz because of its file, not because of its speaker; a network that is
punished for what it adds above learns to cut there.  So both waveforms are filtered before they are compared, and
spectral losses leave out the bins above as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

EDGE_HZ = 250.0  # of the filter, below the bandwidth; above it nothing is left at all


def heard(
    estimate: Tensor, target: Tensor, sample_rate: int | None, bandwidth_hz: Tensor | None, is_filtered: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return both waveforms ``(batch, ..., time)`` without what is above the bandwidths ``(batch,)``, and those.

    The waveforms have at least single precision, so that a loss is exact under autocast.  The bandwidths are None, and
    the waveforms as they were, where all reach half the sample rate.  ``is_filtered``: all of this is done already.
    """
    if is_filtered:
        return estimate, target, bandwidth_hz
    estimate, target = _single(estimate), _single(target)
    bandwidth_hz = limited(bandwidth_hz, sample_rate, estimate.device)
    if bandwidth_hz is None or sample_rate is None:
        return estimate, target, None
    return (
        _low_passed(estimate, bandwidth_hz, sample_rate),
        _low_passed(target, bandwidth_hz, sample_rate),
        bandwidth_hz,
    )


def limited(bandwidth_hz: Tensor | None, sample_rate: int | None, device: torch.device) -> Tensor | None:
    """Return the bandwidths ``(batch,)`` on a device, None where all reach half the sample rate.

    A bandwidth of 0 is that of silence, which has none that could be measured: everything counts.
    """
    if bandwidth_hz is None:
        return None
    if sample_rate is None:
        raise ValueError("bandwidth_hz is given without sample_rate; give both")
    if bandwidth_hz.ndim != 1:
        raise ValueError(f"bandwidth_hz is (batch,), not {tuple(bandwidth_hz.shape)}")
    nyquist_hz = sample_rate / 2
    bandwidth_hz = torch.where(bandwidth_hz > 0, bandwidth_hz.float(), nyquist_hz)
    # Asked where the tensor is: one on the host does not make the host wait for the device.
    return None if bool((bandwidth_hz >= nyquist_hz).all()) else bandwidth_hz.to(device)


def _single(waveform: Tensor) -> Tensor:
    return waveform.float() if waveform.dtype in (torch.float16, torch.bfloat16) else waveform


def _low_passed(waveform: Tensor, bandwidth_hz: Tensor, sample_rate: int) -> Tensor:
    """Return the waveform without what is above, with a raised-cosine edge below."""
    n_samples, nyquist_hz = waveform.shape[-1], sample_rate / 2
    frequency_hz = torch.linspace(0, 1, n_samples // 2 + 1, device=waveform.device) * (
        nyquist_hz * (n_samples // 2 * 2) / n_samples  # an odd number of samples has no bin at half the sample rate
    )
    top_hz = bandwidth_hz[:, None]
    edge_hz = (top_hz / 2).clamp_max(EDGE_HZ)
    gain = 0.5 + 0.5 * torch.cos(torch.pi * ((frequency_hz - top_hz) / edge_hz + 1).clamp(0, 1))
    gain = torch.where(top_hz >= nyquist_hz, 1.0, gain).to(waveform.dtype)  # (batch, freq)
    gain = gain.reshape(len(gain), *[1] * (waveform.ndim - 2), -1)
    return torch.fft.irfft(torch.fft.rfft(waveform) * gain, n_samples)
