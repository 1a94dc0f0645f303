"""Clipping: what is too loud for an amplifier, a converter or a tape."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from resound.audio.segments import resample
from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within

Shape = Literal["hard", "tanh", "cubic"]
BLOCK_SAMPLES = 8192  # what is between stays in the processor's cache: tanh takes 1 ms for 288,000 samples, not 7


def clip(
    audio: Audio,
    sample_rate: int,
    *,
    shape: Shape,
    percent: float | None,
    below_peak_db: float | None,
    asymmetry_db: float,
    oversampling: Literal[1, 2, 4],
) -> Audio:
    """Return ``audio`` held below a limit.

    The limit is passed by ``percent`` of all samples, or lies ``below_peak_db`` where that is given; that of the
    negative half is ``asymmetry_db`` lower.  ``hard`` cuts there; ``tanh`` and ``cubic`` bend towards it and leave
    quiet sound as it is.  ``oversampling`` by 2 or 4 keeps most harmonics from folding back, as analogue stages do;
    1, the default, is a converter that overflows, whose harmonics do fold.
    """
    negative = np.float32(10 ** (asymmetry_db / 20))  # of the negative half's limit to one
    limit = _limit(np.maximum(audio, -audio * negative), percent, below_peak_db)
    if limit < np.finfo(np.float32).tiny:
        return audio.copy()
    raised = resample(audio, 1, oversampling)
    low = np.float32(limit / negative)
    bent = np.empty_like(raised)
    for begin in range(0, raised.shape[1], BLOCK_SAMPLES):
        place = (slice(None), slice(begin, begin + BLOCK_SAMPLES))
        bent[place] = _held(raised[place], low, limit, shape)
    return resample(bent, oversampling, 1)[:, : audio.shape[1]]


def _limit(magnitude: Audio, percent: float | None, below_peak_db: float | None) -> np.float32:
    """Return the level that ``percent`` of all magnitudes pass, or that lies so far below the highest."""
    if not magnitude.size:
        return np.float32(0)
    if below_peak_db is not None:
        return np.float32(magnitude.max() * 10 ** (-below_peak_db / 20))
    n_above = round(magnitude.size * (percent or 0) / 100)
    if not n_above:
        return np.float32(0)
    # Upside down: to seek from the top of speech is 20 times as slow, for its pauses are one long tie.
    place = min(n_above, magnitude.size - 1)
    return -np.partition(-magnitude, place, axis=None)[place]


def _held(audio: Audio, low: np.float32, high: np.float32, shape: Shape) -> Audio:
    """Return samples held between ``-low`` and ``high``."""
    if shape == "hard":
        return np.clip(audio, -low, high)
    limit = np.where(audio < 0, low, high)
    return _bend(np.divide(audio, limit, dtype=np.float32), shape) * limit


def _bend(ratio: Audio, shape: Shape) -> Audio:
    """Return ratios to the limit, held within -1 and 1."""
    if shape == "cubic":  # slope 1 at 0, reaches 1 with slope 0 at 1.5
        ratio = np.clip(ratio, -1.5, 1.5)
        return ratio - np.float32(4 / 27) * ratio * ratio * ratio
    # Lambert's continued fraction of tanh: right to 0.0001, and only sums and products, which are the same everywhere.
    ratio = np.clip(ratio, -4.97, 4.97)
    square = ratio * ratio
    top = ratio * (135135 + square * (17325 + square * (378 + square)))
    return np.clip(top / (135135 + square * (62370 + square * (3150 + 28 * square))), -1, 1)


class Clip(Degradation):
    """Clipping, hard or soft; not on the target.

    The limit is set by ``percent`` of samples beyond it, or by ``below_peak_db``, which goes first where it is given.
    """

    apply: ClassVar = staticmethod(clip)
    shape: Shape = Field("hard", description="cut, or bent towards the limit")
    percent: Annotated[Spread, within(0, 100)] | None = Field(
        spread(0.05, 2, form="log"), description="samples beyond the limit"
    )
    below_peak_db: Annotated[Spread, within(0, 60)] | None = Field(
        None, description="limit below the highest peak; where it is given, it holds instead of percent"
    )
    asymmetry_db: Annotated[Spread, within(-20, 20)] = Field(
        spread(0), description="how much lower the negative half's limit is"
    )
    oversampling: Literal[1, 2, 4] = Field(1, description="2 or 4 keep harmonics from folding back")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.percent is None and self.below_peak_db is None:
            raise ValueError("no limit; give percent or below_peak_db")
        return self
