"""A check: a code, and a pure function from evidence to findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from resound.doctor.finding import Finding
from resound.doctor.settings import Thresholds

Moment = Literal["data", "plan", "probe", "run", "output", "model"]
Found = Finding | Sequence[Finding] | None


@dataclass(frozen=True)
class Check:
    """One line of the catalogue.

    ``judge`` looks at the evidence of its moment and nothing else; it is silent where the evidence does not hold what
    it needs.
    """

    code: str
    title: str  # what is wrong where this is found
    judge: Callable[[Any, Thresholds], Found]


def listed(found: Found) -> list[Finding]:
    """Return what a check said as a list."""
    if found is None:
        return []
    return [found] if isinstance(found, Finding) else list(found)
