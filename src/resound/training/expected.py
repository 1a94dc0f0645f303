"""The band in which a preset's validations lie, as trainings of it have shown: who is off the path hears it at once.

::

    expected: {metric: si_sdr_i, at: {300: [1.0, 3.5], 900: [3.0, 6.0]}}     # steps: lowest, highest
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from resound.judging.measures import ALL, MeasureName
from resound.mixing.config import Settings

Step = Annotated[int, Field(ge=1)]


class ExpectedConfig(Settings):
    """Where a metric of the validations lies at a few steps."""

    metric: MeasureName = "si_sdr_i"
    at: dict[Step, tuple[float, float]] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for step, (low, high) in self.at.items():
            if low > high:
                raise ValueError(f"at.{step}: is from {low:g} to {high:g}; write the lower one first")
        return self

    def band(self, step: int) -> tuple[float, float] | None:
        """Return the lowest and the highest value at a step; None before the first known step and after the last.

        Between two of them it is interpolated over the logarithm of the step, against which learning curves are
        nearly straight.
        """
        known = sorted(self.at)
        if not known[0] <= step <= known[-1]:
            return None
        after = next(each for each in known if each >= step)
        before = max(each for each in known if each <= step)
        share = math.log(step / before) / math.log(after / before) if after > before else 0.0
        low, high = (
            first + share * (last - first) for first, last in zip(self.at[before], self.at[after], strict=True)
        )
        return low, high


@dataclass(frozen=True)
class OffThePath:
    """What is found where a validation lies outside of the band."""

    step: int
    message: str
    code: str = "RUN11"
    severity: Literal["warning"] = "warning"

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


def off_the_path(expected: ExpectedConfig | None, step: int, metrics: dict[str, float]) -> OffThePath | None:
    """Return what is to be said of a validation; None where nothing is expected, or the value is as expected."""
    band = expected.band(step) if expected else None
    if expected is None or band is None:
        return None
    low, high = band
    value, measure = metrics.get(expected.metric, math.nan), ALL[expected.metric]
    if low <= value <= high:
        return None
    unit = f" {measure.unit}".rstrip()
    of = f"step {step:,}: {measure.title} is {value:.2f}{unit}, outside of {low:.2f} to {high:.2f}{unit}"
    is_too_good = measure.badness(value) < min(measure.badness(low), measure.badness(high))
    remedy = (
        "see whether the validation recordings are easier than usual, or among those to learn from"
        if is_too_good
        else "see whether recordings, loss and rate are as meant before more time goes into it"
    )
    return OffThePath(step, f"{of}, where trainings of this preset lie; {remedy}")
