"""The timbre generator: gives a voice back what a denoiser took from it, frame by frame, with no look-ahead.

The idea is stochastic regeneration (DeepFilterGAN, arXiv 2505.23515): a predictive denoiser comes first, and a small
generator, trained against discriminators (`resound.models.discriminators`), restores what it over-suppressed::

    denoised, noisy ── encoder ─ 64 @ 12 kHz ─ 128 @ 3 kHz ─ 256 @ 600 Hz ─ 512 @ 100 Hz ── frame norm, GRU × 2 ─┐
                            └──────── + ────────── + ────────── + ── skips                                       │
    denoised ── + ────────── decoder ──┴────────────┴────────────┴───────────────────────────────────────────────┘

Channel 0 is the denoiser's output, channel 1 the noisy input (the paper's ablation: without it the result is worse).
What comes out is channel 0 plus a predicted correction.  3,505,856 parameters, 457 million multiply-adds a second.

Where it differs from the paper: the generator there is an Online SpatialNet on a spectrogram (40 ms late); this one is
a causal U-Net on the waveform with the same number of parameters, late by nothing but the frame that it waits for.

Level: no convolution has a bias, the activation is a leaky ReLU, and the GRU sees each frame divided by its own RMS
and is multiplied by it afterwards.  So twice the input is exactly twice the output, at any level.

What makes it fast: separable convolutions, the pointwise part always at the lower rate; everything is
``(batch, frame, channel)``, where a pointwise convolution is a matrix product and a depthwise one reads whole rows;
the weight norm is worked out once a stream, not once a frame; in training, the GRU's weights get their gradient in one
product (`resound.models.kernels.gru`).
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.models.kernels.gru import gru
from resound.models.kernels.when import is_traced
from resound.models.network import Network, NetworkConfig, State

SLOPE = 0.2  # of the leaky ReLU
SHORT_FRAMES = 512  # up to which a depthwise convolution is quicker as one product and one sum
EPS = 1e-8  # of a frame's RMS: 100 dB below the quietest frame that matters


class TimbreConfig(NetworkConfig):
    """Sizes of the timbre generator."""

    sample_rate: int = Field(48000, ge=4000, le=192_000)
    n_channels: int = Field(2, ge=1, le=8)  # the denoiser's output first, then the noisy input
    widths: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (4, 4, 5, 6)  # their product is the frame: 480 samples, 10 ms
    kernel: int = Field(7, ge=1)
    gru_layers: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _check(self) -> TimbreConfig:
        if self.n_sources != 1:
            raise ValueError(f"n_sources must be 1 (one voice is restored), got {self.n_sources}")
        if not self.widths or len(self.widths) != len(self.strides):
            raise ValueError(f"widths and strides must be as many, got {len(self.widths)} and {len(self.strides)}")
        if min(self.widths) < 1 or min(self.strides) < 1:
            raise ValueError(f"widths and strides must be at least 1, got {self.widths} and {self.strides}")
        if max(self.strides) > self.kernel:
            raise ValueError(f"stride {max(self.strides)} leaves gaps between kernels of {self.kernel}; lower it")
        return self


class Timbre(Network):
    """Waveforms ``(batch, channel, time)`` to the restored voice ``(batch, 1, time)``; channel 0 is denoised."""

    config: TimbreConfig

    def __init__(self, config: TimbreConfig) -> None:
        super().__init__(config)
        kernel, widths, strides = config.kernel, config.widths, config.strides
        self.enter = Pointwise(config.n_channels * kernel, widths[0], is_activated=True)  # of (channel, tap) flattened
        levels = list(zip(widths[:-1], widths[1:], strides[1:], strict=True))
        self.down = nn.ModuleList(Down(narrow, wide, kernel, stride) for narrow, wide, stride in levels)
        self.gru = nn.GRU(widths[-1], widths[-1], config.gru_layers, batch_first=True)
        self.up = nn.ModuleList(Up(wide, narrow, kernel, stride) for narrow, wide, stride in reversed(levels))
        # Begins near to what it was given.  No weight norm: its gain would be at zero before its direction is right.
        self.leave = nn.Linear(widths[0], kernel, bias=False)
        nn.init.uniform_(self.leave.weight, -0.1 / math.sqrt(widths[0]), 0.1 / math.sqrt(widths[0]))

    @property
    def looks_ahead(self) -> str:
        """Nothing: each kernel ends at the first sample of its stride, so not even the rest of the frame is seen."""
        return ""

    @property
    def hop_samples(self) -> int:
        """The frame, 480 samples: `step` takes any multiple of it."""
        return math.prod(self.config.strides)

    @property
    def follows_level(self) -> bool:
        """Whether an input twice as loud gives an output twice as loud: exactly, for nothing has a bias."""
        return True

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, 1, time)``: `step` over the whole, filled up to a whole frame."""
        n_samples = waveform.shape[-1]
        padded = functional.pad(waveform, (0, -n_samples % self.hop_samples))
        self._fold()
        return self._run(padded, self._start(padded))[0][..., :n_samples]

    def init_state(self, batch_size: int = 1) -> State:
        """Return the state before the first sample."""
        self._fold()
        return self._start(self.leave.weight.new_zeros(batch_size, self.config.n_channels, 0))

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next samples, late by none: ``(batch, channel, n hops)`` to ``(batch, 1, n hops)``."""
        self.check_frame(frame, self.hop_samples)
        return self._run(frame, state)

    def flush(self, state: State) -> Tensor:
        """Return ``(batch, 1, 0)``: nothing is late."""
        return state["waveform"][:, :1, :0]

    def _fold(self) -> None:
        """Work the weight norms out for the steps to come; with gradients each step does that itself."""
        if not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            for part in self.modules():
                if isinstance(part, WeightNorm):
                    part.fold()

    def _start(self, like: Tensor) -> State:
        past, batch_size, widths = self.config.kernel - 1, like.shape[0], self.config.widths
        return {
            "waveform": like.new_zeros(batch_size, self.config.n_channels, past),
            "down": tuple(like.new_zeros(batch_size, past, width) for width in widths[:-1]),
            "gru": like.new_zeros(self.config.gru_layers, batch_size, widths[-1]),
            "up": tuple(like.new_zeros(batch_size, past, width) for width in widths[-2::-1]),
            "overlap": like.new_zeros(batch_size, past),
        }

    def _run(self, waveform: Tensor, state: State) -> tuple[Tensor, State]:
        kernel, stride, n_samples = self.config.kernel, self.config.strides[0], waveform.shape[-1]
        heard = torch.cat([state["waveform"], waveform], dim=-1)
        windows = heard.unfold(-1, kernel, stride)  # (batch, channel, frame, tap)
        x = functional.leaky_relu(self.enter(windows.transpose(1, 2).flatten(2)), SLOPE, inplace=True)
        skips, downs, ups = [], [], []
        for level, past in zip(self.down, state["down"], strict=True):
            skips.append(x)
            x, past = level(x, past)
            downs.append(past)
        rms = x.float().square().mean(dim=-1, keepdim=True).add(EPS**2).sqrt()
        remembered, hidden = gru(self.gru, x / rms, state["gru"])
        x = x + remembered * rms
        for level, past in zip(self.up, state["up"], strict=True):
            x, past = level(x, skips.pop(), past)
            ups.append(past)
        correction, overlap = add_overlapping(self.leave(x), stride, state["overlap"])
        following = {
            "waveform": heard[..., n_samples:],
            "down": tuple(downs),
            "gru": hidden,
            "up": tuple(ups),
            "overlap": overlap,
        }
        return waveform[:, :1] + correction.unsqueeze(1), following


class WeightNorm(nn.Module):
    """A weight as a gain times a direction for each output: g · v / |v| (Salimans & Kingma 2016)."""

    def __init__(self, n_out: int, n_in: int, *, is_activated: bool = False) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.empty(n_out, n_in))
        # As loud out as in, after the leaky ReLU where one follows (He et al. 2015): of fourteen layers without a norm,
        # each half as loud as the one before, the lowest would be heard by nobody, and learn nothing.
        power = 2 / (1 + SLOPE**2) if is_activated else 1.0
        nn.init.uniform_(self.direction, -math.sqrt(3 * power / n_in), math.sqrt(3 * power / n_in))
        self.gain = nn.Parameter(torch.linalg.vector_norm(self.direction.detach(), dim=1))
        self._folded: tuple[list[int], Tensor] | None = None  # for which versions of the parameters, and the weight

    def weight(self) -> Tensor:
        """Return the weight, ``(out, in)``; without gradients as it was folded, unless the parameters changed since."""
        if self._folded is not None and not torch.is_grad_enabled():
            versions, folded = self._folded
            if is_traced() or versions == self._versions():  # a graph has the weight itself, and parameters no version
                return folded
        return self.direction * (self.gain / torch.linalg.vector_norm(self.direction, dim=1)).unsqueeze(1)

    def fold(self) -> None:
        """Keep the weight for as long as the parameters do not change."""
        self._folded = None
        if not self.gain.is_inference():  # such parameters do not say when they change
            self._folded = self._versions(), self.weight()

    def _versions(self) -> list[int]:
        return [self.direction._version, self.gain._version]


class Pointwise(WeightNorm):
    """A matrix product with weight norm."""

    def __init__(self, n_in: int, n_out: int, *, is_activated: bool = False) -> None:
        super().__init__(n_out, n_in, is_activated=is_activated)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., out)`` for ``(..., in)``."""
        return functional.linear(x, self.weight())


