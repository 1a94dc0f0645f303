"""The light valve of an optical track: ribbons that clash, density that is not straight, and images that spread."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.filters import rounded

SPLIT_HZ = 4000.0  # above it lie the carriers of cross-modulation (sibilants), below it what it makes of them


def through_valve(
    audio: Audio, sample_rate: int, *, distortion_percent: float, cross_percent: float, clash_db: float
) -> Audio:
    """Return ``audio`` as an optical track plays it, per cent and dB relative to its own peak.

    - ``clash_db``: so far above the highest closing (negative) peak the ribbons touch: where negative, they do touch,
      and the peak is cut there.
    - ``distortion_percent``: the second harmonic of a tone at the peak level.  Density against exposure is only nearly
      straight (Frayne and Wolfe, *Elements of Sound Recording*, 1949).
    - ``cross_percent``: how much of its own modulation a carrier above 4 kHz, fully modulated up to the peak, leaves in
      the band below, relative to that peak: image spread fills the valleys of a variable-area track, which shifts its
      mean and is heard as the splash of sibilants (Baker and Robinson, "Modulated high-frequency recording as a means
      of determining conditions for optimal processing", JSMPE 30, 1938).

    The constant that the bend adds is taken off: a photocell is coupled by a capacitor.
    """
    peak = np.float32(np.abs(audio).max(initial=0))
    if peak < np.finfo(np.float32).tiny:
        return audio.copy()
    closing = np.float32(audio.min() * 10 ** (clash_db / 20))
    cut = np.maximum(audio, closing) if clash_db < 0 else audio
    added = cut * cut  # (peak sin)^2 = peak^2 / 2 (1 - cos 2): times 2 share
    added *= np.float32(2 * distortion_percent / 100 / peak)
    if cross_percent and sample_rate > 2.5 * SPLIT_HZ:  # (1 + cos)^2 / 4 cos^2 has cos / 4 below: times 4 share
        high = _side(cut, sample_rate, "highpass")
        high *= high
        splash = _side(high, sample_rate, "lowpass")
        splash *= np.float32(4 * cross_percent / 100 / peak)
        added += splash
    added -= added.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    added += cut
    return added


def _side(audio: Audio, sample_rate: int, side: Literal["lowpass", "highpass"]) -> Audio:
    """Return one side of the split, as if the first sample had been there for ever: no step at the start."""
    sections, settled = _split(sample_rate, side)
    start = (settled * audio[:, :1]).astype(np.float32)
    return scipy.signal.sosfilt(sections, audio, axis=1, zi=start)[0].astype(np.float32, copy=False)


@lru_cache(maxsize=32)
def _split(sample_rate: int, side: Literal["lowpass", "highpass"]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the filter of one side, and the state in which it is after a constant of 1."""
    sections = rounded(scipy.signal.butter(2, SPLIT_HZ, side, fs=sample_rate, output="sos"))
    return sections.astype(np.float32), scipy.signal.sosfilt_zi(sections)[:, np.newaxis]


class OpticalValve(Degradation):
    """Distortion of an optical track; not on the target."""

    apply: ClassVar = staticmethod(through_valve)
    distortion_percent: Annotated[Spread, within(0, 50)] = Field(
        spread(2, 6), description="second harmonic of a tone at the peak"
    )
    cross_percent: Annotated[Spread, within(0, 50)] = Field(
        spread(0, 6), description="what modulated treble leaves in the bass, relative to the peak"
    )
    clash_db: Annotated[Spread, within(-40, 40)] = Field(
        spread(-3, 3), description="where the ribbons touch, above the negative peak; negative: they cut it"
    )
