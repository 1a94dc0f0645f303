"""Whether two systems differ, recording by recording: how much, how sure, and how many recordings it would take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.judging.summary import interval

LEVEL = 0.05  # of the test: one true null hypothesis in twenty is rejected
POWER = 0.8  # with which a difference is to be found
EFFICIENCY = 3 / math.pi  # of the signed-rank test beside the t-test, where differences are normal (Lehmann 1975)
LEAST_FILES = 6  # below which the test rejects nothing at 5 %, whatever the differences
MOST_FILES = 1_000_000


@dataclass(frozen=True)
class Difference:
    """How one system differs from another, over the recordings that have a value of both."""

    n: int
    mean: float  # the second minus the first, positive where the second is better
    low: float  # 95 % interval of the mean
    high: float
    n_better: int  # recordings on which the second is better
    n_worse: int
    p: float  # Wilcoxon's, two-sided; NaN where there is nothing to test
    p_holm: float  # the same, corrected for all tests that are made together
    n_needed: int | None  # recordings to find a difference of this size; None: it is zero, or too small

    @property
    def is_told_apart(self) -> bool:
        """Whether the systems differ, at 5 % over all tests made together, and the interval of the mean says the same.

        The test looks at ranks: where most recordings go one way, and a few go far the other, it tells systems apart
        of which the mean calls the wrong one better.
        """
        return self.p_holm < LEVEL and not self.is_contradictory

    @property
    def is_contradictory(self) -> bool:
        """Whether the test tells systems apart, but the mean does not, or goes against most recordings."""
        is_sure = self.low > 0 if self.mean > 0 else self.high < 0
        return self.p_holm < LEVEL and not (is_sure and (self.mean > 0) == (self.n_better > self.n_worse))

    @property
    def is_identical(self) -> bool:
        """Whether no recording differs."""
        return self.n > 0 and not self.n_better and not self.n_worse


def paired(differences: NDArray) -> Difference:
    """Return what paired differences ``(recording,)`` say; NaN among them are left aside."""
    known = differences[~np.isnan(differences)]
    n, n_better, n_worse = len(known), int((known > 0).sum()), int((known < 0).sum())
    mean = float(known.mean()) if n else math.nan
    low, high = interval(known)
    p = signed_rank(known) if n_better or n_worse else math.nan
    return Difference(n, mean, low, high, n_better, n_worse, p, p, files_needed(known))


def signed_rank(differences: NDArray) -> float:
    """Return the p-value of Wilcoxon's signed-rank test (1945), two-sided, zeros by Pratt's rule (1959)."""
    return float(scipy.stats.wilcoxon(differences, zero_method="pratt").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being several (Holm 1979); NaN stays and does not count."""
    known = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    corrected, so_far = list(p_values), 0.0
    for rank, index in enumerate(sorted(known, key=lambda index: p_values[index])):
        so_far = max(so_far, min(1.0, (len(known) - rank) * p_values[index]))
        corrected[index] = so_far
    return corrected


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences with p-values corrected for all of them."""
    values = holm([each.p for each in differences])
    return [replace(each, p_holm=value) for each, value in zip(differences, values, strict=True)]


def files_needed(differences: NDArray) -> int | None:
    """Return how many recordings find a mean difference like this one in 4 of 5 experiments at the 5 % level.

    From the normal approximation of the paired t-test, and the efficiency of the signed-rank test beside it.
    """
    if len(differences) < 2 or not np.ptp(differences) or not differences.mean():
        return None
    z = scipy.special.ndtri(1 - LEVEL / 2) + scipy.special.ndtri(POWER)
    n = (z * differences.std(ddof=1) / differences.mean()) ** 2 / EFFICIENCY
    return None if n > MOST_FILES else max(LEAST_FILES, math.ceil(n))
