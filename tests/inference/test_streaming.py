"""A stream gives as many samples as it gets, late by what it says, and is the offline result to the last sample."""

import numpy as np
import pytest

from resound.dsp.resampling import Conversion
from resound.errors import ConfigError, ModelError
from resound.inference.streaming import Stream

RATE = 16000


class Halver:
    """A frame maker that gives half of what it gets, ``late`` samples later."""

    name, sample_rate, n_channels, n_sources = "halver", RATE, 1, 1

    def __init__(self, frame=160, late=200, n_channels=1, n_sources=1):
        self.frame_samples, self.latency_samples = frame, late
        self.n_channels, self.n_sources = n_channels, n_sources

    def begin(self):
        return _Halving(self)


class _Halving:
    def __init__(self, maker):
        self.maker, self.past = maker, np.zeros((maker.n_sources, maker.latency_samples), np.float32)

    def step(self, frame):
        assert frame.shape == (self.maker.n_channels, self.maker.frame_samples)
        assert np.isfinite(frame).all()
        if np.abs(frame).max() > 50:  # lost
            return np.full((self.maker.n_sources, self.maker.frame_samples), np.nan, np.float32)
        both = np.concatenate([self.past, 0.5 * frame[: self.maker.n_sources]], axis=1)
        self.past = both[:, self.maker.frame_samples :]
        return both[:, : self.maker.frame_samples]


def streamed(stream, sound, seed=0, most=700):
    """Return all that comes out for random blocks, flushed."""
    rng, parts, start = np.random.default_rng(seed), [], 0
    while start < sound.shape[1]:
        block = sound[:, start : start + int(rng.integers(0, most))]
        parts.append(stream.process(block))
        assert parts[-1].shape == (stream.n_channels_out, block.shape[1])
        start += block.shape[1]
    return np.concatenate([*parts, stream.flush()], axis=1)


def noise(n_samples=20000, n_channels=1, rate=RATE):
    """Noise below the end of the band of a model at 16 kHz."""
    from scipy.signal import firwin, lfilter

    sound = np.random.default_rng(5).standard_normal((n_channels, n_samples)) / 10
    return lfilter(firwin(255, min(3000 / (rate / 2), 0.9)), 1, sound)


@pytest.mark.parametrize("late", [0, 200, 160])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_same_number_comes_out_late_by_what_is_stated(late, n_channels):
    sound = noise(n_channels=n_channels)
    stream = Stream(Halver(late=late), channels=n_channels)
    assert stream.latency_samples == late + 159
    out = streamed(stream, sound)
    np.testing.assert_array_equal(out[:, : stream.latency_samples], 0)
    np.testing.assert_allclose(out[:, stream.latency_samples :], 0.5 * sound, atol=1e-7)


def test_blocks_of_whole_frames_wait_for_nothing_but_the_model():
    assert Stream(Halver(late=200), block_samples=160).latency_samples == 200
    assert Stream(Halver(late=200), block_samples=80).latency_samples == 280
    with pytest.raises(ConfigError, match="100 samples are no multiple of the 80 that were promised"):
        Stream(Halver(), block_samples=80).process(np.zeros(100))


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_other_rates_are_resampled_inside(rate):
    sound = noise(3 * rate, 2, rate)
    stream = Stream(Halver(), sample_rate=rate, channels=2)
    out = streamed(stream, sound)[:, stream.latency_samples :]
    assert out.shape == sound.shape
    edge = rate // 50
    np.testing.assert_allclose(out[:, edge:-edge], 0.5 * sound[:, edge:-edge], atol=5e-5)
    assert stream.latency_seconds < 0.0225 + 2 * 75 / min(rate, RATE)  # model, frame, and half a filter twice


def test_what_lies_above_the_models_band_is_kept():
    high = np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000)[None]
    stream = Stream(Halver(), sample_rate=48000)
    out = streamed(stream, high)[:, stream.latency_samples :]
    np.testing.assert_allclose(out[:, 1000:-1000], high[:, 1000:-1000], atol=1e-4)


