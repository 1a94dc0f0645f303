"""A 1×1 convolution with a GLU, and its gradient, of rows that stay in the cache."""

from __future__ import annotations

import torch
from torch import Tensor


def gate_rows(rows: Tensor, matrix: Tensor, bias: Tensor, both: Tensor, out: Tensor) -> None:
    """Write the values and the sigmoids that they are gated with to `both`, and their product to `out`."""
    torch.addmm(bias, rows, matrix, out=both)
    values, gates = both.chunk(2, dim=-1)
    torch.mul(values, gates.sigmoid_(), out=out)


def gradient_of_gate(of_out: Tensor, both: Tensor, of_both: Tensor) -> None:
    """Write the gradient of what `gate_rows` wrote to `both`, before the sigmoid, to `of_both`."""
    (values, gates), (of_values, of_gates) = both.chunk(2, dim=-1), of_both.chunk(2, dim=-1)
    torch.mul(of_out, gates, out=of_values)
    torch.mul(of_values, values, out=of_gates)
    of_gates.mul_(1 - gates)  # the slope of a sigmoid g is g (1 - g)
