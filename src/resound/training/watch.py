"""Doctor beside a training: after each validation the checks of runs, on what the run's folder holds by then.

Nothing is measured for it, and between validations nothing is done: its tables are read on from where they were left.
"""

from __future__ import annotations

from resound.doctor.catalogue import run_checks
from resound.doctor.finding import SEVERITIES, Finding
from resound.doctor.run_evidence import RunReader
from resound.doctor.settings import DoctorSettings
from resound.training.run_folder import RunFolder


class Watch:
    """Callable: a step in, what is wrong by then out; each fault once, and again where it has become worse."""

    def __init__(self, run: RunFolder, settings: DoctorSettings) -> None:
        self._run, self._settings = run, settings
        self._reader = RunReader(run.folder)
        self._worst = {code: SEVERITIES.index(severity) for code, severity in run.severities()}

    def __call__(self, step: int) -> list[Finding]:
        """Return and record what is new after a validation at a step."""
        found = run_checks("run", self._reader.read(), self._settings)
        return [finding for finding in found if self.add(step, finding)]

    def add(self, step: int, finding: Finding) -> bool:
        """Record a finding, and tell whether it was new."""
        rank = SEVERITIES.index(finding.severity)
        if self._worst.get(finding.code, len(SEVERITIES)) <= rank:
            return False
        self._worst[finding.code] = rank
        self._run.add_finding({"step": step, **vars(finding)})
        return True


def no_number(step: int, message: str, where: str) -> Finding:
    """Return RUN10 for what ended a step before its row was written."""
    return Finding("RUN10", "error", message, step, 0, "go on from the last checkpoint", where)