def test_at_strength_0_what_comes_out_is_what_came_in():
    sound = noise()
    stream = Stream(Halver(), strength=0.0)
    np.testing.assert_array_equal(streamed(stream, sound)[:, stream.latency_samples :], sound)


def test_strength_changes_while_it_runs_without_a_click():
    stream, sound = Stream(Halver(), strength=0.0), np.ones((1, 16000))
    before = stream.process(sound)
    stream.strength = 1.0
    after = stream.process(sound)
    out = np.concatenate([before, after], axis=1)[0, stream.latency_samples :]
    assert out[0] == 1.0
    assert out[-1] == pytest.approx(0.5, abs=1e-6)
    assert np.abs(np.diff(out)).max() <= 0.5 / (0.02 * RATE) * 1.01  # half of a gain of 1 in 20 ms


def test_reduction_is_limited():
    stream = Stream(Halver(), max_reduction_db=3.0)
    out = streamed(stream, noise())[:, stream.latency_samples :]
    kept = 10 ** (-3 / 20)
    np.testing.assert_allclose(out, (kept + (1 - kept) * 0.5) * noise(), atol=1e-7)


def test_what_is_no_sound_is_silent_and_counted():
    sound = noise()
    sound[0, [300, 301, 5000]] = [np.nan, np.inf, 1e30]
    stream = Stream(Halver())
    out = streamed(stream, sound)[:, stream.latency_samples :]
    assert (stream.n_silenced, np.isfinite(out).all()) == (3, True)
    np.testing.assert_allclose(out[:, 6000:], 0.5 * sound[:, 6000:], atol=1e-7)


def test_a_model_that_lost_itself_begins_anew():
    sound = noise()
    sound[0, 8000:8160] = 100.0  # which this one does not survive
    stream = Stream(Halver(late=0))
    out = streamed(stream, sound)[:, stream.latency_samples :]
    assert stream.n_restarts == 1
    np.testing.assert_allclose(out[:, 8160:], 0.5 * sound[:, 8160:], atol=1e-7)
    np.testing.assert_allclose(out[:, 8000:8160], sound[:, 8000:8160])  # as it came


def test_one_stream_after_another():
    stream, sound = Stream(Halver()), noise()
    first = streamed(stream, sound)
    np.testing.assert_array_equal(streamed(stream, sound, seed=9), first)


def test_several_channels_of_one_model():
    stream = Stream(Halver(n_channels=2, n_sources=1))
    assert (stream.n_channels, stream.n_channels_out) == (2, 1)
    sound = noise(n_channels=2)
    np.testing.assert_allclose(streamed(stream, sound)[:, stream.latency_samples :], 0.5 * sound[:1], atol=1e-7)


def test_flat_in_flat_out():
    assert Stream(Halver()).process(np.zeros(100)).shape == (100,)


@pytest.mark.slow
def test_ten_minutes_do_not_drift():
    stream, sound = Stream(Halver(frame=1600), sample_rate=8000), noise(600 * 8000, 1, 8000)
    out = streamed(stream, sound, most=20000)[:, stream.latency_samples :]
    np.testing.assert_allclose(out[:, -8000:-500], 0.5 * sound[:, -8000:-500], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 0}, "sample rate is 0 Hz"),
        ({"sample_rate": 44100.5}, "sample rate is 44100.5 Hz"),
        ({"channels": 0}, "channels is 0; give 1 to"),
        ({"strength": 2.0}, "strength is 2.0; give 0"),
        ({"max_reduction_db": -1.0}, "max reduction is -1.0 dB; give 0 to 60"),
        ({"block_samples": 0}, "block_samples is 0"),
    ],
)
def test_wrong_settings_are_told(settings, message):
    with pytest.raises(ConfigError, match=message):
        Stream(Halver(), **settings)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((3, 100)), r"samples have shape \(3, 100\); give \(2, time\)"),
        (np.zeros(100), r"samples have shape \(100,\); give \(2, time\)"),
        (np.zeros((2, 100), np.int16), "samples are int16; convert them"),
    ],
)
def test_wrong_samples_are_told(samples, message):
    with pytest.raises(ConfigError, match=message):
        Stream(Halver(), channels=2).process(samples)


