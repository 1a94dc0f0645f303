"""A stream that repairs hears the denoised sound and what came in, of the same moment, in every channel."""

import numpy as np
import pytest

import resound
from inference.test_streaming import RATE, Halver, noise, streamed
from resound.errors import ConfigError, ModelError
from resound.inference.repaired_stream import RepairedStream
from resound.inference.streaming import Stream


class Mixer(Halver):
    """A frame maker that gives three quarters of its first channel and a quarter of its second."""

    name = "mixer"

    def __init__(self, frame=96, late=130):
        super().__init__(frame, late, n_channels=2)

    def begin(self):
        return _Mixing(self)


class _Mixing:
    def __init__(self, maker):
        self.maker, self.past = maker, np.zeros((1, maker.latency_samples), np.float32)

    def step(self, frame):
        both = np.concatenate([self.past, 0.75 * frame[:1] + 0.25 * frame[1:]], axis=1)
        self.past = both[:, self.maker.frame_samples :]
        return both[:, : self.maker.frame_samples]


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_both_are_of_the_same_moment(n_channels, rate):
    sound = noise(20000, n_channels, rate)
    stream = RepairedStream(Stream(Halver(), sample_rate=rate, channels=n_channels), Mixer())
    out = streamed(stream, sound)
    late = stream.latency_samples
    assert out.shape == (n_channels, sound.shape[1] + late)
    expected = (0.75 * 0.5 + 0.25) * sound
    whole = slice(None, None if rate == RATE else -200)  # where the sound breaks off a resampler rings
    tolerance = 1e-6 if rate == RATE else 2e-3 * np.abs(sound).max()
    np.testing.assert_allclose(out[:, late:][:, whole], expected[:, whole], atol=tolerance)
    np.testing.assert_allclose(out[:, :late], 0, atol=tolerance)


def test_begun_anew_it_gives_the_same():
    sound = noise(5000)
    stream = RepairedStream(Stream(Halver(), sample_rate=RATE), Mixer())
    first = streamed(stream, sound)
    stream.process(sound[:, :1234])
    stream.reset()
    np.testing.assert_array_equal(streamed(stream, sound), first)


def test_what_was_heard_before_is_forgotten():
    sound, used = noise(5000), Stream(Halver(), sample_rate=RATE)
    used.process(noise(3000))
    fresh = RepairedStream(Stream(Halver(), sample_rate=RATE), Mixer())
    np.testing.assert_array_equal(streamed(RepairedStream(used, Mixer()), sound), streamed(fresh, sound))


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_strength_is_of_both_together(strength):
    sound = noise(20000)
    stream = RepairedStream(Stream(Halver(), sample_rate=RATE, strength=strength), Mixer())
    out = streamed(stream, sound)[:, stream.latency_samples :]
    repaired = (0.75 * 0.5 + 0.25) * sound
    np.testing.assert_allclose(out, sound + strength * (repaired - sound), atol=1e-6)


def test_strength_may_be_set_while_it_runs():
    sound = noise(20000)
    stream = RepairedStream(Stream(Halver(), sample_rate=RATE), Mixer())
    first = stream.process(sound[:, :10000])
    stream.strength = 0.0
    out = np.concatenate([first, stream.process(sound[:, 10000:])], axis=1)
    late, heard = stream.latency_samples, sound[:, : 20000 - stream.latency_samples]
    np.testing.assert_allclose(out[:, 12000:], heard[:, 12000 - late :], atol=1e-6)  # after the ramp
    np.testing.assert_allclose(out[:, late:10000], 0.625 * heard[:, : 10000 - late], atol=1e-6)
    with pytest.raises(ConfigError, match="strength is 2"):
        stream.strength = 2


def test_flat_samples_come_out_flat():
    stream = RepairedStream(Stream(Halver(), sample_rate=RATE), Mixer())
    assert stream.process(noise(1000)[0]).shape == (1000,)


def test_what_is_no_sound_reaches_neither_network():
    stream = RepairedStream(Stream(Halver(), sample_rate=RATE), Mixer())
    sound = noise(5000)
    sound[0, 700], sound[0, 900] = np.nan, 1e9
    out = streamed(stream, sound)
    assert np.isfinite(out).all()
    assert np.abs(out).max() < 1
    assert (stream.n_silenced, stream.n_restarts) == (2, 0)


def test_a_promised_block_lowers_the_delay_and_is_held():
    free, promised = (
        RepairedStream(Stream(Halver(), sample_rate=RATE, block_samples=size), Mixer()) for size in (1, 480)
    )
    assert promised.latency_samples < free.latency_samples
    with pytest.raises(ConfigError, match="no multiple"):
        promised.process(np.zeros((1, 100)))


@pytest.mark.parametrize("model", [Halver(), "voice"])
def test_what_repairs_nothing_is_told(model):
    name = getattr(model, "name", model)
    with pytest.raises(ModelError, match=f"{name}: repairs nothing; give timbre, or a network that takes a denoiser's"):
        resound.RepairedStream(Stream(Halver()), model)
