"""The curves that prove what is found of a run, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resound.doctor.finding import Finding
from resound.doctor.report import Picture
from resound.doctor.run_evidence import RunEvidence
from resound.judging.measures import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of each code the columns that are drawn; those of the validations where there are such, else those of the steps.
COLUMNS = {
    "RUN02": ("loss", "snr", "si_sdr"),
    "RUN03": ("level_ratio_db", "removed_correlation"),
    "RUN04": ("si_sdr_i", "snr_i", "lsd"),
    "RUN05": ("grad_norm",),
    "RUN06": ("lr",),
    "RUN08": ("share_right", "score_real", "score_fake"),
    "RUN09": ("loss", "pesq", "stoi", "estoi"),
    "RUN10": ("loss", "grad_norm"),
    "RUN13": ("si_sdr", "snr", "level_ratio_db"),
}
FEW = 60  # points, which are marked
LOGARITHMIC = ("grad_norm", "lr")
BASELINES = ("unprocessed", "fixed_filter", "classic", "oracle_mask")


def run_pictures(run: RunEvidence, findings: Sequence[Finding]) -> list[Picture]:
    """Return a picture for each finding."""
    return [
        Picture(finding.code, f"{run.where}: what {finding.code} is about", _curves(run, finding.code))
        for finding in findings
    ]


def _curves(run: RunEvidence, code: str) -> bytes:
    """Return the columns of a code over the steps, below each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in COLUMNS.get(code, (run.metric,)) if name in run.validations or name in run.steps]
    n_rows = max(1, len(names))
    figure = Figure(figsize=(8, 0.6 + 2.2 * n_rows), dpi=110, layout="constrained", facecolor="white")
    rows = figure.subplots(n_rows, 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(rows, names, strict=False):
        _curve(run, name, axes)
    rows[-1].set_xlabel("step")
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()


def _curve(run: RunEvidence, name: str, axes: Axes) -> None:
    """Draw a column over the steps; of a validation's metric also what the baselines have."""
    table = run.validations if name in run.validations else run.steps
    marker = "." if len(table["step"]) < FEW else ""
    axes.plot(table["step"], table[name], color="#3b1f8f", linewidth=1, marker=marker)
    for baseline in BASELINES if table is run.validations else ():
        value = run.baseline(baseline, name)
        if np.isfinite(value):
            axes.axhline(value, color="#888888", linewidth=0.8, linestyle="--")
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
            axes.annotate(" " + baseline.replace("_", " "), (1, value), fontsize=8, color="#555555", **place)
    axes.set_yscale("log" if name in LOGARITHMIC else "linear")
    measure = ALL.get(name)
    axes.set_ylabel(", ".join(filter(None, [measure.title, measure.unit])) if measure else name.replace("_", " "))
    axes.spines[["top", "right"]].set_visible(False)
