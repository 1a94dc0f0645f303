"""What the noise of the user's own recordings is like, and what the noise of the training examples is like."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from resound.doctor.sounds import Audio
from resound.errors import InputError
from resound.harvest.cut import Source
from resound.harvest.profile import NoiseProfile, measure_profile

MOST_RECORDINGS = 5
LISTENED_SECONDS = 60.0


@dataclass(frozen=True)
class Resemblance:
    """Both sides, by the same measures."""

    target: Sequence[NoiseProfile]
    training: NoiseProfile
    snr_db: float | None = (
        None  # of the examples against their clean sides: the profile hears the quietest of them only
    )


def resemblance_of(targets: Sequence[Path], examples: Sequence[Audio], sample_rate: int) -> Resemblance:
    """Return the profiles of recordings and of degraded examples ``(channel, time)``.

    Raises `InputError` where neither holds a moment of noise.
    """
    found, reasons = [], []
    for path in targets[:MOST_RECORDINGS]:
        try:
            found.append(measure_profile(Source(path, duration_seconds=LISTENED_SECONDS)))
        except InputError as error:
            reasons.append(str(error))
    if not found:
        raise InputError(f"no noise can be measured in the target: {reasons[0] if reasons else 'there is no file'}")
    joined = np.concatenate([audio.mean(axis=0) for audio in examples])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.wav"
        soundfile.write(path, joined, sample_rate, subtype="FLOAT")
        return Resemblance(found, measure_profile(Source(path)))
