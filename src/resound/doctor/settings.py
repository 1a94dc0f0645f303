"""Every threshold of every check, and which checks are made.

In the file of a training they stand under ``doctor:``, on the command line behind ``--set``:
``--set data.dc_level=0.02``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from resound.doctor.output_settings import OutputThresholds
from resound.doctor.plan_settings import PlanThresholds, ProbeThresholds
from resound.doctor.run_settings import RunThresholds


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
    above_db: float = (
        -95.0
    )  # of a degraded side above its clean side's band, against all of it, from which on there is something
    open_share: float = 0.85  # of the pairs with a narrow clean side that may be so, where most clean sides are narrow
    least_narrow: int = 8  # pairs with a narrow clean side, to judge by
    pause_snr_db: float = 20.0  # of the clean files' median
    pause_share: float = 0.1  # of the clean files that must have pauses to be judged by them
    floor_db: float = 6.0  # by which noise that is to go must at least be above a clean side's own ...
    quiet_floor_db: float = 40.0  # ... unless that is so far below the sound: few recordings have quieter noise
    floor_share: float = 0.2  # of the pairs in which it may be less
    least_paused: int = 6  # pairs whose clean side has pauses, to judge by
    # Of a training's set.
    fixed_hours: float = 5.0  # of pairs that are not mixed anew
    dynamic_hours: float = 0.5  # of clean recordings that are
    n_speakers: int = 8  # where speakers are named
    published_share: float = 0.1  # of the hours or speakers that the network was published with
    residual_db: float = -40.0  # of a mixture without its sources
    share_error: float = 0.05  # between a domain's share as asked for and as drawn
    metric_spread_db: float = 2.0  # by which the difference of two models varies from example to example
    resolution_db: float = 0.6  # that a validation must tell apart (half a 95 % interval)
    validation_cost: float = 1.0  # against the training between two validations
    target_snr_db: float = 8.0  # between the training's SNR and the target's
    target_tilt_db: float = 4.0  # an octave, between the noises' spectra
    target_octaves: float = 0.7  # between the bandwidths
    target_crackle: float = 4.0  # times the target's rate of ticks
    target_hum_db: float = -35.0  # of a hum, against the programme, from which on the training should have one


class Thresholds(_Settings):
    """Of all checks, by moment."""

    data: DataThresholds = DataThresholds()
    plan: PlanThresholds = PlanThresholds()
    probe: ProbeThresholds = ProbeThresholds()
    run: RunThresholds = RunThresholds()
    output: OutputThresholds = OutputThresholds()


class DoctorSettings(Thresholds):
    """What is checked, and how strictly."""

    select: tuple[str, ...] = ()  # codes or their beginnings; none: all
    ignore: tuple[str, ...] = ()
    n_files: int = Field(400, ge=1)  # pairs or files that are decoded, drawn by the seed
    n_examples: int = Field(64, ge=1)  # of a training, that are made and looked at
    seed: int = Field(0, ge=0)

    @field_validator("select", "ignore", mode="before")
    @classmethod
    def _codes_of(cls, value: Any) -> Any:
        """Take ``data01, data02`` for what it means."""
        words = value.split(",") if isinstance(value, str) else value
        is_list = isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words)
        return tuple(code.strip().upper() for word in words for code in word.split(",")) if is_list else value

    def is_on(self, code: str) -> bool:
        """Tell whether a check is to be made."""
        return code.startswith(self.select or ("",)) and not (self.ignore and code.startswith(self.ignore))
