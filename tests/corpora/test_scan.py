"""Scans: only what changed is read, bad files are counted and named, nothing crashes."""

from __future__ import annotations

import os
import re
import time

import numpy as np
import pytest
import soundfile
import soxr

from conftest import hiss, write_wav
from resound.corpora import reading
from resound.corpora.ledger import Ledger, Unusable
from resound.corpora.manifest import read_manifest, write_manifest
from resound.corpora.scan import ScanOptions, scan
from resound.errors import ConfigError, InputError

SPEECH = ScanOptions(domain="speech")


def reasons(scanned):
    return {item.path: item.why for item in scanned.ledger.unusable}


def paths(scanned):
    return [item.path for item in scanned.manifest.recordings]


def test_headers_tell_length_rate_and_channels(tmp_path):
    write_wav(tmp_path / "a.wav", hiss(12345, 2), rate=44100)
    write_wav(tmp_path / "b.flac", hiss(4000), rate=8000)
    first, second = scan(tmp_path, SPEECH).manifest.recordings
    assert (first.path, first.n_samples, first.sample_rate, first.n_channels) == ("a.wav", 12345, 44100, 2)
    assert (second.path, second.n_samples, second.sample_rate, second.n_channels) == ("b.flac", 4000, 8000, 1)
    assert first.size_bytes == (tmp_path / "a.wav").stat().st_size


