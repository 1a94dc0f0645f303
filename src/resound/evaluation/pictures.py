"""Waveforms and spectrograms of the versions of a recording, on the same axes and in the same colours."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resound.audio.atomic import atomic_file
from resound.doctor.drawing import FIRST, INK
from resound.dsp.spectral import frame_length_for, hann
from resound.evaluation.sounds import Take

DPI = 150
FRAME_SECONDS = 0.032
RANGE_DB = 80.0
N_COLUMNS, N_ROWS = 900, 256
N_ENVELOPE = 1200  # points of a waveform
N_COLOURS = 256  # of the file, which is a third as large for it


def picture_of(take: Take) -> bytes:
    """Return a PNG of all versions, one below the other: waveform left, spectrogram right."""
    names = list(take.versions)
    sounds = [take.versions[name].mean(axis=0) for name in names]
    spectra = [spectrogram_db(sound, take.sample_rate) for sound in sounds]
    top = max(float(spectrum.max()) for spectrum in spectra)
    peak = max(float(np.abs(sound).max()) for sound in sounds) or 1.0
    figure = Figure(figsize=(10, 0.5 + 1.45 * len(names)), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(names), 2, sharex=True, sharey="col", squeeze=False, width_ratios=(2, 3))
    height = float(figure.get_figheight())
    edges = {"left": 0.075, "right": 0.91, "bottom": 0.45 / height, "top": 1 - 0.12 / height}
    figure.subplots_adjust(**edges, wspace=0.12, hspace=0.16)  # laid out by hand: that takes half as long
    image = None
    for (left, right), name, sound, spectrum in zip(axes, names, sounds, spectra, strict=True):
        _waveform(left, sound, take)
        left.set(ylim=(-1.05 * peak, 1.05 * peak), ylabel=name)
        extent = (take.start_seconds, take.start_seconds + take.seconds, 0, take.sample_rate / 2000)
        image = right.imshow(
            spectrum, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - RANGE_DB, vmax=top,
            interpolation="nearest",
        )  # fmt: skip
        right.set_ylabel("kHz")
    for below in axes[-1]:
        below.set_xlabel("s")
    if image is not None:
        scale = figure.add_axes((0.92, edges["bottom"], 0.012, edges["top"] - edges["bottom"]))
        figure.colorbar(image, cax=scale, label="dB")
    canvas.draw()
    return _as_png(np.asarray(canvas.buffer_rgba()))


def _waveform(axes: Axes, sound: NDArray, take: Take) -> None:
    """Draw the highest and lowest samples of stretches that are a pixel or so wide."""
    edges = np.linspace(0, len(sound), min(N_ENVELOPE, len(sound)) + 1).astype(int)[:-1]
    seconds = take.start_seconds + edges / take.sample_rate
    axes.fill_between(
        seconds, np.minimum.reduceat(sound, edges), np.maximum.reduceat(sound, edges), color=FIRST, linewidth=0.3
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


def spectrogram_db(sound: NDArray, sample_rate: int) -> NDArray:
    """Return the power in dB, ``(row, column)``, linear in frequency: means of frames and of bins."""
    length = frame_length_for(sample_rate, FRAME_SECONDS)
    padded = np.pad(sound.astype(np.float32), (length // 2, length))
    starts = np.linspace(0, max(len(sound) - 1, 0), min(N_COLUMNS, max(1, len(sound) // 32))).astype(int)
    frames = padded[starts[:, None] + np.arange(length)] * hann(length)
    power = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float64) ** 2  # an output may be 1e30 times too loud
    edges = np.linspace(0, power.shape[1], min(N_ROWS, power.shape[1]) + 1).astype(int)[:-1]
    means = np.add.reduceat(power, edges, axis=1) / np.diff(edges, append=power.shape[1])
    return 10 * np.log10(means.T + 1e-12)


def _as_png(pixels: NDArray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    reduced = Image.fromarray(pixels[..., :3]).quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE)
    reduced.save(out, "PNG", dpi=(DPI, DPI))
    return out.getvalue()


def for_page(png: bytes) -> bytes:
    """Return a picture as WebP, a third as large: what a page shows, where the file beside it is exact."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(out, "WEBP", quality=60, method=2)
    return out.getvalue()


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, which its header has first."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def write_picture(png: bytes, path: Path) -> None:
    """Write a PNG.  Raises `OutputError`."""
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_bytes(png)
