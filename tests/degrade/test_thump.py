"""Thumps of a tone arm."""

import numpy as np
import pytest
from scipy.signal import hilbert

from degrade.added import added_by, bursts, tone
from resound.degrade.thump import Thump, thump
from resound.errors import InputError

RATE = 16000


def test_the_rate_is_that_asked_for():
    added = added_by(Thump, tone(300, 8000), 8000, rate_per_second=0.5, spread_db=0, decay_ms=20, frequency_hz=60)[0]
    assert len(bursts(added, 0.01, apart=600)) == pytest.approx(150, abs=4 * np.sqrt(150))


@pytest.mark.parametrize("frequency_hz", [12, 60])
def test_it_ends_at_its_frequency_and_dies_away_in_its_time(frequency_hz):
    seconds = np.arange(RATE) / RATE
    sound = hilbert(thump(seconds, frequency_hz, 0.1, 1.5))
    late = slice(round(0.35 * RATE), round(0.5 * RATE))
    frequency = np.diff(np.unwrap(np.angle(sound[late]))).mean() * RATE / 2 / np.pi
    assert frequency == pytest.approx(frequency_hz, rel=0.06)
    fall = 20 * np.log10(np.abs(sound[late][0]) / np.abs(sound[late][-1]))
    assert fall == pytest.approx(8.686 * 1.5, rel=0.15)


def test_it_glides_down_from_a_higher_frequency():
    sound = thump(np.arange(RATE) / RATE, 50, 0.1, 1.5)
    crossings = np.flatnonzero(np.diff(np.sign(sound)) != 0)
    first, last = RATE / 2 / np.diff(crossings)[[0, 45]]
    assert 66 < first < 76 and last == pytest.approx(50, rel=0.03)


@pytest.mark.parametrize("rate", [8000, 48000, 192000])
def test_nothing_lies_above_its_band(rate):
    added = added_by(Thump, tone(4, rate), rate, rate_per_second=3, frequency_hz=40, decay_ms=100, peak_db=0)[0]
    spectrum = np.abs(np.fft.rfft(added * np.hanning(len(added)))) ** 2
    frequencies = np.fft.rfftfreq(len(added), 1 / rate)
    assert 10 * np.log10(spectrum[frequencies > 1500].sum() / spectrum.sum()) < -60
    assert frequencies[np.argmax(spectrum)] == pytest.approx(45, abs=12)


def test_the_peak_is_that_asked_for():
    clean = tone(30, 8000, level=0.05, n_channels=2)
    added = added_by(
        Thump, clean, 8000, rate_per_second=0.3, peak_db=6, spread_db=0, frequency_hz=40, decay_ms=150, glide=1
    )
    np.testing.assert_allclose(added[0], added[1], atol=1e-7)
    peaks = [np.abs(added[0, start : start + 400]).max() for start in bursts(added[0], 0.005, apart=4000)]
    # The first crest comes a quarter of a period after the beginning: 6 ms, 0.36 dB down.
    assert 20 * np.log10(np.median(peaks) / 0.05) == pytest.approx(6 - 0.36, abs=0.2)


@pytest.mark.parametrize("n_samples", [0, 1, 3])
def test_a_few_samples_will_do(n_samples):
    assert np.isfinite(added_by(Thump, np.full((1, n_samples), 0.1, np.float32), RATE, rate_per_second=50)).all()


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent"):
        added_by(Thump, 0 * tone(1, RATE), RATE)
