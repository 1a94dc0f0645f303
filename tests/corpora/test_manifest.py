"""Manifests: written and read back, with any file name, and every fault named with file and line."""

from __future__ import annotations

import json
import os

import pytest

from resound.corpora.manifest import Manifest, Recording, read_manifest, split_lines, write_manifest
from resound.errors import InputError, OutputError

LINE = {"path": "a.wav", "n_samples": 8000, "sample_rate": 16000}


def written(path, *lines, root="."):
    first = json.dumps({"manifest": 1, "root": root})
    path.write_text("\n".join([first, *(line if isinstance(line, str) else json.dumps(line) for line in lines)]) + "\n")
    return path


def test_a_manifest_comes_back_as_it_was(tmp_path):
    recordings = [
        Recording("a/b.wav", 48000, 48000, 2, "speech", "anna", "en", "CC0", "train", 7000.0, "g", "clean", 10, 11),
        Recording("c.flac", 1, 8000),
    ]
    write_manifest(tmp_path / "m.jsonl", Manifest(tmp_path, recordings, {"corpus": "x"}))
    read = read_manifest(tmp_path / "m.jsonl")
    assert (read.recordings, read.about) == (recordings, {"corpus": "x"})
    assert read.path_of(recordings[0]) == tmp_path / "a/b.wav"
    assert recordings[0].seconds == 1.0


@pytest.mark.parametrize(
    "name",
    [
        "new\nline.wav",
        "carriage\r.wav",
        "separator\u2028\x85.wav",
        "日本.wav",
        'quote".wav',
        os.fsdecode(b"not\xffutf8.wav"),
    ],
)
def test_any_file_name_survives(tmp_path, name):
    write_manifest(tmp_path / "m.jsonl", Manifest(tmp_path, [Recording(name, 1, 8000), Recording("b.wav", 1, 8000)]))
    assert [item.path for item in read_manifest(tmp_path / "m.jsonl").recordings] == [name, "b.wav"]
    (tmp_path / "m.jsonl").read_bytes().decode("utf-8")  # what is on disk is always text


def test_a_manifest_moves_with_the_folder_that_it_lies_in(tmp_path):
    (tmp_path / "old" / "audio").mkdir(parents=True)
    write_manifest(tmp_path / "old/m.jsonl", Manifest(tmp_path / "old/audio", [Recording("a.wav", 1, 8000)]))
    (tmp_path / "old").rename(tmp_path / "new")
    read = read_manifest(tmp_path / "new/m.jsonl")
    assert read.path_of(read.recordings[0]) == tmp_path / "new/audio/a.wav"


def test_an_existing_file_is_not_replaced_unasked(tmp_path):
    written(tmp_path / "m.jsonl", LINE)
    with pytest.raises(OutputError, match="exists already"):
        write_manifest(tmp_path / "m.jsonl", Manifest(tmp_path, []))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "is not JSON ('{')"),
        ("[1]", "is not JSON ('[1]')"),
        (LINE | {"sample_rat": 1}, "has unknown 'sample_rat' (did you mean 'sample_rate'?)"),
        ({"path": "a.wav", "sample_rate": 8000}, "has no 'n_samples'"),
        (LINE | {"n_samples": "8000"}, "has '8000' for 'n_samples'"),
        (LINE | {"n_samples": True}, "has True for 'n_samples'"),
        (LINE | {"n_samples": 1.5}, "has 1.5 for 'n_samples'"),
        (LINE | {"n_samples": -1}, "has -1 for 'n_samples'"),
        (LINE | {"sample_rate": 0}, "has 0 for 'sample_rate'"),
        (LINE | {"path": None}, "has None for 'path'"),
        (LINE | {"path": "a\0b.wav"}, "has 'a\\x00b.wav' for 'path'"),
        ("[" * 100_000, "is not JSON ('" + "[" * 40 + "')"),
        (LINE | {"speaker": 7}, "has 7 for 'speaker'"),
        (LINE | {"bandwidth_hz": "8k"}, "has '8k' for 'bandwidth_hz'"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_file(tmp_path, line, fault):
    path = written(tmp_path / "m.jsonl", LINE, line)
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert str(error.value) == f"{path}: line 3 {fault}; mend it or scan the corpus again"


@pytest.mark.parametrize("text", ["{}", '{"manifest": 2, "root": "."}', '{"manifest": 1, "root": 3}'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"m\.jsonl: line 1 is not"):
        read_manifest(tmp_path / "m.jsonl")


def test_an_empty_manifest_is_called_empty(tmp_path):
    (tmp_path / "m.jsonl").touch()
    with pytest.raises(InputError, match=r"m\.jsonl: is empty; make a manifest by"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file; give the path"), (b"\xff\xfe\x00", r"is no manifest that can be read \(not UTF-8\)")],
)
def test_what_cannot_be_read_says_why(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=rf"m\.jsonl: {reason}.*resound corpus scan"):
        read_manifest(tmp_path / "m.jsonl")


def test_lines_of_a_split_are_picked(tmp_path):
    recordings = [Recording(f"{split}.wav", 1, 8000, split=split) for split in ("train", "valid", "train")]
    assert len(split_lines(recordings, "train")) == 2
    assert split_lines(recordings, None) == recordings
