"""A layer up, 1×1, GLU, transposed convolution, ReLU, as one function with its gradient.

Both go through the time in pieces that stay in the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from resound.models.kernels.gate import gate_rows, gradient_of_gate
from resound.models.kernels.rows import GradientOfTaps, Taps, pieces


def up(x: Tensor, matrix: Tensor, gate_bias: Tensor, taps: Tensor, bias: Tensor, *, is_last: bool) -> Tensor:
    """Return rows of one stride each: ``(batch, time + tap - 1, out)`` of ``(batch, time, in)``, ``(tap, in, out)``."""
    if torch.is_grad_enabled():
        return _Up.apply(x, matrix, gate_bias, taps, bias, is_last)
    return _up(x, matrix, gate_bias, taps, bias, is_last=is_last, keep=False)[0]


def _up(
    x: Tensor, matrix: Tensor, gate_bias: Tensor, taps: Tensor, bias: Tensor, *, is_last: bool, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of a layer up, and what is between gate and convolution and, if it is to be kept, in the gate."""
    n_late, n_rows = len(taps) - 1, x.shape[1]
    parts = pieces(n_rows, x.shape[2])
    padded = x.new_empty(len(x), n_rows + 2 * n_late, x.shape[2])
    padded[:, :n_late] = padded[:, n_late + n_rows :] = 0
    gated = padded[:, n_late : n_late + n_rows]
    both = x.new_empty(*((len(x), n_rows) if keep else (1, parts[0][1])), len(gate_bias))
    for example in range(len(x)):
        for start, stop in parts:
            here = (example, slice(start, stop)) if keep else (0, slice(stop - start))
            gate_rows(x[example, start:stop], matrix, gate_bias, both[here], gated[example, start:stop])
    y = _overlap_add(padded, taps, bias)
    return (y if is_last else y.relu_()), gated, both


def _overlap_add(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """Return ``y[i] = bias + sum of x[i - j] @ taps[j]``: with zeros around `x`, a convolution."""
    y = x.new_empty(len(x), x.shape[1] - len(taps) + 1, taps.shape[-1])
    matrices = Taps(taps.unbind()[::-1], y.shape[1])
    for columns, out in zip(x, y, strict=True):
        for start, stop in pieces(len(out), x.shape[-1]):
            matrices.convolve(columns[start:], bias, out[start:stop])
    return y


class _Up(torch.autograd.Function):
    """A layer up, with its gradient: both go through the time in pieces that stay in the cache."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix: Tensor, gate_bias: Tensor, taps: Tensor, bias: Tensor, is_last: bool
    ) -> Tensor:
        y, gated, both = _up(x, matrix, gate_bias, taps, bias, is_last=is_last, keep=True)
        ctx.save_for_backward(x, matrix, taps, gated, both, None if is_last else y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix, taps, gated, both, y = ctx.saved_tensors
        n_rows, n_late = x.shape[1], len(taps) - 1
        backwards = Taps([tap.t() for tap in taps.unbind()], n_rows)
        of_x, of_taps, of_matrix = torch.empty_like(x), GradientOfTaps(backwards), torch.zeros_like(matrix)
        of_bias, of_gate_bias = matrix.new_zeros(taps.shape[2]), matrix.new_zeros(matrix.shape[1])
        for example in range(len(x)):
            for start, stop in pieces(n_rows, x.shape[2]):
                of_y = gradient[example, start : stop + n_late]
                if y is not None:
                    of_y = torch.ops.aten.threshold_backward(of_y, y[example, start : stop + n_late], 0)
                of_bias += of_y[: None if stop == n_rows else stop - start].sum(dim=0)
                of_gated = torch.empty_like(x[example, start:stop])
                backwards.convolve(of_y, None, of_gated)
                of_taps.add(of_y, gated[example, start:stop])
                of_both = torch.empty_like(both[example, start:stop])
                gradient_of_gate(of_gated, both[example, start:stop], of_both)
                of_matrix.addmm_(x[example, start:stop].t(), of_both)
                of_gate_bias += of_both.sum(dim=0)
                torch.mm(of_both, matrix.t(), out=of_x[example, start:stop])
        return of_x, of_matrix, of_gate_bias, torch.stack([tap.t() for tap in of_taps.result()]), of_bias, None
