"""The band in which a preset's validations lie, as trainings of it have shown.

`resound.doctor.run_path` holds a run to it.

::

    expected: {metric: si_sdr_i, at: {300: [1.0, 3.5], 900: [3.0, 6.0]}}     # steps: lowest, highest
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from resound.judging.measures import MeasureName
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
