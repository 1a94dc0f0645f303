"""The C interface: its example gives what Python gives, and its promises hold."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

from .conftest import NATIVE, PAGE, compiled, in_python, noise
from .graphs import write_counter, write_mixer

SAME = 1e-5
HERE = NATIVE.parent / "tests" / "native"


@pytest.fixture(scope="module")
def linked(built, tmp_path_factory):
    """Return a function that compiles a C program with the shared library."""
    folder = tmp_path_factory.mktemp("c")

    def make(source):
        flags = [f"-I{NATIVE / 'c'}", f"-L{built}", "-lresound", f"-Wl,-rpath,{built}", "-lm"]
        return compiled(folder / source.stem, [source], *flags)

    return make


@pytest.fixture(scope="module")
def denoise(linked, environment):
    """Return a function that sends ``(channel, time)`` through the example."""
    program = linked(NATIVE / "c" / "denoise.c")

    def run(model, sound, *, n_out):
        raw = np.ascontiguousarray(sound.T).tobytes()
        done = subprocess.run([program, model], input=raw, env=environment, capture_output=True, check=True)
        assert done.stderr == b""
        return np.frombuffer(done.stdout, np.float32).reshape(-1, n_out).T

    return run


@pytest.mark.parametrize("n_samples", [0, 1, 79, 80, 160, 5003])
def test_the_example_gives_what_python_gives(n_samples, denoise, exported):
    sound = noise(1, n_samples)
    made = denoise(exported("one"), sound, n_out=1)
    assert made.shape == (1, n_samples)
    if n_samples:
        np.testing.assert_allclose(made, in_python(exported("one"), sound), atol=SAME)


def test_the_example_takes_channels_in_turn(denoise, exported, tmp_path):
    sound = noise(2, 1001)
    mixed = denoise(write_mixer(tmp_path / "mixer.onnx", [[0, 1], [1, 0], [1, 1]]), sound, n_out=3)
    np.testing.assert_array_equal(mixed, [sound[1], sound[0], sound[0] + sound[1]])
    np.testing.assert_allclose(
        denoise(exported("two to one"), sound, n_out=1), in_python(exported("two to one"), sound), atol=SAME
    )
    counter = write_counter(tmp_path / "counter.onnx")
    np.testing.assert_array_equal(denoise(counter, sound[:1], n_out=1), in_python(counter, sound[:1]))


def test_the_example_says_in_a_line_what_is_wrong(linked, environment, tmp_path):
    program = linked(NATIVE / "c" / "denoise.c")
    for arguments in ([], [tmp_path / "gone.onnx"]):
        done = subprocess.run([program, *arguments], input="", env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_the_header_keeps_its_promises(linked, environment, exported, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    command = [linked(HERE / "api.c"), exported("one"), bad]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_header_is_one_for_cplusplus(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    source = tmp_path / "use.cpp"
    source.write_text('#include "resound.h"\nint main() { return resound_last_error()[0]; }\n')
    command = ["g++", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", f"-I{NATIVE / 'c'}", source]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_the_example_on_the_page_runs(linked, environment, exported, tmp_path):
    source = tmp_path / "page.c"
    source.write_text(re.search(r"```c\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
    done = subprocess.run([linked(source), exported("one")], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "band_rnn: 8000 Hz, frames of 80 samples, 80 late\n")
