"""Roll-offs: what a carrier and its players leave of the spectrum, by name or by points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.filters import filter_fir, minimum_phase_fir
from resound.errors import ConfigError

Points = tuple[tuple[float, float], ...]  # (frequency in Hz, gain in dB), rising frequencies
CurveName = Literal[
    "academy", "x-curve", "acoustic-disc", "electric-disc", "telephone", "am-radio", "cassette", "points"
]


def head_loss_db(frequency_hz: float, *, speed_mm: float, spacing_um: float, gap_um: float) -> float:
    """Return a tape head's gain: 54.6 dB per wavelength of spacing, and the gap's sinc (Wallace, BSTJ 30, 1951)."""
    wavelength_um = 1000 * speed_mm / frequency_hz
    gap = math.pi * gap_um / wavelength_um
    return -54.6 * spacing_um / wavelength_um + 20 * math.log10(max(abs(math.sin(gap) / gap), 1e-3))


# Published: +-0 dB from 100 Hz to 1.6 kHz, -7 dB at 40 Hz, -10 dB at 5 kHz, -18 dB at 8 kHz.  Beyond, its slopes go on.
ACADEMY = ((20, -12.3), (40, -7), (100, 0), (1600, 0), (5000, -10), (8000, -18), (16000, -30), (32000, -42))
# Flat to 2 kHz, then -3 dB an octave, from 10 kHz on -6 dB an octave.
X_CURVE = ((2000, 0), (10000, -6.97), (20000, -12.97), (40000, -18.97))
# Three octaves and a half around 600 Hz, 168 to 2000 Hz within 3 dB; `Horn` gives it its resonances.
ACOUSTIC_DISC = ((50, -36), (100, -15), (168, -3), (300, 0), (1500, 0), (2000, -3), (4000, -24), (8000, -50))
# 100 to 5000 Hz, as electrical cutting began in 1925.
ELECTRIC_DISC = ((25, -24), (50, -9), (100, -2), (200, 0), (3500, 0), (5000, -3), (8000, -18), (16000, -45))
# Within the masks of ITU-T G.712: 300 to 3400 Hz, 14 dB down at 4 kHz, 32 dB at 4.6 kHz, mains hum suppressed.
TELEPHONE = ((50, -30), (200, -5), (300, -0.8), (500, 0), (3000, 0), (3400, -1.5), (4000, -15), (4600, -40))
# A receiver for medium waves, where stations are 9 or 10 kHz apart.
AM_RADIO = ((40, -18), (100, -3), (200, 0), (2000, 0), (4000, -4), (5000, -10), (9000, -40), (18000, -70))
# 47.6 mm/s, a gap of 1.5 um, 0.6 um of dirt or wear between head and tape; the replay amplifier ends at 18 kHz.
CASSETTE = (
    (15, -12), (30, -3), (60, 0),
    *((hz, head_loss_db(hz, speed_mm=47.6, spacing_um=0.6, gap_um=1.5)) for hz in range(1000, 18001, 1000)),
    (24000, -50),
)  # fmt: skip
CURVES: dict[str, Points] = {
    "academy": ACADEMY,
    "x-curve": X_CURVE,
    "acoustic-disc": ACOUSTIC_DISC,
    "electric-disc": ELECTRIC_DISC,
    "telephone": TELEPHONE,
    "am-radio": AM_RADIO,
    "cassette": CASSETTE,
}


def roll_off(
    audio: Audio,
    sample_rate: int,
    *,
    curve: CurveName,
    points: list[list[float]],
    amount: float,
    shift_octaves: float,
) -> Audio:
    """Return ``audio`` through a curve, its gains in dB times ``amount``, moved up by ``shift_octaves``.

    ``curve="points"`` takes ``points``, ``[[hz, db], ...]``; between points the gain runs straight over octaves, beyond
    the outermost it holds.  Minimum phase, its delay taken back: nothing moves in time by more than 0.2 ms.
    """
    written = tuple((float(hz), float(db)) for hz, db in points) if curve == "points" else CURVES[curve]
    if fault := _fault_in(written):
        raise ConfigError(f"roll_off: {fault}")
    return filter_fir(audio, _response(written, amount, shift_octaves, sample_rate), sample_rate)


@lru_cache(maxsize=32)
def _response(points: Points, amount: float, shift_octaves: float, sample_rate: int) -> NDArray[np.float32]:
    hz, db = np.array(points, dtype=np.float64).T
    return minimum_phase_fir(hz * 2**shift_octaves, db * amount, sample_rate)


def _fault_in(points: Sequence[Sequence[float]]) -> str:
    rising = all(below[0] < above[0] for below, above in itertools.pairwise(points))
    if points and rising and points[0][0] > 0:
        return ""
    return f"points {list(points)!r:.60} are no curve; write [[hz, db], ...] with rising frequencies above 0"


class RollOff(Degradation):
    """The response of a carrier, by name or by points; not on the target, which keeps its band.

    ``academy`` is the response of film theatres from 1938 on (curve N of ISO 2969), ``x-curve`` that of later ones
    (SMPTE ST 202).  Those of discs, radio and cassette are typical, not standards: vary them by ``amount`` and
    ``shift_octaves``.
    """

    apply: ClassVar = staticmethod(roll_off)
    adds_up: ClassVar = True
    curve: CurveName = Field("academy", description="by name, or from the points")
    points: tuple[tuple[float, float], ...] = Field((), description='[[hz, db], ...] for the curve "points"')
    amount: Annotated[Spread, within(0, 4)] = Field(spread(1), description="times the gains in dB")
    shift_octaves: Annotated[Spread, within(-4, 4)] = Field(spread(0), description="moves the curve up in frequency")

    @model_validator(mode="after")
    def _check_points(self) -> Self:
        if self.points and self.curve != "points":
            raise ValueError(f"points belong to 'curve: points', not to {self.curve!r}; leave one of them out")
        if self.curve == "points" and (fault := _fault_in(self.points)):
            raise ValueError(fault)
        return self

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Return parameters for one recording, plain JSON."""
        return super().draw(rng) | {"points": [list(point) for point in self.points]}
