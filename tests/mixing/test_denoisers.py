"""Denoisers whose programs are small scripts on PATH, made here."""

import os
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from resound.errors import ConfigError, InputError, ModelError
from resound.mixing.denoisers import DenoiserConfig, denoise, open_denoiser
from signals import speech_like

RATE = 48000
READ = """
import sys, wave
import numpy as np
source, target = sys.argv[-2:]
with wave.open(source) as file:
    form = file.getparams()
    sound = np.frombuffer(file.readframes(form.nframes), "<i2").reshape(-1, form.nchannels).astype(float)
"""
WRITE = """
with wave.open(target, "w") as file:
    file.setparams(form._replace(nframes=len(sound)))
    file.writeframes(np.round(np.clip(sound, -32768, 32767)).astype("<i2").tobytes())
"""
# 480 samples late, a low-pass of 201 symmetric taps (100 of the 480) at 6 kHz, and no noise below some level
LATE = """
time = np.arange(-100, 101)
taps = np.sinc(2 * 6000 / 48000 * time) * np.hanning(201)
taps /= taps.sum()
filtered = np.stack([np.convolve(channel, taps)[:len(sound)] for channel in sound.T], axis=1)
sound = np.concatenate([np.zeros((380, form.nchannels)), filtered])[:len(sound)]
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch):
    """Return a function that puts a Python script on PATH."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return put


def opened(word: str, **settings):
    return open_denoiser(DenoiserConfig(**{"with": word}, **settings))


def noisy_speech(rate: int = RATE, seconds: float = 1.5, n_channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(1)
    sound = np.stack([speech_like(seconds, rate, seed=number) for number in range(n_channels)])
    return (sound + 0.01 * rng.standard_normal(sound.shape)).astype(np.float32)


def low_passed(audio: np.ndarray) -> np.ndarray:
    taps = np.sinc(2 * 6000 / 48000 * np.arange(-100, 101)) * np.hanning(201)
    return np.stack([np.convolve(channel, taps / taps.sum())[100:-100] for channel in audio])


@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_delay_of_a_program_is_found_and_removed_to_the_sample(program, n_channels):
    program("late", READ + LATE + WRITE)
    audio = noisy_speech(n_channels=n_channels)
    before = audio.copy()
    done = denoise(opened("late {in} {out}"), audio, RATE)
    assert done.delay.samples == 480
    assert done.is_sure
    assert done.audio.shape == audio.shape
    # to 16 bits twice, tail included: the program was given silence after the end, so that nothing was lost
    np.testing.assert_allclose(done.audio, low_passed(audio), atol=5e-5)
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize("late", [0, 1, 902, 1440])
def test_any_delay_within_reach_is_removed(program, late):
    program("late", READ + f"sound = np.concatenate([np.zeros(({late}, form.nchannels)), sound])" + WRITE)
    audio = noisy_speech()
    done = denoise(opened("late {in} {out}"), audio, RATE)
    assert done.delay.samples == late
    np.testing.assert_allclose(done.audio, audio, atol=2e-5)


def test_a_program_that_cuts_its_delay_off_the_beginning_is_put_back(program):
    program("early", READ + "sound = sound[300:]" + WRITE)
    audio = noisy_speech()
    done = denoise(opened("early {in} {out}"), audio, RATE)
    assert done.delay.samples == -300
    np.testing.assert_allclose(done.audio[:, 300:], audio[:, 300:], atol=2e-5)


def test_deep_filter_is_called_as_it_wants_to_be(program):
    # Its own command line: options, -o and a folder, the file; what it writes has the file's name.
    program(
        "deep-filter",
        "import sys, os\n"
        "assert sys.argv[1:4] == ['--pf', '-a', '12'] and sys.argv[4] == '-o', sys.argv\n"
        "sys.argv = [sys.argv[0], sys.argv[6], os.path.join(sys.argv[5], os.path.basename(sys.argv[6]))]\n"
        + READ
        + "assert form.framerate == 48000\n"
        + LATE
        + WRITE,
    )
    audio = noisy_speech(16000)
    done = denoise(opened("deep-filter", options=["--pf", "-a", "12"]), audio, 16000)
    assert done.delay.samples == 160
    assert done.audio.shape == audio.shape


def test_what_comes_back_as_silence_is_unsure_and_not_moved(program):
    program("mute", READ + "sound *= 0" + WRITE)
    done = denoise(opened("mute {in} {out}"), noisy_speech(), RATE)
    assert not done.is_sure
    assert done.delay.confidence == 0
    assert not done.audio.any()


def test_what_comes_back_as_something_else_is_unsure_and_not_moved(program):
    program("other", READ + "sound = 1000 * np.random.default_rng(3).standard_normal(sound.shape)" + WRITE)
    done = denoise(opened("other {in} {out}"), noisy_speech(), RATE)
    assert not done.is_sure
    expected = np.round(1000 * np.random.default_rng(3).standard_normal(done.audio.shape[1] + 4800))
    np.testing.assert_allclose(done.audio[0] * 32768, expected[: done.audio.shape[1]], atol=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('no model')", r"bad: failed with status 1 \(no model\); run it by hand and see"),
        ("", "bad: wrote nothing; run it by hand on one file and see"),
        (READ + "open(target, 'w').close()", "bad: wrote nothing"),
        (READ + "open(target, 'w').write('text' * 99)", r"bad: what it wrote is text, not sound"),
        (READ + "sound = sound[:1000]" + WRITE, r"bad: gave 0.02 s for 1.60 s; look at its options"),
        (
            READ + "sound = np.repeat(sound, 2, 1); form = form._replace(nchannels=2)" + WRITE,
            "bad: gave 2 channels for 1",
        ),
    ],
)
def test_a_program_that_does_not_do_its_work_is_one_line(program, text, message):
    program("bad", text)
    with pytest.raises(InputError, match=message) as error:
        denoise(opened("bad {in} {out}"), noisy_speech(), RATE)
    assert "\n" not in str(error.value)


