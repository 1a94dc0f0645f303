"""The norms of `resound.models.kernels.normalise` for a stream: what was summed so far goes in and comes out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from resound.models.kernels.normalise import EPS, Norm, moments, prelu_of_own, standardise, statistics
from resound.models.layers import is_traced


class Clock:
    """Where in a stream some frames are."""

    def __init__(self, n_before: Tensor, n_frames: int) -> None:
        counts = n_before + torch.arange(1, n_frames + 1, device=n_before.device)
        self.end = n_before + n_frames
        self._n_so_far = counts.clamp(min=1).double().unsqueeze(-1)  # (frame, 1) each included
        self._n_values: dict[int, Tensor] = {}
        # (frame, 1) zero for those before the first sample; None when there are none, which spares a few operations.
        self.exists = None if not is_traced() and int(n_before) >= 0 else (counts > 0).float().unsqueeze(-1)

    def n_values(self, n_channels: int) -> Tensor:
        """Return how many values of that many channels there have been, at each frame: (frame, 1)."""
        if n_channels not in self._n_values:
            self._n_values[n_channels] = n_channels * self._n_so_far
        return self._n_values[n_channels]


def no_sums(like: Tensor, batch_size: int) -> Tensor:
    """Return the sums before the first frame."""
    return torch.zeros(2, batch_size, 1, 1, dtype=torch.float64, device=like.device)


def normalise_on(
    a: Tensor, slope: Tensor | None, gain: Tensor, bias: Tensor, kind: Norm, sums: Tensor, clock: Clock
) -> tuple[Tensor, Tensor]:
    """Return what `normalise` does for the next frames of a stream, and the sums so far: ``(2, batch, 1, 1)``.

    Without gradients `a` may be overwritten.
    """
    p = prelu_of_own(a, slope)
    if kind == "channel":
        return functional.layer_norm(p, p.shape[-1:], gain.to(p.dtype), bias.to(p.dtype), EPS), sums
    of_each = moments(p)
    if clock.exists is not None:
        of_each = of_each * clock.exists
    sums = of_each.cumsum(dim=2, dtype=torch.float64) + sums
    mean, scale = statistics(sums, clock.n_values(p.shape[-1]))
    return standardise(p, mean, scale, gain, bias), sums[:, :, -1:]
