"""Proposes the band in which the validations of a preset lie (``expected:``), from finished trainings of it.

Several runs of one preset, with other values of training.seed, show how much chance there is in a curve.  The band
reaches beyond the lowest and the highest of them by as much as they differ, and by at least ``--margin``.

    resound train gatewave --quick --corpus data.jsonl -o runs/1 training.seed=1
    resound train gatewave --quick --corpus data.jsonl -o runs/2 training.seed=2
    python benchmarks/expected_bands.py runs/1 runs/2
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import NamedTuple

import yaml
from common import parser_for

MARGIN_DB = 1.0
MARGINS = {"pesq": 0.2, "stoi": 0.03, "estoi": 0.03, "removed_correlation": 0.1}  # where it is no dB


class Curve(NamedTuple):
    """The validations of one run."""

    preset: str
    n_steps: int  # of the training: the quick form has others than the full one
    metric: str
    values: dict[int, float]  # by step


def curve_of(run: Path) -> Curve:
    """Return the validations of a run; ends with one line where it is none."""
    try:
        settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        with open(run / "validation.csv", newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}; give folders that 'resound train' has made")
    metric = settings["checkpoints"]["metric"]
    values = {int(row["step"]): float(row[metric]) for row in rows}
    return Curve(str(settings["preset"]), settings["training"]["steps"], metric, values)


def points_of(steps: list[int], n_points: int) -> list[int]:
    """Return so many of the steps, the first and the last among them, evenly over the logarithm."""
    if len(steps) <= n_points:
        return steps
    wanted = [steps[0] * (steps[-1] / steps[0]) ** (n / (n_points - 1)) for n in range(n_points)]
    return sorted({min(steps, key=lambda step: abs(math.log(step / goal))) for goal in wanted})


def band_of(curves: list[Curve], n_points: int, margin: float | None) -> dict[int, list[float]]:
    """Return the lowest and highest value to expect at a few steps that all curves have."""
    common = sorted(set.intersection(*(set(curve.values) for curve in curves)))
    if not common:
        sys.exit(f"{curves[0].preset}: these runs have no validation at the same step; give runs of one length")
    least = margin if margin is not None else MARGINS.get(curves[0].metric, MARGIN_DB)
    band = {}
    for step in points_of(common, n_points):
        values = [curve.values[step] for curve in curves]
        beyond = max(least, max(values) - min(values))
        band[step] = [round(min(values) - beyond, 2), round(max(values) + beyond, 2)]
    return band


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished trainings, of any presets")
    parser.add_argument("--points", type=int, default=4, help="steps at which the band is given (4)")
    parser.add_argument("--margin", type=float, help="at least so much on either side (1 dB, less where it is no dB)")
    arguments = parser.parse_args()
    groups: dict[tuple[str, int, str], list[Curve]] = {}
    for curve in map(curve_of, arguments.runs):
        groups.setdefault((curve.preset, curve.n_steps, curve.metric), []).append(curve)
    for (preset, n_steps, metric), curves in sorted(groups.items()):
        band = band_of(curves, arguments.points, arguments.margin)
        print(f"# {preset}, {n_steps:,} steps: from {len(curves)} run{'s' if len(curves) > 1 else ''}")
        points = ", ".join(f"{step}: [{low}, {high}]" for step, (low, high) in band.items())
        print(f"expected: {{metric: {metric}, at: {{{points}}}}}")


if __name__ == "__main__":
    main()
