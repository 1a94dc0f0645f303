"""What the figures of an evaluation say, in sentences that claim no more than they prove."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from resound.errors import counted
from resound.evaluation.measures import METRICS
from resound.evaluation.scoring import ENHANCED
from resound.evaluation.statistics import LEAST_FILES
from resound.judging.summary import Statistics

if TYPE_CHECKING:
    from resound.evaluation.result import Evaluation

SPOKEN = {
    "unprocessed": "the unprocessed input",
    "fixed_filter": "the best filter that never changes",
    "classic": "the classic chain",
    "oracle_mask": "the oracle ratio mask",
}
KINDS = {"noise_fall_db": ("quieter in pauses", "noisier in pauses")}  # where a metric proves no more than that
# Where ``noisy`` is judged the others follow the denoiser.
AFTER_A_DENOISER = {**SPOKEN, "unprocessed": "the denoiser's output", "noisy": "the noisy input"}
REFERENCES = "DATA01"  # doctor's code for references that are another recording


def verdict(result: Evaluation) -> str:
    """Return in words whether the output is better than the input and the classic chain, and how sure that is."""
    wrong = next((each for each in result.findings if each.code == REFERENCES and each.severity == "error"), None)
    if wrong:
        return f"no verdict: the references are not of these recordings ({REFERENCES}: {wrong.message})"
    if not len(result.names) - result.n_failed:
        return "no verdict: no recording could be judged"
    others = ("noisy", "fixed_filter") if "noisy" in result.scores else ("fixed_filter", "classic")
    then = [_against(result, over) for over in others]
    parts = [_against(result, "unprocessed"), _but_worse(result), *then, _level(result)]
    return "; ".join(part for part in parts if part) or "no baseline to compare with"


def _against(result: Evaluation, over: str) -> str:
    """Return how the output compares with a baseline."""
    metric = result.main
    if over not in result.scores:
        return ""
    other = (AFTER_A_DENOISER if "noisy" in result.scores else SPOKEN)[over]
    gains = result.improvements(metric, over)
    known = gains[~np.isnan(gains)]
    measure, statistics = METRICS[metric].measure, result.improvement(metric, over)
    better, worse = kinds_of(metric)
    if not len(known):
        return f"cannot be compared with {other}: no recording has {measure.title} of both"
    told = f"{signed(statistics.mean, measure.digits)} {measure.unit} {measure.title}".replace("  ", " ")
    if len(known) == 1:
        kind = f"{better} than" if known[0] > 0 else f"{worse} than" if known[0] < 0 else "equal to"
        return f"{kind} {other} on the one recording ({told}); one recording gives no interval"
    if not known.any():
        return f"equal to {other} on all {counted(len(known), 'file')}"
    if max(abs(statistics.low), abs(statistics.high)) < 0.5 * 10.0**-measure.digits:
        return f"as good as {other}: no difference that {measure.title} shows"
    n_better, n_worse = int((known > 0).sum()), int((known < 0).sum())
    spread = f"95 % interval {interval_text(statistics, measure.digits)}"
    if len(known) < LEAST_FILES:  # whose bootstrap intervals are too narrow
        return (
            f"{counted(len(known), 'file')} can prove nothing against {other} (it takes {LEAST_FILES}): {better} on "
            f"{n_better}; {told}, {spread}"
        )
    if statistics.low > 0:
        return f"{better} than {other} on {n_better} of {counted(len(known), 'file')}; {told}, {spread}"
    if statistics.high < 0:
        return f"{worse} than {other} on {n_worse} of {counted(len(known), 'file')}; {told}, {spread}"
    return f"cannot be told from {other}: {better} on {n_better} of {counted(len(known), 'file')}; {told}, {spread}"


def kinds_of(metric: str) -> tuple[str, str]:
    """Return what an output is, and is not, that gained in a metric: ``better``, ``worse``."""
    return KINDS.get(metric, ("better", "worse"))


def _but_worse(result: Evaluation) -> str:
    """Return in which metrics the output is worse than the input, where the one that is spoken of is better."""
    if "unprocessed" not in result.scores or not result.improvement(result.main).low > 0:
        return ""
    told = []
    for name in result.metrics:
        measure, gain = METRICS[name].measure, result.improvement(name)
        shown = round(gain.mean, measure.digits) if gain.n >= LEAST_FILES else 0.0
        if measure.better != "near 0" and gain.high < 0 and shown:
            told.append(f"{measure.title} ({signed(gain.mean, measure.digits)})")
    return f"but worse in {', '.join(told)}" if told else ""


def _level(result: Evaluation) -> str:
    """Return how far what is wanted is too quiet or too loud."""
    metric = next((name for name in ("level_db", "active_db") if name in result.metrics), None)
    mean = result.statistics(ENHANCED, metric).mean if metric else math.nan
    if math.isnan(mean):
        return ""
    what = "speech level" if metric == "level_db" else "active level"
    return f"{what} right" if abs(mean) < 0.05 else f"{what} {abs(mean):.1f} dB {'low' if mean < 0 else 'high'}"


def interval_text(statistics: Statistics, digits: int) -> str:
    """Return an interval: ``4.6 to 5.7``."""
    return f"{number(statistics.low, digits)} to {number(statistics.high, digits)}"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, no minus before a zero."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def number(value: float, digits: int) -> str:
    """Return a number as tables show it."""
    return "–" if not math.isfinite(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def left_out_notes(left_out: Mapping[str, str]) -> list[str]:
    """Return a line for each reason why metrics were left out."""
    by_reason: dict[str, list[str]] = {}
    for metric, why in left_out.items():
        by_reason.setdefault(why, []).append(METRICS[metric].measure.title)
    return [f"{', '.join(titles)} left out: {why}" for why, titles in by_reason.items()]


def missing_notes(result: Evaluation) -> list[str]:
    """Return a line for each reason why metrics have no value for so many outputs."""
    found: dict[tuple[str, int], list[str]] = {}
    for metric, reasons in result.missing.items():
        for reason, n in reasons.items():
            found.setdefault((reason, n), []).append(METRICS[metric].measure.title)
    return [
        f"{', '.join(titles)} {'has' if len(titles) == 1 else 'have'} no value for {counted(n, 'output')}: {reason}"
        for (reason, n), titles in found.items()
    ]
