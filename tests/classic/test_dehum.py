import numpy as np
import pytest

from resound.classic.dehum import Dehum, DehumConfig, find_comb
from signals import hum, music_like, noise, speech_like

RATE = 16000


def residual_db(sample_rate: int, programme: np.ndarray, added: np.ndarray, config: DehumConfig | None = None) -> float:
    """What is left of an added hum, in dB of it; what was done to the programme counts too."""
    left = Dehum(sample_rate, config).process((programme + added)[None])[0] - programme
    return float(10 * np.log10(np.mean(left**2) / np.mean(added**2)))


@pytest.mark.parametrize("frequency_hz", [50.0, 60.0, 50 * 25 / 24, 60 * 24 / 25, 49.9, 60.2])
def test_hum_under_speech_falls_by_15_db(frequency_hz):
    speech = speech_like(12, RATE) + noise(12, RATE, 0.001)
    assert residual_db(RATE, speech, hum(12, RATE, frequency_hz, rms=0.02)) < -15


@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000])
def test_hum_falls_at_any_sample_rate(sample_rate):
    speech = speech_like(10, sample_rate) + noise(10, sample_rate, 0.001)
    assert residual_db(sample_rate, speech, hum(10, sample_rate, 50, rms=0.02)) < -15


def test_a_swaying_frequency_is_followed():
    quiet = noise(20, RATE, 0.002)
    assert residual_db(RATE, quiet, hum(20, RATE, 50, rms=0.02, drift_hz=0.1)) < -12


@pytest.mark.parametrize("make", [speech_like, music_like])
def test_without_hum_every_sample_stays(make):
    clean = make(12, RATE) + noise(12, RATE, 0.001)
    np.testing.assert_array_equal(Dehum(RATE).process(clean[None])[0], clean)


def test_a_bass_note_on_the_same_frequency_stays():
    time = np.arange(RATE) / RATE
    note = np.zeros(16 * RATE)
    for start in (3, 8, 12):  # one second each, on 50 Hz and its octave
        shape = np.sin(np.pi * time) ** 0.5
        note[start * RATE : (start + 1) * RATE] = (
            0.1 * shape * (np.sin(100 * np.pi * time) + np.sin(200 * np.pi * time))
        )
    programme = note + noise(16, RATE, 0.001)
    mains = hum(16, RATE, 50, rms=0.01)
    left = Dehum(RATE).process((programme + mains)[None])[0] - programme
    playing = np.abs(note) > 0
    assert np.mean(left[playing] ** 2) < 0.02 * np.mean(note[playing] ** 2)
    assert np.mean(left[~playing] ** 2) < 0.05 * np.mean(mains**2)


def test_a_struck_bass_on_60_hz_is_no_hum():
    time = np.arange(2 * RATE) / RATE
    strike = sum(np.sin(120 * np.pi * k * time) * np.exp(-2.5 * time) / k for k in (1, 2, 3, 4))
    bass = np.tile(strike, 6) + noise(12, RATE, 0.0005)
    np.testing.assert_array_equal(Dehum(RATE).process(bass[None])[0], bass)


def test_the_comb_is_named():
    found = find_comb((hum(10, 6000, 50.1, 0.02) + noise(10, 6000, 0.002))[None], 6000, DehumConfig())
    assert found is not None
    # a tenth of a line's width; tracking does the rest
    assert found.fundamental_hz == pytest.approx(50.1, abs=0.06)
    assert found.harmonics == (1, 2, 3, 4, 6)


def test_channels_keep_their_own_hum():
    quiet = np.stack([noise(10, RATE, 0.001, seed=1), noise(10, RATE, 0.001, seed=2)])
    mains = hum(10, RATE, 50, rms=0.02)
    left = Dehum(RATE).process(quiet + np.stack([mains, -0.3 * mains])) - quiet
    assert np.all(np.mean(left**2, axis=1) < 0.02 * np.mean(mains**2) * np.array([1, 0.09]) + 1e-9)


def test_a_frequency_that_is_told_is_found():
    quiet = noise(10, RATE, 0.002)
    mains = hum(10, RATE, 91.3, rms=0.02)
    assert residual_db(RATE, quiet, mains) == pytest.approx(0, abs=0.01)
    assert residual_db(RATE, quiet, mains, DehumConfig(fundamental_hz=91.0)) < -15


@pytest.mark.parametrize("n_samples", [0, 1, 5 * RATE])
def test_too_short_to_tell_stays(n_samples):
    samples = hum(6, RATE, 50, 0.1)[None, :n_samples]
    np.testing.assert_array_equal(Dehum(RATE).process(samples), samples)


def test_a_voice_that_pauses_on_a_harmonic_of_the_hum_stays():
    time = np.arange(16 * RATE) / RATE
    sounding = np.sin(2 * np.pi * 0.4 * time) > -0.2
    voice = 0.1 * sounding * sum(np.sin(2 * np.pi * 150 * n * time) / n for n in range(1, 12))
    programme, mains = voice + noise(16, RATE, 0.001), hum(16, RATE, 50, rms=0.02)
    left = Dehum(RATE).process((programme + mains)[None])[0] - programme
    assert np.mean(left**2) < 0.2 * np.mean(voice**2)
