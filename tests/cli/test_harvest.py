"""``resound harvest`` as a user types it."""

import json
import os

import numpy as np
import pytest

from conftest import files_below, write_wav
from resound.corpora.manifest import read_manifest
from resound.degrade.chain import load_chain
from resound.errors import one_line
from resound.harvest import cut
from resound.harvest.cut import listen
from signals import music_like, noise, speech_like

RATE = 16000


@pytest.fixture
def film(here):
    samples = noise(9, RATE)
    samples[3 * RATE : 6 * RATE] += speech_like(3, RATE)
    return write_wav(here / "film.wav", 0.5 * samples[None], rate=RATE)


def test_noise_manifest_and_report_are_written(resound, film):
    ended = resound("harvest", film, "-o", "noise")
    assert ended.status == 0
    assert "2 stretches" in ended.stdout
    assert {"harvest.json", "manifest.jsonl", "film"} < files_below(film.parent / "noise")
    assert len(list((film.parent / "noise" / "film").iterdir())) == 2


def test_a_dry_run_tells_the_same_and_writes_nothing(resound, film):
    before = files_below(film.parent)
    ended = resound("harvest", film, "--dry-run")
    assert ended.status == 0
    assert "2 stretches" in ended.stdout
    assert files_below(film.parent) == before


def test_json_is_the_report(resound, film):
    ended = resound("harvest", film, "-o", "noise", "--json")
    assert json.loads(ended.stdout) == json.loads((film.parent / "noise" / "harvest.json").read_text())


def test_nothing_found_is_one_line_and_status_1(resound, here):
    write_wav(here / "song.wav", music_like(5, RATE)[None], rate=RATE)
    ended = resound("harvest", "song.wav", "-o", "noise")
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert "song.wav: no stretch of noise alone in 5.0 s" in ended.stderr
    assert not (here / "noise").exists()


def test_a_recording_without_noise_is_no_failure_beside_one_that_has_some(resound, film):
    write_wav(film.parent / "song.wav", music_like(5, RATE)[None], rate=RATE)
    ended = resound("harvest", film, "song.wav", "-o", "noise")
    assert ended.status == 0
    assert "0 stretches" in ended.stdout


def test_profile_and_chain_are_written(resound, film):
    ended = resound("harvest", film, "--fit", "film.yaml", "--profile", "film.json")
    assert ended.status == 0
    profile = json.loads((film.parent / "film.json").read_text())
    assert profile["noise_dbfs"] == pytest.approx(-46, abs=0.3)
    drawn = load_chain(film.parent / "film.yaml").draw(np.random.default_rng(0))
    assert "hiss" in drawn[-1] or "hiss" in drawn[0]


def test_noise_and_chain_of_one_recording_come_from_one_command(resound, film):
    ended = resound("harvest", film, "-o", "noise", "--fit", "film.yaml", "--json")
    told = json.loads(ended.stdout)
    assert (ended.status, ended.stderr) == (0, "")
    assert len(read_manifest(film.parent / "noise" / "manifest.jsonl").recordings) == 2
    assert load_chain(film.parent / "film.yaml").draw(np.random.default_rng(0))
    assert told["recordings"][0]["kept_seconds"] > 5
    assert told["profile"]["noise_dbfs"] == pytest.approx(-46, abs=0.3)


@pytest.mark.parametrize("wanted", [["-o", "noise"], ["--fit", "film.yaml"], ["-o", "noise", "--fit", "film.yaml"]])
@pytest.mark.parametrize(("first", "status"), [(8 * RATE, 0), (0, 1)])
def test_samples_that_are_no_numbers_are_warned_of_once(resound, here, wanted, first, status):
    samples = noise(9, RATE)[None].astype(np.float32)
    samples[:, first:] = np.nan
    write_wav(here / "film.wav", samples, rate=RATE, subtype="FLOAT")
    ended = resound("harvest", "film.wav", *wanted)
    assert ended.status == status
    assert ended.stderr.count("resound: warning: film.wav:") == 1
    assert f"{9 * RATE - first:,} samples are not finite" in ended.stderr


