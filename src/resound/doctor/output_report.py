"""All that is said of outputs: their own checks, and of the data's checks the one that names unreadable files."""

from __future__ import annotations

from resound.doctor.catalogue import CHECKS, count_of, run_checks
from resound.doctor.check import listed
from resound.doctor.data_evidence import DataEvidence
from resound.doctor.finding import worst_first
from resound.doctor.output_checks import not_made
from resound.doctor.output_evidence import OutputEvidence
from resound.doctor.report import Report
from resound.doctor.settings import DoctorSettings

UNREADABLE = "DATA08"


def report_of(evidence: OutputEvidence, settings: DoctorSettings) -> Report:
    """Return what the checks find, and which of them could not be made."""
    found, n_checks = run_checks("output", evidence, settings), count_of("output", settings)
    if settings.is_on(UNREADABLE):
        files = DataEvidence(others=evidence.files, where_files=evidence.where_files)
        found += listed(CHECKS[UNREADABLE].judge(files, settings))
        n_checks += 1
    lacking = not_made(evidence, settings)
    by_reason: dict[str, list[str]] = {}
    for code, what in lacking.items():
        by_reason.setdefault(what, []).append(code)
    notes = [
        f"not looked at: {', '.join(codes)}, which {'need' if len(codes) > 1 else 'needs'} {what}"
        for what, codes in by_reason.items()
    ]
    return Report(evidence.where, worst_first(found), n_checks - len(lacking), [*notes, *evidence.notes])