def is_alive(status: Path) -> bool:
    """Return whether a process is neither gone nor dead and waiting to be buried, by its ``/proc/.../stat``."""
    try:
        return " Z " not in status.read_text()
    except OSError:  # also while it is read
        return False


def test_a_program_that_hangs_is_ended_with_all_it_started(program, tmp_path):
    child = tmp_path / "child"
    program("hangs", "").write_text(f"#!/bin/sh\nsleep 60 &\necho $! > '{child}'\nwait\n")
    start = time.monotonic()
    with pytest.raises(InputError, match=r"hangs: took longer than 1 s; raise timeout_seconds"):
        denoise(opened("hangs {in} {out}", timeout_seconds=1), noisy_speech(), RATE)
    assert time.monotonic() - start < 10
    status = Path(f"/proc/{child.read_text().strip()}/stat")
    while is_alive(status):  # a busy machine takes a while to let a process die that was killed
        assert time.monotonic() - start < 30, status.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("deep-filter", r"denoiser: 'deep-filter' is no program on PATH; install it from https://"),
        ("absent {in} {out}", r"denoiser: 'absent' is no program on PATH; install it, or give its path"),
        ("sox", r"denoiser: 'sox' does not say where its files go; write its command with \{in\} and \{out\}"),
        ("a 'b {in} {out}", r"denoiser: .* is no command \(No closing quotation\)"),
        ("rnnoise", r"denoiser: rnnoise cannot be loaded \(.*\); pip install 'resound\[rnnoise\]'"),
    ],
)
def test_a_missing_denoiser_is_said_before_anything_is_made(word, message, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "pyrnnoise", None)
    with pytest.raises(ConfigError, match=message):
        opened(word)


def test_a_missing_model_is_said_before_anything_is_made():
    with pytest.raises(ModelError, match=r"absent.onnx: no such model file"):
        opened("absent.onnx")


def test_the_classic_chain_has_no_delay_and_lowers_the_noise():
    audio = noisy_speech(16000, seconds=2.0)
    done = denoise(opened("classic"), audio, 16000)
    assert done.delay.samples == 0
    assert done.is_sure
    pause = slice(0, 4000)  # before the first syllable
    assert np.std(done.audio[0, pause]) < 0.7 * np.std(audio[0, pause])


@pytest.mark.parametrize("n_samples", [0, 1, 3])
def test_a_few_samples_pass(program, n_samples):
    program("late", READ + LATE + WRITE)
    for word in ("classic", "late {in} {out}") if n_samples else ("classic",):
        assert denoise(opened(word), np.zeros((1, n_samples), np.float32), RATE).audio.shape == (1, n_samples)


def test_the_delay_of_rnnoise_is_removed():
    pytest.importorskip("pyrnnoise", reason="pyrnnoise is not installed")
    audio = noisy_speech()
    done = denoise(opened("rnnoise"), audio, RATE)
    assert done.delay.samples == 960
    assert done.audio.shape == audio.shape
