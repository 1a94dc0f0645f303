import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from resound.metrics import (
    log_spectral_distance,
    noise_and_active_change_db,
    si_sdr,
    speech_level_change_db,
)
from signals import noise, speech_like

RATE = 16000


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 30.0])
def test_si_sdr_of_orthogonal_noise_is_the_snr(snr_db):
    target, other = np.random.default_rng(0).standard_normal((2, 8000))
    target, other = target - target.mean(), other - other.mean()
    other -= target * (other @ target) / (target @ target)
    other *= np.sqrt((target @ target) / (other @ other)) * 10 ** (-snr_db / 20)
    assert float(si_sdr(3.7 * (target + other), target)) == pytest.approx(snr_db, abs=1e-9)


def test_si_sdr_works_on_batches():
    target = np.random.default_rng(0).standard_normal((2, 3, 1000))
    estimate = target + 0.1 * np.random.default_rng(1).standard_normal(target.shape)
    assert si_sdr(estimate, target).shape == (2, 3)
    assert si_sdr(estimate, target)[1, 2] == pytest.approx(float(si_sdr(estimate[1, 2], target[1, 2])))


def test_log_spectral_distance_of_a_gain_is_the_gain():
    samples = noise(2, RATE, rms=0.1)
    assert log_spectral_distance(samples, samples, RATE) == 0
    assert log_spectral_distance(0.5 * samples, samples, RATE) == pytest.approx(6.02, abs=0.05)


def test_log_spectral_distance_of_the_treble_alone():
    samples = noise(2, RATE, rms=0.1)
    dull = sosfilt(butter(8, 2000, fs=RATE, output="sos"), samples)
    assert log_spectral_distance(dull, samples, RATE, from_hz=4000) > 40
    bass = sosfilt(butter(8, 1000, "high", fs=RATE, output="sos"), samples)
    assert log_spectral_distance(bass, samples, RATE, from_hz=4000) < 0.1 < log_spectral_distance(bass, samples, RATE)


def test_speech_level_sees_a_loss_behind_noise():
    speech = speech_like(3, RATE)
    estimate = 0.5 * speech + noise(3, RATE, rms=0.05)
    assert speech_level_change_db(estimate, speech, RATE) == pytest.approx(-6.02, abs=0.3)
    assert speech_level_change_db(speech, speech, RATE) == pytest.approx(0, abs=1e-9)


def test_noise_in_pauses_and_active_level_are_told_apart():
    speech, hiss = speech_like(8, RATE), noise(8, RATE, rms=0.003)
    fall_db, active_db = noise_and_active_change_db(speech + hiss, speech + hiss / 4, RATE)
    assert fall_db == pytest.approx(12, abs=1)
    assert active_db == pytest.approx(0, abs=0.1)
    fall_db, active_db = noise_and_active_change_db(speech + hiss, 0.5 * (speech + hiss), RATE)
    assert fall_db == pytest.approx(6.02, abs=0.01)
    assert active_db == pytest.approx(-6.02, abs=0.01)


def test_a_recording_without_a_pause_says_so():
    tone = np.sin(np.arange(3 * RATE) * 0.3)
    assert noise_and_active_change_db(np.zeros(RATE), np.zeros(RATE), RATE) is None
    assert noise_and_active_change_db(tone, tone, RATE) is None
