"""Two-stage U-Net: cleans old recordings on the spectrogram (Moliner & Välimäki 2022, arXiv 2202.08702).

::

    waveform ─ STFT ─┬─ 7×7 ─ U-Net ─ attention ── stage-1 estimate
                     │                    │ features
                     └─ 7×7 ──────────── cat ─ U-Net ─ 3×3 ── stage-2 estimate ─ inverse STFT ─ waveform
    U-Net:   level:  I-block ─┬─ 4×4, stride 2 ─ … ─ 4×4 transposed + nearest ─ cat ─ I-block
                              └───────────────── skip ───────────────────────────┘
    I-block: dense block of 3×3 convolutions + 1×1

Parameters: 71,408,196 with the paper's depth 6 and three convolutions a block; 1,880,388 with depth 3 and one.

Where it differs from the paper: the STFT is inside, and begins before the first sample, so that the start does not fade
in as it does in the original (``pad_start=False``, which imported weights have).  The transform is an FFT; in a graph
made for export it is a product with sines and cosines.  What is shorter than a convolution mirrors is mirrored again.

What makes it fast: tensors are ``(batch, frame, freq, channel)`` in memory, in which the convolutions run twice as fast
here; the ten channels of the frequency encoding are the same in every frame, so what the 7×7 convolution makes of them
is a bias for each frequency, the same for all frames (a sixth of its work is left); concatenation and mirroring are one
copy, which is not kept for the gradient but made again; the nearest-neighbour path is projected before it grows.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.models.layers import istft, product, stft
from resound.models.network import Network, NetworkConfig

# Sound 30 dB above its noise bears an error of 3 % in its filter, and steps of weights of usual size make larger ones.
FILTER_SCALE = 0.1
POWER_FLOOR = 1e-8  # of a bin: below the noise of 16 bits
N_ENCODING = 10  # cosines of the frequency encoding


class TwoStageUNetConfig(NetworkConfig):
    """Sizes of the two-stage U-Net; the defaults are the paper's."""

    sample_rate: int = Field(44_100, ge=4000, le=192_000)
    n_channels: int = Field(1, ge=1, le=1)
    n_sources: int = Field(1, ge=1, le=1)
    n_fft: int = Field(2048, ge=8)
    hop: int = Field(512, ge=1)
    depth: int = Field(6, ge=1)  # levels of half the size
    num_tfc: int = Field(3, ge=1)  # convolutions of a dense block
    n_stages: Literal[1, 2] = 2
    use_sam: bool = True  # supervised attention; False: stage 2 has the features of stage 1 as they are
    widths: tuple[int, ...] = (32, 64, 64, 128, 128, 256, 512)  # N, of each level
    # Zeros before the start, so that each sample is in as many frames as any other.  False: the first n_fft - hop
    # samples fade in, as in the original.
    pad_start: bool = True
    # Ours.  Each stage gives a complex filter of the recording, which is near to 1 at first, in place of spectrograms.
    filters: bool = False
    exponent: float = Field(1.0, gt=0, le=1)  # of the magnitudes that are heard to make them

    @model_validator(mode="after")
    def _check(self) -> TwoStageUNetConfig:
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, got {self.n_fft}")
        if self.hop > self.n_fft // 2:
            raise ValueError(
                f"hop {self.hop} leaves gaps between windows of {self.n_fft}; make it {self.n_fft // 2} or less"
            )
        if self.exponent != 1 and not self.filters:
            raise ValueError(f"exponent {self.exponent:g} is for filters alone; add filters: true, or leave it 1")
        if self.depth >= len(self.widths):
            raise ValueError(f"depth {self.depth} needs {self.depth + 1} widths, got {len(self.widths)}")
        if min(self.widths) < 1:
            raise ValueError(f"widths must be 1 or more, got {min(self.widths)}")
        if self.n_fft // 2 < 2**self.depth:
            raise ValueError(f"depth {self.depth} halves {self.n_fft // 2 + 1} frequencies to nothing; make it smaller")
        return self


