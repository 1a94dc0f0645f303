"""Which of some estimates belongs to which target: the search alone, whatever their likeness is measured by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray


class Matching(NamedTuple):
    """The best assignment: target i gets estimate ``order[i]``."""

    order: NDArray[np.int64]  # (target,)
    score: float  # the sum over all targets
    margin: float  # by how much that sum exceeds the one of the next best assignment; infinite for a single target


def best_matching(scores: NDArray) -> Matching:
    """Return the assignment with the highest sum of ``scores[target, estimate]``, ``(n, n)``, in O(n⁴) at most.

    (Kuhn 1955; the next best is the best one that goes without one of the pairs of the best.)
    """
    n_targets = len(scores)
    order = _assigned(scores)
    score = float(scores[range(n_targets), order].sum())
    if n_targets == 1:
        return Matching(order, score, float("inf"))
    least = float(scores.min()) - (float(np.ptp(scores)) + 1.0) * n_targets  # lower than any sum can make good
    others = []
    for target, estimate in enumerate(order):
        without = scores.astype(np.float64)
        without[target, estimate] = least
        others.append(float(scores[range(n_targets), _assigned(without)].sum()))
    return Matching(order, score, score - max(others))


def _assigned(scores: NDArray) -> NDArray[np.int64]:
    return np.asarray(scipy.optimize.linear_sum_assignment(scores, maximize=True)[1])
