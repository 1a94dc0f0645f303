"""A corpus without its own hiss: the floor goes, the sound stays, and all else lies in the new folder as it was."""

import os

import numpy as np
import pytest

from conftest import files_below, hiss, read_sound
from resound.corpora.manifest import read_manifest
from resound.metrics import noise_and_active_change_db, si_sdr
from signals import speech_like

RATE = 16000
CLEAN = 0.5 * speech_like(6, RATE) / np.abs(speech_like(6, RATE)).max()
FLOOR = hiss(len(CLEAN), rms=float(np.sqrt(np.mean(CLEAN**2))) * 10 ** (-35 / 20))[0]  # 35 dB SNR


@pytest.fixture
def corpus(write_corpus):
    return write_corpus("own", {"a": CLEAN + FLOOR, "b": 3 * (CLEAN + FLOOR)}, rate=RATE, licence="CC0 1.0")


def test_the_floor_goes_and_the_speech_stays(corpus, tmp_path, resound):
    ended = resound("corpus", "dehiss", corpus, "-o", tmp_path / "clean")
    assert ended.status == 0 and "written: " in ended.stdout
    made, was = read_manifest(tmp_path / "clean.jsonl"), read_manifest(corpus)
    assert resound("corpus", "check", tmp_path / "clean.jsonl").status == 0
    for new, old in zip(made.recordings, was.recordings, strict=True):
        assert (new.n_samples, new.speaker, new.split, new.licence) == (
            old.n_samples, old.speaker, old.split, "CC0 1.0",
        )  # fmt: skip
        before, after = read_sound(was.path_of(old))[0], read_sound(made.path_of(new))[0]
        taken_db, change_db = noise_and_active_change_db(before, after, RATE)
        gain_db = 20 * np.log10(np.abs(after).max() / np.abs(before).max())
        assert taken_db > 12 and abs(change_db - gain_db) < 0.1
        assert si_sdr(after, CLEAN) > si_sdr(before, CLEAN) + 3
        assert (np.abs(before).max() > 1) == (gain_db < -1)  # scaled where it would clip, and only there


def test_what_is_no_clean_side_is_the_same_file(write_corpus, tmp_path, resound):
    noise = write_corpus("noises", {"fan": FLOOR}, rate=RATE, domain="noise")
    assert resound("corpus", "dehiss", noise, "-o", tmp_path / "clean").status == 0
    (old,), (new,) = (read_manifest(path).recordings for path in (noise, tmp_path / "clean.jsonl"))
    assert new.path == old.path and files_below(tmp_path / "clean") == {"noises", old.path}
    assert (tmp_path / "clean" / new.path).read_bytes() == read_manifest(noise).path_of(old).read_bytes()


def test_domains_are_chosen(corpus, write_corpus, tmp_path, resound):
    noise = write_corpus("noises", {"fan": FLOOR}, rate=RATE, domain="noise")
    both = corpus.read_text(encoding="utf-8") + noise.read_text(encoding="utf-8").partition("\n")[2]
    corpus.write_text(both, encoding="utf-8")
    assert resound("corpus", "dehiss", corpus, "-o", tmp_path / "clean", "--domain", "speech").status == 0
    assert {each.domain for each in read_manifest(tmp_path / "clean.jsonl").recordings} == {"speech"}
    ended = resound("corpus", "dehiss", corpus, "-o", tmp_path / "other", "--domain", "speach")
    assert ended.status == 1 and "speach: no recordings of this domain (did you mean 'speech'?)" in ended.stderr


def test_an_earlier_run_is_gone_on_with(corpus, tmp_path, resound):
    words = ("corpus", "dehiss", corpus, "-o", tmp_path / "clean")
    assert resound(*words).status == 0
    made = [tmp_path / "clean" / each.path for each in read_manifest(tmp_path / "clean.jsonl").recordings]
    was = [path.stat().st_mtime_ns for path in made]
    ended = resound(*words)
    assert ended.status == 1 and "clean.jsonl: exists already" in ended.stderr
    assert resound(*words, "--overwrite").status == 0
    assert [path.stat().st_mtime_ns for path in made] == was
    source = read_manifest(corpus).path_of(read_manifest(corpus).recordings[0])
    os.utime(source, ns=(was[0] + 10**9, was[0] + 10**9))  # exchanged since
    assert resound(*words, "--overwrite").status == 0
    assert made[0].stat().st_mtime_ns != was[0] and made[1].stat().st_mtime_ns == was[1]


