import numpy as np
import pytest
import scipy.stats

from resound.classic import dehiss
from resound.classic.dehiss import Dehiss, DehissConfig, Grid, mean_power, noise_power
from resound.metrics import log_spectral_distance, noise_and_active_change_db, si_sdr, speech_level_change_db
from signals import music_like, noise, speech_like

RATE = 16000


def process(samples: np.ndarray, sample_rate: int = RATE, **settings: float) -> np.ndarray:
    return Dehiss(sample_rate, DehissConfig(**settings)).process(np.atleast_2d(samples)).reshape(samples.shape)


def power_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples**2)))


@pytest.mark.parametrize("snr_db", [5, 15, 25])
def test_noise_falls_and_speech_stays(snr_db):
    speech = speech_like(10, RATE)
    noisy = speech + noise(10, RATE, rms=0.1 * 10 ** (-snr_db / 20))
    enhanced = process(noisy)
    fall_db, active_db = noise_and_active_change_db(noisy, enhanced, RATE)
    assert fall_db > 8
    assert abs(active_db) < 1
    assert si_sdr(enhanced, speech) > si_sdr(noisy, speech) + 3
    assert log_spectral_distance(enhanced, speech, RATE) < log_spectral_distance(noisy, speech, RATE)
    assert abs(speech_level_change_db(enhanced, speech, RATE)) < 0.7


@pytest.mark.parametrize("max_reduction_db", [0, 6, 12, 20])
def test_steady_noise_falls_by_what_was_asked_and_never_by_more(max_reduction_db):
    hiss = noise(8, RATE)
    fall_db = power_db(hiss) - power_db(process(hiss, max_reduction_db=max_reduction_db))
    assert max_reduction_db - 1.5 <= fall_db <= max_reduction_db + 0.01


def surf(seconds: float, swell_db: float) -> np.ndarray:
    """Noise that comes and goes, as surf and thunder do."""
    level_db = swell_db / 2 * np.sin(2 * np.pi * 0.4 * np.arange(round(seconds * RATE)) / RATE)
    return noise(seconds, RATE) * 10 ** (level_db / 20)


def test_effects_that_are_like_noise_are_spared_where_that_is_asked_for():
    waves = surf(10, swell_db=16)
    assert si_sdr(process(waves, max_reduction_db=6), waves) < 15
    np.testing.assert_array_equal(process(waves, max_reduction_db=6, spare_effects=True), waves)


@pytest.mark.parametrize("swell_db", [0, 3])
def test_noise_of_a_medium_is_not_spared(swell_db):
    hiss = surf(10, swell_db)
    spared, usual = (process(hiss, max_reduction_db=6, spare_effects=asked) for asked in (True, False))
    np.testing.assert_array_equal(spared, usual)
    assert power_db(hiss) - power_db(spared) > 3


@pytest.mark.parametrize("snr_db", [15, 30])
def test_noise_beneath_a_voice_is_not_spared(snr_db):
    noisy = speech_like(10, RATE) + noise(10, RATE, rms=0.1 * 10 ** (-snr_db / 20))
    np.testing.assert_array_equal(process(noisy, spare_effects=True), process(noisy))


@pytest.mark.parametrize("make", [speech_like, music_like])
@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_clean_sound_keeps_its_level_and_its_samples(make, sample_rate):
    clean = make(10, sample_rate)
    enhanced = process(clean, sample_rate)
    assert si_sdr(enhanced, clean) > 25
    assert abs(power_db(enhanced) - power_db(clean)) < 0.2


def test_noise_is_known_at_once_on_both_sides_of_a_cut():
    # two scenes with speech, the second one 20 dB noisier
    speech = speech_like(16, RATE)
    level = np.where(np.arange(len(speech)) < 8 * RATE, 0.001, 0.01)
    hiss = noise(16, RATE, rms=1) * level
    enhanced = process(speech + hiss)
    pauses = np.convolve(np.abs(speech), np.ones(RATE // 10), "same") < 1e-9
    for name, part in {"before": slice(6 * RATE, 8 * RATE), "after": slice(8 * RATE + RATE // 10, 10 * RATE)}.items():
        quiet = pauses[part]
        assert quiet.sum() > RATE // 10, name
        fall_db = power_db(hiss[part][quiet]) - power_db(enhanced[part][quiet])
        assert fall_db > 6, name


def test_what_is_left_of_noise_is_noise_and_no_music():
    # musical noise is a heavy tail of spectral peaks: the kurtosis of the power must hardly grow (Uemura et al. 2008)
    hiss = noise(10, RATE)
    grid = Grid.of(RATE, 0.032)
    kurtosis = [
        scipy.stats.kurtosis(mean_power(x[None].astype(np.float32), grid)[10:-10, 5:-5].ravel())
        for x in (hiss, process(hiss))
    ]
    assert kurtosis[1] < 1.3 * kurtosis[0]


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_white_noise_is_estimated_without_bias(sample_rate):
    grid = Grid.of(sample_rate, 0.04)
    hiss = noise(20, sample_rate, rms=1)[None].astype(np.float32)
    power = mean_power(hiss, grid)
    estimates = {
        "minimum": dehiss.floor_in_pauses(power, grid, 4.0),
        "valley": dehiss.floor_between_partials(hiss, power, grid, DehissConfig()),
        "refined": noise_power(hiss, power, grid, DehissConfig()) / dehiss.CERTAINTY,
    }
    for name, estimate in estimates.items():
        bias_db = 10 * np.log10(estimate[20:-20, 5:-5].mean() / power[20:-20, 5:-5].mean())
        assert abs(bias_db) < 1.2, f"{name}: {bias_db:.2f} dB"


def test_channels_share_one_gain():
    speech, hiss = speech_like(6, RATE), noise(6, RATE, 0.01)
    left = speech + hiss
    both = process(np.stack([left, 0.25 * left]))
    np.testing.assert_allclose(both[1], 0.25 * both[0], atol=1e-7)
    np.testing.assert_allclose(both[0], process(left), atol=1e-6)


@pytest.mark.parametrize("gain_db", [-60, -30, 0])
def test_level_does_not_matter(gain_db):
    noisy = speech_like(4, RATE) + noise(4, RATE, 0.01)
    gain = 10 ** (gain_db / 20)
    np.testing.assert_allclose(process(gain * noisy) / gain, process(noisy), atol=2e-6)


def test_digital_silence_stays_and_does_not_hide_the_noise():
    noisy = speech_like(8, RATE) + noise(8, RATE, 0.01)
    enhanced = process(np.concatenate([np.zeros(3 * RATE), noisy, np.zeros(3 * RATE)]))
    assert not enhanced[: 2 * RATE].any()
    assert not enhanced[-2 * RATE :].any()
    fall_db, _ = noise_and_active_change_db(noisy, enhanced[3 * RATE : -3 * RATE], RATE)
    assert fall_db > 8


@pytest.mark.parametrize("n_samples", [0, 1, 2, 63, 64, 1000])
@pytest.mark.parametrize("sample_rate", [8000, 384000])
def test_the_shortest_sounds_pass(n_samples, sample_rate):
    samples = noise(1, sample_rate)[None, :n_samples]
    enhanced = Dehiss(sample_rate).process(samples)
    assert enhanced.shape == samples.shape
    assert np.isfinite(enhanced).all()
