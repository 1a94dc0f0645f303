"""Conv-TasNet: separates voices by masks on a learnt filterbank (Luo & Mesgarani 2019, arXiv 1809.07454).

::

    waveform ── encoder ──┬──────────────────────── × ── decoder ── (batch, source, time)
                          └ norm ─ 1×1 ─ blocks ─ mask┘
    block:  x ─ 1×1 ─ PReLU ─ norm ─ depthwise, dilated ─ PReLU ─ norm ─ 1×1 ─┬─ + x (to the next block)
                                                                              └─ summed over blocks (to the mask)

Parameters: 5,050,545 at the paper's best sizes (8 kHz, two speakers), 1,472,157 at N 128, L 40, H 256, X 7, R 2.

Where it differs from the paper: the frames are those of asteroid (none begins before the first sample, the encoder has
no ReLU, the mask is a ReLU by default, the skip and residual paths are one matrix).  ``norm="channel"``, over the
channels of one frame, is what asteroid calls cLN; ``"cumulative"`` is the cLN of the paper (asteroid: cgLN).

What makes it fast (`resound.models.kernels`): everything is ``(batch, frame, channel)``, so 1×1 convolutions are plain
matrix products and the depthwise one is a few shifted products (a tenth of the time of a grouped convolution); PReLU
and norm are one function with a gradient by hand that keeps one tensor instead of several; gains and biases of norms
are folded into the matrix that follows.  A stream copies none of its past, asks for few operations, and its matrices
lie by input, where products of few frames read them quickest.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.errors import ModelError
from resound.models.kernels.delay import delayed, extended, for_the_next_step
from resound.models.kernels.depthwise import depthwise
from resound.models.kernels.normalise import Norm, normalise
from resound.models.kernels.running_norm import Clock, no_sums, normalise_on, prelu_on
from resound.models.layers import overlap_add
from resound.models.network import Network, NetworkConfig, State


class ConvTasNetConfig(NetworkConfig):
    """Sizes of Conv-TasNet; the defaults are the paper's best."""

    sample_rate: int = Field(8000, ge=4000, le=192_000)
    n_sources: int = Field(2, ge=1, le=8)  # C
    n_filters: int = Field(512, ge=1)  # N
    filter_samples: int = Field(16, ge=1)  # L
    stride_samples: int | None = Field(None, ge=1)  # None: L / 2
    bottleneck: int = Field(128, ge=1)  # B
    hidden: int = Field(512, ge=1)  # H
    skip: int = Field(128, ge=0)  # Sc; 0: no skip path, the mask is made from the last block's output
    kernel: int = Field(3, ge=1)  # P
    n_blocks: int = Field(8, ge=1, le=20)  # X, dilations 1, 2, 4 ... in each repeat
    n_repeats: int = Field(3, ge=1)  # R
    norm: Norm = "global"  # gLN, cLN of the paper, norm of each frame
    causal: bool = False
    mask: Literal["relu", "sigmoid", "softmax"] = "relu"
    encoder_relu: bool = False
    # Zeros after the end, so that each sample is in as many frames as any other.  False: a last frame that is not
    # full is left out, and with it up to a stride of output, as in asteroid.
    pad_end: bool = True

    @property
    def stride(self) -> int:
        """Samples from frame to frame."""
        return self.stride_samples or self.filter_samples // 2

    @model_validator(mode="after")
    def _check(self) -> ConvTasNetConfig:
        if self.stride_samples is None and self.filter_samples % 2:
            raise ValueError(
                f"filter_samples must be even (half is the stride), got {self.filter_samples}; or set stride_samples"
            )
        if self.stride > self.filter_samples:
            raise ValueError(
                f"stride_samples {self.stride} leaves gaps between filters of {self.filter_samples}; make it smaller"
            )
        if not self.causal and self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd unless causal (it is centred), got {self.kernel}")
        if self.causal and self.norm == "global":
            raise ValueError("norm 'global' sees the future; with causal=true set norm=cumulative (or channel)")
        return self


