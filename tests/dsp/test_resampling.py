"""A stream is resampled as its whole would be, whatever the blocks; a recording keeps more of its band."""

import numpy as np
import pytest
from numpy.typing import NDArray

from resound.dsp import resampling
from resound.dsp.resampling import SHARP, Conversion, StreamResampler, reach, resample
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


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 16000), (16000, 48000), (44100, 48000)])
def test_resampling_has_no_delay(rate_in, rate_out):
    def bump(rate: int) -> NDArray:
        time = np.arange(rate // 2) / rate
        return np.exp(-0.5 * ((time - 0.25) / 0.002) ** 2)[None]

    np.testing.assert_allclose(resample(bump(rate_in), rate_in, rate_out), bump(rate_out), atol=1e-4)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_the_filter_is_the_same_in_stretches_and_output_by_output(rate_in, rate_out, monkeypatch):
    noise = np.random.default_rng(4).standard_normal((2, rate_in // 4))
    in_stretches = in_blocks(StreamResampler(rate_in, rate_out, 2), noise, any_sizes(5))
    monkeypatch.setattr(resampling, "MOST_WEIGHTS", 0)
    resampling.stretch.cache_clear()
    one_by_one = StreamResampler(rate_in, rate_out, 2).process(noise)
    resampling.stretch.cache_clear()
    np.testing.assert_allclose(in_stretches, one_by_one, atol=1e-12)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_a_recording_keeps_its_band_to_0_98_of_it_and_nothing_above(rate_in, rate_out):
    lower, seconds = min(rate_in, rate_out), np.arange(rate_in) / rate_in
    tones = np.sin(np.pi * 0.975 * lower * np.array([[1.0], [1.06]]) * seconds)  # the second is above the lower band
    made = resample(tones[: 1 + (rate_in > rate_out)], rate_in, rate_out)
    edge = rate_out // 10
    expected = np.sin(np.pi * 0.975 * lower * np.arange(made.shape[1]) / rate_out)
    np.testing.assert_allclose(made[0, edge:-edge], expected[edge:-edge], atol=1e-4)
    assert np.abs(made[1:, edge:-edge]).max(initial=0) < 3e-5


@pytest.mark.parametrize(("rate_in", "rate_out"), [*RATES, (48001, 16000)])
def test_there_and_back_depends_on_no_more_than_is_stated(rate_in, rate_out):
    sound = np.zeros((1, 2 * rate_in // 2 * 2))
    sound[0, rate_in] = 1.0
    back = resample(resample(sound, rate_in, rate_out), rate_out, rate_in)
    far = reach(rate_in, rate_out)
    assert np.abs(back[0, : rate_in - far]).max() < 1e-6
    assert np.abs(back[0, rate_in + far :]).max() < 1e-6


def test_equal_rates_change_nothing():
    sound = np.random.default_rng(6).standard_normal((2, 500))
    np.testing.assert_array_equal(resample(sound, 16000, 16000), sound)


@pytest.mark.parametrize("rate", [96000, 176400, 192000, 2822400])
@pytest.mark.parametrize("lower", [8000, 16000, 48000])
def test_high_rates_are_resampled_in_stretches_too(rate, lower):
    for rates in ((rate, lower), (lower, rate)):
        assert StreamResampler(*rates, 1, SHARP)._weights is not None


def test_rates_with_next_to_nothing_in_common_still_resample_a_recording():
    seconds = np.arange(96001) / 96001
    made = resample(np.sin(2 * np.pi * 1000 * seconds)[None], 96001, 48000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(made.shape[1]) / 48000)
    np.testing.assert_allclose(made[0, 4800:-4800], expected[4800:-4800], atol=1e-4)
