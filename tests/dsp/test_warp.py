import numpy as np
import pytest

from resound.dsp.warp import delayed, read_at

RATE = 48000


def tone(frequency_hz: float, positions: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz / RATE * positions)


def error_db(got: np.ndarray, wanted: np.ndarray) -> float:
    return 10 * np.log10(np.mean((got - wanted) ** 2) / np.mean(wanted**2))


@pytest.mark.parametrize("frequency_hz", [100, 1000, 8000, 16000])
def test_a_tone_read_at_swaying_positions_is_right_to_70_db(frequency_hz):
    audio = tone(frequency_hz, np.arange(RATE))[np.newaxis].astype("f4")
    positions = np.linspace(1000, 46000, 40000) + 30 * np.sin(np.arange(40000) / 5000)
    assert error_db(read_at(audio, positions)[0], tone(frequency_hz, positions)) < -70


@pytest.mark.parametrize("n_samples", [1, 2, 3, 30, 20000])
def test_whole_positions_give_the_samples_themselves(n_samples):
    audio = np.random.default_rng(0).standard_normal((2, n_samples)).astype("f4")
    np.testing.assert_array_equal(read_at(audio, np.arange(n_samples, dtype="f8")), audio)
    np.testing.assert_array_equal(read_at(audio, np.arange(n_samples)[::-1].astype("f8")), audio[:, ::-1])


def test_beyond_its_ends_a_recording_is_its_mirror_image():
    audio = np.random.default_rng(0).standard_normal((1, 100)).astype("f4")
    np.testing.assert_array_equal(read_at(audio, np.array([-3.0, 102.0, -1e6 * 198]))[0], audio[0, [3, 96, 0]])


def test_a_constant_stays_constant():
    got = read_at(np.ones((1, 50), "f4"), np.random.default_rng(0).uniform(-60, 110, 1000))
    np.testing.assert_allclose(got, 1, atol=3e-7)


def test_nothing_read_from_nothing():
    assert read_at(np.zeros((3, 0), "f4"), np.zeros(0)).shape == (3, 0)
    assert read_at(np.zeros((3, 7), "f4"), np.zeros(0)).shape == (3, 0)


@pytest.mark.parametrize("delay", [0.25, 7.5, -3.125, 100.75])
def test_a_fractional_delay_shifts_a_tone_by_as_much(delay):
    audio = tone(5000, np.arange(4000))[np.newaxis].astype("f4")
    got = delayed(audio, delay)[0, 200:-200]
    assert error_db(got, tone(5000, np.arange(4000) - delay)[200:-200]) < -80


@pytest.mark.parametrize("delay", [0, 5, -5, 40, -1000])
def test_a_whole_delay_moves_samples_and_lets_silence_in(delay):
    audio = np.random.default_rng(0).standard_normal((2, 40)).astype("f4")
    wanted = np.zeros_like(audio)
    if abs(delay) < 40:
        wanted[:, max(0, delay) : 40 + min(0, delay)] = audio[:, max(0, -delay) : 40 - max(0, delay)]
    np.testing.assert_array_equal(delayed(audio, delay), wanted)
