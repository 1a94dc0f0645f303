"""The user's own recordings, and a few examples, are restored at every validation, in a way that can be compared."""

import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from matplotlib.image import imread  # noqa: E402

from resound.errors import InputError  # noqa: E402
from resound.mixing.example import Example  # noqa: E402
from resound.models.network import Network, NetworkConfig  # noqa: E402
from resound.training.fit import train  # noqa: E402
from resound.training.listening import Listening, own_sound, sound_of  # noqa: E402
from resound.training.recordings import Recording, names_apart, read_recordings  # noqa: E402
from resound.training.trackers.tracker import NoTracker  # noqa: E402
from signals import noise, speech_like  # noqa: E402

RATE = 8000


def tone(frequency_hz, seconds, rate):
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate)


class Given:
    """Examples that are given, as a cache of them."""

    sample_rate = RATE

    def __init__(self, *examples):
        self._examples = examples
        self.n_examples = len(examples)

    def example(self, epoch, index):
        return self._examples[index]


class Times(Network):
    """Gives each source as a factor of the first channels of the input."""

    def __init__(self, *factors, n_channels=1):
        super().__init__(NetworkConfig(sample_rate=RATE, n_channels=n_channels, n_sources=len(factors)))
        self.factors = factors

    def process(self, waveform):
        channels = [waveform[:, min(index, waveform.shape[1] - 1)] for index in range(len(self.factors))]
        return torch.stack([factor * channel for factor, channel in zip(self.factors, channels, strict=True)], dim=1)


class Voices(Network):
    """Gives the parts below and above 1 kHz, at levels and in an order of its own."""

    def __init__(self, *, swapped=False):
        super().__init__(NetworkConfig(sample_rate=RATE, n_sources=2))
        self.swapped = swapped

    def process(self, waveform):
        spectrum = torch.fft.rfft(waveform[:, 0])
        low = torch.arange(spectrum.shape[-1]) < spectrum.shape[-1] / 4
        parts = [torch.fft.irfft(spectrum * mask, n=waveform.shape[-1]) for mask in (low, ~low)]
        return torch.stack([0.3 * parts[1], 3 * parts[0]] if self.swapped else [5 * parts[0], parts[1]], dim=1)


class Told(NoTracker):
    def __init__(self):
        self.names = []

    def log_sound(self, step, name, path):
        assert soundfile.info(path).samplerate == RATE
        self.names.append((step, name))

    def log_picture(self, step, name, path):
        assert imread(path).ndim == 3
        self.names.append((step, name))


def recording(samples, name="film.wav"):
    from pathlib import Path

    return Recording(Path(name), np.atleast_2d(samples).astype(np.float32), 0.0)


def listen(plan, tmp_path, network, *recordings, examples=(), task="enhance", steps=(4,), **sizes):
    """Let a network be heard, and return the folder and what a tracker was told."""
    config = plan(*(f"config.{key}={value}" for key, value in sizes.items()), task=task)
    listening, told = Listening(config, tmp_path, Given(*examples), list(recordings)), Told()
    for step in steps:
        listening(network, torch.device("cpu"), step, told)
    return tmp_path / "listen", told.names


def heard(path):
    samples, rate = soundfile.read(path, always_2d=True)
    assert rate == RATE
    return samples.T


def enhanced_example(scale=0.3):
    clean = scale * speech_like(1, RATE, seed=1)[None].astype(np.float32)
    degraded = clean + noise(1, RATE, rms=0.05, seed=2)[None].astype(np.float32)
    return Example(degraded, clean, RATE, RATE / 2, "speech")


# What is read


@pytest.mark.parametrize(("rate", "n_channels", "suffix"), [(44100, 2, "wav"), (11025, 1, "flac"), (48000, 6, "wav")])
def test_recordings_of_any_rate_and_width_come_at_the_networks_rate(tmp_path, rate, n_channels, suffix):
    path = tmp_path / f"film.{suffix}"
    soundfile.write(path, np.repeat(tone(440, 2, rate)[:, None], n_channels, axis=1), rate)
    [read] = read_recordings([path], RATE)
    assert read.samples.shape == (n_channels, 2 * RATE)
    spectrum = np.abs(np.fft.rfft(read.samples[0]))
    assert np.argmax(spectrum) / 2 == pytest.approx(440, abs=1)


