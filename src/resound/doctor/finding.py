"""What a check says: a fault by its code, the number that proves it, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
Value = float | str | None


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

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.code} · {self.severity} · {self.message} · {self.remedy} · {self.where}"


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Return findings by severity, then as they came."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
