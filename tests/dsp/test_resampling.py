"""A stream is resampled as its whole would be, whatever the blocks."""

import numpy as np
import pytest

from resound.dsp.resampling import Conversion, StreamResampler
from resound.errors import ConfigError

RATES = [(44100, 48000), (48000, 44100), (8000, 48000), (48000, 16000), (22050, 16000)]


def in_blocks(resampler, sound, sizes):
    parts, start = [], 0
    while start < sound.shape[1]:
        size = next(sizes)
        parts.append(resampler.process(sound[:, start : start + size]))
        start += size
        assert sum(part.shape[1] for part in parts) == resampler.conversion.n_after(min(start, sound.shape[1]))
    return np.concatenate(parts, axis=1)


def any_sizes(seed):
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(1, 700))


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_a_tone_is_the_same_tone_at_the_same_time(rate_in, rate_out):
    seconds = np.arange(rate_in) / rate_in
    tones = np.array([1000.0, 0.44 * min(rate_in, rate_out)])[:, None]
    made = in_blocks(StreamResampler(rate_in, rate_out, 2), np.sin(2 * np.pi * tones * seconds), any_sizes(0))
    expected = np.sin(2 * np.pi * tones * np.arange(made.shape[1]) / rate_out)
    edge = rate_out // 50
    np.testing.assert_allclose(made[:, edge:-edge], expected[:, edge:-edge], atol=2e-5)


def test_what_lies_above_the_lower_rate_is_gone():
    seconds = np.arange(48000) / 48000
    made = in_blocks(StreamResampler(48000, 16000, 1), np.sin(2 * np.pi * 8200 * seconds)[None], any_sizes(1))
    assert np.abs(made[:, 400:-400]).max() < 2e-5  # 94 dB down, 2.5 % above the end of the band


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_blocks_make_no_difference(rate_in, rate_out):
    noise = np.random.default_rng(2).standard_normal((1, rate_in // 5))
    whole = StreamResampler(rate_in, rate_out, 1).process(noise)
    np.testing.assert_allclose(in_blocks(StreamResampler(rate_in, rate_out, 1), noise, any_sizes(3)), whole, atol=1e-12)


def test_what_is_held_back_is_half_the_filter():
    held = 44100 - Conversion.of(44100, 48000).n_after(44100) * 44100 / 48000
    assert held / 44100 == pytest.approx(0.0016, abs=1e-4)


def test_nothing_in_nothing_out():
    assert StreamResampler(8000, 16000, 2).process(np.zeros((2, 0))).shape == (2, 0)


def test_rates_with_next_to_nothing_in_common_are_told_before_memory_is_gone():
    with pytest.raises(ConfigError, match="between 2999999 and 48000 Hz"):
        StreamResampler(2999999, 48000, 1)
