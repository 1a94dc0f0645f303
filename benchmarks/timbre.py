"""What a network that repairs is worth behind each of three denoisers, on speakers and noises that it never heard.

Speech of split ``valid`` with one noise of that split (4 s, 16 kHz, 0 to 20 dB) goes through a denoiser, and what it
leaves, with the noisy sound beside it, through the network.  Beside both stands the cheap way to a fuller voice: the
noisy sound 20 dB down under what the denoiser left.

- LSD: log spectral distance in dB, of all bins, and of those from 4 kHz on ("high").
- Phones: does it say the same?  pocketsphinx recognises the phones of the clean speech and of what came out; told is
  how many were changed, lost or put in, as part of those of the clean speech.  (STOI and ESTOI ask the same.)

In brackets the 95 % interval of the mean; the second table tells what the network changes, recording by recording.

    resound corpus scan ../shared/data -o data.jsonl
    pip install pocketsphinx
    python benchmarks/timbre.py data.jsonl --model timbre --work repair
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

from common import (
    Method,
    machine,
    parser_for,
    print_table,
    read_mono,
    resound_method,
    rnnoise_method,
)  # keeps numpy to one thread: first

# isort: split
import numpy as np
import yaml
from numpy.typing import NDArray

import resound
from resound.evaluation.further import dnsmos
from resound.evaluation.statistics import paired
from resound.judging.measures import Measure
from resound.judging.perceptual import pesq, stoi
from resound.judging.summary import interval
from resound.metrics import log_spectral_distance, si_sdr, speech_level_change_db

RATE = 16000
HIGH_HZ = 4000
BENEATH_DB = 20.0  # of the cheap way
SEED = 2026
DENOISERS = ("voice", "classic", "RNNoise")
MEASURES = {
    "lsd": Measure("LSD, dB", "dB", "lower", 2),
    "lsd_high": Measure("LSD high, dB", "dB", "lower", 2),
    "pesq": Measure("PESQ", "MOS", "higher", 2),
    "dnsmos": Measure("DNSMOS", "MOS", "higher", 2),
    "stoi": Measure("STOI", "", "higher", 3),
    "estoi": Measure("ESTOI", "", "higher", 3),
    "phones": Measure("phones wrong, %", "%", "lower", 1),
    "si_sdr": Measure("SI-SDR, dB", "dB", "higher", 1),
    "level_db": Measure("level, dB", "dB", "near 0", 1),
}


def denoisers() -> dict[str, Method]:
    """Return the denoisers, by name."""
    return {"voice": resound_method("voice"), "classic": resound_method("classic"), "RNNoise": rnnoise_method()}


def prepare(manifest: Path, folder: Path, count: int) -> None:
    """Write the mixtures, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    source = str(manifest.resolve())
    mix = {
        "split": "valid", "seed": SEED, "sample_rate": RATE, "segment_seconds": 4, "level_dbfs": [-35, -20],
        "clean": {"corpus": source, "domain": "speech"},
        "chain": [{"noise": {"bank": source, "snr_db": [0, 20]}}],
    }  # fmt: skip
    (folder / "mix.yaml").write_text(yaml.safe_dump(mix), encoding="utf-8")
    words = ["prepare", folder / "mix.yaml", "-o", folder / "set", "--count", count, "--format", "wav"]
    command = [sys.executable, "-m", "resound.cli.main", *map(str, words)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit(f"resound {' '.join(map(str, words))}: failed")


def judged(model: str, folder: Path, name: str) -> dict[str, dict[str, float]]:
    """Return the figures of one mixture, by what was made of it."""
    clean, noisy = (read_mono(folder / "set" / side / name)[0] for side in ("clean", "degraded"))
    made = {"noisy": noisy}
    for denoiser, method in denoisers().items():
        made[denoiser] = method(noisy, RATE)
        made[f"{denoiser}, noise beneath"] = made[denoiser] + 10 ** (-BENEATH_DB / 20) * (noisy - made[denoiser])
        made[f"{denoiser}, then timbre"] = resound.repair(made[denoiser], noisy, RATE, model)
    heard = phones(clean)
    return {system: figures(sound, clean, heard) for system, sound in made.items()}


def figures(sound: NDArray, clean: NDArray, heard: list[str]) -> dict[str, float]:
    """Return what each measure says; ``heard`` are the clean sound's phones."""
    wrong = edits(phones(sound), heard) / len(heard) if heard else float("nan")
    return {
        "lsd": log_spectral_distance(sound, clean, RATE),
        "lsd_high": log_spectral_distance(sound, clean, RATE, from_hz=HIGH_HZ),
        "pesq": pesq(sound, clean, RATE),
        "dnsmos": dnsmos(sound, RATE)["dnsmos_ovr"],
        "stoi": stoi(sound, clean, RATE),
        "estoi": stoi(sound, clean, RATE, extended=True),
        "phones": 100 * wrong,
        "si_sdr": float(si_sdr(sound, clean)),
        "level_db": speech_level_change_db(sound, clean, RATE),
    }


@cache
def recogniser() -> object:
    """Return what recognises phones, without a lexicon."""
    from pocketsphinx import Decoder, get_model_path

    return Decoder(
        hmm=get_model_path("en-us/en-us"), allphone=get_model_path("en-us/en-us-phone.lm.bin"), lw=2.0, pip=0.3,
        beam=1e-20, pbeam=1e-20, lm=None, loglevel="FATAL",
    )  # fmt: skip


def phones(sound: NDArray) -> list[str]:
    """Return the phones that are recognised, pauses left out."""
    decoder = recogniser()
    level = np.abs(sound).max(initial=1e-9)
    decoder.start_utt()  # type: ignore[attr-defined]
    decoder.process_raw((0.5 / level * sound * 32767).astype("<i2").tobytes(), full_utt=True)  # type: ignore[attr-defined]
    decoder.end_utt()  # type: ignore[attr-defined]
    return [each.word for each in decoder.seg() if each.word.isalpha() and each.word != "SIL"]  # type: ignore[attr-defined]


def edits(made: list[str], wanted: list[str]) -> int:
    """Return how many have to be changed, left out or put in to come from one to the other (Levenshtein 1966)."""
    row = list(range(len(wanted) + 1))
    for index, one in enumerate(made, 1):
        before, row[0] = row[0], index
        for place, other in enumerate(wanted, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (one != other))
    return row[-1]


def cell(values: NDArray, digits: int) -> str:
    """Return a mean with its interval."""
    known = values[~np.isnan(values)]
    low, high = interval(known)
    return f"{known.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def changed(values: NDArray, before: NDArray, measure: Measure) -> str:
    """Return what a system changes in a measure, and whether that can be told."""
    found = paired(values - before)
    text = f"{found.mean:+.{measure.digits}f} ({found.low:+.{measure.digits}f} to {found.high:+.{measure.digits}f})"
    if not (found.low > 0 or found.high < 0) or measure.better == "near 0":
        return text
    return f"{text} {'better' if (found.mean > 0) == (measure.better == 'higher') else 'worse'}"


def main() -> None:
    """Judge and print the tables."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="what 'resound corpus scan' listed")
    parser.add_argument("--model", default="timbre", help="what repairs (timbre)")
    parser.add_argument("--work", type=Path, default=Path("repair"), help="where the mixtures are kept (repair)")
    parser.add_argument("--count", type=int, default=100, help="mixtures (100)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    arguments = parser.parse_args()
    prepare(arguments.manifest, arguments.work, arguments.count)
    names = sorted(path.name for path in (arguments.work / "set" / "degraded").glob("*.wav"))[: arguments.count]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(partial(judged, arguments.model, arguments.work), names))
    values = {
        system: {measure: np.array([each[system][measure] for each in found]) for measure in MEASURES}
        for system in found[0]
    }
    print(f"{machine()}; {len(names)} mixtures\n")
    columns = ["", *(measure.title for measure in MEASURES.values())]
    rows = [
        [system, *(cell(of[name], measure.digits) for name, measure in MEASURES.items())]
        for system, of in values.items()
    ]
    print_table(columns, rows)
    print_table(
        ["changes", *columns[1:]],
        [
            [f"{denoiser}, {what}"]
            + [changed(values[f"{denoiser}, {what}"][n], values[denoiser][n], m) for n, m in MEASURES.items()]
            for denoiser in DENOISERS
            for what in ("noise beneath", "then timbre")
        ],
    )
    kept = [name for name in MEASURES if name not in ("estoi", "level_db")]
    told = {
        "told": f"{len(names)} mixtures of speakers and noises that it never heard, 0 to 20 dB, behind three "
        "denoisers; in brackets the 95 % interval of the mean",
        "columns": ["", *(MEASURES[name].title for name in kept)],
        "rows": [
            [row[0], *(row[1 + list(MEASURES).index(name)] for name in kept)] for row in rows if "beneath" not in row[0]
        ],
        "command": "python benchmarks/timbre.py data.jsonl --model timbre --work repair",
    }
    (arguments.work / "figures.json").write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
