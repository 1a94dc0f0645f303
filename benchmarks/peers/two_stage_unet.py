"""Two-stage U-Net written down plainly: every box of the paper's figures, (batch, channel, frame, freq).

Parameter names are ours, so that the weights go over as they are.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.case import Case
from resound.models.network import Network
from resound.models.two_stage_unet import TwoStageUNet, TwoStageUNetConfig


def symmetric(x: Tensor, kernel: int) -> Tensor:
    """Mirror both axes at their ends, the outermost value included, so that a convolution keeps the size."""
    before, after = kernel // 2, kernel // 2 - (1 - kernel % 2)
    for axis in (2, 3):
        n = x.shape[axis]
        if n < before:  # the original stops here; a mirror shows what is mirrored already
            places = [min(place % (2 * n), 2 * n - 1 - place % (2 * n)) for place in range(-before, n + after)]
            x = x.index_select(axis, torch.tensor(places))
            continue
        x = torch.cat([x.narrow(axis, 0, before).flip(axis), x, x.narrow(axis, n - after, after).flip(axis)], dim=axis)
    return x


class Convolution(nn.Conv2d):
    """A convolution on what is mirrored."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(symmetric(x, self.kernel_size[0]))


class IBlock(nn.Module):
    """A dense block with a 1x1 shortcut."""

    def __init__(self, n_in: int, width: int, num_tfc: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(Convolution(n_in + index * width, width, 3) for index in range(num_tfc))
        self.shortcut = nn.Conv2d(n_in, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        y = functional.elu(self.dense[0](seen))
        for convolution in self.dense[1:]:
            seen = torch.cat([y, seen], dim=1)
            y = functional.elu(convolution(seen))
        return y + self.shortcut(x)


class Encoder(nn.Module):
    """An I-block, kept as the skip, then half the size."""

    def __init__(self, n_in: int, width: int, n_out: int, num_tfc: int) -> None:
        super().__init__()
        self.block = IBlock(n_in, width, num_tfc)
        self.down = Convolution(width, n_out, 4, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.block(x)
        return functional.elu(self.down(skip)), skip


def cropped(x: Tensor, like: Tensor) -> Tensor:
    top, left = ((x.shape[axis] - like.shape[axis]) // 2 for axis in (2, 3))
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


class Decoder(nn.Module):
    """Twice the size in two ways, the skip, an I-block."""

    def __init__(self, n_in: int, width: int, num_tfc: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(n_in, width, 4, stride=2)
        self.projection = nn.Conv2d(n_in, width, 1) if n_in != width else None
        self.block = IBlock(2 * width, width, num_tfc)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        up = functional.elu(self.up(x))
        nearest = functional.interpolate(x, scale_factor=2, mode="nearest")
        if self.projection is not None:
            nearest = functional.elu(self.projection(nearest))
        both = cropped(up, nearest) + nearest
        return self.block(torch.cat([cropped(both, skip), skip], dim=1))


class Stage(nn.Module):
    """One U-Net."""

    def __init__(self, config: TwoStageUNetConfig, n_in: int) -> None:
        super().__init__()
        widths, depth = config.widths, config.depth
        self.features = Convolution(12, widths[0], 7)
        self.encoder = nn.ModuleList(
            Encoder(widths[level] if level else n_in, widths[level], widths[level + 1], config.num_tfc)
            for level in range(depth)
        )
        self.bottom = IBlock(widths[depth], widths[depth], config.num_tfc)
        self.decoder = nn.ModuleList(
            Decoder(widths[level + 1], widths[level], config.num_tfc) for level in range(depth)
        )

    def forward(self, encoded: Tensor, attended: Tensor | None) -> Tensor:
        x = functional.elu(self.features(encoded))
        if attended is not None:
            x = torch.cat([x, attended], dim=1)
        skips = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        x = self.bottom(x)
        for decoder, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = decoder(x, skip)
        return x


class Attention(nn.Module):
    """Supervised attention between the stages."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = Convolution(width, width, 3)
        self.residual = Convolution(width, 2, 3)
        self.mask = Convolution(2, width, 3)

    def forward(self, features: Tensor, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        estimate = self.residual(features) + spectrum
        return features + self.mask(estimate).sigmoid() * self.features(features), estimate


class PlainTwoStageUNet(nn.Module):
    """Waveform (batch, 1, time) to (batch, 1, time)."""

    def __init__(self, config: TwoStageUNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.widths[0]
        self.stages = nn.ModuleList([Stage(config, width), Stage(config, 2 * width)])
        self.attention = Attention(width)
        self.final = Convolution(width, 2, 3)
        n = torch.arange(config.n_fft // 2 + 1) / (config.n_fft // 2)
        encoding = torch.stack([torch.cos(2**k * torch.pi * n) for k in range(10)])
        self.register_buffer("encoding", encoding, persistent=False)  # (10, freq)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.sound(self.estimates(waveform)[1], waveform.shape[-1])

    def estimates(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Both stages' (batch, 2, frame, freq)."""
        n_fft, hop = self.config.n_fft, self.config.hop
        n_frames = -(-waveform.shape[-1] // hop)
        padded = functional.pad(waveform[:, 0], (0, (n_frames - 1) * hop + n_fft - waveform.shape[-1]))
        window = torch.hamming_window(n_fft)
        spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
        x = torch.stack([spectrum.real, spectrum.imag], dim=1).transpose(2, 3)
        encoding = self.encoding[None, :, None].expand(len(x), -1, n_frames, -1)
        encoded = torch.cat([x, encoding], dim=1)
        features = self.stages[0](encoded, None)
        attended, first = self.attention(features, x)
        return first, self.final(self.stages[1](encoded, attended))

    def sound(self, estimate: Tensor, n_samples: int) -> Tensor:
        """(batch, 2, frame, freq) to (batch, 1, time)."""
        n_fft, hop = self.config.n_fft, self.config.hop
        window = torch.hamming_window(n_fft)
        spectrum = torch.complex(estimate[:, 0], estimate[:, 1])
        frames = torch.fft.irfft(spectrum, n_fft) * window
        size = (1, (frames.shape[1] - 1) * hop + n_fft)
        sound = functional.fold(frames.transpose(1, 2), size, (1, n_fft), stride=(1, hop))[:, :, 0]
        power = window.square().view(-1, hop).sum(dim=0)  # of overlapping windows, at each place in a hop
        return (sound / power.repeat(size[1] // hop))[..., :n_samples]


def pair(config: TwoStageUNetConfig) -> tuple[Network, nn.Module]:
    torch.manual_seed(0)
    ours = TwoStageUNet(config)
    peer = PlainTwoStageUNet(config)
    peer.load_state_dict(ours.state_dict())
    return ours.eval(), peer.eval()


def cases() -> list[Case]:
    prototype = TwoStageUNetConfig(depth=3, num_tfc=1, pad_start=False)
    paper = TwoStageUNetConfig(depth=6, num_tfc=3, pad_start=False)
    return [
        Case("two-stage-unet film-prototype", partial(pair, prototype), seconds=10.0, training=(1, 2.0)),
        Case("two-stage-unet film-paper", partial(pair, paper), seconds=2.0, training=(1, 1.0)),
    ]