def test_models_that_cannot_stream_are_told(tmp_path):
    with pytest.raises(ModelError, match="'classic' looks at seconds of what follows"):
        Stream("classic")
    with pytest.raises(ModelError, match="no such model file"):
        Stream(tmp_path / "none.onnx")
    with pytest.raises(ConfigError, match="takes 2 channels, not 1"):
        Stream(Halver(n_channels=2), channels=1)
    with pytest.raises(ConfigError, match="separates into 2 voices"):
        Stream(Halver(n_channels=1, n_sources=2))


@pytest.mark.parametrize(
    ("model_rate", "frame", "rate", "block"),
    [(48000, 480, 44100, 1024), (48000, 480, 48000, 1001), (16000, 256, 44101, 441), (16000, 160, 22050, 1)],
)
def test_the_stated_delay_holds_wherever_blocks_and_frames_meet(model_rate, frame, rate, block):
    maker = Halver(frame, late=frame)
    maker.sample_rate = model_rate
    stream = Stream(maker, sample_rate=rate, block_samples=block)
    there, back = Conversion.of(rate, model_rate), Conversion.of(model_rate, rate)
    n_in = block * np.arange(300 * rate // block)
    n_out = back.n_after(np.maximum(there.n_after(n_in) // frame * frame - frame, 0))
    assert np.max(n_in - n_out) == stream.latency_samples


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_the_top_of_a_recording_at_a_lower_rate_is_restored_too(rate):
    maker = Halver(480)
    maker.sample_rate = 48000
    sound = np.sin(np.pi * 0.97 * np.arange(rate))[None]  # of a stream's band this is beyond the flat part
    stream, recording = (Stream(maker, sample_rate=rate, whole=whole) for whole in (False, True))
    left = [
        np.abs(np.concatenate([each.process(sound), each.flush()], axis=1)[0, rate // 2 : rate // 2 + 500]).max()
        for each in (stream, recording)
    ]
    assert left[0] > 0.9 and left[1] < 0.51
    assert stream.latency_samples < recording.latency_samples


def test_a_delay_of_more_than_a_second_is_stated():
    assert Stream(Halver(late=2 * RATE)).latency_samples == 2 * RATE + 159


def test_a_stream_of_promised_blocks_can_be_flushed():
    stream = Stream(Halver(), sample_rate=22050, block_samples=220)
    assert stream.latency_samples % 220
    whole = np.concatenate([stream.process(np.ones((1, 4400))), stream.flush()], axis=1)
    assert whole.shape == (1, 4400 + stream.latency_samples)
    np.testing.assert_allclose(whole[0, stream.latency_samples + 1000 : -1000], 0.5, atol=1e-4)


def test_a_long_block_is_worked_on_in_parts(monkeypatch):
    sound = noise(5000, 2)
    whole = Stream(Halver(), channels=2).process(sound)
    monkeypatch.setattr("resound.inference.streaming.PART_SAMPLES", 700)
    np.testing.assert_array_equal(Stream(Halver(), channels=2).process(sound), whole)


def test_restarts_are_counted_over_a_flush():
    stream = Stream(Halver())
    stream.process(np.full(160, 99.0))
    stream.flush()
    stream.process(np.full(160, 99.0))
    assert stream.n_restarts == 2


@pytest.mark.parametrize("rate", [np.int64(44100), 44100.0])
def test_a_rate_may_be_any_whole_number(rate):
    assert isinstance(Stream(Halver(), sample_rate=rate).sample_rate, int)


def test_flat_samples_are_of_one_channel():
    with pytest.raises(ConfigError, match=r"give \(3, time\)"):
        Stream(Halver(), channels=3).process(np.zeros(100))
