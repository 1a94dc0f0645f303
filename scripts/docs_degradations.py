"""A hook of mkdocs: writes out each degradation and chain on its page, from the code, with a picture before and after.

Pages in ``docs/degradations`` hold lines such as ``<!-- degradations: hum, buzz -->`` and ``<!-- chains: lp -->``,
which this fills in.  The pictures are made with the pages, from a sound of our own making, and are not kept.
"""

from __future__ import annotations

import atexit
import inspect
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from numpy.typing import NDArray

from resound.degrade.catalogue import settings_of, written
from resound.degrade.chain import CHAINS, DEGRADATIONS, Drawn, apply_chain, chain_names, load_chain, read_degradation
from resound.inference.picture import inverse_mel, mel

MARK = re.compile(r"<!-- (degradations|chains): ([\w, -]+) -->")
RATE, VOICE_SECONDS, TONE_SECONDS, SEED = 44100, 2.7, 1.2, 3
SECONDS = VOICE_SECONDS + TONE_SECONDS
RANGE_DB, HIGHEST_HZ = 80.0, 18000.0
# Where the middle of the defaults would hardly be seen, or a bank is needed.
SHOWN: dict[str, dict[str, Any]] = {
    "noise": {"snr_db": 15},
    "babble": {"snr_db": 8, "n_talkers": 6},
    "hiss": {"snr_db": 20},
    "hum": {"snr_db": 12, "roll_off_db_per_octave": 4},
    "buzz": {"snr_db": 15},
    "calls": {"snr_db": 5, "rate_per_second": 2, "pitch_hz": 1800, "glide_octaves": 0.8, "length_ms": 250},
    "strikes": {"snr_db": 5, "rate_per_second": 2, "regularity": 1, "decay_ms": 60, "n_modes": 6},
    "rushes": {"snr_db": 5, "rate_per_second": 2, "length_ms": 250, "width_octaves": 3},
    "surface": {"snr_db": 15, "depth": 0.5},
    "crackle": {"rate_per_second": 30, "peak_db": 0},
    "thump": {"rate_per_second": 2, "peak_db": 3, "frequency_hz": 60},
    "optical_noise": {"snr_db": 18, "rise_db": 10},
    "density_flutter": {"depth_db": 3, "rate_hz": 2},
    "sprocket": {"snr_db": 12, "depth_percent": 5},
    "dirt": {"rate_per_second": 10, "peak_db": 0},
    "splice": {"rate_per_minute": 40, "peak_db": 6},
    "synthetic_room": {"rt60_seconds": 0.8, "direct_to_reverberant_db": 0},
    "wow_flutter": {"wow_percent": 3, "wow_hz": 1.3},
    "speed": {"percent": -10},
    "roll_off": {},
    "band_limit": {"high_hz": 3000, "low_hz": 300, "db_per_octave": 36},
    "horn": {"n_resonances": 5, "depth_db": 12},
    "clip": {"percent": 4},
    "optical_valve": {"distortion_percent": 6, "cross_percent": 6, "clash_db": -3},
    "dropout": {"per_minute": 60, "depth_db": 24, "length_ms": 80},
    "azimuth": {"delay_us": 60},
    "codec": {"bit_rate_kbps": 24},
    "resample": {"rate_hz": 8000},
    "packet_loss": {"percent": 15, "burst_packets": 3},
    "bit_depth": {"bits": 6},
    "dc": {"offset": 0.02},
    "holes": {"holes_per_second": 12, "depth_db": 50, "length_ms": 150, "width_octaves": 0.8},
    "musical_noise": {"snr_db": 18, "density": 0.01},
    "over_gate": {"threshold_db": -3, "reduction_db": 40},
    "dull": {"cutoff_hz": 3500, "db_per_octave": 24},
}
UNSEEN = {"gain", "polarity", "dc", "room"}  # a spectrogram shows nothing of them, or as much as that of another


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures."""
    for name in [*(DEGRADATIONS.keys() - UNSEEN), *chain_names()]:
        files.append(File.generated(config, f"degradations/pictures/{name}.webp", content=picture_of(drawn_for(name))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what the marks of a page ask for."""
    if not page.file.src_uri.startswith("degradations/"):
        return markdown
    told: set[str] = set()

    def filled(mark: re.Match[str]) -> str:
        names = [name.strip() for name in mark[2].split(",")]
        if mark[1] == "chains":
            return "\n\n".join(map(chain_section, names))
        return "\n\n".join(degradation_section(name, told) for name in names)

    return MARK.sub(filled, markdown)