def test_videos_and_what_libsndfile_does_not_open_are_read_too(tmp_path):
    import av

    with av.open(tmp_path / "a.m4a", "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(hiss(16000).astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    (found,) = scan(tmp_path, SPEECH).manifest.recordings
    assert (found.sample_rate, found.n_channels) == (16000, 1)
    assert found.n_samples == pytest.approx(16000, abs=2100)


def test_bad_files_are_counted_each_for_its_reason(tmp_path):
    for number in range(40):
        write_wav(tmp_path / f"good{number}.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("<html>not found</html>")
    write_wav(tmp_path / "short.wav", n_samples=3)
    write_wav(tmp_path / "none.wav", np.zeros((1, 0)))
    (tmp_path / "nowhere.wav").symlink_to("gone.wav")
    found = scan(tmp_path, SPEECH)
    assert reasons(found) == {
        "empty.wav": "empty", "text.wav": "unreadable", "short.wav": "shorter than 0.1 s", "none.wav": "no samples",
        "nowhere.wav": "link to nowhere",
    }  # fmt: skip
    assert (found.ledger.n_found, found.ledger.n_usable) == (45, 40)
    with pytest.raises(
        InputError, match=r"40 of 45 recordings can be used \(empty.wav: empty, ...\); .*--allow-partial"
    ):
        found.ledger.check(tmp_path)


def test_a_room_response_may_be_short(tmp_path):
    write_wav(tmp_path / "a.wav", n_samples=400)
    assert paths(scan(tmp_path, ScanOptions(domain="room"))) == ["a.wav"]


def test_nothing_usable_is_an_error_that_allow_partial_does_not_help(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(
        InputError, match=r"0 of 1 recording can be used \(a.wav: empty\); mend or complete the corpus$"
    ):
        scan(tmp_path, SPEECH).ledger.check(tmp_path)


def test_a_rescan_opens_only_what_is_new_or_changed(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        write_wav(tmp_path / f"{name}.wav")
    (tmp_path / "bad.wav").write_text("bad")
    first = scan(tmp_path, SPEECH)
    assert first.changes == {"added": 4, "changed": 0, "removed": 0, "unchanged": 0}
    write_manifest(tmp_path / "m.jsonl", first.manifest)
    (tmp_path / "a.wav").unlink()
    write_wav(tmp_path / "b.wav", n_samples=8000)
    write_wav(tmp_path / "new.wav")
    opened = []
    whole = reading.header_of
    monkeypatch.setattr(reading, "header_of", lambda path: opened.append(path.name) or whole(path))
    again = scan(tmp_path, SPEECH, read_manifest(tmp_path / "m.jsonl"))
    assert sorted(opened) == ["b.wav", "new.wav"]
    assert again.changes == {"added": 1, "changed": 1, "removed": 1, "unchanged": 2}
    assert paths(again) == ["b.wav", "c.wav", "new.wav"]
    assert again.manifest.recordings[0].n_samples == 8000
    assert reasons(again) == {"bad.wav": "unreadable"}


def test_a_rescan_of_nothing_new_is_the_same_manifest(tmp_path):
    for who in range(30):
        write_wav(tmp_path / f"s{who}" / "a.wav")
    first = scan(tmp_path, SPEECH)
    again = scan(tmp_path, SPEECH, first.manifest)
    assert (again.manifest.recordings, again.manifest.about) == (first.manifest.recordings, first.manifest.about)


def test_a_renamed_folder_keeps_its_splits(tmp_path):
    for who in range(30):
        write_wav(tmp_path / "old" / f"s{who}" / "a.wav")
    first = scan(tmp_path / "old", SPEECH)
    (tmp_path / "old").rename(tmp_path / "new")
    again = scan(tmp_path / "new", SPEECH, first.manifest)
    assert again.manifest.recordings == first.manifest.recordings


def test_jobs_do_not_change_the_manifest(tmp_path):
    for number in range(200):
        write_wav(tmp_path / f"{number % 7}" / f"{number}.wav", n_samples=800 + number)
    manifests = [scan(tmp_path, ScanOptions(domain="speech", n_jobs=n)).manifest.recordings for n in (1, 3)]
    assert manifests[0] == manifests[1]


def test_progress_is_told_to_the_end(tmp_path):
    for number in range(130):
        write_wav(tmp_path / f"{number}.wav", n_samples=800)
    told = []
    scan(tmp_path, SPEECH, progress=lambda done, whole: told.append((done, whole)))
    assert told[-1] == (130, 130)
    assert told == sorted(told)


def test_decoding_finds_silence_clipping_dc_and_bandwidth(tmp_path):
    rng = np.random.default_rng(0)
    narrow = soxr.resample(0.1 * rng.standard_normal(16000), 8000, 48000)[None]
    sounds = {
        "narrow": narrow, "silent": np.zeros((1, 48000)), "dc": 0.2 + narrow, "loud": np.clip(40 * narrow, -1, 1),
        "nan": np.where(np.arange(len(narrow[0])) == 500, np.nan, narrow),
    }  # fmt: skip
    for name, sound in sounds.items():
        write_wav(tmp_path / f"{name}.wav", sound, rate=48000, subtype="FLOAT")
    found = scan(tmp_path, ScanOptions(domain="noise", measure_percent=100))
    assert reasons(found) == {"loud.wav": "clipped", "nan.wav": "not finite", "silent.wav": "silent"}
    assert {item.path: item.bandwidth_hz for item in found.manifest.recordings} == {
        "dc.wav": pytest.approx(4000, abs=250), "narrow.wav": pytest.approx(4000, abs=250)
    }  # fmt: skip
    assert found.ledger.dc == ["dc.wav"]
    again = scan(tmp_path, ScanOptions(domain="noise"), found.manifest)
    assert (again.manifest.recordings, again.ledger) == (found.manifest.recordings, found.ledger)


def test_a_share_of_the_files_is_decoded_and_always_the_same_ones(tmp_path):
    for number in range(60):
        write_wav(tmp_path / f"{number}.wav", n_samples=1600)
    measured = []
    for percent in (30, 30, 60):
        found = scan(tmp_path, ScanOptions(domain="noise", measure_percent=percent)).manifest.recordings
        measured.append({item.path for item in found if item.bandwidth_hz is not None})
    assert 0 < len(measured[0]) < 36
    assert measured[0] == measured[1] < measured[2]


def test_measuring_later_adds_to_a_manifest(tmp_path):
    write_wav(tmp_path / "a.wav")
    first = scan(tmp_path, SPEECH)
    again = scan(tmp_path, ScanOptions(domain="speech", measure_percent=100), first.manifest)
    assert again.manifest.recordings[0].bandwidth_hz == 4000
    assert again.changes["unchanged"] == 1


@pytest.mark.parametrize("name", [b"new\nline.wav", b"not\xffutf8.wav", b"-o.wav", b"a [x] {y} *.wav"])
def test_odd_names_are_scanned_and_written(tmp_path, name):
    write_wav(tmp_path / "plain.wav")
    os.rename(tmp_path / "plain.wav", os.fsencode(tmp_path) + b"/" + name)
    found = scan(tmp_path, SPEECH)
    write_manifest(tmp_path / "m.jsonl", found.manifest)
    read = read_manifest(tmp_path / "m.jsonl")
    assert read.recordings == found.manifest.recordings
    assert read.path_of(read.recordings[0]).is_file()


def test_links_are_followed_and_loops_end(tmp_path):
    write_wav(tmp_path / "elsewhere" / "a.wav")
    (tmp_path / "corpus").mkdir()
    write_wav(tmp_path / "corpus" / "b.wav")
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "up").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus" / "itself").symlink_to("itself")
    assert paths(scan(tmp_path / "corpus", SPEECH)) == ["b.wav", "linked/a.wav"]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    for name in ("a.wav", "._a.wav", ".hidden/b.wav"):
        write_wav(tmp_path / name)
    assert paths(scan(tmp_path, SPEECH)) == ["a.wav"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="an administrator may read everything")
def test_what_may_not_be_read_is_named(tmp_path):
    for name in ("open/a.wav", "open/b.wav", "closed/c.wav"):
        write_wav(tmp_path / name)
    (tmp_path / "open/b.wav").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        found = scan(tmp_path, SPEECH)
        assert reasons(found) == {"open/b.wav": "no permission"}
        assert any("closed: may not be read" in warning for warning in found.warnings)
        with pytest.raises(InputError, match="no permission to read this folder"):
            scan(tmp_path / "closed", SPEECH)
    finally:
        (tmp_path / "closed").chmod(0o755)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder; check the path"),
        (lambda path: path.touch(), "is a file; give the folder"),
        (lambda path: path.mkdir(), r"holds no recordings \(nor anything else\)"),
        (lambda path: (path.mkdir(), (path / "a.txt").touch()), r"holds no recordings \(but 1 other file\)"),
    ],
)
def test_a_folder_that_is_none_is_one_line(tmp_path, make, message):
    make(tmp_path / "x")
    with pytest.raises(InputError, match=message):
        scan(tmp_path / "x", SPEECH)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"domain": "speach"}, "--as speach: is unknown (did you mean 'speech'?)"),
        ({"speaker_from": "name"}, "--speaker-from name: is unknown; give one of folder, parent, file, none"),
        ({"measure_percent": 101}, "--measure 101: is a percentage"),
        ({"n_jobs": -1}, "--jobs -1: give 1 or more"),
        ({"valid_percent": 100}, "leave nothing to train on"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(values, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        ScanOptions(**values)


def test_the_ledger_counts_against_what_was_expected():
    assert Ledger(n_found=90, n_usable=90, expected=100).share == 0.9
    assert Ledger(n_found=110, n_usable=99, expected=100).share == 0.9
    Ledger(n_found=90, n_usable=90, expected=100).check(None)
    table = Ledger(n_found=3, n_usable=1, unusable=[Unusable("a\nb.wav", "empty"), Unusable("c.wav", "empty")]).table()
    assert table.splitlines() == [
        "expected  unknown", "found           3", "usable          1  33.3 %", r"  empty         2  a\nb.wav, c.wav"
    ]  # fmt: skip


@pytest.mark.slow
def test_two_thousand_files_take_no_second_the_second_time(tmp_path):
    sound = hiss(800).T
    for number in range(2000):
        (tmp_path / f"{number % 20}").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"{number % 20}/{number}.flac", sound, 8000)
    first = scan(tmp_path, SPEECH)
    start = time.perf_counter()
    scan(tmp_path, SPEECH, first.manifest)
    assert time.perf_counter() - start < 1.0
