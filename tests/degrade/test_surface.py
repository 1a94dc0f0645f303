"""Surface noise of discs."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from degrade.added import added_by, density_db, snr_db, tone
from resound.degrade.surface import Surface, revolution, rumble
from resound.errors import InputError

RATE = 16000


@pytest.mark.parametrize("asked", [-100, 20, 100])
def test_surface_noise_reaches_the_snr_it_was_asked_for(asked):
    clean = tone(2, RATE, n_channels=2)
    assert snr_db(clean, added_by(Surface, clean, RATE, snr_db=asked)) == pytest.approx(asked, abs=0.01)


@pytest.mark.parametrize("rpm", [100 / 3, 45, 78.26])
@pytest.mark.parametrize("depth", [0.3, 0.8])
def test_the_level_sways_once_a_revolution_as_deep_as_asked_for(rpm, depth):
    added = added_by(Surface, tone(60, RATE), RATE, snr_db=0, rpm=rpm, depth=depth, rumble_db=-60, db_per_octave=0)[0]
    turn = np.arange(len(added)) / RATE * rpm / 60
    power = np.bincount((turn % 1 * 32).astype(int), added**2) / np.bincount((turn % 1 * 32).astype(int))
    level = np.sqrt(power)
    sway = level / level.mean() - 1
    assert np.abs(sway).max() == pytest.approx(depth, abs=0.06)
    envelope = np.abs(np.fft.rfft(added**2 - np.mean(added**2), 1 << 22))
    frequencies = np.fft.rfftfreq(1 << 22, 1 / RATE)
    slow = (frequencies > 0.2) & (frequencies < 20)
    assert frequencies[slow][np.argmax(envelope[slow])] == pytest.approx(rpm / 60, rel=0.01)


def test_the_shape_repeats_has_no_mean_and_peaks_at_one():
    turns = np.arange(1000) / 500
    shape = revolution(np.random.default_rng(0), turns, 60)
    np.testing.assert_allclose(shape[:500], shape[500:], atol=1e-9)
    assert abs(shape.mean()) < 1e-9 and np.abs(shape).max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rumble_db", [-20, 0, 10])
def test_the_rumble_lies_below_30_hz_at_its_level(rumble_db):
    added = added_by(Surface, tone(30, RATE), RATE, snr_db=0, db_per_octave=0, depth=0, rumble_db=rumble_db)[0]
    high = sosfilt(butter(6, 200, "highpass", fs=RATE, output="sos"), added)
    low = sosfilt(butter(6, 200, fs=RATE, output="sos"), added)
    noise_below = 200 / (RATE / 2) * np.mean(high**2)  # the noise is white
    measured = 10 * np.log10((np.mean(low**2) - noise_below) / np.mean(high**2))
    assert measured == pytest.approx(rumble_db, abs=0.7)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_rumble_has_rms_one_and_falls_above_30_hz(rate):
    sound = rumble(np.random.default_rng(0), 40 * rate, rate).astype(np.float64)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, abs=0.02)
    low, edge, high = density_db(sound, rate, [10, 30, 120])
    assert low - edge == pytest.approx(3, abs=1.5) and low - high > 20


def test_the_slope_is_that_asked_for():
    added = added_by(Surface, tone(10, RATE), RATE, snr_db=0, db_per_octave=-4, depth=0.2, rumble_db=-100)[0]
    np.testing.assert_allclose(np.diff(density_db(added, RATE, [500, 1000, 2000, 4000])), -4, atol=0.5)


@pytest.mark.parametrize("n_samples", [1, 3, 100])
def test_a_few_samples_will_do(n_samples):
    clean = np.full((2, n_samples), 0.1, np.float32)
    assert snr_db(clean, added_by(Surface, clean, RATE, snr_db=20)) == pytest.approx(20, abs=0.01)


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent"):
        added_by(Surface, 0 * tone(1, RATE), RATE)
