"""Learning rates over a run: plain arithmetic whose state is a few numbers, so that a resumed run goes on exactly.

A schedule multiplies the peak rate.  Within the steps it may follow a curve (`at`), and after each validation it hears
how good the model is (`hear`).  None goes below ``floor`` of the peak unless asked: a case study's rate fell by 8,200
times while nobody looked, and the rest of its run taught nothing.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from resound.mixing.config import Settings

LOWEST = 1e-3  # of the peak, unless asked for less


class Schedule(Settings):
    """What all schedules have."""

    warmup_steps: int = Field(0, ge=0)  # in which the rate rises from nothing
    floor: float = Field(LOWEST, gt=0, le=1)  # of the peak: the lowest rate after the warm-up

    def start(self) -> dict[str, Any]:
        """Return the state before the first step."""
        return {}

    def at(self, step: int, n_steps: int, state: dict[str, Any]) -> float:
        """Return the factor on the peak rate for step ``step`` (from 0) of ``n_steps``."""
        return max(self.curve(step, n_steps, state), self.floor) * self._warmth(step)

    def curve(self, step: int, n_steps: int, state: dict[str, Any]) -> float:
        """Return the factor without warm-up and floor."""
        return 1.0

    def hear(self, state: dict[str, Any], gain: float) -> dict[str, Any]:
        """Return the state after a validation, where ``gain`` is by how much the best result so far was beaten."""
        return state

    def _warmth(self, step: int) -> float:
        return min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0


class Constant(Schedule):
    """The peak rate all the time."""

    kind: Literal["constant"] = "constant"


class Plateau(Schedule):
    """Lower by a factor after so many validations without gain; gains within the noise of validation count as none."""

    kind: Literal["plateau"] = "plateau"
    factor: float = Field(0.5, gt=0, lt=1)
    patience: int = Field(3, ge=1)  # validations
    least_gain: float = Field(0.0, ge=0)  # of the metric

    def start(self) -> dict[str, Any]:
        """Return the state before the first step."""
        return {"factor": 1.0, "n_without_gain": 0}

    def curve(self, step: int, n_steps: int, state: dict[str, Any]) -> float:
        """Return the factor that the plateaus so far have left."""
        return float(state["factor"])

    def hear(self, state: dict[str, Any], gain: float) -> dict[str, Any]:
        """Return the state after a validation."""
        if gain > self.least_gain:
            return {**state, "n_without_gain": 0}
        if state["n_without_gain"] + 1 < self.patience:
            return {**state, "n_without_gain": state["n_without_gain"] + 1}
        return {"factor": max(state["factor"] * self.factor, self.floor), "n_without_gain": 0}


class Halving(Plateau):
    """As in Conv-TasNet's recipe: half the rate after some validations without gain (paper: 3; asteroid: 5)."""

    kind: Literal["halving"] = "halving"  # type: ignore[assignment]
    patience: int = Field(5, ge=1)


class Cosine(Schedule):
    """Half a cosine from peak to floor (Loshchilov & Hutter 2017), once or in several cycles of equal length."""

    kind: Literal["cosine"] = "cosine"
    cycles: int = Field(1, ge=1)

    def curve(self, step: int, n_steps: int, state: dict[str, Any]) -> float:
        """Return the factor at a step."""
        length = max(1, math.ceil((n_steps - self.warmup_steps) / self.cycles))
        done = max(0, step - self.warmup_steps) % length / length
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


class Steps(Schedule):
    """A tenth (or another factor) of the rate after each of some shares of the run."""

    kind: Literal["steps"] = "steps"
    at_shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.7,)
    factor: float = Field(0.1, gt=0, lt=1)

    def curve(self, step: int, n_steps: int, state: dict[str, Any]) -> float:
        """Return the factor at a step."""
        return float(self.factor ** sum(step >= share * n_steps for share in self.at_shares))


def _with_kind(written: Any) -> Any:
    return {"kind": "plateau", **written} if isinstance(written, dict) else written


Kinds = Annotated[Constant | Plateau | Halving | Cosine | Steps, Field(discriminator="kind")]
AnySchedule = Annotated[Kinds, BeforeValidator(_with_kind)]
