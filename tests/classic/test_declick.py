import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from resound.classic.declick import (
    Declick,
    DeclickConfig,
    SegmentModel,
    fit_segments,
    interpolate,
    levinson,
    prediction_error,
)
from resound.metrics import si_sdr
from signals import clicks, music_like, noise, speech_like

RATE = 44100


@pytest.mark.parametrize("make", [speech_like, music_like])
@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_clicks_are_repaired(make, sample_rate):
    clean = make(5, sample_rate) + noise(5, sample_rate, rms=0.0005)
    damaged = clean + clicks(len(clean), sample_rate, per_second=15, peak=0.5)
    repaired = Declick(sample_rate).process(damaged[None])[0]
    assert si_sdr(repaired, clean) > si_sdr(damaged, clean) + 8


@pytest.mark.parametrize("make", [speech_like, music_like])
def test_clean_sound_is_left_alone(make):
    clean = make(5, RATE) + noise(5, RATE, rms=0.0005)
    repaired = Declick(RATE).process(clean[None])[0]
    assert si_sdr(repaired, clean) > 38
    assert np.mean(repaired != clean) < 0.002


def test_samples_outside_clicks_come_back_bit_for_bit():
    damaged = noise(1, RATE)
    damaged[20000:20010] += 0.5
    repaired = Declick(RATE).process(damaged[None])[0]
    changed = np.flatnonzero(repaired != damaged)
    assert set(range(20000, 20010)) <= set(changed)
    assert changed.min() > 19900
    assert changed.max() < 20100


def test_a_drum_stroke_and_a_step_in_level_are_no_clicks():
    rng = np.random.default_rng(3)
    stroke = noise(2, RATE, rms=0.001)
    length = RATE // 5
    stroke[RATE : RATE + length] += rng.standard_normal(length) * np.exp(-np.arange(length) / (0.03 * RATE)) * 0.5
    np.testing.assert_array_equal(Declick(RATE).process(stroke[None])[0], stroke)


def test_a_repair_is_what_an_autoregressive_process_would_have_done():
    # a narrow resonance is nearly predictable: the gap must come back almost exactly
    poles = 0.995 * np.exp(2j * np.pi * np.array([0.01, -0.01, 0.05, -0.05]))
    signal = scipy.signal.lfilter([1], np.poly(poles).real, noise(1, RATE))
    damaged = signal.copy()
    damaged[20000:20010] += np.random.default_rng(0).standard_normal(10) * np.abs(signal).max()
    repaired = Declick(RATE).process(damaged[None])[0]
    error = repaired[20000:20010] - signal[20000:20010]
    assert np.sqrt(np.mean(error**2)) < 0.1 * np.sqrt(np.mean(signal**2))


def test_interpolation_minimises_the_prediction_error():
    rng = np.random.default_rng(0)
    samples = scipy.signal.lfilter([1], [1, -1.6, 0.8], rng.standard_normal(3000))
    model = SegmentModel(np.tile([1, -1.6, 0.8], (30, 1)), 100)
    unknown = np.zeros(3000, dtype=bool)
    unknown[1000:1006] = unknown[1010:1013] = True
    interpolate(samples, unknown, model)
    least = np.sum(prediction_error(samples, model) ** 2)
    for position in np.flatnonzero(unknown):
        for step in (-1e-3, 1e-3):
            moved = samples.copy()
            moved[position] += step
            assert np.sum(prediction_error(moved, model) ** 2) > least


def test_levinson_agrees_with_scipys_toeplitz_solver():
    rng = np.random.default_rng(0)
    correlation = np.stack([np.correlate(x, x, "full")[199 : 199 + 9] for x in rng.standard_normal((4, 200))])
    for row, filters in zip(correlation, levinson(correlation), strict=True):
        np.testing.assert_allclose(filters[1:], -scipy.linalg.solve_toeplitz(row[:-1], row[1:]), atol=1e-6)


def test_the_model_of_an_autoregressive_process_is_found():
    signal = scipy.signal.lfilter([1], [1, -1.6, 0.8], noise(1, RATE))
    model = fit_segments(signal, 2, 2000)
    np.testing.assert_allclose(model.coefficients[5:15].mean(axis=0), [1, -1.6, 0.8], atol=0.03)


def test_each_channel_is_repaired_on_its_own():
    left, right = speech_like(2, RATE) + noise(2, RATE, 0.001), music_like(2, RATE) + noise(2, RATE, 0.001)
    damaged = left + clicks(len(left), RATE, per_second=10, peak=0.5)
    both = Declick(RATE).process(np.stack([damaged, right]))
    np.testing.assert_array_equal(both[0], Declick(RATE).process(damaged[None])[0])
    np.testing.assert_array_equal(both[1], Declick(RATE).process(right[None])[0])


@pytest.mark.parametrize("n_samples", [0, 1, 2, 100, 1000])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_short_silent_and_constant_sound_stays(n_samples, value):
    samples = np.full((2, n_samples), value)
    np.testing.assert_allclose(Declick(RATE).process(samples), samples, atol=1e-6)


def test_clicks_are_counted():
    sound = noise(4, RATE)
    for start in range(5000, 150000, 10000):
        sound[start : start + 8] += 0.5
    assert Declick(RATE).count(sound) == 15


def test_a_lower_threshold_finds_more():
    damaged = noise(3, RATE) + clicks(3 * RATE, RATE, per_second=20, peak=0.06)
    counts = [Declick(RATE, DeclickConfig(threshold=value)).count(damaged) for value in (5, 20)]
    assert counts[0] > counts[1]
