"""A picture of a restoration: the spectrograms before, after, and of what was removed (or any others), on one scale."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resound.dsp.spectral import frame_length_for, hann

if TYPE_CHECKING:
    from PIL import Image

MAX_COLUMNS = 1600
RANGE_DB = 90.0
N_BANDS = 384
DPI = 150
FRAME_SECONDS = 0.04
NAMES = ("before", "after", "removed")
QUIETEST_TOP_DB = -60.0  # of the scale: a full-scale tone has about +50, and silence must not fill it


class Spectrograms:
    """Gathers spectrograms, one above the other, while blocks pass, in constant memory however long the recording is.

    One column is the mean power of the frames that fall into it; when there are too many columns, neighbours merge.
    """

    def __init__(
        self,
        sample_rate: int,
        expected_seconds: float | None,
        *,
        start_seconds: float = 0.0,
        names: tuple[str, ...] = NAMES,
    ) -> None:
        self.sample_rate = sample_rate
        self.names = names
        self.start_seconds = start_seconds
        self.length = frame_length_for(sample_rate, FRAME_SECONDS)
        self._window = hann(self.length)
        self._hop = max(self.length // 4, round((expected_seconds or 0) * sample_rate / MAX_COLUMNS))
        self._rest = np.zeros((len(names), 0), dtype=np.float32)
        self._columns: list[NDArray] = []  # (row, freq) each
        self._n_samples = 0

    def add(self, *blocks: NDArray) -> None:
        """Take the next blocks, ``(channel, time)`` each, one for each name."""
        self._n_samples += blocks[0].shape[1]
        mono = np.stack([block.mean(axis=0) for block in blocks]).astype(np.float32)
        waiting = np.concatenate([self._rest, mono], axis=1)
        start = 0
        while waiting.shape[1] - start >= max(self.length, self._hop):
            self._columns.append(self._column(waiting[:, start : start + max(self.length, self._hop)]))
            start += self._hop
        self._rest = waiting[:, start:]
        if len(self._columns) >= 2 * MAX_COLUMNS:
            pairs = zip(self._columns[::2], self._columns[1::2], strict=False)
            self._columns = [(left + right) / 2 for left, right in pairs]
            self._hop *= 2

    def _column(self, stretch: NDArray) -> NDArray:
        frames = np.lib.stride_tricks.sliding_window_view(stretch, self.length, axis=1)[:, :: self.length // 2]
        power = np.abs(np.fft.rfft(frames * self._window, axis=-1)) ** 2
        return np.asarray(power.mean(axis=1), dtype=np.float32)

    def draw(self, path: Path, *, title: str, dpi: int = DPI) -> None:
        """Write the PNG."""
        if not self._columns:  # shorter than a frame
            short = np.pad(self._rest, ((0, 0), (0, max(0, self.length - self._rest.shape[1]))))
            self._columns.append(self._column(short))
        draw_spectrograms(
            path,
            np.stack(self._columns, axis=2),  # (row, freq, column)
            start_seconds=self.start_seconds,
            duration_seconds=self._n_samples / self.sample_rate,
            sample_rate=self.sample_rate,
            title=title,
            names=self.names,
            dpi=dpi,
        )


def draw_spectrograms(
    path: Path,
    power: NDArray,
    *,
    start_seconds: float,
    duration_seconds: float,
    sample_rate: int,
    title: str,
    names: tuple[str, ...] = NAMES,
    dpi: int = DPI,
) -> None:
    """Write a PNG of powers ``(row, freq, column)`` on one colour scale in dB, whose top is the first row's loudest.

    The frequency axis is mel: its lower half shows what speech is made of.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image  # which matplotlib needs itself

    levels_db = 10 * np.log10(on_mel_scale(power, sample_rate) + 1e-20)
    top = max(float(np.max(levels_db[0])), QUIETEST_TOP_DB)
    highest = float(mel(np.array(sample_rate / 2)))
    extent = (start_seconds, start_seconds + max(duration_seconds, 1e-6), 0.0, highest)
    ticks = [t for t in (0, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000) if t <= sample_rate / 2]
    height = 8 if names == NAMES else 0.8 + 2.1 * len(names)
    figure = Figure(figsize=(11, height), dpi=dpi, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(names), 1, sharex=True, sharey=True)
    ink = "#333333"
    for axis, level_db, name in zip(axes, levels_db, names, strict=True):
        image = axis.imshow(
            level_db,
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            extent=extent,
            origin="lower",
            aspect="auto",
            interpolation="antialiased",
        )
        axis.set_yticks(mel(np.array(ticks)), [f"{t / 1000:g}k" if t >= 1000 else f"{t}" for t in ticks])
        axis.set_ylabel(f"{name}\nHz", color=ink)
        axis.tick_params(colors=ink)
        axis.spines[:].set_visible(False)
    axes[-1].set_xlabel("seconds", color=ink)
    # a name is no formula, however many $ it holds
    figure.suptitle(drawable(title), color=ink, fontsize=12, parse_math=False)
    label = f"dB relative to the loudest moment {'before' if names == NAMES else f'of {names[0]!r}'}"
    bar = figure.colorbar(image, ax=axes, label=label, pad=0.01, fraction=0.03)
    bar.set_ticks(
        list(np.arange(top - RANGE_DB, top + 1, 15)),
        labels=[f"{d:.0f}".replace("-", "−") for d in np.arange(-RANGE_DB, 1, 15)],
    )
    bar.outline.set_visible(False)
    canvas.draw()
    whole = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    whole.quantize(palette=palette(), dither=Image.Dither.NONE).save(path, format="png")


