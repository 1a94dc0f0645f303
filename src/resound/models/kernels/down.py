"""A layer down, convolution with a stride, ReLU, 1×1, GLU, as one function with its gradient.

Both go through the time in pieces that stay in the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from resound.models.kernels.gate import gate_rows, gradient_of_gate
from resound.models.kernels.rows import GradientOfTaps, Taps, pieces


def down(rows: Tensor, taps: Tensor, bias: Tensor, matrix: Tensor, gate_bias: Tensor) -> Tensor:
    """Return ``(batch, row - tap + 1, out)`` of rows of one stride each ``(batch, row, in)`` and ``(tap, in, out)``."""
    if torch.is_grad_enabled():
        return _Down.apply(rows, taps, bias, matrix, gate_bias)
    return _down(rows, taps, bias, matrix, gate_bias, keep=False)[0]


def _down(
    rows: Tensor, taps: Tensor, bias: Tensor, matrix: Tensor, gate_bias: Tensor, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer down, and what is between convolution and gate and in the gate, whole if it is to be kept."""
    n_rows = rows.shape[1] - len(taps) + 1
    parts = pieces(n_rows, len(bias))
    shape = (len(rows), n_rows) if keep else (1, parts[0][1])
    y, x, both = (
        rows.new_empty(len(rows), n_rows, len(bias)),
        *(rows.new_empty(*shape, len(b)) for b in (bias, gate_bias)),
    )
    matrices = Taps(taps.unbind(), n_rows)
    for example in range(len(rows)):
        for start, stop in parts:
            here = (example, slice(start, stop)) if keep else (0, slice(stop - start))
            matrices.convolve(rows[example, start:], bias, x[here])
            gate_rows(x[here].relu_(), matrix, gate_bias, both[here], y[example, start:stop])
    return y, x, both


class _Down(torch.autograd.Function):
    """A layer down, with its gradient: both go through the time in pieces that stay in the cache."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, taps: Tensor, bias: Tensor, matrix: Tensor, gate_bias: Tensor) -> Tensor:
        y, x, both = _down(rows, taps, bias, matrix, gate_bias, keep=True)
        ctx.save_for_backward(rows, taps, matrix, x, both)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, taps, matrix, x, both = ctx.saved_tensors
        n_rows, n_late = x.shape[1], len(taps) - 1
        parts = pieces(n_rows, x.shape[2])
        of_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        of_taps, of_matrix = GradientOfTaps(Taps(taps.unbind(), n_rows)), torch.zeros_like(matrix)
        of_bias, of_gate_bias = matrix.new_zeros(len(matrix)), matrix.new_zeros(matrix.shape[1])
        backwards = Taps([tap.t() for tap in taps.unbind()[::-1]], n_rows) if of_rows is not None else None
        for example in range(len(rows)):
            of_x = x.new_zeros(parts[0][1] + 2 * n_late, x.shape[2])  # of a piece, with the rows before and after it
            for start, stop in parts:
                piece, n_new = x[example, start:stop], stop - start
                of_both = torch.empty_like(both[example, start:stop])
                gradient_of_gate(gradient[example, start:stop], both[example, start:stop], of_both)
                of_matrix.addmm_(piece.t(), of_both)
                of_gate_bias += of_both.sum(dim=0)
                of_piece = of_x[n_late : n_late + n_new]
                of_piece.copy_(torch.ops.aten.threshold_backward(of_both @ matrix.t(), piece, 0))
                of_bias += of_piece.sum(dim=0)
                of_taps.add(rows[example, start:], of_piece)
                if of_rows is not None and backwards is not None:
                    if stop == n_rows:  # what the last rows are in, too
                        of_x[n_late + n_new : n_new + 2 * n_late] = 0
                        stop += n_late
                    backwards.convolve(of_x, None, of_rows[example, start:stop])
                    of_x[:n_late] = of_x[n_new : n_new + n_late].clone()
        return of_rows, torch.stack(of_taps.result()), of_bias, of_matrix, of_gate_bias
