"""The curves of a training, as the pages draw them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.doctor.run_evidence import RunEvidence, read_run
from resound.errors import ResoundError
from resound.judging.measures import ALL

MOST_POINTS = 400  # of a curve; the mean of so many stretches is drawn
BASELINES = ("unprocessed", "fixed_filter", "classic", "oracle_mask")
SPARED = ("step", "minutes", "epoch")
LOGARITHMIC = ("lr", "grad_norm", "loss")


def curves_of_run(folder: Path) -> list[dict[str, Any]]:
    """Return the curves of a run; none where a folder is no run."""
    if not (folder / "config.yaml").is_file():
        return []
    try:
        return curves_of(read_run(folder))
    except ResoundError:
        return []


def curves_of(run: RunEvidence) -> list[dict[str, Any]]:
    """Return a chart for each metric of the validations, the chosen one first, then loss, gradient, learning rate."""
    first = [run.metric, "level_db", "lsd"]
    measured = [name for name in run.validations if name not in SPARED and np.isfinite(run.validations[name]).any()]
    shown = [name for name in first if name in measured] + [name for name in ("pesq", "stoi") if name in measured]
    charts = [_of_validations(run, name) for name in shown]
    charts += [_of_steps(run, name) for name in ("loss", "grad_norm", "lr") if name in run.steps]
    return charts


def _of_validations(run: RunEvidence, name: str) -> dict[str, Any]:
    measure = ALL.get(name)
    title = name if measure is None else f"{measure.title} ({measure.unit})" if measure.unit else measure.title
    rules = [
        {"name": who.replace("_", " "), "y": round(run.baseline(who, name), 4)}
        for who in BASELINES
        if np.isfinite(run.baseline(who, name))
    ]
    series = _series(title, run.validations["step"], run.validations[name])
    better = f"; {measure.better} is better" if measure else ""
    return {"title": title, "caption": f"{title} at validations{better}.", "series": [series], "rules": rules}


def _of_steps(run: RunEvidence, name: str) -> dict[str, Any]:
    title = {"lr": "learning rate", "grad_norm": "gradient norm"}.get(name, name)
    values = run.steps[name]
    is_log = name in LOGARITHMIC and bool(np.all(values[np.isfinite(values)] > 0)) and _spans_decades(values)
    series = _series(title, run.steps["step"], values)
    parts = [series]
    if name == "loss":
        spared = {"step", "lr", "loss", "grad_norm"}
        others = [part for part in run.steps if part not in spared and not is_log]
        parts += [_series(part.replace("_", " "), run.steps["step"], run.steps[part]) for part in others[:4]]
    return {
        "title": title,
        "caption": f"The {title} at each step, means of stretches.",
        "series": parts,
        "is_log": is_log,
    }


def _spans_decades(values: NDArray) -> bool:
    known = values[np.isfinite(values) & (values > 0)]
    return bool(len(known)) and float(known.max()) > 30 * float(known.min())


def _series(name: str, x: NDArray, y: NDArray) -> dict[str, Any]:
    xs, ys = thinned(x, y)
    return {"name": name, "x": xs, "y": ys, "thin": len(xs) > 100}


def thinned(x: NDArray, y: NDArray) -> tuple[list[float], list[float | None]]:
    """Return a curve of at most `MOST_POINTS`: the means of as many stretches."""
    n = min(len(x), MOST_POINTS)
    groups: Sequence[NDArray] = np.array_split(np.arange(len(x)), n) if n else []
    xs = [round(float(x[group].mean()), 1) for group in groups]
    means = [float(np.nanmean(y[group])) if np.isfinite(y[group]).any() else np.nan for group in groups]
    return xs, [float(f"{mean:.5g}") if np.isfinite(mean) else None for mean in means]
