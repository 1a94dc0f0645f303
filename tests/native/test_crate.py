"""The crates' own tests, among them that a frame allocates nothing, with a network to run."""

import re
import subprocess

import pytest

from .conftest import NATIVE, PAGE, needs


def cargo(environment, *arguments, folder=NATIVE):
    command = [needs("cargo", why="it builds native/"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_crates_pass_their_tests(exported, environment):
    done = cargo({**environment, "RESOUND_MODEL": str(exported("one"))}, "test", "--offline", "--locked")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a_frame_allocates_nothing ... ok" in done.stdout
    assert "skipped" not in done.stdout + done.stderr


def test_the_example_on_the_page_runs(exported, environment, tmp_path):
    found = re.search(r"```toml\n(.*?)```.*?```rust\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    package = '[package]\nname = "page"\nversion = "0.1.0"\nedition = "2021"\n\n'
    (tmp_path / "Cargo.toml").write_text(package + found[1].replace("native/rust", str(NATIVE / "rust")))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.rs").write_text(found[2])
    done = cargo(environment, "run", "--offline", "--quiet", "--", exported("one"), folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "band_rnn: 8000 Hz, 80 late\n"), done.stderr


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
