import numpy as np
import pytest
import scipy.ndimage

from resound.degrade.dropout import drop_out

RATE = 8000


def falls(per_minute: float, depth_db: float, length_ms: float, seconds: int = 1200) -> np.ndarray:
    """Return the gain in dB over time of a constant."""
    audio = np.ones((1, seconds * RATE), "f4")
    dropped = drop_out(audio, RATE, per_minute=per_minute, depth_db=depth_db, length_ms=length_ms, seed=3)
    return 20 * np.log10(dropped[0])


def test_dropouts_come_as_often_as_asked():
    _, n_found = scipy.ndimage.label(falls(30, 12, 40) < -0.01)
    assert n_found == pytest.approx(600, abs=3 * np.sqrt(600))


def test_they_are_as_long_and_as_deep_as_asked():
    db = falls(6, 20, 50)
    labels, n_found = scipy.ndimage.label(db < -0.01)
    places = range(1, n_found + 1)
    lengths_ms = scipy.ndimage.sum_labels(labels > 0, labels, places) / RATE * 1000
    depths_db = -np.asarray(scipy.ndimage.minimum(db, labels, places))
    assert np.mean(lengths_ms) == pytest.approx(50, rel=0.1)
    assert lengths_ms.min() > 22 and lengths_ms.max() < 80  # 0.5 to 1.5 times, the first 0.01 dB not seen
    assert np.mean(depths_db) == pytest.approx(15, rel=0.05)
    assert depths_db.min() > 9.9 and depths_db.max() < 20.1


def test_the_treble_falls_twice_as_deep():
    rate = 48000
    time = np.arange(rate * 20) / rate
    lowest_db = []
    for hz in (200, 12000):
        audio = np.exp(2j * np.pi * hz * time)
        both = np.stack([audio.real, audio.imag]).astype("f4")
        dropped = drop_out(both, rate, per_minute=6, depth_db=12, length_ms=100, seed=1)
        lowest_db.append(20 * np.log10(np.hypot(*dropped).min()))
    assert lowest_db[1] == pytest.approx(2 * lowest_db[0], rel=0.05)


def test_edges_are_smooth_and_the_rest_is_untouched():
    audio = np.random.default_rng(0).standard_normal((1, 60 * RATE)).astype("f4")
    dropped = drop_out(audio, RATE, per_minute=30, depth_db=30, length_ms=40, seed=2)
    assert 0.01 < np.mean(dropped != audio) < 0.03
    db = falls(30, 30, 40, 60)
    assert np.abs(np.diff(db)).max() < 1.0  # dB a sample


def test_channels_drop_together():
    audio = np.ones((3, 10 * RATE), "f4")
    dropped = drop_out(audio, RATE, per_minute=60, depth_db=30, length_ms=40, seed=2)
    assert (dropped < 0.5).any()
    np.testing.assert_array_equal(dropped[0], dropped[2])
