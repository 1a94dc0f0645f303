import numpy as np
import scipy.ndimage

from resound.dsp.signal import minimum_ahead, minimum_behind, quantile_across, ramp, resample_grid


def test_minima_look_only_behind_or_only_ahead():
    values = np.random.default_rng(0).standard_normal((50, 3))
    behind, ahead = minimum_behind(values, 6), minimum_ahead(values, 6)
    for index in range(10, 40):
        np.testing.assert_array_equal(behind[index], values[index - 5 : index + 1].min(axis=0))
        np.testing.assert_array_equal(ahead[index], values[index : index + 6].min(axis=0))


def test_quantile_across_agrees_with_the_slow_two_dimensional_filter():
    rows = np.random.default_rng(0).random((20, 100))
    expected = scipy.ndimage.percentile_filter(rows, 15, size=(1, 9), mode="nearest")
    np.testing.assert_array_equal(quantile_across(rows, 0.15, 9), expected)


def test_ramp_is_zero_then_straight_then_one():
    assert [ramp(value, 2, 4) for value in (1, 2, 3, 4, 9)] == [0, 0, 0.5, 1, 1]


def test_a_grid_is_resampled_nearest_in_time_and_linearly_in_frequency():
    rows = np.outer(np.arange(4.0), np.ones(5)) * 10 + np.arange(5.0)
    result = resample_grid(rows, np.array([0.0, 10, 20, 30]), np.array([-5.0, 11, 99]), 9)
    np.testing.assert_allclose(result[:, 0], [0, 10, 30])
    np.testing.assert_allclose(result[0], np.arange(9) / 2)
