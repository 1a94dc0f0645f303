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

What makes it fast: everything is ``(batch, frame, channel)``, so 1×1 convolutions are plain matrix products and the
depthwise one is a few shifted products (a tenth of the time of a grouped convolution); PReLU and norm are one function
with a gradient by hand that keeps one tensor instead of several; gains and biases of norms are folded into the matrix
that follows.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.errors import ModelError
from resound.models.network import Network, NetworkConfig, State

EPS = 1e-8
Norm = Literal["global", "cumulative", "channel"]


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

    @property
    def is_causal(self) -> bool:
        """Whether no output sample depends on a later hop than its own and the next ``latency_samples``."""
        return self.config.causal

    @property
    def hop_samples(self) -> int:
        """The stride: `step` takes any multiple of it."""
        return self.config.stride

    @property
    def latency_samples(self) -> int:
        """A filter less a stride: what the last frame that holds a sample needs beyond the end of the sample's hop."""
        return (self._n_overlapping - 1) * self.config.stride if self.config.causal else 0

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

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        if config.pad_end:
            n_frames = (n_samples + config.stride - 1) // config.stride
            missing = (n_frames - 1) * config.stride + config.filter_samples - n_samples
        else:
            missing = max(config.filter_samples - n_samples, 0)
        encoded = self._encode(functional.pad(waveform, (0, missing)))
        m = normalise(encoded, None, None, config.norm)
        x = functional.linear(m, *self.norm.folded_into(self.bottleneck))
        skips: Tensor | None = None
        for block in self.blocks:
            x, skips = block(x, skips)
        frames = self._decode(self._masks(x if skips is None else skips), encoded)
        sound = overlap_add(frames, config.stride)[..., :n_samples]
        return functional.pad(sound, (0, n_samples - sound.shape[-1]))

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
            "sums": _no_sums(like, batch_size),
            "blocks": tuple(block.init_state(batch_size) for block in self._blocks),
        }

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next samples, ``latency_samples`` late: ``(batch, source, time)`` for ``(batch, channel, time)``.

        The time is any multiple of ``hop_samples``.  A stream begins with ``latency_samples`` zeros.  `state` is left
        as it was.
        """
        config, n_samples, late = self.config, frame.shape[-1], self.latency_samples
        if n_samples == 0 or n_samples % config.stride:
            raise ModelError(f"ConvTasNet: step expects a multiple of {config.stride} samples, got {n_samples}")
        waveform = torch.cat([state["waveform"], frame], dim=-1)
        encoded = self._encode(waveform)
        clock = Clock(state["n_frames"], encoded.shape[1])
        m, sums = normalise_on(encoded, None, self.norm, config.norm, state["sums"], clock)
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
        n = normalise(self.expand(x), self.slope1, self.norm1, self.kind)
        d = depthwise(n, self.taps, self.taps_bias, self.dilation, self.before)
        m = normalise(d, self.slope2, None, self.kind)
        return self._leave(m, *self.norm2.folded_into(self.out), x, skips)

    def init_state(self, batch_size: int) -> State:
        """Return the frames before the first, which are zeros, and empty sums."""
        past = self.taps.new_zeros(batch_size, self.context, self.taps.shape[1])
        return past, _no_sums(past, batch_size), _no_sums(past, batch_size)

    def step(self, x: Tensor, skips: Tensor | None, state: State, clock: Clock) -> tuple[Tensor, Tensor | None, State]:
        """Return what `forward` does for the next frames, and the state after them."""
        past, sums1, sums2 = state
        n, sums1 = normalise_on(self.expand(x), self.slope1, self.norm1, self.kind, sums1, clock)
        if clock.exists is not None:
            n = n * clock.exists
        n = torch.cat([past, n], dim=1)
        n_frames = x.shape[1]
        d: Tensor = self.taps_bias
        for tap, start in zip(self.taps, range(0, self.context + 1, self.dilation), strict=True):
            d = torch.addcmul(d, n[:, start : start + n_frames], tap)
        # Few frames: the gain on them is less work than folded into the matrix.
        d, sums2 = normalise_on(d, self.slope2, self.norm2, self.kind, sums2, clock)
        x, skips = self._leave(d, self.out.weight, self.out.bias, x, skips)
        return x, skips, (n[:, n_frames:], sums1, sums2)

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


class Gain(nn.Module):
    """Gain and bias of each channel after a norm."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def folded_into(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Return weight and bias of ``linear(gain * m + bias)`` as a function of m."""
        weight = linear.weight
        return weight * self.gain, torch.addmv(linear.bias, weight, self.bias)


