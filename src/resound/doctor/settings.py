"""Every threshold of every check, and which checks are made.

In the file of a training they stand under ``doctor:``, on the command line behind ``--set``:
``--set data.dc_level=0.02``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from resound.doctor.plan_settings import PlanThresholds, ProbeThresholds
from resound.doctor.run_settings import RunThresholds


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataThresholds(_Settings):
    """Of the checks of data."""

    silent_dbfs: float = -60.0  # RMS below which a file is silent


class Thresholds(_Settings):
    """Of all checks, by moment."""

    data: DataThresholds = DataThresholds()
    plan: PlanThresholds = PlanThresholds()
    probe: ProbeThresholds = ProbeThresholds()
    run: RunThresholds = RunThresholds()


class DoctorSettings(Thresholds):
    """What is checked, and how strictly."""

    select: tuple[str, ...] = ()  # codes or their beginnings; none: all
    ignore: tuple[str, ...] = ()
    n_files: int = Field(400, ge=1)  # pairs or files that are decoded, drawn by the seed
    seed: int = Field(0, ge=0)

    def is_on(self, code: str) -> bool:
        """Tell whether a check is to be made."""
        return code.startswith(self.select or ("",)) and not (self.ignore and code.startswith(self.ignore))
