"""TF-GridNet: separates and cleans voices on the spectrogram (Wang et al. 2023, arXiv 2209.03952 and 2211.12433).

::

    waveform / σ ─ STFT ─ 3×3 ─ norm ─ block × B ─ 3×3 ─ inverse STFT · σ ─ (batch, source, time)
    block:  along frequency: x + deconv(BLSTM(unfold(norm(x))))        each frame by itself
            along time:      x + deconv(BLSTM(unfold(norm(x))))        each frequency by itself
            attention:       x + norm(PReLU(1×1(heads)))               each frame looks at all frames

With ``filters`` (ours) the last layer gives complex filters of the spectrum of the first channel, where the paper has
the voices' spectra.  They begin as each voice's share of the mixture.

It is the second version, as in ESPnet.  Parameters: 8,239,810 at D 48, B 6, I 4, J 1, H 192 and n_fft 256, two sources.

Where it differs from ESPnet: digital silence gives silence (there: no numbers), and a waveform shorter than half a
window is filled up with zeros before its ends are mirrored (not in an exported graph, which wants more than that).

What makes it fast: the grid is ``(batch, frame, freq, channel)`` throughout, so norms, projections and unfolding find
the channels side by side, and the transposed convolution is a matrix product and I shifted sums; queries, keys and
values of all heads are one product.  Each path goes through the grid a few rows at a time, so that what the LSTM makes
of them stays in the cache (the LSTM takes a fifth to a quarter less time), with the steps first in memory, as the LSTM
reads and writes them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from resound.models.kernels.when import is_traced
from resound.models.layers import istft, level_of, product, stft
from resound.models.network import Network, NetworkConfig

CACHED_STEPS = 8192  # rows × steps of an LSTM that go through it together without gradients
WINDOWS: dict[str, Callable[[int], Tensor]] = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "none": torch.ones,
}


class TFGridNetConfig(NetworkConfig):
    """Sizes of TF-GridNet; the defaults are ESPnet's."""

    sample_rate: int = Field(8000, ge=4000, le=192_000)
    n_sources: int = Field(2, ge=1, le=8)  # C
    n_fft: int = Field(128, ge=4)
    hop: int = Field(64, ge=1)
    window: Literal["hann", "hamming", "none"] = "hann"
    n_blocks: int = Field(6, ge=1)  # B
    embedding: int = Field(48, ge=1)  # D
    unfold: int = Field(4, ge=1)  # I, neighbours that an LSTM sees at each step
    unfold_hop: int = Field(1, ge=1)  # J
    hidden: int = Field(192, ge=1)  # H, of the LSTM in each direction
    n_heads: int = Field(4, ge=1)  # L
    qk_size: int = Field(512, ge=1)  # of a query, about: E is this divided by the number of frequencies, rounded up
    eps: float = Field(1e-5, gt=0)
    filters: bool = False  # of each bin, where the paper has spectra
    checkpoint_blocks: bool = False  # gradients with less memory and a third more time: blocks are run again

    @property
    def n_freqs(self) -> int:
        """F."""
        return self.n_fft // 2 + 1

    @property
    def qk_width(self) -> int:
        """E, channels of a query at each frequency."""
        return math.ceil(self.qk_size / self.n_freqs)

    @model_validator(mode="after")
    def _check(self) -> TFGridNetConfig:
        if self.n_fft % 2:
            raise ValueError(f"n_fft must be even, got {self.n_fft}")
        if self.hop > self.n_fft // 2:
            raise ValueError(
                f"hop {self.hop} leaves gaps between windows of {self.n_fft}; make it {self.n_fft // 2} or less"
            )
        if self.unfold_hop > self.unfold:
            raise ValueError(f"unfold_hop {self.unfold_hop} skips places; make it {self.unfold} (unfold) or less")
        if self.embedding % self.n_heads:
            raise ValueError(
                f"embedding {self.embedding} does not divide into {self.n_heads} heads; change one of them"
            )
        return self


