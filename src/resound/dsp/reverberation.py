"""What a room response tells: where its direct sound is, how long it rings, how strong the direct sound is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ONSET_DB = -10.0  # below the peak: stronger than the noise before the sound, weaker than any direct sound we met
PEAK_SECONDS = 0.001  # the direct sound's peak lies within this after its onset
DIRECT_SECONDS = 0.0025  # what counts as direct sound around its peak (Zahorik 2002, J. Acoust. Soc. Am. 112)


def direct_sample(response: NDArray, sample_rate: int) -> int:
    """Return where the direct sound of ``(channel, time)`` peaks: the first strong peak, not always the strongest."""
    magnitude = np.abs(response).max(axis=0)
    onset = int(np.argmax(magnitude >= magnitude.max() * 10 ** (ONSET_DB / 20)))
    return onset + int(np.argmax(magnitude[onset : onset + max(1, round(PEAK_SECONDS * sample_rate))]))


def rt60_seconds(response: NDArray, sample_rate: int, *, from_db: float = -5.0, to_db: float = -25.0) -> float:
    """Return the reverberation time of ``(time,)`` from Schroeder's backward integral (ISO 3382-1).

    A straight line is fitted to the decay between two levels (defaults: T20) and drawn on to 60 dB.  NaN where the
    response does not decay that far.
    """
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        decay_db = 10 * np.log10(energy / energy[0])
    inside = np.flatnonzero((decay_db <= from_db) & (decay_db >= to_db))
    if len(inside) < 2 or decay_db[-1] > to_db:
        return float("nan")
    db_per_sample = np.polyfit(inside - inside[0], decay_db[inside], 1)[0]
    return float(-60 / db_per_sample / sample_rate)


def direct_to_reverberant_db(response: NDArray, sample_rate: int, direct: int) -> float:
    """Return the energy of the direct sound of ``(time,)`` over that of all after it, in dB."""
    half = round(DIRECT_SECONDS * sample_rate)
    energy = np.square(response, dtype=np.float64)
    after = energy[direct + half :].sum()
    return float(10 * np.log10(energy[max(0, direct - half) : direct + half].sum() / after)) if after else float("inf")
