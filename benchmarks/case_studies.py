"""The case studies of docs/case_studies.md: each report's situation is made again and given to doctor.

A report tells sizes, settings and numbers; what it does not tell is chosen here and said in the page.  Configurations
lie in ``case_studies/``.  Pairs are cut from the speech of a manifest; folders of runs are written from the numbers
that the reports print.  All of it is drawn by one seed.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/case_studies.py data.jsonl              # prints what doctor says
    python benchmarks/case_studies.py data.jsonl --write      # puts it into the page
    python benchmarks/case_studies.py data.jsonl --only crops
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common import parser_for  # keeps numpy to one thread: first

# isort: split
import numpy as np
import soundfile
from numpy.typing import NDArray
from update_docs import ROOT, replace_part

import resound
from resound.audio.segments import read_excerpt
from resound.corpora.manifest import Manifest, Recording, read_manifest, write_manifest
from resound.metrics import si_sdr

CONFIGS = Path(__file__).parent / "case_studies"
PAGE = ROOT / "docs" / "case_studies.md"
N_CROPS, CROP_SECONDS = 192, 0.5
N_LATE, LATE_SAMPLES, LATE_RATE = 24, 902, 48_000


@dataclass(frozen=True)
class Case:
    """Where a situation is made, and from what."""

    folder: Path
    manifest: Manifest
    rng: np.random.Generator

    def speech(self, seconds: float, sample_rate: int) -> Iterator[Recording]:
        """Yield recordings of speech that long and that fast, in an order of chance, without end."""
        fit = [
            each
            for each in self.manifest.recordings
            if each.domain == "speech" and each.seconds > seconds and each.sample_rate >= sample_rate
        ]
        while True:
            yield from (fit[number] for number in self.rng.permutation(len(fit)))

    def crop(self, recording: Recording, seconds: float, sample_rate: int) -> NDArray[np.float64]:
        """Return ``(time,)`` from a place of chance."""
        start = float(self.rng.uniform(0, recording.seconds - seconds))
        path, n_samples = self.manifest.path_of(recording), round(seconds * sample_rate)
        audio = read_excerpt(path, sample_rate, start_seconds=start, n_samples=n_samples)[0].astype(np.float64)
        return np.pad(audio, (0, n_samples - len(audio)))

    def noisy(self, sound: NDArray[np.float64], snr_db: float) -> NDArray[np.float64]:
        """Return a sound with white noise."""
        level = np.sqrt(np.mean(sound**2)) * 10 ** (-snr_db / 20)
        return sound + level * self.rng.standard_normal(len(sound))

    def write_pair(self, number: int, clean: NDArray[np.float64], degraded: NDArray[np.float64], rate: int) -> None:
        """Write both sides of a pair."""
        for side, sound in (("clean", clean), ("degraded", degraded)):
            (self.folder / side).mkdir(exist_ok=True)
            soundfile.write(self.folder / side / f"{number:03d}.wav", sound, rate, subtype="FLOAT")

    def write_run(
        self, config: str, told: Mapping[str, Mapping[str, NDArray]], unprocessed: Mapping[str, float]
    ) -> None:
        """Write the folder of a run: the tables that are told, and what the input has."""
        run = self.folder / "run"
        run.mkdir()
        shutil.copy(CONFIGS / config, run / "config.yaml")
        for name, table in told.items():
            rows = np.stack([np.asarray(column, float) for column in table.values()], axis=1)
            lines = [",".join(table), *(",".join(f"{value:.9g}" for value in row) for row in rows)]
            (run / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if unprocessed:
            overall = {name: {"mean": value} for name, value in unprocessed.items()}
            (run / "baselines.json").write_text(json.dumps({"unprocessed": {"overall": overall}}), encoding="utf-8")


def crops(case: Case) -> str:
    """Report 1: both sides of each pair are cut from the same recording, each at a place of its own."""
    rate, scores = 16_000, []
    for number, recording in zip(range(N_CROPS), case.speech(2.0, rate), strict=False):
        clean, other = (case.crop(recording, CROP_SECONDS, rate) for _ in range(2))
        degraded = case.noisy(other, float(case.rng.uniform(0, 20)))
        case.write_pair(number, clean, degraded, rate)
        scores.append(float(si_sdr(degraded, clean)) if clean.any() else np.nan)
    told = (
        f"SI-SDR of the degraded sides: {np.nanmean(scores):.1f} dB on average, {np.nanmin(scores):.1f} dB the lowest."
    )
    return f"{told}\n\n{asked(case, 'doctor data --clean clean --degraded degraded')}"


def muted(case: Case) -> str:
    """Report 2: the plan of the film prototype, and the run that removed the signal."""
    film_manifest(case, leaks=False)
    plan = asked(case, "doctor plan film.yaml --corpus film.jsonl")
    step = 80 * np.arange(1, 9)
    losses = [0.6029, 0.3184, 0.2985, 0.1787, 0.2174, 0.1886, 0.1853, 0.1197]
    flat = np.ones(8)
    validation = {"step": step, "level_ratio_db": -10 * flat, "removed_correlation": 0.9982 * flat}
    case.write_run("film.yaml", {"steps": {"step": step, "loss": np.array(losses)}, "validation": validation}, {})
    return f"{shown('film.yaml')}\n\n{plan}\n\n{asked(case, 'doctor run run')}"


def spent(case: Case) -> str:
    """Report 1: the plan for 5,000 epochs, and the run of 1,496 of them."""
    n_epochs, each = 1496, 27
    plan = asked(case, "doctor plan gridnet.yaml --corpus data.jsonl --ignore PLAN06")
    epoch, step = np.arange(1, n_epochs + 1), np.arange(1, n_epochs * each + 1)
    valid = np.clip(34.85 + 0.6 * case.rng.standard_normal(n_epochs), 32.7, 38.69)
    valid[[99, 1075, 964, 1281, 624]] = 32.34, 32.55, 32.57, 32.59, 32.60
    n_halvings = np.minimum(13, step // (step[-1] // 20))  # evenly, 13 in all: the report does not tell when
    steps = {
        "step": step,
        "lr": 5e-4 * 0.5**n_halvings,
        "loss": 34.27 + 0.8 * case.rng.standard_normal(len(step)),
        "grad_norm": np.geomspace(106_673, 168, len(step)),
    }
    validation = {"step": epoch * each, "si_sdr": -valid}
    case.write_run("gridnet.yaml", {"steps": steps, "validation": validation}, {"si_sdr": -36.40})
    return f"{shown('gridnet.yaml')}\n\n{plan}\n\n{asked(case, 'doctor run run')}"


def by_heart(case: Case) -> str:
    """Report 3: 800 mixtures of 20 speakers, made once."""
    speech = [each for each in case.manifest.recordings if each.domain == "speech" and each.speaker and not each.group]
    counts = Counter(each.speaker for each in speech if each.seconds > 2.5)
    voices = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:30]]
    chosen = []
    for number, name in enumerate(voices):  # 20 to learn from, 10 to judge on
        own = [each for each in speech if each.speaker == name and each.seconds > 2.5][:50]
        chosen += [replace(each, split="train" if number < 20 else "valid") for each in own]
    write_manifest(case.folder / "voices.jsonl", Manifest(case.manifest.root, chosen, {"corpus": "voices"}))
    data = asked(case, "doctor data convtasnet.yaml --corpus voices.jsonl")
    plan = asked(case, "doctor plan convtasnet.yaml --corpus voices.jsonl")
    epoch = np.arange(1, 55)
    step = np.arange(1, 5401)
    gained = np.log1p(30 * np.minimum(1, epoch / 46)) / np.log1p(30)
    valid = np.where(epoch <= 46, 4.66 * gained, 4.535 + 0.04 * np.sin(epoch))
    loss = -22.1 * np.log1p(30 * step / 5400) / np.log1p(30) + 0.8 * case.rng.standard_normal(len(step))
    steps = {"step": step, "loss": loss}
    case.write_run("convtasnet.yaml", {"steps": steps, "validation": {"step": 100 * epoch, "si_sdr": valid}}, {})
    return f"{shown('convtasnet.yaml')}\n\n{data}\n\n{plan}\n\n{asked(case, 'doctor run run')}"


def late(case: Case) -> str:
    """Report 4: clean speech and what a denoiser leaves of it in noise, later by the denoiser's latency."""
    for number, recording in zip(range(N_LATE), case.speech(4.0, LATE_RATE), strict=False):
        clean = case.crop(recording, 3.0, LATE_RATE)
        noisy = case.noisy(clean, float(case.rng.uniform(15, 30)))
        denoised = resound.restore(noisy, LATE_RATE, "classic")
        case.write_pair(number, clean, np.concatenate([np.zeros(LATE_SAMPLES), denoised])[: len(clean)], LATE_RATE)
    return asked(case, "doctor data --clean clean --degraded degraded")


