"""Recurrent layers as the one node that ONNX has for each: torch's own export writes every step out.

The node runs a stretch of any length, and a stretch of one frame as quickly as onnxruntime can.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from resound.models.band_rnn import LinearNorm
from resound.models.timbre import WeightNorm

OPSET = 20
GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}  # torch's gates in ONNX's order: z r n, and i o f g


def with_onnx_nodes(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose GRU and LSTM layers are ONNX nodes; it can be exported and not run.

    Weights that are made of others (a gain and a direction) are made, and norms of batches are part of the weights
    before them.
    """
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        if isinstance(module, WeightNorm):
            with torch.no_grad():
                module.fold()
        if isinstance(module, LinearNorm):
            assert isinstance(module.norm, nn.BatchNorm1d)
            module.linear, module.norm = fuse_linear_bn_eval(module.linear, module.norm), nn.Identity()
        for name, child in module.named_children():
            if isinstance(child, nn.GRU | nn.LSTM):
                setattr(module, name, Recurrent(child))
    return network


class Recurrent(nn.Module):
    """What an `nn.GRU` or `nn.LSTM` is in a graph; its calls are theirs."""

    def __init__(self, layers: nn.GRU | nn.LSTM) -> None:
        super().__init__()
        for name, parameter in layers.named_parameters():
            self.register_parameter(name, parameter)  # by their names, for networks that look at them
        self.kind, self.batch_first = type(layers).__name__, layers.batch_first
        self.hidden_size, self.num_layers = layers.hidden_size, layers.num_layers
        self.n_directions = 2 if layers.bidirectional else 1

    def forward(self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, object]:
        """Return what the layers return for ``(batch, frame, in)``, or ``(frame, batch, in)`` as they were told."""
        x = x.transpose(0, 1) if self.batch_first else x
        ends: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            x, *end = self._node(layer, x, self._of_layer(layer, state))
            ends.append(end)
        after = tuple(torch.cat(each) for each in zip(*ends, strict=True))
        return x.transpose(0, 1) if self.batch_first else x, after[0] if self.kind == "GRU" else after

    def _of_layer(self, layer: int, state: Tensor | tuple[Tensor, Tensor] | None) -> list[Tensor]:
        """Return the state of one layer, ``(direction, batch, hidden)`` each."""
        if state is None:
            return []
        of_all = [state] if isinstance(state, Tensor) else list(state)
        first = layer * self.n_directions
        return [each[first : first + self.n_directions] for each in of_all]

    def _node(self, layer: int, x: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        """Return ``(frame, batch, direction · hidden)`` of one layer, and its state after the last frame."""
        n_frames, n_batch, _ = x.shape
        n_directions, hidden = self.n_directions, self.hidden_size
        bias = torch.cat([self._gates("bias_ih", layer), self._gates("bias_hh", layer)], dim=1)
        end = (n_directions, n_batch, hidden)
        ends = [end] * (1 if self.kind == "GRU" else 2)
        y, *after = torch.onnx.ops.symbolic_multi_out(
            self.kind,
            (
                x,
                self._gates("weight_ih", layer),
                self._gates("weight_hh", layer),
                bias,
                *([None] if state else []),
                *state,
            ),
            attrs={
                "hidden_size": hidden,
                "direction": "bidirectional" if n_directions == 2 else "forward",
                **({"linear_before_reset": 1} if self.kind == "GRU" else {}),
            },
            dtypes=(x.dtype,) * (1 + len(ends)),
            shapes=((n_frames, n_directions, n_batch, hidden), *ends),
            version=OPSET,
        )
        return y.transpose(1, 2).flatten(2), *after

    def _gates(self, name: str, layer: int) -> Tensor:
        """Return a parameter ``(direction, gate · hidden, ...)`` with its gates in ONNX's order."""
        marks = ("", "_reverse")[: self.n_directions]
        directions = []
        for mark in marks:
            gates = getattr(self, f"{name}_l{layer}{mark}").detach().chunk(len(GATES[self.kind]))
            directions.append(torch.cat([gates[index] for index in GATES[self.kind]]))
        return torch.stack(directions)
