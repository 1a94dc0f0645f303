"""What a network that separates is worth, on speakers that it never heard.

Short mixtures (4 s, two speakers of split ``valid``, up to 5 dB apart) are mixed, separated and judged by
`resound evaluate`: what SI-SDR gains over the mixture, beside what an ideal mask gains.  Where the data hold mixtures
of LibriMix (``pairs/librimix``), those too.

Long ones show whether a voice stays on its file: two speakers, the recordings of each one after the other, and again
from the first until it is a minute.  In every second in which both speak it is told which output is nearer to whom.
"Elsewhere" are seconds in which that is not what it is in most; "swapped" are chunks of 20 s, which the network hears
at once, most of whose seconds are elsewhere.

As recordings have it: the same with noise, in rooms, and one speaker alone; with what is in no voice given to the
louder, and left apart (``--rest``).  For one alone, how far the quieter output is below the louder one.

How sure: what `resound separate` tells of its voices (they are separated again, and agree so far), beside what is true.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/separation.py data.jsonl --model separate --work separation
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common import machine, parser_for, print_table, read_mono  # keeps numpy to one thread: first

# isort: split
import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from resound.corpora.manifest import Manifest, read_manifest
from resound.dsp.active import active_speech_power
from resound.dsp.resampling import resample
from resound.inference.separation import Heard, NetworkSeparator, SeparationReport, open_separator, separate_blocks
from resound.judging.scores import si_sdr
from resound.mixing.config import mixing_from
from resound.mixing.stream import open_examples

RATE = 16000
LONG_SECONDS, CHUNK_SECONDS = 60, 20
PAUSE_DB = 20.0  # below a voice's own active level a second of it is none
SEED = 2026
FEWEST = 10  # mixtures of which an interval says something
NOISE_SNR_DB = (0, 20)
KINDS = ("two", "two, noise", "two, rooms", "one", "one, noise", "three")
STEPS_DB = (-np.inf, 0, 3, 6, 9, 12, np.inf)  # of agreement


def main() -> None:
    """Judge and print the tables."""
    parser = parser_for(__doc__)
    parser.add_argument("manifest", type=Path, help="what 'resound corpus scan' listed")
    parser.add_argument("--model", default="separate", help="what separates (separate)")
    parser.add_argument("--work", type=Path, required=True, help="where mixtures' figures are kept")
    parser.add_argument("--count", type=int, default=120, help="short mixtures (120)")
    parser.add_argument("--pairs", type=int, default=20, help="long mixtures, and speakers alone (20)")
    arguments = parser.parse_args()
    if arguments.count < 3:
        parser.error("--count is 3 or more: every third is mixed of each kind")
    print(machine(), "\n")
    rows = [judged(arguments.manifest, rate, arguments) for rate in (8000, RATE)]
    libri = arguments.data / "pairs" / "librimix"
    if libri.is_dir():
        rows.append(judged_files(libri, arguments))
    print_table(("mixtures", "count", "SI-SDR gain, dB", "level, dB", "ideal mask"), rows)
    (arguments.work / "figures.json").write_text(json.dumps(figures_of(rows, arguments), indent=2), encoding="utf-8")
    separator = open_separator(arguments.model)
    speakers = list(speakers_of(read_manifest(arguments.manifest), arguments.pairs * 2))
    print()
    print_table(
        ("a minute of two", "seconds elsewhere", "chunks swapped", "of", "told as unsure"),
        [long_ones(separator, speakers[: arguments.pairs], speakers[arguments.pairs :])],
    )
    print()
    found = {kind: found_in(kind, separator, arguments) for kind in KINDS}
    if libri.is_dir():
        found["LibriMix"] = found_in_files(libri, separator)
    print_table(
        (
            "of",
            "count",
            "mean gain, dB",
            "with --rest",
            "quieter output below, dB: median (10 to 90 %)",
            "agreement, dB: median",
            "10 %",
            "90 %",
        ),
        [row_of_kind(kind, outcomes) for kind, outcomes in found.items()],
    )
    print()
    both = [each for kind in ("two", "two, noise", "two, rooms") for each in found[kind]]
    print_table(("agreement, dB", "count", "true SI-SDR, dB: median", "10 %", "90 %"), told_and_true(both))
    told, true = np.array([(each.agreement_db, each.si_sdr_db) for each in both]).T
    print(f"\ncorrelation of agreement and SI-SDR: {np.corrcoef(told, true)[0, 1]:.2f}")


def figures_of(rows: list[tuple[object, ...]], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the card of a network that ships tells (scripts/ship_network.py)."""
    columns = ["", *(f"{name} ({count})" for name, count, *_ in rows)]
    gains, ideal = ([str(row[index]) for row in rows] for index in (2, 4))
    return {
        "told": "SI-SDR gain in dB over mixtures of 4 s of two speakers that it never heard, up to 5 dB apart; in "
        "brackets the 95 % interval of the mean",
        "columns": columns,
        "rows": [[str(arguments.model), *gains], ["ideal mask", *ideal]],
        "command": "python benchmarks/separation.py data.jsonl --model separate --work separation",
    }