def test_two_of_one_stem_stay_two(corpus, tmp_path, resound):
    manifest = read_manifest(corpus)
    first = manifest.path_of(manifest.recordings[0])
    first.with_suffix(".flac").write_bytes(first.read_bytes())  # a WAV by its content
    text = corpus.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if manifest.recordings[0].path in line)
    corpus.write_text(text + line.replace(".wav", ".flac") + "\n", encoding="utf-8")
    assert resound("corpus", "dehiss", corpus, "-o", tmp_path / "clean").status == 0
    paths = [each.path for each in read_manifest(tmp_path / "clean.jsonl").recordings]
    assert len(set(paths)) == 3


@pytest.mark.parametrize(("n_lost", "status"), [(1, 0), (2, 1)])
def test_what_cannot_be_read_is_named(corpus, tmp_path, resound, n_lost, status):
    manifest = read_manifest(corpus)
    for each in manifest.recordings[:n_lost]:
        manifest.path_of(each).unlink()
    ended = resound("corpus", "dehiss", corpus, "-o", tmp_path / "clean", "--jobs", "1")
    assert ended.status == status and len(ended.stderr.splitlines()) == 1 and "a.wav" in ended.stderr
    assert (tmp_path / "clean.jsonl").exists() == (status == 0)


def test_the_recordings_themselves_are_never_written_over(corpus, resound):
    root = read_manifest(corpus).root
    before = files_below(root)
    for folder in (root, root.parent):
        ended = resound("corpus", "dehiss", corpus, "-o", folder, "--overwrite")
        assert ended.status == 1 and "is where the recordings lie, which stay" in ended.stderr
    assert files_below(root) == before


def test_odd_names_and_places_lose_nothing(corpus, tmp_path, resound):
    manifest = read_manifest(corpus)
    first = manifest.path_of(manifest.recordings[0])
    for name in ("a.WAV", "a.wav.flac", "a"):
        first.with_name(name).write_bytes(first.read_bytes())
    lines = corpus.read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if '"own/a.wav"' in line)
    more = [
        line.replace("own/a.wav", name) for name in ("own/a.WAV", "own/a.wav.flac", "own/a", "../x.wav", "/x.wav", "")
    ]
    corpus.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    ended = resound("corpus", "dehiss", corpus, "-o", tmp_path / "clean", "--jobs", "1")
    assert ended.status == 0 and "3 recordings left out: path '../x.wav': does not lie below" in ended.stderr
    made = read_manifest(tmp_path / "clean.jsonl")
    assert len({each.path for each in made.recordings}) == len(made.recordings) == 5
    assert resound("corpus", "check", tmp_path / "clean.jsonl").status == 0


def test_what_flac_cannot_hold_or_is_empty_is_left_out(write_corpus, tmp_path, resound):
    path = write_corpus("odd", {"wide": np.tile(CLEAN[:8000], (10, 1)), "empty": CLEAN[:0], "good": CLEAN}, rate=RATE)
    ended = resound("corpus", "dehiss", path, "-o", tmp_path / "clean", "--jobs", "1")
    assert ended.status == 0 and "2 recordings left out" in ended.stderr and "10 channels" in ended.stderr
    assert "Warning:" not in ended.stderr
    assert [each.path for each in read_manifest(tmp_path / "clean.jsonl").recordings] == ["odd/good.wav.flac"]


def test_a_link_is_linked_to_what_it_means(write_corpus, tmp_path, resound):
    path = write_corpus("noises", {"fan": FLOOR}, rate=RATE, domain="noise")
    (tmp_path / "noises" / "fan.wav").rename(tmp_path / "real.wav")
    (tmp_path / "noises" / "fan.wav").symlink_to("../real.wav")
    assert resound("corpus", "dehiss", path, "-o", tmp_path / "deep" / "clean").status == 0
    assert (tmp_path / "deep/clean/noises/fan.wav").read_bytes() == (tmp_path / "real.wav").read_bytes()


def test_the_manifest_stays(corpus, here, resound):
    before = corpus.read_bytes()
    ended = resound("corpus", "dehiss", corpus, "-o", corpus.with_suffix("").with_name("own"), "--overwrite")
    assert ended.status == 1 and "own.jsonl: is the manifest itself" in ended.stderr
    assert corpus.read_bytes() == before
    assert resound("corpus", "dehiss", corpus, "-o", "/").status == 1
