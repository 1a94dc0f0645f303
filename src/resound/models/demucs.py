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
A layer and its gradient go through the time in pieces that stay in the cache (`kernels.down`, `kernels.up`).  The sinc
filters are a product with a Toeplitz matrix, a hundred times faster than a convolution with one channel.

A streamed frame of one hop reads every weight, 75 MB at hidden 48, and that is most of its time.  So it reads each
once and in the order of memory: one product for the window of a convolution, one for the two rows that a transposed
convolution adds to, and torch's LSTM cell with its weights turned (`Demucs.train`).  What is left is the number of
operations, 341 a frame: each value is computed once, what an encoder needs again is kept once (with the skip of the
layer before it), and columns before the first sample are masked as long as there are some, not for ever.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.errors import ModelError
from resound.models.kernels.down import down
from resound.models.kernels.rows import laid_out
from resound.models.kernels.sinc import N_TAPS, N_ZEROS, between, interleave, sinc_matrix
from resound.models.kernels.up import up
from resound.models.kernels.when import by_hand, in_one_type, is_traced
from resound.models.layers import level_of, level_until
from resound.models.network import Network, NetworkConfig, State

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

    @property
    def n_stages(self) -> int:
        """How often the sample rate is doubled."""
        return {1: 0, 2: 1, 4: 2}[self.resample]

    @property
    def n_ahead(self) -> int:
        """The last up-sampled sample that output sample 0 is made from, by the down-sampling."""
        index = 0
        for _ in range(self.n_stages):
            index = 2 * index + 2 * N_ZEROS - 1
        return index

    @property
    def wait(self) -> int:
        """Hops after its own that a column of the LSTM waits for."""
        return -(-self._needed // self.frame) - 1

    @property
    def slack(self) -> int:
        """Up-sampled samples that are there before the columns need them."""
        return (self.wait + 1) * self.frame - self._needed

    @property
    def _needed(self) -> int:
        """Up-sampled samples that must have come before the first column of the LSTM, the filters' delay with them."""
        return self.span + N_ZEROS * (2 * self.resample - 2)


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
        self.register_buffer("toeplitz", sinc_matrix(), persistent=False)

    @property
    def looks_ahead(self) -> str:
        """An LSTM that runs both ways, or a scale that knows the future; else nothing, and it streams."""
        if not self.config.causal:
            return "its LSTM runs over time both ways (causal=false)"
        return (
            "its scale is that of the whole recording (normalisation=whole)"
            if self.config.normalisation == "whole"
            else ""
        )

    @property
    def hop_samples(self) -> int:
        """Samples of one column of the LSTM: `step` takes any multiple of it."""
        return self.config.frame // self.config.resample

    @property
    def latency_samples(self) -> int:
        """What all layers look ahead: hops that the convolutions and the up-sampling wait for, then the down-sampling.

        No output sample depends on a later hop than the one that holds the sample ``latency_samples`` after it.
        """
        return self.config.wait * self.hop_samples + 2 * N_ZEROS * (self.config.resample - 1) // self.config.resample

    def train(self, mode: bool = True) -> Demucs:
        """Set training or evaluation, and lay the weights of the LSTM for it.

        A streamed frame reads all of them once from memory, which goes much faster in the order of its products; the
        gradients come in the order that torch has.
        """
        for weight in self.lstm.parameters():
            if weight.ndim == 2 and weight.device.type == "cpu":
                weight.data = weight.data.contiguous() if mode else laid_out(weight.data, (1, 0))
        return super().train(mode)

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        x, scale = self._normalise(waveform)
        n_frames = self._n_frames(n_samples)
        n_up = (n_frames - 1) * config.frame + config.span
        # The original's filter sees zeros after the end, but only as many as the convolutions use.
        ringing = 2 * N_ZEROS if self.is_causal else 0
        x = functional.pad(x, (0, max((n_up + config.resample - 1) // config.resample + ringing - n_samples, 0)))
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
            return (n_up - config.resample + config.n_ahead) // config.frame + 1
        return max((n_up - config.span + config.frame - 1) // config.frame, 0) + 1  # in a graph // rounds towards 0

    def _normalise(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the waveform at about unit level and what undoes it, ``(batch, 1, 1 or time)``."""
        config = self.config
        if config.normalisation == "none":
            return waveform, None
        mono = waveform.mean(dim=1, keepdim=True)
        scale = level_of(mono) if config.normalisation == "whole" else level_until(mono)[0]
        return waveform / (config.floor + scale), scale

    def _up(self, x: Tensor) -> Tensor:
        """Return ``(batch, channel, resample · time)``."""
        for _ in range(self.config.n_stages):
            x = interleave(x, between(functional.pad(x, (N_ZEROS - 1, N_ZEROS)), self.toeplitz))
        return x

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

    def _down(self, x: Tensor) -> Tensor:
        """Return ``(batch, source, time / resample)``."""
        for _ in range(self.config.n_stages):
            x = functional.pad(x, (0, x.shape[-1] % 2))
            x = 0.5 * (x[..., ::2] + between(functional.pad(x[..., 1::2], (N_ZEROS, N_ZEROS - 1)), self.toeplitz))
        return x

    def init_state(self, batch_size: int = 1) -> State:
        """Return the state before the first sample.  Raises `ModelError` when it is not causal."""
        if not self.is_causal:
            raise ModelError(
                "Demucs: this one is not causal and cannot stream; build it with causal=true and normalisation=running"
            )
        return _first_state(self, batch_size)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the next samples, ``latency_samples`` late: ``(batch, source, time)`` for ``(batch, channel, time)``.

        The time is any multiple of ``hop_samples``.  `state` is left as it was.
        """
        hop = self.hop_samples
        self.check_frame(frame, hop)
        return _step(self, frame, state)

    def flush(self, state: State) -> Tensor:
        """Return the last ``latency_samples``: ``(batch, source, time)``."""
        late, hop, like = self.latency_samples, self.hop_samples, state["wait"]
        if late == 0:
            return like.new_zeros(len(like), self.config.n_sources, 0)
        silence = like.new_zeros(len(like), self.config.n_channels, -(-late // hop) * hop)
        return self.step(silence, state)[0][..., :late]


class Encoder(nn.Module):
    """One layer down."""

    def __init__(self, config: DemucsConfig, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = Down(n_in, n_out, config.kernel, config.stride)
        self.gate = Gate(n_out, config.glu)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, (time - kernel) / stride + 1, channel)``."""
        conv, gate = self.conv, self.gate
        if not (gate.glu and by_hand(x)):
            return gate(functional.relu(conv(x), inplace=True))
        return down(*in_one_type(conv.rows(x), conv.taps(), conv.bias, gate.matrix(), gate.bias))

    def few(self, x: Tensor) -> Tensor:
        """Return the same for few columns, where the time is that of reading the weights."""
        return self.gate(self.conv.few(x).relu_())


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
        if not (gate.glu and by_hand(x)):
            x = conv(gate(x))
            return x if self.is_last else functional.relu(x, inplace=True)
        tensors = in_one_type(x, gate.matrix(), gate.bias, conv.taps(), conv.biases())
        return conv.columns(up(*tensors, is_last=self.is_last))

    def step(self, x: Tensor, carry: Tensor, exists: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the columns that are complete, and the sum so far of those that are not."""
        windows, n_done = self.conv.windows(_only(self.gate(x), exists)), x.shape[1] * self.conv.stride
        sums = functional.pad(carry, (0, 0, 0, n_done))
        rows = sums.view(len(x), -1, windows.shape[-1])
        for late in range(windows.shape[2]):
            rows[:, late : late + x.shape[1]].add_(windows[:, :, late])
        done = sums[:, :n_done] + self.conv.bias
        return (done if self.is_last else done.relu_()), sums[:, n_done:]


class Convolution(nn.Module):
    """Weight and bias of a convolution, and the products that they are for.

    ``weight`` has the shape of a `torch.nn.Conv1d` or, transposed, of a `torch.nn.ConvTranspose1d`, and in memory the
    order ``order``, in which `taps` can see it as matrices.
    """

    def __init__(self, shape: tuple[int, int, int], n_out: int, stride: int, order: tuple[int, int, int]) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(laid_out(torch.empty(shape), order))
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
        return functional.conv1d(x.transpose(1, 2), self.weight, self.bias, self.stride).transpose(1, 2)

    def few(self, x: Tensor) -> Tensor:
        """Return the same for few columns: one product of their windows with the weights, as these lie."""
        windows = x.unfold(1, self.weight.shape[2], self.stride).transpose(2, 3).flatten(2)
        return functional.linear(windows.contiguous(), self.weight.permute(0, 2, 1).flatten(1), self.bias)

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
        return functional.conv_transpose1d(x.transpose(1, 2), self.weight, self.bias, self.stride).transpose(1, 2)

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
        x = functional.linear(x, self.weight.squeeze(-1), self.bias)
        return functional.glu(x, dim=-1) if self.glu else x.relu()

    def matrix(self) -> Tensor:
        """Return the weights as ``(channel in, channel out)``."""
        return self.weight.squeeze(-1).t()


# Streaming.  A call receives hops i, i + 1 ...; with these, the columns i - wait ... of the LSTM can be made.  The
# first calls make columns before the first: `Clock` takes them out wherever they would reach a later one.


def _first_state(network: Demucs, batch_size: int) -> State:
    config, like = network.config, next(network.parameters())
    n_sources, widths = config.n_sources, config.channels

    def zeros(*shape: int) -> Tensor:
        return like.new_zeros(batch_size, *shape)

    steps = [config.stride ** (config.depth - level) for level in range(config.depth + 1)]  # columns in a frame
    return {
        "n_hops": torch.zeros((), dtype=torch.int64, device=like.device),
        "energy": torch.zeros(batch_size, 1, 1, dtype=torch.float64, device=like.device),
        "scale": zeros(1, network.latency_samples),
        "up": tuple(zeros(config.n_channels, N_TAPS - 1) for _ in range(config.n_stages)),
        "wait": zeros(config.n_channels, config.slack + config.kernel - config.stride),
        "skip": tuple(zeros(span - step, n) for span, step, n in zip(config.spans[1:], steps[1:], widths, strict=True)),
        "hidden": tuple((zeros(widths[-1]), zeros(widths[-1])) for _ in range(2)),
        "decoder": tuple(zeros(config.kernel - config.stride, n) for n in [*reversed(widths[:-1]), n_sources]),
        "down": tuple(zeros(n_sources, 2 * N_TAPS) for _ in range(config.n_stages)),
    }


def _step(network: Demucs, frame: Tensor, state: State) -> tuple[Tensor, State]:
    """What `Demucs.process` does, for the next hops."""
    config, hop = network.config, network.hop_samples
    n_new = frame.shape[-1] // hop
    clock, following = Clock(state["n_hops"], n_new), {**state, "n_hops": state["n_hops"] + n_new}
    x, scale = frame, None
    if config.normalisation == "running":
        mono = frame.mean(dim=1, keepdim=True)
        scale, following["energy"] = level_until(mono, state["energy"], state["n_hops"] * hop)
        x = frame / (config.floor + scale)
        scale, following["scale"] = _delay(scale, state["scale"])
    x, following["up"] = _step_up(network, x, state["up"], clock)
    x = torch.cat([state["wait"], x], dim=-1)
    x, following["wait"] = x[..., : x.shape[-1] - config.slack], x[..., n_new * config.frame :]
    y, columns = _step_columns(network, x.transpose(1, 2), state, clock)
    y, following["down"] = _step_down(network, y.transpose(1, 2), state["down"], clock)
    return y if scale is None else y * scale, following | columns


def _step_up(network: Demucs, x: Tensor, pasts: tuple[Tensor, ...], clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
    late, rate = 0, network.hop_samples
    kept: list[Tensor] = []
    for past in pasts:
        # The filter rings before the first sample, where the original has nothing.
        x = torch.cat([past, _times(x, clock.exists(rate, late))], dim=-1)
        kept.append(x[..., x.shape[-1] - N_TAPS + 1 :])
        x = interleave(x[..., N_ZEROS - 1 : -N_ZEROS], between(x, network.toeplitz))
        late, rate = 2 * (late + N_ZEROS), 2 * rate
    return x, tuple(kept)


def _step_columns(network: Demucs, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, dict[str, Any]]:
    """What `Demucs._columns` does; what an encoder needs again are the last columns that wait for their decoder."""
    encoders: Any = network.encoder
    decoders: Any = network.decoder
    overlap = network.config.kernel - network.config.stride
    exists = clock.exists(1, network.config.wait)
    skips, skip, decoder = [], [], []
    for encode, earlier in zip(encoders, state["skip"], strict=True):
        new = encode.few(x)
        x = torch.cat([earlier, new], dim=1)
        skips.append(x[:, : new.shape[1]])
        skip.append(x[:, new.shape[1] :])
        x = x[:, -overlap - new.shape[1] :]  # the last one keeps none: it is alone
    x, hidden = _step_lstm(network.lstm, x, state["hidden"], exists, network.config.wait)
    for decode, carry in zip(decoders, state["decoder"], strict=True):
        x, carry = decode.step(x + skips.pop(), carry, exists)
        decoder.append(carry)
    return x, {"skip": tuple(skip), "hidden": hidden, "decoder": tuple(decoder)}


def _step_lstm(lstm: nn.LSTM, x: Tensor, hidden: Any, exists: Tensor | None, wait: int) -> tuple[Tensor, Any]:
    """Return the LSTM's output and state; columns before the first leave the state at zero."""
    n_by_hand = x.shape[1]
    if n_by_hand > FEW_FRAMES:
        n_by_hand = 0 if exists is None else min(wait, n_by_hand)
    parts = []
    for index in range(n_by_hand):
        column, layers = x[:, index], []
        for layer, past in enumerate(hidden):
            weights = (getattr(lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            column, c = torch.lstm_cell(column, past, *weights)
            layers.append((column, c) if exists is None else (column * exists[index], c * exists[index]))
        hidden = tuple(layers)
        parts.append(column.unsqueeze(1))
    if n_by_hand < x.shape[1]:
        h, c = (torch.stack(of) for of in zip(*hidden, strict=True))
        out, (h, c) = lstm(x[:, n_by_hand:], (h, c))
        parts.append(out)
        hidden = tuple(zip(h.unbind(), c.unbind(), strict=True))
    return torch.cat(parts, dim=1), hidden


def _step_down(
    network: Demucs, x: Tensor, pasts: tuple[Tensor, ...], clock: Clock
) -> tuple[Tensor, tuple[Tensor, ...]]:
    late, rate = network.config.wait * network.config.frame, network.config.frame
    kept: list[Tensor] = []
    for past in pasts:
        x = torch.cat([past, _times(x, clock.exists(rate, late))], dim=-1)
        kept.append(x[..., x.shape[-1] - 2 * N_TAPS :])
        # Half a filter late, rounded up, so that even samples stay even.
        x = 0.5 * (x[..., 2 * N_ZEROS : -2 * N_ZEROS : 2] + between(x[..., 1:-1:2], network.toeplitz))
        late, rate = late // 2 + N_ZEROS, rate // 2
    return x, tuple(kept)


class Clock:
    """Says which of the values that a call of `Demucs.step` makes belong to a time before the first sample."""

    def __init__(self, n_hops: Tensor, n_new: int) -> None:
        self.n_hops, self.n_new = n_hops, n_new
        self.at_least = 0 if is_traced() else int(n_hops)  # a graph is for any number

    def exists(self, rate: int, late: int) -> Tensor | None:
        """Return 1 or 0 for each of ``rate`` values a hop that come ``late`` values after their time; None: all 1."""
        if self.at_least * rate >= late:
            return None
        return (torch.arange(1, self.n_new * rate + 1, device=self.n_hops.device) + self.n_hops * rate > late).float()


def _times(x: Tensor, exists: Tensor | None) -> Tensor:
    return x if exists is None else x * exists


def _only(x: Tensor, exists: Tensor | None) -> Tensor:
    """Return the columns ``(batch, time, channel)`` of hops that exist, ``(hop,)``, and zeros for the others."""
    return x if exists is None else (x.reshape(len(x), len(exists), -1) * exists.unsqueeze(-1)).view(x.shape)


def _delay(x: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
    """Return as many values as came, late by those in `earlier`, and the ones that wait."""
    both = torch.cat([earlier, x], dim=-1)
    return both[..., : x.shape[-1]], both[..., x.shape[-1] :]
