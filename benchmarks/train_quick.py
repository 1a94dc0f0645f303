"""Trains the quick form of every preset for real, and tells what came of it beside the baselines.

Each run lies in ``--work``; what is finished there is not trained again, so that the table can be made in several
sittings.  Judged are validation speakers and noises, which no training sees.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/train_quick.py data.jsonl --work runs --presets gatewave demucs48
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

from common import machine, parser_for, print_table

# What is trained: a name for the table, the preset, and words that differ from its quick form.
RUNS: dict[str, tuple[str, list[str]]] = {
    "convtasnet-student": ("convtasnet-student", []),
    # The case study's question: the same 12,000 steps, on mixtures made anew and on 800 that stay.
    "convtasnet-student, new mixtures": ("convtasnet-student", ["training.steps=12000"]),
    "convtasnet-student, 800 fixed mixtures": (
        "convtasnet-student",
        ["training.steps=12000", "data.n_examples=800", "training.same_every_epoch=true"],
    ),
    "separate": ("separate", []),
    "convtasnet-paper": ("convtasnet-paper", []),
    "tfgridnet-paper": ("tfgridnet-paper", []),
    "tfgridnet-report": ("tfgridnet-report", []),
    "demucs48": ("demucs48", []),
    "demucs64": ("demucs64", []),
    "waveunet": ("waveunet", []),
    "gatewave": ("gatewave", []),
    "film-prototype": ("film-prototype", []),
    "film-paper": ("film-paper", []),
    "film": ("film", []),
    "voice": ("voice", []),
    "timbre": ("timbre", []),
    "timbre-report": ("timbre-report", []),
}
MEASURES = ("si_sdr", "si_sdr_i", "level_db", "removed_correlation", "lsd")
HEADER = ("", "steps", "min", "SI-SDR", "SI-SDRi", "level, dB", "removed corr.", "LSD")


def folder_of(work: Path, name: str) -> Path:
    """Return where a run lies."""
    return work / name.replace(", ", "-").replace(" ", "-")


def train(work: Path, name: str, manifest: Path, more: list[str]) -> None:
    """Train one of `RUNS`, unless that is done; go on with one that was stopped."""
    folder = folder_of(work, name)
    preset, words = RUNS[name]
    command = ["resound", "train", preset, "--quick", "--corpus", str(manifest), "-o", str(folder), *words, *more]
    if (folder / "checkpoints.json").exists():
        command.append("--resume")
    print(" ".join(command), file=sys.stderr)
    subprocess.run([sys.executable, "-m", "resound.cli.main", *command[1:]], check=False)


def rows_of(work: Path, name: str) -> list[list[str]]:
    """Return the table's rows about a run: its best validation, and the baselines on the same examples."""
    folder = folder_of(work, name)
    index = json.loads((folder / "checkpoints.json").read_text(encoding="utf-8"))
    with open(folder / "validation.csv", newline="", encoding="utf-8") as table:
        validations = {int(row["step"]): row for row in csv.DictReader(table)}
    best = validations[index["best"][0]["step"]]
    minutes = minutes_of([float(row["minutes"]) for row in validations.values()])
    rows = [[f"**{name}**", best["step"], f"{minutes:.0f}", *(_number(float(best[m])) for m in MEASURES)]]
    baselines = json.loads((folder / "baselines.json").read_text(encoding="utf-8"))
    for baseline, summary in baselines.items():
        means = {measure: values["mean"] for measure, values in summary["overall"].items()}
        rows.append([baseline.replace("_", " "), "", "", *(_number(means.get(measure)) for measure in MEASURES)])
    return rows


def minutes_of(clock: list[float]) -> float:
    """Return the minutes of all sessions; the clock of each begins at 0."""
    ends = [before for before, after in itertools.pairwise([*clock, 0.0]) if after < before]
    return sum(ends)


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.2f}"


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="speech, noise and music, as 'resound corpus scan' lists them")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="where runs lie (runs)")
    parser.add_argument("--presets", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for all: training.threads=1")
    parser.add_argument("--table-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in arguments.presets:
        if not arguments.table_only:
            train(arguments.work, name, arguments.manifest, arguments.set)
    print(f"{machine()}\n")
    there = [name for name in RUNS if (folder_of(arguments.work, name) / "checkpoints.json").exists()]
    for name in there:
        print_table(HEADER, rows_of(arguments.work, name))


if __name__ == "__main__":
    main()
