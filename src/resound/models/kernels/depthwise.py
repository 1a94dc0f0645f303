"""A dilated depthwise convolution as a few shifted products, a tenth of the time of torch's grouped convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from resound.models.kernels.when import is_traced


def depthwise(n: Tensor, taps: Tensor, bias: Tensor, dilation: int, before: int) -> Tensor:
    """Return each channel of ``(batch, frame, channel)`` convolved with its taps ``(tap, channel)``, zeros outside.

    Tap j of frame t sees frame ``t + j * dilation - before``; the number of frames stays.
    """
    if torch.is_grad_enabled():
        return _Depthwise.apply(n, taps, bias, dilation, before)
    taps, bias = taps.to(n.dtype), bias.to(n.dtype)
    if is_traced():  # of any length, and what runs graphs is good at convolutions
        padded = functional.pad(n.transpose(1, 2), (before, (len(taps) - 1) * dilation - before))
        kernels = taps.t().unsqueeze(1)
        return functional.conv1d(padded, kernels, bias, dilation=dilation, groups=len(bias)).transpose(1, 2)
    return _convolve(n, taps, bias, dilation, before)


def _convolve(n: Tensor, taps: Tensor, bias: Tensor, dilation: int, before: int) -> Tensor:
    here = before // dilation  # the tap that sees the frame itself
    out = torch.addcmul(bias, n, taps[here])
    for tap, to, source in _spans(n.shape[1], len(taps), dilation, before):
        if tap != here:
            out[:, to].addcmul_(n[:, source], taps[tap])
    return out


def _spans(n_frames: int, n_taps: int, dilation: int, before: int) -> list[tuple[int, slice, slice]]:
    """Return each tap that reaches any frame, the frames it adds to and those it takes from."""
    spans = []
    for tap in range(n_taps):
        offset = tap * dilation - before
        if abs(offset) < n_frames:
            to = slice(max(0, -offset), n_frames - max(0, offset))
            spans.append((tap, to, slice(to.start + offset, to.stop + offset)))
    return spans


class _Depthwise(torch.autograd.Function):
    """`depthwise`, whose gradient shifts the other way."""

    @staticmethod
    def forward(ctx: Any, n: Tensor, taps: Tensor, bias: Tensor, dilation: int, before: int) -> Tensor:
        ctx.save_for_backward(n, taps)
        ctx.places = dilation, before
        return _convolve(n, taps.to(n.dtype), bias.to(n.dtype), dilation, before)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        n, taps = ctx.saved_tensors
        d_n, d_taps = torch.zeros_like(n), torch.zeros_like(taps)
        for tap, to, source in _spans(n.shape[1], len(taps), *ctx.places):
            d_n[:, source].addcmul_(grad[:, to], taps[tap].to(n.dtype))
            d_taps[tap] = (grad[:, to] * n[:, source]).sum(dim=(0, 1))
        return d_n, d_taps, grad.sum(dim=(0, 1)), None, None
