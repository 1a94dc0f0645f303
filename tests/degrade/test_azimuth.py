import numpy as np
import pytest
import scipy.signal

from resound.degrade.azimuth import skew

RATE = 48000


def tone(frequency_hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz / RATE * np.arange(9600))[np.newaxis].astype("f4")


@pytest.mark.parametrize("delay_us", [10, 40, 100])
@pytest.mark.parametrize("frequency_hz", [1000, 4000, 9000])
def test_two_summed_tracks_are_a_comb(delay_us, frequency_hz):
    audio = tone(frequency_hz)
    summed = skew(audio, RATE, delay_us=delay_us, sum_to="mono")
    wanted = audio * np.cos(np.pi * frequency_hz * delay_us * 1e-6)
    np.testing.assert_allclose(summed[:, 200:-200], wanted[:, 200:-200], atol=5e-4)  # and not moved in time


def test_two_tracks_are_as_far_apart_as_asked():
    tracks = skew(np.repeat(tone(2000), 2, axis=0), RATE, delay_us=50, sum_to="tracks")
    phases = np.angle(scipy.signal.hilbert(tracks.astype("f8")))[:, 1000:-1000]
    apart_us = np.mean(np.angle(np.exp(1j * (phases[0] - phases[1])))) / (2 * np.pi * 2000) * 1e6
    assert apart_us == pytest.approx(50, abs=0.1)


def test_mono_keeps_the_number_of_channels_and_makes_them_equal():
    audio = np.random.default_rng(0).standard_normal((2, 5000)).astype("f4")
    summed = skew(audio, RATE, delay_us=0, sum_to="mono")
    assert summed.shape == audio.shape
    np.testing.assert_allclose(summed, np.repeat(audio.mean(axis=0, keepdims=True), 2, axis=0), atol=1e-7)


def test_without_an_error_tracks_are_untouched():
    audio = np.random.default_rng(0).standard_normal((3, 500)).astype("f4")
    np.testing.assert_array_equal(skew(audio, RATE, delay_us=0, sum_to="tracks"), audio)
