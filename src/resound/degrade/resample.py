"""A file of a lower sample rate: above half of it nothing at all is left.

A network of 48 kHz is given recordings of every rate.  One that learnt from narrow speech in wide noise alone knows the
noise by what lies above the speech, and takes much less of it where there is nothing.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from resound.audio.segments import resample
from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within


def pass_through_rate(audio: Audio, sample_rate: int, *, rate_hz: float) -> Audio:
    """Return ``audio`` ``(channel, time)`` as it is after a file of ``rate_hz``, rounded.

    One of no lower rate changes nothing.
    """
    rate, n_samples = round(rate_hz), audio.shape[1]
    if rate >= sample_rate:
        return audio.copy()
    through = resample(resample(audio, sample_rate, rate), rate, sample_rate)[:, :n_samples]
    return np.pad(through, ((0, 0), (0, n_samples - through.shape[1])))


class Resample(Degradation):
    """A lower sample rate, as files and lines have it; not on the target, which keeps its band."""

    apply: ClassVar = staticmethod(pass_through_rate)
    adds_up: ClassVar = True
    rate_hz: Annotated[Spread, within(2000, 384_000)] = Field(
        spread(8000, 16000, 22050, 32000, form="one_of"), description="of the file; what is no lower changes nothing"
    )
