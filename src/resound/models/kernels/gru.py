"""GRU layers whose training on a processor does not wait for memory.

torch adds the gradient of the recurrent matrix up frame by frame, and so reads and writes the whole of it for every
frame.  Here the gradients of all gates are kept, and the matrix's is one product of them with the states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def gru(layers: nn.GRU, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return what ``layers(x, state)`` does: ``(batch, frame, out)`` and ``(layer, batch, out)``.

    The layers run one way, with biases and the batch first.
    """
    by_hand = torch.is_grad_enabled() and x.device.type == "cpu" and x.dtype == layers.weight_ih_l0.dtype
    if not by_hand or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return layers(x, state)
    ends = []
    for layer in range(layers.num_layers):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        x = _Layer.apply(x, state[layer], *(getattr(layers, f"{name}_l{layer}") for name in names))
        ends.append(x[:, -1])
    return x, torch.stack(ends)


class _Layer(torch.autograd.Function):
    """One layer.  With gates r, z, n and c = W h + b of the candidate:

    r, z = sigmoid(...); n = tanh(i + r c); h' = n + z (h - n).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, w_in: Tensor, w: Tensor, b_in: Tensor, b: Tensor) -> Tensor:
        width, turned = w.shape[1], w.t()
        inputs = torch.addmm(b_in, x.transpose(0, 1).flatten(0, 1), w_in.t()).unflatten(0, (x.shape[1], x.shape[0]))
        gates = inputs.new_empty(*inputs.shape[:2], 2 * width)
        news, candidates = inputs.new_empty(2, *inputs.shape[:2], width)
        states = x.new_empty(len(inputs) + 1, x.shape[0], width)
        states[0] = start
        for t, given in enumerate(inputs):
            h = states[t]
            own = torch.addmm(b, h, turned)
            rz = torch.sigmoid(torch.add(given[:, : 2 * width], own[:, : 2 * width]), out=gates[t])
            candidates[t] = own[:, 2 * width :]
            n = torch.tanh(torch.addcmul(given[:, 2 * width :], rz[:, :width], candidates[t]), out=news[t])
            torch.lerp(n, h, rz[:, width:], out=states[t + 1])
        ctx.save_for_backward(x, w_in, w, gates, news, candidates, states)
        return states[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, w_in, w, gates, news, candidates, states = ctx.saved_tensors
        width = w.shape[1]
        r, z = gates.split(width, dim=-1)
        # What a gate's input does to the state, but for the gradient of the state, for all frames at once.
        by_new = (1 - z) * (1 - news * news)
        by_z = (states[:-1] - news) * z * (1 - z)
        by_r = by_new * candidates * r * (1 - r)
        d_own = torch.cat([by_r, by_z, by_new * r], dim=-1)
        d_inputs, d = torch.empty_like(d_own), torch.zeros_like(states[0])
        for t in range(len(news) - 1, -1, -1):
            d = d + grad[:, t]
            d_inputs[t, :, 2 * width :] = d * by_new[t]
            own = d_own[t].unflatten(-1, (3, width)).mul_(d.unsqueeze(1)).flatten(1)
            d = torch.addmm(d * z[t], own, w)
        d_inputs[..., : 2 * width] = d_own[..., : 2 * width]
        d_own, d_inputs = d_own.flatten(0, 1), d_inputs.flatten(0, 1)
        d_x = (d_inputs @ w_in).unflatten(0, (len(news), -1)).transpose(0, 1)
        d_w_in = d_inputs.t() @ x.transpose(0, 1).flatten(0, 1)
        d_w = d_own.t() @ states[:-1].flatten(0, 1)
        return d_x, d, d_w_in, d_w, d_inputs.sum(dim=0), d_own.sum(dim=0)
