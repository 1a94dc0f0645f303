"""Conv-TasNet written down plainly: one torch module for every box of the paper's figures, (batch, channel, frame).

Parameter names are those of asteroid, so that our importer carries the weights over.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.case import Case
from resound.models.importers.asteroid import from_asteroid
from resound.models.network import Network

PAPER = {"n_src": 2, "n_filters": 512, "kernel_size": 16, "stride": 8, "bn_chan": 128, "hid_chan": 512}
PAPER |= {"skip_chan": 128, "conv_kernel_size": 3, "n_blocks": 8, "n_repeats": 3, "mask_act": "relu"}
STUDENT = PAPER | {"n_filters": 128, "kernel_size": 40, "stride": 20, "hid_chan": 256, "n_blocks": 7, "n_repeats": 2}


class Norm(nn.Module):
    """Zero mean and unit variance over the whole example, over each frame, or over all until each frame."""

    def __init__(self, n_channels: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.gamma = nn.Parameter(torch.ones(n_channels))
        self.beta = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if self.kind == "cgLN":
            past = torch.zeros(3, len(x), 1, 1, dtype=torch.float64) if past is None else past
            ones = torch.full_like(x, 1.0).double().sum(dim=1, keepdim=True)
            sums = torch.stack([ones, x.double().sum(dim=1, keepdim=True), x.double().pow(2).sum(dim=1, keepdim=True)])
            sums = past + sums.cumsum(dim=-1)
            past = sums[..., -1:]
            mean = sums[1] / sums[0]
            variance = sums[2] / sums[0] - mean.pow(2)
            mean, variance = mean.to(x.dtype), variance.to(x.dtype)
        else:
            dims = (1, 2) if self.kind == "gLN" else (1,)
            mean = x.mean(dim=dims, keepdim=True)
            variance = (x - mean).pow(2).mean(dim=dims, keepdim=True)
        x = (x - mean) / (variance + 1e-8).sqrt()
        return self.gamma.view(1, -1, 1) * x + self.beta.view(1, -1, 1), past


class Block(nn.Module):
    """1x1, PReLU, norm, depthwise, PReLU, norm, and two 1x1 out."""

    def __init__(self, args: dict[str, Any], dilation: int) -> None:
        super().__init__()
        hidden, taps, self.causal = args["hid_chan"], args["conv_kernel_size"], args["causal"]
        self.context = (taps - 1) * dilation
        pad = self.context if self.causal else self.context // 2
        convolution = nn.Conv1d(hidden, hidden, taps, padding=pad, dilation=dilation, groups=hidden)
        self.shared_block = nn.ModuleList(
            [
                nn.Conv1d(args["bn_chan"], hidden, 1),
                nn.PReLU(),
                Norm(hidden, args["norm_type"]),
                nn.Sequential(convolution) if self.causal else convolution,
                nn.PReLU(),
                Norm(hidden, args["norm_type"]),
            ]
        )
        self.res_conv = nn.Conv1d(hidden, args["bn_chan"], 1)
        self.skip_conv = nn.Conv1d(hidden, args["skip_chan"], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        expand, prelu1, norm1, convolution, prelu2, norm2 = self.shared_block
        y = convolution(norm1(prelu1(expand(x)))[0])
        if self.causal:
            y = y[..., : x.shape[-1]]
        y = norm2(prelu2(y))[0]
        return self.res_conv(y), self.skip_conv(y)

    def step(self, x: Tensor, state: list[Any]) -> tuple[Tensor, Tensor, list[Any]]:
        expand, prelu1, norm1, convolution, prelu2, norm2 = self.shared_block
        y, sums1 = norm1(prelu1(expand(x)), state[1])
        past = state[0]
        y = torch.cat([y.new_zeros(*y.shape[:2], self.context) if past is None else past, y], dim=-1)
        past = y[..., -self.context :]
        inner = convolution[0]
        y = functional.conv1d(y, inner.weight, inner.bias, dilation=inner.dilation, groups=inner.groups)
        y, sums2 = norm2(prelu2(y), state[2])
        return self.res_conv(y), self.skip_conv(y), [past, sums1, sums2]


class Filters(nn.Module):
    """The filters of the encoder or the decoder, under the name that asteroid has for them."""

    def __init__(self, n_filters: int, n_samples: int) -> None:
        super().__init__()
        self.filterbank = nn.Module()
        self.filterbank._filters = nn.Parameter(torch.empty(n_filters, 1, n_samples))
        nn.init.xavier_normal_(self.filterbank._filters)

    @property
    def weight(self) -> Tensor:
        return self.filterbank._filters


class ConvTasNet(nn.Module):
    """Waveform (batch, 1, time) to (batch, source, time)."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__()
        self.args = args
        self.stride = args["stride"]
        self.encoder = Filters(args["n_filters"], args["kernel_size"])
        self.masker = nn.Module()
        entry = nn.Conv1d(args["n_filters"], args["bn_chan"], 1)
        self.masker.bottleneck = nn.ModuleList([Norm(args["n_filters"], args["norm_type"]), entry])
        self.masker.TCN = nn.ModuleList(
            Block(args, 2**x) for _ in range(args["n_repeats"]) for x in range(args["n_blocks"])
        )
        score = nn.Conv1d(args["skip_chan"], args["n_src"] * args["n_filters"], 1)
        self.masker.mask_net = nn.Sequential(nn.PReLU(), score)
        self.decoder = Filters(args["n_filters"], args["kernel_size"])

    def forward(self, waveform: Tensor) -> Tensor:
        encoded = functional.conv1d(waveform, self.encoder.weight, stride=self.stride)
        norm, entry = self.masker.bottleneck
        x = entry(norm(encoded)[0])
        skips: Tensor | float = 0.0
        for block in self.masker.TCN:
            residual, skip = block(x)
            x, skips = x + residual, skips + skip
        sound = self.decode(skips, encoded)
        return functional.pad(sound, (0, waveform.shape[-1] - sound.shape[-1]))

    def decode(self, skips: Any, encoded: Tensor) -> Tensor:
        masks = self.masker.mask_net(skips).relu()
        masked = masks.unflatten(1, (self.args["n_src"], -1)) * encoded.unsqueeze(1)
        sound = functional.conv_transpose1d(masked.flatten(0, 1), self.decoder.weight, stride=self.stride)
        return sound.view(len(encoded), self.args["n_src"], -1)

    def init_state(self, batch_size: int) -> dict[str, Any]:
        return {"waveform": None, "overlap": None, "norm": None, "blocks": [[None] * 3 for _ in self.masker.TCN]}

    def step(self, frame: Tensor, state: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return as many samples, a filter less a stride late.  The first frame must be longer than a filter."""
        late = self.args["kernel_size"] - self.stride
        is_first = state["waveform"] is None
        waveform = frame if is_first else torch.cat([state["waveform"], frame], dim=-1)
        encoded = functional.conv1d(waveform, self.encoder.weight, stride=self.stride)
        norm, entry = self.masker.bottleneck
        x, sums = norm(encoded, state["norm"])
        x = entry(x)
        skips: Tensor | float = 0.0
        blocks = []
        for block, past in zip(self.masker.TCN, state["blocks"], strict=True):
            residual, skip, past = block.step(x, past)
            blocks.append(past)
            x, skips = x + residual, skips + skip
        sound = self.decode(skips, encoded)
        if is_first:
            sound = functional.pad(sound, (late, 0))
        else:
            sound = sound + functional.pad(state["overlap"], (0, sound.shape[-1] - late))
        out, overlap = sound[..., : frame.shape[-1]], sound[..., frame.shape[-1] :]
        return out, {"waveform": waveform[..., -late:], "overlap": overlap, "norm": sums, "blocks": blocks}


def build(args: dict[str, Any]) -> tuple[Network, nn.Module]:
    torch.manual_seed(0)
    peer = ConvTasNet(args).eval()
    return from_asteroid(peer.state_dict(), args), peer


def cases() -> list[Case]:
    """The paper's size with its two norms, and the student project's, streamed in frames of about 16 ms."""
    whole, causal = {"norm_type": "gLN", "causal": False}, {"norm_type": "cgLN", "causal": True}
    return [
        Case("Conv-TasNet, paper", lambda: build(PAPER | whole)),
        Case("Conv-TasNet, paper, causal", lambda: build(PAPER | causal), frame_samples=128),
        Case("Conv-TasNet, student, causal", lambda: build(STUDENT | causal), frame_samples=120),
    ]
