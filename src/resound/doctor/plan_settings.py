"""Thresholds of the checks of plans and of the probes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PlanThresholds(BaseModel):
    """Of the checks of a training before its first step."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    least_checkpoints: int = Field(3, ge=1)  # PLAN01: validations, at each of which a checkpoint may be kept
    trial_steps: int = Field(200, ge=0)  # a run of fewer is tried out, and little is lost with it
    disk_share: float = Field(0.5, gt=0, le=1)  # of the free space
    rate_ratio: float = Field(1e-3, gt=0, lt=1)  # PLAN02: of the peak, below which nothing is learnt
    rate_share: float = Field(0.1, gt=0, le=1)  # of the run
    rate_peak: float = Field(1e-6, gt=0)
    warmup_share: float = Field(0.5, gt=0, le=1)  # of the run
    context_ms: float = Field(200.0, gt=0)  # PLAN03: of what one output sample sees
    context_separation_ms: float = Field(700.0, gt=0)
    context_share: float = Field(0.5, gt=0, le=1)  # of what the paper's network sees
    short_seconds: float = Field(1.0, gt=0)  # PLAN04: a segment below its context is a warning below this
    least_frames: int = Field(50, ge=1)  # of an STFT, in a segment
    epochs: float = Field(1000.0, gt=0)  # PLAN05: without early stopping
    validations: int = Field(500, ge=1)
    memory_share: float = Field(0.9, gt=0)  # PLAN06: of the device's
    window_ms: tuple[float, float] = (8.0, 130.0)  # PLAN07
    reconstruction: float = Field(0.2, gt=0, lt=1)  # least sum of squared windows against the largest
    low_snr_db: float = 5.0  # PLAN08: below, a mean absolute error alone is an error
    passes: float = Field(200.0, gt=0)  # PLAN09: over one fixed set of examples
    future_db: float = -60.0  # PLAN10: of what the future does to the past, against the output


class ProbeThresholds(BaseModel):
    """Of the probes, which run the network and the loader for a minute."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    gain_db: float = 3.0  # PROBE02: SI-SDR over the start, on examples seen again and again
    level_spread_db: float = Field(1.0, gt=0)  # PROBE04: of the gain, from 0 to -50 dBFS
    silence_dbfs: float = -60.0  # of what comes out of silence
    loader_share: float = Field(1.2, gt=0)  # PROBE05: loader time with all workers against step time
    repeat: float = Field(1e-4, gt=0)  # PROBE06: of two validations of one network
