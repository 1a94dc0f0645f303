"""Caches: the samples are those that were mixed, a second start makes nothing, and nothing half-made is believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import files_below, largest_file
from resound.errors import ConfigError, InputError, OutputError
from resound.mixing import cache as caching
from resound.mixing.cache import CachedExamples, default_folder, open_cache
from resound.mixing.config import mixing_from
from resound.mixing.stream import open_examples

RATE = 8000


@pytest.fixture
def mixing(speech_corpus, music_corpus):
    def make(**changes):
        values = {
            "sample_rate": RATE,
            "segment_seconds": 0.5,
            "clean": [{"corpus": str(speech_corpus), "share": 0.75}, {"corpus": str(music_corpus), "share": 0.25}],
            "chain": [{"hiss": {"snr_db": [0, 30]}}],
        }
        return mixing_from(values | changes)

    return make


def cached(config, folder: Path, n_examples: int = 8, **options) -> CachedExamples:
    return open_cache(config, n_examples, folder, n_jobs=1, **options)


def test_cached_examples_are_those_that_are_mixed_bit_for_bit(mixing, tmp_path):
    found, made = cached(mixing(), tmp_path), open_examples(mixing())
    assert len(found) == found.n_examples == 8
    for index in range(8):
        one, other = found.example(0, index), made.example(0, index)
        for side in ("degraded", "clean"):
            assert getattr(one, side).dtype == np.float32
            np.testing.assert_array_equal(getattr(one, side), getattr(other, side))
        assert (one.domain, one.bandwidth_hz, one.recipe) == (other.domain, other.bandwidth_hz, other.recipe)
        assert one.sample_rate == RATE


@pytest.mark.parametrize("task", ["enhance", "separate"])
def test_what_the_rows_are_is_remembered(mixing, speech_corpus, tmp_path, task):
    separate = {"task": "separate", "sample_rate": RATE, "segment_seconds": 0.5}
    config = mixing() if task == "enhance" else mixing_from(separate | {"speech": {"corpus": str(speech_corpus)}})
    assert open_cache(config, 2, tmp_path, n_jobs=1).example(0, 0).task == task


def test_a_second_start_makes_nothing(mixing, tmp_path, monkeypatch):
    cached(mixing(), tmp_path)
    monkeypatch.setattr(caching, "open_examples", None)  # calling it would fail
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert cached(mixing(), tmp_path).example(0, 3).domain in ("speech", "music")
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}


def test_what_is_given_may_be_changed_and_the_cache_stays(mixing, tmp_path):
    found = cached(mixing(), tmp_path)
    first = found.example(0, 0)
    first.degraded += 1
    assert not np.array_equal(found.example(0, 0).degraded, first.degraded)


def test_sources_to_separate_are_cached_as_they_are(speech_corpus, tmp_path):
    config = mixing_from(
        {"task": "separate", "sample_rate": RATE, "segment_seconds": 0.5, "speech": {"corpus": str(speech_corpus)}}
    )
    assert cached(config, tmp_path, 3).example(0, 2).clean.shape == (2, 4000)


def touch(speech_corpus: Path) -> None:
    os.utime(speech_corpus.parent / "speech" / "a1.wav", ns=(1, 1))


def grow(speech_corpus: Path) -> None:
    with open(speech_corpus.parent / "speech" / "a1.wav", "ab") as handle:
        handle.write(b"\0")


def relabel(speech_corpus: Path) -> None:
    speech_corpus.write_text(speech_corpus.read_text().replace('"bandwidth_hz": 4000.0', '"bandwidth_hz": 3000.0'))


@pytest.mark.parametrize("change", [touch, grow, relabel])
def test_changed_material_makes_another_cache_and_leaves_the_old_one(mixing, tmp_path, speech_corpus, change):
    first = cached(mixing(), tmp_path / "caches", 2).folder
    change(speech_corpus)
    second = cached(mixing(), tmp_path / "caches", 2).folder
    assert first != second
    assert CachedExamples(first).n_examples == 2


def test_every_parameter_makes_another_cache(mixing, tmp_path, monkeypatch):
    folders = {
        cached(mixing(), tmp_path, 2).folder,
        cached(mixing(), tmp_path, 3).folder,
        cached(mixing(), tmp_path, 2, limit_per_domain=1).folder,
        cached(mixing(), tmp_path, 2, epoch=1).folder,
        cached(mixing(seed=1), tmp_path, 2).folder,
        cached(mixing(chain=[{"hiss": {"snr_db": [0, 31]}}]), tmp_path, 2).folder,
    }
    assert len(folders) == 6
    monkeypatch.setattr(caching, "code_of", lambda: "another version")
    assert cached(mixing(), tmp_path, 2).folder not in folders


def test_no_domain_has_more_than_its_limit(mixing, tmp_path):
    found = cached(mixing(), tmp_path, 16, limit_per_domain=4)
    assert found.describe()["domains"] == {"music": 4, "speech": 4}
    assert len(found) == 8
    made = open_examples(mixing())
    for index in range(8):
        example = found.example(0, index)
        np.testing.assert_array_equal(example.clean, made.example(0, example.recipe["index"]).clean)


def cut_array(folder: Path) -> None:
    os.truncate(folder / "clean.npy", 1000)


def cut_lines(folder: Path) -> None:
    lines = (folder / "examples.jsonl").read_text().splitlines()
    (folder / "examples.jsonl").write_text("\n".join(lines[:-1]) + "\n")


def no_about(folder: Path) -> None:
    (folder / "cache.json").unlink()


def pickled(folder: Path) -> None:
    np.save(folder / "clean.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("spoil", [cut_array, cut_lines, no_about, pickled])
def test_a_cache_that_is_not_whole_is_made_again(mixing, tmp_path, spoil):
    whole = cached(mixing(), tmp_path)
    expected = [whole.example(0, index).clean for index in range(8)]
    spoil(whole.folder)
    with pytest.raises(InputError, match=r"is no whole cache .*; delete it to have it made again"):
        CachedExamples(whole.folder)
    again = cached(mixing(), tmp_path)
    assert again.folder == whole.folder
    for index in range(8):
        np.testing.assert_array_equal(again.example(0, index).clean, expected[index])


def test_nothing_is_left_of_a_cache_that_could_not_be_made(mixing, tmp_path, monkeypatch):
    with largest_file(20_000), pytest.raises(OutputError, match=r"disk full"):
        cached(mixing(), tmp_path / "caches")
    assert {name for name in files_below(tmp_path / "caches") if not name.endswith(".lock")} == set()
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputError, match=r"the cache takes up to 0.00 GB, 0.00 GB are free"):
        cached(mixing(), tmp_path / "caches")


def test_material_that_gives_nothing_is_one_line(write_corpus, tmp_path):
    corpus = write_corpus("silent", {"a": np.zeros(8000)}, split="train", bandwidth_hz=4000.0)
    config = mixing_from(
        {"sample_rate": RATE, "segment_seconds": 0.5, "clean": {"corpus": str(corpus)}, "chain": [{"hiss": {}}]}
    )
    with pytest.raises(InputError, match="no example can be made"):
        cached(config, tmp_path / "caches")
    assert {name for name in files_below(tmp_path / "caches") if not name.endswith(".lock")} == set()


def test_what_was_skipped_is_remembered(write_corpus, tmp_path):
    sounds = {"good": 0.1 * np.random.default_rng(0).standard_normal(8000), "silent": np.zeros(8000)}
    corpus = write_corpus("some", sounds, split="train", bandwidth_hz=4000.0)
    config = mixing_from(
        {"sample_rate": RATE, "segment_seconds": 0.5, "clean": {"corpus": str(corpus)}, "chain": [{"hiss": {}}]}
    )
    first, second = cached(config, tmp_path / "caches"), cached(config, tmp_path / "caches")
    assert first.skipped == second.skipped
    assert first.skipped.total() >= 2
    assert second.describe()["skipped"] == first.skipped.total()


def test_numbers_below_1_are_refused(mixing, tmp_path):
    for options in ({"n_examples": 0}, {"limit_per_domain": 0}):
        with pytest.raises(ConfigError, match="give at least 1"):
            cached(mixing(), tmp_path, **options)


def test_the_default_folder_follows_the_users_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "resound" / "validation"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "resound" / "validation"


PROGRAM = """
import sys
from pathlib import Path
from resound.mixing.cache import open_cache
from resound.mixing.config import load_mixing
if __name__ == "__main__":
    found = open_cache(load_mixing(Path(sys.argv[1])), int(sys.argv[3]), Path(sys.argv[2]), n_jobs=int(sys.argv[4]))
    print(found.folder, len(found))
