"""Thresholds of the checks of outputs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class OutputThresholds(BaseModel):
    """Of the checks of what a tool or a model made of recordings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suppression_db: float = Field(3.0, gt=0)  # OUT01: by which the level of what is wanted may fall in a file
    suppression_share: float = Field(0.1, ge=0, le=1)  # of the files where it may fall by more
    grave_suppression_db: float = Field(10.0, gt=0)  # of the median: from here on an error
    even_db: float = Field(4.0, gt=0)  # OUT01, OUT03: spread over the loud frames below which a fall is a gain
    noise_fall_db: float = Field(1.0, ge=0)  # OUT02: less is as good as nothing
    removed_db: float = -40.0  # of the input's energy: where no more is removed the output is the input
    noisy_db: float = 35.0  # active level above the pauses: what is cleaner needs no cleaning
    level_db: float = Field(1.5, gt=0)  # OUT03: of the median; uneven from one file to another by twice as much
    grave_fall_db: float = Field(20.0, gt=0)  # so much quieter is as good as muted: an error
    delay_ms: float = Field(0.15, ge=0)  # OUT04: from here on a warning
    grave_delay_ms: float = Field(40.0, ge=0)  # ... an error: sound is seen to be late
    stray_delay_ms: float = Field(1.0, ge=0)  # by which a single file may lie beside the usual delay
    stray_delay_share: float = Field(0.05, ge=0, le=1)  # of the files that may do so
    seam_strength: float = Field(6.5, gt=0)  # OUT05: of a period, in deviations: chance reaches 5.5
    seam_jump_db: float = Field(0.5, gt=0)  # by which the gain jumps more at seams than elsewhere
    grave_seam_jump_db: float = Field(6.0, gt=0)  # ... an error
    level_range_db: float = Field(12.0, gt=0)  # OUT06: between quiet and loud recordings; less tells nothing
    level_change_db: float = Field(3.0, gt=0)  # by which quiet and loud ones may differ in what is left of them
    grave_level_change_db: float = Field(12.0, gt=0)
    worse_db: float = Field(0.5, ge=0)  # OUT07: of SI-SDR by which a file counts as worse
    worse_share: float = Field(0.1, ge=0, le=1)  # of the files; from half of them on an error
    good_enough_db: float = 30.0  # SI-SDR above which nothing gets worse that anybody hears
    flat_share: float = Field(0.0005, ge=0, le=1)  # OUT08: of a file's samples on cut-off tops, or above full scale
    clipped_share: float = Field(0.02, ge=0, le=1)  # of the files; from half of them on an error
    lost_db: float = Field(20.0, gt=0)  # OUT09: by which all bands above a frequency fall, where speech has them
    lost_octaves: float = Field(0.2, gt=0)  # of bandwidth
    lost_share: float = Field(0.5, ge=0, le=1)  # of the files
    cliff_db: float = Field(30.0, gt=0)  # without a clean side: by which the output falls within 500 Hz
    impossible_db: float = -10.0  # OUT10: SI-SDR
    impossible_share: float = Field(0.02, ge=0, le=1)  # of the files; from half of them on an error
    turned_share: float = Field(0.1, ge=0, le=1)  # OUT11: of the files
    offset_level: float = Field(0.005, gt=0)  # OUT12: of full scale, beyond what the input has
    offset_share: float = Field(0.02, ge=0, le=1)  # of the files; from half of them on an error
