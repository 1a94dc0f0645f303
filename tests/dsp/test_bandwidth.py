"""Bandwidth: found again where filters, codecs and hiss end what can be heard."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr

from resound.dsp.bandwidth import BAND_HZ, bandwidth_hz
from signals import music_like, noise, speech_like


def low_passed(sound: np.ndarray, cutoff_hz: float, sample_rate: int) -> np.ndarray:
    return scipy.signal.sosfilt(scipy.signal.ellip(12, 0.5, 100, cutoff_hz, fs=sample_rate, output="sos"), sound)


@pytest.mark.parametrize("sample_rate", [8, 250, 8000, 16000, 44100, 48000, 96000])
def test_white_noise_reaches_half_the_sample_rate(sample_rate):
    assert bandwidth_hz(noise(3 if sample_rate > 1000 else 100, sample_rate), sample_rate) == sample_rate / 2


@pytest.mark.parametrize("original_rate", [8000, 11025, 16000, 22050, 32000])
def test_resampled_sound_keeps_the_bandwidth_it_had(original_rate):
    resampled = soxr.resample(noise(3, original_rate), original_rate, 48000)
    assert bandwidth_hz(resampled, 48000) == pytest.approx(original_rate / 2, abs=2 * BAND_HZ, rel=0.02)


def through_mp3(sound: np.ndarray, sample_rate: int, kbit: int) -> tuple[np.ndarray, int]:
    held = io.BytesIO()
    with av.open(held, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=sample_rate, layout="mono", bit_rate=1000 * kbit)
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    held.seek(0)
    return soundfile.read(held)


@pytest.mark.parametrize("kbit", [48, 64])
def test_the_wall_of_an_mp3_is_found(kbit):
    samples, rate = through_mp3(noise(4, 44100, rms=0.1), 44100, kbit)
    frequencies, powers = scipy.signal.welch(samples, rate, nperseg=2048)
    wall_hz = frequencies[powers > 1e-3 * np.median(powers)][-1]
    assert wall_hz < 18000
    assert bandwidth_hz(samples, rate) == pytest.approx(wall_hz, rel=0.05)


def test_a_telephone_ends_below_4_khz():
    speech = speech_like(3, 48000) + noise(3, 48000, rms=0.02)
    taps = scipy.signal.butter(8, (300, 3400), "bandpass", fs=8000, output="sos")
    call = soxr.resample(scipy.signal.sosfilt(taps, soxr.resample(speech, 48000, 8000)), 8000, 48000)
    assert 3400 <= bandwidth_hz(call, 48000) <= 4000


@pytest.mark.parametrize("hiss_db", [-80, -60, -45])
def test_steady_hiss_above_a_dull_programme_is_not_bandwidth(hiss_db):
    rng = np.random.default_rng(3)
    bursts = np.repeat(rng.uniform(0.0, 1.0, 60) ** 3, 2400)  # 50 ms each
    dull = low_passed(0.3 * bursts * rng.standard_normal(len(bursts)), 5000, 48000)
    hissy = dull + 10 ** (hiss_db / 20) * rng.standard_normal(len(dull))
    assert bandwidth_hz(hissy, 48000) == pytest.approx(5000, rel=0.13)


def test_steady_noise_alone_is_what_there_is_whatever_its_colour():
    spectrum = np.fft.rfft(noise(3, 48000))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)))
    assert bandwidth_hz(pink, 48000) == 24000


def test_quantisation_of_a_quiet_recording_is_no_bandwidth():
    quiet = np.round(0.03 * speech_like(3, 48000) * 32767) / 32767
    assert bandwidth_hz(quiet, 48000) < 5000


@pytest.mark.parametrize("gain_db", [-60, 0, 20])
def test_level_does_not_matter(gain_db):
    music = music_like(3, 44100)
    assert bandwidth_hz(10 ** (gain_db / 20) * music, 44100) == bandwidth_hz(music, 44100)


def test_a_click_does_not_widen_a_dull_recording():
    dull = soxr.resample(noise(3, 8000), 8000, 48000)
    dull[50000] += 1.0
    assert bandwidth_hz(dull, 48000) <= 4250


def test_channels_out_of_phase_do_not_cancel():
    sound = noise(1, 16000)
    assert bandwidth_hz(np.stack([sound, -sound]), 16000) == 8000


@pytest.mark.parametrize("n_samples", [0, 1, 3, 63])
def test_too_short_to_tell_is_0(n_samples):
    assert bandwidth_hz(np.ones((1, n_samples), np.float32), 48000) == 0.0


@pytest.mark.parametrize("n_samples", [64, 1000, 100_000])
def test_silence_is_0_and_anything_else_is_finite(n_samples):
    assert bandwidth_hz(np.zeros((2, n_samples), np.float32), 8000) == 0.0
    assert 0 < bandwidth_hz(noise(n_samples / 8000, 8000), 8000) <= 4000


def test_digital_silence_around_a_sound_changes_little():
    sound = soxr.resample(noise(1, 16000), 16000, 48000)
    padded = np.concatenate([np.zeros(96000), sound, np.zeros(96000)])
    assert bandwidth_hz(padded, 48000) == pytest.approx(8000, abs=500)


def test_clicks_between_frames_are_no_band():
    clicks = np.zeros(16000)
    clicks[::8000] = 0.5
    assert bandwidth_hz(clicks, 16000) == 0.0
