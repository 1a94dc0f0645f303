"""Every threshold of every check, and which checks are made.

In the file of a training they stand under ``doctor:``, on the command line behind ``--set``:
``--set data.dc_level=0.02``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataThresholds(_Settings):
    """Of the checks of data."""

    # Of pairs.
    different_share: float = 0.5  # of the pairs that hold two recordings: from here on an error, below a warning
    shift_ms: float = 0.15  # of all pairs: from here on a warning
    grave_shift_ms: float = 1.0  # ... an error
    stray_shift_ms: float = 1.0  # by which a single pair may lie beside the usual shift
    stray_share: float = 0.05  # of the pairs that may do so
    length_ms: float = 1.0  # by which the sides of a pair may differ in length
    grave_length_ms: float = 100.0
    gain_db: float = 1.0  # between the sides of a pair
    gain_spread_db: float = 2.0  # between frequencies: beyond it there is a filter, not a gain
    inverted_share: float = 0.02  # of the pairs
    snr_db: tuple[float, float] | None = None  # what the pairs are meant to have; None: nobody says
    snr_error_db: float = 2.0
    # Of files.
    rare_rate_share: float = 0.0  # of files with another sample rate than most
    silent_dbfs: float = -60.0  # RMS
    silent_share: float = 0.1  # of the files: from here on an error
    flat_share: float = 0.0005  # of a file's samples that lie on cut-off tops
    clipped_share: float = 0.02  # of the clean files that may be clipped; from half of them on an error
    dc_level: float = 0.005  # of full scale
    dc_share: float = 0.02  # of the files
    bandwidth_share: float = 0.6  # of half the sample rate that most files must fill
    pause_snr_db: float = 20.0  # of the clean files' median


class Thresholds(_Settings):
    """Of all checks, by moment."""

    data: DataThresholds = DataThresholds()


class DoctorSettings(Thresholds):
    """What is checked, and how strictly."""

    select: tuple[str, ...] = ()  # codes or their beginnings; none: all
    ignore: tuple[str, ...] = ()
    n_files: int = Field(400, ge=1)  # pairs or files that are decoded, drawn by the seed
    seed: int = Field(0, ge=0)

    def is_on(self, code: str) -> bool:
        """Tell whether a check is to be made."""
        return code.startswith(self.select or ("",)) and not (self.ignore and code.startswith(self.ignore))
