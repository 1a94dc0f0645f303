"""The LADSPA plug-in in hosts of the system and in one of our own: blocks of any length, for a long time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from .conftest import NATIVE, compiled, in_python, needs, noise
from .graphs import write_mixer

LABEL = "resound_voice_mono"
HERE = NATIVE.parent / "tests" / "native"
RATE = 8000


@pytest.fixture(scope="module")
def plugin(built, tmp_path_factory):
    flags = [f"-Wl,--version-script={NATIVE / 'ladspa' / 'exported.map'}", "-ldl", "-lpthread", "-lm"]
    sources = [NATIVE / "ladspa" / "resound_ladspa.c", built / "libresound.a"]
    return compiled(tmp_path_factory.mktemp("ladspa") / "resound_ladspa.so", sources, "-fPIC", "-shared", *flags)


@pytest.fixture(scope="module")
def hosted(plugin, environment, tmp_path_factory):
    """Return a function that sends sound ``(time,)`` through the plug-in in odd blocks."""
    host = compiled(tmp_path_factory.mktemp("host") / "host", [HERE / "host.c"], f"-I{NATIVE / 'ladspa'}", "-ldl")

    def run(sound, model, *, rate=RATE, strength=1, reduction=60, longest=1500):
        command = [host, plugin, *map(str, (rate, strength, reduction, longest))]
        told = {**environment, "RESOUND_MODEL": str(model)} if model else environment
        done = subprocess.run(command, input=sound.tobytes(), env=told, capture_output=True)
        return done.returncode, np.frombuffer(done.stdout, np.float32), done.stderr.decode()

    return run


def test_the_interface_is_that_of_the_system(tmp_path):
    if not Path("/usr/include/ladspa.h").exists():
        pytest.skip("ladspa.h is not installed (ladspa-sdk)")
    compiled(tmp_path / "abi.o", [HERE / "abi.c"], "-c", f"-I{NATIVE / 'ladspa'}")


def test_analyseplugin_finds_its_ports(plugin, environment):
    command = [needs("analyseplugin", why="it is of ladspa-sdk"), plugin]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    for line in (
        f'Plugin Label: "{LABEL}"',
        '"Strength" input, control, 0 to 1, default 1',
        '"Maximum reduction (dB)" input, control, 0 to 60, default 60',
        '"latency" output, control',
    ):
        assert line in said


def test_applyplugin_restores_a_file(plugin, environment, exported, tmp_path):
    apply = needs("applyplugin", why="it is of ladspa-sdk")
    model, sound = exported("one"), noise(1, 20_000)
    soundfile.write(tmp_path / "in.wav", sound[0], RATE, subtype="PCM_16")
    heard = soundfile.read(tmp_path / "in.wav", dtype="float32")[0][None]
    command = [apply, tmp_path / "in.wav", tmp_path / "out.wav", plugin, LABEL, "1", "60"]
    subprocess.run(command, env={**environment, "RESOUND_MODEL": str(model)}, capture_output=True, check=True)
    made, late = soundfile.read(tmp_path / "out.wav", dtype="float32")[0], 40 + 40 + 80 - 1
    # applyplugin cuts samples to 16 bits, towards zero.
    np.testing.assert_allclose(made[late:], in_python(model, heard)[0, : len(made) - late], atol=2**-15 + 1e-5)


def test_a_minute_in_odd_blocks_is_what_python_gives_and_holds_no_more_memory(hosted, exported):
    sound = noise(1, 60 * RATE)
    status, made, told = hosted(sound[0], exported("one"))
    late, early, end = map(int, re.fullmatch(r"latency (\d+), pages (\d+), (\d+)\n", told).groups())
    assert status == 0 and late == 159
    assert not made[:79].any()  # the first frame is still being gathered
    np.testing.assert_allclose(made[late:], in_python(exported("one"), sound)[0, :-late], atol=1e-5)
    assert early > 0 and end - early < 64  # pages of 4 KiB


@pytest.mark.parametrize("longest", [1, 7, 80])
def test_small_blocks_are_the_same(longest, hosted, exported):
    sound = noise(1, 4000)[0]
    np.testing.assert_array_equal(hosted(sound, exported("one"), longest=longest)[1], hosted(sound, exported("one"))[1])


def test_the_controls_do_what_they_say(hosted, exported):
    sound = noise(1, 8000)[0]
    whole = hosted(sound, exported("one"))[1]
    heard = hosted(sound, exported("one"), strength=0)[1]
    np.testing.assert_array_equal(heard[159:], sound[:-159])
    np.testing.assert_array_equal(hosted(sound, exported("one"), reduction=0)[1], heard)
    half = hosted(sound, exported("one"), strength=0.5, reduction=20)[1]
    np.testing.assert_allclose(half, heard - 0.5 * 0.9 * (heard - whole), atol=1e-6)


def test_at_another_rate_sound_is_handed_through_and_that_is_said(hosted, exported):
    sound = noise(1, 4000)[0]
    status, made, told = hosted(sound, exported("one"), rate=44100)
    assert status == 0
    np.testing.assert_array_equal(made, sound)
    first, second = told.splitlines()
    assert "the host runs at 44100 Hz, the model band_rnn at 8000 Hz" in first
    assert second.startswith("latency 0,")


def test_without_a_model_that_fits_it_does_not_load_and_says_why(hosted, tmp_path):
    sound = noise(1, 100)[0]
    mixer = write_mixer(tmp_path / "mixer.onnx", [[1, 0], [0, 1]])
    for model, why in [
        (None, "set RESOUND_MODEL"),
        (tmp_path / "gone.onnx", "no such model file"),
        (mixer, "takes 2 channels"),
    ]:
        status, made, told = hosted(sound, model)
        assert (status, len(made), told.count("\n")) == (3, 0, 1)
        assert why in told
