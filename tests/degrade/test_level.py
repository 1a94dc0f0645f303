import numpy as np
import pytest

from resound.degrade.level import BitDepth, Dc, Gain, Polarity, add_offset, change_gain, flip_polarity, reduce_bits
from resound.errors import ConfigError


def noise(n_samples: int = 100000, rms: float = 0.1) -> np.ndarray:
    return (rms * np.random.default_rng(0).standard_normal((1, n_samples))).astype("f4")


def test_gain_is_the_one_asked_for():
    np.testing.assert_allclose(change_gain(noise(), 8000, gain_db=-6), noise() * 10 ** (-0.3), rtol=1e-6)


def test_polarity_turned_twice_is_the_recording():
    np.testing.assert_array_equal(flip_polarity(flip_polarity(noise(), 8000), 8000), noise())
    assert np.all(flip_polarity(noise(), 8000) + noise() == 0)


def test_the_offset_is_found_in_the_mean():
    assert np.mean(add_offset(noise(), 8000, offset=0.02) - noise()) == pytest.approx(0.02, rel=1e-5)


def test_what_restoring_keeps_is_on_the_target_and_what_it_removes_is_not():
    assert Gain.apply_to_target is Gain.apply and Polarity.apply_to_target is Polarity.apply
    assert Dc.apply_to_target is None and BitDepth.apply_to_target is None


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_rounding_leaves_as_many_levels_and_the_noise_of_theory(bits):
    audio = noise(rms=0.2)
    coarse = reduce_bits(audio, 8000, bits=bits, dither=False, seed=0)
    step = 2.0 ** (1 - bits)
    np.testing.assert_array_equal(coarse / step, np.rint(coarse / step))
    inside = np.abs(audio) < 0.9
    assert np.std((coarse - audio)[inside]) == pytest.approx(step / np.sqrt(12), rel=0.02)


def test_dither_makes_the_error_free_of_the_sound():
    quiet = np.full((1, 200000), 0.3 / 128, "f4")  # three tenths of a step of 8 bits
    plain = reduce_bits(quiet, 8000, bits=8, dither=False, seed=0)
    dithered = reduce_bits(quiet, 8000, bits=8, dither=True, seed=0)
    assert np.all(plain == 0)
    assert np.mean(dithered) * 128 == pytest.approx(0.3, abs=0.01)
    # triangular dither and rounding: 2 / 12 + 1 / 12 of a step squared, whatever the sound
    assert np.var(dithered * 128.0) == pytest.approx(0.25, rel=0.02)


def test_too_loud_sound_is_clipped_to_what_the_bits_hold():
    audio = np.array([[-2.0, -1.0, 1.0, 2.0]], "f4")
    np.testing.assert_array_equal(
        reduce_bits(audio, 8000, bits=8, dither=False, seed=0), [[-1, -1, 127 / 128, 127 / 128]]
    )


def test_24_bits_keep_what_24_bits_hold():
    audio = (np.rint(noise() * 2**23) / 2**23).astype("f4")
    np.testing.assert_array_equal(reduce_bits(audio, 8000, bits=24, dither=False, seed=0), audio)


def test_no_bits_are_one_line():
    with pytest.raises(ConfigError, match=r"bit_depth: bits is 0; give a number from 1 to 24"):
        reduce_bits(noise(), 8000, bits=0, dither=False, seed=0)
