"""``resound demo``: a recording of our own making is better afterwards, and nothing of yours is replaced."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from conftest import files_below, read_sound

FILES = {"damaged.wav", "restored.wav", "restored.wav.json", "removed.wav", "spectrograms.png"}


def test_the_demo_makes_its_recording_better_and_adds_up(here, resound):
    ended = resound("demo", "d")
    assert (ended.status, ended.stderr) == (0, "")
    assert files_below(here / "d") == FILES
    before, after = map(float, re.findall(r"(-?[\d.]+) dB (?:before|after)", ended.stdout))
    assert after > before + 5
    damaged, restored, removed = (read_sound(here / "d" / f"{name}.wav") for name in ("damaged", "restored", "removed"))
    assert (damaged == restored + removed).all()


def test_an_earlier_demo_is_replaced_only_when_asked(here, resound):
    (here / "d").mkdir()
    (here / "d" / "removed.wav").write_text("mine")
    ended = resound("demo", "d")
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "d/removed.wav: exists already; use --overwrite" in ended.stderr
    assert files_below(here / "d") == {"removed.wav"}
    assert resound("demo", "d", "--overwrite").status == 0
    assert files_below(here / "d") == FILES


def test_a_file_is_no_place_for_a_demo(here, resound):
    (here / "s.wav").write_text("mine")
    ended = resound("demo", "s.wav")
    assert ended.status == 1
    assert ended.stderr == "resound: s.wav: is a file, and the demo needs a folder; give another name\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["demo", "d"], ["--version"]])
def test_an_output_that_takes_nothing_is_one_line(here, words, unbuffered):
    program = [sys.executable, "-c", "from resound.cli.main import main; main()", *words]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            program,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "", "PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("resound: stdout: cannot be written (No space left on device); free some space")
    assert ended.stderr.count("\n") == 1