def test_a_recording_whose_noise_cannot_be_written_stops_nothing_and_the_rest_is_listed(resound, film):
    write_wav(film.parent / "other.wav", noise(5, RATE)[None], rate=RATE)
    (film.parent / "noise").mkdir()
    (film.parent / "noise" / "film").write_text("in the way")
    ended = resound("harvest", film, "other.wav", "-o", "noise")
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert "noise/film: cannot make this folder" in ended.stderr
    assert "1 stretch, " in ended.stdout
    assert {item.group for item in read_manifest(film.parent / "noise" / "manifest.jsonl").recordings} == {"other"}
    first, _ = json.loads((film.parent / "noise" / "harvest.json").read_text())["recordings"]
    assert "cannot make this folder" in first["error"]
    assert first["stretches"] == []


def test_what_was_cut_before_an_interruption_is_listed(resound, film, monkeypatch):
    def interrupted(source):
        if source.path.name == "other.wav":
            raise KeyboardInterrupt
        return listen(source)

    write_wav(film.parent / "other.wav", noise(5, RATE)[None], rate=RATE)
    monkeypatch.setattr(cut, "listen", interrupted)
    ended = resound("harvest", film, "other.wav", "-o", "noise")
    assert ended.status == 130
    assert {item.group for item in read_manifest(film.parent / "noise" / "manifest.jsonl").recordings} == {"film"}


@pytest.mark.parametrize("name", ["a\nb.wav", os.fsdecode(b"a\xff.wav")])
def test_a_name_with_controls_or_no_text_is_one_line_and_comes_back(resound, film, name):
    film.rename(film.parent / name)
    ended = resound("harvest", name, "-o", "noise", "--fit", "film.yaml")
    assert ended.status == 0
    assert [line for line in ended.stdout.splitlines() if line[0] != " "] == [
        one_line(name),
        next(line for line in ended.stdout.splitlines() if "2 stretches" in line),
    ]
    (told,) = json.loads((film.parent / "noise" / "harvest.json").read_text())["recordings"]
    assert told["recording"] == name
    assert one_line(name) in load_chain(film.parent / "film.yaml").about


def test_an_earlier_result_is_replaced_only_when_asked(resound, film):
    (film.parent / "film.yaml").write_text("mine")
    ended = resound("harvest", film, "--fit", "film.yaml")
    assert ended.status == 1
    assert "--overwrite" in ended.stderr
    assert (film.parent / "film.yaml").read_text() == "mine"
    assert resound("harvest", film, "--fit", "film.yaml", "--overwrite").status == 0


@pytest.mark.parametrize("words", [[], ["film.wav", "--bogus"], ["film.wav", "-o"], ["film.wav", "--start", "x"]])
def test_words_that_cannot_be_read_are_status_2(resound, film, words):
    assert resound("harvest", *words).status == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["film.wav"], "-o"),
        (["film.wav", "missing.wav", "--fit", "y.yaml", "-o", "x"], "one recording, not 2"),
        (["film.wav", "-o", "x", "--fit", "film.wav"], "film.wav: exists already"),
        (["film.wav", "-o", "film.wav/x"], "film.wav: cannot make this folder"),
        (["film.wav", "-o", "x", "--start", "-1"], "film.wav: cannot read it from -1 s"),
        (["film.wav", "-o", "x", "--min-seconds", "0"], "min_seconds"),
        (["film.wav", "-o", "x", "--max-seconds", "0.2"], "max_seconds"),
        (["film.wav", "-o", "x", "--set", "pich=0.3"], "pitch"),
        (["missing.wav", "-o", "x"], "missing.wav"),
        (["film.wav", "-o", "x", "--start", "100"], "film.wav"),
    ],
)
def test_mistakes_are_one_line(resound, film, words, complaint):
    ended = resound("harvest", *words)
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert complaint in ended.stderr
    assert not (film.parent / "x").exists()
