"""The timbre generator written down plainly: grouped convolutions over (batch, channel, frame), torch's weight norm."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from peers.case import Case
from resound.models import build
from resound.models.network import Network


class Causal(nn.Module):
    """A convolution that sees the past alone; the past comes in and goes out."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(n_in, n_out, kernel, stride, groups=groups, bias=False))
        self.past = kernel - 1

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        past = x.new_zeros(*x.shape[:2], self.past) if past is None else past
        x = torch.cat([past, x], dim=-1)
        return self.conv(x), x[..., x.shape[-1] - self.past :]


class Plain(nn.Module):
    """Layer after layer; each keeps its past in a list."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, widths, kernel = config, config.widths, config.kernel
        self.enter = Causal(config.n_channels, widths[0], kernel, config.strides[0])
        levels = list(zip(widths[:-1], widths[1:], config.strides[1:], strict=True))
        self.down = nn.ModuleList(Causal(narrow, narrow, kernel, stride, narrow) for narrow, _, stride in levels)
        self.wider = nn.ModuleList(Causal(narrow, wide, 1) for narrow, wide, _ in levels)
        self.gru = nn.GRU(widths[-1], widths[-1], config.gru_layers, batch_first=True)
        self.narrower = nn.ModuleList(Causal(wide, narrow, 1) for narrow, wide, _ in reversed(levels))
        self.up = nn.ModuleList(Causal(narrow, narrow, kernel, 1, narrow) for narrow, _, _ in reversed(levels))
        self.leave = weight_norm(nn.ConvTranspose1d(widths[0], 1, kernel, config.strides[0], bias=False), dim=2)

    def init_state(self, batch_size: int) -> list[Any]:
        return [None] * (3 + 2 * len(self.down))

    def forward(self, x: Tensor) -> Tensor:
        n_samples = x.shape[-1]
        x = functional.pad(x, (0, -n_samples % math.prod(self.config.strides)))
        return self.step(x, self.init_state(len(x)))[0][..., :n_samples]

    def step(self, waveform: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        state, left, skips = [], list(state), []
        x, past = self.enter(waveform, left.pop(0))
        state.append(past)
        x = functional.leaky_relu(x, 0.2)
        for down, wider in zip(self.down, self.wider, strict=True):
            skips.append(x)
            x, past = down(x, left.pop(0))
            state.append(past)
            x = functional.leaky_relu(wider(x, None)[0], 0.2)
        frames = x.transpose(1, 2)
        rms = (frames.square().mean(dim=-1, keepdim=True) + 1e-16).sqrt()
        out, hidden = self.gru(frames / rms, left.pop(0))
        state.append(hidden)
        x = (frames + out * rms).transpose(1, 2)
        strides = reversed(self.config.strides[1:])
        for narrower, up, stride in zip(self.narrower, self.up, strides, strict=True):
            x = narrower(x, None)[0].repeat_interleave(stride, dim=-1)
            x, past = up(x, left.pop(0))
            state.append(past)
            x = functional.leaky_relu(x + skips.pop(), 0.2)
        correction, overlap = self.leave(x), left.pop(0)
        if overlap is not None:
            correction[..., : overlap.shape[-1]] += overlap
        n_samples = waveform.shape[-1]
        state.append(correction[..., n_samples:])
        return waveform[:, :1] + correction[..., :n_samples], state


def copy_weights(ours: Any, plain: Plain) -> None:
    """Give the plain network our weights."""

    def copy(convolution: nn.Module, part: Any, shape: tuple[int, ...]) -> None:
        convolution.weight = part.weight().detach().reshape(shape)

    config = ours.config
    width, kernel = config.widths[0], config.kernel
    copy(plain.enter.conv, ours.enter, (width, config.n_channels, kernel))
    plain.leave.weight = ours.leave.weight().detach().t().reshape(width, 1, kernel)
    pairs = [(plain.down, plain.wider, ours.down), (plain.up, plain.narrower, ours.up)]
    for depthwise, pointwise, levels in pairs:
        for one, other, level in zip(depthwise, pointwise, levels, strict=True):
            copy(one.conv, level.depthwise, (-1, 1, kernel))
            copy(other.conv, level.pointwise, (*level.pointwise.direction.shape, 1))
    plain.gru.load_state_dict(ours.gru.state_dict())


def cases() -> list[Case]:
    """Return the shipped size."""

    def built() -> tuple[Network, nn.Module]:
        torch.manual_seed(0)
        ours = build("timbre").eval()
        plain = Plain(ours.config).eval()
        copy_weights(ours, plain)
        return ours, plain

    return [Case("Timbre", built, frame_samples=480, training=(2, 2.0))]
