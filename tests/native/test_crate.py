"""The crates' own tests, among them that a frame allocates nothing, with a network to run."""

import subprocess

import pytest

from .conftest import NATIVE, needs


def cargo(environment, *arguments):
    command = [needs("cargo", why="it builds native/"), *arguments]
    return subprocess.run(command, cwd=NATIVE, env=environment, capture_output=True, text=True)


def test_the_crates_pass_their_tests(exported, environment):
    done = cargo({**environment, "RESOUND_MODEL": str(exported("one"))}, "test", "--offline", "--locked")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a_frame_allocates_nothing ... ok" in done.stdout
    assert "skipped" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["fmt", "--check"], ["clippy", "--offline", "--all-targets", "--", "-Dwarnings"]]
)
def test_the_code_is_tidy(arguments, environment):
    if cargo(environment, arguments[0], "--version").returncode:
        pytest.skip(f"cargo {arguments[0]} is not installed")
    done = cargo(environment, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_unsafe_lies_where_it_is_said_to():
    found = {
        path.relative_to(NATIVE).as_posix() for path in NATIVE.glob("*/src/**/*.rs") if "unsafe {" in path.read_text()
    }
    assert found == {"rust/src/onnxruntime.rs", "c/src/lib.rs"}
