"""A picture of a restoration: the spectrograms before, after, and of what was removed (or any others), on one scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.dsp.spectral import frame_length_for, hann

MAX_COLUMNS = 1600
RANGE_DB = 90.0
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
        levels_db = 10 * np.log10(np.stack(self._columns, axis=2) + 1e-20)  # (row, freq, column)
        draw_spectrograms(
            path,
            levels_db,
            start_seconds=self.start_seconds,
            duration_seconds=self._n_samples / self.sample_rate,
            sample_rate=self.sample_rate,
            title=title,
            names=self.names,
            dpi=dpi,
        )


def draw_spectrograms(
    path: Path,
    levels_db: NDArray,
    *,
    start_seconds: float,
    duration_seconds: float,
    sample_rate: int,
    title: str,
    names: tuple[str, ...] = NAMES,
    dpi: int = DPI,
) -> None:
    """Write a PNG of levels ``(row, freq, column)`` in dB with one colour scale, whose top is the first row's loudest.

    The frequency axis is mel: its lower half shows what speech is made of.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    top = max(float(np.max(levels_db[0])), QUIETEST_TOP_DB)
    frequencies = np.linspace(0, sample_rate / 2, levels_db.shape[1])
    times = start_seconds + np.linspace(0, max(duration_seconds, 1e-6), levels_db.shape[2] + 1)
    edges = np.concatenate([frequencies - frequencies[1] / 2, [sample_rate / 2]]).clip(0)
    figure = Figure(
        figsize=(11, 8 if len(names) == 3 else 0.8 + 2.1 * len(names)), dpi=dpi, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(names), 1, sharex=True, sharey=True)
    ink = "#333333"
    for axis, level_db, name in zip(axes, levels_db, names, strict=True):
        mesh = axis.pcolormesh(
            times,
            edges,
            level_db,
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            rasterized=True,
            shading="flat",
        )
        axis.set_yscale("function", functions=(mel, inverse_mel))
        axis.set_ylim(0, sample_rate / 2)
        ticks = [t for t in (0, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000) if t <= sample_rate / 2]
        axis.set_yticks(ticks, [f"{t / 1000:g}k" if t >= 1000 else f"{t}" for t in ticks])
        axis.set_ylabel(f"{name}\nHz", color=ink)
        axis.tick_params(colors=ink)
        axis.spines[:].set_visible(False)
    axes[-1].set_xlabel("seconds", color=ink)
    # a name is no formula, however many $ it holds
    figure.suptitle(drawable(title), color=ink, fontsize=12, parse_math=False)
    bar = figure.colorbar(
        mesh, ax=axes, label=f"dB relative to the loudest moment of '{names[0]}'", pad=0.01, fraction=0.03
    )
    bar.set_ticks(
        list(np.arange(top - RANGE_DB, top + 1, 15)), labels=[f"{d:.0f}" for d in np.arange(-RANGE_DB, 1, 15)]
    )
    bar.outline.set_visible(False)
    figure.savefig(path, format="png")


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
    return 700 * (10 ** (np.minimum(mels, 5000) / 2595) - 1)
