import numpy as np
import pytest

from resound.dsp.levels import LevelMeter, k_weighting


def metered(samples: np.ndarray, sample_rate: int, block: int = 7777) -> LevelMeter:
    meter = LevelMeter(sample_rate, len(samples))
    for start in range(0, samples.shape[1], block):
        meter.add(samples[:, start : start + block])
    return meter


def sine(frequency_hz: float, level_dbfs: float, seconds: float = 5, sample_rate: int = 48000) -> np.ndarray:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency_hz * time)


def test_the_filter_at_48_khz_is_the_one_in_the_standard():
    # ITU-R BS.1770-4, tables 1 and 2
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    high_pass = [1, -2, 1, 1, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48000), [shelf, high_pass], atol=1e-8)


@pytest.mark.parametrize("sample_rate", [8000, 44100, 48000, 96000, 192000])
def test_a_full_scale_sine_at_997_hz_on_one_channel_reads_minus_3_lufs(sample_rate):
    # ITU-R BS.1770-4: -3.01 LKFS; at 8 kHz the shelf is squeezed by Nyquist
    tolerance = 0.4 if sample_rate == 8000 else 0.03
    loudness = metered(sine(997, 0, sample_rate=sample_rate)[None], sample_rate).loudness_lufs
    assert loudness == pytest.approx(-3.01, abs=tolerance)


def test_ebu_tech_3341_case_1_and_3():
    stereo = np.tile(sine(1000, -23, 20), (2, 1))
    assert metered(stereo, 48000).loudness_lufs == pytest.approx(-23, abs=0.1)
    gated = np.concatenate([sine(1000, -36, 10), sine(1000, -23, 60), sine(1000, -36, 10)])
    assert metered(np.tile(gated, (2, 1)), 48000).loudness_lufs == pytest.approx(-23, abs=0.1)


def test_ebu_tech_3341_case_6_surround_weights():
    levels = (-28, -28, -24, None, -30, -30)  # L R C LFE Ls Rs
    five_one = np.stack([np.zeros(960000) if db is None else sine(1000, db, 20) for db in levels])
    assert metered(five_one, 48000).loudness_lufs == pytest.approx(-23, abs=0.1)


def test_block_size_does_not_change_the_reading():
    samples = np.random.default_rng(0).standard_normal((2, 100000)) * 0.1
    readings = [metered(samples, 44100, block).loudness_lufs for block in (1000, 44100, 100000)]
    assert readings == pytest.approx([readings[0]] * 3, abs=1e-9)


def test_peak_rms_and_full_scale_samples_are_counted():
    samples = np.array([[0.5, -1.0, 1.0, 0.0]])
    meter = metered(samples, 48000)
    assert meter.peak_dbfs == 0
    assert meter.rms_dbfs == pytest.approx(10 * np.log10(2.25 / 4))
    assert meter.n_full_scale == 2


def test_silence_has_no_level():
    meter = metered(np.zeros((1, 48000)), 48000)
    assert (meter.loudness_lufs, meter.peak_dbfs, meter.rms_dbfs) == (None, None, None)
