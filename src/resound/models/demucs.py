"""Demucs for speech: convolutions down, an LSTM, transposed convolutions up (Défossez et al. 2020, arXiv 2006.12847).

::

    waveform ─ ÷ scale ─ sinc ×4 ─ encoders ─┬─ LSTM ─ + ─ decoders ─ sinc ÷4 ─ × scale ─ (batch, source, time)
                                             └─ skips ─┘  (one from every encoder to its decoder)
    encoder:  convolution (kernel 8, stride 4) ─ ReLU ─ 1×1 ─ GLU
    decoder:  1×1 ─ GLU ─ transposed convolution (kernel 8, stride 4) ─ ReLU (not in the last)

Parameters: 18,867,937 at hidden 48 and 33,533,569 at hidden 64, causal, the other sizes as they are by default.

Where it differs from the paper: nothing with ``normalisation="whole"``, which is how the published weights were
trained.  That scale, the standard deviation of the whole recording, knows the future; ``"running"`` divides each
sample by the level of all samples until it.  A causal network with ``"running"`` or ``"none"`` streams, and ends as a
stream ends: frames that begin within the last 37 ms count too, while the original (and ``"whole"``) leaves them out.

What makes it fast: everything is ``(batch, time, channel)``.  Such a tensor, seen as rows of one stride each, makes of
a convolution, and of its transposed form, two matrix products without a copy, or three products for two rows in the
place of four; the weights lie in memory as these products read them, under the shape that they have in the original.
A layer and its gradient go through the time in pieces that stay in the cache.  The sinc filters are a product with a
Toeplitz matrix, a hundred times faster than a convolution with one channel.  A streamed frame computes each value
once: every layer keeps the few columns that it needs again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.errors import ModelError
from resound.models.layers import level_of, level_until
from resound.models.network import Network, NetworkConfig, State

N_ZEROS = 56  # zero crossings on each side of the sinc
N_TAPS = 2 * N_ZEROS
BLOCK = 128  # samples that one product with the Toeplitz matrix filters
ROWS_IN_CACHE = 4096 * 48  # values of a layer that are gated at a time
NARROW, FEW_ROWS = 48, 128  # smaller products are not worth being saved, see `_Taps`
FEW_FRAMES = 8  # up to here the LSTM is stepped by hand: starting the whole one costs more


class DemucsConfig(NetworkConfig):
    """Sizes of Demucs; the defaults are the paper's causal one."""

    hidden: int = Field(48, ge=1)  # H
    depth: int = Field(5, ge=1, le=10)  # L
    kernel: int = Field(8, ge=1)  # K
    stride: int = Field(4, ge=1)  # S
    resample: Literal[1, 2, 4] = 4  # U
    growth: float = Field(2.0, gt=0)  # of the channels from layer to layer
    max_hidden: int = Field(10_000, ge=1)
    glu: bool = True  # False: ReLU in its place
    causal: bool = True  # False: the LSTM runs both ways
    normalisation: Literal["whole", "running", "none"] = "running"
    floor: float = Field(1e-3, gt=0)  # added to the scale
    rescale: float = Field(0.1, ge=0)  # of the weights at the start, towards this deviation; 0: leave them

    @model_validator(mode="after")
    def _check(self) -> DemucsConfig:
        if self.kernel % self.stride:
            raise ValueError(f"kernel must be a multiple of stride, got {self.kernel} and {self.stride}")
        if self.stride**self.depth % self.resample:
            raise ValueError(
                f"stride ** depth must be a multiple of resample, got {self.stride} ** {self.depth} and {self.resample}"
            )
        return self

    @property
    def channels(self) -> list[int]:
        """Channels after each encoder."""
        widths = [self.hidden]
        while len(widths) < self.depth:
            widths.append(min(int(self.growth * widths[-1]), self.max_hidden))
        return widths

    @property
    def frame(self) -> int:
        """Up-sampled samples from one column of the LSTM to the next."""
        return self.stride**self.depth

    @property
    def span(self) -> int:
        """Up-sampled samples that one column of the LSTM is made from."""
        return self.spans[0]

    @property
    def spans(self) -> list[int]:
        """Columns of every layer, from the waveform down, that one column of the LSTM is made from."""
        spans = [1]
        for _ in range(self.depth):
            spans.append((spans[-1] - 1) * self.stride + self.kernel)
        return spans[::-1]


