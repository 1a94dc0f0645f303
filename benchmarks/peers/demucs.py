"""Demucs written down plainly: one torch module for every box of the paper's figure, (batch, channel, time).

Parameter names are those of denoiser, so that our importer carries the weights over.  It streams as that implementation
does: a window of the waveform is up-sampled anew for every frame, the encoders compute the columns that are new, the
tails of the transposed convolutions are kept.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.case import Case
from resound.models.importers.denoiser import from_denoiser
from resound.models.network import Network

N_ZEROS = 56


def half_band() -> Tensor:
    """Sinc between the samples, under a Hann window: (1, 1, taps)."""
    times = torch.linspace(-N_ZEROS + 0.5, N_ZEROS - 0.5, 2 * N_ZEROS)
    window = torch.hann_window(4 * N_ZEROS + 1, periodic=False)[1::2]
    return (torch.sinc(times) * window).view(1, 1, -1)


def double(x: Tensor, taps: Tensor) -> Tensor:
    between = functional.conv1d(x.flatten(0, 1).unsqueeze(1), taps, padding=N_ZEROS)[..., 1:].view_as(x)
    return torch.stack([x, between], dim=-1).flatten(-2)


def halve(x: Tensor, taps: Tensor) -> Tensor:
    x = functional.pad(x, (0, x.shape[-1] % 2))
    even, odd = x[..., ::2], x[..., 1::2]
    between = functional.conv1d(odd.flatten(0, 1).unsqueeze(1), taps, padding=N_ZEROS)[..., :-1].view_as(even)
    return 0.5 * (even + between)


class Recurrent(nn.Module):
    def __init__(self, n_channels: int, causal: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_channels, n_channels, 2, bidirectional=not causal)
        self.linear = None if causal else nn.Linear(2 * n_channels, n_channels)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        x, state = self.lstm(x.permute(2, 0, 1), state)
        if self.linear is not None:
            x = self.linear(x)
        return x.permute(1, 2, 0), state


class Demucs(nn.Module):
    """Waveform (batch, 1, time) to (batch, 1, time)."""

    def __init__(self, hidden: int, causal: bool = True, running: bool = False) -> None:
        super().__init__()
        self.running, self.floor = running, 1e-3
        self.register_buffer("taps", half_band(), persistent=False)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        n_in = n_out = 1
        for level in range(5):
            width = hidden * 2**level
            down = nn.Conv1d(n_in, width, 8, 4)
            self.encoder.append(nn.Sequential(down, nn.ReLU(), nn.Conv1d(width, 2 * width, 1), nn.GLU(1)))
            up = [nn.Conv1d(width, 2 * width, 1), nn.GLU(1), nn.ConvTranspose1d(width, n_out, 8, 4)]
            self.decoder.insert(0, nn.Sequential(*up, *([nn.ReLU()] if level else [])))
            n_in = n_out = width
        self.lstm = Recurrent(n_in, causal)

    def forward(self, waveform: Tensor) -> Tensor:
        n_samples = waveform.shape[-1]
        mono = waveform.mean(dim=1, keepdim=True)
        if self.running:
            n_frames = (4 * n_samples - 4 + 333) // 1024 + 1
            scale = self.level(mono, torch.zeros(len(mono), 1, 1).double(), 0)[0]
        else:
            n_frames = max(math.ceil((4 * n_samples - 2388) / 1024), 0) + 1
            scale = mono.std(dim=-1, keepdim=True)
        n_valid = 256 * (n_frames - 1) + 597
        x = functional.pad(waveform / (self.floor + scale), (0, max(n_valid - n_samples, 0) + 112 * self.running))
        x = double(double(x, self.taps), self.taps)[..., : 4 * n_valid]
        skips = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        x, _ = self.lstm(x)
        for decode in self.decoder:
            x = decode(x + skips.pop()[..., : x.shape[-1]])
        if self.running:
            x = x[..., : 1024 * n_frames]
        return halve(halve(x, self.taps), self.taps)[..., :n_samples] * scale

    def level(self, mono: Tensor, energy: Tensor, n_before: int) -> tuple[Tensor, Tensor]:
        energy = energy + mono.double().pow(2).cumsum(dim=-1)
        counts = torch.arange(1, mono.shape[-1] + 1) + n_before
        return (energy / counts).clamp_min(1e-20).sqrt().float(), energy[..., -1:]

    def init_state(self, batch_size: int) -> dict[str, Any]:
        empty = torch.zeros(batch_size, 1, 0)
        return {
            "n_frames": 0,
            "energy": torch.zeros(batch_size, 1, 1).double(),
            "scale": torch.zeros(batch_size, 1, 596),
            "in": empty,
            "columns": [None] * 4,
            "lstm": None,
            "tails": [None] * 5,
            "between": empty,
        }

    def step(self, frame: Tensor, state: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return the next 256 samples, 596 late."""
        state = dict(state)
        call = state["n_frames"]
        state["n_frames"] = call + 1
        scale, state["energy"] = self.level(frame.mean(dim=1, keepdim=True), state["energy"], 256 * call)
        x = torch.cat([state["in"], frame / (self.floor + scale)], dim=-1)
        state["in"] = x[..., -768:]  # of two frames before, and what its filter sees
        out = torch.zeros_like(frame)
        if call >= 2:
            first = max(256 * call + 256 - x.shape[-1], 0)  # sample at which x begins
            begin = 4 * (256 * (call - 2) - first)
            x = double(double(x, self.taps), self.taps)[..., begin : begin + 2388]
            x = self.separate(x, state)
            x = torch.cat([state["between"], x], dim=-1)
            state["between"] = x[..., -1704:]
            x = functional.pad(halve(halve(x, self.taps), self.taps), (256, 0))
            out = x[..., -340:-84]
        scales = torch.cat([state["scale"], scale], dim=-1)
        state["scale"] = scales[..., 256:]
        return out * scales[..., :256], state

    def separate(self, x: Tensor, state: dict[str, Any]) -> Tensor:
        """Return the 1024 up-sampled samples that this window completes."""
        skips, columns, tails = [], [], []
        n_new = 1024
        for level, encode in enumerate(self.encoder):
            n_new //= 4
            if level < 4:
                before = state["columns"][level]
                if before is None:
                    x = encode(x)
                else:
                    n_needed = 4 * (n_new - 1) + 8
                    x = torch.cat([before[..., n_new:], encode(x[..., -n_needed:])], dim=-1)
                columns.append(x)
            else:
                x = encode(x)
            skips.append(x)
        x, state["lstm"] = self.lstm(x, state["lstm"])
        for decode, tail in zip(self.decoder, state["tails"], strict=True):
            gate, glu, up = decode[:3]
            x = up(glu(gate(x + skips.pop()[..., : x.shape[-1]])))
            if tail is not None:
                x = torch.cat([x[..., :4] + tail, x[..., 4:]], dim=-1)
            tails.append(x[..., -4:] - up.bias.view(-1, 1))
            x = x[..., :-4]
            if len(decode) == 4:
                x = decode[3](x)
        state["columns"], state["tails"] = columns, tails
        return x


def build(hidden: int, causal: bool, running: bool) -> tuple[Network, nn.Module]:
    torch.manual_seed(0)
    peer = Demucs(hidden, causal, running).eval()
    normalisation = "running" if running else "whole"
    config = {"hidden": hidden, "causal": causal, "normalisation": normalisation}
    return from_denoiser(peer.state_dict(), config), peer


def cases() -> list[Case]:
    """The published sizes, with the scale of the whole recording, and with the running one, which streams."""
    return [
        Case("Demucs-48", lambda: build(48, causal=True, running=False)),
        Case("Demucs-48, streaming", lambda: build(48, causal=True, running=True), frame_samples=256),
        Case("Demucs-64, streaming", lambda: build(64, causal=True, running=True), frame_samples=256, training=None),
        Case("Demucs-64, both ways", lambda: build(64, causal=False, running=False), training=None),
    ]
