"""GateWave: gated convolutions down and up around a GRU; a student project's own, after gated convolutional networks.

::

    waveform ─ ÷ scale ─ down 1 ─┬─ down 2 ─┬─ down 3 ─┬─ GRU ─ linear ─ + ─ up 3 ─ + ─ up 2 ─ + ─ up 1 ─ × scale
                                 └──────────┴──────────┴───── skips ─────┴──────────┴──────────┘
    down, up:  convolution, transposed convolution (kernel 7), in which half of the channels gate the other half (GLU)

Parameters: 270,174 with the default sizes, 220,278 causal.

Its sources say: kernel 7, depth 3, widths that grow by 1.618 from 32, additive skips, a linear layer that brings the
GRU back to the width, the input divided by its standard deviation (+ 0.001).  They leave the stride open; here it is 4,
so that the GRU runs at 250 Hz for 16 kHz.  The causal form is ours: a GRU one way, convolutions that look back only,
and a scale of all samples until each one.  A stream is late by nothing but the hop of 64 samples that it waits for.
With ``residual`` (ours) what the network gives is added to the first channel of the input.

What makes it fast: the rate falls by 4 before the first wide layer; a streamed hop computes each value once.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.errors import ModelError
from resound.models.layers import level_of, level_until
from resound.models.network import Network, NetworkConfig, State


class GateWaveConfig(NetworkConfig):
    """Sizes of GateWave; the defaults are the project's."""

    hidden: int = Field(32, ge=1)
    growth: float = Field(1.618, gt=0)  # of the channels from layer to layer
    depth: int = Field(3, ge=1, le=8)
    kernel: int = Field(7, ge=1)
    stride: int = Field(4, ge=1)
    causal: bool = False  # False: the GRU runs both ways, the convolutions are centred
    normalisation: Literal["whole", "running", "none"] | None = None  # None: whole, or running when causal
    floor: float = Field(1e-3, gt=0)  # added to the scale
    residual: bool = False  # the output is the input's first channel and a correction

    @model_validator(mode="after")
    def _check(self) -> GateWaveConfig:
        if self.kernel < self.stride:
            raise ValueError(f"stride {self.stride} leaves gaps between kernels of {self.kernel}; lower it")
        if self.causal and self.normalisation == "whole":
            raise ValueError("normalisation 'whole' knows the future; with causal=true set running (or none)")
        return self

    @property
    def channels(self) -> list[int]:
        """Channels after each convolution down."""
        return [max(round(self.hidden * self.growth**level), 1) for level in range(self.depth)]