class Demucs(Network):
    """Waveform ``(batch, channel, time)`` to ``(batch, source, time)``."""

    config: DemucsConfig
    toeplitz: Tensor

    def __init__(self, config: DemucsConfig) -> None:
        super().__init__(config)
        widths = config.channels
        self.encoder = nn.ModuleList(
            Encoder(config, n_in, n_out) for n_in, n_out in zip([config.n_channels, *widths], widths, strict=False)
        )
        self.lstm = nn.LSTM(widths[-1], widths[-1], 2, batch_first=True, bidirectional=not config.causal)
        self.linear = None if config.causal else nn.Linear(2 * widths[-1], widths[-1])
        self.decoder = nn.ModuleList(  # from the LSTM to the waveform
            Decoder(config, n_in, n_out, is_last=level == 0)
            for level, (n_in, n_out) in reversed([*enumerate(zip(widths, [config.n_sources, *widths], strict=False))])
        )
        if config.rescale:
            for layer in self.modules():
                if isinstance(layer, Convolution):
                    layer.rescale(config.rescale)
        self.register_buffer("toeplitz", _toeplitz(), persistent=False)

    @property
    def is_causal(self) -> bool:
        """Whether it streams: a one-way LSTM, and a scale that does not know the future."""
        return self.config.causal and self.config.normalisation != "whole"

    @property
    def hop_samples(self) -> int:
        """Samples of one column of the LSTM: `step` takes any multiple of it."""
        return self.config.frame // self.config.resample

    @property
    def latency_samples(self) -> int:
        """What all layers look ahead: hops that the convolutions and the up-sampling wait for, then the down-sampling.

        No output sample depends on a later hop than the one that holds the sample ``latency_samples`` after it.
        """
        return self._wait * self.hop_samples + 2 * N_ZEROS * (self.config.resample - 1) // self.config.resample

    def train(self, mode: bool = True) -> Demucs:
        """Set training or evaluation, and lay the weights of the LSTM for it.

        A streamed frame reads all of them once from memory, which goes much faster in the order of its products; the
        gradients come in the order that torch has.
        """
        for weight in self.lstm.parameters():
            if weight.ndim == 2 and weight.device.type == "cpu":
                weight.data = weight.data.contiguous() if mode else _laid_out(weight.data, (1, 0))
        return super().train(mode)

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        x, scale = self._normalise(waveform)
        n_frames = self._n_frames(n_samples)
        n_up = (n_frames - 1) * config.frame + config.span
        # The original's filter sees zeros after the end, but only as many as the convolutions use.
        ringing = 2 * N_ZEROS if self.is_causal else 0
        x = functional.pad(x, (0, max(-(-n_up // config.resample) + ringing - n_samples, 0)))
        x = self._up(x)[..., :n_up]
        y = self._columns(x.transpose(1, 2)).transpose(1, 2)
        if self.is_causal:
            y = y[..., : n_frames * config.frame]  # what follows waits for frames that are not there
        y = self._down(y)[..., :n_samples]
        return y if scale is None else y * scale

    def _n_frames(self, n_samples: int) -> int:
        """Return how many columns the LSTM has for a recording."""
        config, n_up = self.config, n_samples * self.config.resample
        if self.is_causal:
            return (n_up - config.resample + _ahead_down(config.resample)) // config.frame + 1
        return max(-(-(n_up - config.span) // config.frame), 0) + 1

    def _normalise(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the waveform at about unit level and what undoes it, ``(batch, 1, 1 or time)``."""
        config = self.config
        if config.normalisation == "none":
            return waveform, None
        mono = waveform.mean(dim=1, keepdim=True)
        scale = level_of(mono) if config.normalisation == "whole" else level_until(mono)[0]
        return waveform / (config.floor + scale), scale

    def _columns(self, x: Tensor) -> Tensor:
        """The network between the resamplings: ``(batch, time, channel)`` to ``(batch, time, source)``."""
        skips = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        x, _ = self.lstm(x)
        if self.linear is not None:
            x = self.linear(x)
        for decode in self.decoder:
            x = decode(x + skips.pop())  # of the same length, since only full columns are made
        return x

    def _up(self, x: Tensor) -> Tensor:
        """Return ``(batch, channel, resample · time)``."""
        for _ in range(_n_stages(self.config.resample)):
            x = _interleave(x, _filter(functional.pad(x, (N_ZEROS - 1, N_ZEROS)), self.toeplitz))
        return x

    def _down(self, x: Tensor) -> Tensor:
        """Return ``(batch, source, time / resample)``."""
        for _ in range(_n_stages(self.config.resample)):
            x = functional.pad(x, (0, x.shape[-1] % 2))
            between = _filter(functional.pad(x[..., 1::2], (N_ZEROS, N_ZEROS - 1)), self.toeplitz)
            x = 0.5 * (x[..., ::2] + between)
        return x

    # Streaming.  A call receives hops i, i + 1 ...; with these, the columns i - wait ... of the LSTM can be made.  The
    # first calls make columns before the first: `Clock` takes them out wherever they would reach a later one.

    def init_state(self, batch_size: int = 1) -> State:
        """Return the state before the first sample.  Raises `ModelError` when it is not causal."""
        config = self.config
        if not self.is_causal:
            raise ModelError(
                "Demucs: this one is not causal and cannot stream; build it with causal=true and normalisation=running"
            )
        like = next(self.parameters())
        n_stages, n_sources, widths = _n_stages(config.resample), config.n_sources, config.channels

        def zeros(*shape: int) -> Tensor:
            return like.new_zeros(batch_size, *shape)

        steps = [config.stride ** (config.depth - level) for level in range(config.depth + 1)]  # columns in a frame
        return {
            "n_hops": torch.zeros((), dtype=torch.int64, device=like.device),
            "energy": torch.zeros(batch_size, 1, 1, dtype=torch.float64, device=like.device),
            "scale": zeros(1, self.latency_samples),
            "up": tuple(zeros(config.n_channels, N_TAPS - 1) for _ in range(n_stages)),
            "wait": zeros(config.n_channels, self._slack_up),
            "encoder": tuple(zeros(config.kernel - config.stride, n) for n in [config.n_channels, *widths[:-1]]),
            "skip": tuple(
                zeros(span - step, n) for span, step, n in zip(config.spans[1:], steps[1:], widths, strict=True)
            ),
            "hidden": tuple((zeros(widths[-1]), zeros(widths[-1])) for _ in range(2)),
            "decoder": tuple(zeros(config.kernel - config.stride, n) for n in [*reversed(widths[:-1]), n_sources]),
            "down": tuple(zeros(n_sources, 2 * N_TAPS) for _ in range(n_stages)),
        }

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next samples, ``latency_samples`` late: ``(batch, source, time)`` for ``(batch, channel, time)``.

        The time is any multiple of ``hop_samples``.  `state` is left as it was.
        """
        config, hop = self.config, self.hop_samples
        if frame.ndim != 3 or frame.shape[-1] == 0 or frame.shape[-1] % hop:
            raise ModelError(f"Demucs: step expects (batch, channel, a multiple of {hop}), got {tuple(frame.shape)}")
        following: dict[str, Any] = {"n_hops": state["n_hops"] + frame.shape[-1] // hop}
        clock = Clock(state["n_hops"], frame.shape[-1] // hop)
        x, scale, following["energy"] = frame, None, state["energy"]
        if config.normalisation == "running":
            mono = frame.mean(dim=1, keepdim=True)
            scale, following["energy"] = level_until(mono, state["energy"], state["n_hops"] * hop)
            x = frame / (config.floor + scale)
        x, following["up"] = self._step_up(x, state["up"], clock)
        x, following["wait"] = _delay(x, state["wait"])
        y, columns = self._step_columns(x.transpose(1, 2), state, clock)
        y, following["down"] = self._step_down(y.transpose(1, 2), state["down"], clock)
        following["scale"] = state["scale"]
        if scale is not None:
            scale, following["scale"] = _delay(scale, state["scale"])
            y = y * scale
        return y, following | columns

    def flush(self, state: State) -> Tensor:
        """Return the last ``latency_samples``: ``(batch, source, time)``."""
        late, hop, like = self.latency_samples, self.hop_samples, state["wait"]
        if late == 0:
            return like.new_zeros(len(like), self.config.n_sources, 0)
        silence = like.new_zeros(len(like), self.config.n_channels, -(-late // hop) * hop)
        return self.step(silence, state)[0][..., :late]

    @property
    def _needed(self) -> int:
        """Up-sampled samples that must have come before the first column of the LSTM, the filters' delay with them."""
        return self.config.span + N_ZEROS * (2 * self.config.resample - 2)

    @property
    def _wait(self) -> int:
        """Hops after its own that a column of the LSTM waits for."""
        return -(-self._needed // self.config.frame) - 1

    @property
    def _slack_up(self) -> int:
        """Up-sampled samples that are there before the columns need them."""
        return (self._wait + 1) * self.config.frame - self._needed

    def _step_up(self, x: Tensor, pasts: tuple[Tensor, ...], clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
        late, rate = 0, self.hop_samples
        kept: list[Tensor] = []
        for past in pasts:
            if late:  # the filter rings before the first sample, where the original has nothing
                x = x * clock.exists(rate, late)
            x = torch.cat([past, x], dim=-1)
            kept.append(x[..., x.shape[-1] - N_TAPS + 1 :])
            x = _interleave(x[..., N_ZEROS - 1 : -N_ZEROS], _filter(x, self.toeplitz))
            late, rate = 2 * (late + N_ZEROS), 2 * rate
        return x, tuple(kept)

    def _step_columns(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, dict[str, Any]]:
        encoder, skip, decoder, skips = [], [], [], []
        encoders: Any = self.encoder
        decoders: Any = self.decoder
        for encode, past, earlier in zip(encoders, state["encoder"], state["skip"], strict=True):
            x, past = encode.step(x, past)
            encoder.append(past)
            now, earlier = _delay(x, earlier, dim=1)
            skips.append(now)
            skip.append(earlier)
        x, hidden = self._step_lstm(x, state["hidden"], clock)
        exists = clock.exists(1, self._wait).unsqueeze(-1)
        for decode, carry in zip(decoders, state["decoder"], strict=True):
            x = x + skips.pop()
            x, carry = decode.step(x, carry, exists)
            decoder.append(carry)
        x = _only(x, exists)
        return x, {"encoder": tuple(encoder), "skip": tuple(skip), "hidden": hidden, "decoder": tuple(decoder)}

    def _step_lstm(self, x: Tensor, hidden: Any, clock: Clock) -> tuple[Tensor, Any]:
        """Return the LSTM's output and state; columns before the first leave the state at zero."""
        by_hand = x.shape[1] if x.shape[1] <= FEW_FRAMES else min(self._wait, x.shape[1])
        exists = clock.exists(1, self._wait)
        parts = []
        for index in range(by_hand):
            column, layers = x[:, index], []
            for layer, (h, c) in enumerate(hidden):
                h, c = self._step_cell(column, h, c, layer)
                layers.append((h * exists[index], c * exists[index]))
                column = h
            hidden = tuple(layers)
            parts.append(column.unsqueeze(1))
        if by_hand < x.shape[1]:
            h, c = (torch.stack(of) for of in zip(*hidden, strict=True))
            out, (h, c) = self.lstm(x[:, by_hand:], (h, c))
            parts.append(out)
            hidden = tuple(zip(h.unbind(), c.unbind(), strict=True))
        return torch.cat(parts, dim=1), hidden

    def _step_cell(self, x: Tensor, h: Tensor, c: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """One time step of one layer: two products that read their weights once, in the order of memory."""
        lstm = self.lstm
        gates = functional.linear(x, getattr(lstm, f"weight_ih_l{layer}"), getattr(lstm, f"bias_ih_l{layer}"))
        gates = gates + functional.linear(h, getattr(lstm, f"weight_hh_l{layer}"), getattr(lstm, f"bias_hh_l{layer}"))
        i, f, g, o = gates.chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def _step_down(self, x: Tensor, pasts: tuple[Tensor, ...], clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
        late, rate = self._wait * self.config.frame, self.config.frame
        kept: list[Tensor] = []
        for past in pasts:
            if kept:
                x = x * clock.exists(rate, late)
            x = torch.cat([past, x], dim=-1)
            kept.append(x[..., x.shape[-1] - 2 * N_TAPS :])
            # Half a filter late, rounded up, so that even samples stay even.
            x = 0.5 * (x[..., 2 * N_ZEROS : -2 * N_ZEROS : 2] + _filter(x[..., 1:-1:2], self.toeplitz))
            late, rate = late // 2 + N_ZEROS, rate // 2
        return x, tuple(kept)


class Clock:
    """Says which of the values that a call of `Demucs.step` makes belong to a time before the first sample."""

    def __init__(self, n_hops: Tensor, n_new: int) -> None:
        self.n_hops, self.n_new = n_hops, n_new

    def exists(self, rate: int, late: int) -> Tensor:
        """Return 1 or 0 for each of ``rate`` values a hop that come ``late`` values after their time: ``(time,)``."""
        return (self.after(rate) > late).float()

    def after(self, rate: int) -> Tensor:
        """Return how many values have been, each counted, at ``rate`` a hop: ``(time,)``."""
        return torch.arange(1, self.n_new * rate + 1, device=self.n_hops.device) + self.n_hops * rate


class Convolution(nn.Module):
    """Weight and bias of a convolution, and the products that they are for.

    ``weight`` has the shape of a `torch.nn.Conv1d` or, transposed, of a `torch.nn.ConvTranspose1d`, and in memory the
    order ``order``, in which `taps` can see it as matrices.
    """

    def __init__(self, shape: tuple[int, int, int], n_out: int, stride: int, order: tuple[int, int, int]) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(_laid_out(torch.empty(shape), order))
        self.bias = nn.Parameter(torch.empty(n_out))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as torch does for its convolutions
        nn.init.uniform_(self.bias, -1 / math.sqrt(shape[1] * shape[2]), 1 / math.sqrt(shape[1] * shape[2]))

    def rescale(self, reference: float) -> None:
        """Bring the weights half of the way, in dB, to a deviation (section 3.1 of arXiv 1911.13254)."""
        with torch.no_grad():
            scale = (self.weight.std() / reference).sqrt()
            self.weight.div_(scale)
            self.bias.div_(scale)


class Down(Convolution):
    """Convolution with a stride: ``(batch, time, channel)`` to ``(batch, time / stride, channel)``, whole windows."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__((n_out, n_in, kernel), n_out, stride, (2, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the columns whose window is whole."""
        if not _by_hand(x):
            return functional.conv1d(x.transpose(1, 2), self.weight, self.bias, self.stride).transpose(1, 2)
        return _convolve(*_in_one_type(self.rows(x), self.taps(), self.bias))

    def rows(self, x: Tensor) -> Tensor:
        """Return the columns of each stride as one row: ``(batch, time / stride, stride · channel)``."""
        return x.reshape(len(x), x.shape[1] // self.stride, -1)

    def taps(self) -> Tensor:
        """Return the weights as a matrix for each row of a window: ``(tap, stride · channel, channel)``."""
        n_out, n_in, kernel = self.weight.shape
        return self.weight.permute(2, 1, 0).reshape(kernel // self.stride, self.stride * n_in, n_out)


class Up(Convolution):
    """Transposed convolution: ``(batch, time, channel)`` to ``(batch, (time - 1) · stride + kernel, channel)``."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__((n_in, n_out, kernel), n_out, stride, (0, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the overlapping windows."""
        if not _by_hand(x):
            return functional.conv_transpose1d(x.transpose(1, 2), self.weight, self.bias, self.stride).transpose(1, 2)
        return self.columns(_overlap_add(*_in_one_type(x, self.taps(), self.biases())))

    def windows(self, x: Tensor) -> Tensor:
        """Return what each column adds to its window, as rows of a stride: ``(batch, time, row, stride · channel)``.

        For few columns, where the time is that of reading the weights: one product reads them as they lie.
        """
        n_in, _, kernel = self.weight.shape
        products = x @ self.weight.permute(0, 2, 1).reshape(n_in, -1)
        return products.unflatten(-1, (kernel // self.stride, -1))

    def columns(self, rows: Tensor) -> Tensor:
        """Return the columns that rows of one stride each hold."""
        return rows.reshape(len(rows), -1, len(self.bias))

    def taps(self) -> Tensor:
        """Return the weights as a matrix for each row of a window: ``(tap, channel, stride · channel)``."""
        n_in, n_out, kernel = self.weight.shape
        matrices = self.weight.permute(0, 2, 1).reshape(n_in, kernel // self.stride, self.stride * n_out)
        return matrices.transpose(0, 1)

    def biases(self) -> Tensor:
        """Return the bias of a row."""
        return self.bias.repeat(self.stride)


class Gate(Convolution):
    """1×1 convolution, then GLU (or ReLU): ``(batch, time, channel)`` to the same."""

    def __init__(self, n_channels: int, glu: bool) -> None:
        n_out = 2 * n_channels if glu else n_channels
        super().__init__((n_out, n_channels, 1), n_out, 1, (1, 2, 0))
        self.glu = glu

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated columns."""
        if not self.glu:
            return functional.linear(x, self.weight.squeeze(-1), self.bias).relu()
        if not _by_hand(x):
            return functional.glu(functional.linear(x, self.weight.squeeze(-1), self.bias), dim=-1)
        return _gate(*_in_one_type(x, self.matrix(), self.bias))

    def matrix(self) -> Tensor:
        """Return the weights as ``(channel in, channel out)``."""
        return self.weight.squeeze(-1).t()


class Encoder(nn.Module):
    """One layer down."""

    def __init__(self, config: DemucsConfig, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = Down(n_in, n_out, config.kernel, config.stride)
        self.gate = Gate(n_out, config.glu)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, (time - kernel) / stride + 1, channel)``."""
        conv, gate = self.conv, self.gate
        if not (gate.glu and _by_hand(x, training=True)):
            return gate(functional.relu(conv(x), inplace=True))
        tensors = _in_one_type(conv.rows(x), conv.taps(), conv.bias, gate.matrix(), gate.bias)
        return _Encode.apply(*tensors) if torch.is_grad_enabled() else _encode(*tensors, keep=False)[0]

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns that the new ones complete, and what the next call needs again."""
        x = torch.cat([past, x], dim=1)
        return self(x), x[:, x.shape[1] - past.shape[1] :]


class Decoder(nn.Module):
    """One layer up."""

    def __init__(self, config: DemucsConfig, n_in: int, n_out: int, *, is_last: bool) -> None:
        super().__init__()
        self.gate = Gate(n_in, config.glu)
        self.conv = Up(n_in, n_out, config.kernel, config.stride)
        self.is_last = is_last

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, (time - 1) · stride + kernel, channel)``."""
        conv, gate = self.conv, self.gate
        if not (gate.glu and _by_hand(x, training=True)):
            x = conv(gate(x))
            return x if self.is_last else functional.relu(x, inplace=True)
        tensors = _in_one_type(x, gate.matrix(), gate.bias, conv.taps(), conv.biases())
        if torch.is_grad_enabled():
            return conv.columns(_Decode.apply(*tensors, self.is_last))
        return conv.columns(_decode(*tensors, is_last=self.is_last, keep=False)[0])

    def step(self, x: Tensor, carry: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns that are complete, and the sum so far of those that are not."""
        rows = self.conv.windows(_only(self.gate(x), exists))
        n_late = rows.shape[2] - 1
        parts = [functional.pad(rows[:, :, j], (0, 0, j, n_late - j)) for j in range(n_late + 1)]
        parts.append(functional.pad(carry.reshape(len(x), n_late, rows.shape[-1]), (0, 0, 0, x.shape[1])))
        done, carry = self.conv.columns(sum(parts[1:], parts[0])).split(
            [x.shape[1] * self.conv.stride, carry.shape[1]], 1
        )
        done = done + self.conv.bias
        return (done if self.is_last else done.relu()), carry


def _laid_out(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """Return the tensor with its axes in memory in the given order."""
    inverse = sorted(range(len(order)), key=lambda axis: order[axis])
    return tensor.permute(order).contiguous().permute(inverse)


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


def _by_hand(x: Tensor, training: bool = False) -> bool:
    """Whether the products below are to be used: on processors, and where no graph is made of the operations.

    Gradients come from `_Encode` and `_Decode`, which are whole layers; the parts are for what needs none.
    """
    return x.device.type == "cpu" and not _is_traced() and (training or not torch.is_grad_enabled())


def _in_one_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors in the type that autocast has for products."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)


class _Taps:
    """The matrices of a convolution on rows: ``y[i] = sum of rows[i + j] @ taps[j]``, and its gradient.

    With two taps, two rows of output need three products instead of four, since with d = rows[i] - rows[i + 1]::

        y[0] = d[0] @ taps[0] + rows[1] @ (taps[0] + taps[1])
        y[1] = rows[1] @ (taps[0] + taps[1]) - d[1] @ taps[1]

    (Winograd's F(2, 2); it costs one bit of precision.)
    """

    def __init__(self, taps: Sequence[Tensor], n_rows: int) -> None:
        self.taps = taps
        self.in_pairs = len(taps) == 2 and min(taps[0].shape) >= NARROW and n_rows >= FEW_ROWS
        self.both = taps[0] + taps[1] if self.in_pairs else None

    def convolve(self, rows: Tensor, bias: Tensor | None, out: Tensor) -> None:
        """Write what the rows of `out` are."""
        n_rows = len(out)
        if self.both is not None and n_rows > 1:
            n_rows -= n_rows % 2
            differences = rows[:n_rows] - rows[1 : n_rows + 1]
            shared = _product(rows[1 : n_rows + 1 : 2], self.both, bias)
            pairs = out[:n_rows].unflatten(0, (-1, 2))
            pairs.copy_(shared.unsqueeze(1))
            pairs[:, 0].addmm_(differences[::2], self.taps[0])
            pairs[:, 1].addmm_(differences[1::2], self.taps[1], alpha=-1)
            rows, out = rows[n_rows:], out[n_rows:]
        if len(out):
            _product(rows[: len(out)], self.taps[0], bias, out)
            for j, tap in enumerate(self.taps[1:], start=1):
                out.addmm_(rows[j : j + len(out)], tap)


class _GradientOfTaps:
    """Sums ``rows[i + j]ᵀ @ y[i]`` over i for each tap j, piece by piece, in pairs as `_Taps` does."""

    def __init__(self, taps: _Taps) -> None:
        self.taps = [torch.zeros_like(tap) for tap in taps.taps]
        self.both = torch.zeros_like(taps.taps[0]) if taps.in_pairs else None

    def add(self, rows: Tensor, y: Tensor) -> None:
        """Take the products of another piece."""
        n_rows = len(y)
        if self.both is not None and n_rows > 1:
            n_rows -= n_rows % 2
            differences = rows[:n_rows] - rows[1 : n_rows + 1]
            self.taps[0].addmm_(differences[::2].t(), y[:n_rows:2])
            self.taps[1].addmm_(differences[1::2].t(), y[1:n_rows:2], alpha=-1)
            self.both.addmm_(rows[1 : n_rows + 1 : 2].t(), y[:n_rows:2] + y[1:n_rows:2])
            rows, y = rows[n_rows:], y[n_rows:]
        if len(y):
            for j, tap in enumerate(self.taps):
                tap.addmm_(rows[j : j + len(y)].t(), y)

    def result(self) -> list[Tensor]:
        """Return the gradient of each tap."""
        return self.taps if self.both is None else [tap + self.both for tap in self.taps]


def _product(rows: Tensor, matrix: Tensor, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    return torch.mm(rows, matrix, out=out) if bias is None else torch.addmm(bias, rows, matrix, out=out)


def _convolve(rows: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """Return ``y[i] = bias + sum of rows[i + j] @ taps[j]``, (batch, row, b) for (batch, row, a) and (j, a, b)."""
    y = rows.new_empty(len(rows), rows.shape[1] - len(taps) + 1, taps.shape[-1])
    matrices = _Taps(taps.unbind(), y.shape[1])
    for x, out in zip(rows, y, strict=True):
        for start, stop in _pieces(len(out), taps.shape[-1]):
            matrices.convolve(x[start:], bias, out[start:stop])
    return y


def _overlap_add(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """Return ``y[i] = bias + sum of x[i - j] @ taps[j]``, (batch, row, b) for (batch, row, a) and (j, a, b)."""
    n_late = len(taps) - 1
    return _overlap_add_padded(functional.pad(x, (0, 0, n_late, n_late)), taps, bias)


def _overlap_add_padded(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """Return the same of `x` with the zeros around it, where it is a convolution with the taps in reverse order."""
    y = x.new_empty(len(x), x.shape[1] - len(taps) + 1, taps.shape[-1])
    matrices = _Taps(taps.unbind()[::-1], y.shape[1])
    for columns, out in zip(x, y, strict=True):
        for start, stop in _pieces(len(out), x.shape[-1]):
            matrices.convolve(columns[start:], bias, out[start:stop])
    return y


def _gate(x: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """Return ``(x @ matrix + bias)`` with half of its channels times the sigmoid of the other half: (batch, row, a)."""
    rows = x.reshape(-1, x.shape[-1])
    n_rows = _rows_in_cache(rows)
    y, both = torch.empty_like(rows), rows.new_empty(min(n_rows, len(rows)), len(bias))
    for part, out in zip(rows.split(n_rows), y.split(n_rows), strict=True):
        _gate_rows(part, matrix, bias, both[: len(part)], out)
    return y.view(x.shape)


def _gate_rows(rows: Tensor, matrix: Tensor, bias: Tensor, both: Tensor, out: Tensor) -> None:
    """Write the values and the sigmoids that they are gated with to `both`, and their product to `out`."""
    torch.addmm(bias, rows, matrix, out=both)
    values, gates = both.chunk(2, dim=-1)
    torch.mul(values, gates.sigmoid_(), out=out)


def _gradient_of_gate(of_out: Tensor, both: Tensor, of_both: Tensor) -> None:
    """Write the gradient of what `_gate_rows` wrote to `both`, before the sigmoid, to `of_both`."""
    (values, gates), (of_values, of_gates) = both.chunk(2, dim=-1), of_both.chunk(2, dim=-1)
    torch.mul(of_out, gates, out=of_values)
    torch.mul(of_values, values, out=of_gates)
    of_gates.mul_(1 - gates)  # the slope of a sigmoid g is g (1 - g)


def _rows_in_cache(rows: Tensor) -> int:
    return max(ROWS_IN_CACHE // rows.shape[-1], 1)


def _encode(
    rows: Tensor, taps: Tensor, bias: Tensor, matrix: Tensor, gate_bias: Tensor, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer down, and what is between convolution and gate and in the gate, whole if it is to be kept."""
    n_rows = rows.shape[1] - len(taps) + 1
    pieces = _pieces(n_rows, len(bias))
    shape = (len(rows), n_rows) if keep else (1, pieces[0][1])
    y, x, both = (
        rows.new_empty(len(rows), n_rows, len(bias)),
        *(rows.new_empty(*shape, len(b)) for b in (bias, gate_bias)),
    )
    matrices = _Taps(taps.unbind(), n_rows)
    for example in range(len(rows)):
        for start, stop in pieces:
            here = (example, slice(start, stop)) if keep else (0, slice(stop - start))
            matrices.convolve(rows[example, start:], bias, x[here])
            _gate_rows(x[here].relu_(), matrix, gate_bias, both[here], y[example, start:stop])
    return y, x, both


def _decode(
    x: Tensor, matrix: Tensor, gate_bias: Tensor, taps: Tensor, bias: Tensor, *, is_last: bool, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of a layer up, and what is between gate and convolution and, if it is to be kept, in the gate."""
    n_late, n_rows = len(taps) - 1, x.shape[1]
    pieces = _pieces(n_rows, x.shape[2])
    padded = x.new_empty(len(x), n_rows + 2 * n_late, x.shape[2])
    padded[:, :n_late] = padded[:, n_late + n_rows :] = 0
    gated = padded[:, n_late : n_late + n_rows]
    both = x.new_empty(*((len(x), n_rows) if keep else (1, pieces[0][1])), len(gate_bias))
    for example in range(len(x)):
        for start, stop in pieces:
            here = (example, slice(start, stop)) if keep else (0, slice(stop - start))
            _gate_rows(x[example, start:stop], matrix, gate_bias, both[here], gated[example, start:stop])
    y = _overlap_add_padded(padded, taps, bias)
    return (y if is_last else y.relu_()), gated, both


class _Encode(torch.autograd.Function):
    """A layer down, with its gradient: both go through the time in pieces that stay in the cache."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, taps: Tensor, bias: Tensor, matrix: Tensor, gate_bias: Tensor) -> Tensor:
        y, x, both = _encode(rows, taps, bias, matrix, gate_bias, keep=True)
        ctx.save_for_backward(rows, taps, matrix, x, both)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, taps, matrix, x, both = ctx.saved_tensors
        n_rows, n_late = x.shape[1], len(taps) - 1
        pieces = _pieces(n_rows, x.shape[2])
        of_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        of_taps, of_matrix = _GradientOfTaps(_Taps(taps.unbind(), n_rows)), torch.zeros_like(matrix)
        of_bias, of_gate_bias = matrix.new_zeros(len(matrix)), matrix.new_zeros(matrix.shape[1])
        backwards = _Taps([tap.t() for tap in taps.unbind()[::-1]], n_rows) if of_rows is not None else None
        for example in range(len(rows)):
            of_x = x.new_zeros(pieces[0][1] + 2 * n_late, x.shape[2])  # of a piece, with the rows before and after it
            for start, stop in pieces:
                piece, n_new = x[example, start:stop], stop - start
                of_both = torch.empty_like(both[example, start:stop])
                _gradient_of_gate(gradient[example, start:stop], both[example, start:stop], of_both)
                of_matrix.addmm_(piece.t(), of_both)
                of_gate_bias += of_both.sum(dim=0)
                of_piece = of_x[n_late : n_late + n_new]
                of_piece.copy_(torch.ops.aten.threshold_backward(of_both @ matrix.t(), piece, 0))
                of_bias += of_piece.sum(dim=0)
                of_taps.add(rows[example, start:], of_piece)
                if of_rows is not None and backwards is not None:
                    if stop == n_rows:  # what the last rows are in, too
                        of_x[n_late + n_new : n_new + 2 * n_late] = 0
                        stop += n_late
                    backwards.convolve(of_x, None, of_rows[example, start:stop])
                    of_x[:n_late] = of_x[n_new : n_new + n_late].clone()
        return of_rows, torch.stack(of_taps.result()), of_bias, of_matrix, of_gate_bias


class _Decode(torch.autograd.Function):
    """A layer up, with its gradient: both go through the time in pieces that stay in the cache."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix: Tensor, gate_bias: Tensor, taps: Tensor, bias: Tensor, is_last: bool
    ) -> Tensor:
        y, gated, both = _decode(x, matrix, gate_bias, taps, bias, is_last=is_last, keep=True)
        ctx.save_for_backward(x, matrix, taps, gated, both, None if is_last else y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix, taps, gated, both, y = ctx.saved_tensors
        n_rows, n_late = x.shape[1], len(taps) - 1
        backwards = _Taps([tap.t() for tap in taps.unbind()], n_rows)
        of_x, of_taps, of_matrix = torch.empty_like(x), _GradientOfTaps(backwards), torch.zeros_like(matrix)
        of_bias, of_gate_bias = matrix.new_zeros(taps.shape[2]), matrix.new_zeros(matrix.shape[1])
        for example in range(len(x)):
            for start, stop in _pieces(n_rows, x.shape[2]):
                of_y = gradient[example, start : stop + n_late]
                if y is not None:
                    of_y = torch.ops.aten.threshold_backward(of_y, y[example, start : stop + n_late], 0)
                of_bias += of_y[: None if stop == n_rows else stop - start].sum(dim=0)
                of_gated = torch.empty_like(x[example, start:stop])
                backwards.convolve(of_y, None, of_gated)
                of_taps.add(of_y, gated[example, start:stop])
                of_both = torch.empty_like(both[example, start:stop])
                _gradient_of_gate(of_gated, both[example, start:stop], of_both)
                of_matrix.addmm_(x[example, start:stop].t(), of_both)
                of_gate_bias += of_both.sum(dim=0)
                torch.mm(of_both, matrix.t(), out=of_x[example, start:stop])
        return of_x, of_matrix, of_gate_bias, torch.stack([tap.t() for tap in of_taps.result()]), of_bias, None


def _pieces(n_rows: int, width: int) -> list[tuple[int, int]]:
    """Return where pieces that stay in the cache begin and end."""
    size = max(ROWS_IN_CACHE // width // 2 * 2, 2)  # even, for the pairs of `_Taps`
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def _only(x: Tensor, exists: Tensor) -> Tensor:
    """Return the columns ``(batch, time, channel)`` of hops that exist, ``(hop, 1)``, and zeros for the others."""
    return (x.reshape(len(x), len(exists), -1) * exists).view(x.shape)


def _delay(x: Tensor, earlier: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """Return as many values as came, late by those in `earlier`, and the ones that wait."""
    both = torch.cat([earlier, x], dim=dim)
    return both.narrow(dim, 0, x.shape[dim]), both.narrow(dim, x.shape[dim], earlier.shape[dim])


def _n_stages(resample: int) -> int:
    return {1: 0, 2: 1, 4: 2}[resample]


def _ahead_down(resample: int) -> int:
    """Return the last up-sampled sample that output sample 0 is made from."""
    index = 0
    for _ in range(_n_stages(resample)):
        index = 2 * index + 2 * N_ZEROS - 1
    return index


def _toeplitz() -> Tensor:
    """Return the matrix that filters ``BLOCK`` samples with the sinc, half a sample on, under a Hann window.

    Shape ``(BLOCK + N_TAPS - 1, BLOCK)``.
    """
    times = torch.arange(N_TAPS, dtype=torch.float64) - N_ZEROS + 0.5
    taps = torch.sinc(times) * torch.hann_window(2 * N_TAPS + 1, periodic=False, dtype=torch.float64)[1::2]
    matrix = torch.zeros(BLOCK, BLOCK + N_TAPS, dtype=torch.float64)
    matrix[:, :N_TAPS] = taps
    # Rows that are one longer than the matrix is wide shift by one from row to row.
    return matrix.flatten()[: BLOCK * (BLOCK + N_TAPS - 1)].view(BLOCK, -1).t().float().contiguous()


def _filter(x: Tensor, toeplitz: Tensor) -> Tensor:
    """Return the sinc-filtered ``(batch, channel, time - N_TAPS + 1)``."""
    n_samples = x.shape[-1] - N_TAPS + 1
    windows = functional.pad(x, (0, -n_samples % BLOCK)).unfold(-1, BLOCK + N_TAPS - 1, BLOCK)
    return (windows @ toeplitz.to(x.dtype)).flatten(-2)[..., :n_samples]


def _interleave(even: Tensor, odd: Tensor) -> Tensor:
    return torch.stack([even, odd], dim=-1).flatten(-2)
