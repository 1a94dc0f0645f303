"""The norms of `resound.models.kernels.normalise` for a stream: what was summed so far goes in and comes out.

The frames of a step are few, so what counts is the number of operations and not the work in them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from resound.models.kernels.normalise import EPS, Norm, moments
from resound.models.kernels.when import is_traced


class Clock:
    """Where in a stream some frames are, and what all norms of one step need to know."""

    def __init__(self, n_before: Tensor, n_frames: int) -> None:
        counts = n_before + torch.arange(1, n_frames + 1, device=n_before.device)
        self.end = n_before + n_frames
        self.in_place = not torch.is_grad_enabled() and not is_traced()
        # (frame, 1) zero for those before the first sample; None when there are none, which spares a few operations.
        self.exists = None if not is_traced() and int(n_before) >= 0 else (counts > 0).float().unsqueeze(-1)
        self.floor = torch.tensor([0, EPS], dtype=torch.float64, device=n_before.device).view(2, 1, 1, 1)
        self._n_so_far = counts.clamp(min=1).double().unsqueeze(-1)  # (frame, 1) each included
        self._n_values: dict[int, Tensor] = {}

    def n_values(self, n_channels: int) -> Tensor:
        """Return how many values of that many channels there have been, at each frame: (frame, 1)."""
        if n_channels not in self._n_values:
            self._n_values[n_channels] = n_channels * self._n_so_far
        return self._n_values[n_channels]


def no_sums(like: Tensor, batch_size: int) -> Tensor:
    """Return the sums before the first frame."""
    return torch.zeros(2, batch_size, 1, 1, dtype=torch.float64, device=like.device)


def normalise_on(
    p: Tensor, gain: Tensor, bias: Tensor, kind: Norm, sums: Tensor, clock: Clock
) -> tuple[Tensor, Tensor]:
    """Return the next frames of a stream normalised, with gain and bias, and the sums so far: ``(2, batch, 1, 1)``."""
    if kind == "channel":
        return functional.layer_norm(p, p.shape[-1:], gain.to(p.dtype), bias.to(p.dtype), EPS), sums
    of_each = moments(p)
    if clock.exists is not None:
        of_each = of_each * clock.exists
    sums = of_each.cumsum(dim=2, dtype=torch.float64) + sums
    mean, power = torch.addcdiv(clock.floor, sums, clock.n_values(p.shape[-1])).unbind()
    scale = torch.addcmul(power, mean, mean, value=-1).clamp_(min=EPS).rsqrt_()
    m = (p - mean.to(p.dtype)).mul_(scale.to(p.dtype))
    return torch.addcmul(bias, m, gain), sums.narrow(2, -1, 1)


def prelu_on(a: Tensor, slope: Tensor, clock: Clock) -> Tensor:
    """Return the PReLU of a tensor that nobody else holds, in its place where that is possible."""
    return functional.leaky_relu_(a, float(slope)) if clock.in_place else torch.prelu(a, slope.to(a.dtype))
