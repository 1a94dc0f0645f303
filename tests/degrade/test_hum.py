"""Hum and buzz."""

import numpy as np
import pytest

from degrade.added import added_by, snr_db, tone
from resound.degrade.hum import Buzz, Hum, dimmer_cycle, rectifier_cycle
from resound.errors import InputError

RATE = 16000


def spectrum_of(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies and amplitudes, each line 4 bins wide."""
    window = np.hanning(len(samples))
    return np.fft.rfftfreq(len(samples), 1 / RATE), np.abs(np.fft.rfft(samples * window)) * 2 / window.sum()


def line_db(samples: np.ndarray, frequency_hz: float) -> float:
    frequencies, amplitudes = spectrum_of(samples)
    return float(20 * np.log10(amplitudes[np.abs(frequencies - frequency_hz) < 1].max()))


@pytest.mark.parametrize("frequency_hz", [24, 50, 59.94])
@pytest.mark.parametrize("kind", [Hum, Buzz])
def test_the_frequency_is_that_asked_for(kind, frequency_hz):
    added = added_by(kind, tone(10, RATE), RATE, frequency_hz=frequency_hz, drift_hz=0, snr_db=0)[0]
    # The strongest line is a harmonic; autocorrelation over many periods tells the fundamental.
    lags = np.arange(round(20 * RATE / (frequency_hz + 1)), round(20 * RATE / (frequency_hz - 1)))
    likeness = [np.dot(added[: 5 * RATE], added[lag : lag + 5 * RATE]) for lag in lags]
    assert 20 * RATE / lags[int(np.argmax(likeness))] == pytest.approx(frequency_hz, abs=0.1)


@pytest.mark.parametrize("asked", [-100, 12.5, 100])
@pytest.mark.parametrize("kind", [Hum, Buzz])
def test_hum_reaches_the_snr_it_was_asked_for(kind, asked):
    clean = tone(1, RATE, n_channels=2)
    assert snr_db(clean, added_by(kind, clean, RATE, snr_db=asked)) == pytest.approx(asked, abs=0.01)


def test_hum_reaches_the_level_it_was_asked_for_even_on_silence():
    added = added_by(Hum, 0 * tone(1, RATE), RATE, level_dbfs=-42)
    assert 10 * np.log10(np.mean(added**2)) == pytest.approx(-42, abs=0.01)


def test_harmonics_fall_as_asked_for_and_even_ones_stand_apart():
    added = added_by(
        Hum, tone(8, RATE), RATE, frequency_hz=50, roll_off_db_per_octave=6, even_db=-10, drift_hz=0, snr_db=0
    )[0]
    first = line_db(added, 50)
    for k, below in ((2, 6 + 10), (3, 6 * np.log2(3)), (4, 12 + 10), (5, 6 * np.log2(5)), (7, 6 * np.log2(7))):
        assert first - line_db(added, 50 * k) == pytest.approx(below, abs=0.1)


def test_nothing_but_harmonics_is_added():
    added = added_by(Hum, tone(8, RATE), RATE, frequency_hz=49.3, roll_off_db_per_octave=0, drift_hz=0, snr_db=0)[0]
    frequencies, amplitudes = spectrum_of(added)
    between = np.abs((frequencies + 24.65) % 49.3 - 24.65) > 2
    assert 20 * np.log10(amplitudes[between].max() / amplitudes.max()) < -70


@pytest.mark.parametrize("drift_hz", [0.5, 2])
def test_the_frequency_drifts_as_far_as_asked_for(drift_hz):
    added = added_by(
        Hum, tone(20, RATE), RATE, frequency_hz=60, roll_off_db_per_octave=60, even_db=-60, drift_hz=drift_hz, snr_db=0
    )[0]
    turned = added * np.exp(-2j * np.pi * 60 * np.arange(len(added)) / RATE)
    slow = np.convolve(turned, np.ones(RATE // 60 * 4), "same")[RATE:-RATE:100]  # what is left turns by the deviation
    deviation = np.diff(np.unwrap(np.angle(slow))) / (2 * np.pi) * RATE / 100
    assert np.abs(deviation).max() == pytest.approx(drift_hz, rel=0.25)
    assert abs(deviation.mean()) < 0.2 * drift_hz


@pytest.mark.parametrize("cause", ["rectifier", "dimmer"])
def test_a_buzz_is_a_comb_up_to_several_kilohertz(cause):
    added = added_by(
        Buzz, tone(4, RATE), RATE, frequency_hz=50, cause=cause, angle_degrees=40, cutoff_hz=4000, drift_hz=0, snr_db=0
    )[0]
    frequencies, amplitudes = spectrum_of(added)
    on = amplitudes[(np.abs((frequencies + 25) % 50 - 25) < 0.5) & (frequencies > 1500) & (frequencies < 4000)]
    between = amplitudes[(np.abs((frequencies + 25) % 50 - 25) > 5) & (frequencies > 1500) & (frequencies < 4000)]
    assert 20 * np.log10(on.max() / between.max()) > 50
    assert 20 * np.log10(on.max() / amplitudes.max()) > -25


def test_a_buzz_is_made_of_pulses():
    hum = added_by(Hum, tone(2, RATE), RATE, roll_off_db_per_octave=3, snr_db=0)[0]
    buzz = added_by(Buzz, tone(2, RATE), RATE, cause="dimmer", angle_degrees=90, snr_db=0)[0]
    crest = [np.abs(sound).max() / np.sqrt(np.mean(sound**2)) for sound in (hum, buzz)]
    assert crest[1] > 1.3 * crest[0]


def test_a_rectifier_conducts_at_the_crests_and_a_dimmer_fires_late():
    current = rectifier_cycle(40)
    assert np.count_nonzero(current) / len(current) == pytest.approx(2 * 40 / 360, abs=0.01)
    assert np.argmax(current) == pytest.approx(len(current) / 4, abs=2)
    voltage = dimmer_cycle(120)
    assert np.flatnonzero(voltage)[0] == pytest.approx(len(voltage) * 120 / 360, abs=2)
    np.testing.assert_allclose(voltage[: len(voltage) // 2], -voltage[len(voltage) // 2 :], atol=1e-12)


def test_harmonics_above_half_the_rate_are_left_out():
    clean = tone(1, 8000)
    np.testing.assert_array_equal(added_by(Hum, clean, 90, frequency_hz=50, drift_hz=0), 0)
    alone = added_by(Hum, clean, 110, frequency_hz=50, drift_hz=0, snr_db=0)[0]
    peak = np.argmax(np.abs(np.fft.rfft(alone * np.hanning(len(alone))))) / len(alone) * 110
    assert peak == pytest.approx(50, abs=0.1)


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent"):
        added_by(Hum, 0 * tone(1, RATE), RATE)