def leaking(case: Case) -> str:
    """Report 2 again: two voices to learn from, and one of the two to judge on."""
    film_manifest(case, leaks=True)
    return asked(case, "doctor data film.yaml --corpus film.jsonl")


def film_manifest(case: Case, *, leaks: bool) -> None:
    """Write the two speakers with most recordings, music, noise, and every second noise as an effect."""
    speech = [each for each in case.manifest.recordings if each.domain == "speech" and each.speaker and not each.group]
    (first, _), (second, _) = Counter(each.speaker for each in speech).most_common(2)
    voices = [each for each in speech if each.speaker in (first, second)]
    judged = [each for each in voices if each.speaker == first][-50:]
    chosen = [replace(each, split="valid" if leaks and each in judged else "train") for each in voices]
    if not leaks:
        chosen = [replace(each, split="valid" if each.speaker == second else "train") for each in voices]
    noises = [each for each in case.manifest.recordings if each.domain == "noise"]
    effects = [replace(each, domain="effects") for each in noises[::2]]
    music = [each for each in case.manifest.recordings if each.domain == "music"]
    whole = Manifest(case.manifest.root, [*chosen, *effects, *noises[1::2], *music], {"corpus": "film"})
    write_manifest(case.folder / "film.jsonl", whole)


CASES: dict[str, Callable[[Case], str]] = {
    "crops": crops,
    "muted": muted,
    "spent": spent,
    "by-heart": by_heart,
    "late": late,
    "leaking": leaking,
}