def _is_traced() -> bool:
    """Return whether a graph is being made, in which no number may be asked for."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


class Clock:
    """Where in a stream some frames are."""

    def __init__(self, n_before: Tensor, n_frames: int) -> None:
        counts = n_before + torch.arange(1, n_frames + 1, device=n_before.device)
        self.end = n_before + n_frames
        self._n_so_far = counts.clamp(min=1).double().unsqueeze(-1)  # (frame, 1) each included
        self._n_values: dict[int, Tensor] = {}
        # (frame, 1) zero for those before the first sample; None when there are none, which spares a few operations.
        self.exists = None if not _is_traced() and int(n_before) >= 0 else (counts > 0).float().unsqueeze(-1)

    def n_values(self, n_channels: int) -> Tensor:
        """Return how many values of that many channels there have been, at each frame: (frame, 1)."""
        if n_channels not in self._n_values:
            self._n_values[n_channels] = n_channels * self._n_so_far
        return self._n_values[n_channels]


def normalise(a: Tensor, slope: Tensor | None, gain: Gain | None, kind: Norm) -> Tensor:
    """Return the PReLU of ``(batch, frame, channel)`` (none without slope), normalised, with gain and bias if given.

    Without gradients `a` may be overwritten.
    """
    weights = (None, None) if gain is None else (gain.gain, gain.bias)
    if torch.is_grad_enabled():  # keeps `a` as it is
        return _Normalise.apply(a, slope, *weights, kind)
    p = _prelu_of_own(a, slope)
    mean, scale = _statistics(_sums_over(_moments(p), kind), _n_values(p, kind))
    if slope is None:
        return _standardise(p, mean, scale, *weights)
    p.sub_(mean.to(p.dtype)).mul_(scale.to(p.dtype))
    return p if gain is None else p.mul_(gain.gain.to(p.dtype)).add_(gain.bias.to(p.dtype))


def normalise_on(
    a: Tensor, slope: Tensor | None, gain: Gain | None, kind: Norm, sums: Tensor, clock: Clock
) -> tuple[Tensor, Tensor]:
    """Return what `normalise` does for the next frames of a stream, and the sums so far: ``(2, batch, 1, 1)``."""
    p = _prelu_of_own(a, slope)
    weights = (None, None) if gain is None else (gain.gain.to(p.dtype), gain.bias.to(p.dtype))
    if kind == "channel":
        gains, biases = weights
        return functional.layer_norm(p, p.shape[-1:], gains, biases, EPS), sums
    moments = _moments(p)
    if clock.exists is not None:
        moments = moments * clock.exists
    sums = moments.cumsum(dim=2, dtype=torch.float64) + sums
    return _standardise(p, *_statistics(sums, clock.n_values(p.shape[-1])), *weights), sums[:, :, -1:]


def _no_sums(like: Tensor, batch_size: int) -> Tensor:
    return torch.zeros(2, batch_size, 1, 1, dtype=torch.float64, device=like.device)


def _prelu(a: Tensor, slope: Tensor | None) -> Tensor:
    return a if slope is None else torch.prelu(a, slope.to(a.dtype))


def _prelu_of_own(a: Tensor, slope: Tensor | None) -> Tensor:
    """Return the PReLU of a tensor that nobody else holds, in its place where that is possible."""
    if slope is None or torch.is_grad_enabled() or _is_traced():
        return _prelu(a, slope)
    return functional.leaky_relu_(a, float(slope))  # fresh memory costs more than the work in it


def _moments(p: Tensor) -> Tensor:
    """Return sum and power over channels: (2, batch, frame, 1)."""
    dtype = torch.promote_types(p.dtype, torch.float32)
    power = torch.linalg.vector_norm(p, dim=-1, keepdim=True, dtype=dtype)
    return torch.stack([p.sum(dim=-1, keepdim=True, dtype=dtype), power.square()])


def _sums_over(moments: Tensor, kind: Norm) -> Tensor:
    """Return the sums over what the norm of each frame sees, in float64: all frames, those so far, or itself."""
    if kind == "global":
        return moments.sum(dim=2, keepdim=True, dtype=torch.float64)
    return moments.cumsum(dim=2, dtype=torch.float64) if kind == "cumulative" else moments.double()


def _n_values(p: Tensor, kind: Norm) -> Tensor | int:
    """Return how many values are in each of those sums: (frame, 1) or one number."""
    n_frames, n_channels = p.shape[1:]
    if kind == "cumulative":
        return n_channels * torch.arange(1, n_frames + 1, dtype=torch.float64, device=p.device).unsqueeze(-1)
    return n_channels * n_frames if kind == "global" else n_channels


def _statistics(sums: Tensor, n_values: Tensor | int) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / standard deviation: (batch, frame or 1, 1) each."""
    mean, power = (sums / n_values).unbind(0)
    return mean, torch.addcmul(power, mean, mean, value=-1).clamp(min=0).add_(EPS).rsqrt_()