class GateWave(Network):
    """Waveform ``(batch, channel, time)`` to ``(batch, source, time)``."""

    config: GateWaveConfig

    def __init__(self, config: GateWaveConfig) -> None:
        super().__init__(config)
        widths = config.channels
        self.down = nn.ModuleList(
            nn.Conv1d(n_in, 2 * n_out, config.kernel, config.stride)
            for n_in, n_out in zip([config.n_channels, *widths[:-1]], widths, strict=True)
        )
        self.gru = nn.GRU(widths[-1], widths[-1], batch_first=True, bidirectional=not config.causal)
        self.linear = nn.Linear(widths[-1] * (1 if config.causal else 2), widths[-1])
        self.up = nn.ModuleList(  # from the GRU to the waveform
            nn.ConvTranspose1d(n_in, 2 * n_out, config.kernel, config.stride)
            for n_out, n_in in reversed([*zip([config.n_sources, *widths[:-1]], widths, strict=True)])
        )

    @property
    def looks_ahead(self) -> str:
        """The GRU and the convolutions, unless built with ``causal``: no sample depends on a later hop than its own."""
        return (
            ""
            if self.config.causal
            else "its GRU runs over time both ways, and its convolutions are centred (causal=false)"
        )

    @property
    def hop_samples(self) -> int:
        """Samples of one column of the GRU: `step` takes any multiple of it."""
        return self.config.stride**self.config.depth

    @property
    def _overlap(self) -> int:
        return self.config.kernel - self.config.stride

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        x, scale, _ = self._normalise(waveform)
        x = functional.pad(x, (0, -n_samples % self.hop_samples))
        before = self._overlap if config.causal else self._overlap // 2
        skips = []
        for down in self.down:
            x = functional.glu(down(functional.pad(x, (before, self._overlap - before))), dim=1)
            skips.append(x)
        x, _ = self._recur(x)
        for up in self.up:
            x = x + skips.pop()
            n_out = x.shape[-1] * config.stride
            first = 0 if config.causal else before
            x = functional.glu(up(x)[..., first : first + n_out], dim=1)
        return self._finish(x[..., :n_samples], scale, waveform)

    def init_state(self, batch_size: int = 1) -> State:
        """Return the state before the first sample.  Raises `ModelError` when it is not causal."""
        config, like = self.config, self.linear.weight
        if not config.causal:
            raise ModelError("GateWave: this one is not causal and cannot stream; build it with causal=true")
        widths = config.channels
        n_up = [2 * n for n in [*reversed(widths[:-1]), config.n_sources]]
        return {
            "n_samples": torch.zeros((), dtype=torch.int64, device=like.device),
            "energy": torch.zeros(batch_size, 1, 1, dtype=torch.float64, device=like.device),
            "down": tuple(like.new_zeros(batch_size, n, self._overlap) for n in [config.n_channels, *widths[:-1]]),
            "hidden": like.new_zeros(1, batch_size, widths[-1]),
            "up": tuple(like.new_zeros(batch_size, n, self._overlap) for n in n_up),
        }

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the samples of these hops, late by none: ``(batch, source, time)`` for ``(batch, channel, time)``.

        The time is any multiple of ``hop_samples``.  `state` is left as it was.
        """
        n_samples, hop = frame.shape[-1], self.hop_samples
        self.check_frame(frame, hop)
        following: dict[str, Any] = {"n_samples": state["n_samples"] + n_samples}
        x, scale, following["energy"] = self._normalise(frame, state["energy"], state["n_samples"])
        skips, kept = [], []
        for down, past in zip(self.down, state["down"], strict=True):
            x = torch.cat([past, x], dim=-1)
            kept.append(x[..., x.shape[-1] - self._overlap :])
            x = functional.glu(down(x), dim=1)
            skips.append(x)
        following["down"], kept = tuple(kept), []
        x, following["hidden"] = self._recur(x, state["hidden"])
        ups: Any = self.up
        for up, carry in zip(ups, state["up"], strict=True):
            x = x + skips.pop()
            n_out = x.shape[-1] * self.config.stride
            x = up(x)
            x = torch.cat([x[..., : self._overlap] + carry, x[..., self._overlap :]], dim=-1)
            kept.append(x[..., n_out:] - up.bias.unsqueeze(-1))
            x = functional.glu(x[..., :n_out], dim=1)
        following["up"] = tuple(kept)
        return self._finish(x, scale, frame), following

    def flush(self, state: State) -> Tensor:
        """Return ``(batch, source, 0)``: nothing is late."""
        return state["hidden"].new_zeros(state["hidden"].shape[1], self.config.n_sources, 0)

    def _normalise(
        self, waveform: Tensor, energy: Tensor | None = None, n_before: Tensor | int = 0
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the waveform at about unit level, what undoes it, and the energy so far."""
        kind = self.config.normalisation or ("running" if self.config.causal else "whole")
        if kind == "none":
            return waveform, None, energy
        mono = waveform.mean(dim=1, keepdim=True)
        if kind == "whole":
            scale = level_of(mono)
        else:
            scale, energy = level_until(mono, energy, n_before)
        return waveform / (self.config.floor + scale), scale, energy

    def _finish(self, x: Tensor, scale: Tensor | None, waveform: Tensor) -> Tensor:
        """Return the output at the level of the input, ``(batch, source, time)``."""
        x = x if scale is None else x * scale
        return waveform[:, :1] + x if self.config.residual else x

    def _recur(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The bottleneck: ``(batch, channel, column)`` to the same."""
        x, hidden = self.gru(x.transpose(1, 2), hidden)
        return self.linear(x).transpose(1, 2), hidden
