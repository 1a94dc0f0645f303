"""All checks, by code; which of them are made; and what each means, in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from resound.config import read_yaml
from resound.doctor import (
    data_checks,
    output_checks,
    plan_network_checks,
    plan_run_checks,
    probe_checks,
    run_learning,
    run_path,
    run_result,
)
from resound.doctor.check import Check, Moment, listed
from resound.doctor.finding import Finding, worst_first
from resound.doctor.settings import DoctorSettings
from resound.errors import ConfigError, did_you_mean


def in_order(*several: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return the checks of several files by code."""
    return tuple(sorted((check for checks in several for check in checks), key=lambda check: check.code))


# Each moment's checks; a moment is also the name of the file under texts/ that explains them.
BY_MOMENT: dict[Moment, tuple[Check, ...]] = {
    "data": data_checks.CHECKS,
    "plan": in_order(plan_network_checks.CHECKS, plan_run_checks.CHECKS),
    "probe": probe_checks.CHECKS,
    "run": in_order(run_learning.CHECKS, run_result.CHECKS, run_path.CHECKS),
    "output": output_checks.CHECKS,
}
CHECKS = {check.code: check for checks in BY_MOMENT.values() for check in checks}


@dataclass(frozen=True)
class Explanation:
    """What a code means, in sentences."""

    means: str
    hurts: str  # why
    case: str  # a real one
    fix: str


def run_checks(moment: Moment, evidence: Any, settings: DoctorSettings) -> list[Finding]:
    """Return what the checks of a moment find, the worst first; those that are off are not made."""
    made = [check for check in BY_MOMENT[moment] if settings.is_on(check.code)]
    return worst_first([finding for check in made for finding in listed(check.judge(evidence, settings))])


def count_of(moment: Moment, settings: DoctorSettings) -> int:
    """Return how many checks of a moment are made."""
    return sum(settings.is_on(check.code) for check in BY_MOMENT[moment])


def check_codes(settings: DoctorSettings) -> None:
    """Raise `ConfigError` for a selected or ignored code that no check begins with."""
    for name in ("select", "ignore"):
        for code in getattr(settings, name):
            if not code or not any(known.startswith(code) for known in CHECKS):
                raise ConfigError(
                    f"{name}: no check begins with {code!r}{did_you_mean(code, CHECKS)}; give codes or their beginnings"
                )


@cache
def explanations() -> dict[str, Explanation]:
    """Return the explanation of each code."""
    folder = Path(__file__).parent / "texts"
    texts = [read_yaml(folder / f"{moment}.yaml") for moment in BY_MOMENT]
    return {code: Explanation(**text) for each in texts for code, text in each.items()}


def moment_of(code: str) -> Moment:
    """Return when a check is made."""
    return next(moment for moment in get_args(Moment) if CHECKS[code] in BY_MOMENT.get(moment, ()))


def explained(code: str) -> str:
    """Return a page about a code, or the codes that begin so.  Raises `ConfigError` where there is none."""
    code = code.upper()
    if code not in CHECKS:
        alike = {known: check.title for known, check in CHECKS.items() if known.startswith(code)}
        if code and alike:
            return "\n".join(f"{known}  {title}" for known, title in alike.items())
        ranges = ", ".join(f"{checks[0].code} to {checks[-1].code}" for checks in BY_MOMENT.values())
        raise ConfigError(f"--explain {code}: no such code{did_you_mean(code, CHECKS)}; there are {ranges}")
    text = explanations()[code]
    return "\n\n".join(
        [
            f"{code}: {CHECKS[code].title}",
            f"What it means. {text.means}",
            f"Why it hurts. {text.hurts}",
            f"A real case. {text.case}",
            f"How to fix it. {text.fix}",
            f"How to silence it. {silencing(code)}",
        ]
    )


def silencing(code: str) -> str:
    """Return how a check is switched off."""
    if moment_of(code) == "output":
        return f"Give --ignore {code}, or another threshold with --set output.NAME=VALUE."
    told = f"Give --ignore {code}, or write 'doctor: {{ignore: [{code}]}}' in the training's file"
    if moment_of(code) not in ("data", "plan"):  # what is found of runs and by probes keeps no training from beginning
        return f"{told}."
    return f"{told}; 'resound train --force {code}' trains all the same and records that it was forced."
