"""Whether the validations of a run lie in the band in which those of other trainings of its preset did."""

from __future__ import annotations

import math
from collections.abc import Mapping

from resound.doctor.check import Check, Found
from resound.doctor.finding import Finding
from resound.doctor.run_evidence import RunEvidence
from resound.doctor.settings import Thresholds
from resound.judging.measures import ALL

Band = tuple[float, float]  # the lowest and the highest value


def band_at(known: Mapping[int, Band], step: float) -> Band | None:
    """Return the band at a step; None before the first known step and after the last.

    Between two of them it is interpolated over the logarithm of the step, against which learning curves are nearly
    straight.
    """
    steps = sorted(known)
    if not steps[0] <= step <= steps[-1]:
        return None
    after = next(each for each in steps if each >= step)
    before = max(each for each in steps if each <= step)
    share = math.log(step / before) / math.log(after / before) if after > before else 0.0
    low, high = (first + share * (last - first) for first, last in zip(known[before], known[after], strict=True))
    return low, high


def off_the_path(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN11: validations lie outside of the band that the preset expects."""
    expected = run.setting("expected")
    if not expected:
        return None
    measure = ALL[expected["metric"]]
    known = {int(step): (low, high) for step, (low, high) in expected["at"].items()}  # keys of YAML are text
    values = run.validations.get(expected["metric"], ())
    judged = [
        (int(step), float(value), band)
        for step, value in zip(run.validations.get("step", ()), values, strict=False)
        if (band := band_at(known, step))
    ]
    off = [(step, value, band) for step, value, band in judged if not band[0] <= value <= band[1]]
    if not off:
        return None
    step, value, (low, high) = off[0]
    unit = f" {measure.unit}".rstrip()
    more = f"; so do {len(off)} of {len(judged)} validations" if len(off) > 1 else ""
    is_too_good = measure.badness(value) < min(measure.badness(low), measure.badness(high))
    return Finding(
        "RUN11", "warning",
        f"at step {step:,} {measure.title} is {value:.2f}{unit}, outside of {low:.2f} to {high:.2f}{unit}, where "
        f"trainings of this preset lie{more}",
        round(value, 2), low if value < low else high,
        "see whether the validation recordings are easier than usual, or among those to learn from"
        if is_too_good
        else "see whether recordings, loss and rate are as meant before more time goes into it",
        run.where,
    )  # fmt: skip


CHECKS = (Check("RUN11", "validations lie where those of this preset do not", off_the_path),)
