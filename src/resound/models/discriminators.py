"""Discriminators for adversarial training: they hear whether a waveform is a recording or came from a generator.

Two families, each a list of small convolutional networks that judge many places of the input:

- multi-scale (Kumar et al. 2019, MelGAN, arXiv 1910.06711): the waveform, and the waveform averaged to half the rate;
- multi-period (Kong et al. 2020, HiFi-GAN, arXiv 2010.05646): every 2nd, 3rd, 5th, 7th and 11th sample side by side.

All weights have one of two norms.  The spectral one (Miyato et al. 2018, arXiv 1802.05957) keeps a discriminator from
growing steeper than the generator can follow, and slow to learn; that of weights (Salimans & Kingma 2016, arXiv
1602.07868), which both families have in their papers, learns within hundreds of steps.  They serve training alone and
are no part of a saved model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from resound.errors import ConfigError

SLOPE = 0.1  # of the leaky ReLU
Judged = tuple[list[Tensor], list[list[Tensor]]]  # (scores, features), an item for each discriminator

# (width, kernel, stride, groups) of the layers of one scale; of one period (width, stride).
SCALE_LAYERS = ((16, 15, 1, 1), (64, 41, 4, 4), (256, 41, 4, 16), (512, 41, 4, 64), (512, 5, 1, 1))
PERIOD_LAYERS = ((32, 3), (128, 3), (512, 3), (512, 1))
Normalisation = Literal["spectral", "weight"]
NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {"spectral": spectral_norm, "weight": weight_norm}
WIDTH_UNIT = 4  # that widths of a scale are multiples of, so that groups divide them
PERIODS = (2, 3, 5, 7, 11)  # primes: no two look at the same samples


class MultiScaleDiscriminator(nn.Module):
    """Judges a waveform at several rates, each half the one before."""

    def __init__(
        self, n_scales: int = 2, *, n_channels: int = 1, width: float = 1.0, norm: Normalisation = "spectral"
    ) -> None:
        """``n_channels`` of the waveform; ``width`` scales the layers."""
        super().__init__()
        if n_scales < 1:
            raise ConfigError(f"n_scales must be at least 1, got {n_scales}")
        self.scales = nn.ModuleList(ScaleDiscriminator(n_channels, width, norm) for _ in range(n_scales))

    def forward(self, waveform: Tensor) -> Judged:
        """Return scores ``(batch, place)`` and features ``(batch, channel, place)`` per layer, for each scale.

        ``waveform`` is ``(batch, channel, time)``; a high score means a recording.
        """
        judged = []
        for index, scale in enumerate(self.scales):
            if index:
                waveform = functional.avg_pool1d(waveform, 4, stride=2, padding=2, count_include_pad=False)
            judged.append(scale(waveform))
        return [scores for scores, _ in judged], [features for _, features in judged]


class MultiPeriodDiscriminator(nn.Module):
    """Judges a waveform folded at several periods."""

    def __init__(
        self,
        periods: Sequence[int] = PERIODS,
        *,
        n_channels: int = 1,
        width: float = 1.0,
        norm: Normalisation = "spectral",
    ) -> None:
        """``n_channels`` of the waveform; ``width`` scales the layers."""
        super().__init__()
        if not periods or min(periods) < 1:
            raise ConfigError(f"periods must be whole numbers of at least 1, got {list(periods)}")
        self.periods = nn.ModuleList(PeriodDiscriminator(period, n_channels, width, norm) for period in periods)

    def forward(self, waveform: Tensor) -> Judged:
        """Return scores ``(batch, place)`` and features ``(batch, channel, row, period)`` per layer, for each period.

        ``waveform`` is ``(batch, channel, time)``; a high score means a recording.
        """
        judged = [period(waveform) for period in self.periods]
        return [scores for scores, _ in judged], [features for _, features in judged]


class ScaleDiscriminator(nn.Module):
    """Strided grouped convolutions over time."""

    def __init__(self, n_channels: int, width: float, norm: Normalisation) -> None:
        super().__init__()
        normed = NORMS[norm]
        layers, n_in = [], n_channels
        for wide, kernel, stride, groups in SCALE_LAYERS:
            n_out = WIDTH_UNIT * max(1, round(wide * width / WIDTH_UNIT))
            groups = math.gcd(groups, n_in, n_out)
            layers.append(normed(nn.Conv1d(n_in, n_out, kernel, stride, kernel // 2, groups=groups)))
            n_in = n_out
        self.layers = nn.ModuleList(layers)
        self.judge = normed(nn.Conv1d(n_in, 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return scores ``(batch, place)`` and the features of each layer."""
        return _run(waveform, self.layers, self.judge)


class PeriodDiscriminator(nn.Module):
    """Convolutions over every n-th sample: each column of the folded waveform by the same weights."""

    def __init__(self, period: int, n_channels: int, width: float, norm: Normalisation) -> None:
        super().__init__()
        normed = NORMS[norm]
        self.period = period
        layers, n_in = [], n_channels
        for wide, stride in PERIOD_LAYERS:
            n_out = max(1, round(wide * width))
            layers.append(normed(nn.Conv2d(n_in, n_out, (5, 1), (stride, 1), (2, 0))))
            n_in = n_out
        self.layers = nn.ModuleList(layers)
        self.judge = normed(nn.Conv2d(n_in, 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return scores ``(batch, place)`` and the features of each layer."""
        folded = functional.pad(waveform, (0, -waveform.shape[-1] % self.period)).unflatten(-1, (-1, self.period))
        return _run(folded, self.layers, self.judge)


def _run(x: Tensor, layers: nn.ModuleList, judge: nn.Module) -> tuple[Tensor, list[Tensor]]:
    features = []
    for layer in layers:
        x = functional.leaky_relu(layer(x), SLOPE)
        features.append(x)
    return judge(x).flatten(1), features
