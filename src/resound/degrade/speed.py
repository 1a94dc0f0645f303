"""A constant error of speed: a turntable that runs fast, a 24-frame film shown at 25."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from resound.audio.segments import resample
from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.errors import ConfigError


def change_speed(audio: Audio, sample_rate: int, *, percent: float) -> Audio:
    """Return ``audio`` played ``percent`` faster, negative: slower.

    It is shorter and higher by the factor 1 + percent / 100.  The length is ``round(n_samples / factor)``.
    4.17 % is a film of 24 frames a second on television of 25.
    """
    factor = _factor(percent)
    n_samples = round(audio.shape[1] / factor)
    if n_samples == audio.shape[1]:
        return audio.copy()
    played = resample(audio, factor, 1.0)[:, :n_samples]
    return np.pad(played, ((0, 0), (0, n_samples - played.shape[1])))


def _factor(percent: float) -> float:
    if not -90 <= percent <= 900:
        raise ConfigError(f"speed: percent is {percent:g}; give a change between -90 and 900 per cent")
    return 1 + percent / 100


class Speed(Degradation):
    """A constant error of speed, in per cent of the right one.

    The target gets it as well: how fast a recording ought to be cannot be told from it alone, and a target of another
    length and pitch would be none.
    """

    apply: ClassVar = staticmethod(change_speed)
    apply_to_target: ClassVar = staticmethod(change_speed)
    percent: Annotated[Spread, within(-50, 100)] = Field(
        spread(-3, 3), description="faster than right; negative: slower"
    )

    @classmethod
    def n_samples_needed(cls, n_samples: int, **params: Any) -> int:
        """Return how many samples to put in for ``n_samples`` to come out."""
        return math.ceil(n_samples * _factor(params["percent"]))
