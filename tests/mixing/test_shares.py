"""Shares are exact, and everything comes once before anything comes twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resound.mixing.shares import Rounds, Schedule, block_counts


def test_every_block_holds_its_shares_exactly():
    schedule = Schedule([0.6, 0.2, 0.2], seed=3)
    kinds = [schedule.at(position)[0] for position in range(1000)]
    for start in range(0, 1000, schedule.block):
        block = kinds[start : start + schedule.block]
        assert [block.count(kind) for kind in range(3)] == [3, 1, 1]


def test_blocks_come_in_different_orders():
    schedule = Schedule([0.5, 0.3, 0.2], seed=0)
    orders = {tuple(schedule.at(number * 10 + place)[0] for place in range(10)) for number in range(20)}
    assert len(orders) > 10


def test_the_running_number_counts_each_kind_without_gaps():
    schedule = Schedule([0.7, 0.3], seed=1)
    counts = [0, 0]
    for position in range(500):
        kind, before = schedule.at(position)
        assert before == counts[kind]
        counts[kind] += 1


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=6))
def test_any_shares_are_met_to_a_part_in_a_thousand(shares):
    counts = block_counts(shares)
    assert counts.sum() <= 1000
    assert np.abs(counts / counts.sum() - np.array(shares) / sum(shares)).max() <= 1e-3


@pytest.mark.parametrize("n", [1, 2, 17])
def test_a_round_has_everything_once(n):
    rounds = Rounds(n, [5])
    for start in (0, n, 7 * n):
        assert sorted(rounds.at(start + place) for place in range(n)) == list(range(n))


def test_rounds_differ():
    rounds = Rounds(50, [5])
    assert [rounds.at(k) for k in range(50)] != [rounds.at(50 + k) for k in range(50)]