def asked(case: Case, words: str) -> str:
    """Return a command of resound and what it prints, as a block."""
    command = [sys.executable, "-c", "from resound.cli.main import main; main()", *words.split(), "--verbose"]
    ended = subprocess.run(command, cwd=case.folder, capture_output=True, text=True, check=False)
    if ended.returncode > 1:
        sys.exit(f"resound {words}: {ended.stderr.strip()}")
    return f"```console\n$ resound {words}\n{ended.stdout.strip()}\n```"


def shown(config: str) -> str:
    """Return a configuration as a block."""
    return f"```yaml\n# {config}\n{(CONFIGS / config).read_text(encoding='utf-8').strip()}\n```"


def made(name: str, manifest: Manifest, seed: int) -> str:
    """Return what doctor says of a case."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder), manifest, np.random.default_rng(seed))
        for config in CONFIGS.glob("*.yaml"):
            shutil.copy(config, case.folder)
        write_manifest(case.folder / "data.jsonl", manifest)
        return CASES[name](case)


def main() -> None:
    """Print what doctor says of the cases, or write it into the page."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="recordings, as 'resound corpus scan' lists them")
    parser.add_argument("--only", choices=CASES, action="append", help="not all cases; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put it into docs/case_studies.md")
    arguments = parser.parse_args()
    manifest = read_manifest(arguments.manifest)
    manifest = replace(manifest, root=manifest.root.resolve())
    for name in arguments.only or CASES:
        text = made(name, manifest, arguments.seed)
        print(f"## {name}\n\n{text}\n", flush=True)
        if arguments.write:
            PAGE.write_text(replace_part(PAGE, f"case-{name}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