def judged(manifest: Path, rate: int, arguments: argparse.Namespace) -> tuple[object, ...]:
    """Return a row of mixtures that are made for it at a rate."""
    folder = arguments.work / f"{rate}"
    folder.mkdir(parents=True, exist_ok=True)
    mix = {
        "task": "separate", "split": "valid", "seed": SEED, "sample_rate": rate, "segment_seconds": 4,
        "n_examples": arguments.count, "levels": "wsj0",
        "speech": {"corpus": str(manifest.resolve()), "domain": "speech"},
    }  # fmt: skip
    (folder / "mix.yaml").write_text(yaml.safe_dump(mix), encoding="utf-8")
    return (f"{rate / 1000:g} kHz", *evaluated(folder, arguments, "--config", folder / "mix.yaml"))


def judged_files(libri: Path, arguments: argparse.Namespace) -> tuple[object, ...]:
    """Return a row of mixtures from disk."""
    folder = arguments.work / "librimix"
    sides = ("--degraded", libri / "mix", "--clean", libri / "s1", "--clean", libri / "s2")
    return ("LibriMix, 8 kHz", *evaluated(folder, arguments, *sides))


def evaluated(folder: Path, arguments: argparse.Namespace, *words: object) -> tuple[object, ...]:
    """Return count, gain, level and the ideal mask's gain, as `resound evaluate` finds them."""
    model = arguments.model
    count = ("--count", arguments.count) if "--config" in words else ()
    given = ["evaluate", "--model", model, *words, *count, "--metrics", "si_sdr,level_db"]
    given += ["--baselines", "unprocessed,oracle_mask", "-o", folder / "results", "--overwrite", "--json"]
    ended = subprocess.run(
        [sys.executable, "-m", "resound.cli.main", *map(str, given)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        sys.exit(f"resound {' '.join(map(str, given))}: failed: {ended.stderr.strip().splitlines()[-1]}")
    (folder / "results.json").write_text(ended.stdout, encoding="utf-8")
    return row_of(json.loads(ended.stdout))


def row_of(results: dict[str, Any]) -> tuple[object, ...]:
    """Return what is told of a set."""
    overall, gain = results["overall"], results["improvement"]["unprocessed"]["si_sdr"]
    ideal = overall["oracle_mask"]["si_sdr"]["mean"] - overall["unprocessed"]["si_sdr"]["mean"]
    level_db = overall["enhanced"]["level_db"]["mean"]
    told = f"{gain['mean']:.1f}"
    if results["n_files"] >= FEWEST:
        told += f" ({gain['low']:.1f} to {gain['high']:.1f})"
    return results["n_files"], told, f"{level_db:.1f}", f"{ideal:.1f}"


def speakers_of(manifest: Manifest, count: int) -> Iterator[NDArray]:
    """Yield a minute of each of some speakers of split ``valid``, at one active level."""
    by_name: dict[str, list[Path]] = {}
    for each in manifest.recordings:
        if each.split == "valid" and each.domain == "speech" and each.speaker:
            by_name.setdefault(each.speaker, []).append(manifest.path_of(each))
    names = np.random.default_rng(SEED).permutation(sorted(by_name))
    for name in names[:count]:
        sounds = [resample(samples[None], rate, RATE)[0] for samples, rate in map(read_mono, by_name[name])]
        voice = np.resize(np.concatenate(sounds), LONG_SECONDS * RATE)
        yield 0.05 * voice / np.sqrt(active_speech_power(voice[None].astype(np.float32), RATE))


def long_ones(separator: NetworkSeparator, firsts: list[NDArray], seconds: list[NDArray]) -> tuple[object, ...]:
    """Return how often a voice is on the other's output."""
    elsewhere: list[float] = []
    n_swapped = n_chunks = n_unsure = 0
    for pair in zip(firsts, seconds, strict=False):
        sources = np.stack(pair)
        voices, unsure = separated(separator, sources.sum(axis=0))
        order = order_in_each_second(voices, sources)  # +1, -1, or 0 where one is silent
        wrong = order * np.sign(order.sum() or 1) < 0
        elsewhere.append(wrong.sum() / max(1, np.count_nonzero(order)))
        chunks = [slice(start, start + CHUNK_SECONDS) for start in range(0, LONG_SECONDS, CHUNK_SECONDS)]
        n_swapped += sum(2 * wrong[chunk].sum() > np.count_nonzero(order[chunk]) for chunk in chunks)
        n_chunks, n_unsure = n_chunks + len(chunks), n_unsure + unsure
    return len(elsewhere), f"{np.mean(elsewhere):.1%}", n_swapped, n_chunks, n_unsure


def order_in_each_second(voices: NDArray, sources: NDArray) -> NDArray:
    """Return for each second 1 where the first output is nearer to the first source, -1 where not, 0 in pauses."""
    voices, sources = (each.reshape(2, -1, RATE) for each in (voices, sources))
    power = np.mean(sources**2, axis=2)
    speak = np.all(10 * np.log10(power + 1e-12) > 20 * np.log10(0.05) - PAUSE_DB, axis=0)
    likeness = np.einsum("vst,wst->vws", voices, sources) ** 2
    likeness /= np.maximum(np.einsum("vst,vst->vs", voices, voices)[:, None] * power * RATE, 1e-20)
    return np.where(speak, np.sign(likeness[0, 0] + likeness[1, 1] - likeness[0, 1] - likeness[1, 0]), 0)


class Outcome(NamedTuple):
    """What became of a mixture; what is not known of its kind is NaN."""

    si_sdr_db: float  # the mean of the voices, with what is in none given to the louder
    gain_db: float  # over the mixture
    gain_apart_db: float  # with what is in none left apart
    below_db: float  # of the quieter output, beside the louder
    agreement_db: float


def found_in(kind: str, separator: NetworkSeparator, arguments: argparse.Namespace) -> list[Outcome]:
    """Return what became of mixtures of a kind."""
    who, _, where = kind.partition(", ")
    bank = str(arguments.manifest.resolve())
    settings: dict[str, Any] = {
        "task": "separate", "split": "valid", "seed": SEED + 1, "sample_rate": RATE, "segment_seconds": 4,
        "n_examples": arguments.count // 3, "speech": {"corpus": bank, "domain": "speech"},
        "alone": float(who == "one"), "n_speakers": 3 if who == "three" else 2,
    }  # fmt: skip
    if where == "noise":
        settings["chain"] = [{"noise": {"bank": bank, "snr_db": NOISE_SNR_DB}}]
    if where == "rooms":
        settings["source_chain"] = [{"room": {"bank": bank}}]
    examples = open_examples(mixing_from(settings))
    made = (examples.example(0, index) for index in range(examples.n_examples))
    return [outcome_of(separator, example.degraded, example.clean, RATE) for example in made]


def found_in_files(libri: Path, separator: NetworkSeparator) -> list[Outcome]:
    """Return what became of mixtures from disk."""
    outcomes = []
    for path in sorted((libri / "mix").iterdir()):
        (mixture, rate), *voices = (read_mono(libri / side / path.name) for side in ("mix", "s1", "s2"))
        outcomes.append(outcome_of(separator, mixture[None], np.stack([voice for voice, _ in voices]), rate))
    return outcomes


def outcome_of(separator: NetworkSeparator, degraded: NDArray, clean: NDArray, rate: int) -> Outcome:
    """Separate a mixture ``(1, time)``, and look at the voices beside the clean ones ``(voice, time)``."""
    told = SeparationReport()
    blocks = separate_blocks([degraded], separator, sample_rate=rate, rest_apart=True, check=True, report=told)
    mixture, apart = (np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True))
    shared = apart + Heard(apart, 0).shares(np.ones((len(apart), 1, 1)), rate) * (mixture - apart.sum(axis=0))
    quiet, *_, loud = sorted(np.sum(apart**2, axis=(1, 2)))
    spoken = clean[clean.any(axis=1)]
    if len(spoken) > len(shared):
        of_each = [np.nan] * 3
    else:
        mixed = np.repeat(degraded, len(spoken), axis=0)
        of_each = [best_si_sdr_db(voices, spoken) for voices in (shared[:, 0], apart[:, 0], mixed)]
    true, true_apart, before = of_each
    below_db = 10 * np.log10(loud / max(quiet, 1e-20))
    agreement_db = told.agreement.ratio_db
    return Outcome(true, true - before, true_apart - before, below_db, np.nan if agreement_db is None else agreement_db)


def best_si_sdr_db(voices: NDArray, spoken: NDArray) -> float:
    """Return the mean over who speaks, in the best order."""
    each = si_sdr(voices[None], spoken[:, None])
    return float(each[linear_sum_assignment(each, maximize=True)].mean())


def row_of_kind(kind: str, outcomes: list[Outcome]) -> tuple[object, ...]:
    """Return what is told of a kind."""
    _, gain_db, apart_db, below_db, agreement_db = np.array(outcomes).T
    gains = ["" if kind.startswith(("one", "three")) else told_mean(each) for each in (gain_db, apart_db)]
    below = f"{np.median(below_db):.1f} ({np.percentile(below_db, 10):.1f} to {np.percentile(below_db, 90):.1f})"
    middle = (f"{np.percentile(agreement_db, part):.1f}" for part in (50, 10, 90))
    return kind, len(outcomes), *gains, below, *middle


def told_mean(values: NDArray) -> str:
    """Return a mean and its 95 % interval, where there are enough."""
    if len(values) < FEWEST:
        return f"{values.mean():.1f}"
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.1f} ({values.mean() - half:.1f} to {values.mean() + half:.1f})"


def told_and_true(outcomes: list[Outcome]) -> list[tuple[object, ...]]:
    """Return rows: of mixtures whose voices agree so far, how good they are."""
    rows: list[tuple[object, ...]] = []
    for low, high in itertools.pairwise(STEPS_DB):
        true = [each.si_sdr_db for each in outcomes if low <= each.agreement_db < high]
        name = (
            f"below {high:g}" if low == -np.inf else f"{low:g} and more" if high == np.inf else f"{low:g} to {high:g}"
        )
        middle = (f"{np.percentile(true, part):.1f}" for part in (50, 10, 90)) if true else ("", "", "")
        rows.append((name, len(true), *middle))
    return rows


def separated(separator: NetworkSeparator, mixture: NDArray) -> tuple[NDArray, int]:
    """Return ``(voice, time)``, and how many chunks were unsure."""
    report = SeparationReport()
    parts = [voices for _, voices in separate_blocks([mixture[None]], separator, sample_rate=RATE, report=report)]
    return np.concatenate(parts, axis=-1)[:, 0], len(report.unsure_seconds)


if __name__ == "__main__":
    main()
