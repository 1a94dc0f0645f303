"""Noise at a stated level, and recorded noise."""

import json
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import write_wav
from resound.degrade.noise import RecordedNoise, add_at_level, add_at_snr, add_recorded_noise, power_of
from resound.dsp.active import active_speech_power
from resound.errors import InputError
from signals import noise, speech_like

RATE = 16000


def speech(seconds: float = 2, rate: int = RATE) -> NDArray:
    return speech_like(seconds, rate)[None].astype(np.float32)


def white(n_samples: int, n_channels: int = 1, seed: int = 1) -> NDArray:
    return np.random.default_rng(seed).standard_normal((n_channels, n_samples)).astype(np.float32)


def db_between(signal: NDArray, added: NDArray) -> float:
    return 10 * np.log10(np.mean(np.square(signal, dtype=np.float64)) / np.mean(np.square(added, dtype=np.float64)))


@pytest.mark.parametrize("snr_db", [-100, -40, -3.3, 0, 17.25, 60, 100])
@pytest.mark.parametrize("gain_db", [-60, 0])
def test_noise_reaches_the_snr_it_was_asked_for(snr_db, gain_db):
    clean = speech() * np.float32(10 ** (gain_db / 20))
    noisy = add_at_snr(clean, white(clean.shape[1]), RATE, snr_db=snr_db)
    assert noisy.dtype == np.float32 and np.isfinite(noisy).all()
    added = noisy.astype(np.float64) - clean
    assert db_between(clean, added) == pytest.approx(snr_db, abs=0.01)


def test_the_active_snr_is_relative_to_speech_without_its_pauses():
    clean = np.pad(speech(3), ((0, 0), (0, 5 * RATE)))
    added = add_at_snr(clean, white(clean.shape[1]), RATE, snr_db=12, reference="active") - clean
    active_db = 10 * np.log10(active_speech_power(clean, RATE) / np.mean(np.square(added, dtype=np.float64)))
    assert active_db == pytest.approx(12, abs=0.01)
    assert db_between(clean, added) < 12 - 3  # the pauses are more than half of it


def test_a_level_is_the_rms_of_the_noise():
    clean = speech()
    added = add_at_level(clean, white(clean.shape[1]), RATE, snr_db=20, level_dbfs=-37.5) - clean
    assert 20 * np.log10(np.sqrt(np.mean(added**2))) == pytest.approx(-37.5, abs=0.01)


def test_the_power_of_channels_is_their_mean():
    assert power_of(np.stack([np.full(10, 0.5), np.full(10, 0.1)]).astype(np.float32), RATE) == pytest.approx(0.13)


@pytest.mark.parametrize(("clean", "added", "silent"), [(0, 1, "the signal is silent"), (1, 0, "the noise is silent")])
def test_silence_has_no_snr(clean, added, silent):
    with pytest.raises(InputError, match=f"{silent}.*signal-to-noise ratio means nothing; leave it out"):
        add_at_snr(clean * white(100), added * white(100), RATE, snr_db=20)


def test_nothing_stays_nothing():
    assert add_at_snr(white(0), white(0), RATE, snr_db=20).shape == (1, 0)
    assert add_recorded_noise(white(0, 2), RATE, file="none.wav", position=0, snr_db=20).shape == (2, 0)