@cache
def palette() -> Image.Image:
    """Return the colours of a picture, those of its scale and greys: half the size of true colour, and faster."""
    from matplotlib import colormaps
    from PIL import Image

    scale = colormaps["magma"](np.linspace(0, 1, 208))[:, :3]
    greys = np.repeat(np.linspace(0.2, 1, 48)[:, None], 3, axis=1)  # from ink to paper
    image = Image.new("P", (1, 1))
    image.putpalette(np.round(255 * np.concatenate([scale, greys])).astype(np.uint8).tobytes())
    return image


def on_mel_scale(power: NDArray, sample_rate: int) -> NDArray:
    """Return powers ``(row, freq, column)`` at frequencies up to half the rate as the means of `N_BANDS` mel bands.

    A narrow line keeps its share of a wide band, and a band narrower than a bin has the power of that bin.
    """
    n_bins = power.shape[1]
    middles = np.linspace(0, sample_rate / 2, n_bins)
    bins = np.concatenate([[0], (middles[1:] + middles[:-1]) / 2, [sample_rate / 2]])
    bands = inverse_mel(np.linspace(0, float(mel(np.array(sample_rate / 2))), N_BANDS + 1))
    shared = np.minimum(bins[1:], bands[1:, None]) - np.maximum(bins[:-1], bands[:-1, None])  # (band, bin) in Hz
    return np.asarray(np.maximum(shared, 0) / np.diff(bands)[:, None] @ power)


def drawable(text: str) -> str:
    """Return a text with a box for what matplotlib's own font does not hold, which it would warn about."""
    from matplotlib import font_manager

    held = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    return "".join(letter if ord(letter) in held else "\N{WHITE SQUARE}" for letter in text)


def mel(frequency_hz: NDArray) -> NDArray:
    """Return the mel scale of O'Shaughnessy 1987."""
    return 2595 * np.log10(1 + np.maximum(frequency_hz, 0) / 700)


def inverse_mel(mels: NDArray) -> NDArray:
    """Return the frequency in Hz of a mel value."""
    return 700 * (10 ** (np.minimum(mels, 20_000) / 2595) - 1)
