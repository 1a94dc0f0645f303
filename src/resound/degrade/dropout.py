"""Tape dropouts: for some milliseconds the tape lifts off the head, and the sound falls away, the treble deepest."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within

SPLIT_HZ = 2000.0  # below it dropouts are as deep as they are called, above it twice as deep in dB
EDGE_SHARE = 0.5  # of a dropout's length: both raised-cosine edges together


def drop_out(
    audio: Audio, sample_rate: int, *, per_minute: float, depth_db: float, length_ms: float, seed: int
) -> Audio:
    """Return ``audio`` with dropouts at Poisson times, in all channels at once.

    Each is 0.5 to 1.5 times ``length_ms`` long, edges included, and 0.5 to 1 times ``depth_db`` deep.  Spacing costs
    54.6 dB per wavelength (Wallace, BSTJ 30, 1951), so the treble falls first and deepest: here in two bands.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    n_dropouts = rng.poisson(max(0.0, per_minute) * n_samples / sample_rate / 60)
    out = audio.copy()
    for place, length, depth in rng.random((n_dropouts, 3)):
        n_drop = round((0.5 + length) * length_ms / 1000 * sample_rate)
        begin = round(place * (n_samples + n_drop)) - n_drop  # one that began before the recording counts as well
        first, last = max(0, begin), min(n_samples, begin + n_drop)
        if first < last:
            fall_db = (0.5 + depth / 2) * depth_db * scipy.signal.windows.tukey(n_drop, EDGE_SHARE)
            out[:, first:last] = _faded(out, first, last, fall_db[first - begin : last - begin], sample_rate)
    return out


def _faded(audio: Audio, first: int, last: int, fall_db: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Return ``audio[:, first:last]`` with its bass lowered by ``fall_db`` ``(time,)`` and its treble by twice that."""
    kernel = np.hanning(2 * max(1, round(sample_rate / SPLIT_HZ / 2)) + 3)
    margin = len(kernel)
    begin = max(0, first - margin)
    around = audio[:, begin : last + margin].astype(np.float64)
    bass = scipy.ndimage.convolve1d(around, kernel / kernel.sum(), axis=1, mode="nearest")
    treble = around - bass
    inside = slice(first - begin, last - begin)
    gain = 10 ** (-fall_db / 20)
    return bass[:, inside] * gain + treble[:, inside] * gain**2


class Dropout(Degradation):
    """Dropouts of magnetic tape; not on the target."""

    apply: ClassVar = staticmethod(drop_out)
    seeded: ClassVar = True
    per_minute: Annotated[Spread, within(0, 6000)] = Field(
        spread(2, 30, form="log"), description="how many, on the average"
    )
    depth_db: Annotated[Spread, within(0, 120)] = Field(
        spread(6, 24), description="in the bass; the treble falls by twice as much"
    )
    length_ms: Annotated[Spread, within(0.1, 2000)] = Field(
        spread(10, 80, form="log"), description="on the average, edges included"
    )
