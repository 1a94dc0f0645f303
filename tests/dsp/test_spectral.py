import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resound.dsp.spectral import frame_centres, frame_length_for, hann, istft, overlap_add, stft


@settings(max_examples=40, deadline=None)
@given(n_samples=st.integers(1, 5000), quarter=st.sampled_from([16, 60, 128]))
def test_the_inverse_gives_back_every_length(n_samples, quarter):
    samples = np.random.default_rng(n_samples).standard_normal(n_samples)
    window = hann(4 * quarter, np.float64)
    back = istft(stft(samples, 4 * quarter, quarter, window), 4 * quarter, quarter, window, n_samples)
    assert back.shape == samples.shape
    np.testing.assert_allclose(back, samples, atol=1e-12)


def test_a_tone_lands_in_its_bin():
    sample_rate, length = 8000, 800
    tone = np.sin(2 * np.pi * 1000 * np.arange(sample_rate) / sample_rate)
    power = np.abs(stft(tone, length, 200, hann(length, np.float64))) ** 2
    assert power[10:-10].sum(axis=0).argmax() == 1000 * length // sample_rate


def test_an_impulse_is_strongest_in_the_frame_whose_centre_it_is():
    samples = np.zeros(4000)
    samples[2000] = 1
    power = np.abs(stft(samples, 400, 100, hann(400, np.float64))).sum(axis=1)
    assert frame_centres(len(power), 400, 100)[power.argmax()] == 2000


@pytest.mark.parametrize("sample_rate", [8000, 22050, 44100, 192000])
def test_frames_are_as_long_as_asked_and_divide_into_four_hops(sample_rate):
    length = frame_length_for(sample_rate, 0.04)
    assert length % 4 == 0
    assert 0.04 <= length / sample_rate < 0.046


def test_overlap_add_agrees_with_adding_one_by_one():
    frames = np.random.default_rng(0).standard_normal((7, 12))
    expected = np.zeros(6 * 4 + 12)
    for index, frame in enumerate(frames):
        expected[index * 4 : index * 4 + 12] += frame
    np.testing.assert_allclose(overlap_add(frames, 4), expected)
