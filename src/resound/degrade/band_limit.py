"""Band limits: everything below or above a cut-off goes, at a stated slope."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.filters import filter_sections
from resound.errors import ConfigError

Slope = Literal["butterworth", "brickwall"]
BRICKWALL_ORDER, BRICKWALL_RIPPLE_DB, BRICKWALL_STOP_DB = 10, 0.1, 80.0
HIGHEST_SHARE = 0.49  # of the sample rate: a low-pass above it has nothing left to cut


def limit_band(
    audio: Audio, sample_rate: int, *, low_hz: float, high_hz: float, db_per_octave: float, kind: Slope
) -> Audio:
    """Return what lies between two cut-offs, each where it is 3 dB down; 0: no limit on that side.

    ``butterworth`` falls by ``db_per_octave`` (whole multiples of 6, up to 96); ``brickwall`` is elliptic, 80 dB down a
    fifth of an octave on, as lossy codecs and resamplers leave it.  Minimum phase, the delay taken back.
    A low-pass above the Nyquist frequency is left out.  Raises `ConfigError` where nothing would be left.
    """
    high_hz = high_hz if high_hz < HIGHEST_SHARE * sample_rate else 0.0
    if low_hz >= min(high_hz or np.inf, HIGHEST_SHARE * sample_rate):
        raise ConfigError(
            f"band_limit: low_hz {low_hz:g} leaves nothing below {high_hz or sample_rate / 2:g} Hz; give a lower one"
        )
    order = int(np.clip(round(db_per_octave / 6), 1, 16))
    return filter_sections(audio, _sections(low_hz, high_hz, order, kind, sample_rate), sample_rate)


@lru_cache(maxsize=64)
def _sections(low_hz: float, high_hz: float, order: int, kind: Slope, sample_rate: int) -> NDArray[np.float64]:
    """Return second-order sections ``(section, 6)`` of both limits."""
    limits: list[tuple[float, Literal["highpass", "lowpass"]]] = [(low_hz, "highpass"), (high_hz, "lowpass")]
    sections = [np.zeros((0, 6))]
    for cutoff_hz, side in limits:
        if cutoff_hz and kind == "butterworth":
            sections.append(scipy.signal.butter(order, cutoff_hz, side, fs=sample_rate, output="sos"))
        elif cutoff_hz:
            # An elliptic filter is asked for by where its ripple ends; that is moved to have -3 dB at the cut-off.
            bend = np.tan(np.pi * cutoff_hz / sample_rate) * _ripple_end() ** (1 if side == "lowpass" else -1)
            edge = float(2 / np.pi * np.arctan(bend))
            sections.append(
                scipy.signal.ellip(BRICKWALL_ORDER, BRICKWALL_RIPPLE_DB, BRICKWALL_STOP_DB, edge, side, output="sos")
            )
    return np.concatenate(sections)


@lru_cache(maxsize=1)
def _ripple_end() -> float:
    """Return where the ripple of the analogue brick wall ends, as a share of where it is 3 dB down."""
    top, bottom = scipy.signal.ellip(BRICKWALL_ORDER, BRICKWALL_RIPPLE_DB, BRICKWALL_STOP_DB, 1.0, analog=True)
    turns = np.linspace(1, 1.1, 10001)
    magnitude = np.abs(np.polyval(top, 1j * turns) / np.polyval(bottom, 1j * turns))
    return float(1 / turns[np.argmax(magnitude < np.sqrt(0.5))])


class BandLimit(Degradation):
    """A band that ends early; not on the target, which keeps its own."""

    apply: ClassVar = staticmethod(limit_band)
    adds_up: ClassVar = True
    low_hz: Annotated[Spread, within(0, 20000)] = Field(
        spread(0), description="where the bass is 3 dB down; 0: no limit"
    )
    high_hz: Annotated[Spread, within(0, 100000)] = Field(
        spread(3000, 10000, form="log"), description="where the treble is 3 dB down; 0: no limit"
    )
    db_per_octave: Annotated[Spread, within(6, 96)] = Field(
        spread(12, 24, 36, 48, form="one_of"), description="slope of butterworth, in steps of 6 dB"
    )
    kind: Slope = Field("butterworth", description="butterworth by its slope, or an elliptic brick wall")
