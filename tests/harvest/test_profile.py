"""A known noise is measured back."""

import numpy as np
import pytest
import scipy.signal

from conftest import write_wav
from resound.degrade.band_limit import limit_band
from resound.degrade.crackle import add_crackle
from resound.degrade.hiss import add_hiss, shape_db
from resound.degrade.hum import add_hum
from resound.errors import InputError
from resound.harvest.cut import Source
from resound.harvest.profile import measure_profile
from resound.harvest.spectra import density_db
from resound.harvest.sway import measure_revolution, measure_sprocket
from resound.harvest.ticks import truncated_normal
from signals import noise

RATE = 24000
SPECTRUM = [[40, -10], [100, 10], [300, 3], [1000, 0], [3000, -6], [8000, -18]]


def voice(seconds, seed=0):
    """Syllables of glottal pulses and breath, 3 s and a pause of 1 s: ``(1, time)`` float32, a smooth spectrum."""
    rng = np.random.default_rng(seed)
    n = seconds * RATE
    time = np.arange(n) / RATE
    turns = np.cumsum(220 + 20 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6))) / RATE
    pulses = np.diff(np.floor(turns), prepend=0)
    source = pulses / pulses.std() + 0.5 * rng.standard_normal(n)
    tract = scipy.signal.butter(1, 800, fs=RATE, output="sos")
    syllables = np.sin(2 * np.pi * 2 * time).clip(0) * (time % 4 < 3)
    return (0.1 * scipy.signal.sosfilt(tract, source) * syllables)[None].astype("f4")


def profile_of(audio, path, rate=RATE):
    return measure_profile(Source(write_wav(path / "film.wav", audio, rate=rate, subtype="FLOAT")))


@pytest.mark.parametrize("snr_db", [10, 20, 30])
def test_level_and_spectrum_of_the_noise_are_measured_back(tmp_path, snr_db):
    clean = voice(32)
    profile = profile_of(add_hiss(clean, RATE, snr_db=snr_db, points_db=SPECTRUM, seed=1), tmp_path)
    assert profile.full_snr_db == pytest.approx(snr_db, abs=0.5)
    hz = np.array(profile.third_octave_hz)
    difference_db = density_db(hz, np.array(profile.noise_db)) - shape_db(hz, points_db=SPECTRUM)
    inside = (hz > 60) & (hz < 8000)
    assert np.abs(difference_db - difference_db[inside].mean())[inside].max() < 2


def test_the_active_level_is_that_of_p56_without_the_noise(tmp_path):
    from resound.dsp.active import active_speech_power

    clean = voice(32)
    profile = profile_of(add_hiss(clean, RATE, snr_db=15, seed=1), tmp_path)
    assert profile.programme_dbfs == pytest.approx(10 * np.log10(active_speech_power(clean, RATE)), abs=0.8)


@pytest.mark.parametrize("frequency_hz", [49.8, 60.0])
def test_hum_is_measured_back(tmp_path, frequency_hz):
    noisy = add_hiss(voice(40), RATE, snr_db=30, seed=1)
    line = {"level_dbfs": None, "roll_off_db_per_octave": 6, "even_db": 0, "drift_hz": 0, "seed": 2}
    hum = profile_of(add_hum(noisy, RATE, snr_db=20, frequency_hz=frequency_hz, **line), tmp_path).hum
    assert hum.frequency_hz == pytest.approx(frequency_hz, abs=0.05)
    assert hum.harmonics[:3] == (1, 2, 3)
    assert np.diff(hum.harmonic_db[:2])[0] == pytest.approx(-6, abs=1.5)


@pytest.mark.parametrize("rate_per_second", [10, 25])
def test_crackle_is_measured_back(tmp_path, rate_per_second):
    ticks = {"peak_db": 0, "spread_db": 5, "length_ms": 0.25, "scratch_share": 0, "rpm": 45, "seed": 3}
    noisy = add_hiss(voice(60), RATE, snr_db=20, seed=1)
    crackle = profile_of(add_crackle(noisy, RATE, rate_per_second=rate_per_second, **ticks), tmp_path).crackle
    assert crackle.per_second == pytest.approx(rate_per_second, rel=0.25)
    assert crackle.peak_db == pytest.approx(20, abs=3)


@pytest.mark.parametrize("cutoff_hz", [3000, 5000, 7000])
def test_the_band_of_the_programme_is_measured_back(tmp_path, cutoff_hz):
    limited = limit_band(voice(32), RATE, low_hz=0, high_hz=cutoff_hz, db_per_octave=36, kind="butterworth")
    profile = profile_of(add_hiss(limited, RATE, snr_db=30, points_db=SPECTRUM, seed=1), tmp_path)
    assert profile.bandwidth_hz == pytest.approx(cutoff_hz, rel=0.1)


def test_noise_alone_has_a_profile_without_a_programme(tmp_path):
    profile = profile_of(noise(8, RATE)[None], tmp_path)
    assert profile.snr_db is None
    assert profile.noise_dbfs == pytest.approx(-40, abs=0.1)
    assert profile.tilt_db_per_octave == pytest.approx(0, abs=0.3)
    assert profile.crackle is None
    assert profile.hum is None


def test_a_recording_without_a_moment_of_noise_says_so(tmp_path):
    with pytest.raises(InputError, match="no moment of noise"):
        profile_of(np.zeros((1, 3 * RATE)), tmp_path)


@pytest.mark.parametrize("rpm", [100 / 3, 45, 78.26])
def test_sway_once_a_revolution_is_found_with_its_depth(rpm):
    seconds = np.arange(800) * 0.025
    level_db = 20 * np.log10(1 + 0.2 * np.sin(2 * np.pi * rpm / 60 * seconds)) + noise(0.05, 16000, rms=0.5)
    sway = measure_revolution(level_db, seconds % 3 > 0.5, 0.025)
    assert sway.rate_hz == pytest.approx(rpm / 60, abs=0.001)
    assert sway.depth_percent == pytest.approx(20, abs=4)


def test_steady_noise_sways_with_nothing():
    assert measure_revolution(noise(0.05, 16000, rms=0.5), np.ones(800, dtype=bool), 0.025) is None
    assert measure_sprocket([noise(1, RATE, seed=n) for n in range(8)], RATE, 96.0) is None


def test_sway_with_the_perforations_is_found_with_its_depth():
    swing = 1 + 0.1 * np.sin(2 * np.pi * 96 * np.arange(RATE) / RATE)
    sway = measure_sprocket([noise(1, RATE, seed=n) * swing for n in range(8)], RATE, 96.0)
    assert sway.depth_percent == pytest.approx(10, abs=1.5)


def test_the_middle_of_a_distribution_is_found_from_what_lies_above_a_cut():
    values = np.random.default_rng(0).normal(10, 6, 20000)
    mean, deviation = truncated_normal(values[values > 8], 8.0)
    assert mean == pytest.approx(10, abs=0.5)
    assert deviation == pytest.approx(6, abs=0.3)