class Depthwise(WeightNorm):
    """Each channel convolved with taps of its own, with a stride: ``(batch, past + time, channel)`` to fewer frames."""

    def __init__(self, n_channels: int, kernel: int, stride: int) -> None:
        super().__init__(n_channels, kernel)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, frame, channel)``; frame t ends at sample ``t * stride`` after the past."""
        taps = self.weight()
        if x.shape[1] <= SHORT_FRAMES and not torch.is_grad_enabled():
            windows = x.unfold(1, self.kernel, self.stride).transpose(2, 3)  # (batch, frame, tap, channel)
            return (windows * taps.t().contiguous()).sum(dim=2)
        # As an image one pixel high with channels last: four to ten times as fast here as a grouped conv1d.
        image = x.transpose(1, 2).unsqueeze(2)
        out = functional.conv2d(image, taps[:, None, None], stride=(1, self.stride), groups=len(taps))
        return out.squeeze(2).transpose(1, 2)


class Down(nn.Module):
    """A separable convolution to a lower rate and a greater width."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Depthwise(n_in, kernel, stride)
        self.pointwise = Pointwise(n_in, n_out, is_activated=True)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(batch, frame, channel)`` and the past of what follows."""
        n_frames = x.shape[1]
        x = torch.cat([past.to(x.dtype), x], dim=1)
        return functional.leaky_relu(self.pointwise(self.depthwise(x)), SLOPE, inplace=True), x[:, n_frames:]


class Up(nn.Module):
    """A separable convolution back: pointwise at the lower rate, each frame held, then smoothed by the taps."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.pointwise = Pointwise(n_in, n_out)
        self.depthwise = Depthwise(n_out, kernel, 1)

    def forward(self, x: Tensor, skip: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(batch, frame, channel)`` at the rate of ``skip``, and the past of what follows."""
        x = self.pointwise(x)
        n_frames = x.shape[1] * self.stride
        held = torch.cat([past.to(x.dtype), x.unsqueeze(2).expand(-1, -1, self.stride, -1).flatten(1, 2)], dim=1)
        out = self.depthwise(held).add_(skip)
        return functional.leaky_relu(out, SLOPE, inplace=True), held[:, n_frames:]


def add_overlapping(pieces: Tensor, stride: int, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(batch, frame, sample)`` laid a stride apart and added up: ``(batch, time)``, and what reaches beyond.

    ``before``, ``(batch, sample - 1)``, is what reached beyond the block before.
    """
    n_frames, n_long = pieces.shape[1:]
    n_overlapping, n_samples = -(-n_long // stride), n_frames * stride
    sound = functional.pad(before, (0, n_samples + n_overlapping * stride - n_long + 1))
    for index, piece in enumerate(functional.pad(pieces, (0, n_overlapping * stride - n_long)).split(stride, dim=-1)):
        sound = sound + functional.pad(piece.flatten(1), (index * stride, (n_overlapping - index) * stride))
    return sound[:, :n_samples], sound[:, n_samples : n_samples + before.shape[-1]]
