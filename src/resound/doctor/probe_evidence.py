"""What the probes measure on a few examples: numbers alone, so that the checks need neither network nor sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ProbeEvidence:
    """All that the checks of probes look at."""

    task: str
    losses: Mapping[str, float]  # of the answers right, noisy, silence
    gain_db: float  # SI-SDR after learning the same examples for n_steps, over that before
    n_steps: int
    n_probed: int  # examples
    without_gradient: tuple[str, ...]  # parameters
    not_finite: tuple[str, ...]  # parameters whose gradient is NaN or infinite
    n_parameters: int  # tensors
    precision: str
    gains_db: Mapping[int, float]  # level in dBFS: output against input
    silence_dbfs: float  # what comes out of silence
    follows_level: bool  # as the network says
    example_seconds: float  # to make one example
    step_seconds: float  # to learn from a batch
    batch_size: int
    workers: int
    repeat_difference: float  # of the output for one validation example that is made and judged twice, against its RMS
    where: str
