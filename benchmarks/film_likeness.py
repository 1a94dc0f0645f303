"""How much the film chains sound like films: the noise profile of real film sound beside that of degraded clean speech.

Profiles are those of ``resound harvest --profile``: real excerpts as they are, and clean speech of many speakers with
pauses, each time with a new draw of the chain.  Shown are medians, and in brackets the 10 % and 90 % points.  Needs the
folder of recordings; takes a minute.

    python benchmarks/film_likeness.py --data ../shared/data
    python benchmarks/film_likeness.py --data ../shared/data --picture docs/images/film-likeness.png
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from common import need_folder, parser_for, print_table
from numpy.typing import NDArray

from resound.audio.segments import read_excerpt
from resound.degrade.chain import apply_chain, load_chain
from resound.errors import InputError
from resound.harvest.cut import Source
from resound.harvest.profile import NoiseProfile, measure_profile

RATE = 44100
N_DRAWS = 24
SECONDS = 30
FILMS = {"film of 1968": "vintage/notld1968/*.flac", "newsreels, government films": "vintage/nara_film/speech*.flac"}
CHAINS = ("film-1960s", "film-1930s")
BANDS_HZ = (63, 125, 250, 500, 1000, 2000, 4000)
RESPONSE_HZ = (125, 250, 4000, 6300)
LEAST_PURE = 3
SPEECH = "speech_fullband"
PICTURE_SECONDS, PICTURE_DB, PICTURE_COLOURS = 6.0, 75.0, 48

Measure = Callable[[NoiseProfile], float | None]


def clean_speech(data: Path, rng: np.random.Generator) -> NDArray:
    """Return half a minute of one recording after the other with pauses of 0.5 to 2 s, ``(1, time)``, -26 dBFS RMS."""
    paths = sorted(path for path in (data / SPEECH).rglob("*.*") if path.suffix in (".flac", ".opus"))
    parts: list[NDArray] = []
    while sum(map(len, parts)) < SECONDS * RATE:
        sentence = read_excerpt(paths[int(rng.integers(len(paths)))], RATE)[0]
        level = np.sqrt(np.mean(np.square(sentence, dtype=np.float64)))
        parts += [sentence / np.float32(level), np.zeros(round(rng.uniform(0.5, 2) * RATE), np.float32)]
    return (0.05 * np.concatenate(parts)[None, : SECONDS * RATE]).astype(np.float32)


def degraded_speech(data: Path, chain: str, draw: int) -> NDArray:
    """Return clean speech through one draw of a chain, ``(1, time)``."""
    rng = np.random.default_rng(draw)
    return apply_chain(clean_speech(data, rng), RATE, load_chain(chain).draw(rng))


def profiles_of_films(data: Path, pattern: str) -> list[NoiseProfile]:
    """Return the profiles of those excerpts that have a moment of noise in them."""
    found = []
    for path in sorted(data.glob(pattern)):
        try:
            found.append(measure_profile(Source(path)))
        except InputError:
            continue
    return found


def profiles_of_chain(data: Path, chain: str) -> list[NoiseProfile]:
    """Return the profiles of clean speech through the chain."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.wav"
        for draw in range(N_DRAWS):
            soundfile.write(path, degraded_speech(data, chain, draw).T, RATE, subtype="FLOAT")
            found.append(measure_profile(Source(path)))
    return found


def spread(values: list[float | None]) -> str:
    """Return median and 10 % and 90 % points of what is there."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    digits = 0 if abs(middle) >= 100 else 1
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def band(profile: NoiseProfile, values: tuple[float | None, ...] | None, hz: float) -> float | None:
    """Return the level of the third octave at a frequency."""
    if values is None:
        return None
    return dict(zip(np.round(profile.third_octave_hz), values, strict=False)).get(nearest(profile, hz))


def nearest(profile: NoiseProfile, hz: float) -> float:
    """Return the rounded centre of the third octave at a frequency."""
    return float(min(np.round(profile.third_octave_hz), key=lambda centre: abs(np.log(centre / hz))))


def share(flags: list[bool]) -> str:
    """Return how many per cent are true."""
    return f"{100 * np.mean(flags):.0f} %"


def rows(columns: dict[str, list[NoiseProfile]]) -> list[list[str]]:
    """Return the table's rows: one measure each."""
    table = []
    for name, of in NOISE_MEASURES.items():
        table.append([name, *(spread([of(profile) for profile in pure(found)]) for found in columns.values())])
    for name, of in PROGRAMME_MEASURES.items():
        table.append([name, *(spread([of(profile) for profile in found]) for found in columns.values())])
    table.append(["recordings with hum", *(share([p.hum is not None for p in found]) for found in columns.values())])
    table.append(["recordings or draws", *(str(len(found)) for found in columns.values())])
    table.append(["... with stretches of noise alone", *(str(n_pure(found)) for found in columns.values())])
    return table


