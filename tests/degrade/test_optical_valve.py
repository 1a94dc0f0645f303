import numpy as np
import pytest

from resound.degrade.optical_valve import through_valve

RATE = 48000
TIME = np.arange(RATE) / RATE


def amplitudes(audio: np.ndarray, frequencies_hz: list[int]) -> np.ndarray:
    return 2 * np.abs(np.fft.rfft(audio[0].astype("f8")))[frequencies_hz] / RATE


@pytest.mark.parametrize("percent", [2, 6, 15])
@pytest.mark.parametrize("peak", [0.9, 0.01])
def test_a_tone_at_the_peak_has_the_distortion_asked_for(percent, peak):
    audio = (peak * np.sin(2 * np.pi * 400 * TIME))[np.newaxis].astype("f4")
    played = through_valve(audio, RATE, distortion_percent=percent, cross_percent=0, clash_db=0)
    first, *overtones = amplitudes(played, [400, 800, 1200, 1600])
    thd_percent = 100 * np.sqrt(np.sum(np.square(overtones))) / first
    assert thd_percent == pytest.approx(percent, rel=0.01)
    assert overtones[0] > 100 * max(overtones[1:])  # of second order
    assert first == pytest.approx(peak, rel=1e-4)


def test_distortion_falls_with_the_level():
    audio = np.sin(2 * np.pi * 400 * TIME)[np.newaxis].astype("f4")
    audio[0, : RATE // 2] *= 0.1
    quiet = through_valve(audio, RATE, distortion_percent=5, cross_percent=0, clash_db=0)[:, : RATE // 2]
    spectrum = np.abs(np.fft.rfft(quiet[0].astype("f8") - quiet.mean()))
    assert 100 * spectrum[400] / spectrum[200] == pytest.approx(0.5, rel=0.02)


def test_a_modulated_sibilant_leaves_its_modulation_in_the_bass():
    carrier = 0.5 * (1 + np.cos(2 * np.pi * 400 * TIME)) * np.cos(2 * np.pi * 9000 * TIME)
    audio = carrier[np.newaxis].astype("f4")
    played = through_valve(audio, RATE, distortion_percent=0, cross_percent=4, clash_db=0)
    assert amplitudes(audio, [400])[0] < 1e-5
    assert amplitudes(played, [400])[0] == pytest.approx(0.04, rel=0.05)


def test_what_lies_below_4_khz_makes_no_splash():
    voice = (0.5 * (1 + np.cos(2 * np.pi * 5 * TIME)) * np.cos(2 * np.pi * 500 * TIME))[np.newaxis].astype("f4")
    played = through_valve(voice, RATE, distortion_percent=0, cross_percent=5, clash_db=0)
    assert np.abs(played - voice).max() < 1e-3


def test_ribbons_that_touch_cut_the_closing_half_only():
    audio = np.sin(2 * np.pi * 400 * TIME)[np.newaxis].astype("f4")
    played = through_valve(audio, RATE, distortion_percent=0, cross_percent=0, clash_db=-6)
    assert played.min() == pytest.approx(-(10 ** (-6 / 20)), rel=1e-3)
    np.testing.assert_array_equal(played[audio > 0], audio[audio > 0])
    untouched = through_valve(audio, RATE, distortion_percent=0, cross_percent=0, clash_db=3)
    np.testing.assert_array_equal(untouched, audio)


def test_the_mean_stays_and_silence_stays_silent():
    audio = np.random.default_rng(0).standard_normal((2, 5000)).astype("f4")
    played = through_valve(audio, RATE, distortion_percent=6, cross_percent=6, clash_db=0)
    np.testing.assert_allclose(played.mean(axis=1), audio.mean(axis=1), atol=1e-6)
    silence = through_valve(np.zeros((1, 100), "f4"), RATE, distortion_percent=6, cross_percent=6, clash_db=-6)
    np.testing.assert_array_equal(silence, 0)