class TFGridNet(Network):
    """Waveform ``(batch, channel, time)`` to ``(batch, source, time)``."""

    config: TFGridNetConfig
    window: Tensor

    def __init__(self, config: TFGridNetConfig) -> None:
        super().__init__(config)
        self.entry = nn.Conv2d(2 * config.n_channels, config.embedding, 3, padding=1)  # real parts, then imaginary
        self.norm = nn.GroupNorm(1, config.embedding, eps=config.eps)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        self.exit = nn.Conv2d(config.embedding, 2 * config.n_sources, 3, padding=1)  # real and imaginary of each source
        if config.filters:  # near to the input, and so that voices are told apart soon
            self.exit.bias = nn.Parameter(torch.tensor([1 / config.n_sources, 0.0]).repeat(config.n_sources))
            with torch.no_grad():
                self.exit.weight.mul_(0.1)
        self.register_buffer("window", WINDOWS[config.window](config.n_fft), persistent=False)

    @property
    def looks_ahead(self) -> str:
        """The LSTMs over time and the attention."""
        return "its LSTMs run over time both ways, and its attention sees all frames"

    @property
    def follows_level(self) -> bool:
        """Whether an input twice as loud gives an output twice as loud: its level is taken out, then put back."""
        return True

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        scale = level_of(waveform, (1, 2)).clamp_min(1e-8)
        spectrum = self._spectrum(waveform / scale)
        x = _norm_of_all(self.norm, self.entry(spectrum))
        x = x.permute(0, 2, 3, 1)  # (batch, frame, freq, D), as it lies in memory
        for block in self.blocks:
            if config.checkpoint_blocks and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        x = self.exit(x.permute(0, 3, 1, 2)).unflatten(1, (config.n_sources, 2))
        x = x.permute(0, 1, 3, 4, 2)
        if config.filters:
            first = spectrum[:, :: config.n_channels]  # (batch, real and imaginary, frame, freq)
            x = product(x, first.permute(0, 2, 3, 1)[:, None])
        sound = istft(x, self.window, config.hop)
        half = config.n_fft // 2
        return sound[..., half : half + n_samples] * scale

    def _spectrum(self, waveform: Tensor) -> Tensor:
        """(batch, channel, time) -> (batch, 2 · channel, frame, freq), frames centred on multiples of the hop."""
        half, n_samples = self.config.n_fft // 2, waveform.shape[-1]
        if not torch.compiler.is_compiling() and n_samples <= half:
            waveform = functional.pad(waveform, (0, half + 1 - n_samples))
        waveform = functional.pad(waveform, (half, half), mode="reflect")
        spectrum = stft(waveform, self.window, self.config.hop)  # (batch, channel, frame, freq, 2)
        x = spectrum.permute(0, 2, 3, 4, 1).flatten(3)  # one channel: a view
        return x.permute(0, 3, 1, 2)