"""


@pytest.fixture
def start(tmp_path, speech_corpus):
    """Return a function that opens a cache in a process of its own."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "mix.yaml").write_text(
        f"sample_rate: {RATE}\nsegment_seconds: 2.5\nclean: {{corpus: {speech_corpus}}}\nchain:\n  - hiss: {{}}\n"
    )
    words = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "mix.yaml"), str(tmp_path / "caches")]

    def run(n_examples: int, n_jobs: int) -> subprocess.Popen[str]:
        return subprocess.Popen([*words, str(n_examples), str(n_jobs)], stdout=subprocess.PIPE, text=True)

    return run


@pytest.mark.slow
def test_two_processes_that_ask_at_once_make_one_cache(start, tmp_path):
    both = [start(200, n_jobs) for n_jobs in (1, 2)]
    said = {running.communicate()[0] for running in both}
    assert [running.returncode for running in both] == [0, 0]
    assert len(said) == 1
    (folder,) = (path for path in (tmp_path / "caches").iterdir() if path.is_dir())
    assert said == {f"{folder} 200\n"}
    assert not any("partial" in name for name in files_below(tmp_path / "caches"))


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_that_is_taken_for_whole(start, tmp_path):
    running = start(600, 1)
    while running.poll() is None and not list((tmp_path / "caches").glob(".*.partial/clean.npy")):
        time.sleep(0.01)
    time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert any("partial" in name for name in files_below(tmp_path / "caches"))
    assert not [path for path in (tmp_path / "caches").iterdir() if path.is_dir() and path.name[0] != "."]
    again = start(600, 1)
    out, _ = again.communicate()
    assert again.returncode == 0
    assert out.endswith(" 600\n")
    assert not any("partial" in name for name in files_below(tmp_path / "caches"))
    about = json.loads((Path(out.split()[0]) / "cache.json").read_text())
    assert about["domains"] == {"speech": 600}
