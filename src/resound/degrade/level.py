"""Level and numbers: gain, polarity, an offset, too few bits."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.errors import ConfigError


def change_gain(audio: Audio, sample_rate: int, *, gain_db: float) -> Audio:
    """Return ``audio`` louder by ``gain_db``; nothing is clipped."""
    return audio * np.float32(10 ** (gain_db / 20))


def flip_polarity(audio: Audio, sample_rate: int) -> Audio:
    """Return ``audio`` upside down."""
    return -audio


def add_offset(audio: Audio, sample_rate: int, *, offset: float) -> Audio:
    """Return ``audio`` plus a constant, as a share of full scale."""
    return audio + np.float32(offset)


def reduce_bits(audio: Audio, sample_rate: int, *, bits: float, dither: bool, seed: int) -> Audio:
    """Return ``audio`` rounded to ``bits`` bits (whole ones, 1 to 24), clipped to what they can hold: -1 to 1 - step.

    ``dither`` adds triangular noise of two steps before rounding, which makes the error's mean and power independent
    of the sound (Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither", JAES 40, 1992).
    """
    if not 1 <= round(bits) <= 24:
        raise ConfigError(f"bit_depth: bits is {bits:g}; give a number from 1 to 24")
    steps = 2.0 ** (round(bits) - 1)
    scaled = audio * steps  # a power of two: exact
    if dither:
        rng = np.random.default_rng(seed)
        scaled = scaled + rng.random(audio.shape, np.float32)
        scaled -= rng.random(audio.shape, np.float32)
    return (np.clip(np.rint(scaled), -steps, steps - 1) / steps).astype(np.float32)


class Gain(Degradation):
    """A level that is other than it was.

    The target gets it as well: restoring leaves what it keeps at the level on which it came.
    """

    apply: ClassVar = staticmethod(change_gain)
    apply_to_target: ClassVar = staticmethod(change_gain)
    adds_up: ClassVar = True
    gain_db: Annotated[Spread, within(-120, 120)] = Field(spread(-12, 6), description="louder by as much")


class Polarity(Degradation):
    """A wire the wrong way round; set a probability of 0.5 to have half of them so.

    The target gets it as well: which way is right cannot be heard, and restoring leaves it as it came.
    """

    apply: ClassVar = staticmethod(flip_polarity)
    apply_to_target: ClassVar = staticmethod(flip_polarity)
    adds_up: ClassVar = True


class Dc(Degradation):
    """A constant offset, as cheap converters add; not on the target: restoring removes it."""

    apply: ClassVar = staticmethod(add_offset)
    offset: Annotated[Spread, within(-1, 1)] = Field(spread(-0.02, 0.02), description="as a share of full scale")


class BitDepth(Degradation):
    """Too few bits; not on the target."""

    apply: ClassVar = staticmethod(reduce_bits)
    seeded: ClassVar = True
    bits: Annotated[Spread, within(1, 24)] = Field(spread(6, 12), description="rounded to a whole number")
    dither: bool = Field(True, description="triangular noise of two steps before rounding")