class Block(nn.Module):
    """One block: (batch, frame, freq, D) to the same (figure 2 of the paper)."""

    def __init__(self, config: TFGridNetConfig) -> None:
        super().__init__()
        self.kernel, self.hop = config.unfold, config.unfold_hop
        self.along_freq = Path(config)
        self.along_time = Path(config)
        self.attention = Attention(config)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frame, freq, D) -> (batch, frame, freq, D)."""
        n_frames, n_freqs = x.shape[1:3]
        overlap = self.kernel - self.hop
        if self.kernel > 1:  # zeros at all four edges, so that each place is in as many steps as any other
            more = [-(size + 2 * overlap - self.kernel) % self.hop for size in (n_frames, n_freqs)]
            x = functional.pad(x, (0, 0, overlap, overlap + more[1], overlap, overlap + more[0]))
        x = self.along_freq(x)
        x = self.along_time(x.transpose(1, 2)).transpose(1, 2)
        if self.kernel > 1:
            x = x[:, overlap : overlap + n_frames, overlap : overlap + n_freqs]
        return self.attention(x)


class Path(nn.Module):
    """x + what an LSTM in both directions makes of each row (section III-B of the paper)."""

    def __init__(self, config: TFGridNetConfig) -> None:
        super().__init__()
        self.kernel, self.hop = config.unfold, config.unfold_hop
        self.norm = nn.LayerNorm(config.embedding, eps=config.eps)
        # Its input is (step, row, that of neighbours one after the other), (I, D) flattened.
        self.lstm = nn.LSTM(config.unfold * config.embedding, config.hidden, bidirectional=True)
        # A transposed convolution as its matrix, to (I, D) flattened; one bias for all of the sum.  Where neighbours do
        # not overlap there is no sum, and a bias for each.
        self.out = nn.Linear(2 * config.hidden, config.unfold * config.embedding, bias=False)
        n_biases = config.unfold if config.unfold == config.unfold_hop else 1
        self.bias = nn.Parameter(torch.zeros(n_biases * config.embedding))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, row, place, D) -> (batch, row, place, D)."""
        if torch.compiler.is_compiling() or x.device.type != "cpu":
            return x + self._rows(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        n_rows = _rows_at_once(x.shape[2])
        if torch.is_grad_enabled():
            parts = [self._rows(some) for some in x.flatten(0, 1).split(n_rows)]
            return x + torch.cat(parts).unflatten(0, x.shape[:2])
        # The result lies in memory as the grid does, whichever way the path goes.
        result = torch.empty_like(x, memory_format=torch.preserve_format)
        for grid, out in zip(x, result, strict=True):
            for some, out_some in zip(grid.split(n_rows), out.split(n_rows), strict=True):
                torch.add(some, self._rows(some), out=out_some)
        return result

    def _rows(self, x: Tensor) -> Tensor:
        """(row, place, D) -> (row, place, D)."""
        n_places, width = x.shape[1:]
        x = self.norm(x.transpose(0, 1))
        if self.kernel > 1:
            x = x.unfold(0, self.kernel, self.hop).transpose(2, 3).flatten(2)  # (step, row, I · D)
        y = _recurrent(self.lstm, x)
        if self.kernel == self.hop:
            y = functional.linear(y, self.out.weight, self.bias).unflatten(2, (self.kernel, width))
            return y.permute(1, 0, 2, 3).flatten(1, 2)
        if torch.compiler.is_compiling():  # places to add to cannot be counted in a graph of any length
            weight = self.out.weight.unflatten(0, (self.kernel, width)).permute(2, 1, 0)
            return functional.conv_transpose1d(y.permute(1, 2, 0), weight, self.bias, self.hop).transpose(1, 2)
        y = self.out(y).unflatten(2, (self.kernel, width))
        n_steps, n_rows = y.shape[:2]
        total = self.bias.to(y.dtype).expand(n_places, n_rows, width).contiguous()
        for index in range(self.kernel):
            total[index : index + (n_steps - 1) * self.hop + 1 : self.hop] += y[:, :, index]
        return total.transpose(0, 1)


def _recurrent(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """Return what an LSTM makes of ``x``; where a processor has none of bfloat16, that of autocast is in float32."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or _has_lstm_of_bfloat16():
        return lstm(x)[0]
    with torch.autocast("cpu", enabled=False):
        return lstm(x.float())[0]


@functools.cache
def _has_lstm_of_bfloat16() -> bool:
    """Tell whether torch finds one on this processor; where there is none, an error says so."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            nn.LSTM(8, 8)(torch.zeros(2, 1, 8))
    except RuntimeError:
        return False
    return True


class Attention(nn.Module):
    """x + attention between frames, over all frequencies at once (section III-C of the paper)."""

    def __init__(self, config: TFGridNetConfig) -> None:
        super().__init__()
        self.n_heads, self.eps = config.n_heads, config.eps
        self.widths = (config.qk_width, config.qk_width, config.embedding // config.n_heads)  # of query, key, value
        n_freqs, width = config.n_freqs, config.embedding
        self.split = nn.Linear(width, config.n_heads * sum(self.widths))  # rows: query, key, value, each head by head
        self.slopes = nn.Parameter(torch.full((3, config.n_heads), 0.25))
        self.gains = nn.ParameterList(torch.ones(config.n_heads, 1, n_freqs, size) for size in self.widths)
        self.biases = nn.ParameterList(torch.zeros(config.n_heads, 1, n_freqs, size) for size in self.widths)
        self.out = nn.Linear(width, width)
        self.out_slope = nn.Parameter(torch.full((1,), 0.25))
        self.out_norm = nn.LayerNorm((n_freqs, width), eps=config.eps)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frame, freq, D) -> (batch, frame, freq, D)."""
        parts = self.split(x).split([self.n_heads * width for width in self.widths], dim=-1)
        q, k, v = (self._heads(part, index) for index, part in enumerate(parts))
        n_freqs = x.shape[2]
        y = functional.scaled_dot_product_attention(q, k, v).unflatten(3, (n_freqs, -1))
        y = self.out(y.permute(0, 2, 3, 1, 4).flatten(3))  # (batch, frame, freq, D)
        return x + self.out_norm(torch.prelu(y, self.out_slope.to(y.dtype)))

    def _heads(self, x: Tensor, index: int) -> Tensor:
        """(batch, frame, freq, head · width) -> (batch, head, frame, freq · width), each frame of a head normalised."""
        x = x.unflatten(3, (self.n_heads, -1))
        x = x.permute(0, 3, 1, 2, 4).contiguous()
        x = torch.prelu(x, self.slopes[index].to(x.dtype))
        x = functional.layer_norm(x, x.shape[3:], eps=self.eps)
        return torch.addcmul(self.biases[index].to(x.dtype), x, self.gains[index].to(x.dtype)).flatten(3)


def _rows_at_once(n_places: int) -> int:
    """Return how many rows go through an LSTM together, so that what it makes of them stays in the cache."""
    return min(32, max(16, CACHED_STEPS // n_places // 16 * 16))


def _norm_of_all(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Return the norm of ``(batch, D, frame, freq)`` over all of it.

    `nn.GroupNorm` adds squares up in a way that loses 2e-4 of the level of 10 s on a processor; onnxruntime adds one by
    one, so that in a graph the sums are double.
    """
    if is_traced():
        mean = x.double().mean(dim=(1, 2, 3), keepdim=True).to(x.dtype)
        variance = (x - mean).square().double().mean(dim=(1, 2, 3), keepdim=True).to(x.dtype)
    else:
        variance, mean = torch.var_mean(x, dim=(1, 2, 3), keepdim=True, correction=0)
    return (x - mean) * (variance + norm.eps).rsqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
