"""How good the default restoration is where the truth is known, beside noisereduce and ffmpeg's filters.

Three tables:

- ``pairs``: published noisy speech with its clean original (VoiceBank+DEMAND, 37 utterances, 16 kHz);
- ``film``: clean speech and music, spoiled here with what optical film sound suffers from (`film_noise`), seeded;
- ``clean``: clean speech and music through the chain, which should leave them alone.

SI-SDR: higher is better.  LSD, log-spectral distance: lower is better.  Level: how much quieter the wanted sound became
where it is active; 0 is best.  "worse": items whose SI-SDR fell below that of the untreated recording.  Time: seconds
of processor time per second of sound.

    python benchmarks/restore_quality.py --data ../shared/data
    python benchmarks/restore_quality.py --data ../shared/data --tables film --seed 1968 --csv film.csv
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from common import (
    competitors,
    machine,
    manifest,
    parser_for,
    print_table,
    read_mono,
    resound_classic,
    timed,
)  # keeps numpy to one thread: first

# isort: split
import numpy as np
from numpy.typing import NDArray

FILM_SECONDS = 20.0
UNTREATED = "untreated"
OURS = "resound, classic"


@dataclass(frozen=True)
class Score:
    """How one method fared on one item."""

    table: str
    group: str
    item: str
    method: str
    si_sdr_db: float
    lsd_db: float
    level_db: float
    seconds: float
    length_seconds: float


def score(estimate: NDArray, clean: NDArray, sample_rate: int) -> tuple[float, float, float]:
    """Return SI-SDR, log-spectral distance and level change of ``(time,)`` against the clean original."""
    from resound.metrics import log_spectral_distance, si_sdr, speech_level_change_db

    return (
        float(si_sdr(estimate, clean)),
        log_spectral_distance(estimate, clean, sample_rate),
        speech_level_change_db(estimate, clean, sample_rate),
    )


@dataclass(frozen=True)
class Item:
    """One thing to restore: how to make it in the process that needs it."""

    table: str
    group: str
    name: str
    paths: tuple[Path, ...]
    seed: int = 0
    speech_over_music: Path | None = None

    def load(self) -> tuple[NDArray, NDArray, int]:
        """Return the degraded and the clean sound ``(time,)``, and the sample rate."""
        if self.table == "pairs":
            (noisy, sample_rate), (clean, _) = read_mono(self.paths[0]), read_mono(self.paths[1])
            n_common = min(len(noisy), len(clean))
            return noisy[:n_common], clean[:n_common], sample_rate
        if self.table == "clean":
            clean, sample_rate = read_mono(self.paths[0])
            return clean, clean, sample_rate
        rng = np.random.default_rng(self.seed)
        clean, sample_rate = joined(self.paths, rng)
        if self.speech_over_music:
            music, music_rate = read_mono(self.speech_over_music)
            assert music_rate == sample_rate, "the two are mixed at one rate"
            clean = clean + rms(clean) / rms(music) * 10 ** (-12 / 20) * np.resize(music, len(clean))
        clean = clean / np.abs(clean).max() * 0.5
        return clean + film_noise(clean, sample_rate, rng), clean, sample_rate


def joined(paths: tuple[Path, ...], rng: np.random.Generator) -> tuple[NDArray, int]:
    """Return recordings one after the other with pauses of 0.3 to 1 s, ``(time,)`` of `FILM_SECONDS` at most."""
    parts, sample_rate = [], 0
    for path in paths:
        sound, sample_rate = read_mono(path)
        parts += [sound, np.zeros(round(rng.uniform(0.3, 1.0) * sample_rate))]
    return np.concatenate(parts)[: round(FILM_SECONDS * sample_rate)], sample_rate


def rms(samples: NDArray) -> float:
    """Return the root mean square of the part that is not silent."""
    power = samples**2
    return float(np.sqrt(power[power > power.max() * 1e-8].mean()))


def film_noise(clean: NDArray, sample_rate: int, rng: np.random.Generator) -> NDArray:
    """Return what an old optical film track adds to ``(time,)``, ``(time,)``.

    Hiss 15 to 25 dB below the sound, falling 3 dB an octave above 500 Hz, up to 4 dB louder where the sound is loud
    (grain grows with exposure); 2 to 15 dirt impulses a second, damped, 0.1 to 1 ms long; sprocket hum on 24 and 96 Hz,
    and mains hum on 50 or 60 Hz with harmonics, 25 to 35 dB below the sound.
    """
    n_samples, level = len(clean), rms(clean)
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples)) * np.sqrt(500 / np.maximum(frequencies, 500))
    hiss = np.fft.irfft(spectrum, n_samples)
    hiss *= level * 10 ** (-rng.uniform(15, 25) / 20) / np.sqrt(np.mean(hiss**2))
    width = round(0.05 * sample_rate)
    envelope = np.sqrt(np.convolve(clean**2, np.ones(width) / width, "same"))
    hiss *= 1 + 0.58 * envelope / envelope.max()
    time = np.arange(n_samples) / sample_rate
    mains_hz = rng.choice([50.0, 60.0])
    hum = sum(
        amplitude * np.sin(2 * np.pi * hz * time + rng.uniform(0, 2 * np.pi))
        for hz, amplitude in [(24.0, 0.7), (96.0, 1.0), *((n * mains_hz, 1 / n) for n in (1, 2, 3, 4, 6))]
    )
    hum *= level * 10 ** (-rng.uniform(25, 35) / 20) / np.sqrt(np.mean(hum**2))
    dirt = np.zeros(n_samples)
    for start in rng.integers(0, n_samples, rng.poisson(rng.uniform(2, 15) * n_samples / sample_rate)):
        length = max(2, round(rng.uniform(1e-4, 1e-3) * sample_rate))
        shape = rng.standard_normal(length) * np.exp(-3 * np.arange(length) / length)
        shape *= level * rng.uniform(2, 12) / np.abs(shape).max()
        dirt[start : start + length] += shape[: n_samples - start]
    return hiss + hum + dirt


def pair_items(data: Path) -> Iterator[Item]:
    """Yield the published pairs."""
    for noisy in sorted((data / "pairs/valentini/noisy").glob("*.flac")):
        yield Item("pairs", "pairs", noisy.stem, (noisy, data / "pairs/valentini/clean" / noisy.name))


def film_items(data: Path, seed: int) -> Iterator[Item]:
    """Yield speech, full-band speech, music, and speech over music, to be spoiled.

    Speech and music are the ``valid`` split; of full-band speech, whose single speakers have no such split, the lot.
    """
    rows = manifest(data)
    rng = np.random.default_rng(seed)

    def paths(kind: str, *, split: str | None, source: str = "", least: float = 0.0) -> list[Path]:
        return [
            data / row["path"]
            for row in rows
            if row["kind"] == kind
            and split in (None, row["split"])
            and source in row["path"]
            and float(row["seconds"]) >= least
        ]

    speech = paths("speech", split="valid")
    fullband = paths("speech_fullband", split=None, source="kathleen")
    music = paths("music", split="valid", least=4) + paths("music", split="train", source="holiznacc0")
    for number in range(8):
        chosen = tuple(rng.choice(np.array(speech, dtype=object), 6, replace=False))
        yield Item("film", "speech, 16 kHz", f"speech {number}", chosen, seed + number)
    for number in range(6):
        chosen = tuple(rng.choice(np.array(fullband, dtype=object), 7, replace=False))
        yield Item("film", "speech, 48 kHz", f"full-band speech {number}", chosen, seed + 100 + number)
    for number, path in enumerate(music[:12]):
        yield Item("film", "music, 48 kHz", path.stem, (path,), seed + 200 + number)
    for number in range(6):
        chosen = tuple(rng.choice(np.array(fullband, dtype=object), 7, replace=False))
        under = music[int(rng.integers(len(music)))]
        yield Item("film", "speech over music, 48 kHz", f"both {number}", chosen, seed + 300 + number, under)


def clean_items(data: Path) -> Iterator[Item]:
    """Yield clean speech (the ``valid`` split of 16-kHz speech), all full-band speech and all music."""
    for row in manifest(data):
        path = data / row["path"]
        group = "/".join(row["path"].split("/")[:2])
        if row["kind"] in ("speech_fullband", "music") or (row["kind"] == "speech" and row["split"] == "valid"):
            yield Item("clean", group, path.stem, (path,))


def judge(item: Item) -> list[Score]:
    """Return the scores of all methods on one item; clean material goes through ours alone."""
    degraded, clean, sample_rate = item.load()
    methods = {OURS: resound_classic} | ({} if item.table == "clean" else competitors())
    length = len(clean) / sample_rate
    head = (item.table, item.group, item.name)
    scores = [] if item.table == "clean" else [Score(*head, UNTREATED, *score(degraded, clean, sample_rate), 0, length)]
    for name, method in methods.items():
        estimate, seconds = timed(method, degraded, sample_rate)
        scores.append(Score(*head, name, *score(estimate, clean, sample_rate), seconds, length))
    return scores


def compare(scores: list[Score], title: str) -> None:
    """Print one row for each method: medians over items, how many got worse, time."""
    print(f"### {title}\n")
    before = {s.item: s.si_sdr_db for s in scores if s.method == UNTREATED}
    rows = []
    for method in dict.fromkeys(s.method for s in scores):
        own = [s for s in scores if s.method == method]
        worse = sum(s.si_sdr_db < before[s.item] - 0.005 for s in own)
        share = sum(s.seconds for s in own) / sum(s.length_seconds for s in own)
        rows.append(
            (
                method,
                f"{np.median([s.si_sdr_db for s in own]):.2f}",
                f"{np.mean([s.si_sdr_db for s in own]):.2f}",
                f"{np.mean([s.lsd_db for s in own]):.2f}",
                f"{np.mean([s.level_db for s in own]):+.2f}",
                f"{max(abs(s.level_db) for s in own):.2f}",
                "" if method == UNTREATED else f"{worse} of {len(own)}",
                "" if method == UNTREATED else f"{share:.3f}",
            )
        )
    print_table(
        (
            "",
            "SI-SDR, median dB",
            "SI-SDR, mean dB",
            "LSD, mean dB",
            "level, mean dB",
            "level, largest dB",
            "worse",
            "time / length",
        ),
        rows,
    )


def promise(scores: list[Score]) -> None:
    """Print what the default did to clean material, and the files where it did too much."""
    print("### Clean material through the classic chain\n")
    rows = []
    for group in [*sorted({s.group for s in scores}), "all"]:
        own = [s for s in scores if group in (s.group, "all")]
        sdr, level = np.array([s.si_sdr_db for s in own]), np.array([s.level_db for s in own])
        quartiles = np.quantile(np.minimum(sdr, 99), [0.25, 0.5, 0.75])
        rows.append(
            (
                group,
                len(own),
                *(f"{q:.1f}" for q in quartiles),
                f"{min(sdr):.1f}",
                int((sdr < 25).sum()),
                f"{np.median(level):+.3f}",
                f"{level[np.abs(level).argmax()]:+.2f}",
                int((np.abs(level) > 0.2).sum()),
            )
        )
    print_table(
        (
            "group",
            "files",
            "SI-SDR, lower quartile",
            "median",
            "upper quartile",
            "lowest",
            "below 25 dB",
            "level, median dB",
            "level, largest dB",
            "beyond 0.2 dB",
        ),
        rows,
    )
    broken = sorted((s for s in scores if s.si_sdr_db < 25 or abs(s.level_db) > 0.2), key=lambda s: s.si_sdr_db)
    print(f"{len(broken)} of {len(scores)} files miss the promise (SI-SDR above 25 dB, level within 0.2 dB):\n")
    print_table(
        ("file", "SI-SDR, dB", "level, dB", "seconds"),
        [
            (f"{s.group}/{s.item}", f"{s.si_sdr_db:.1f}", f"{s.level_db:+.2f}", f"{s.length_seconds:.1f}")
            for s in broken
        ],
    )


def main() -> None:
    """Print the tables."""
    parser = parser_for(__doc__)
    parser.add_argument("--tables", nargs="+", choices=("pairs", "film", "clean"), default=("pairs", "film", "clean"))
    parser.add_argument("--seed", type=int, default=1928, help="of the film noise (1928)")
    parser.add_argument("--jobs", type=int, default=1, help="items at a time")
    parser.add_argument("--csv", type=Path, help="also write every single score")
    arguments = parser.parse_args()
    scores = run(arguments)
    print(f"{machine()}.  Seed {arguments.seed}.\n")
    by_table = defaultdict(list)
    for entry in scores:
        by_table[entry.table].append(entry)
    if by_table["pairs"]:
        compare(by_table["pairs"], "Noisy speech, published pairs")
    if by_table["film"]:
        compare(by_table["film"], "Synthetic film noise, all")
        for group in dict.fromkeys(s.group for s in by_table["film"]):
            compare([s for s in by_table["film"] if s.group == group], f"Synthetic film noise, {group}")
    if by_table["clean"]:
        promise(by_table["clean"])
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(asdict(scores[0])))
            writer.writeheader()
            writer.writerows(asdict(entry) for entry in scores)


def run(arguments: argparse.Namespace) -> list[Score]:
    """Return the scores of everything asked for."""
    data = arguments.data
    items: list[Item] = []
    makers = {"pairs": pair_items, "film": partial(film_items, seed=arguments.seed), "clean": clean_items}
    for table in arguments.tables:
        manifest(data)
        items += makers[table](data)
    if arguments.jobs == 1:
        return [entry for item in items for entry in judge(item)]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        return [entry for entries in pool.map(judge, items) for entry in entries]


if __name__ == "__main__":
    main()
