"""TF-GridNet written down plainly: every equation of the paper by its torch layer, (batch, channel, frame, freq).

Parameter names are those of ESPnet's second version, so that our importer carries the weights over.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.case import Case
from resound.models.importers.espnet import from_espnet
from resound.models.network import Network

PAPER: dict[str, Any] = {"n_srcs": 2, "n_fft": 256, "stride": 64, "n_layers": 6, "lstm_hidden_units": 192}
PAPER |= {"attn_n_head": 4, "attn_approx_qk_dim": 512, "emb_dim": 48, "emb_ks": 4, "emb_hs": 1, "eps": 1e-5}
REPORT = PAPER | {"n_srcs": 1, "n_fft": 512, "stride": 256, "n_layers": 4, "lstm_hidden_units": 128}
REPORT |= {"emb_dim": 128, "emb_ks": 1}


class HeadNorm(nn.Module):
    """PReLU and norm over channels and frequencies of every head."""

    def __init__(self, n_heads: int, width: int, n_freqs: int, eps: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, n_heads, width, 1, n_freqs))
        self.beta = nn.Parameter(torch.zeros(1, n_heads, width, 1, n_freqs))
        self.act = nn.PReLU(n_heads)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x.unflatten(1, self.gamma.shape[1:3]))
        mean = x.mean(dim=(2, 4), keepdim=True)
        variance = x.var(dim=(2, 4), unbiased=False, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.gamma + self.beta


class FrameNorm(nn.Module):
    """Norm over channels and frequencies of every frame."""

    def __init__(self, width: int, n_freqs: int, eps: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, width, 1, n_freqs))
        self.beta = nn.Parameter(torch.zeros(1, width, 1, n_freqs))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 3), keepdim=True)
        variance = x.var(dim=(1, 3), unbiased=False, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.gamma + self.beta


class Block(nn.Module):
    """Along frequency, along time, attention between frames."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__()
        width, hidden, n_heads, eps = args["emb_dim"], args["lstm_hidden_units"], args["attn_n_head"], args["eps"]
        self.kernel, self.stride, self.n_heads = args["emb_ks"], args["emb_hs"], n_heads
        n_freqs = args["n_fft"] // 2 + 1
        qk = math.ceil(args["attn_approx_qk_dim"] / n_freqs)
        for axis in ("intra", "inter"):
            self.add_module(f"{axis}_norm", nn.LayerNorm(width, eps=eps))
            lstm = nn.LSTM(width * self.kernel, hidden, batch_first=True, bidirectional=True)
            self.add_module(f"{axis}_rnn", lstm)
            if self.kernel == self.stride:
                linear: nn.Module = nn.Linear(2 * hidden, width * self.kernel)
            else:
                linear = nn.ConvTranspose1d(2 * hidden, width, self.kernel, stride=self.stride)
            self.add_module(f"{axis}_linear", linear)
        for name, size in (("Q", qk), ("K", qk), ("V", width // n_heads)):
            self.add_module(f"attn_conv_{name}", nn.Conv2d(width, n_heads * size, 1))
            self.add_module(f"attn_norm_{name}", HeadNorm(n_heads, size, n_freqs, eps))
        self.attn_concat_proj = nn.Sequential(nn.Conv2d(width, width, 1), nn.PReLU(), FrameNorm(width, n_freqs, eps))

    def along(self, axis: str, x: Tensor) -> Tensor:
        """(batch, channel, a, b) with the LSTM along b."""
        n_batch, width, n_a, n_b = x.shape
        y = self.get_submodule(f"{axis}_norm")(x.permute(0, 2, 3, 1))
        y = y.reshape(n_batch * n_a, n_b, width)
        if self.kernel == self.stride:
            y = y.reshape(n_batch * n_a, n_b // self.kernel, self.kernel * width)
        else:
            y = functional.unfold(y.transpose(1, 2)[..., None], (self.kernel, 1), stride=(self.stride, 1))
            y = y.transpose(1, 2)
        y, _ = self.get_submodule(f"{axis}_rnn")(y)
        linear = self.get_submodule(f"{axis}_linear")
        if self.kernel == self.stride:
            y = linear(y).reshape(n_batch, n_a, n_b, width)
        else:
            y = linear(y.transpose(1, 2)).transpose(1, 2).reshape(n_batch, n_a, n_b, width)
        return x + y.permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        overlap = self.kernel - self.stride
        sizes = x.shape[2:]
        rest = [-(n + 2 * overlap - self.kernel) % self.stride for n in sizes]
        x = functional.pad(x, (overlap, overlap + rest[1], overlap, overlap + rest[0]))
        x = self.along("intra", x)
        x = self.along("inter", x.transpose(2, 3)).transpose(2, 3)
        x = x[:, :, overlap : overlap + sizes[0], overlap : overlap + sizes[1]]
        return x + self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        q, k, v = (
            self.get_submodule(f"attn_norm_{name}")(self.get_submodule(f"attn_conv_{name}")(x)) for name in "QKV"
        )
        q, k, v = (part.transpose(2, 3) for part in (q, k, v))  # (batch, head, frame, channel, freq)
        shape = v.shape
        q, k, v = (part.flatten(3) for part in (q, k, v))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        out = (scores @ v).view(shape).transpose(2, 3).flatten(1, 2)
        return self.attn_concat_proj(out)


class PlainTFGridNet(nn.Module):
    """Waveform (batch, channel, time) to (batch, source, time)."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__()
        self.args = args
        width, n_channels = args["emb_dim"], args.get("n_imics", 1)
        self.conv = nn.Sequential(
            nn.Conv2d(2 * n_channels, width, 3, padding=1), nn.GroupNorm(1, width, eps=args["eps"])
        )
        self.blocks = nn.ModuleList(Block(args) for _ in range(args["n_layers"]))
        self.deconv = nn.ConvTranspose2d(width, 2 * args["n_srcs"], 3, padding=1)

    def forward(self, waveform: Tensor) -> Tensor:
        n_fft, hop = self.args["n_fft"], self.args["stride"]
        window = torch.hann_window(n_fft)
        scale = waveform.std(dim=(1, 2), keepdim=True)
        spectrum = torch.stft((waveform / scale).flatten(0, 1), n_fft, hop, window=window, return_complex=True)
        spectrum = spectrum.unflatten(0, waveform.shape[:2]).transpose(2, 3)
        x = self.conv(torch.cat([spectrum.real, spectrum.imag], dim=1))
        for block in self.blocks:
            x = block(x)
        x = self.deconv(x).unflatten(1, (self.args["n_srcs"], 2))
        spectrum = torch.complex(x[:, :, 0], x[:, :, 1]).transpose(2, 3).flatten(0, 1)
        sound = torch.istft(spectrum, n_fft, hop, window=window, length=waveform.shape[-1])
        return sound.unflatten(0, (len(waveform), -1)) * scale


def pair(args: dict[str, Any]) -> tuple[Network, nn.Module]:
    torch.manual_seed(0)
    peer = PlainTFGridNet(args)
    with torch.no_grad():
        for parameter in peer.parameters():
            if parameter.ndim > 3 and parameter.shape[0] == 1:  # gains and biases of norms
                parameter.add_(0.1 * torch.randn_like(parameter))
    ours = from_espnet(peer.state_dict(), args | {"sample_rate": 16000 if args["n_fft"] == 512 else 8000})
    return ours, peer.eval()


def cases() -> list[Case]:
    return [
        Case("tf-gridnet report", partial(pair, REPORT), seconds=10.0, training=(1, 2.0)),
        Case("tf-gridnet I=4 J=1", partial(pair, PAPER), seconds=4.0, training=(1, 1.0)),
    ]
