"""``resound info``: a table for people, JSON for programs, one line for what cannot be read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import files_below, write_wav


def sine(n_samples: int, rate: int, *, hz: float = 997.0, peak: float = 0.1) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate)[None]


def test_the_table_names_format_level_and_damage(here, resound):
    write_wav(here / "a.wav", sine(48000, 48000), rate=48000, subtype="PCM_24")
    ended = resound("info", "a.wav")
    assert (ended.status, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "a.wav"
    rows = {line[2:14].strip(): line[15:] for line in lines[1:]}
    assert rows["format"] == "WAV, PCM_24, 48000 Hz, mono, 24 bit"
    assert rows["length"] == "0:01.0 (48000 samples)"
    assert rows["loudness"] == "-23.0 LUFS"
    assert rows["peak / RMS"] == "-20.0 dBFS / -23.0 dBFS"
    assert rows["clipping"] == rows["clicks"] == rows["hum"] == "none"


def test_json_of_several_files_is_a_list_in_their_order(here, resound):
    for name, rate in (("b.wav", 8000), ("a.flac", 16000)):
        write_wav(here / name, rate=rate)
    told = json.loads(resound("info", "b.wav", "a.flac", "--json").stdout)
    assert [(one["path"], one["sample_rate"], one["n_samples"]) for one in told] == [
        ("b.wav", 8000, 4000), ("a.flac", 16000, 4000)
    ]  # fmt: skip


def test_silence_is_called_silent_and_is_valid_json(here, resound):
    write_wav(here / "a.wav", np.zeros((1, 8000)))
    assert resound("info", "a.wav").stdout.count("silent") == 5
    told = json.loads(resound("info", "a.wav", "--json").stdout)[0]
    assert told["loudness_lufs"] is told["peak_dbfs"] is told["noise_floor_dbfs"] is told["bandwidth_hz"] is None


def test_a_bad_file_is_reported_and_the_others_are_shown(here, resound):
    write_wav(here / "d" / "a.wav")
    write_wav(here / "d" / "c.wav")
    (here / "d" / "b.wav").touch()
    ended = resound("info", "d")
    assert ended.status == 1
    assert ended.stderr == "resound: d/b.wav: is empty (0 bytes); copy or record it again\n"
    assert [line for line in ended.stdout.splitlines() if line.startswith("d/")] == ["d/a.wav", "d/c.wav"]
    assert len(json.loads(resound("info", "d", "--json").stdout)) == 2


@pytest.mark.parametrize("word", ["no.wav", "folder", "*.wav", "x" * 300])
def test_nothing_to_look_at_is_one_line_and_status_1(here, resound, word):
    (here / "folder").mkdir()
    ended = resound("info", word)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"resound: {word}: ")


def test_not_finite_samples_are_counted(here, resound):
    samples = np.zeros((1, 8000))
    samples[0, :3] = np.nan
    write_wav(here / "a.wav", samples, subtype="FLOAT")
    ended = resound("info", "a.wav")
    assert ended.status == 0
    assert "3 samples are not finite" in ended.stdout


def test_looking_writes_nothing(here, resound):
    write_wav(here / "a.wav")
    content = (here / "a.wav").read_bytes()
    resound("info", "a.wav")
    assert files_below(here) == {"a.wav"}
    assert (here / "a.wav").read_bytes() == content
