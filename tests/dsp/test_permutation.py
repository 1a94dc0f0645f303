from itertools import permutations

import numpy as np
import pytest

from resound.dsp.permutation import best_matching


@pytest.mark.parametrize("n_targets", [2, 3, 5])
def test_the_best_and_the_next_best_are_those_of_trying_all(n_targets):
    for seed in range(20):
        scores = np.random.default_rng(seed).standard_normal((n_targets, n_targets))
        sums = {order: sum(scores[i, j] for i, j in enumerate(order)) for order in permutations(range(n_targets))}
        best, second = sorted(sums.values(), reverse=True)[:2]
        found = best_matching(scores)
        assert found.score == pytest.approx(best)
        assert sums[tuple(found.order.tolist())] == pytest.approx(best)
        assert found.margin == pytest.approx(best - second)


def test_one_target_leaves_no_choice():
    found = best_matching(np.array([[-3.0]]))
    assert found.order.tolist() == [0]
    assert found.margin == float("inf")


def test_equal_scores_have_no_margin():
    assert best_matching(np.full((3, 3), 7.0)).margin == pytest.approx(0)
