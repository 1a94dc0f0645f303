"""What a check says: a fault by its code, the number that proves it, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
Value = float | str | None
N_NAMED = 3  # in a message


@dataclass(frozen=True)
class Finding:
    """One fault.  Plain data: ``vars(finding)`` is JSON."""

    code: str
    severity: Severity
    message: str  # one sentence with the number that was measured
    value: Value  # that number
    threshold: Value  # what it was held against
    remedy: str
    where: str  # what it was measured on
    files: tuple[str, ...] = ()  # all that have it, the worst first where there is a worst; the message names a few

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.code} · {self.severity} · {self.message} · {self.remedy} · {self.where}"


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Return findings by severity, then as they came."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def few(names: Sequence[str]) -> str:
    """Return the first names, and whether there are more."""
    return ", ".join(names[:N_NAMED]) + (" ..." if len(names) > N_NAMED else "")
