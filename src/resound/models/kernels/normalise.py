"""PReLU and norm as one function, which keeps one tensor for its gradient instead of several.

Everything is ``(batch, frame, channel)``.  Sums over channels are float32, those over frames float64: over ten minutes
of frames float32 would stop growing.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from resound.models.kernels.when import is_traced

EPS = 1e-8
Norm = Literal["global", "cumulative", "channel"]  # over all frames, those so far, or each by itself


def normalise(a: Tensor, slope: Tensor | None, gain: Tensor | None, bias: Tensor | None, kind: Norm) -> Tensor:
    """Return the PReLU of ``(batch, frame, channel)`` (none without slope), normalised, with gain and bias if given.

    Without gradients `a` may be overwritten.
    """
    if torch.is_grad_enabled():  # keeps `a` as it is
        return _Normalise.apply(a, slope, gain, bias, kind)
    p = prelu_of_own(a, slope)
    mean, scale = statistics(_sums_over(moments(p), kind), _n_values(p, kind))
    return standardise(p, mean, scale, gain, bias, in_place=slope is not None)


class _Normalise(torch.autograd.Function):
    """`normalise` that keeps its input alone for the gradient and makes the rest again.

    With S and Q the sums of p and p² over n values, mean μ = S / n, v = Q / n - μ² and r = (v + eps)^-1/2, the output
    is r (p - μ).  So dL/dp = r g + A + 2 B p, where A and B sum dL/dS and dL/dQ of every frame whose norm saw this
    one: all, those that follow, or itself.
    """

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, slope: Tensor | None, gain: Tensor | None, bias: Tensor | None, kind: Norm
    ) -> Tensor:
        p = _prelu(a, slope)
        mean, scale = statistics(_sums_over(moments(p), kind), _n_values(p, kind))
        ctx.save_for_backward(a, slope, gain, mean, scale)
        ctx.kind = kind
        return standardise(p, mean, scale, gain, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, slope, gain, mean, scale = ctx.saved_tensors
        p, grad = _prelu(a, slope), grad.contiguous()
        product = grad * p
        d_gain = d_bias = None
        if gain is None:
            g_sum, g_product = grad.sum(dim=-1), product.sum(dim=-1)
            d = torch.mul(grad, scale.to(p.dtype), out=product)
        else:
            gain = gain.to(p.dtype)
            g_sum, g_product = grad @ gain, product @ gain
            d_gain, d_bias = _gradient_of_gain(grad, product, mean, scale)
            d = torch.mul(grad, gain, out=product).mul_(scale.to(p.dtype))
        d_sum, d_power = _gradient_of_sums(
            torch.stack([g_sum, g_product]), mean, scale, _n_values(p, ctx.kind), ctx.kind
        )
        d.add_((p * (2 * d_power).to(p.dtype)).add_(d_sum.to(p.dtype)))
        if slope is None:
            return d, None, d_gain, d_bias, None
        d_a, d_slope = _gradient_of_prelu(d, a, slope)
        return d_a, d_slope, d_gain, d_bias, None


def _gradient_of_gain(grad: Tensor, product: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return dL/d gain and dL/d bias, where `product` is that of `grad` and p."""
    rows = scale.to(grad.dtype).expand(*grad.shape[:2], 1).reshape(1, -1)
    shift = (mean * scale).to(grad.dtype).expand(*grad.shape[:2], 1).reshape(1, -1)
    # Sums over frames as products with a row: each tensor is read once.
    d_gain = (rows @ product.flatten(0, 1) - shift @ grad.flatten(0, 1))[0]
    return d_gain, grad.sum(dim=(0, 1))


def _gradient_of_sums(
    g_sums: Tensor, mean: Tensor, scale: Tensor, n_values: Tensor | int, kind: Norm
) -> tuple[Tensor, Tensor]:
    """Return A and B, (batch, frame or 1, 1) each, of the sums over channels of g and g p: (2, batch, frame)."""
    g_sums = g_sums.double()
    if kind == "global":
        g_sums = g_sums.sum(dim=-1, keepdim=True)
    g_sum, g_product = g_sums.unsqueeze(-1)
    d_variance = -0.5 * scale**3 * (g_product - mean * g_sum)
    d_mean = -scale * g_sum - 2 * mean * d_variance
    d_sum, d_power = d_mean / n_values, d_variance / n_values
    if kind == "cumulative":
        d_sum, d_power = (d.flip(1).cumsum(dim=1).flip(1) for d in (d_sum, d_power))
    return d_sum, d_power


def _gradient_of_prelu(d: Tensor, a: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return dL/da and dL/d slope of the gradient `d` of p, which is overwritten."""
    # The gradient of torch's PReLU, and torch.where, take ten times as long as that of a ReLU.
    above = torch.ops.aten.threshold_backward(d, a, 0)
    below = d.sub_(above)
    d_slope = torch.dot(below.flatten(), a.flatten()).reshape(1)
    return above.add_(below.mul_(slope.to(a.dtype))), d_slope


def prelu_of_own(a: Tensor, slope: Tensor | None) -> Tensor:
    """Return the PReLU of a tensor that nobody else holds, in its place where that is possible."""
    if slope is None or torch.is_grad_enabled() or is_traced() or a.is_meta:
        return _prelu(a, slope)
    return functional.leaky_relu_(a, float(slope))  # fresh memory costs more than the work in it


def _prelu(a: Tensor, slope: Tensor | None) -> Tensor:
    return a if slope is None else torch.prelu(a, slope.to(a.dtype))


def moments(p: Tensor) -> Tensor:
    """Return sum and power over channels: (2, batch, frame, 1)."""
    dtype = torch.promote_types(p.dtype, torch.float32)
    power = torch.linalg.vector_norm(p, dim=-1, keepdim=True, dtype=dtype)
    return torch.stack([p.sum(dim=-1, keepdim=True, dtype=dtype), power.square()])


def _sums_over(moments: Tensor, kind: Norm) -> Tensor:
    """Return the sums over what the norm of each frame sees, in float64: all frames, those so far, or itself."""
    if kind == "global":
        return moments.sum(dim=2, keepdim=True, dtype=torch.float64)
    return moments.cumsum(dim=2, dtype=torch.float64) if kind == "cumulative" else moments.double()


def _n_values(p: Tensor, kind: Norm) -> Tensor | int:
    """Return how many values are in each of those sums: (frame, 1) or one number."""
    n_frames, n_channels = p.shape[1:]
    if kind == "cumulative":
        return n_channels * torch.arange(1, n_frames + 1, dtype=torch.float64, device=p.device).unsqueeze(-1)
    return n_channels * n_frames if kind == "global" else n_channels


def statistics(sums: Tensor, n_values: Tensor | int) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / standard deviation of sums and powers: (batch, frame or 1, 1) each."""
    mean, power = (sums / n_values).unbind(0)
    return mean, torch.addcmul(power, mean, mean, value=-1).clamp(min=0).add_(EPS).rsqrt_()


def standardise(
    p: Tensor, mean: Tensor, scale: Tensor, gain: Tensor | None, bias: Tensor | None, *, in_place: bool = False
) -> Tensor:
    """Return gain · scale · (p - mean) + bias, in the place of p if that is allowed."""
    mean, scale = mean.to(p.dtype), scale.to(p.dtype)
    m = (p.sub_(mean) if in_place else p - mean).mul_(scale)
    if gain is None or bias is None:
        return m
    gain, bias = gain.to(m.dtype), bias.to(m.dtype)
    return m.mul_(gain).add_(bias) if in_place else torch.addcmul(bias, m, gain)
