"""Wave-U-Net: convolutions at ever lower rates and back, on the waveform (Stoller et al. 2018, arXiv 1806.03185).

::

    x ─ convolution 15 ─┬─ every 2nd ─ convolution 15 ─┬─ every 2nd ─ ... ─ convolution 15 ─ ... ─┐
    │                   └──────────── skip ────────────┴──────── skip ───────── ... ──────────────┤
    └─ concatenated ─ 1×1 ─ tanh ─ convolution 5 ─ concatenated ─ ×2 by linear interpolation ─ ... ┘

Level i of L has i · F channels, the bottom (L + 1) · F; leaky ReLU (0.2) after every convolution but the last.
Parameters: 10,263,002 with the default sizes (L = 12, F = 24, one channel in, one source).

Where it differs from the paper: it is the paper's form with zeros around the signal (its section 3.1), so that the
output is as long as the input; this is filled up with zeros to a multiple of 2^L.  Between two samples the
interpolation gives their mean, which keeps the levels aligned in time; after the last one it repeats that.

What makes it fast: the interpolation is one mean and one interleaving, written where the skip is concatenated; no
resize operator, no copy of its own.
"""

from __future__ import annotations

import itertools

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from resound.models.network import Network, NetworkConfig

SLOPE = 0.2  # of the leaky ReLU


class WaveUNetConfig(NetworkConfig):
    """Sizes of Wave-U-Net; the defaults are the paper's."""

    n_levels: int = Field(12, ge=1, le=16)  # L
    extra_filters: int = Field(24, ge=1)  # F_c, more channels with every level
    kernel_down: int = Field(15, ge=1)  # f_d
    kernel_up: int = Field(5, ge=1)  # f_u
    tanh: bool = True  # of the output; False: linear
    # The last source is the input less the others (section 3.2.1).  Of a stereo recording each source has its
    # channels one after another, and n_sources counts them all.
    difference: bool = False

    @model_validator(mode="after")
    def _check(self) -> WaveUNetConfig:
        for name in ("kernel_down", "kernel_up"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd (it is centred), got {getattr(self, name)}")
        if self.difference and (self.n_sources % self.n_channels or self.n_sources < 2 * self.n_channels):
            raise ValueError(
                f"difference needs n_sources 2, 3 ... times n_channels, got {self.n_sources} and {self.n_channels}"
            )
        return self


class WaveUNet(Network):
    """Waveform ``(batch, channel, time)`` to ``(batch, source, time)``."""

    config: WaveUNetConfig

    def __init__(self, config: WaveUNetConfig) -> None:
        super().__init__(config)
        widths = [config.extra_filters * level for level in range(1, config.n_levels + 2)]
        n_predicted = config.n_sources - (config.n_channels if config.difference else 0)

        def convolution(n_in: int, n_out: int, kernel: int) -> nn.Conv1d:
            return nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2)

        self.down = nn.ModuleList(
            convolution(n_in, n_out, config.kernel_down)
            for n_in, n_out in zip([config.n_channels, *widths[:-2]], widths[:-1], strict=True)
        )
        self.bottom = convolution(widths[-2], widths[-1], config.kernel_down)
        self.up = nn.ModuleList(  # from the lowest rate to the highest
            convolution(below + width, width, config.kernel_up)
            for width, below in reversed([*itertools.pairwise(widths)])
        )
        self.out = nn.Conv1d(widths[0] + config.n_channels, n_predicted, 1)
        self._begin()

    def _begin(self) -> None:
        """Draw weights that keep the power of the signal from level to level (He et al. 2015), and no biases.

        torch's own halve it at each level and add biases as large as speech: after seven levels the signal is 25 dB
        below them, and the lower half of the network learns next to nothing.  Nor has the original biases at first.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_uniform_(module.weight, a=SLOPE if module is not self.out else 1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    @property
    def looks_ahead(self) -> str:
        """The convolutions: at every level they see what follows."""
        return "its convolutions are centred, and see what follows at every level"

    @property
    def receptive_field_samples(self) -> int:
        """How many input samples one output sample depends on, at the most (by where it lies between decimations)."""
        config = self.config
        reach = 0  # from the first to the last value that one output sample depends on, at the rate of the level
        for _ in range(config.n_levels):
            # A stretch that begins and ends between two values of the rate below needs those around it.
            reach = (reach + config.kernel_up - 1) // 2 + 1
        reach += config.kernel_down - 1
        for _ in range(config.n_levels):
            reach = 2 * reach + config.kernel_down - 1
        return reach + 1

    @property
    def grid_samples(self) -> int:
        """The stride of the lowest rate: only from one such sample to the next are the same samples decimated."""
        return int(2**self.config.n_levels)

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)``."""
        config, n_samples = self.config, waveform.shape[-1]
        padded = functional.pad(waveform, (0, -n_samples % 2**config.n_levels))
        x, skips = padded, []
        for down in self.down:
            x = functional.leaky_relu(down(x), SLOPE, inplace=True)
            skips.append(x)
            x = x.unflatten(-1, (-1, 2))[..., 0]
        x = functional.leaky_relu(self.bottom(x), SLOPE, inplace=True)
        for up in self.up:
            x = torch.cat([_twice(x), skips.pop()], dim=1)
            x = functional.leaky_relu(up(x), SLOPE, inplace=True)
        x = self.out(torch.cat([x, padded.to(x.dtype)], dim=1))
        if config.tanh:
            x = x.tanh()
        if config.difference:
            others = x.unflatten(1, (-1, config.n_channels)).sum(dim=1)
            x = torch.cat([x, padded - others], dim=1)
        return x[..., :n_samples]


def _twice(x: Tensor) -> Tensor:
    """Return ``(batch, channel, 2 · time)``: each value, and its mean with the next."""
    following = torch.cat([x[..., 1:], x[..., -1:]], dim=-1)
    return torch.stack([x, 0.5 * (x + following)], dim=-1).flatten(-2)
