"""``resound demo``: a recording of our own making is better afterwards, and nothing of yours is replaced."""

from __future__ import annotations

import re

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
