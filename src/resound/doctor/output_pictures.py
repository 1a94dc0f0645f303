"""The pictures that prove findings about outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from resound.doctor.drawing import FIRST, INK, SECOND, png_of
from resound.doctor.finding import Finding
from resound.doctor.output_evidence import OutputEvidence
from resound.doctor.report import Picture
from resound.doctor.verdict import STRONG
from resound.dsp.bandwidth import BAND_HZ

Drawing = tuple[str, Callable[[OutputEvidence, Axes], None]]


def output_pictures(evidence: OutputEvidence, findings: Sequence[Finding]) -> list[Picture]:
    """Return a picture for each finding that one proves."""
    codes = dict.fromkeys(finding.code for finding in findings)
    return [
        Picture(code, title, png_of(partial(draw, evidence))) for code in codes for title, draw in DRAWN.get(code, ())
    ]


def level_changes(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw by how much each recording came out louder or quieter."""
    values = [change.level_db for _, change in evidence.changes if change.level_db is not None]
    _bars(axes, np.clip(values, -40, 40).tolist())
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="recordings, by change", ylabel="level of what is wanted, dB")


def noise_falls(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw by how much the noise in the pauses of each recording fell."""
    falls = [change.noise_fall_db for _, change in evidence.changes if change.noise_fall_db is not None]
    _bars(axes, np.clip(falls, -10, 60).tolist())
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="recordings, by what was removed", ylabel="noise removed in pauses, dB")


def delays(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw the delays of all outputs."""
    _bars(axes, [each.delay_ms for each in evidence.outputs if each.delay_ms is not None])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="recordings, by delay", ylabel="delay of the output, ms")


def seam_strengths(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw how much the gain's jumps have in common at each period, and what chance reaches."""
    found = evidence.seams
    if found is None:
        return
    order = np.argsort(found.periods_seconds)
    axes.plot(found.periods_seconds[order], found.strengths[order], color=FIRST, linewidth=0.8)
    axes.axhline(5.5, color=SECOND, linestyle="--", label="below: chance")
    axes.annotate(
        f"{found.period_seconds:.3g} s",
        (found.period_seconds, found.strength),
        xytext=(4, 2),
        textcoords="offset points",
    )
    axes.set(
        xlabel="distance of the seams in s",
        ylabel="strength in deviations",
        xscale="log",
        ylim=(0, 1.2 * found.strength),
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False, loc="upper right")


def seam_profile(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw how much the gain changes around a seam, on average."""
    found = evidence.seams
    if found is None:
        return
    half = len(found.profile_db) // 2
    axes.plot(10.0 * (np.arange(len(found.profile_db)) - half), found.profile_db, color=FIRST)
    axes.axvline(0, color=SECOND, linestyle="--", label="seam")
    axes.set(xlabel="ms from the seam", ylabel="change of the gain, dB", ylim=(0, None))
    axes.legend(frameon=False)


def levels(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw what is left of recordings over their level; lines join one recording at several levels."""
    points = evidence.levels
    names = list(dict.fromkeys(point.name for point in points)) if evidence.fed else []
    for name in names:
        own = [point for point in points if point.name == name]
        axes.plot([p.input_dbfs for p in own], [max(p.level_db, -60) for p in own], color=FIRST, marker="o", alpha=0.7)
    if not names:
        axes.plot([p.input_dbfs for p in points], [p.level_db for p in points], "o", color=FIRST, alpha=0.7)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="level of the input, dBFS", ylabel="output against input, dB")


def scores(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw the score of each recording before and after."""
    before, after = np.array([score for _, score in evidence.scored]).T
    limits = (min(before.min(), after.min()) - 2, max(before.max(), after.max()) + 2)
    axes.plot(limits, limits, color=SECOND, linestyle="--", label="below: worse than before")
    is_worse = after < before
    axes.plot(before[~is_worse], after[~is_worse], "o", color=FIRST, alpha=0.7, label="recordings")
    axes.plot(before[is_worse], after[is_worse], "o", color=SECOND, label="that got worse")
    axes.set(xlabel="SI-SDR of the input, dB", ylabel="SI-SDR of the output, dB", xlim=limits, ylim=limits)
    axes.legend(frameon=False)


def likenesses(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw how alike the sides of each recording are: the peaks of their correlation."""
    sides = {
        "clean and input": [each.reference.strength for each in evidence.outputs if each.reference],
        "input and output": [each.kept.strength for each in evidence.outputs if each.kept],
    }
    highest = max([20.0, *(value for values in sides.values() for value in values)])
    bins = np.geomspace(2.0, highest * 1.05, 40).tolist()
    for (label, values), colour in zip(sides.items(), (SECOND, FIRST), strict=True):
        if values:
            axes.hist(values, bins, color=colour, alpha=0.7, label=label)
    axes.axvline(STRONG, color=INK, linestyle=":")
    axes.set(xlabel="peak of the correlation in deviations", ylabel="recordings", xscale="log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False)


def clipped(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw how many samples of each output clip."""
    _bars(axes, [100 * each.clipped_share for each in evidence.measured])
    axes.set(xlabel="recordings, by share", ylabel="samples that clip, %")


def spectra(evidence: OutputEvidence, axes: Axes) -> None:
    """Draw the spectra of the loud frames: what it is held against, input, and output; the median of all recordings."""
    bands = [each.band for each in evidence.measured if each.band]
    for name, colour in (("reference_db", "#888888"), ("degraded_db", SECOND), ("enhanced_db", FIRST)):
        if name == "reference_db" and not evidence.has_clean:
            continue
        sides = [getattr(band, name) for band in bands]
        n_bands = max(map(len, sides))
        middle = np.median([side for side in sides if len(side) == n_bands], axis=0)
        label = {"reference_db": "clean", "degraded_db": "input", "enhanced_db": "output"}[name]
        axes.plot((np.arange(n_bands) + 0.5) * BAND_HZ / 1000, middle, color=colour, label=label, linewidth=1.2)
    lost = [band.lost_above_hz / 1000 for band in bands if band.lost_above_hz]
    if lost:
        axes.axvline(float(np.median(lost)), color=INK, linestyle=":", label="lost above")
    lowest, highest = axes.get_ylim()
    axes.set(xlabel="kHz", ylabel="level of loud frames, dB", ylim=(max(lowest, highest - 120), highest))
    axes.legend(frameon=False, ncols=4)


def _bars(axes: Axes, values: list[float]) -> None:
    """Draw one bar for each recording, the smallest first."""
    axes.bar(np.arange(1, len(values) + 1), sorted(values), color=FIRST, width=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


DRAWN: dict[str, tuple[Drawing, ...]] = {
    "OUT01": (("Level of what is wanted, output against input", level_changes),),
    "OUT02": (("Noise in pauses", noise_falls),),
    "OUT03": (("Level of what is wanted, output against input", level_changes),),
    "OUT04": (("Delay of each output", delays),),
    "OUT05": (
        ("How much the jumps of the gain have in common at each distance", seam_strengths),
        ("The gain around a seam, the mean of all", seam_profile),
    ),
    "OUT06": (("What is left of recordings, by their level", levels),),
    "OUT07": (("Each recording before and after", scores),),
    "OUT08": (("Samples that clip", clipped),),
    "OUT09": (("Spectra of the loud frames", spectra),),
    "OUT10": (("How alike the sides are; right of the dotted line they are the same recording", likenesses),),
}