def test_the_sound_of_a_video_is_read(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        samples = tone(300, 3, 48000).astype(np.float32)
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    [read] = read_recordings([tmp_path / "clip.mp4"], RATE)
    assert read.samples.shape[1] == pytest.approx(3 * RATE, abs=0.1 * RATE)


def test_an_excerpt_begins_with_the_sound_and_lasts_ten_seconds(tmp_path):
    soundfile.write(tmp_path / "film.wav", np.concatenate([np.zeros(20 * RATE), tone(440, 15, RATE)]), RATE)
    soundfile.write(tmp_path / "late.wav", np.concatenate([np.zeros(20 * RATE), tone(440, 2, RATE)]), RATE)
    early, late = read_recordings([tmp_path / "film.wav", tmp_path / "late.wav"], RATE)
    assert early.start_seconds == pytest.approx(20, abs=0.01)
    assert early.samples.shape == late.samples.shape == (1, 10 * RATE)
    assert late.start_seconds == 12  # as much as there is before, for the length


def test_what_cannot_be_read_is_one_line_before_the_first_step(tmp_path, plan, shown):
    (tmp_path / "film.wav").write_bytes(b"no sound at all")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    for name, why in (("film.wav", "is text"), ("empty.wav", "holds no samples"), ("gone.wav", "does not exist")):
        with pytest.raises(InputError, match=why) as caught:
            train(plan(f"listen=[{tmp_path / name}]"), tmp_path / "run", shown)
        assert str(caught.value).startswith("listen: ")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_recording_is_found_again_from_wherever_a_run_goes_on(tmp_path, plan, monkeypatch):
    soundfile.write(tmp_path / "film.wav", tone(440, 1, RATE), RATE)
    monkeypatch.chdir(tmp_path)
    assert plan("listen=[film.wav]").listen == [tmp_path / "film.wav"]


def test_names_that_collide_are_told_apart():
    from pathlib import Path

    paths = [Path(name) for name in ("a/film.wav", "b/Film.flac", "film-2.wav", "example-0.wav")]
    assert names_apart(paths, ["example-0"]) == ["film", "Film-2", "film-2-2", "example-0-2"]


def test_a_recording_named_twice_is_heard_once(tmp_path):
    soundfile.write(tmp_path / "film.wav", tone(440, 1, RATE), RATE)
    assert len(read_recordings([tmp_path / "film.wav", tmp_path / "film.wav"], RATE)) == 1


# What is written


def test_a_run_restores_the_users_recordings_at_every_validation(tmp_path, plan, shown):
    soundfile.write(tmp_path / "film, part 1.wav", np.stack([tone(440, 2, 22050), tone(300, 2, 22050)], 1), 22050)
    config = plan("training.steps=4", "training.validate_every=2", f'listen=["{tmp_path / "film, part 1.wav"}"]')
    train(config, tmp_path / "run", shown)
    for step in ("step-000002", "step-000004"):
        names = {path.name for path in (tmp_path / "run/listen" / step).iterdir()}
        assert names == {"example-0.flac", "example-0.png", "film, part 1.flac", "film, part 1.png"}
        assert heard(tmp_path / "run/listen" / step / "film, part 1.flac").shape == (2, 2 * RATE)


def test_sounds_have_one_gain_from_the_first_step_to_the_last(tmp_path, plan):
    loud, quiet = recording(tone(440, 1, RATE) * 0.9), recording(tone(440, 1, RATE) * 0.01, "quiet.wav")
    folder, _ = listen(plan, tmp_path, Times(0.5), loud, quiet, examples=[enhanced_example()])
    peaks = {path.stem: np.abs(heard(path)).max() for path in [*folder.glob("*.flac"), *folder.glob("*/*.flac")]}
    assert peaks["film_degraded"] == pytest.approx(0.5, abs=0.01)
    assert peaks["film"] == pytest.approx(0.25, abs=0.01)
    assert peaks["quiet_degraded"] == pytest.approx(0.01, abs=1e-3)
    told = json.loads((folder / "sounds.json").read_text())
    assert told["film"]["gain_db"] == pytest.approx(20 * np.log10(0.5 / 0.9), abs=0.05)
    assert told["quiet"]["gain_db"] == 0
    assert told["example-0"]["source"] == "validation, speech"
    out, given = heard(folder / "step-000004/example-0.flac"), heard(folder / "example-0_degraded.flac")
    np.testing.assert_allclose(out, given / 2, atol=1 / 32768)


def test_what_overshoots_by_six_decibels_is_not_clipped(tmp_path, plan):
    folder, _ = listen(plan, tmp_path, Times(1.99), recording(tone(440, 1, RATE)))
    out = heard(folder / "step-000004/film.flac")
    assert np.mean(np.abs(out) > 0.999) < 0.01
    assert np.abs(out).max() == pytest.approx(0.995, abs=0.01)


@pytest.mark.parametrize("samples", [np.zeros(RATE), noise(0.01, RATE, seed=1), np.ones(1)])
def test_silence_and_a_blink_are_drawn_and_written(tmp_path, plan, samples):
    folder, _ = listen(plan, tmp_path, Times(1.0), recording(samples))
    assert heard(folder / "step-000004/film.flac").shape == (1, len(samples))
    if not samples.any():  # then the picture is dark, not all aglow
        inside = imread(folder / "step-000004/film.png")[200:600, 200:800, :3]
        assert np.median(inside) < 0.1


def test_a_mono_network_restores_both_channels_of_stereo(tmp_path, plan):
    stereo = np.stack([tone(440, 1, RATE), 0.1 * tone(300, 1, RATE)])
    folder, _ = listen(plan, tmp_path, Times(0.5), recording(stereo))
    degraded, out = heard(folder / "film_degraded.flac"), heard(folder / "step-000004/film.flac")
    np.testing.assert_allclose(out, degraded / 2, atol=1 / 32768)
    assert out.shape[0] == 2


def test_a_network_for_stereo_gets_stereo_and_mono_on_both_channels(tmp_path, plan):
    config = plan("config.n_channels=2", "config.n_sources=2")
    stereo = np.stack([tone(440, 1, RATE), tone(300, 1, RATE)])
    assert [fed.shape for fed in own_sound(recording(stereo), RATE, config).fed] == [(2, RATE)]
    mono = own_sound(recording(stereo[0]), RATE, config)
    np.testing.assert_array_equal(mono.fed[0][0], mono.fed[0][1])
    folder, _ = listen(plan, tmp_path, Times(1, 0.5, n_channels=2), recording(stereo), n_channels=2, n_sources=2)
    out = heard(folder / "step-000004/film.flac")
    assert np.abs(out).max(axis=1) == pytest.approx([0.5, 0.25], abs=0.02)


def test_of_channels_that_a_network_gets_beside_the_first_one_is_heard(tmp_path, plan):
    plain = enhanced_example()
    beside = Example(np.concatenate([plain.degraded, plain.clean]), plain.clean, RATE, RATE / 2, "speech")
    np.testing.assert_array_equal(sound_of(beside).given, plain.degraded)
    network = Times(0.5, n_channels=2)
    folder, _ = listen(plan, tmp_path, network, recording(tone(440, 1, RATE)), examples=[beside], n_channels=2)
    assert heard(folder / "step-000004/example-0.flac").shape == (1, RATE)
    assert heard(folder / "step-000004/film.flac").shape == (1, RATE)


# Separation


@pytest.fixture
def mixture():
    low, high = 0.4 * tone(300, 1, RATE), 0.1 * tone(2500, 1, RATE)
    clean = np.stack([low, high]).astype(np.float32)
    return Example(clean.sum(axis=0, keepdims=True), clean, RATE, RATE / 2, "speech")


def test_all_sources_are_written_in_their_order_and_at_their_level(tmp_path, plan, mixture):
    folder, told = listen(plan, tmp_path, Voices(swapped=True), examples=[mixture], task="separate")
    for number, clean in enumerate(mixture.clean, start=1):
        np.testing.assert_allclose(heard(folder / f"step-000004/example-0_{number}.flac")[0], clean, atol=1e-3)
        np.testing.assert_allclose(heard(folder / f"example-0_clean_{number}.flac")[0], clean, atol=1e-3)
    names = ["mixture", "clean_1", "clean_2", "voice_1", "voice_2", "picture"]
    assert told == [(4, f"example-0/{name}") for name in names]
    assert {path.name for path in folder.glob("*.flac")} == {
        "example-0_mixture.flac", "example-0_clean_1.flac", "example-0_clean_2.flac"
    }  # fmt: skip


def test_voices_of_a_recording_keep_their_order_from_one_validation_to_the_next(tmp_path, plan, mixture):
    network = Voices()
    film = recording(np.repeat(mixture.degraded, 2, axis=0))
    config = plan(task="separate")
    listening = Listening(config, tmp_path, Given(), [film])
    for step, swapped in ((4, False), (8, True)):
        network.swapped = swapped
        listening(network, torch.device("cpu"), step, NoTracker())
    for number in (1, 2):
        one, other = (heard(tmp_path / f"listen/step-00000{step}/film_{number}.flac") for step in (4, 8))
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_network_goes_on_training_as_it_was(tmp_path, plan):
    network = Times(1.0).train()
    listen(plan, tmp_path, network, recording(tone(440, 1, RATE)), steps=(4, 8))
    assert network.training
