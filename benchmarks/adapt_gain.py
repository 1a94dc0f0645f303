"""What ``resound adapt`` gains, on films of which the clean sound is known: speech with one film's noise put on it.

A film is speech of speakers whom no training saw, with pauses, under hiss, crackle and hum that are the same all
through.  A model is adapted to it in each of the three ways; the table says what the whole film is worth before and
after, which the adapting never knew.

    resound corpus scan ../shared/data -o data.jsonl
    resound train gatewave --quick --corpus data.jsonl -o runs/gatewave
    python benchmarks/adapt_gain.py data.jsonl --model runs/gatewave --minutes 5
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from common import machine, parser_for, print_table
from numpy.typing import NDArray

from resound import restore
from resound.audio.segments import read_excerpt
from resound.corpora.manifest import read_manifest
from resound.degrade.chain import apply_chain, read_chain
from resound.judging.scores import si_sdr

RATE = 16000
FILM_SECONDS, PAUSE_SECONDS = 240, (0.6, 2.0)
PIECE_SECONDS = 10
N_PAIRS, PAIR_SECONDS = 8, 12
NOISE = {
    "about": "one film's noise",
    "steps": [
        {"hiss": {"snr_db": 9, "db_per_octave": -4}},
        {"crackle": {"rate_per_second": 6, "peak_db": 3}},
        {"hum": {"frequency_hz": 50, "snr_db": 24}},
    ],
}
WAYS = ("film and clean corpora", "pairs", "film alone")


def speech(manifest: Path, seconds: float, seed: int) -> NDArray:
    """Return ``(time,)`` speech of validation speakers with pauses."""
    rng = np.random.default_rng(seed)
    corpus = read_manifest(manifest)
    chosen = [item for item in corpus.recordings if item.domain == "speech" and item.split == "valid"]
    parts: list[NDArray] = []
    while sum(map(len, parts)) < seconds * RATE:
        sentence = read_excerpt(corpus.path_of(chosen[int(rng.integers(len(chosen)))]), RATE)[0]
        parts += [0.05 * sentence / (np.sqrt(np.mean(sentence**2)) + 1e-9)]
        parts += [np.zeros(round(rng.uniform(*PAUSE_SECONDS) * RATE), np.float32)]
    return np.concatenate(parts)[: round(seconds * RATE)].astype(np.float32)


def film(manifest: Path, seconds: float, seed: int) -> tuple[NDArray, NDArray]:
    """Return the clean sound of a film, and the film, ``(time,)`` each."""
    clean = speech(manifest, seconds, seed)
    drawn = read_chain(NOISE, "film").draw(np.random.default_rng(seed))
    return clean, apply_chain(clean[None], RATE, drawn)[0]


def sdr_db(estimate: NDArray, clean: NDArray) -> float:
    """Return the mean SI-SDR of pieces of ten seconds."""
    length = PIECE_SECONDS * RATE
    pieces = range(0, len(clean) - length + 1, length)
    values = [si_sdr(estimate[start : start + length], clean[start : start + length]) for start in pieces]
    return float(np.mean(values))


def make_pairs(manifest: Path, folder: Path) -> None:
    """Write a few pairs with the same kind of noise, of other sentences."""
    for index in range(N_PAIRS):
        for side, samples in zip(("clean", "degraded"), film(manifest, PAIR_SECONDS, 100 + index), strict=True):
            (folder / side).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / side / f"{index}.wav", samples, RATE, subtype="FLOAT")


def words_for(way: str, manifest: Path, work: Path) -> list[str]:
    """Return how ``resound adapt`` is told about a way."""
    if way == "pairs":
        return ["--clean", str(work / "material/clean"), "--degraded", str(work / "material/degraded")]
    return [str(work / "film.wav"), *(["--corpus", str(manifest)] if way.endswith("corpora") else [])]


def rows(arguments: object, clean: NDArray, noisy: NDArray) -> Iterator[list[str]]:
    """Yield a row for each way."""
    model, work = str(arguments.model), arguments.work  # type: ignore[attr-defined]
    before = sdr_db(restore(noisy, RATE, model), clean)
    yield ["unprocessed", "", "", f"{sdr_db(noisy, clean):.2f}", ""]
    yield ["classic", "", "", f"{sdr_db(restore(noisy, RATE, 'classic'), clean):.2f}", ""]
    yield ["before", "", "", f"{before:.2f}", ""]
    for way in arguments.ways:  # type: ignore[attr-defined]
        folder = work / way.replace(" ", "-")
        if not (folder / "adapt.json").exists():
            words = words_for(way, arguments.manifest, work)  # type: ignore[attr-defined]
            minutes = ["--minutes", str(arguments.minutes)]  # type: ignore[attr-defined]
            command = [sys.executable, "-m", "resound.cli.main", "adapt", *words, "--model", model, *minutes]
            settings = [word for setting in arguments.set for word in ("--set", setting)]  # type: ignore[attr-defined]
            subprocess.run([*command, "-o", str(folder), *settings], check=False)
        told = json.loads((folder / "adapt.json").read_text(encoding="utf-8"))
        after = sdr_db(restore(noisy, RATE, str(folder / "run")), clean)
        gain = told["gain"]
        claimed = f"{gain['mean']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f})"
        yield [way, "yes" if told["kept"] else "no", claimed, f"{after:.2f}", f"{after - before:+.2f}"]


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="speech and music, as 'resound corpus scan' lists them")
    parser.add_argument("--model", type=Path, required=True, help="a run or a model's folder, of 16 kHz")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--work", type=Path, default=Path("adapt"), help="where everything lies (adapt)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for all: training.threads=1")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, metavar="WAY")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    clean, noisy = film(arguments.manifest, FILM_SECONDS, seed=0)
    soundfile.write(arguments.work / "film.wav", noisy, RATE, subtype="FLOAT")
    make_pairs(arguments.manifest, arguments.work / "material")
    print(f"{machine()}, {arguments.minutes:g} minutes each\n")
    header = ("", "kept", "what it says it gained, dB", "whole film, SI-SDR", "against before")
    print_table(header, rows(arguments, clean, noisy))


if __name__ == "__main__":
    main()