class TestRecorded:
    def test_recorded_noise_reaches_the_snr_and_is_the_recording(self, tmp_path):
        recorded = white(10 * RATE)[0] * 0.1
        file = write_wav(tmp_path / "hall.wav", recorded[None], rate=RATE, subtype="FLOAT")
        clean = speech()
        added = add_recorded_noise(clean, RATE, file=str(file), position=0.5, snr_db=12.5) - clean
        assert db_between(clean, added) == pytest.approx(12.5, abs=0.01)
        stretch = recorded[4 * RATE : 6 * RATE]  # the middle one of those that fit
        assert np.corrcoef(added[0], stretch)[0, 1] > 0.999999

    def test_mono_noise_goes_to_all_channels_and_stereo_noise_to_one_by_its_mean(self, tmp_path):
        mono = write_wav(tmp_path / "mono.wav", white(RATE) * 0.1, rate=RATE, subtype="FLOAT")
        both = np.repeat(speech(1), 2, axis=0)
        added = add_recorded_noise(both, RATE, file=str(mono), position=0, snr_db=0) - both
        np.testing.assert_allclose(added[0], added[1], atol=1e-6)
        left_right = white(RATE, 2) * 0.1
        stereo = write_wav(tmp_path / "stereo.wav", left_right, rate=RATE, subtype="FLOAT")
        added = add_recorded_noise(speech(1), RATE, file=str(stereo), position=0, snr_db=0) - speech(1)
        assert np.corrcoef(added[0], left_right.mean(axis=0))[0, 1] > 0.999999

    def test_noise_of_another_rate_is_resampled(self, tmp_path):
        tone = np.sin(2 * np.pi * 1000 * np.arange(44100 * 4) / 44100)[None] * 0.5
        file = write_wav(tmp_path / "tone.wav", tone, rate=44100, subtype="FLOAT")
        added = add_recorded_noise(speech(), RATE, file=str(file), position=0.3, snr_db=0) - speech()
        spectrum = np.abs(np.fft.rfft(added[0] * np.hanning(added.shape[1])))
        assert np.argmax(spectrum) * RATE / added.shape[1] == pytest.approx(1000, abs=0.5)

    @pytest.mark.parametrize(("speed_percent", "seconds"), [(150, 4), (62.5, 4), (150, 1.5)])  # the last is looped
    def test_faster_noise_is_higher(self, tmp_path, speed_percent, seconds):
        tone = np.sin(2 * np.pi * 1000 * np.arange(int(44100 * seconds)) / 44100)[None] * 0.5
        file = write_wav(tmp_path / "tone.wav", tone, rate=44100, subtype="FLOAT")
        how = {"file": str(file), "position": 0, "snr_db": 12.5, "speed_percent": speed_percent}
        added = add_recorded_noise(speech(), RATE, **how) - speech()
        assert db_between(speech(), added) == pytest.approx(12.5, abs=0.01)
        spectrum = np.abs(np.fft.rfft(added[0] * np.hanning(added.shape[1])))
        assert np.argmax(spectrum) * RATE / added.shape[1] == pytest.approx(10 * speed_percent, abs=1)

    @pytest.mark.parametrize("db_per_octave", [-6, 0, 4])
    def test_a_slope_is_put_on_the_spectrum(self, tmp_path, db_per_octave):
        file = write_wav(tmp_path / "white.wav", white(20 * RATE, 2) * 0.1, rate=RATE, subtype="FLOAT")
        clean = white(10 * RATE, 2, seed=3)
        how = {"file": str(file), "position": 0.5, "snr_db": 0, "db_per_octave": db_per_octave}
        power = np.abs(np.fft.rfft(add_recorded_noise(clean, RATE, **how).astype(np.float64) - clean)) ** 2
        assert db_between(clean, add_recorded_noise(clean, RATE, **how) - clean) == pytest.approx(0, abs=0.01)
        bands_hz = 62.5 * 2.0 ** np.arange(8)
        bins = np.round(bands_hz * 10).astype(int)
        level_db = [10 * np.log10(power[:, low:high].mean()) for low, high in pairwise(bins)]
        assert np.diff(level_db) == pytest.approx([db_per_octave] * 6, abs=0.6)

    def test_a_draw_names_a_file_and_replays_from_json(self, tmp_path):
        for name in ("a", "b", "c"):
            write_wav(tmp_path / "deep" / f"{name}.wav", rate=RATE, n_samples=3 * RATE)
        step = RecordedNoise(bank=str(tmp_path), snr_db=[0, 20], reference="active")
        params = step.draw(np.random.default_rng(5))
        assert params == json.loads(json.dumps(params)) == step.draw(np.random.default_rng(5))
        assert set(params) == {"file", "position", "snr_db", "reference", "speed_percent", "db_per_octave"}
        assert params["file"].endswith(".wav")
        once, again = (RecordedNoise.apply(speech(), RATE, **params) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        assert len({step.draw(np.random.default_rng(seed))["file"] for seed in range(20)}) == 3

    def test_silent_noise_is_named(self, tmp_path):
        file = write_wav(tmp_path / "mute.wav", np.zeros((1, RATE)), rate=RATE)
        with pytest.raises(InputError, match=r"mute\.wav: is silent in places; take it out of the bank"):
            add_recorded_noise(speech(), RATE, file=str(file), position=0.25, snr_db=10)

    def test_the_clean_recording_is_left_as_it_was(self, tmp_path):
        file = write_wav(tmp_path / "noise.wav", noise(1, RATE, 0.1)[None], rate=RATE)
        clean = speech()
        add_recorded_noise(clean, RATE, file=str(file), position=0.5, snr_db=-100)
        np.testing.assert_array_equal(clean, speech())
