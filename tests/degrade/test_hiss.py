"""Stationary noise of a stated spectrum."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError
from scipy.signal import stft
from scipy.stats import kurtosis

from degrade.added import RATE, added_by, density_db, snr_db, tone
from resound.degrade.hiss import Hiss, shape_db, shaped_noise
from resound.errors import InputError

OCTAVES = [125.0, 250, 500, 1000, 2000, 4000, 8000, 16000]


@pytest.mark.parametrize("asked", [-100, 0, 33.3, 100])
@pytest.mark.parametrize("spectrum", ["white", "tape", "optical"])
def test_hiss_reaches_the_snr_it_was_asked_for(asked, spectrum):
    clean = tone(1)
    assert snr_db(clean, added_by(Hiss, clean, snr_db=asked, spectrum=spectrum)) == pytest.approx(asked, abs=0.01)


def test_hiss_reaches_the_level_it_was_asked_for_even_on_silence():
    added = added_by(Hiss, 0 * tone(1), level_dbfs=-50)
    assert 10 * np.log10(np.mean(added**2)) == pytest.approx(-50, abs=0.01)


@pytest.mark.parametrize("slope", [-6, -3, 0, 4.5])
def test_the_slope_is_that_asked_for(slope):
    noise = shaped_noise((1, 10 * RATE), RATE, db_per_octave=slope, seed=1)
    steps = np.diff(density_db(noise[0], RATE, OCTAVES))
    np.testing.assert_allclose(steps, slope, atol=0.5)


def test_pink_noise_has_the_same_power_in_each_octave():
    noise = shaped_noise((1, 10 * RATE), RATE, spectrum="pink", seed=1)[0]
    power = density_db(noise, RATE, OCTAVES) + 10 * np.log10(OCTAVES)
    np.testing.assert_allclose(power, power.mean(), atol=0.5)


def test_tape_noise_rises_above_the_corner_of_the_replay_equalisation():
    low, corner, treble = shape_db(np.array([500.0, 3183.1, 10000]), spectrum="tape")
    assert corner - low == pytest.approx(3.01 - 0.3, abs=0.2)  # 50 µs, a little less the pole at 12 kHz
    assert 4 < treble - corner < 7


def test_optical_noise_falls_at_both_ends():
    rumble, middle, treble = shape_db(np.array([60.0, 1000, 5000]), spectrum="optical")
    assert rumble - middle > 6 and middle - treble > 5


def test_the_spectrum_goes_through_the_points_it_was_given():
    points = [[4000, -20], [100, 10], [1000, 0]]
    clean = tone(10)
    added = added_by(Hiss, clean, snr_db=0, db_per_octave=0, points_db=points)[0]
    expected = {100: 10, 250: 10 - 10 * np.log(2.5) / np.log(10), 2000: -10, 8000: -20, 16000: -20}
    measured = density_db(added, RATE, list(expected))
    np.testing.assert_allclose(measured - measured[0], np.array(list(expected.values())) - 10, atol=0.7)


def test_a_wrong_point_is_named():
    with pytest.raises(ValidationError, match=r"\[0.0, 3.0\] is no point of a spectrum; write \[frequency_hz, db\]"):
        Hiss(points_db=[[0, 3]])


def test_the_noise_is_gaussian_stationary_and_new_in_each_channel():
    noise = shaped_noise((2, 5 * RATE), RATE, db_per_octave=-3, seed=3).astype(np.float64)
    assert np.abs(kurtosis(noise[0])) < 0.1
    assert abs(np.corrcoef(noise)[0, 1]) < 0.05
    halves = np.mean(noise.reshape(2, 2, -1) ** 2, axis=2)
    np.testing.assert_allclose(10 * np.log10(halves[:, 0] / halves[:, 1]), 0, atol=0.5)
    assert abs(noise.mean()) < 0.01 * noise.std()


@pytest.mark.parametrize("rate", [8000, 192000])
@pytest.mark.parametrize("n_samples", [1, 3, 1001])
def test_any_length_and_rate_will_do(rate, n_samples):
    clean = np.full((8, n_samples), 0.1, np.float32)
    assert snr_db(clean, added_by(Hiss, clean, rate, snr_db=20)) == pytest.approx(20, abs=0.01)


def test_the_same_seed_is_the_same_noise_and_another_is_another():
    np.testing.assert_array_equal(shaped_noise((1, 999), RATE, seed=7), shaped_noise((1, 999), RATE, seed=7))
    assert not np.array_equal(shaped_noise((1, 999), RATE, seed=7), shaped_noise((1, 999), RATE, seed=8))


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent, so a signal-to-noise ratio means nothing"):
        added_by(Hiss, 0 * tone(1), snr_db=20)


VINTAGE = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data")) / "vintage"


@pytest.mark.shared
@pytest.mark.skipif(not VINTAGE.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder")
def test_the_optical_spectrum_lies_between_those_of_two_real_films():
    at_hz = 125 * 2 ** np.arange(0, 5.1, 0.5)  # to 4 kHz
    static = pauses_db(VINTAGE / "tumult/static3_film_static_03_cut.flac", at_hz, quietest=1.0)
    excerpts = [next((VINTAGE / "notld1968").glob(f"{name}*")) for name in ("10s_back", "15s_don", "7s_theyre", "8s")]
    programme = np.mean([pauses_db(path, at_hz, quietest=0.06) for path in excerpts], axis=0)
    ours = shape_db(at_hz, spectrum="optical") - shape_db(np.array([1000.0]), spectrum="optical")
    np.testing.assert_allclose(ours, (static + programme) / 2, atol=1.7)


def pauses_db(path: Path, at_hz: np.ndarray, *, quietest: float) -> np.ndarray:
    """Return the density of the quietest share of a recording in half octaves without hum, relative to 1 kHz."""
    samples, rate = soundfile.read(path)
    frequencies, _, spectra = stft(samples, rate, nperseg=rate // 4)
    power = np.abs(spectra) ** 2
    level = power[(frequencies > 300) & (frequencies < 4000)].sum(axis=0)
    density = np.median(power[:, level <= np.quantile(level, quietest)], axis=1)
    off_hum = (np.abs((frequencies + 30) % 60 - 30) > 6) | (frequencies > 500)
    bands = [off_hum & (frequencies >= hz / 2**0.25) & (frequencies < hz * 2**0.25) for hz in [*at_hz, 1000]]
    level_db = 10 * np.log10([np.median(density[band]) for band in bands])
    return level_db[:-1] - level_db[-1]
