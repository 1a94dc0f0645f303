"""Where the products by hand are used, and in which type."""

from __future__ import annotations

import torch
from torch import Tensor


def is_traced() -> bool:
    """Whether a graph is being made of the operations, for another runtime."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


def by_hand(x: Tensor) -> bool:
    """Whether they are: on processors, and where no graph is made of the operations."""
    return x.device.type == "cpu" and not is_traced()


def in_one_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors in the type that autocast has for products."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)
