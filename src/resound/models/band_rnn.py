"""BandRNN, our own: a filter for each band from recurrences over time and over bands; small, full band, causal.

::

    waveform ─ STFT ─ ÷ level, compressed ─ bands ─ conv ─ conv ─ N × [GRU over time, over bands] ─ + ─ up ─ + ─ up
                │                                    └──────┴────────────────────────── skips ──────┴────────┘    │
                └──────────────────────────────────── × filter of a few frames ── bands to bins ──────────────────┘

Ideas it is made of: bands of equal width below, of growing width above (Valin 2018, arXiv 1709.08243; GTCRN, Rong et
al. 2024); recurrences over time and over bands in turn on few channels (Le et al. 2021, DPCRN, arXiv 2107.05429;
FastEnhancer, arXiv 2509.21867); a complex filter over some frames instead of a mask (Mack & Habets 2019, arXiv
1904.08369); magnitudes to the power of 0.3.  Sizes and the rest are ours.

Level: the spectrum is divided by the level so far, a running mean over some seconds that begins with the first frame.
What comes out is the input filtered, so that twice the input is exactly twice the output, down to -120 dBFS.

Band: what is removed in a bin is decided by the band that it belongs to; nothing is low-passed.

Delay: a window and ``lookahead_frames`` more, 30 ms with the default sizes; the hop that a stream waits for is in it.

Channels: with ``n_channels`` each voice is the sum of a filter of every channel, and begins as the first of them:
behind a denoiser the first is what it left, the last what it was given (`resound.inference.repair`).

Voices: with ``n_sources`` each has filters of its own.  ``both_ways`` lets the recurrences over time look ahead, for
recordings: who speaks is often clear only later.

What makes it fast: past the two convolutions there are a quarter as many bands; norms are those of batches, which are
part of the weights when it does not learn; a recording is one run of each GRU.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.models.layers import istft, product, stft
from resound.models.network import Network, NetworkConfig, State

POWER_FLOOR = 1e-12  # of full scale: -120 dBFS
CHUNK = 64  # frames whose running level is one product


class BandRNNConfig(NetworkConfig):
    """Sizes of BandRNN."""

    sample_rate: int = Field(48000, ge=4000, le=192_000)
    hop: int = Field(480, ge=16)  # half a window
    lookahead_frames: int = Field(1, ge=0, le=8)
    n_narrow: int = Field(80, ge=0)  # bins that are a band of their own: up to 4 kHz
    n_bands: int = Field(128, ge=8)  # in all; a multiple of 4
    channels: tuple[int, int] = (24, 48)  # after the convolutions, the second in the GRUs too
    band_hidden: int = Field(24, ge=1)  # of the GRU over bands, each way
    n_blocks: int = Field(3, ge=1)
    kernel: int = Field(5, ge=3)  # bands
    filter_frames: int = Field(3, ge=1, le=8)  # the one in the middle of the look-ahead, and those around it
    exponent: float = Field(0.3, gt=0, le=1)  # of magnitudes
    level_seconds: float = Field(3.0, gt=0)  # what the running level looks back
    both_ways: bool = False  # the GRUs over time too: not causal
    time_hidden: int | None = Field(None, ge=1)  # of the GRU over time, each way; None: as many as channels
    # How far from passing a filter has half of its effect; nearer it passes nearly.  What is clean stays as it is.
    shrinkage: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> BandRNNConfig:
        if min(self.n_channels, self.n_sources) > 1:
            raise ValueError(f"n_channels is {self.n_channels} and n_sources {self.n_sources}; one of them must be 1")
        if self.shrinkage and self.n_sources > 1:
            raise ValueError(
                f"shrinkage {self.shrinkage:g} is towards what passes all, which {self.n_sources} voices cannot; "
                "leave it 0, or set n_sources to 1"
            )
        if self.n_bands % 4:
            raise ValueError(f"n_bands must be a multiple of 4 (it is halved twice), got {self.n_bands}")
        if not self.kernel % 2:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        if not self.n_narrow < self.n_bands <= self.hop:
            raise ValueError(
                f"n_narrow {self.n_narrow} < n_bands {self.n_bands} <= hop {self.hop} does not hold; change one"
            )
        with torch.device("cpu"):  # also where a network of shapes alone is built
            is_in_a_band = band_weights(self).sum(dim=1) > 0
        if not bool(is_in_a_band.all()):
            raise ValueError(
                f"n_bands {self.n_bands}: too few for {self.hop + 1} bins of which {self.n_narrow} are bands of their "
                "own; raise n_bands or lower n_narrow"
            )
        if self.filter_frames > self.lookahead_frames + 2:
            raise ValueError(
                f"filter_frames {self.filter_frames}: at most lookahead_frames + 2 = {self.lookahead_frames + 2}"
            )
        return self


class BandRNN(Network):
    """Waveform ``(batch, channel, time)`` to ``(batch, source, time)``."""

    config: BandRNNConfig
    window: Tensor
    to_bands: Tensor
    passing: Tensor

    def __init__(self, config: BandRNNConfig) -> None:
        super().__init__(config)
        narrow, wide = config.channels
        kernel, n_seen = config.kernel, config.lookahead_frames + 2
        self.enter = ConvNorm(3 * n_seen * config.n_channels, narrow, kernel)
        self.down = ConvNorm(narrow, wide, kernel)
        self.place = nn.Parameter(torch.zeros(config.n_bands // 4, wide))  # what sets a band apart from others
        sizes = wide, self._time_hidden, config.band_hidden
        self.blocks = nn.ModuleList(Block(*sizes, both_ways=config.both_ways) for _ in range(config.n_blocks))
        self.up = UpNorm(wide, narrow)
        n_filters = config.n_sources * config.n_channels
        self.leave = nn.ConvTranspose1d(narrow, 2 * config.filter_frames * n_filters, 4, 2, 1)
        begins = torch.zeros(config.n_sources, config.n_channels, config.filter_frames, 2)
        begins[:, 0, self._middle, 0] = 1 / config.n_sources  # near to the input: a filter of 1 in the frame itself
        self.leave.bias = nn.Parameter(begins.flatten().clone())  # it learns, and `passing` stays
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
        self.register_buffer("passing", begins.flatten()[:, None], persistent=False)
        self.register_buffer("window", torch.hann_window(2 * config.hop).sqrt(), persistent=False)
        self.register_buffer("to_bands", band_weights(config), persistent=False)

    @property
    def looks_ahead(self) -> str:
        """Nothing, `latency_samples` are all, unless its GRUs run both ways."""
        return "its GRUs over time run both ways" if self.config.both_ways else ""

    @property
    def hop_samples(self) -> int:
        """`step` takes any multiple of it."""
        return self.config.hop

    @property
    def latency_samples(self) -> int:
        """The second half of the window and the frames ahead."""
        return (1 + self.config.lookahead_frames) * self.config.hop

    @property
    def follows_level(self) -> bool:
        """Yes, exactly."""
        return True

    @property
    def _time_hidden(self) -> int:
        """How wide the state of a GRU over time is."""
        return self.config.time_hidden or self.config.channels[1]

    @property
    def _middle(self) -> int:
        """Which frame of the filter, newest first, is the one that comes out."""
        return min(self.config.lookahead_frames, self.config.filter_frames - 1)

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        hop, n_samples = self.config.hop, waveform.shape[-1]
        n_late = self.latency_samples
        padded = functional.pad(waveform, (0, n_late + -n_samples % hop))
        sound, _ = self._run(padded, self.init_state(len(waveform)))
        return sound[..., n_late : n_late + n_samples]

    def init_state(self, batch_size: int = 1) -> State:
        """Return the state before the first sample."""
        config, like = self.config, self.place
        n_freqs, n_past = config.hop + 1, config.lookahead_frames + 1
        return {
            "samples": like.new_zeros(batch_size, config.n_channels, config.hop),
            "energy": like.new_zeros(batch_size, 2, dtype=torch.float32),
            "spectra": like.new_zeros(batch_size, config.n_channels, n_past, n_freqs, 2),
            "features": like.new_zeros(batch_size, n_past, 3 * config.n_channels, config.n_bands),
            "hidden": like.new_zeros(config.n_blocks, batch_size, config.n_bands // 4, self._time_hidden),
            "carry": like.new_zeros(batch_size, config.n_sources, config.hop),
        }

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return as many samples ``(batch, source, time)`` as came in, `latency_samples` late, and the next state."""
        self.check_frame(frame, self.config.hop)
        return self._run(frame, state)

    def flush(self, state: State) -> Tensor:
        """Return the last `latency_samples`."""
        zeros = state["samples"].new_zeros(*state["samples"].shape[:2], self.latency_samples)
        return self._run(zeros, state)[0]

    def _run(self, waveform: Tensor, state: State) -> tuple[Tensor, State]:
        """Return a stretch of whole hops filtered, late, and the state after it."""
        hop = self.config.hop
        following: dict[str, Any] = dict.fromkeys(state)  # in the order of the state, which a graph goes by
        samples = torch.cat([state["samples"], waveform], dim=-1)
        following["samples"] = samples[..., -hop:]
        spectra = stft(samples.flatten(0, 1), self.window, hop).unflatten(0, samples.shape[:2])
        features, following["energy"] = self._features(spectra, state["energy"])
        n_past, n_frames = self.config.lookahead_frames + 1, spectra.shape[2]
        features = torch.cat([state["features"], features], dim=1)
        spectra = torch.cat([state["spectra"], spectra], dim=2)
        following["features"], following["spectra"] = features[:, n_frames:], spectra[:, :, n_frames:]
        seen = torch.cat([features[:, n_past - k : n_past - k + n_frames] for k in range(n_past + 1)], dim=2)
        taps, following["hidden"] = self._taps(seen, state["hidden"])
        first = n_past - self.config.lookahead_frames + self._middle  # the newest frame that the filter takes
        heard = [spectra[:, :, first - k : first - k + n_frames] for k in range(self.config.filter_frames)]
        parts = [
            product(taps[:, :, channel, :, k], frames[:, None, channel])
            for k, frames in enumerate(heard)
            for channel in range(self.config.n_channels)
        ]
        filtered = functools.reduce(torch.add, parts)  # (batch, source, frame, bin, 2)
        sound = istft(filtered.flatten(0, 1), self.window, hop, endless=True)  # and a hop more: the ends fade
        sound = sound.unflatten(0, filtered.shape[:2])
        carried = torch.cat([state["carry"] + sound[..., :hop], sound[..., hop:]], dim=-1)
        following["carry"] = carried[..., -hop:]
        return carried[..., :-hop], following

    def _features(self, spectra: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Return of each channel the magnitudes, real and imaginary parts of bands, and the energy so far.

        ``(batch, frame, 3 · channel, band)`` of ``(batch, channel, frame, bin, 2)``.
        """
        config = self.config
        power = spectra.square().sum(dim=-1)
        of_full_scale = 2 / self.window.square().sum() / (2 * config.hop)  # the mean square of the samples
        level, energy = running_mean(power.sum(dim=-1).mean(dim=1) * of_full_scale, energy, self._decay)
        scale = (level + POWER_FLOOR).rsqrt()[:, None, :, None] / config.hop**0.5
        power = power * scale.square()
        compressed = (power + 1e-9) ** ((config.exponent - 1) / 2)
        parts = spectra * (scale * compressed)[..., None]
        magnitude = (power * compressed.square()).clamp_min(1e-12).sqrt()
        features = torch.stack([magnitude, parts[..., 0], parts[..., 1]], dim=2) @ self.to_bands
        return features.flatten(1, 2).transpose(1, 2), energy

    @property
    def _decay(self) -> float:
        """What a frame counts against the one after it."""
        return math.exp(-self.config.hop / self.config.sample_rate / self.config.level_seconds)

    def _taps(self, seen: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return the filters ``(batch, source, channel, frame, tap, bin, 2)`` and the state of the GRUs over time."""
        n_batch, n_frames = seen.shape[:2]
        outer = self.enter(seen.flatten(0, 1))
        inner = self.down(outer)
        x = inner.transpose(1, 2) + self.place  # (batch * frame, band, channel)
        kept = []
        for block, before in zip(self.blocks, hidden, strict=True):
            x, after = block(x, before, n_batch)
            kept.append(after)
        x = self.up(x.transpose(1, 2) + inner) + outer
        x = self._shrunk(self.leave(x)) @ self.to_bins
        x = (
            x.unflatten(1, (self.n_sources, self.config.n_channels, -1, 2))
            .transpose(4, 5)
            .unflatten(0, (n_batch, n_frames))
        )
        return x.permute(0, 2, 3, 1, 4, 5, 6), torch.stack(kept)

    def _shrunk(self, taps: Tensor) -> Tensor:
        """Return filters of bands, ``(batch * frame, tap, band)``, of which those near to passing pass.

        A distance d becomes d³ / (d² + shrinkage²), as James and Stein shrink.  A network knows its filters to a few
        per cent, and would else lay as much of an error on sound that needs nothing.  The gradient passes straight
        through (Bengio et al. 2013, arXiv 1308.3432): its own is next to nothing where filters begin, and they would
        stay there.
        """
        if not self.config.shrinkage:
            return taps
        away = taps - self.passing
        power = away.square().sum(dim=1, keepdim=True)
        return taps - (away * (self.config.shrinkage**2 / (power + self.config.shrinkage**2))).detach()

    @property
    def to_bins(self) -> Tensor:
        """How much of each band's filter is a bin's, ``(band, bin)``; of each bin it adds up to 1."""
        weights = self.to_bands.t()
        return weights / weights.sum(dim=0, keepdim=True)


class Block(nn.Module):
    """A GRU over time, the same for all bands, then one over bands, both ways; each with a way around it."""

    def __init__(self, width: int, time_hidden: int, band_hidden: int, *, both_ways: bool = False) -> None:
        super().__init__()
        self.both_ways = both_ways
        self.time = nn.GRU(width, time_hidden, bidirectional=both_ways)
        self.after_time = LinearNorm((1 + both_ways) * time_hidden, width)
        self.bands = nn.GRU(width, band_hidden, batch_first=True, bidirectional=True)
        self.after_bands = LinearNorm(2 * band_hidden, width)

    def forward(self, x: Tensor, hidden: Tensor, n_batch: int) -> tuple[Tensor, Tensor]:
        """Return ``(batch * frame, band, channel)`` for the same, and the state ``(batch, band, channel)``."""
        n_bands = x.shape[1]
        over_time = x.unflatten(0, (n_batch, -1)).transpose(0, 1).flatten(1, 2)  # (frame, batch * band, channel)
        before = None if self.both_ways else hidden.flatten(0, 1)[None].contiguous()
        y, after = self.time(over_time, before)
        y = y.unflatten(1, (n_batch, n_bands)).transpose(0, 1).flatten(0, 1)
        x = x + self.after_time(y)
        y, _ = self.bands(x)
        return x + self.after_bands(y), after[0].unflatten(0, (n_batch, n_bands))


class LinearNorm(nn.Module):
    """A linear layer and the norm of the batch."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., out)`` for ``(..., in)``."""
        y = self.linear(x)
        return self.norm(y.flatten(0, -2)).view_as(y)


class ConvNorm(nn.Sequential):
    """A convolution over bands that halves them, the norm of the batch, and a rectifier."""

    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        super().__init__(nn.Conv1d(n_in, n_out, kernel, 2, kernel // 2, bias=False), nn.BatchNorm1d(n_out), nn.SiLU())


class UpNorm(nn.Sequential):
    """The other way."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(nn.ConvTranspose1d(n_in, n_out, 4, 2, 1, bias=False), nn.BatchNorm1d(n_out), nn.SiLU())


def band_weights(config: BandRNNConfig) -> Tensor:
    """Return how much of each bin is in each band, ``(bin, band)``; of each band it adds up to 1.

    The first bins are bands of their own; above, triangles overlap whose widths grow by the same factor.
    """
    n_freqs, n_narrow, n_wide = config.hop + 1, config.n_narrow, config.n_bands - config.n_narrow
    centres = torch.cat([torch.arange(n_narrow).double(), _centres(n_narrow, n_freqs - 1, n_wide)])
    bins = torch.arange(n_freqs).double()[:, None]
    below = centres - torch.cat([centres[:1] - 1, centres[:-1]])
    above = torch.cat([centres[1:], centres[-1:] + 1]) - centres
    weights = torch.minimum(1 - (centres - bins) / below, 1 - (bins - centres) / above).clamp_min(0)
    return (weights / weights.sum(dim=0)).float()


def _centres(first: int, last: int, n: int) -> Tensor:
    """Return ``n`` places from one bin to another whose distances grow by the same factor, the first at least 1."""
    low, high = 1.0, 4.0
    for _ in range(60):  # the factor for which the distances add up
        factor = (low + high) / 2
        low, high = (factor, high) if sum(factor**k for k in range(n - 1)) < last - first else (low, factor)
    return first + torch.tensor([0.0, *(low**k for k in range(n - 1))]).double().cumsum(dim=0)


def running_mean(values: Tensor, state: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Return the mean of all ``(batch, frame)`` so far, what is old counting less, and the state ``(batch, 2)``.

    The state holds the weighted sum and the sum of the weights: the mean of one frame is that frame.
    """
    n_frames = values.shape[1]
    chunk = n_frames if isinstance(n_frames, int) and n_frames < CHUNK else CHUNK  # in a graph of any length: no number
    both = torch.stack([values, torch.ones_like(values)], dim=1)
    chunks = functional.pad(both, (0, -n_frames % chunk)).unflatten(-1, (-1, chunk))
    within = weighted_sums(chunks, decay)  # (batch, 2, chunk, frame)
    decay_of_chunk = decay**chunk
    until = functional.pad(weighted_sums(within[..., -1], decay_of_chunk), (1, -1))  # of all chunks before
    until = until + state.unsqueeze(-1) * decay_of_chunk ** _counted(until)
    sums = within + until.unsqueeze(-1) * decay ** (_counted(within) + 1)
    sums = sums.flatten(-2)[..., :n_frames]
    return sums[:, 0] / sums[:, 1], sums[..., -1]


def weighted_sums(values: Tensor, decay: float) -> Tensor:
    """Return the sums of ``(..., frame)`` up to each, a value that is n frames old times ``decay ** n``."""
    index = _counted(values)
    age = index[:, None] - index
    return values @ torch.where(age >= 0, decay ** age.clamp_min(0), 0.0).t()


def _counted(values: Tensor) -> Tensor:
    """Count the values along the last axis, in their own type: in ONNX a power of whole numbers is whole."""
    return torch.arange(values.shape[-1], device=values.device).to(values.dtype)