def names_on(markdown: str, kind: str) -> list[str]:
    """Return the degradations or chains that a page asks for."""
    return [name.strip() for mark in MARK.finditer(markdown) if mark[1] == kind for name in mark[2].split(",")]


def degradation_section(name: str, told: set[str]) -> str:
    """Return what there is to know about a degradation; ``told`` are the modules whose text the page has already."""
    kind = DEGRADATIONS[name]
    module = inspect.getmodule(kind)
    background = (inspect.getdoc(module) or "").partition("\n\n")[2] if module else ""
    parts = [f"## {name}", as_markdown(inspect.getdoc(kind) or "")]
    if module and module.__name__ not in told:
        told.add(module.__name__)
        parts.append(as_markdown(background))
    parts.append(as_markdown(inspect.getdoc(kind.apply) or ""))
    if name not in UNSEEN:
        parts.append(figure_of(name))
    rows = [f"| `{item.name}` | `{item.default}` | {item.limits} | {item.meaning} |" for item in settings_of(name)]
    if rows:
        parts.append("\n".join(["| setting | default | range | meaning |", "| --- | --- | --- | --- |", *rows]))
    return "\n\n".join(part for part in parts if part)


def chain_section(name: str) -> str:
    """Return a chain with its picture, as it is written."""
    chain = load_chain(name)
    text = (CHAINS / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[2].rstrip()
    about = f"{chain.about[0].upper()}{chain.about[1:]}."
    return f"## {name}\n\n{about}\n\n{figure_of(name)}\n\n```yaml\n{text}\n```"


def figure_of(name: str) -> str:
    """Return the picture of a degradation or chain with what was drawn below it."""
    return f"![{name}: before and after](pictures/{name}.webp){{ loading=lazy }}\n*{caption(drawn_for(name))}*"


def as_markdown(docstring: str) -> str:
    """Return a docstring as Markdown that tells what is returned."""
    return re.sub(r"^Return ", "Returns ", docstring.replace("``", "`"))


@cache
def drawn_for(name: str) -> Drawn:
    """Return drawn steps that show what a degradation or a chain does."""
    rng = np.random.default_rng(SEED)
    if name not in DEGRADATIONS:
        return load_chain(name).draw(rng)
    needs_bank = any(setting.name == "bank" for setting in settings_of(name))
    made = read_degradation(name, SHOWN.get(name, {}) | ({"bank": str(sound_bank())} if needs_bank else {}))
    return [{name: made.draw(rng)}]


def picture_of(drawn: Drawn) -> bytes:
    """Return a picture of our sound before and after drawn steps."""
    before = sound()[np.newaxis]
    return draw_pair(before[0], apply_chain(before, RATE, drawn)[0])


def caption(drawn: Drawn) -> str:
    """Return the parameters of a drawn step in a line, or the names of several."""
    if len(drawn) > 1:
        return "Here it drew " + ", ".join(name for line in drawn for name in line if name != "target") + "."
    [(name, params)] = drawn[0].items()
    shown = {key: value for key, value in params.items() if key not in ("seed", "files", "file", "positions", "points")}
    values = [
        f"{key} {written(float(f'{value:.3g}') if isinstance(value, float) else value)}"
        for key, value in shown.items()
        if value is not None and not isinstance(value, list)
    ]
    return f"{name}: {', '.join(values)}"


def draw_pair(before: NDArray, after: NDArray) -> bytes:
    """Return two mel spectrograms side by side as WebP."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    levels = [level_db(before), level_db(after)]
    top = max(float(level.max()) for level in levels)
    figure = Figure(figsize=(9.6, 2.7), dpi=110, layout="constrained", facecolor="#17121f")
    FigureCanvasAgg(figure)
    ink = "#cfc8da"
    for axis, level, title in zip(figure.subplots(1, 2, sharey=True), levels, ("before", "after"), strict=True):
        extent = (0, len(before) / RATE, 0, float(mel(np.array(HIGHEST_HZ))))
        axis.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - RANGE_DB, vmax=top)
        ticks = np.array((100, 250, 500, 1000, 2000, 4000, 8000, 16000))
        axis.set_yticks(mel(ticks), [f"{tick / 1000:g}k" if tick >= 1000 else f"{tick}" for tick in ticks])
        axis.set_title(title, color=ink, fontsize=8, loc="left")
        axis.tick_params(colors=ink, labelsize=7, length=2)
        axis.spines[:].set_visible(False)
    drawing = io.BytesIO()
    figure.savefig(drawing, format="webp", pil_kwargs={"quality": 82}, facecolor=figure.get_facecolor())
    return drawing.getvalue()


def level_db(samples: NDArray) -> NDArray:
    """Return the spectrogram ``(mel, frame)`` of ``(time,)`` in dB."""
    length, hop, n_rows = 1764, 330, 320  # 40 ms, 7.5 ms
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, length // 2), length)[::hop]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(length), 4 * length, axis=1)).T
    rows_hz = inverse_mel(np.linspace(0, float(mel(np.array(HIGHEST_HZ))), n_rows))
    return 20 * np.log10(magnitude[np.rint(rows_hz * 4 * length / RATE).astype(int)] + 1e-5)


@cache
def sound() -> NDArray[np.float32]:
    """Return a voice and a held tone, ``(time,)``, peak 0.5: noise is seen in the pauses, wow and hum on the tone."""
    time = np.arange(round(TONE_SECONDS * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 523.25 * k * time) / k**1.5 for k in range(1, 16))
    tone *= np.minimum(1, np.minimum(time / 0.05, (TONE_SECONDS - time) / 0.3))
    return np.concatenate([voice(VOICE_SECONDS, RATE), 0.12 * tone]).astype(np.float32)


def voice(seconds: float, rate: int, seed: int = 4) -> NDArray[np.float32]:
    """Return something like a voice, ``(time,)``, peak 0.5: syllables of gliding harmonics, and consonants of noise."""
    rng = np.random.default_rng(seed)
    spoken = np.zeros(round(seconds * rate))
    position = 0.15
    while position < seconds - 0.45:
        for start, part in syllable(position, rate, rng):
            begin = round(start * rate)
            spoken[begin : begin + len(part)] += part[: len(spoken) - begin]
        position += rng.uniform(0.22, 0.34) + (rng.uniform(0.15, 0.3) if rng.random() < 0.25 else 0)
    return (0.5 * spoken / np.abs(spoken).max()).astype(np.float32)


def syllable(position: float, rate: int, rng: np.random.Generator) -> Iterator[tuple[float, NDArray]]:
    """Yield a consonant and a vowel, each with its time in seconds."""
    from scipy.signal import butter, sosfilt

    if rng.random() < 0.7:
        length, centre = rng.uniform(0.05, 0.11), rng.uniform(3500, 8000)
        hiss = rng.standard_normal(round(length * rate)) * np.hanning(round(length * rate))
        band = butter(2, [0.6 * centre, 1.6 * centre], "bandpass", fs=rate, output="sos")
        yield position - length * 0.8, 0.12 * sosfilt(band, hiss)
    length = rng.uniform(0.16, 0.28)
    time = np.arange(round(length * rate)) / rate
    pitch = np.linspace(rng.uniform(110, 190), rng.uniform(95, 170), len(time)) * (1 + 0.01 * np.sin(36 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    first, last = (rng.uniform([280, 900, 2300, 3400], [800, 2100, 2900, 3900]) for _ in range(2))
    vowel = np.zeros(len(time))
    for harmonic in range(1, 80):
        at = harmonic * pitch
        weight = 0.004 / (1 + (at / 4000) ** 2)
        for start, end, level in zip(first, last, (1, 0.5, 0.25, 0.12), strict=True):
            weight = weight + level / (1 + ((at - np.linspace(start, end, len(time))) / 110) ** 2)
        vowel += np.where(at < 0.45 * rate, weight, 0) * np.sin(harmonic * phase + harmonic)
    yield position, 0.25 * vowel * np.sin(np.pi * time / length) ** 0.6


@cache
def sound_bank() -> Path:
    """Return a folder with some voices, for what draws from a bank; it goes with the process."""
    import soundfile

    folder = tempfile.TemporaryDirectory(prefix="docs-bank-")
    atexit.register(folder.cleanup)
    for seed in range(8):
        soundfile.write(Path(folder.name) / f"voice-{seed}.flac", voice(4.5, RATE, seed=10 + seed), RATE)
    return Path(folder.name)


if __name__ == "__main__":  # to look at one picture: python scripts/docs_degradations.py hiss hiss.webp
    Path(sys.argv[2]).write_bytes(picture_of(drawn_for(sys.argv[1])))