def n_pure(found: list[NoiseProfile]) -> int:
    """Return in how many the noise was measured where there is nothing else."""
    return sum(profile.noise_from == "stretches" for profile in found)


def pure(found: list[NoiseProfile]) -> list[NoiseProfile]:
    """Return those whose noise was measured where there is nothing else; all, where there are hardly any."""
    return [p for p in found if p.noise_from == "stretches"] if n_pure(found) >= LEAST_PURE else found


def noise_at(hz: float) -> Measure:
    """Return a measure: the noise in the third octave at a frequency."""
    return lambda profile: band(profile, profile.noise_db, hz)


def response_at(hz: float) -> Measure:
    """Return a measure: the programme against average speech in the third octave at a frequency."""
    return lambda profile: band(profile, profile.response_db, hz)


NOISE_MEASURES: dict[str, Measure] = {
    "programme over noise, active level, dB": lambda p: p.snr_db,
    "slope of the noise, dB an octave": lambda p: p.tilt_db_per_octave,
    **{f"noise at {hz} Hz to programme, dB": noise_at(hz) for hz in BANDS_HZ},
    "ticks a second that stand out of the noise": lambda p: p.crackle.found_per_second if p.crackle else 0.0,
}
PROGRAMME_MEASURES: dict[str, Measure] = {
    **{f"programme at {hz} Hz to average speech, dB": response_at(hz) for hz in RESPONSE_HZ},
    "bandwidth of the programme, Hz": lambda p: p.bandwidth_hz,
    "hum to programme, dB, where there is hum": lambda p: p.hum.level_db if p.hum else None,
}


def draw_picture(data: Path, path: Path) -> None:
    """Save spectrograms of two films and of clean speech through the chain."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    shown = [
        (name, read_excerpt(sorted(data.glob(pattern))[index], 16000)[0])
        for (name, pattern), index in zip(FILMS.items(), (16, -1), strict=True)
    ]
    for chain in CHAINS:
        audio = degraded_speech(data, chain, 1)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "film.wav"
            soundfile.write(file, audio.T, RATE, subtype="FLOAT")
            shown.append((f"clean speech through {chain}", read_excerpt(file, 16000)[0]))
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.6), sharex=True, sharey=True, layout="constrained")
    for axis, (title, samples) in zip(axes.flat, shown, strict=True):
        samples = samples[: round(PICTURE_SECONDS * 16000)]
        power = axis.specgram(samples, NFFT=512, Fs=16000, noverlap=384, cmap="magma")[0]
        loudest_db = 10 * np.log10(np.quantile(power, 0.999))
        axis.images[0].set_clim(loudest_db - PICTURE_DB, loudest_db)
        axis.set_title(title, fontsize=10)
    figure.supxlabel("seconds")
    figure.supylabel("Hz")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    Image.open(path).convert("RGB").quantize(PICTURE_COLOURS).save(path, optimize=True)


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--picture", type=Path, help="save spectrograms there instead")
    arguments = parser.parse_args()
    data = need_folder(arguments.data)
    if arguments.picture:
        draw_picture(data, arguments.picture)
        return
    columns = {name: profiles_of_films(data, pattern) for name, pattern in FILMS.items()}
    columns |= {f"`{chain}`": profiles_of_chain(data, chain) for chain in CHAINS}
    print_table(["", *columns], rows(columns))


if __name__ == "__main__":
    main()
