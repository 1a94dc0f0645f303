"""An azimuth error: the head or slit stands askew, so that one edge of the track is read before the other."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.warp import delayed


def skew(audio: Audio, sample_rate: int, *, delay_us: float, sum_to: Literal["tracks", "mono"]) -> Audio:
    """Return ``audio`` as a skewed head reads it, ``delay_us`` between the outermost tracks, half of it each way.

    ``tracks`` keeps the channels apart, each at its own time; ``mono`` gives all of them the mean of the skewed tracks.
    A recording of one channel is two equal tracks that are summed: its response is ``cos(pi f delay)``, a comb that
    falls off towards its first zero at ``1 / (2 delay)``.  The mean delay is zero.
    """
    delay_samples = delay_us * 1e-6 * sample_rate
    n_channels = len(audio)
    if n_channels == 1:
        return (delayed(audio, delay_samples / 2) + delayed(audio, -delay_samples / 2)) * np.float32(0.5)
    places = np.linspace(-0.5, 0.5, n_channels)
    tracks = np.concatenate([delayed(audio[i : i + 1], delay_samples * place) for i, place in enumerate(places)])
    if sum_to == "tracks":
        return tracks
    return np.repeat(tracks.mean(axis=0, keepdims=True), n_channels, axis=0)


class Azimuth(Degradation):
    """A skewed head; not on the target.

    10 us at the outer edges of a cassette's stereo tracks, 50 us on a badly set machine.
    """

    apply: ClassVar = staticmethod(skew)
    delay_us: Annotated[Spread, within(-2000, 2000)] = Field(spread(5, 60), description="between the outermost tracks")
    sum_to: Literal["tracks", "mono"] = Field("mono", description="channels stay apart, or all get their mean")
