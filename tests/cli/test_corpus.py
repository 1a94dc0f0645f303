"""``resound corpus``: scan, show, check, and what a user can do wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from conftest import files_below, write_wav
from resound.corpora.manifest import read_manifest

DATA = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def speech(here):
    for who in range(20):
        write_wav(here / "speech" / f"s{who}" / "a.wav", n_samples=8000)
    return here / "speech"


def test_a_scan_writes_a_manifest_and_tells_what_it_found(speech, resound):
    ended = resound(
        "corpus", "scan", "speech", "--as", "speech", "--valid", "30", "--language", "de", "--licence", "CC0"
    )
    assert (ended.status, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "speech: Any folder with recordings anywhere below it"
    assert "usable         20  100.0 %" in lines
    assert lines[-1] == "written: speech.jsonl"
    manifest = read_manifest(Path("speech.jsonl"))
    assert {(item.domain, item.language, item.licence) for item in manifest.recordings} == {("speech", "de", "CC0")}
    assert {item.split for item in manifest.recordings} == {"train", "valid"}
    assert manifest.about["ledger"]["usable"] == 20


def test_a_second_scan_tells_what_changed(speech, resound):
    resound("corpus", "scan", "speech", "--as", "speech", "-o", "m.jsonl")
    write_wav(speech / "new" / "a.wav")
    (speech / "s0" / "a.wav").unlink()
    ended = resound("corpus", "scan", "speech", "--as", "speech", "-o", "m.jsonl")
    assert "since the last scan: 1 added, 0 changed, 1 removed, 19 unchanged" in ended.stdout
    assert len(read_manifest(Path("m.jsonl")).recordings) == 20
    written = Path("m.jsonl").stat().st_mtime_ns
    assert resound("corpus", "scan", "speech", "--as", "speech", "-o", "m.jsonl").stdout.endswith(
        "\nas it was: m.jsonl\n"
    )
    assert Path("m.jsonl").stat().st_mtime_ns == written


def test_too_few_usable_is_an_error_and_writes_nothing_unless_allowed(speech, resound):
    for number in range(5):
        (speech / f"bad{number}.wav").touch()
    ended = resound("corpus", "scan", "speech", "--as", "speech")
    assert ended.status == 1
    assert ended.stderr == (
        "resound: speech: 20 of 25 recordings can be used (bad0.wav: empty, ...); mend or complete the corpus, or use "
        "--allow-partial\n"
    )
    assert "  empty         5  bad0.wav, bad1.wav, bad2.wav, ..." in ended.stdout.splitlines()
    assert not Path("speech.jsonl").exists()
    assert resound("corpus", "scan", "speech", "--as", "speech", "--allow-partial").status == 0
    assert len(read_manifest(Path("speech.jsonl")).recordings) == 20


def test_a_manifest_of_another_folder_is_not_replaced_unasked(speech, resound):
    write_wav(Path("other/a.wav"))
    assert resound("corpus", "scan", "other", "--as", "noise", "-o", "m.jsonl").status == 0
    ended = resound("corpus", "scan", "speech", "--as", "speech", "-o", "m.jsonl")
    assert (ended.status, ended.stderr) == (
        1, "resound: m.jsonl: exists already; use --overwrite to replace it, or -o for another name\n"
    )  # fmt: skip
    Path("text.txt").write_text("mine")
    assert resound("corpus", "scan", "speech", "--as", "speech", "-o", "text.txt").status == 1
    assert Path("text.txt").read_text() == "mine"
    assert resound("corpus", "scan", "speech", "--as", "speech", "-o", "m.jsonl", "--overwrite").status == 0
    assert len(read_manifest(Path("m.jsonl")).recordings) == 20


def test_one_speaker_warns_that_nothing_validates(here, resound):
    for number in range(3):
        write_wav(here / "c" / "anna" / f"{number}.wav")
    ended = resound("corpus", "scan", "c", "--as", "speech")
    assert ended.status == 0
    assert ended.stderr.startswith("resound: warning: c: split 'valid' is empty, 10 % of 1 speaker; ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--as", "speech"], "nowhere: no such folder; check the path"),
        (["speech"], "nothing says what it holds; give --as speech, effects, music, noise, room or pairs"),
        (["speech", "--as", "speach"], "--as speach: is unknown (did you mean 'speech'?)"),
        (["speech", "--as", "speech", "--layout", "vctk"], "none is of the layout vctk"),
        (["speech", "--as", "speech", "--valid", "120"], "leave nothing to train on"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(speech, resound, arguments, message):
    before = files_below(Path.cwd())
    ended = resound("corpus", "scan", *arguments)
    assert ended.status == 1
    assert ended.stderr.startswith("resound: ")
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert files_below(Path.cwd()) == before


def test_show_prints_tables_and_json(speech, resound):
    resound("corpus", "scan", "speech", "--as", "speech", "--measure", "100")
    shown = resound("corpus", "show", "speech.jsonl")
    assert (shown.status, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[0] == "domain  split  files  hours  speakers  sample rates, Hz"
    assert "speech           4000  4000 to 4000  20 of 20 files" in shown.stdout.splitlines()
    told = json.loads(resound("corpus", "show", "speech.jsonl", "speech.jsonl", "--json").stdout)
    assert told["total"]["n_files"] == 40
    assert told["bandwidths"][0]["median_hz"] == 4000


def test_a_seed_below_0_is_one_line(speech, resound):
    resound("corpus", "scan", "speech", "--as", "speech")
    ended = resound("corpus", "show", "speech.jsonl", "--seed", "-1")
    assert (ended.status, ended.stderr) == (1, "resound: seed is -1; give 0 or more\n")


def test_check_names_what_is_gone_and_ends_with_status_1(speech, resound):
    resound("corpus", "scan", "speech", "--as", "speech")
    assert resound("corpus", "check", "speech.jsonl").stdout == "speech.jsonl: 20 recordings, as scanned\n"
    (speech / "s3" / "a.wav").unlink()
    ended = resound("corpus", "check", "speech.jsonl")
    assert ended.status == 1
    assert ended.stdout.splitlines()[1:] == ["  missing  1: s3/a.wav"]
    assert ended.stderr == "resound: speech.jsonl: not as scanned; mend what is named above, or scan again\n"


def test_check_counts_the_manifests_that_are_wrong(speech, resound):
    resound("corpus", "scan", "speech", "--as", "speech", "-o", "a\nb.jsonl")
    (speech / "s3" / "a.wav").unlink()
    resound("corpus", "scan", "speech", "--as", "speech", "-o", "c.jsonl")
    ended = resound("corpus", "check", "a\nb.jsonl", "c.jsonl")
    assert ended.status == 1
    assert [line for line in ended.stdout.splitlines() if line[0] != " "] == [
        "a\\nb.jsonl: 20 recordings, not as scanned",
        "c.jsonl: 19 recordings, as scanned",
    ]
    assert ended.stderr.startswith("resound: 1 of 2 manifests: not as scanned; ")


def test_check_tells_of_copies_across_splits(here, resound):
    sound = 0.1 * np.random.default_rng(0).standard_normal((1, 4000))
    for split in ("train", "test"):
        write_wav(here / "c" / split / "a.wav", sound)
    resound("corpus", "scan", "c", "--as", "noise")
    ended = resound("corpus", "check", "c.jsonl", "--copies")
    assert ended.status == 1
    assert "  copies   1, 1 across splits: test/a.wav = train/a.wav" in ended.stdout.splitlines()


def test_one_of_something_is_no_plural(here, resound):
    write_wav(here / "c\nd" / "who" / "a.wav", n_samples=8000)
    scanned = resound("corpus", "scan", "c\nd", "--as", "speech", "--valid", "0", "-o", "c.jsonl").stdout
    assert scanned.startswith("c\\nd: Any folder")
    assert "train 1 (1 speaker)" in scanned
    assert resound("corpus", "check", "c.jsonl").stdout == "c.jsonl: 1 recording, as scanned\n"


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_bad_manifest_is_one_line(here, resound, command):
    (here / "m.jsonl").write_text('{"manifest": 1, "root": "."}\n{"path": 3}\n')
    ended = resound("corpus", command, "m.jsonl")
    assert (ended.status, ended.stderr) == (
        1, "resound: m.jsonl: line 2 has 3 for 'path'; mend it or scan the corpus again\n"
    )  # fmt: skip
    assert "gone.jsonl: no such file; give the path of a manifest" in resound("corpus", command, "gone.jsonl").stderr


def test_a_name_that_is_no_text_is_shown_in_one_line(here, resound):
    (here / "c").mkdir()
    Path(os.fsdecode(b"c/not\xff\nutf8.wav")).touch()
    ended = resound("corpus", "scan", "c", "--as", "noise")
    assert ended.stderr == (
        "resound: c: 0 of 1 recording can be used (not\\udcff\\nutf8.wav: empty); mend or complete the corpus\n"
    )


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder")
def test_real_recordings_come_out_as_their_readme_says(here, resound):
    """3.07 h of clean speech by 485 speakers, 57 min of noise, 38 of music, 37 pairs, 45 responses."""
    assert resound("corpus", "scan", DATA, "-o", "data.jsonl").status == 0
    recordings = read_manifest(Path("data.jsonl")).recordings
    seconds = {}
    for item in recordings:
        kind = item.domain if item.role is None else "pairs"
        seconds[kind] = seconds.get(kind, 0.0) + item.seconds
    assert seconds["speech"] / 3600 == pytest.approx(3.07, abs=0.01)
    assert seconds["noise"] / 60 == pytest.approx(57, abs=1)
    assert seconds["music"] / 60 == pytest.approx(38, abs=1)
    assert len({item.speaker for item in recordings if item.domain == "speech" and item.role is None}) == 485
    assert sum(item.role == "degraded" for item in recordings) == 37
    assert sum(item.domain == "room" for item in recordings) == 45
    by_speaker = {}
    for item in recordings:
        if item.speaker:
            by_speaker.setdefault(item.speaker, set()).add(item.split)
    assert all(len(splits) == 1 for splits in by_speaker.values())
