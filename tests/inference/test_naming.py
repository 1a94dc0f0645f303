"""Names: which files a command means, what their results are called, and that no two are one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resound.audio.files import AUDIO_SUFFIXES, CONTAINER_SUFFIXES, VIDEO_SUFFIXES
from resound.audio.pcm import CONTAINERS
from resound.errors import ConfigError, InputError
from resound.inference.naming import (
    check_apart,
    excerpt_suffix,
    expand,
    plan_tasks,
    read_sidecar,
    recordings_in,
    result_name,
    sidecar_path,
    strength_suffix,
    without_results,
)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def write_sidecar(result: str, **content: object) -> None:
    sidecar_path(Path(result)).write_text(json.dumps({"resound": "0.1.0", **content}))


def names(paths: list[Path]) -> list[str]:
    return [path.as_posix() for path in paths]


def name_of(source: str, *, strength: float = 1.0, start: float = 0.0, duration: float | None = None) -> str:
    return result_name(Path(source), strength=strength, start_seconds=start, duration_seconds=duration)


# What a result is called


@pytest.mark.parametrize(
    ("strength", "suffix"),
    [(1, ""), (0, "_s0"), (0.3, "_s3"), (0.35, "_s35"), (0.05, "_s05"), (0.5, "_s5"), (0.123456, "_s123456")],
)
def test_a_strength_below_1_is_part_of_the_name(strength, suffix):
    assert strength_suffix(strength) == suffix


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_different_strengths_never_share_a_name(first, second):
    assert (strength_suffix(first / 10**6) == strength_suffix(second / 10**6)) == (first == second)


@pytest.mark.parametrize(
    ("start", "duration", "suffix"),
    [(0, None, ""), (12, 8, "_12-20s"), (12, None, "_12-s"), (0, 2.5, "_0-2.5s"), (0.25, 0.5, "_0.25-0.75s")],
)
def test_an_excerpt_says_where_it_comes_from(start, duration, suffix):
    assert excerpt_suffix(start, duration) == suffix


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("a.wav", "a_restored.wav"),
        ("a.tar.wav", "a.tar_restored.wav"),
        ("A.WAV", "A_restored.WAV"),
        ("film.mkv", "film_restored.mkv"),
        ("a", "a_restored"),
        ("a.xyz", "a_restored.xyz"),
        (".a.wav", ".a_restored.wav"),
        ("old.dsf", "old_restored.wav"),
        ("old.ape", "old_restored.wav"),
        ("old.VOB", "old_restored.mkv"),
    ],
)
def test_a_result_is_named_after_its_source(source, result):
    assert name_of(source) == result


def test_an_excerpt_of_a_video_is_a_sound_file():
    assert name_of("film.mkv", start=1.0, duration=2.0) == "film_restored_1-3s.wav"
    assert name_of("film.flac", strength=0.5, start=1.0, duration=2.0) == "film_restored_s5_1-3s.flac"


@pytest.mark.parametrize("suffix", sorted(AUDIO_SUFFIXES | VIDEO_SUFFIXES))
def test_every_kind_of_recording_gets_a_name_that_can_be_written(suffix):
    assert Path(name_of(f"a{suffix}")).suffix in CONTAINER_SUFFIXES | set(CONTAINERS)


# Which files a command means


def test_a_folder_means_its_recordings_at_any_depth_in_order_without_hidden_ones(here):
    touch("d/b.wav", "d/a.FLAC", "d/x/y/c.mkv", "d/notes.txt", "d/.hidden.wav", "d/.git/e.wav", "d/cover.png")
    Path("d/folder.wav").mkdir()
    assert names(recordings_in(Path("d"))) == ["d/a.FLAC", "d/b.wav", "d/x/y/c.mkv"]


def test_what_earlier_runs_made_is_left_out(here):
    touch("d/a.wav", "d/a_restored.wav", "d/a_restored_s5.wav", "d/noise.wav", "d/kept_restored.wav")
    write_sidecar("d/a_restored.wav", removed="d/noise.wav")
    write_sidecar("d/a_restored_s5.wav", removed=None)
    assert names(recordings_in(Path("d"))) == ["d/a.wav", "d/kept_restored.wav"]


def test_what_was_removed_is_left_out_after_a_move_too(here):
    touch("moved/a.wav", "moved/a_restored.wav", "moved/noise.wav")
    write_sidecar("moved/a_restored.wav", removed="/elsewhere/noise.wav")
    assert names(recordings_in(Path("moved"))) == ["moved/a.wav"]


@pytest.mark.parametrize("content", ["", "5", "[]", '"resound"', '["resound"]', '{"mine": 1}', "{", "\ufeff"])
def test_json_of_somebody_else_is_no_log_of_ours(here, content):
    touch("a_restored.wav")
    Path("a_restored.wav.json").write_text(content)
    assert read_sidecar(Path("a_restored.wav.json")) == {}
    assert without_results([Path("a_restored.wav")]) == [Path("a_restored.wav")]


def test_a_pattern_means_what_it_matches_but_not_earlier_results(here):
    touch("a1.wav", "a2.wav", "b1.wav", "a1_restored.wav", "deep/x/a3.wav")
    write_sidecar("a1_restored.wav")
    assert names([path for path, _ in expand("a*.wav")]) == ["a1.wav", "a2.wav"]
    assert names([path for path, _ in expand("**/a*.wav")]) == ["a1.wav", "a2.wav", "deep/x/a3.wav"]


def test_a_result_named_itself_is_meant(here):
    touch("a_restored.wav")
    write_sidecar("a_restored.wav")
    assert expand("a_restored.wav") == [(Path("a_restored.wav"), None)]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(here):
    touch("take[1].wav", "take1.wav")
    assert expand("take[1].wav") == [(Path("take[1].wav"), None)]


@pytest.mark.parametrize("word", ["empty", "*.flac", "done*"])
def test_a_word_that_means_no_recording_is_refused(here, word):
    Path("empty").mkdir()
    touch("done_restored.wav")
    write_sidecar("done_restored.wav")
    with pytest.raises(InputError) as caught:
        expand(word)
    assert str(caught.value).startswith(f"{word}: ")
    assert "; " in str(caught.value)


# Where results go


def planned(*inputs: str, output: str | None = None) -> list[tuple[str, str]]:
    tasks = plan_tasks(inputs, Path(output) if output else None)
    return [(task.source.as_posix(), task.output.as_posix()) for task in tasks]


def test_without_a_target_results_lie_beside_their_sources(here):
    touch("x/a.wav", "b.wav")
    assert planned("x/a.wav", "b.wav") == [("x/a.wav", "x/a_restored.wav"), ("b.wav", "b_restored.wav")]


def test_a_target_with_a_suffix_is_a_file_and_one_without_a_folder(here):
    touch("a.wav")
    assert planned("a.wav", output="b.flac") == [("a.wav", "b.flac")]
    assert planned("a.wav", output="b") == [("a.wav", "b/a_restored.wav")]
    Path("c.d").mkdir()
    assert planned("a.wav", output="c.d") == [("a.wav", "c.d/a_restored.wav")]


def test_a_folder_keeps_its_structure(here):
    touch("d/a.wav", "d/x/a.wav")
    tasks = plan_tasks(["d"], Path("out"))
    assert [task.output.as_posix() for task in tasks] == ["out/a_restored.wav", "out/x/a_restored.wav"]
    assert [task.subfolder for task in tasks] == [Path(), Path("x")]


def test_a_file_that_does_not_exist_stays_in_the_list(here):
    touch("a.wav")
    assert [source for source, _ in planned("no.wav", "a.wav")] == ["no.wav", "a.wav"]


def test_a_file_named_in_several_ways_is_meant_once(here):
    touch("d/a.wav")
    found = planned("d/a.wav", "d", "./d/../d/a.wav", os.path.abspath("d/a.wav"), "d/*.wav")
    assert found == [("d/a.wav", "d/a_restored.wav")]


def test_results_that_would_share_a_name_are_refused(here):
    touch("x/a.wav", "y/a.wav")
    with pytest.raises(ConfigError, match=r"out/a_restored.wav: both x/a.wav and y/a.wav would be written"):
        planned("x/a.wav", "y/a.wav", output="out")


def test_names_that_meet_through_a_link_are_refused_too(here):
    Path("real").mkdir()
    os.symlink("real", "link")
    with pytest.raises(ConfigError, match="both a and b would be written there"):
        check_apart([(Path("real/x.wav"), Path("a")), (Path("link/x.wav"), Path("b"))])


def test_a_result_that_is_an_input_too_is_refused(here):
    touch("a.wav", "a_restored.wav")
    with pytest.raises(ConfigError, match=r"a_restored.wav: is an input too, which is never overwritten"):
        planned("a.wav", "a_restored.wav")


def test_a_file_as_target_of_several_recordings_is_refused(here):
    touch("a.wav", "b.wav", "d/c.wav")
    for inputs in (("a.wav", "b.wav"), ("d",)):
        with pytest.raises(ConfigError, match=r"out.wav: is one file's name"):
            planned(*inputs, output="out.wav")
