"""What ``info`` measures, against signals whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import write_wav
from resound.dsp.levels import LevelMeter, k_weighting
from resound.errors import InputError
from resound.inference.inspect import Inspection, inspect_recording

RATE = 16000


def sine(hz: float, seconds: float, *, rate: int = RATE, peak_dbfs: float = -20.0, n_channels: int = 1) -> NDArray:
    """Return ``(channel, time)`` of a tone."""
    tone = 10 ** (peak_dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.tile(tone, (n_channels, 1))


def noise(seconds: float, *, rate: int = RATE, rms_dbfs: float = -50.0, seed: int = 0) -> NDArray:
    return 10 ** (rms_dbfs / 20) * np.random.default_rng(seed).standard_normal((1, round(seconds * rate)))


def inspected(folder: Path, sound: NDArray, *, rate: int = RATE, subtype: str = "FLOAT") -> Inspection:
    return inspect_recording(write_wav(folder / "a.wav", sound, rate=rate, subtype=subtype))


# Levels


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000, 192000])
def test_a_997_hz_sine_is_3_lu_below_its_peak(rate):
    """BS.1770: a full-scale 997 Hz sine in one channel is -3.01 LUFS, whatever the rate."""
    meter = LevelMeter(rate, 1)
    meter.add(sine(997, 2.0, rate=rate))
    assert meter.loudness_lufs == pytest.approx(-23.0, abs=0.1)
    assert meter.peak_dbfs == pytest.approx(-20.0, abs=0.02)
    assert meter.rms_dbfs == pytest.approx(-23.01, abs=0.02)


def test_both_channels_add_up_in_loudness_and_not_in_rms():
    meter = LevelMeter(48000, 2)
    meter.add(sine(997, 2.0, rate=48000, n_channels=2))
    assert meter.loudness_lufs == pytest.approx(-20.0, abs=0.1)
    assert meter.rms_dbfs == pytest.approx(-23.01, abs=0.02)


def test_surround_weighs_the_back_more_and_the_low_channel_not():
    def loudness(channel: int) -> float | None:
        sound = np.zeros((6, 96000))
        sound[channel] = sine(997, 2.0, rate=48000)[0]
        meter = LevelMeter(48000, 6)
        meter.add(sound)
        return meter.loudness_lufs

    assert loudness(0) == pytest.approx(-23.0, abs=0.1)
    assert loudness(3) is None
    assert loudness(5) == pytest.approx(-23.0 + 1.5, abs=0.1)


def test_the_weighting_at_48_khz_is_the_standards_own():
    """Coefficients printed in BS.1770-4, tables 1 and 2."""
    shelf, high_pass = k_weighting(48000)
    printed = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    np.testing.assert_allclose(shelf, printed, atol=1e-8)
    np.testing.assert_allclose(high_pass, [1, -2, 1, 1, -1.99004745483398, 0.99007225036621], atol=1e-8)


def test_silence_between_does_not_lower_the_loudness():
    sound = np.concatenate([sine(997, 4.0), np.zeros((1, 10 * RATE)), sine(997, 4.0)], axis=1)
    meter = LevelMeter(RATE, 1)
    meter.add(sound)
    assert meter.loudness_lufs == pytest.approx(-23.0, abs=0.2)


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_the_size_of_the_blocks_does_not_matter(sizes):
    sound = noise(1.0, rms_dbfs=-20)
    whole, parts = LevelMeter(RATE, 1), LevelMeter(RATE, 1)
    whole.add(sound)
    start = turn = 0
    while start < RATE:
        parts.add(sound[:, start : start + sizes[turn % len(sizes)]])
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    assert parts.peak == whole.peak
    assert parts.n_samples == whole.n_samples
    assert parts.rms_dbfs == pytest.approx(whole.rms_dbfs, abs=1e-9)
    assert parts.loudness_lufs == pytest.approx(whole.loudness_lufs, abs=1e-9)


def test_silence_and_nothing_have_no_level():
    for n_samples in (0, 1, RATE):
        meter = LevelMeter(RATE, 2)
        meter.add(np.zeros((2, n_samples)))
        assert (meter.peak_dbfs, meter.rms_dbfs, meter.loudness_lufs) == (None, None, None)


def test_what_is_shorter_than_a_gate_has_no_loudness():
    meter = LevelMeter(RATE, 1)
    meter.add(sine(997, 0.39))
    assert meter.loudness_lufs is None
    assert meter.peak_dbfs == pytest.approx(-20, abs=0.1)


# Files


@pytest.mark.parametrize(("subtype", "depth"), [("PCM_U8", 8), ("PCM_16", 16), ("PCM_24", 24), ("DOUBLE", 64)])
def test_the_format_is_told(tmp_path, subtype, depth):
    found = inspected(tmp_path, noise(0.5), subtype=subtype)
    assert (found.container, found.codec, found.sample_rate, found.n_channels) == ("WAV", subtype, RATE, 1)
    assert (found.bit_depth, found.bit_rate, found.lossless) == (depth, None, True)
    assert (found.n_samples, found.duration_seconds) == (8000, 0.5)


def test_a_lossy_file_has_a_bit_rate_and_no_depth(tmp_path):
    found = inspect_recording(write_wav(tmp_path / "a.ogg", noise(2.0), rate=RATE, subtype="VORBIS"))
    assert (found.bit_depth, found.lossless) == (None, False)
    assert found.bit_rate and 10_000 < found.bit_rate < 200_000


def test_samples_at_full_scale_are_counted(tmp_path):
    sound = np.zeros((1, 1000))
    sound[0, :7], sound[0, 500:503] = 1.0, -1.0
    assert inspected(tmp_path, sound, subtype="PCM_16").n_full_scale == 10
    assert inspected(tmp_path, 0.99 * sound, subtype="PCM_16").n_full_scale == 0


@pytest.mark.parametrize("cutoff_hz", [1500, 3400, 5000])
def test_the_bandwidth_is_where_a_filter_cut_it(tmp_path, cutoff_hz):
    sections = scipy.signal.ellip(12, 0.5, 100, cutoff_hz, output="sos", fs=RATE)
    sound = scipy.signal.sosfilt(sections, noise(3.0, rms_dbfs=-20), axis=1)
    found = inspected(tmp_path, sound).bandwidth_hz
    # a twelfth of an octave is smoothed over, and Hann's window falls by 70 dB within 10 bins of 25 Hz
    assert found and cutoff_hz < found < 2 ** (1 / 12) * cutoff_hz + 10 * 25


def test_noise_without_a_filter_reaches_nyquist(tmp_path):
    assert inspected(tmp_path, noise(2.0)).bandwidth_hz == pytest.approx(RATE / 2, rel=0.02)


@pytest.mark.parametrize("floor_dbfs", [-70.0, -50.0, -35.0])
def test_the_noise_floor_is_the_level_in_the_pauses(tmp_path, floor_dbfs):
    time = np.arange(4 * RATE) / RATE
    speech = sine(440, 4.0, peak_dbfs=-10) * (np.sin(2 * np.pi * 0.5 * time) > 0)
    found = inspected(tmp_path, speech + noise(4.0, rms_dbfs=floor_dbfs))
    # the quietest twentieth of the frames lies a little below their mean
    assert found.noise_floor_dbfs == pytest.approx(floor_dbfs, abs=1.5)


def test_digital_silence_is_no_noise_floor(tmp_path):
    sound = noise(4.0, rms_dbfs=-40)
    sound[:, RATE : 2 * RATE] = 0
    assert inspected(tmp_path, sound).noise_floor_dbfs == pytest.approx(-40, abs=1.5)


@pytest.mark.parametrize("hum_hz", [50.0, 60.0])
def test_hum_is_found_with_its_harmonics(tmp_path, hum_hz):
    hum = sum(sine(n * hum_hz, 10.0, peak_dbfs=-40 - 3 * n) for n in (1, 2, 3, 4))
    found = inspected(tmp_path, hum + noise(10.0, rms_dbfs=-55))
    assert found.hum_hz == pytest.approx(hum_hz, abs=0.1)
    assert {1, 2, 3} <= set(found.hum_harmonics)


def test_noise_alone_has_no_hum_and_no_clicks(tmp_path):
    found = inspected(tmp_path, noise(10.0, rms_dbfs=-40))
    assert (found.hum_hz, found.hum_harmonics) == (None, [])
    assert found.clicks_per_second < 0.2


def test_clicks_are_counted_by_the_second(tmp_path):
    sound = noise(4.0, rms_dbfs=-50)
    for position in range(800, 4 * RATE, 1600):  # 10 a second
        sound[0, position : position + 5] += [0.3, -0.4, 0.35, -0.2, 0.1]
    assert inspected(tmp_path, sound).clicks_per_second == pytest.approx(10, rel=0.1)


def test_measures_do_not_depend_on_where_blocks_end(tmp_path):
    """A recording longer than the 20-s blocks of the survey."""
    sound = noise(25.0, rate=8000, rms_dbfs=-30)
    found = inspected(tmp_path, sound, rate=8000)
    assert found.n_samples == 200000
    assert found.rms_dbfs == pytest.approx(-30, abs=0.1)
    assert found.noise_floor_dbfs == pytest.approx(-30.8, abs=0.5)


@pytest.mark.parametrize("n_samples", [1, 2, 31, 500])
@pytest.mark.parametrize("rate", [8, 1000, 8000, 384000])
def test_the_shortest_and_oddest_recordings_have_answers(tmp_path, n_samples, rate):
    found = inspected(tmp_path, np.full((3, n_samples), 0.5), rate=rate)
    assert (found.n_samples, found.n_channels, found.peak_dbfs) == (n_samples, 3, pytest.approx(-6.0, abs=0.1))
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["sample_rate"] == rate


def test_silence_has_no_levels_bandwidth_hum_or_clicks(tmp_path):
    found = inspected(tmp_path, np.zeros((2, 10 * 8000)), rate=8000)
    assert found.loudness_lufs is found.peak_dbfs is found.rms_dbfs is found.noise_floor_dbfs is None
    assert found.bandwidth_hz is found.hum_hz is None
    assert found.clicks_per_second == 0


def test_the_checksum_is_that_of_the_restorations_log(tmp_path):
    from resound.inference.pipeline import restore_file

    found = inspected(tmp_path, noise(0.5), subtype="PCM_16")
    report = restore_file(tmp_path / "a.wav", strength=0.0)
    assert found.audio_md5 == report.input_audio_md5 == inspect_recording(report.output).audio_md5


def test_progress_ends_at_the_length(tmp_path):
    told: list[tuple[float, float | None]] = []
    write_wav(tmp_path / "a.wav", noise(1.5), rate=RATE)
    inspect_recording(tmp_path / "a.wav", progress=lambda *how_far: told.append(how_far))
    assert told == [(1.5, 1.5)]


def test_what_is_no_recording_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros((1, 0)))
    with pytest.raises(InputError, match=r"a.wav: holds no samples"):
        inspect_recording(tmp_path / "a.wav")
