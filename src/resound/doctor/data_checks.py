"""The checks of data: each a pure function of `DataEvidence`."""

from __future__ import annotations

from resound.doctor.check import Check, Found
from resound.doctor.data_evidence import DataEvidence
from resound.doctor.finding import Finding
from resound.doctor.settings import Thresholds
from resound.errors import counted


def unreadable(evidence: DataEvidence, _: Thresholds) -> Found:
    """DATA08: files that cannot be decoded, are cut off, or hold samples that are no numbers."""
    bad = [file for file in evidence.files if file.fault]
    if not bad:
        return None
    first = bad[0]
    return Finding(
        "DATA08", "error",
        f"{len(bad)} of {counted(len(evidence.files), 'file')} cannot be used: {first.path.name} {first.fault}",
        len(bad), 0, "copy or make them again, or leave them out of the list", evidence.where_files,
    )  # fmt: skip


CHECKS = (Check("DATA08", "files are unreadable, cut off, empty, or hold NaN or Inf", unreadable),)
