import numpy as np
import pytest
import scipy.signal

from resound.degrade.band_limit import limit_band
from resound.errors import ConfigError
from signals import speech_like


def gain_db(rate: int, **params: object) -> tuple[np.ndarray, np.ndarray]:
    impulse = np.zeros((1, 4 * rate), "f4")
    impulse[0, rate] = 1
    settings = {"low_hz": 0.0, "high_hz": 0.0, "db_per_octave": 24.0, "kind": "butterworth"} | params
    gains = np.abs(np.fft.rfft(limit_band(impulse, rate, **settings)[0].astype("f8")))
    return np.arange(len(gains)) / 4, 20 * np.log10(np.maximum(gains, 1e-9))


@pytest.mark.parametrize("kind", ["butterworth", "brickwall"])
@pytest.mark.parametrize(("rate", "high_hz"), [(48000, 4000), (48000, 15000), (8000, 3400), (96000, 300)])
def test_a_low_pass_is_3_db_down_at_its_cutoff(rate, high_hz, kind):
    hz, db = gain_db(rate, high_hz=high_hz, kind=kind)
    assert hz[np.argmax(db < -3.01)] == pytest.approx(high_hz, rel=0.02)


@pytest.mark.parametrize("kind", ["butterworth", "brickwall"])
@pytest.mark.parametrize(("rate", "low_hz"), [(48000, 300), (48000, 50), (8000, 1000)])
def test_a_high_pass_is_3_db_down_at_its_cutoff(rate, low_hz, kind):
    hz, db = gain_db(rate, low_hz=low_hz, kind=kind)
    assert hz[np.argmax(db > -3.01)] == pytest.approx(low_hz, rel=0.02)


@pytest.mark.parametrize("db_per_octave", [6, 24, 48])
def test_the_slope_is_the_one_asked_for(db_per_octave):
    hz, db = gain_db(192000, high_hz=1000, db_per_octave=db_per_octave)
    fall = db[np.searchsorted(hz, 4000)] - db[np.searchsorted(hz, 8000)]
    assert fall == pytest.approx(db_per_octave, rel=0.03)


def test_a_brick_wall_is_80_db_down_a_fifth_of_an_octave_on():
    hz, db = gain_db(48000, high_hz=8000, kind="brickwall")
    assert db[hz > 8000 * 2 ** (1 / 5)].max() < -79
    assert np.abs(db[(hz > 100) & (hz < 7700)]).max() < 0.2


@pytest.mark.parametrize("kind", ["butterworth", "brickwall"])
def test_nothing_moves_in_time(kind):
    audio = speech_like(2, 48000)[np.newaxis].astype("f4")
    limited = limit_band(audio, 48000, low_hz=0, high_hz=4000, db_per_octave=24, kind=kind)
    lag = int(np.argmax(scipy.signal.correlate(limited[0], audio[0]))) - (audio.shape[1] - 1)
    assert abs(lag) <= 1


def test_a_low_pass_above_nyquist_is_left_out():
    audio = np.random.default_rng(0).standard_normal((1, 500)).astype("f4")
    same = limit_band(audio, 8000, low_hz=0, high_hz=7000, db_per_octave=24, kind="butterworth")
    np.testing.assert_array_equal(same, audio)


def test_an_empty_band_is_said_in_one_line():
    with pytest.raises(ConfigError, match=r"band_limit: low_hz 5000 leaves nothing below 4000 Hz; give a lower one"):
        limit_band(np.zeros((1, 9), "f4"), 8000, low_hz=5000, high_hz=0, db_per_octave=24, kind="butterworth")
    with pytest.raises(ConfigError, match=r"low_hz 500 leaves nothing below 400 Hz"):
        limit_band(np.zeros((1, 9), "f4"), 8000, low_hz=500, high_hz=400, db_per_octave=24, kind="butterworth")
