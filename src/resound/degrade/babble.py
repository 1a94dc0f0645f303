"""Babble: people who talk at once, out of a bank of speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from resound.degrade.bank import FromBank, read_stretch
from resound.degrade.degradation import Audio, Params
from resound.degrade.noise import Reference, SnrDb, add_at_snr
from resound.degrade.spread import Spread, spread, within
from resound.dsp.active import active_speech_power
from resound.errors import InputError


def add_babble(
    audio: Audio,
    sample_rate: int,
    *,
    files: Sequence[str],
    positions: Sequence[Annotated[float, within(0, 1)]],
    snr_db: float,
    reference: Reference = "full",
) -> Audio:
    """Return ``audio`` with a stretch of each file, all at the same active level.  Raises `InputError`."""
    if not audio.size:
        return audio.copy()
    if len(files) != len(positions):
        raise InputError(f"babble: {len(files)} files and {len(positions)} positions; give one position for each file")
    babble = np.zeros((1, audio.shape[1]), np.float32)
    for file, position in zip(files, positions, strict=True):
        voice = read_stretch(file, sample_rate, audio.shape[1], position=position).mean(axis=0, dtype=np.float32)
        power = active_speech_power(voice, sample_rate)
        if power > 0:  # a pause as long as the recording says nothing
            babble += voice * np.float32(1 / math.sqrt(power))
    if not babble.any():
        others = " and the others drawn with it" if len(files) > 1 else ""
        raise InputError(f"{files[0]}{others}: nobody speaks there; give a bank of speech")
    return add_at_snr(audio, babble, sample_rate, snr_db=snr_db, reference=reference)


class Babble(FromBank):
    """Several people talk at once, each as loud as the other while they speak (ITU-T P.56), of different speakers."""

    apply: ClassVar = staticmethod(add_babble)
    usual_domains: ClassVar = ("speech",)
    bank: str = Field(description="folder, manifest (.jsonl) or file of speech")
    n_talkers: Annotated[Spread, within(1, 64)] = Field(spread(4, 12), description="how many talk, rounded")
    snr_db: SnrDb = spread(0, 20)
    reference: Reference = "full"

    def draw(self, rng: np.random.Generator) -> Params:
        """Return parameters for one recording, with the files that were drawn in place of the bank."""
        params = super().draw(rng)
        files = self.open().draw_speakers(rng, round(params.pop("n_talkers")))
        positions = [round(float(position), 6) for position in rng.random(len(files))]
        return {"files": files, "positions": positions, **params}
