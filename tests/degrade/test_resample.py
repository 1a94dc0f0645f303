import numpy as np
import pytest

from resound.degrade.chain import Chain, apply_chain_to_pair
from resound.degrade.resample import pass_through_rate
from signals import speech_like


@pytest.mark.parametrize("rate_hz", [8000, 16000.4, 22050])
def test_nothing_at_all_is_left_above_half_the_rate(rate_hz):
    noise = np.random.default_rng(0).standard_normal((2, 96000)).astype("f4")
    through = pass_through_rate(noise, 48000, rate_hz=rate_hz)
    power = np.abs(np.fft.rfft(through * np.hanning(96000), axis=1)) ** 2
    hz = np.fft.rfftfreq(96000, 1 / 48000)
    below, above = power[:, hz < 0.45 * rate_hz].mean(), power[:, hz > 0.505 * rate_hz].mean()
    assert 10 * np.log10(above / below) < -90
    assert below == pytest.approx(np.mean(np.abs(np.fft.rfft(noise * np.hanning(96000), axis=1)) ** 2), rel=0.05)


def test_what_is_below_stays_where_and_as_it_was():
    voice = speech_like(1, 48000)[np.newaxis].astype("f4")
    once = pass_through_rate(voice, 48000, rate_hz=16000)
    np.testing.assert_allclose(pass_through_rate(once, 48000, rate_hz=22050), once, atol=1e-3)


@pytest.mark.parametrize("n_samples", [0, 1, 7, 1001])
def test_the_length_stays(n_samples):
    assert pass_through_rate(np.ones((1, n_samples), "f4"), 48000, rate_hz=8000).shape == (1, n_samples)


@pytest.mark.parametrize("rate_hz", [44100, 96000])
def test_a_rate_that_is_no_lower_changes_nothing(rate_hz):
    audio = np.random.default_rng(0).standard_normal((1, 500)).astype("f4")
    np.testing.assert_array_equal(pass_through_rate(audio, 44100, rate_hz=rate_hz), audio)


@pytest.mark.parametrize("target", ["auto", "same"])
def test_the_target_keeps_its_band_unless_told_otherwise(target):
    step = {"resample": {"rate_hz": 8000}} | ({} if target == "auto" else {"target": target})
    drawn = Chain.model_validate({"steps": [step]}).draw(np.random.default_rng(0))
    noise = np.random.default_rng(1).standard_normal((1, 48000)).astype("f4")
    pair = apply_chain_to_pair(noise, 48000, drawn)
    np.testing.assert_array_equal(pair.degraded, pass_through_rate(noise, 48000, rate_hz=8000))
    np.testing.assert_array_equal(pair.target, noise if target == "auto" else pair.degraded)
