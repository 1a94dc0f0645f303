import numpy as np
import pytest
import scipy.signal

from resound.degrade.horn import BAND_HZ, resonance, through_horn

RATE = 48000
PLAIN = {"n_resonances": 0, "depth_db": 0, "cutoff_hz": 0, "mass_hz": 0, "seed": 1}


def gain_db(frequencies_hz: np.ndarray, **params: float) -> np.ndarray:
    impulse = np.zeros((1, 2 * RATE), "f4")
    impulse[0, RATE // 2] = 1
    spectrum = np.abs(np.fft.rfft(through_horn(impulse, RATE, **PLAIN | params)[0].astype("f8")))
    return 20 * np.log10(spectrum[np.rint(2 * frequencies_hz).astype(int)])


def test_a_section_rings_at_its_frequency_and_nowhere_else():
    section = resonance(RATE, 800, 9, 5)[np.newaxis]
    hz = np.array([80, 800, 800 * (1 + 1 / 10 + 1 / 200), 8000])
    db = 20 * np.log10(np.abs(scipy.signal.freqz_sos(section, hz, fs=RATE)[1]))
    assert db[1] == pytest.approx(9, abs=0.01) and abs(db[0]) < 0.1 and abs(db[3]) < 0.1
    assert db[2] == pytest.approx(4.5, abs=0.3)  # half its dB at half of the bandwidth f / Q


def test_there_are_as_many_resonances_as_asked_between_200_and_3500_hz():
    hz = np.arange(100, 8000, 0.5)
    for n_resonances in (2, 4, 6):
        db = gain_db(hz, n_resonances=n_resonances, depth_db=20, seed=5)
        db -= np.interp(hz, hz[[0, -1]], db[[0, -1]])
        peaks = np.concatenate([scipy.signal.find_peaks(sign * db, prominence=1)[0] for sign in (1, -1)])
        in_band = hz[peaks]
        assert n_resonances - 1 <= len(in_band) <= 2 * n_resonances  # neighbours may merge, or leave a turn between
        assert np.all((in_band > BAND_HZ[0] * 0.95) & (in_band < BAND_HZ[1] * 1.05))


def test_another_seed_is_another_horn():
    hz = np.geomspace(200, 3500, 50)
    first, second = (gain_db(hz, n_resonances=4, depth_db=12, seed=seed) for seed in (1, 2))
    assert np.abs(first - second).max() > 6
    np.testing.assert_array_equal(first, gain_db(hz, n_resonances=4, depth_db=12, seed=1))


def test_the_bass_falls_12_db_an_octave_below_the_horn_and_the_treble_6_above_the_mass():
    bass = gain_db(np.array([20, 40]), cutoff_hz=250)
    assert bass[1] - bass[0] == pytest.approx(12, abs=0.3)
    treble = gain_db(np.array([4000, 8000]), mass_hz=1000)
    assert treble[0] - treble[1] == pytest.approx(6, abs=0.7)  # the bilinear transform bends it a little


def test_pink_noise_keeps_its_power_in_the_band():
    hz = np.geomspace(*BAND_HZ, 400)
    db = gain_db(hz, n_resonances=5, depth_db=15, cutoff_hz=250, mass_hz=1500, seed=3)
    assert 10 * np.log10(np.mean(10 ** (db / 10))) == pytest.approx(0, abs=0.05)
