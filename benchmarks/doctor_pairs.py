"""How often doctor is wrong about pairs: DATA01 and DATA02 on real recordings after real degradations.

Speech, music and other sounds of the data folder, 6 s each at 16 kHz, are degraded (`resound.degrade`); crops of 0.5 to
4 s become pairs: the same moment, the same moment shifted by up to a second (up to half of short crops), another
recording, and another moment of the same recording.  Folders of n pairs are drawn, and judged as `resound doctor data`
does, with pairs put together wrongly on purpose where there are two or more.

* false alarm: a folder of true pairs gets the error DATA01, at the worst condition in the last column.
* missed: a folder of pairs that are none does not get it.  Another moment of a recording that repeats itself, as loops
  and steady noises do, is rightly found to be like the first.
* cannot tell: a single true pair is called neither.
* shift exact: of true pairs that are shifted, those whose shift is found to one sample.

    python benchmarks/doctor_pairs.py --data ../shared/data
    python benchmarks/doctor_pairs.py --clips 100 --folders 200 --csv doctor_pairs.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import machine, manifest, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from resound.audio.segments import read_excerpt
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.degrade.chain import Chain, apply_chain_to_pair
from resound.doctor.likeness import Likeness, Side, likeness
from resound.doctor.settings import DataThresholds
from resound.doctor.verdict import Pooled
from resound.errors import InputError
from resound.mixing.config import chain_from

RATE, SECONDS = 16_000, 6.0
CROPS = (0.5, 1.0, 2.0, 4.0)
SIZES = (1, 10, 100)
SHARES = {"speech": 0.7, "music": 0.2, "noise": 0.1}  # of the clips
KINDS = ("true", "shifted", "other recording", "other moment")


@dataclass(frozen=True)
class Clip:
    """The same 6 s, clean and degraded, ``(time,)`` each."""

    recording: str
    clean: NDArray
    degraded: NDArray


def conditions(banks: dict[str, str]) -> dict[str, Chain | None]:
    """Return what is done to the clips; None: a vocoder, which keeps levels and no phase."""

    def noise(snr_db: float, kind: str = "noise") -> list[dict]:
        return [{"noise": {"bank": banks[kind], "snr_db": snr_db}}]

    steps: dict[str, object] = {
        "nothing": [{"gain": {}}],
        **{f"recorded noise {snr_db} dB": noise(snr_db) for snr_db in (10, 0, -5, -10)},
        "white noise -10 dB": [{"hiss": {"snr_db": -10, "db_per_octave": 0}}],
        "music as noise -10 dB": noise(-10, "music"),
        "another voice 0 dB": noise(0, "speech"),
        "another voice -10 dB": noise(-10, "speech"),
        "upside down, noise 0 dB": [{"polarity": {}, "target": "clean"}, *noise(0)],
        "room": [{"synthetic_room": {}}],
        "room, noise 0 dB": [{"synthetic_room": {}}, *noise(0)],
        "any codec": [{"codec": {}}],
        "codec g723.1": [{"codec": {"codec": "g723.1"}}],
        "noise 5 dB, gated": [*noise(5), {"over_gate": {}}, {"holes": {}}],
        "hiss 5 dB, crackle": [{"hiss": {"snr_db": 5}}, {"crackle": {}}],
        **{name: name for name in ("film-1930s", "record-78", "telephone", "conference", "denoiser-artefacts")},
    }
    return {name: chain_from(written) for name, written in steps.items()} | {"vocoder": None}


def vocoded(samples: NDArray, rng: np.random.Generator) -> NDArray:
    """Return ``(time,)`` with the magnitudes of its short-time spectrum and phases of chance."""
    length, hop = 512, 128
    window = np.hanning(length)
    padded = np.pad(samples, length)
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]
    spectra = scipy.fft.rfft(frames * window, axis=1)
    changed = scipy.fft.irfft(np.abs(spectra) * np.exp(2j * np.pi * rng.random(spectra.shape)), length, axis=1) * window
    made = np.zeros(len(padded) + length)
    for number, frame in enumerate(changed):
        made[number * hop : number * hop + length] += frame
    return made[length : length + len(samples)]


def clips_of(rows: list[dict[str, str]], data: Path, chain: Chain | None, n: int, seed: int) -> list[Clip]:
    """Return clips after a chain, from recordings that are long enough and sound."""
    rng = np.random.default_rng(seed)
    by_kind = {kind: [r for r in rows if r["kind"] == kind and float(r["seconds"]) > SECONDS + 0.2] for kind in SHARES}
    clips: list[Clip] = []
    while len(clips) < n:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        row = by_kind[kind][rng.integers(len(by_kind[kind]))]
        start = rng.uniform(0, float(row["seconds"]) - SECONDS - 0.1)
        length = round(SECONDS * RATE)
        audio = read_excerpt(data / row["path"], RATE, start_seconds=start, n_samples=length)
        if audio.shape[1] < length or np.mean(np.square(audio)) < 1e-6:
            continue
        try:
            if chain is None:
                clean, degraded = audio, vocoded(audio[0], rng)[None]
            else:
                clean, degraded = (side for side in apply_chain_to_pair(audio, RATE, chain.draw(rng)))
        except InputError:
            continue
        n_samples = min(clean.shape[1], degraded.shape[1])
        clips.append(Clip(row["path"], clean[0, :n_samples].astype(float), degraded[0, :n_samples].astype(float)))
    return clips


def crops(clip: Clip, other: Clip, seconds: float, kind: str, rng: np.random.Generator) -> tuple[NDArray, NDArray, int]:
    """Return two crops and by how many samples the second is later."""
    n, whole = round(seconds * RATE), min(len(clip.clean), len(other.degraded))
    shift = 0
    if kind == "shifted":
        most = min(RATE, n // 2)
        shift = int(rng.integers(-most, most + 1))
    start = int(rng.integers(max(0, shift), whole - n + min(0, shift) + 1))
    first = clip.clean[start : start + n]
    if kind == "other recording":
        place = int(rng.integers(0, whole - n + 1))
        return first, other.degraded[place : place + n], 0
    if kind == "other moment":
        start = int(rng.integers(0, whole - 2 * n + 1))
        place = int(rng.integers(start + n, whole - n + 1))
        return clip.clean[start : start + n], clip.degraded[place : place + n], 0
    return first, clip.degraded[start - shift : start - shift + n], shift


@dataclass(frozen=True)
class Measured:
    """Pairs of one condition, length and kind."""

    condition: str
    seconds: float
    kind: str
    found: list[Likeness]
    unrelated: list[list[Likeness]]  # of each pair's clean side with others' degraded sides
    shifts: list[int]


def measure(condition: str, clips: list[Clip], seed: int) -> Iterator[Measured]:
    """Yield what pairs of a condition have in common."""
    rng = np.random.default_rng(seed)
    for seconds in CROPS:
        for kind in KINDS:
            if kind == "other moment" and 2 * seconds > SECONDS:
                continue
            sides, shifts = [], []
            for number, clip in enumerate(clips):
                other = next(c for c in clips[number + 1 :] + clips if c.recording != clip.recording)
                one, two, shift = crops(clip, other, seconds, kind, rng)
                if one.any() and two.any():
                    sides.append((Side(one, RATE), Side(two, RATE)))
                    shifts.append(shift)
            pairs = [likeness(*pair) for pair in sides]
            unrelated = [
                [likeness(one, sides[(number + step) % len(sides)][1]) for step in (1, 2)]
                for number, (one, _) in enumerate(sides)
            ]
            yield Measured(condition, seconds, kind, pairs, unrelated, shifts)  # type: ignore[arg-type]


def judged(measured: Measured, n: int, n_folders: int, rng: np.random.Generator) -> dict[str, float]:
    """Return how many of so many drawn folders get an error, a warning, or neither although nothing can be told."""
    limit = DataThresholds().different_share
    counts = {"error": 0, "warning": 0, "unsure": 0}
    for _ in range(n_folders):
        chosen = rng.integers(0, len(measured.found), n)
        chance = [one for number in chosen for one in measured.unrelated[number]] if n > 1 else []
        pooled = Pooled([measured.found[number] for number in chosen], chance)
        if pooled.is_significant:
            counts["error" if pooled.share_different >= limit else "warning"] += 1
        counts["unsure"] += pooled.n_told == 0
    return {name: count / n_folders for name, count in counts.items()}


def exact_shifts(measured: Measured) -> float:
    """Return the share of shifted pairs whose shift is found to one sample."""
    found = zip(measured.found, measured.shifts, strict=True)
    return float(np.mean([abs(one.lag_seconds * RATE - shift) <= 1 for one, shift in found]))


def write_banks(rows: list[dict[str, str]], data: Path, folder: Path) -> dict[str, str]:
    """Write manifests that offer noise, music and speech as noise, and return their paths."""
    banks = {}
    for kind in SHARES:
        files = [
            Recording(r["path"], round(float(r["seconds"]) * int(r["sample_rate"])), int(r["sample_rate"]), 1, "noise")
            for r in rows
            if r["kind"] == kind and float(r["seconds"]) > 1
        ]
        banks[kind] = str(folder / f"{kind}.jsonl")
        write_manifest(Path(banks[kind]), Manifest(data.resolve(), files))
    return banks


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--clips", type=int, default=40, help="clips of each condition")
    parser.add_argument("--folders", type=int, default=50, help="folders drawn of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="write every number there as well")
    arguments = parser.parse_args()
    rows = manifest(arguments.data)
    results: list[dict[str, object]] = []
    shifts: dict[float, list[float]] = {seconds: [] for seconds in CROPS}
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        for name, chain in conditions(write_banks(rows, arguments.data, Path(folder))).items():
            print(name, file=sys.stderr, flush=True)
            for measured in measure(name, clips_of(rows, arguments.data, chain, arguments.clips, arguments.seed), 3):
                for n in SIZES:
                    told = judged(measured, n, arguments.folders, rng)
                    results.append(
                        {"condition": name, "seconds": measured.seconds, "kind": measured.kind, "pairs": n, **told}
                    )
                if measured.kind == "shifted" and name != "vocoder":
                    shifts[measured.seconds].append(exact_shifts(measured))
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(results[0]))
            writer.writeheader()
            writer.writerows(results)
    print(f"{machine()}; {arguments.clips} clips and {arguments.folders} folders each, seed {arguments.seed}\n")
    show(results, shifts)


def show(results: list[dict], shifts: dict[float, list[float]]) -> None:
    """Print the table."""

    def percent(values: list[float]) -> str:
        return f"{100 * float(np.mean(values)):.1f} %" if values else "-"

    lines = []
    for seconds in CROPS:
        for n in SIZES:
            here = [row for row in results if row["seconds"] == seconds and row["pairs"] == n]
            true = [row for row in here if row["kind"] in ("true", "shifted")]
            worst = max(true, key=lambda row: row["error"])
            lines.append(
                [
                    f"{seconds:g}",
                    n,
                    percent([row["error"] for row in true]),
                    percent([row["warning"] for row in true]),
                    percent([1 - row["error"] for row in here if row["kind"] == "other recording"]),
                    percent([1 - row["error"] for row in here if row["kind"] == "other moment"]),
                    percent([row["unsure"] for row in true]) if n == 1 else "",
                    percent(shifts[seconds]) if n == 1 else "",
                    f"{worst['condition']}, {100 * worst['error']:.0f} %" if worst["error"] else "none",
                ]
            )
    print_table(
        ["seconds", "pairs", "false alarm", "false warning", "missed, another recording", "missed, another moment",
         "cannot tell", "shift exact", "worst false alarm"],
        lines,
    )  # fmt: skip


if __name__ == "__main__":
    main()
