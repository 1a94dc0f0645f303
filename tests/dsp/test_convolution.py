"""Overlap-save is convolution, whatever the lengths, and takes no more memory for a longer signal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resound.dsp import convolution
from resound.dsp.convolution import blocks_for, convolve, filtered, multiply_spectra, spectrum_of


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.integers(1, 3000), st.integers(1, 3), st.booleans())
def test_it_is_convolution(n_samples, n_response, n_channels, is_shared):
    rng = np.random.default_rng(n_samples)
    samples = rng.standard_normal((n_channels, n_samples))
    response = rng.standard_normal((1 if is_shared else n_channels, n_response))
    expected = np.stack([np.convolve(row, response[i % len(response)]) for i, row in enumerate(samples)])
    np.testing.assert_allclose(convolve(samples, response), expected, atol=1e-10)
    blocks = blocks_for(n_samples, n_response)
    np.testing.assert_allclose(
        filtered(samples, spectrum_of(response, blocks), blocks), expected[:, :n_samples], atol=1e-10
    )


def test_single_precision_stays_single_and_close():
    rng = np.random.default_rng(1)
    samples, response = rng.standard_normal((1, 144000)), rng.standard_normal((1, 2047)) / 50
    exact = convolve(samples, response)
    single = convolve(samples.astype("f4"), response.astype("f4"))
    assert single.dtype == np.float32
    assert np.sqrt(np.mean((single - exact) ** 2) / np.mean(exact**2)) < 1e-6


@pytest.mark.parametrize("n_samples", [144_000, 10_000_000])
@pytest.mark.parametrize("n_response", [1, 512, 24_000, 500_000])
def test_blocks_stay_within_memory_and_are_few(n_samples, n_response):
    blocks = blocks_for(n_samples, n_response)
    assert blocks.n_fft >= blocks.step + n_response - 1
    assert blocks.n_fft <= max(convolution.MOST_SAMPLES_AT_ONCE, 4 * n_response)


def test_a_signal_longer_than_one_go_is_seamless(monkeypatch):
    monkeypatch.setattr(convolution, "MOST_SAMPLES_AT_ONCE", 4096)
    convolution.blocks_for.cache_clear()
    rng = np.random.default_rng(2)
    samples, response = rng.standard_normal((2, 50_000)), rng.standard_normal((2, 700))
    expected = np.stack([np.convolve(*pair) for pair in zip(samples, response, strict=True)])
    np.testing.assert_allclose(convolve(samples, response), expected, atol=1e-10)
    convolution.blocks_for.cache_clear()


def test_the_product_of_spectra_is_the_complex_product():
    rng = np.random.default_rng(3)
    left, right = (rng.standard_normal((2, 9)) + 1j * rng.standard_normal((2, 9)) for _ in range(2))
    np.testing.assert_allclose(multiply_spectra(left, right), left * right, rtol=1e-14)
