"""The curves that prove what is found of a run, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from resound.doctor.finding import Finding
from resound.doctor.report import Picture
from resound.doctor.run_evidence import RunEvidence

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
}
LOGARITHMIC = ("grad_norm", "lr")
BASELINES = ("unprocessed", "classic", "oracle_mask")


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
    figure = Figure(figsize=(9, 0.6 + 2.0 * max(1, len(names))), layout="constrained", facecolor="white")
    for axis, name in zip(
        figure.subplots(max(1, len(names)), 1, sharex=True, squeeze=False)[:, 0], names, strict=False
    ):
        table = run.validations if name in run.validations else run.steps
        axis.plot(
            table["step"], table[name], color="#3b1f8f", linewidth=1, marker="." if len(table["step"]) < 60 else ""
        )
        for baseline in BASELINES if table is run.validations else ():
            value = run.baseline(baseline, name)
            if np.isfinite(value):
                axis.axhline(value, color="#888888", linewidth=0.8, linestyle="--")
                axis.annotate(baseline, (1, value), xycoords=("axes fraction", "data"), fontsize=8, color="#555555")
        axis.set_yscale("log" if name in LOGARITHMIC else "linear")
        axis.set_ylabel(name)
        axis.set_xlabel("step")
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()
