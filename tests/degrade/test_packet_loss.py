import numpy as np
import pytest

from resound.degrade.packet_loss import lose_packets, lost_packets
from resound.errors import ConfigError

RATE = 16000
FRAME = 320
LOSS = {"percent": 10.0, "burst_packets": 2.0, "frame_ms": 20.0, "concealment": "zero", "seed": 4}


def runs(lost: np.ndarray) -> np.ndarray:
    edges = np.flatnonzero(np.diff(lost, prepend=False, append=False)).reshape(-1, 2)
    return edges[:, 1] - edges[:, 0]


@pytest.mark.parametrize(("percent", "burst"), [(2, 1), (10, 3), (50, 4)])
def test_as_many_packets_are_lost_in_bursts_as_long_as_asked(percent, burst):
    lost = lost_packets(60000, percent, burst, np.random.default_rng(0))
    assert np.mean(lost) == pytest.approx(percent / 100, rel=0.06)
    assert np.mean(runs(lost)) == pytest.approx(burst, rel=0.06)


def test_lost_frames_are_silent_and_the_others_untouched():
    audio = 1 + np.random.default_rng(0).random((2, 300 * FRAME)).astype("f4")
    out = lose_packets(audio, RATE, **LOSS).reshape(2, 300, FRAME)
    lost = lost_packets(300, 10, 2, np.random.default_rng(4))
    assert 0 < lost.sum() < 100
    assert np.all(out[:, lost] == 0)
    np.testing.assert_array_equal(out[:, ~lost], audio.reshape(2, 300, FRAME)[:, ~lost])


def test_a_repeated_frame_is_the_last_one_heard_fading_over_60_ms():
    audio = np.random.default_rng(0).standard_normal((1, 400 * FRAME)).astype("f4")
    settings = LOSS | {"concealment": "repeat", "burst_packets": 4.0}
    out = lose_packets(audio, RATE, **settings)[0].reshape(400, FRAME)
    lost = lost_packets(400, 10, 4, np.random.default_rng(4))
    frames = audio[0].reshape(400, FRAME)
    first = next(i for i in range(1, 396) if lost[i : i + 4].all() and not lost[i - 1])
    fade = np.maximum(0, 1 - np.arange(4 * FRAME) / (0.06 * RATE)).reshape(4, FRAME)
    np.testing.assert_allclose(out[first : first + 4], frames[first - 1] * fade, atol=1e-6)
    assert np.all(out[first + 3] == 0)


def test_the_repetition_blends_into_the_next_frame():
    audio = np.ones((1, 200 * FRAME), "f4")
    settings = LOSS | {"concealment": "repeat", "burst_packets": 1.0}
    out = lose_packets(audio, RATE, **settings)[0]
    lost = lost_packets(200, 10, 1, np.random.default_rng(4))
    assert lost.sum() > 5 and out.min() > 0.6
    assert np.abs(np.diff(out)).max() < 0.02  # no step, where cutting back would be one of a third


def test_a_loss_that_cannot_be_is_said_in_one_line():
    with pytest.raises(ConfigError, match=r"packet_loss: 80 % cannot be lost in bursts of 1; lower percent or raise"):
        lose_packets(np.zeros((1, 1000), "f4"), RATE, **LOSS | {"percent": 80.0, "burst_packets": 1.0})
