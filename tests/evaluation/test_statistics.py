"""Intervals cover what they promise and tests are wrong as seldom: by simulation, with seeds."""

import math

import numpy as np
import pytest
import scipy.stats

from resound.evaluation.statistics import corrected, files_needed, holm, paired, signed_rank
from resound.judging.summary import interval

TIMES = 3000
# Differences between systems: normal, with the long tail of a few recordings that went wrong, and skewed.
DRAWN = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "long-tailed": lambda rng, shape: rng.standard_t(4, shape),
    "skewed": lambda rng, shape: rng.exponential(1.0, shape) - 1.0,
}
SYMMETRIC = ("normal", "long-tailed")  # about which the signed-rank test makes its promise


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("n_files", [10, 30])
def test_intervals_cover_the_mean_in_95_of_100(kind, n_files):
    values = DRAWN[kind](np.random.default_rng(1), (TIMES, n_files)) + 0.7
    bounds = np.array([interval(row, n_boot=600, seed=number) for number, row in enumerate(values)])
    covered = np.mean((bounds[:, 0] <= 0.7) & (bounds[:, 1] >= 0.7))
    assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_equal_systems_are_told_apart_in_5_of_100(kind):
    values = DRAWN[kind](np.random.default_rng(2), (TIMES, 30))
    p_values = scipy.stats.wilcoxon(values, zero_method="pratt", axis=1).pvalue
    assert [signed_rank(row) for row in values[:5]] == pytest.approx(p_values[:5])  # all rows at once: the same test
    assert np.mean(p_values < 0.05) == pytest.approx(0.05, abs=0.01)


def test_holm_keeps_all_tests_together_at_5_of_100():
    values = np.random.default_rng(3).standard_normal((TIMES, 6, 25))
    p_values = scipy.stats.wilcoxon(values, zero_method="pratt", axis=2).pvalue
    any_wrong = np.mean([min(holm(row.tolist())) < 0.05 for row in p_values])
    assert any_wrong <= 0.06


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, math.nan, 0.005])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.04, 0.03, math.nan, 0.005])[4] == pytest.approx(0.02)
    assert math.isnan(holm([0.01, math.nan])[1])


def test_so_many_files_as_are_said_find_the_difference_in_4_of_5():
    rng = np.random.default_rng(4)
    pilot = rng.standard_normal(100_000) + 0.4
    n = files_needed(pilot)
    found = scipy.stats.wilcoxon(rng.standard_normal((2000, n)) + 0.4, zero_method="pratt", axis=1).pvalue < 0.05
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_nothing_to_tell_is_said_as_such():
    same = paired(np.zeros(20))
    assert same.is_identical and not same.is_told_apart and same.n_needed is None and math.isnan(same.p)
    one = paired(np.array([0.5]))
    assert one.n == 1 and math.isnan(one.low) and one.n_needed is None
    assert paired(np.array([math.nan])).n == 0


def test_what_is_corrected_together_counts_together():
    found = corrected([paired(np.arange(1.0, 8.0)), paired(np.zeros(7)), paired(np.arange(-3.0, 4.0))])
    assert found[0].p_holm == pytest.approx(2 * found[0].p) and found[0].is_told_apart
    assert math.isnan(found[1].p_holm)
