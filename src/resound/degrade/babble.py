"""Babble: people who talk at once, out of a bank of speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from resound.degrade.bank import open_bank, read_stretch
from resound.degrade.degradation import Audio, Degradation, Params
from resound.degrade.noise import Reference, SnrDb, add_at_snr
from resound.degrade.spread import Spread, spread, within
from resound.dsp.active import active_speech_power
from resound.errors import InputError


def add_babble(
    audio: Audio,
    sample_rate: int,
    *,
    files: Sequence[str],
    positions: Sequence[float],
    snr_db: float,
    reference: Reference = "full",
) -> Audio:
    """Return ``audio`` with a stretch of each file, all at the same active level.  Raises `InputError`."""
    if not audio.size:
        return audio.copy()
    babble = np.zeros((1, audio.shape[1]), np.float32)
    for file, position in zip(files, positions, strict=True):
        voice = read_stretch(file, sample_rate, audio.shape[1], position=position).mean(axis=0, dtype=np.float32)
        power = active_speech_power(voice, sample_rate)
        if power > 0:  # a pause as long as the recording says nothing
            babble += voice * np.float32(1 / math.sqrt(power))
    if not babble.any():
        raise InputError(f"{', '.join(files)[:200]}: nobody speaks there; give a bank of speech")
    return add_at_snr(audio, babble, sample_rate, snr_db=snr_db, reference=reference)


class Babble(Degradation):
    """Several people talk at once, each as loud as the other while they speak (ITU-T P.56), of different speakers."""

    apply: ClassVar = staticmethod(add_babble)
    domain: ClassVar[str] = "speech"  # of a manifest that has several
    bank: str = Field(description="folder, manifest (.jsonl) or file of speech")
    split: str | None = None
    n_talkers: Annotated[Spread, within(1, 64)] = Field(spread(4, 12), description="how many talk, rounded")
    snr_db: SnrDb = spread(0, 20)
    reference: Reference = "full"

    def draw(self, rng: np.random.Generator) -> Params:
        """Return parameters for one recording, with the files that were drawn in place of the bank."""
        params: dict[str, Any] = super().draw(rng)
        bank = open_bank(params.pop("bank"), params.pop("split"), self.domain)
        files = bank.draw_speakers(rng, round(params.pop("n_talkers")))
        positions = [round(float(position), 6) for position in rng.random(len(files))]
        return {"files": files, "positions": positions, **params}
