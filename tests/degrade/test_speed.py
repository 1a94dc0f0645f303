import numpy as np
import pytest

from resound.degrade.speed import Speed, change_speed
from resound.errors import ConfigError


@pytest.mark.parametrize("percent", [-10, -4, 0.3, 4.1667, 10])
def test_a_tone_rises_by_as_much_as_the_recording_becomes_shorter(percent):
    audio = np.sin(2 * np.pi * 1000 / 48000 * np.arange(48000))[np.newaxis].astype("f4")
    played = change_speed(audio, 48000, percent=percent)
    factor = 1 + percent / 100
    assert played.shape[1] == round(48000 / factor) and played.dtype == np.float32
    wanted = np.sin(2 * np.pi * 1000 * factor / 48000 * np.arange(played.shape[1]))
    assert np.sqrt(np.mean((played[0] - wanted)[500:-500] ** 2)) < 1e-4


def test_right_speed_returns_the_recording():
    audio = np.random.default_rng(0).standard_normal((2, 1000)).astype("f4")
    np.testing.assert_array_equal(change_speed(audio, 48000, percent=0), audio)


@pytest.mark.parametrize("percent", [-33, -0.01, 0, 1e-3, 4.17, 50])
@pytest.mark.parametrize("n_samples", [0, 1, 3, 1000, 143999])
def test_as_many_samples_as_needed_are_enough(n_samples, percent):
    needed = Speed.n_samples_needed(n_samples, percent=percent)
    assert round(needed / (1 + percent / 100)) >= n_samples
    assert needed <= n_samples * (1 + percent / 100) + 1


def test_standing_still_is_one_line():
    with pytest.raises(ConfigError, match=r"speed: percent is -100; give a change between"):
        change_speed(np.zeros((1, 10), "f4"), 48000, percent=-100)
