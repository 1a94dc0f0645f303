"""The recording horn: resonances and anti-resonances between 200 and 3500 Hz, little below, less and less above.

Before 1925 sound drove the cutter through a horn and a diaphragm.  Stockham, Cannon and Ingebretsen ("Blind
deconvolution through digital signal processing", Proceedings of the IEEE 63, 1975) estimated such responses from
Caruso's records: peaks and holes of 10 dB and more.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.filters import filter_sections

BAND_HZ = (200.0, 3500.0)
Q_RANGE = (2.0, 10.0)


def through_horn(
    audio: Audio,
    sample_rate: int,
    *,
    n_resonances: float,
    depth_db: float,
    cutoff_hz: float,
    mass_hz: float,
    seed: int,
) -> Audio:
    """Return ``audio`` through a horn and its diaphragm.

    Below ``cutoff_hz`` the horn no longer loads the diaphragm (12 dB an octave); above ``mass_hz`` the diaphragm's mass
    rules (6 dB an octave).  ``n_resonances`` are drawn from the seed, each up to ``depth_db`` up or down.  Pink noise
    keeps its power between 200 and 3500 Hz.  Minimum phase, its delay taken back.
    """
    sections = _sections(max(0, round(n_resonances)), depth_db, cutoff_hz, mass_hz, seed, sample_rate)
    return filter_sections(audio, sections, sample_rate)


@lru_cache(maxsize=64)
def _sections(
    n_resonances: int, depth_db: float, cutoff_hz: float, mass_hz: float, seed: int, sample_rate: int
) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    sections = [resonance(sample_rate, hz, db, q) for hz, db, q in _draw(n_resonances, depth_db, rng)]
    ends: list[tuple[int, float, Literal["highpass", "lowpass"]]] = [
        (2, cutoff_hz, "highpass"),
        (1, mass_hz, "lowpass"),
    ]
    for order, edge_hz, side in ends:
        if 0 < edge_hz < 0.49 * sample_rate:
            sections.extend(scipy.signal.butter(order, edge_hz, side, fs=sample_rate, output="sos"))
    if not sections:
        return np.zeros((0, 6))
    result = np.array(sections)
    pink_hz = np.geomspace(BAND_HZ[0], min(BAND_HZ[1], 0.49 * sample_rate), 512)
    response = scipy.signal.freqz_sos(result, pink_hz, fs=sample_rate)[1]
    result[0, :3] /= np.sqrt(np.mean(np.abs(response) ** 2))
    return result


def _draw(n_resonances: int, depth_db: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return (frequency in Hz, gain in dB, Q) for each: one in each equal share of the band's octaves."""
    edges = np.geomspace(*BAND_HZ, n_resonances + 1)
    drawn = []
    for low, high in itertools.pairwise(edges):
        hz = float(low * (high / low) ** rng.random())
        db = depth_db * rng.uniform(0.4, 1) * (1 if rng.random() < 0.6 else -1)
        drawn.append((hz, db, float(Q_RANGE[0] * (Q_RANGE[1] / Q_RANGE[0]) ** rng.random())))
    return drawn


def resonance(sample_rate: int, frequency_hz: float, gain_db: float, q: float) -> NDArray[np.float64]:
    """Return a section ``(6,)`` that is ``gain_db`` at one frequency and 0 dB far from it, left out above Nyquist.

    Bristow-Johnson's peaking equaliser ("Cookbook formulae for audio equalizer biquad filter coefficients").
    """
    if frequency_hz >= 0.49 * sample_rate:
        return np.array([1.0, 0, 0, 1, 0, 0])
    turn = 2 * np.pi * frequency_hz / sample_rate
    alpha, root = np.sin(turn) / (2 * q), 10 ** (gain_db / 40)
    top = np.array([1 + alpha * root, -2 * np.cos(turn), 1 - alpha * root])
    bottom = np.array([1 + alpha / root, -2 * np.cos(turn), 1 - alpha / root])
    return np.concatenate([top, bottom]) / bottom[0]


class Horn(Degradation):
    """The horn of an acoustic recording; not on the target, which is as it was sung into it."""

    apply: ClassVar = staticmethod(through_horn)
    seeded: ClassVar = True
    n_resonances: Annotated[Spread, within(0, 12)] = Field(
        spread(2, 6), description="how many, rounded to a whole number"
    )
    depth_db: Annotated[Spread, within(0, 30)] = Field(
        spread(4, 12), description="most that a resonance or anti-resonance has"
    )
    cutoff_hz: Annotated[Spread, within(0, 2000)] = Field(
        spread(150, 300), description="of the horn: 12 dB an octave below"
    )
    mass_hz: Annotated[Spread, within(0, 20000)] = Field(
        spread(1000, 2500), description="of the diaphragm: 6 dB an octave above"
    )
