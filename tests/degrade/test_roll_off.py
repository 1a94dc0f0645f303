import numpy as np
import pytest
import scipy.signal

from resound.degrade.roll_off import CURVES, RollOff, head_loss_db, roll_off
from resound.errors import ConfigError
from signals import speech_like

RATE = 48000


def gain_db(frequencies_hz: list[float], rate: int = RATE, **params: object) -> np.ndarray:
    impulse = np.zeros((1, 3 * rate), "f4")
    impulse[0, rate] = 1
    settings = {"points": [], "amount": 1.0, "shift_octaves": 0.0} | params
    response = np.abs(np.fft.rfft(roll_off(impulse, rate, **settings)[0]))
    return 20 * np.log10(response[[round(3 * hz) for hz in frequencies_hz]])


def test_the_academy_curve_has_its_published_points():
    measured = gain_db([40, 100, 1000, 1600, 5000, 8000], curve="academy")
    np.testing.assert_allclose(measured, [-7, 0, 0, 0, -10, -18], atol=0.4)


def test_the_x_curve_falls_3_db_an_octave_above_2_khz():
    measured = gain_db([500, 1000, 2000, 4000, 8000, 10000, 20000], curve="x-curve")
    np.testing.assert_allclose(measured, [0, 0, 0, -3, -6, -7, -13], atol=0.3)


def test_the_telephone_passes_300_to_3400_hz_and_stops_at_4600():
    measured = gain_db([50, 300, 1000, 3400, 4000, 4600], curve="telephone")
    assert np.all(np.abs(measured[1:4]) < 2) and measured[0] < -24 and measured[4] < -14 and measured[5] < -32


@pytest.mark.parametrize("curve", sorted(CURVES))
@pytest.mark.parametrize("rate", [8000, 48000])
def test_every_curve_is_reached_at_its_points(curve, rate):
    points = [(hz, db) for hz, db in CURVES[curve] if 30 <= hz < 0.45 * rate and db > -40]
    hz, db = zip(*points, strict=True)
    np.testing.assert_allclose(gain_db(list(hz), rate, curve=curve), db, atol=1.0)


def test_free_points_scaled_and_shifted():
    points = [[200, 0], [2000, -12], [8000, 6]]
    np.testing.assert_allclose(gain_db([200, 2000, 8000], curve="points", points=points), [0, -12, 6], atol=0.3)
    halved = gain_db([100, 1000, 4000], curve="points", points=points, amount=0.5, shift_octaves=-1)
    np.testing.assert_allclose(halved, [0, -6, 3], atol=0.3)


@pytest.mark.parametrize("curve", sorted(CURVES))
def test_nothing_moves_in_time(curve):
    audio = speech_like(2, RATE)[np.newaxis].astype("f4")
    rolled = roll_off(audio, RATE, curve=curve, points=[], amount=1, shift_octaves=0)
    lag = int(np.argmax(scipy.signal.correlate(rolled[0], audio[0]))) - (audio.shape[1] - 1)
    assert abs(lag) <= 1  # a sample is 0.02 ms


def test_a_head_loses_54_6_db_per_wavelength_of_spacing():
    loss = head_loss_db(4760, speed_mm=47.6, spacing_um=10, gap_um=1e-6)  # a wavelength of 10 um
    assert loss == pytest.approx(-54.6)


@pytest.mark.parametrize("points", [[], [[100, 0], [50, -3]], [[0, 0]], [[100, 0], [100, -3]]])
def test_points_that_are_no_curve_are_said_in_one_line(points):
    with pytest.raises(ConfigError, match=r"roll_off: points .* are no curve; write \[\[hz, db\]"):
        gain_db([100], curve="points", points=points)
    with pytest.raises(ValueError, match="are no curve"):
        RollOff(curve="points", points=tuple(map(tuple, points)))


def test_points_without_their_curve_are_refused():
    with pytest.raises(ValueError, match="points belong to 'curve: points', not to 'academy'"):
        RollOff(points=((100, 0),))
