"""Statistics count what they leave aside, and intervals hold what they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from resound.judging.scores import Judged
from resound.judging.summary import interval, paired_difference, statistics_of, summarise

NAN = math.nan


def rows_of(values, domain="speech"):
    return [Judged(index, domain, {"si_sdr": value}) for index, value in enumerate(values)]


def test_what_has_no_value_is_counted_and_left_aside():
    one = statistics_of(np.array([1.0, NAN, 2.0, 6.0, NAN]))
    assert (one.mean, one.median, one.n, one.n_nan) == (3.0, 2.0, 3, 2)
    assert one.low < 3 < one.high


def test_nothing_to_say_is_said_as_null():
    summary = summarise(rows_of([NAN, NAN]))
    plain = summary.to_json()["overall"]["si_sdr"]
    assert plain == {"mean": None, "median": None, "low": None, "high": None, "n": 0, "n_nan": 2}
    assert summarise([]).overall == {}


def test_domains_have_their_own_statistics():
    rows = [Judged(0, "speech", {"snr": 1.0}), Judged(1, "music", {"snr": 5.0}), Judged(2, "music", {"snr": 7.0})]
    summary = summarise(rows)
    assert (summary.overall["snr"].mean, summary.domains["music"]["snr"].mean) == (pytest.approx(13 / 3), 6.0)
    assert json.loads(json.dumps(summary.to_json(), allow_nan=False))["domains"]["speech"]["snr"]["n"] == 1


def test_a_measure_of_some_examples_counts_those_alone():
    rows = [Judged(0, "speech", {"snr": 1.0, "pesq": 2.0}), Judged(1, "speech", {"snr": 3.0})]
    assert summarise(rows).overall["pesq"].n == 1
    assert summarise(rows).overall["pesq"].n_nan == 0


def test_rows_of_several_ranks_count_once_in_any_order():
    rows = rows_of([1.0, 2.0, 6.0])
    assert summarise([rows[2], rows[0], rows[1], rows[0]]) == summarise(rows)


@pytest.mark.parametrize("n_examples", [8, 40])
@pytest.mark.parametrize("draw", ["standard_normal", "uniform"])
def test_the_interval_holds_the_true_mean_in_95_of_100_cases(n_examples, draw):
    rng = np.random.default_rng(0)
    true_mean = 0.0 if draw == "standard_normal" else 0.5
    n_trials, n_held = 3000, 0
    for trial in range(n_trials):
        low, high = interval(getattr(rng, draw)(size=n_examples), n_boot=400, seed=trial)
        n_held += low <= true_mean <= high
    assert 0.93 <= n_held / n_trials <= 0.97


def test_intervals_are_repeatable():
    values = np.random.default_rng(3).standard_normal(30)
    assert interval(values) == interval(values) != interval(values, seed=1)


def test_large_sets_are_resampled_in_blocks_with_the_interval_of_theory():
    values = np.random.default_rng(3).standard_normal(20_000)
    low, high = interval(values, n_boot=500)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(len(values)), rel=0.1)


def test_a_difference_is_taken_example_by_example():
    difficulty = 10 * np.random.default_rng(0).standard_normal(40)
    better = summarise(rows_of(difficulty + 1 + 0.1 * np.random.default_rng(1).standard_normal(40)))
    worse = summarise(rows_of([*difficulty[:39], NAN]))
    difference = paired_difference(better, worse, "si_sdr")
    assert (difference.n, difference.n_nan) == (39, 1)
    assert difference.mean == pytest.approx(1, abs=0.1)
    assert difference.high - difference.low < 0.1  # unpaired it would be some 6 dB
    assert paired_difference(better, worse, "pesq").n == 0