class ConvTasNet(Network):
    """Waveform ``(batch, channel, time)`` to ``(batch, source, time)``."""

    config: ConvTasNetConfig

    def __init__(self, config: ConvTasNetConfig) -> None:
        super().__init__(config)
        n_samples = config.n_channels * config.filter_samples
        self.encoder = nn.Linear(n_samples, config.n_filters, bias=False)  # of (channel, sample) flattened
        self.norm = Gain(config.n_filters)
        self.bottleneck = nn.Linear(config.n_filters, config.bottleneck)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.n_blocks * config.n_repeats))
        self.mask_slope = nn.Parameter(torch.full((1,), 0.25))
        self.mask = nn.Linear(config.skip or config.bottleneck, config.n_sources * config.n_filters)
        self.decoder = nn.Linear(config.n_filters, config.filter_samples, bias=False)
        nn.init.xavier_normal_(self.encoder.weight)
        nn.init.xavier_normal_(self.decoder.weight)
        for matrix in self.modules():
            if isinstance(matrix, nn.Linear):  # by input in memory, where products of few frames read it quickest
                matrix.weight.data = matrix.weight.data.t().contiguous().t()

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        if config.pad_end:
            n_frames = (n_samples + config.stride - 1) // config.stride
            missing = (n_frames - 1) * config.stride + config.filter_samples - n_samples
        else:
            missing = max(config.filter_samples - n_samples, 0)
        encoded = self._encode(functional.pad(waveform, (0, missing)))
        m = normalise(encoded, None, None, None, config.norm)
        x = functional.linear(m, *self.norm.folded_into(self.bottleneck))
        skips: Tensor | None = None
        for block in self.blocks:
            x, skips = block(x, skips)
        frames = self._decode(self._masks(x if skips is None else skips), encoded)
        sound = overlap_add(frames, config.stride)[..., :n_samples]
        return functional.pad(sound, (0, n_samples - sound.shape[-1]))

    def _encode(self, waveform: Tensor) -> Tensor:
        """(batch, channel, time) -> (batch, frame, N)."""
        frames = waveform.unfold(-1, self.config.filter_samples, self.config.stride)  # (batch, channel, frame, L)
        encoded = self.encoder(frames.transpose(1, 2).flatten(2))
        return encoded.relu() if self.config.encoder_relu else encoded

    def _masks(self, x: Tensor) -> Tensor:
        """(batch, frame, Sc) -> (batch, source, frame, N)."""
        score = self.mask(torch.prelu(x, self.mask_slope.to(x.dtype)))
        score = score.unflatten(-1, (self.config.n_sources, self.config.n_filters))
        if self.config.mask == "softmax":
            score = score.softmax(dim=2)
        else:
            score = score.relu() if self.config.mask == "relu" else score.sigmoid()
        return score.transpose(1, 2)

    def _decode(self, masks: Tensor, encoded: Tensor) -> Tensor:
        """(batch, source, frame, N), (batch, frame, N) -> (batch, source, frame, sample)."""
        return self.decoder(masks * encoded.unsqueeze(1))

    @property
    def looks_ahead(self) -> str:
        """The convolutions, unless built with ``causal``."""
        return "" if self.config.causal else "its dilated convolutions are centred, and see what follows (causal=false)"

    @property
    def hop_samples(self) -> int:
        """The stride: `step` takes any multiple of it."""
        return self.config.stride

    @property
    def latency_samples(self) -> int:
        """A filter less a stride: what the last frame that holds a sample needs beyond the end of the sample's hop."""
        return (self._n_overlapping - 1) * self.config.stride if self.config.causal else 0

    @property
    def follows_level(self) -> bool:
        """Whether an input twice as loud gives an output twice as loud: masks are made of normalised features."""
        return True

    @property
    def receptive_field_samples(self) -> int | None:
        """Input samples that one output sample depends on, unless the norm sees (all or the past of) the input."""
        config = self.config
        if config.norm != "channel":
            return None
        context = config.n_repeats * (config.kernel - 1) * (2**config.n_blocks - 1)  # frames, both sides
        return (context + self._n_overlapping - 1) * config.stride + config.filter_samples

    @property
    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def _n_overlapping(self) -> int:
        """The most frames that one sample is in."""
        return math.ceil(self.config.filter_samples / self.config.stride)

    def init_state(self, batch_size: int = 1) -> State:
        """Return the state before the first sample."""
        if not self.config.causal:
            raise ModelError("ConvTasNet: this one is not causal and cannot stream; build it with causal=true")
        config, like = self.config, self.encoder.weight
        past = self.latency_samples
        return {
            "waveform": like.new_zeros(batch_size, config.n_channels, past),
            "overlap": like.new_zeros(batch_size, config.n_sources, past),
            # Frames so far; those that would begin before the first sample count backwards from 0.
            "n_frames": torch.tensor(1 - self._n_overlapping, device=like.device),
            "sums": no_sums(like, batch_size),
            "blocks": tuple(block.init_state(batch_size) for block in self._blocks),
        }

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next samples, ``latency_samples`` late: ``(batch, source, time)`` for ``(batch, channel, time)``.

        The time is any multiple of ``hop_samples``.  A stream begins with ``latency_samples`` zeros.  `state` is left
        as it was.
        """
        config, n_samples, late = self.config, frame.shape[-1], self.latency_samples
        self.check_frame(frame, config.stride)
        waveform = torch.cat([state["waveform"], frame], dim=-1)
        encoded = self._encode(waveform)
        clock = Clock(state["n_frames"], encoded.shape[1])
        m, sums = normalise_on(encoded, *self.norm.both, config.norm, state["sums"], clock)
        x, skips, blocks = self.bottleneck(m), None, []
        for block, past in zip(self._blocks, state["blocks"], strict=True):
            x, skips, past = block.step(x, skips, past, clock)
            blocks.append(past)
        frames = self._decode(self._masks(x if skips is None else skips), encoded)
        if clock.exists is not None:
            frames = frames * clock.exists
        sound = overlap_add(frames, config.stride)
        sound = torch.cat([sound[..., :late] + state["overlap"], sound[..., late:]], dim=-1)
        following = {
            "waveform": waveform[..., n_samples:],
            "overlap": sound[..., n_samples:],
            "n_frames": clock.end,
            "sums": sums,
            "blocks": tuple(blocks),
        }
        return sound[..., :n_samples], following

    def flush(self, state: State) -> Tensor:
        """Return the last ``latency_samples``: ``(batch, source, time)``."""
        late = self.latency_samples
        if late == 0 or not self.config.pad_end:
            return state["overlap"].clone()
        return self.step(state["waveform"].new_zeros(*state["waveform"].shape[:2], late), state)[0]


class Block(nn.Module):
    """One dilated convolution with its residual and skip outputs (figure 1C of the paper)."""

    def __init__(self, config: ConvTasNetConfig, index: int) -> None:
        super().__init__()
        self.kind, self.dilation = config.norm, 2 ** (index % config.n_blocks)
        self.context = (config.kernel - 1) * self.dilation
        self.before = self.context if config.causal else self.context // 2
        # The last block's residual output goes nowhere when there is a skip path; its rows wait in the matrix.
        self.is_last = index == config.n_blocks * config.n_repeats - 1
        self.widths = [config.bottleneck, config.skip]
        self.expand = nn.Linear(config.bottleneck, config.hidden)
        self.slope1 = nn.Parameter(torch.full((1,), 0.25))
        self.norm1 = Gain(config.hidden)
        self.taps = nn.Parameter(torch.empty(config.kernel, config.hidden))
        self.taps_bias = nn.Parameter(torch.empty(config.hidden))
        self.slope2 = nn.Parameter(torch.full((1,), 0.25))
        self.norm2 = Gain(config.hidden)
        self.out = nn.Linear(config.hidden, config.bottleneck + config.skip)  # rows: residual, then skip
        bound = config.kernel**-0.5  # as torch initialises a convolution
        nn.init.uniform_(self.taps, -bound, bound)
        nn.init.uniform_(self.taps_bias, -bound, bound)

    def forward(self, x: Tensor, skips: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the input of the next block and the sum of skips: (batch, frame, B), (batch, frame, Sc)."""
        n = normalise(self.expand(x), self.slope1, *self.norm1.both, self.kind)
        d = depthwise(n, self.taps, self.taps_bias, self.dilation, self.before)
        m = normalise(d, self.slope2, None, None, self.kind)
        return self._leave(m, *self.norm2.folded_into(self.out), x, skips)

    def _leave(
        self, m: Tensor, weight: Tensor, bias: Tensor, x: Tensor, skips: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        width, skip_width = self.widths
        if not skip_width:
            return x + functional.linear(m, weight, bias), None
        if self.is_last:
            skip = functional.linear(m, weight[width:], bias[width:])
        else:
            residual, skip = functional.linear(m, weight, bias).split(self.widths, dim=-1)
            x = x + residual
        return x, skip if skips is None else skips + skip

    def init_state(self, batch_size: int) -> State:
        """Return the frames before the first, which are zeros, and empty sums."""
        past = self.taps.new_zeros(batch_size, self.context, self.taps.shape[1])
        return (past,), no_sums(past, batch_size), no_sums(past, batch_size)

    def step(self, x: Tensor, skips: Tensor | None, state: State, clock: Clock) -> tuple[Tensor, Tensor | None, State]:
        """Return what `forward` does for the next frames, and the state after them."""
        past, sums1, sums2 = state
        p = prelu_on(self.expand(x), self.slope1, clock)
        n, sums1 = normalise_on(p, *self.norm1.both, self.kind, sums1, clock)
        if clock.exists is not None:
            n = n * clock.exists
        past, n_frames = extended(past, n, self.context + n.shape[1]), n.shape[1]
        *earlier, now = self.taps.unbind()
        d = torch.addcmul(self.taps_bias, n, now)
        for tap, delay in zip(earlier, range(self.context, 0, -self.dilation), strict=True):
            d = torch.addcmul(d, delayed(past, n_frames, delay), tap)
        # Few frames: the gain on them is less work than folded into the matrix.
        m, sums2 = normalise_on(prelu_on(d, self.slope2, clock), *self.norm2.both, self.kind, sums2, clock)
        x, skips = self._leave(m, self.out.weight, self.out.bias, x, skips)
        return x, skips, (for_the_next_step(past, self.context), sums1, sums2)


class Gain(nn.Module):
    """Gain and bias of each channel after a norm."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))

    @property
    def both(self) -> tuple[Tensor, Tensor]:
        """Gain and bias."""
        return self.gain, self.bias

    def folded_into(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Return weight and bias of ``linear(gain * m + bias)`` as a function of m."""
        weight = linear.weight
        return weight * self.gain, torch.addmv(linear.bias, weight, self.bias)
