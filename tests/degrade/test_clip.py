import numpy as np
import pytest

from resound.degrade.clip import Clip, clip
from signals import speech_like

RATE = 48000
HARD = {"shape": "hard", "percent": None, "below_peak_db": None, "asymmetry_db": 0, "oversampling": 1}


def harmonics(audio: np.ndarray, frequency_hz: int, n: int) -> np.ndarray:
    """Return the amplitudes of harmonics 1 ... n of a second of sound."""
    return 2 * np.abs(np.fft.rfft(audio.astype("f8")))[frequency_hz * np.arange(1, n + 1)] / len(audio)


def tone(frequency_hz: int, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * frequency_hz / RATE * np.arange(RATE) + 0.1)[np.newaxis].astype("f4")


@pytest.mark.parametrize("percent", [0.01, 1, 10, 80])
@pytest.mark.parametrize("asymmetry_db", [0, 6])
def test_the_share_of_clipped_samples_is_the_one_asked_for(percent, asymmetry_db):
    audio = np.random.default_rng(0).standard_normal((2, 50000)).astype("f4")
    clipped = clip(audio, RATE, **HARD | {"percent": percent, "asymmetry_db": asymmetry_db})
    touched = clipped != audio
    assert np.mean(touched) == pytest.approx(percent / 100, abs=2 / audio.size)
    if percent >= 1:  # else the higher limit is above the peak
        assert clipped.max() / -clipped.min() == pytest.approx(10 ** (asymmetry_db / 20), rel=1e-6)
    np.testing.assert_array_equal(clipped[~touched], audio[~touched])


def test_the_limit_lies_as_far_below_the_peak_as_asked():
    clipped = clip(tone(100), RATE, **HARD | {"percent": 50.0, "below_peak_db": 6.0})
    assert np.abs(clipped).max() == pytest.approx(0.5 * 10 ** (-6 / 20), rel=1e-4)


def test_a_clipped_tone_has_the_harmonics_of_theory():
    limit = 10 ** (-6 / 20)
    angle = np.linspace(0, 2 * np.pi, 200001)[:-1]
    held = np.clip(np.sin(angle), -limit, limit)
    wanted = [2 * np.mean(held * np.sin(n * angle)) for n in (1, 2, 3, 4, 5)]
    clipped = clip(tone(100, 1.0), RATE, **HARD | {"below_peak_db": 6.0})
    np.testing.assert_allclose(harmonics(clipped[0], 100, 5), np.abs(wanted), atol=2e-4)


def test_asymmetry_makes_even_harmonics():
    even = harmonics(clip(tone(100), RATE, **HARD | {"below_peak_db": 3, "asymmetry_db": 0})[0], 100, 2)[1]
    uneven = harmonics(clip(tone(100), RATE, **HARD | {"below_peak_db": 3, "asymmetry_db": 3})[0], 100, 2)[1]
    assert even < 1e-4 and uneven > 0.01


@pytest.mark.parametrize("shape", ["tanh", "cubic"])
def test_soft_clipping_leaves_quiet_sound_and_holds_loud_sound(shape):
    quiet = np.full((1, 1000), 0.001, "f4")
    quiet[0, 0] = 1.0
    bent = clip(quiet, RATE, **HARD | {"shape": shape, "below_peak_db": 20.0})
    assert bent[0, 500] == pytest.approx(0.001, rel=1e-4)
    assert bent[0, 0] == pytest.approx(0.1, rel=1e-3)


def test_tanh_is_tanh():
    audio = np.linspace(-8, 8, 4001)[np.newaxis].astype("f4")
    bent = clip(audio, RATE, **HARD | {"shape": "tanh", "below_peak_db": float(20 * np.log10(8))})  # a limit of 1
    np.testing.assert_allclose(bent[0], np.tanh(audio[0].astype("f8")), atol=1.2e-4)


@pytest.mark.parametrize("shape", ["hard", "tanh", "cubic"])
def test_oversampling_keeps_harmonics_from_folding_back(shape):
    def folded(oversampling: int) -> float:
        clipped = clip(tone(9100), RATE, **HARD | {"shape": shape, "below_peak_db": 3, "oversampling": oversampling})
        spectrum = np.abs(np.fft.rfft(clipped[0].astype("f8")))
        spectrum[[9100 * n for n in (0, 1, 2)]] = 0
        return float(20 * np.log10(spectrum.max() / (0.25 * RATE)))

    plain, twice, four_times = map(folded, (1, 2, 4))
    assert plain > -35 and twice < plain - 4 and four_times < plain - 12


def test_silence_is_left_alone():
    for params in ({"percent": 1.0}, {"below_peak_db": 6.0}):
        silence = clip(np.zeros((1, 100), "f4"), RATE, **HARD | params)
        np.testing.assert_array_equal(silence, 0)


def test_a_percentage_of_speech_is_clipped_though_half_of_it_is_silent():
    audio = speech_like(2, RATE)[np.newaxis].astype("f4")
    clipped = clip(audio, RATE, **HARD | {"percent": 0.5})
    assert np.mean(clipped != audio) == pytest.approx(0.005, abs=1e-4)


def test_no_limit_at_all_is_refused():
    with pytest.raises(ValueError, match="no limit; give percent or below_peak_db"):
        Clip(percent=None)
