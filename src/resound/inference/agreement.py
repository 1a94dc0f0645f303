"""How sure a network is of the voices it gave: mixed in another way and separated again, do they come out the same?

Of the voices every second one is turned upside down, and their sum is another mixture of the same voices.  A network
that told them apart does so again.  Where it had put a piece of one voice into the other's file, the piece is upside
down now beside its own voice, and comes out elsewhere.  What two voices have in common counts as told apart by neither:
copies of the recording at two levels would agree.  No clean voice is needed; how well it foretells the real error is
measured (docs/separate.md).  It costs as much time as the separation itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resound.dsp.permutation import best_matching

LIMIT_DB = 60.0  # beyond it nothing more is told: sums of float32 end there


@dataclass
class Agreement:
    """Energies of voices, and of what came out again of each, summed over a recording."""

    in_all: float = 0.0
    again: float = 0.0

    def __add__(self, other: Agreement) -> Agreement:
        """Return that of both together."""
        return Agreement(self.in_all + other.in_all, self.again + other.again)

    @property
    def ratio_db(self) -> float | None:
        """What came out again against what did not, in dB; None where there was nothing."""
        if self.in_all <= 0:
            return None
        floor = 10 ** (-LIMIT_DB / 10) * self.in_all
        return float(10 * np.log10(max(self.again, floor) / max(self.in_all - self.again, floor)))


def agreement(
    voices: NDArray,
    separate: Callable[[NDArray], NDArray],
    inside: slice = slice(None),
) -> Agreement:
    """Return how far voices ``(voice, channel, time)`` come out of their own mixture again.

    ``separate`` gives ``(voice, channel, time)`` for ``(channel, time)``, in any order and at any level.  It is given
    all of them; the samples ``inside`` count.
    """
    turned = voices * np.where(np.arange(len(voices)) % 2, -1.0, 1.0)[:, None, None]
    again = separate(turned.sum(axis=0))[..., inside]
    turned = turned[..., inside]
    energy = float(np.sum(turned**2))
    explained = 0.0
    for one, other in zip(np.moveaxis(turned, 1, 0), np.moveaxis(again, 1, 0), strict=True):  # each channel
        products = one @ other.T  # (voice, voice)
        shares = products**2 / np.maximum(np.sum(other**2, axis=1), np.finfo(np.float64).tiny)
        explained += float(best_matching(shares * of_its_own(one)[:, None]).score)
    return Agreement(energy, min(explained, energy))


def of_its_own(voices: NDArray) -> NDArray:
    """Return what part of the energy of each of ``(voice, time)`` no sum of the other voices has, ``(voice,)``."""
    products = voices @ voices.T
    energies = np.diag(products)
    if not energies.any():
        return np.ones(len(voices))
    little = 1e-12 * energies.sum()
    inverse = np.linalg.inv(products + little * np.eye(len(voices)))
    return np.minimum(1.0, 1 / (np.diag(inverse) * np.maximum(energies, little)))
