"""How a parameter spreads: a number, a range, or a distribution, as it is written in a chain.

======================  ==========================================================
``20``                  always 20
``[10, 30]``            uniform between the two
``{log: [0.1, 10]}``    uniform on a logarithmic scale
``{normal: [5, 2]}``    normal, mean and standard deviation, cut at 3 deviations
``{one_of: [33, 45]}``  one of these, each as likely
======================  ==========================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, model_serializer, model_validator

FORMS = "write a number, [low, high], {log: [low, high]}, {normal: [mean, deviation]} or {one_of: [...]}"


class Spread(BaseModel):
    """A distribution of one number; `draw` takes a value from it."""

    model_config = ConfigDict(frozen=True)
    form: Literal["constant", "uniform", "log", "normal", "one_of"]
    values: tuple[float, ...]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: Any) -> Any:
        if isinstance(written, Spread) or (isinstance(written, dict) and set(written) == {"form", "values"}):
            return written
        form: str = "constant"
        values = written
        if isinstance(written, dict) and len(written) == 1:
            form, values = next(iter(written.items()))
        elif isinstance(written, list | tuple):
            form = "uniform"
        if not isinstance(values, list | tuple):
            values = [values]
        if form not in ("constant", "uniform", "log", "normal", "one_of") or not all(map(_is_number, values)):
            raise ValueError(FORMS)
        return {"form": form, "values": tuple(float(value) for value in values)}

    @model_validator(mode="after")
    def _check(self) -> Self:
        wanted = {"constant": 1, "uniform": 2, "log": 2, "normal": 2}.get(self.form, max(1, len(self.values)))
        if len(self.values) != wanted:
            raise ValueError(FORMS)
        if self.form in ("uniform", "log") and self.values[0] > self.values[1]:
            raise ValueError(f"the low end {self.values[0]:g} is above the high end {self.values[1]:g}; swap them")
        if self.form == "log" and self.values[0] <= 0:
            raise ValueError(f"a logarithmic range starts above 0, not at {self.values[0]:g}")
        return self

    @model_serializer
    def _write(self) -> Any:
        if self.form == "constant":
            return self.values[0]
        return list(self.values) if self.form == "uniform" else {self.form: list(self.values)}

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that can be drawn."""
        if self.form == "normal":
            mean, deviation = self.values
            return mean - 3 * abs(deviation), mean + 3 * abs(deviation)
        return min(self.values), max(self.values)

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value, rounded to 6 digits: what is written to JSON is exactly what was used."""
        if self.form == "constant":
            return self.values[0]
        low, high = self.values[0], self.values[-1]
        if self.form == "uniform":
            value = rng.uniform(low, high)
        elif self.form == "log":
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        elif self.form == "normal":
            value = low + high * float(np.clip(rng.standard_normal(), -3, 3))
        else:
            value = self.values[int(rng.integers(len(self.values)))]
        return float(f"{value:.6g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def spread(*values: float, form: str = "") -> Spread:
    """Return a constant for one value, a uniform range for two, or the distribution that ``form`` names."""
    return Spread.model_validate({form: list(values)} if form else list(values) if len(values) > 1 else values[0])


@dataclass(frozen=True)
class Within:
    """Checks that a number, or all that a spread can draw, lies between two ends; None: no end."""

    low: float | None = None
    high: float | None = None

    def __call__(self, value: Spread | float) -> Spread | float:
        """Return the value, or raise `ValueError`."""
        smallest, largest = value.ends if isinstance(value, Spread) else (value, value)
        if self.low is not None and smallest < self.low:
            raise ValueError(f"less than {self.low:g}, the least that makes sense")
        if self.high is not None and largest > self.high:
            raise ValueError(f"more than {self.high:g}, the most that makes sense")
        return value


def within(low: float | None = None, high: float | None = None) -> AfterValidator:
    """Return a check that all values lie between ``low`` and ``high``: ``Annotated[Spread, within(0, 1)]``."""
    return AfterValidator(Within(low, high))