def _standardise(p: Tensor, mean: Tensor, scale: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
    m = (p - mean.to(p.dtype)).mul_(scale.to(p.dtype))
    return m if gain is None or bias is None else torch.addcmul(bias.to(m.dtype), m, gain.to(m.dtype))


class _Normalise(torch.autograd.Function):
    """`normalise` that keeps its input alone for the gradient and makes the rest again.

    With S and Q the sums of p and p² over n values, mean μ = S / n, v = Q / n - μ² and r = (v + eps)^-1/2, the output
    is r (p - μ).  So dL/dp = r g + A + 2 B p, where A and B sum dL/dS and dL/dQ of every frame whose norm saw this
    one: all, those that follow, or itself.
    """

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, slope: Tensor | None, gain: Tensor | None, bias: Tensor | None, kind: Norm
    ) -> Tensor:
        p = _prelu(a, slope)
        mean, scale = _statistics(_sums_over(_moments(p), kind), _n_values(p, kind))
        ctx.save_for_backward(a, slope, gain, mean, scale)
        ctx.kind = kind
        return _standardise(p, mean, scale, gain, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, slope, gain, mean, scale = ctx.saved_tensors
        p, grad = _prelu(a, slope), grad.contiguous()
        r = scale.to(p.dtype)
        product = grad * p
        d_gain = d_bias = None
        if gain is None:
            g_sum, g_product = grad.sum(dim=-1), product.sum(dim=-1)
        else:
            gain = gain.to(p.dtype)
            g_sum, g_product = grad @ gain, product @ gain
            rows = r.expand(*p.shape[:2], 1).reshape(1, -1)  # sums over frames as products with a row: one read each
            shift = (mean * scale).to(p.dtype).expand(*p.shape[:2], 1).reshape(1, -1)
            d_gain = (rows @ product.flatten(0, 1) - shift @ grad.flatten(0, 1))[0]
            d_bias = grad.sum(dim=(0, 1))
        sums = torch.stack([g_sum, g_product]).double()
        if ctx.kind == "global":
            sums = sums.sum(dim=-1, keepdim=True)
        d_mean, d_variance = sums.unsqueeze(-1)  # (batch, frame or 1, 1)
        d_variance = -0.5 * scale**3 * (d_variance - mean * d_mean)
        d_mean = -scale * d_mean - 2 * mean * d_variance
        n_values = _n_values(p, ctx.kind)
        d_sum, d_power = d_mean / n_values, 2 * d_variance / n_values
        if ctx.kind == "cumulative":
            d_sum, d_power = (d.flip(1).cumsum(dim=1).flip(1) for d in (d_sum, d_power))
        d = torch.mul(grad, r if gain is None else gain, out=product)
        if gain is not None:
            d.mul_(r)
        d.add_((p * d_power.to(p.dtype)).add_(d_sum.to(p.dtype)))
        if slope is None:
            return d, None, d_gain, d_bias, None
        # The gradient of torch's PReLU, and torch.where, take ten times as long as that of a ReLU.
        above = torch.ops.aten.threshold_backward(d, a, 0)
        below = d.sub_(above)
        d_slope = torch.dot(below.flatten(), a.flatten()).reshape(1)
        return above.add_(below.mul_(slope.to(a.dtype))), d_slope, d_gain, d_bias, None


def depthwise(n: Tensor, taps: Tensor, bias: Tensor, dilation: int, before: int) -> Tensor:
    """Return each channel of ``(batch, frame, channel)`` convolved with its taps ``(tap, channel)``, zeros outside.

    Tap j of frame t sees frame ``t + j * dilation - before``; the number of frames stays.
    """
    if torch.is_grad_enabled():
        return _Depthwise.apply(n, taps, bias, dilation, before)
    taps, bias = taps.to(n.dtype), bias.to(n.dtype)
    if _is_traced():  # of any length, and what runs graphs is good at convolutions
        padded = functional.pad(n.transpose(1, 2), (before, (len(taps) - 1) * dilation - before))
        kernels = taps.t().unsqueeze(1)
        return functional.conv1d(padded, kernels, bias, dilation=dilation, groups=len(bias)).transpose(1, 2)
    return _convolve(n, taps, bias, dilation, before)


def _spans(n_frames: int, n_taps: int, dilation: int, before: int) -> list[tuple[int, slice, slice]]:
    """Return each tap that reaches any frame, the frames it adds to and those it takes from."""
    spans = []
    for tap in range(n_taps):
        offset = tap * dilation - before
        if abs(offset) < n_frames:
            to = slice(max(0, -offset), n_frames - max(0, offset))
            spans.append((tap, to, slice(to.start + offset, to.stop + offset)))
    return spans


def _convolve(n: Tensor, taps: Tensor, bias: Tensor, dilation: int, before: int) -> Tensor:
    here = before // dilation  # the tap that sees the frame itself
    out = torch.addcmul(bias, n, taps[here])
    for tap, to, source in _spans(n.shape[1], len(taps), dilation, before):
        if tap != here:
            out[:, to].addcmul_(n[:, source], taps[tap])
    return out


class _Depthwise(torch.autograd.Function):
    """`depthwise`, whose gradient shifts the other way."""

    @staticmethod
    def forward(ctx: Any, n: Tensor, taps: Tensor, bias: Tensor, dilation: int, before: int) -> Tensor:
        ctx.save_for_backward(n, taps)
        ctx.places = dilation, before
        return _convolve(n, taps.to(n.dtype), bias.to(n.dtype), dilation, before)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        n, taps = ctx.saved_tensors
        spans = _spans(n.shape[1], len(taps), *ctx.places)
        d_n, d_taps = torch.zeros_like(n), torch.zeros_like(taps)
        for tap, to, source in spans:
            d_n[:, source].addcmul_(grad[:, to], taps[tap].to(n.dtype))
            d_taps[tap] = (grad[:, to] * n[:, source]).sum(dim=(0, 1))
        return d_n, d_taps, grad.sum(dim=(0, 1)), None, None


def overlap_add(frames: Tensor, stride: int) -> Tensor:
    """Return ``(..., time)`` for ``(..., frame, sample)``, each frame a stride after the one before, added up."""
    n_samples = frames.shape[-1]
    n_overlapping = -(-n_samples // stride)
    frames = functional.pad(frames, (0, n_overlapping * stride - n_samples))
    pieces = frames.unflatten(-1, (n_overlapping, stride)).unbind(-2)
    late = [
        functional.pad(piece.flatten(-2), (index * stride, (n_overlapping - 1 - index) * stride))
        for index, piece in enumerate(pieces)
    ]
    return sum(late[1:], late[0])