class TwoStageUNet(Network):
    """Waveform ``(batch, 1, time)`` to ``(batch, 1, time)``."""

    config: TwoStageUNetConfig
    window: Tensor
    encoding: Tensor

    def __init__(self, config: TwoStageUNetConfig) -> None:
        super().__init__(config)
        width = config.widths[0]
        self.stages = nn.ModuleList(Stage(config, width * (1 + stage)) for stage in range(config.n_stages))
        self.attention = Attention(width, config.use_sam, config.filters) if config.n_stages == 2 else None
        self.final = Convolution(width, 2, 3)
        self.register_buffer("window", torch.hamming_window(config.n_fft), persistent=False)
        self.register_buffer("encoding", _frequency_encoding(config.n_fft // 2 + 1), persistent=False)
        self._begin()

    def _begin(self) -> None:
        """Set what there is to learn to where it begins."""
        for module in self.modules():
            if isinstance(module, Features | Convolution | nn.Conv2d | nn.ConvTranspose2d):
                if self.config.filters:
                    nn.init.normal_(module.weight, std=(2 * _n_seen(module)) ** -0.5)
                else:
                    nn.init.trunc_normal_(module.weight, std=0.05, a=-0.1, b=0.1)  # as the original
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def hop_samples(self) -> int:
        """Samples from frame to frame."""
        return self.config.hop

    @property
    def grid_samples(self) -> int:
        """The frames that the deepest level holds one of: only shifted by so many are the same frames halved."""
        return int(self.config.hop * 2**self.config.depth)

    @property
    def looks_ahead(self) -> str:
        """The convolutions: over frames they are centred."""
        return "its convolutions over frames are centred, and see those that follow"

    @property
    def receptive_field_samples(self) -> int | None:
        """Input samples that one output sample depends on: the frames that reach it, and all that those depend on."""
        config = self.config
        n_overlapping = -(-config.n_fft // config.hop)
        frames = 0
        for phase in range(2**config.depth):  # where the sample is in the grid of the deepest level
            first, last = self._frames_seen(phase, phase + n_overlapping - 1)
            frames = max(frames, last - first)
        return frames * config.hop + config.n_fft

    def _frames_seen(self, first: int, last: int) -> tuple[int, int]:
        """Return the frames of the input that a range of output frames depends on."""
        config = self.config
        first, last = _stage_seen(config, first - 1, last + 1)
        if config.n_stages == 2:
            reach = 2 if config.use_sam else 0  # of the mask, which is made from a 3×3 convolution by another
            first, last = _stage_seen(config, first - reach, last + reach)
        return first - 3, last + 3

    @property
    def _n_before(self) -> int:
        """Zeros before the first sample."""
        return self.config.n_fft - self.config.hop if self.config.pad_start else 0

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, 1, time)``."""
        spectrum = self._spectrum(waveform)
        estimate = self._estimates(spectrum)[-1].permute(0, 2, 3, 1)  # (batch, frame, freq, 2)
        sound = istft(estimate, self.window, self.config.hop, endless=True)
        return sound[:, None, self._n_before : self._n_before + waveform.shape[-1]]

    def estimates(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Return the spectrogram that each stage estimates, for the loss on both: ``(batch, 2, freq, frame)`` each.

        The target of both is `spectrogram` of the clean waveform (section 2.3 of the paper).
        """
        self.check(waveform)
        return tuple(estimate.transpose(2, 3) for estimate in self._estimates(self._spectrum(waveform)))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, 2, freq, frame)``, real and imaginary, of ``(batch, 1, time)``, frames as in `estimates`."""
        return self._spectrum(waveform).transpose(2, 3)

    def _spectrum(self, waveform: Tensor) -> Tensor:
        """(batch, 1, time) -> (batch, 2, frame, freq), channels last: zeros after the end fill the last frame."""
        n_fft, hop = self.config.n_fft, self.config.hop
        n_samples = waveform.shape[-1] + self._n_before
        n_frames = (n_samples + hop - 1) // hop
        padded = functional.pad(waveform[:, 0], (self._n_before, (n_frames - 1) * hop + n_fft - n_samples))
        return stft(padded, self.window, hop).permute(0, 3, 1, 2)

    def _estimates(self, spectrum: Tensor) -> tuple[Tensor, ...]:
        """(batch, 2, frame, freq) -> the same of each stage."""
        heard = _heard(spectrum, self.config.exponent) if self.config.filters else spectrum
        features = self.stages[0](heard, self.encoding, None)
        if self.attention is None:
            return (self._last(features, spectrum, spectrum),)
        features, first = self.attention(features, spectrum)
        return first, self._last(self.stages[1](heard, self.encoding, features), spectrum, first)

    def _last(self, features: Tensor, spectrum: Tensor, before: Tensor) -> Tensor:
        """Return the estimate of the last stage: a spectrogram, or the one before and what a filter adds to it."""
        made = self.final(features)
        return before + _filtered(spectrum, made) if self.config.filters else made


def _n_seen(module: nn.Module) -> int:
    """Return how many values each output value of a convolution is the sum of."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight[:, 0].numel() // 4 if isinstance(module, nn.ConvTranspose2d) else weight[0].numel()


class Stage(nn.Module):
    """One U-Net, from the spectrogram to features at its size (figure 2 of the paper)."""

    def __init__(self, config: TwoStageUNetConfig, n_in: int) -> None:
        super().__init__()
        widths, depth, num_tfc = config.widths, config.depth, config.num_tfc
        self.features = Features(widths[0], 3 if config.filters else 2)
        self.encoder = nn.ModuleList(
            Encoder(widths[level] if level else n_in, widths[level], widths[level + 1], num_tfc)
            for level in range(depth)
        )
        self.bottom = IBlock(widths[depth], widths[depth], num_tfc)
        self.decoder = nn.ModuleList(Decoder(widths[level + 1], widths[level], num_tfc) for level in range(depth))

    def forward(self, spectrum: Tensor, encoding: Tensor, attended: Tensor | None) -> Tensor:
        """Return (batch, N[0], frame, freq) of (batch, 2, frame, freq) and the features of the stage before."""
        x: tuple[Tensor, ...] = (self.features(spectrum, encoding),)
        if attended is not None:
            x = (*x, attended)
        skips = []
        for encoder in self.encoder:
            down, skip = encoder(*x)
            x = (down,)
            skips.append(skip)
        y = self.bottom(*x)
        for decoder in reversed(self.decoder):
            y = decoder(y, skips.pop())
        return y


class Encoder(nn.Module):
    """One level down: what is kept as the skip, then half the size."""

    def __init__(self, n_in: int, width: int, n_out: int, num_tfc: int) -> None:
        super().__init__()
        self.block = IBlock(n_in, width, num_tfc)
        self.down = Convolution(width, n_out, 4, stride=2)

    def forward(self, *x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next level's input and the skip."""
        skip = self.block(*x)
        return functional.elu_(self.down(skip)), skip


class Decoder(nn.Module):
    """One level up: twice the size in two ways, the skip, an I-block."""

    def __init__(self, n_in: int, width: int, num_tfc: int) -> None:
        super().__init__()
        # The original crops the sum by one at either end, which is what `padding` does.
        self.up = nn.ConvTranspose2d(n_in, width, 4, stride=2, padding=1)
        self.projection = nn.Conv2d(n_in, width, 1) if n_in != width else None
        self.block = IBlock(2 * width, width, num_tfc)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return (batch, width, frame, freq) at the size of the skip."""
        # A 1×1 convolution and an ELU do the same before the values are repeated, on a quarter of them.
        small = x if self.projection is None else functional.elu_(self.projection(x))
        up = functional.elu_(self.up(x))
        # Where the skip has an odd size, the last of an even one is cropped.
        nearest = functional.interpolate(small, scale_factor=2.0)
        n_frames, n_freqs = skip.shape[2:]
        return self.block(up[..., :n_frames, :n_freqs] + nearest[..., :n_frames, :n_freqs], skip)


class IBlock(nn.Module):
    """A dense block of 3×3 convolutions with a 1×1 shortcut; several inputs stand for their concatenation."""

    def __init__(self, n_in: int, width: int, num_tfc: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(Convolution(n_in + index * width, width, 3) for index in range(num_tfc))
        self.shortcut = nn.Conv2d(n_in, width, 1)

    def forward(self, *x: Tensor) -> Tensor:
        """(batch, channel, frame, freq), ... -> (batch, width, frame, freq)."""
        seen = x
        for convolution in self.dense:
            y = functional.elu_(convolution(*seen))
            seen = (y, *seen)  # newest first
        # A 1×1 convolution is a matrix product on channels that are last in memory.  Nothing is added in place: the
        # gradient of that, in a view, is copied, and its channels come first.
        weight, *others = self.shortcut.weight.flatten(1).split([part.shape[1] for part in x], dim=1)
        out = functional.linear(x[0].permute(0, 2, 3, 1), weight, self.shortcut.bias)
        rows = out.flatten(0, 2)
        for part, weight in zip(x[1:], others, strict=True):
            rows = torch.addmm(rows, part.permute(0, 2, 3, 1).flatten(0, 2).to(out.dtype), weight.t().to(out.dtype))
        return rows.view(out.shape).permute(0, 3, 1, 2) + y


class Attention(nn.Module):
    """Supervised attention: the estimate of stage 1 says which of its features go on (figure 3 of the paper)."""

    def __init__(self, width: int, use_sam: bool, filters: bool) -> None:
        super().__init__()
        self.filters = filters
        self.residual = Convolution(width, 2, 3)
        self.features = Convolution(width, width, 3) if use_sam else None
        self.mask = Convolution(2, width, 3) if use_sam else None

    def forward(self, features: Tensor, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Return features for stage 2 and the estimate of stage 1, (batch, 2, frame, freq)."""
        made = self.residual(features)
        estimate = spectrum + (_filtered(spectrum, made) if self.filters else made)
        if self.features is None or self.mask is None:
            return features, estimate
        return torch.addcmul(features, self.mask(estimate).sigmoid_(), self.features(features)), estimate


def _heard(spectrum: Tensor, exponent: float) -> Tensor:
    """Return (batch, 3, frame, freq) of a spectrogram: real, imaginary and absolute, of magnitudes to a power."""
    power = spectrum.square().sum(dim=1, keepdim=True) + POWER_FLOOR
    return torch.cat([spectrum, power**0.5], dim=1) * power ** ((exponent - 1) / 2)


def _filtered(spectrum: Tensor, taps: Tensor) -> Tensor:
    """Return what a complex filter adds to a spectrogram, (batch, 2, frame, freq) each."""
    return FILTER_SCALE * product(spectrum.movedim(1, -1), taps.movedim(1, -1)).movedim(-1, 1)


class Features(nn.Module):
    """The 7×7 convolution of spectrogram and frequency encoding, and its ELU."""

    def __init__(self, width: int, n_heard: int) -> None:
        super().__init__()
        self.n_heard = n_heard
        self.weight = nn.Parameter(torch.empty(width, n_heard + N_ENCODING, 7, 7))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, spectrum: Tensor, encoding: Tensor) -> Tensor:
        """(batch, 2 or 3, frame, freq), (10, freq) -> (batch, width, frame, freq)."""
        # The encoding is the same in each frame and in what is mirrored: its part of the sum is one for all frames.
        constant = functional.conv1d(_mirrored_ends(encoding, 3), self.weight[:, self.n_heard :].sum(dim=2), self.bias)
        y = convolve(self.weight[:, : self.n_heard], None, 1, spectrum)
        return functional.elu_(y + constant.unsqueeze(1).to(y.dtype))


class Convolution(nn.Module):
    """A 2-D convolution on mirrored edges; several inputs stand for their concatenation."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(n_out))

    def forward(self, *x: Tensor) -> Tensor:
        """(batch, channel, frame, freq), ... -> (batch, n_out, frame / stride, freq / stride)."""
        return convolve(self.weight, self.bias, self.stride, *x)


def convolve(weight: Tensor, bias: Tensor | None, stride: int, *x: Tensor) -> Tensor:
    """Return the convolution of the concatenation of inputs, mirrored at its edges so that the size stays."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return _Convolve.apply(weight, bias, stride, *x)
    return functional.conv2d(mirrored(weight.shape[-1], *x), weight, bias, stride)


class _Convolve(torch.autograd.Function):
    """`convolve` that keeps its inputs for the gradient and mirrors them again."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, stride: int, *x: Tensor) -> Tensor:
        ctx.save_for_backward(weight, *x)
        ctx.stride, ctx.has_bias = stride, bias is not None
        dtype = _autocast_dtype(x[0])
        padded = mirrored(weight.shape[-1], *(part.to(dtype) for part in x))
        return functional.conv2d(padded, weight.to(dtype), None if bias is None else bias.to(dtype), stride)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *x = ctx.saved_tensors
        kernel = weight.shape[-1]
        padded = mirrored(kernel, *(part.to(grad.dtype) for part in x))
        needs = ctx.needs_input_grad
        d_padded, d_weight, d_bias = torch.ops.aten.convolution_backward(
            grad, padded, weight.to(grad.dtype), [len(weight)] if ctx.has_bias else None,
            [ctx.stride] * 2, [0, 0], [1, 1], False, [0, 0], 1, [any(needs[3:]), needs[0], needs[1]],
        )  # fmt: skip
        parts: list[Tensor | None] = [None] * len(x)
        if d_padded is not None:
            parts = list(_unmirrored(d_padded, kernel).split([part.shape[1] for part in x], dim=1))
            parts = [part if need else None for part, need in zip(parts, needs[3:], strict=True)]
        return d_weight, d_bias, None, *parts


def mirrored(kernel: int, *x: Tensor) -> Tensor:
    """Return inputs (batch, channel, frame, freq) side by side, mirrored at the edges, the outermost value included."""
    before, after = _reach(kernel)
    if torch.compiler.is_compiling():
        both = torch.cat(x, dim=1) if len(x) > 1 else x[0]
        for axis in (2, 3):
            places = _mirrored_places(both.shape[axis], before, after, both.device)
            both = both.index_select(axis, places)
        return both
    n_batch, _, n_frames, n_freqs = x[0].shape
    shape = (n_batch, sum(part.shape[1] for part in x), n_frames + before + after, n_freqs + before + after)
    padded = torch.empty(shape, dtype=x[0].dtype, device=x[0].device, memory_format=torch.channels_last)
    start = 0
    for part in x:
        end = start + part.shape[1]
        padded[:, start:end, before : before + n_frames, before : before + n_freqs] = part
        start = end
    for axis, size in ((2, n_frames), (3, n_freqs)):
        for outside, inside in _outside(size, before, after):
            padded.select(axis, outside).copy_(padded.select(axis, inside))
    return padded


def _unmirrored(d_padded: Tensor, kernel: int) -> Tensor:
    """Return the gradient of what was mirrored; that of its mirrored form is added up in place."""
    before, after = _reach(kernel)
    sizes = [size - before - after for size in d_padded.shape[2:]]
    for axis in (3, 2):  # what was copied last goes back first
        for outside, inside in _outside(sizes[axis - 2], before, after):
            d_padded.select(axis, inside).add_(d_padded.select(axis, outside))
    return d_padded[:, :, before : before + sizes[0], before : before + sizes[1]]


def _reach(kernel: int) -> tuple[int, int]:
    """Return how far a kernel looks back and ahead."""
    return kernel // 2, (kernel - 1) // 2


def _outside(size: int, before: int, after: int) -> list[tuple[int, int]]:
    """Return each place outside and the place inside that it mirrors, both counted in the padded axis."""
    outside = [*range(-before, 0), *range(size, size + after)]
    return [(place + before, _mirrored_place(place, size) + before) for place in outside]


def _mirrored_place(place: int, size: int) -> int:
    """Return the place in 0 … size - 1 that a mirror at either end shows: -1 is 0, -2 is 1, size is size - 1."""
    place %= 2 * size
    return min(place, 2 * size - 1 - place)


def _mirrored_places(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Return `_mirrored_place` of all places from `-before` to `size + after`, for a size that may be a symbol."""
    places = torch.arange(-before, size + after, device=device)
    places = torch.remainder(places, torch.full_like(places, 2 * size))  # ONNX has no remainder of a symbol
    return torch.minimum(places, 2 * size - 1 - places)


def _mirrored_ends(x: Tensor, reach: int) -> Tensor:
    """(..., place) -> (..., reach + place + reach)."""
    return x[..., _mirrored_places(x.shape[-1], reach, reach, x.device)]


def _frequency_encoding(n_freqs: int) -> Tensor:
    """Return cos(2^k π n / (F - 1)), k = 0 … 9: (10, freq), in float32 throughout as the original: it shows at k 9."""
    n, pi = torch.arange(n_freqs, dtype=torch.float32) / (n_freqs - 1), torch.tensor(torch.pi)
    return torch.stack([torch.cos(2**k * pi * n) for k in range(N_ENCODING)])


def _autocast_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which a convolution of x runs."""
    device = x.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):  # shapes alone know no autocast
        return x.dtype
    return torch.get_autocast_dtype(device)


def _stage_seen(config: TwoStageUNetConfig, first: int, last: int) -> tuple[int, int]:
    """Return the range of a stage's first features that a range of its output depends on."""
    skips = []
    for _ in range(config.depth):
        first, last = first - config.num_tfc, last + config.num_tfc
        skips.append((first, last))
        first, last = -((2 - first) // 2), (last + 1) // 2  # of the transposed convolution
    first, last = first - config.num_tfc, last + config.num_tfc
    for skip in reversed(skips):
        first, last = min(2 * first - 2, skip[0]), max(2 * last + 1, skip[1])
        first, last = first - config.num_tfc, last + config.num_tfc
    return first, last
