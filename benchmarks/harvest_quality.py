"""How reliably ``resound harvest`` finds noise and nothing else, on recordings of which that is known.

Noise alone should nearly all be kept, music and clean speech should give nothing but their own pauses.  The hard part
is speech and music over a known noise: there each tenth of a second of what was kept is compared with the programme
that was mixed in.  Needs the folder of recordings; takes two minutes.

    python benchmarks/harvest_quality.py --data ../shared/data
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from common import need_folder, parser_for, print_table, read_mono
from numpy.typing import NDArray

from resound.dsp.active import active_speech_power
from resound.harvest.evidence import Listener
from resound.harvest.stretches import HarvestConfig, Verdict, find_stretches

RATE = 24000
CELL = RATE // 10
CONTAMINATED_DB = -10.0  # programme so far below the noise, in a tenth of a second, is heard
SNRS_DB = (5, 10, 20, 30)
NOISES = ("vintage/tumult/*.flac", "vintage/sonic-pi/vinyl_hiss.flac")
MINUTES_OF_SPEECH = 6


@dataclass(frozen=True)
class Mixture:
    """A programme over a noise, ``(time,)`` each, at `RATE`."""

    programme: NDArray
    noise: NDArray


def verdict_on(samples: NDArray, sample_rate: int, config: HarvestConfig) -> Verdict:
    """Return what is kept of ``(time,)``."""
    listener = Listener(sample_rate, 1)
    for start in range(0, len(samples), sample_rate):
        listener.add(samples[None, start : start + sample_rate])
    return find_stretches(listener.finish(), sample_rate, config)


def seconds_kept(verdict: Verdict) -> float:
    """Return the length of all stretches."""
    return sum(stretch.seconds for stretch in verdict.stretches)


def alone_row(name: str, paths: list[Path], config: HarvestConfig) -> tuple[str, ...]:
    """Return a row about recordings of one kind."""
    kept = total = 0.0
    reasons: Counter[str] = Counter()
    for path in paths:
        samples, rate = read_mono(path)
        verdict = verdict_on(samples, rate, config)
        kept += seconds_kept(verdict)
        total += len(samples) / rate
        reasons.update(verdict.rejected_seconds)
    worst = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in reasons.most_common(2) if seconds >= 0.5)
    return (name, f"{total:.0f}", f"{kept:.1f}", f"{100 * kept / total:.1f}", f"{3600 * kept / total:.0f}", worst)


def at_rate(path: Path) -> NDArray:
    """Return a recording ``(time,)`` at `RATE`."""
    samples, rate = read_mono(path)
    return np.asarray(soxr.resample(samples, rate, RATE))


def speech_with_pauses(data: Path, rng: np.random.Generator) -> NDArray:
    """Return sentences of many speakers with pauses of 0.3 to 3 s, each at the same active level.

    Sentences whose own noise lies less than 50 dB below their speech are left out: it would count as speech.
    """
    paths = [path for folder in ("speech", "speech_fullband") for path in sorted((data / folder).rglob("*.*"))]
    parts: list[NDArray] = []
    while sum(map(len, parts)) < MINUTES_OF_SPEECH * 60 * RATE:
        sentence = at_rate(paths[int(rng.integers(len(paths)))])
        sentence = sentence / np.sqrt(active_speech_power(sentence, RATE))
        powers = cell_powers(sentence, RATE // 40)
        if np.quantile(powers, 0.1) < 1e-5:
            parts += [sentence, np.zeros(round(rng.uniform(0.3, 3.0) * RATE))]
    return np.concatenate(parts)


def music_with_pauses(data: Path, rng: np.random.Generator) -> NDArray:
    """Return pieces of music of 5 to 20 s with pauses of 0.3 to 3 s, faded in and out over 1 s, at one level."""
    parts: list[NDArray] = []
    paths = sorted((data / "music").rglob("*.opus"))
    for index in rng.permutation(len(paths))[:20]:
        music = at_rate(paths[index])[: round(rng.uniform(5, 20) * RATE)]
        fade = np.minimum(1, np.arange(len(music)) / RATE)
        music = music * fade * fade[::-1]
        parts += [music / max(np.sqrt(np.mean(music**2)), 1e-9), np.zeros(round(rng.uniform(0.3, 3.0) * RATE))]
    return np.concatenate(parts)


def mixtures(programme: NDArray, data: Path, snr_db: float, rng: np.random.Generator) -> Iterator[Mixture]:
    """Yield the programme in equal parts over each noise."""
    paths = sorted(path for pattern in NOISES for path in data.glob(pattern))
    for part, path in zip(np.array_split(programme, len(paths)), paths, strict=True):
        noise = np.resize(at_rate(path), len(part))
        yield Mixture(part, noise / np.sqrt(np.mean(noise**2)) * 10 ** (-snr_db / 20))


def cell_powers(samples: NDArray, n_samples: int) -> NDArray:
    """Return the mean square of cells of ``(time,)``."""
    n_cells = len(samples) // n_samples
    return np.mean(np.square(samples[: n_cells * n_samples].reshape(n_cells, n_samples)), axis=1)


def mixture_row(name: str, snr_db: float, pieces: Iterator[Mixture], config: HarvestConfig) -> tuple[str, ...]:
    """Return a row: kept seconds, how many of them clean, and how many of the clean pauses were found."""
    n_kept = n_spoiled = n_pause = n_found = n_cells = 0
    for mixture in pieces:
        verdict = verdict_on(0.1 * (mixture.programme + mixture.noise), RATE, config)
        kept = np.zeros(len(mixture.noise))
        for stretch in verdict.stretches:
            kept[stretch.start_samples : stretch.start_samples + stretch.n_samples] = 1
        kept_cells = cell_powers(kept, CELL) > 0
        heard = cell_powers(mixture.programme, CELL) > 10 ** (CONTAMINATED_DB / 10) * cell_powers(mixture.noise, CELL)
        n_kept += int(kept_cells.sum())
        n_spoiled += int((kept_cells & heard).sum())
        n_pause += int((~heard).sum())
        n_found += int((kept_cells & ~heard).sum())
        n_cells += len(heard)
    precision = f"{1 - n_spoiled / n_kept:.4f}" if n_kept else "-"
    recall = f"{n_found / n_pause:.2f}" if n_pause else "-"
    return (name, f"{snr_db:g}", f"{n_cells / 10:.0f}", f"{n_pause / 10:.0f}", f"{n_kept / 10:.1f}", precision, recall)


def main() -> None:
    arguments = parser_for(__doc__).parse_args()
    data, config = need_folder(arguments.data), HarvestConfig()
    kinds = {
        "record and film noise": [p for pattern in NOISES for p in sorted(data.glob(pattern))],
        "music": sorted((data / "music").rglob("*.opus")),
        "clean speech": [p for n in ("kerstin", "librispeech") for p in sorted((data / "speech" / n).rglob("*.opus"))][
            ::8
        ],
        "1968 film": sorted(data.glob("vintage/notld1968/*.flac")),
        "newsreels, films": sorted(data.glob("vintage/nara_film/*.flac")),
    }
    header = ("material", "seconds", "kept s", "kept %", "kept s per hour", "most rejected for")
    print_table(header, [alone_row(name, paths, config) for name, paths in kinds.items()])
    rows = []
    for snr_db in SNRS_DB:
        for name, make in (("speech", speech_with_pauses), ("music", music_with_pauses)):
            rng = np.random.default_rng(1)
            rows.append(mixture_row(name, snr_db, mixtures(make(data, rng), data, snr_db, rng), config))
    header = ("programme", "SNR dB", "seconds", "noise only s", "kept s", "precision", "recall")
    print_table(header, rows)


if __name__ == "__main__":
    main()
