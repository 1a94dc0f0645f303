"""What more than one network is made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from resound.models.kernels import fourier
from resound.models.kernels.when import is_traced


def level_until(mono: Tensor, energy: Tensor | None = None, n_before: Tensor | int = 0) -> tuple[Tensor, Tensor]:
    """Return the RMS of all samples until each, ``(batch, 1, time)``, and their energy, ``(batch, 1, 1)`` in double.

    A stream hands in the energy of the ``n_before`` samples before; the sums are those of the whole, in the same order
    but for their first term.
    """
    squares = mono.double().square().cumsum(dim=-1)
    if energy is not None:
        squares = squares + energy
    n_samples = torch.arange(1, mono.shape[-1] + 1, device=mono.device) + n_before
    # The floor is far below what floats of sound hold; it keeps the gradient at digital silence finite.
    return (squares / n_samples).clamp_min(1e-20).sqrt().to(mono.dtype), squares[..., -1:]


def level_of(waveform: Tensor, dim: tuple[int, ...] = (-1,)) -> Tensor:
    """Return the standard deviation over dimensions, which stay with a size of 1; of one sample it is 0."""
    n_values = math.prod(waveform.shape[index] for index in dim)
    exact = waveform.double() if is_traced() else waveform  # onnxruntime adds one by one: in ten seconds 1e-4 are lost
    return exact.std(dim=dim, keepdim=True, correction=1 if n_values > 1 else 0).to(waveform.dtype)


def stft(waveform: Tensor, window: Tensor, hop: int) -> Tensor:
    """Return real and imaginary parts ``(..., frame, freq, 2)`` of ``(..., time)``, whole frames only, no padding.

    A graph made for export has products instead (`resound.models.kernels.fourier`): there is no complex number in ONNX.
    """
    n_fft = len(window)
    if not is_traced():
        return torch.view_as_real(torch.fft.rfft(waveform.float().unfold(-1, n_fft, hop) * window))
    frames = _frames(waveform.float(), n_fft, hop) * window
    return fourier.rfft(frames)


def _frames(waveform: Tensor, n_fft: int, hop: int) -> Tensor:
    """Return ``(..., frame, n_fft)``, whole frames only: for a graph, in which `unfold` looks up each sample."""
    if n_fft % hop:
        return waveform.unfold(-1, n_fft, hop)
    n_hops = waveform.shape[-1] // hop
    hops = waveform[..., : n_hops * hop].unflatten(-1, (-1, hop))
    n_parts = n_fft // hop
    return torch.cat([hops[..., part : n_hops - n_parts + 1 + part, :] for part in range(n_parts)], dim=-1)


def istft(spectrum: Tensor, window: Tensor, hop: int, *, endless: bool = False) -> Tensor:
    """Return ``(..., time)`` of ``(..., frame, freq, 2)``: windowed again, added, divided by the windows' power.

    ``endless`` divides by the power that frames without a first and a last one have: the ends fade in and out.
    """
    n_fft, spectrum = len(window), spectrum.float()
    if is_traced():
        frames = fourier.irfft(spectrum, n_fft)
    else:
        frames = torch.fft.irfft(torch.view_as_complex(spectrum.contiguous()), n_fft)
    sound, power = overlap_add(frames * window, hop), window.square()
    if endless:
        power = functional.pad(power, (0, -n_fft % hop)).view(-1, hop).sum(dim=0)
        return (sound.unflatten(-1, (-1, hop)) / power).flatten(-2)
    return sound / overlap_add(power.expand(frames.shape[-2], n_fft), hop).clamp_min(1e-11)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of complex numbers whose parts are the last axis."""
    (a, b), (c, d) = left.unbind(dim=-1), right.unbind(dim=-1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=-1)


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Return ``(..., time)`` of ``(..., frame, n)``, each a hop after the one before, added up.

    Where n is no multiple of the hop, zeros fill the last one.
    """
    n_overlapping = -(-frames.shape[-1] // hop)
    frames = functional.pad(frames, (0, n_overlapping * hop - frames.shape[-1]))
    parts = frames.unflatten(-1, (n_overlapping, hop)).unbind(-2)  # (..., frame, hop) each
    sound = functional.pad(parts[0].flatten(-2), (0, (n_overlapping - 1) * hop))
    for index, part in enumerate(parts[1:], start=1):
        sound = sound + functional.pad(part.flatten(-2), (index * hop, (n_overlapping - 1 - index) * hop))
    return sound
