"""Thresholds of the checks of runs.

They were set so that the runs of this project's own presets are silent and the case studies' runs are not.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RunThresholds(BaseModel):
    """Of the checks of a run, finished or under way."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # A young run is not judged: networks begin with silence, and below what they were given.
    least_validations: int = Field(3, ge=1)
    early_share: float = Field(0.1, ge=0, le=1)  # of the steps: before, nothing is said of the output ...
    half_way_share: float = Field(0.5, ge=0, le=1)  # ... and before this nothing of how good it is
    least_steps: int = Field(100, ge=1)  # for what is said of gradients and discriminators

    stale_validations: int = Field(10, ge=1)  # RUN01: since the best one
    stale_share: float = Field(0.5, gt=0, le=1)  # of the run
    overfit_gap_db: float = Field(6.0, gt=0)  # RUN02: train above validation
    overfit_drop: float = Field(0.2, gt=0)  # validation's fall, as a share of all it had gained
    silence_level_db: float = -6.0  # RUN03: output against target
    silence_correlation: float = Field(0.7, gt=0, le=1)  # of what is removed, with the target
    identity_db: float = Field(0.3, gt=0)  # RUN04: all that the output differs from the input by
    gradient_growth: float = Field(30.0, gt=1)  # RUN05: against the first quarter
    gradient_largest: float = Field(1e4, gt=0)
    gradient_smallest: float = Field(1e-6, gt=0)
    clipped_share: float = Field(0.98, gt=0, le=1)  # of the steps
    clipped_ratio: float = Field(10.0, ge=1)  # median norm against clip_norm, above which clipping is a warning
    rate_ratio: float = Field(1e-3, gt=0, lt=1)  # RUN06: of the peak, below which nothing is learnt
    rate_share: float = Field(0.1, gt=0, le=1)  # of the steps
    rate_peak: float = Field(1e-6, gt=0)
    gain_digits: float = Field(3.0, gt=0)  # RUN07: units of a metric's last digit that count as better (0.3 dB)
    share_right_won: float = Field(0.97, gt=0.5, lt=1)  # RUN08: of places that discriminators judge rightly
    share_right_blind: float = Field(0.52, ge=0.5, lt=1)
    adversarial_share: float = Field(0.01, gt=0, lt=1)  # of the generator's loss
    perceptual_fall: float = Field(0.05, gt=0, lt=1)  # RUN09: share of the best PESQ, STOI or ESTOI that is lost
    loss_fall: float = Field(0.02, gt=0, lt=1)  # share of its range by which the loss fell meanwhile
    least_input_si_sdr_db: float = -20.0  # RUN12: of the input against its target, mean over the validation set
    turned_si_sdr_db: float = 3.0  # RUN13: below, an SNR may be as low because the output is bad ...
    turned_snr_db: float = -3.5  # ... above, it cannot; a target turned over has -6
    offset_db: float = Field(3.0, gt=0)  # of power that is neither the target's nor what SI-SDR counts as error
