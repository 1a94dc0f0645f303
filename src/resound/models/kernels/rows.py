"""Convolutions with a stride as matrix products, and their gradient.

A tensor ``(batch, time, channel)``, seen as rows of one stride each, makes of a convolution whose kernel is a few
strides long, and of its transposed form, a few matrix products without a copy: row i of the output is the sum of
``rows[i + j] @ taps[j]``.  With two taps, three products for two rows take the place of four.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ROWS_IN_CACHE = 4096 * 48  # values of a layer that are worked on at a time
NARROW, FEW_ROWS = 48, 128  # smaller products are not worth being saved, see `Taps`


class Taps:
    """The matrices of a convolution on rows: ``y[i] = sum of rows[i + j] @ taps[j]``, and its gradient.

    With two taps, two rows of output need three products instead of four, since with d = rows[i] - rows[i + 1]::

        y[0] = d[0] @ taps[0] + rows[1] @ (taps[0] + taps[1])
        y[1] = rows[1] @ (taps[0] + taps[1]) - d[1] @ taps[1]

    (Winograd's F(2, 2); it costs one bit of precision.)
    """

    def __init__(self, taps: Sequence[Tensor], n_rows: int) -> None:
        self.taps = taps
        self.in_pairs = len(taps) == 2 and min(taps[0].shape) >= NARROW and n_rows >= FEW_ROWS
        self.both = taps[0] + taps[1] if self.in_pairs else None

    def convolve(self, rows: Tensor, bias: Tensor | None, out: Tensor) -> None:
        """Write what the rows of `out` are."""
        n_rows = len(out)
        if self.both is not None and n_rows > 1:
            n_rows -= n_rows % 2
            differences = rows[:n_rows] - rows[1 : n_rows + 1]
            shared = _product(rows[1 : n_rows + 1 : 2], self.both, bias)
            pairs = out[:n_rows].unflatten(0, (-1, 2))
            pairs.copy_(shared.unsqueeze(1))
            pairs[:, 0].addmm_(differences[::2], self.taps[0])
            pairs[:, 1].addmm_(differences[1::2], self.taps[1], alpha=-1)
            rows, out = rows[n_rows:], out[n_rows:]
        if len(out):
            _product(rows[: len(out)], self.taps[0], bias, out)
            for j, tap in enumerate(self.taps[1:], start=1):
                out.addmm_(rows[j : j + len(out)], tap)


class GradientOfTaps:
    """Sums ``rows[i + j]ᵀ @ y[i]`` over i for each tap j, piece by piece, in pairs as `Taps` does."""

    def __init__(self, taps: Taps) -> None:
        self.taps = [torch.zeros_like(tap) for tap in taps.taps]
        self.both = torch.zeros_like(taps.taps[0]) if taps.in_pairs else None

    def add(self, rows: Tensor, y: Tensor) -> None:
        """Take the products of another piece."""
        n_rows = len(y)
        if self.both is not None and n_rows > 1:
            n_rows -= n_rows % 2
            differences = rows[:n_rows] - rows[1 : n_rows + 1]
            self.taps[0].addmm_(differences[::2].t(), y[:n_rows:2])
            self.taps[1].addmm_(differences[1::2].t(), y[1:n_rows:2], alpha=-1)
            self.both.addmm_(rows[1 : n_rows + 1 : 2].t(), y[:n_rows:2] + y[1:n_rows:2])
            rows, y = rows[n_rows:], y[n_rows:]
        if len(y):
            for j, tap in enumerate(self.taps):
                tap.addmm_(rows[j : j + len(y)].t(), y)

    def result(self) -> list[Tensor]:
        """Return the gradient of each tap."""
        return self.taps if self.both is None else [tap + self.both for tap in self.taps]


def _product(rows: Tensor, matrix: Tensor, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    return torch.mm(rows, matrix, out=out) if bias is None else torch.addmm(bias, rows, matrix, out=out)


def pieces(n_rows: int, width: int) -> list[tuple[int, int]]:
    """Return where pieces that stay in the cache begin and end."""
    size = max(ROWS_IN_CACHE // width // 2 * 2, 2)  # even, for the pairs of `Taps`
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def laid_out(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """Return the tensor with its axes in memory in the given order."""
    inverse = sorted(range(len(order)), key=lambda axis: order[axis])
    return tensor.permute(order).contiguous().permute(inverse)
