"""Which kind of material comes next: shares held exactly, and nothing twice before all of it came once."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm

import numpy as np
from numpy.typing import NDArray

LONGEST_BLOCK = 1000


class Schedule:
    """Kinds by shares: every block of `block` examples has exactly its share of each kind, in a drawn order."""

    def __init__(self, shares: Sequence[float], seed: int) -> None:
        self.counts = block_counts(shares)
        self.block = int(self.counts.sum())
        self.seed = seed

    def at(self, position: int) -> tuple[int, int]:
        """Return the kind at a position, and how many of that kind came before."""
        number, place = divmod(position, self.block)
        order = _shuffled_block(tuple(self.counts), self.seed, number)
        kind = int(order[place])
        before = int(np.count_nonzero(order[:place] == kind))
        return kind, number * int(self.counts[kind]) + before


def block_counts(shares: Sequence[float]) -> NDArray[np.int64]:
    """Return the smallest whole numbers in the ratio of ``shares``; where they exceed 1000, the nearest that sum to it.

    >>> block_counts([0.6, 0.2, 0.2]).tolist()
    [3, 1, 1]
    """
    total = sum(shares)
    fractions = [Fraction(share / total).limit_denominator(LONGEST_BLOCK) for share in shares]
    block = lcm(*(fraction.denominator for fraction in fractions))
    if block <= LONGEST_BLOCK and sum(fractions) == 1:
        return np.array([int(fraction * block) for fraction in fractions])
    wanted = np.array(shares) / total * LONGEST_BLOCK
    counts = np.floor(wanted).astype(np.int64)
    missing = LONGEST_BLOCK - int(counts.sum())
    counts[np.argsort(counts - wanted)[:missing]] += 1  # the largest remainders
    return counts


@lru_cache(maxsize=64)
def _shuffled_block(counts: tuple[int, ...], seed: int, number: int) -> NDArray[np.int64]:
    kinds = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng([seed, 0x5A4E, number]).permutation(kinds)


class Rounds:
    """Each of ``n`` things once in a drawn order, then all again in another."""

    def __init__(self, n: int, seed: Sequence[int]) -> None:
        self.n = n
        self.seed = tuple(seed)

    def at(self, position: int) -> int:
        """Return the thing at a position."""
        number, place = divmod(position, self.n)
        return int(_permutation(self.n, self.seed, number)[place])


@lru_cache(maxsize=16)
def _permutation(n: int, seed: tuple[int, ...], number: int) -> NDArray[np.int64]:
    return np.random.default_rng([*seed, number]).permutation(n)
