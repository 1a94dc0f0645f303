"""``resound harvest`` as a user types it."""

import json

import numpy as np
import pytest

from conftest import files_below, write_wav
from resound.degrade.chain import load_chain
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


def test_an_earlier_result_is_replaced_only_when_asked(resound, film):
    (film.parent / "film.yaml").write_text("mine")
    ended = resound("harvest", film, "--fit", "film.yaml")
    assert ended.status == 1
    assert "--overwrite" in ended.stderr
    assert (film.parent / "film.yaml").read_text() == "mine"
    assert resound("harvest", film, "--fit", "film.yaml", "--overwrite").status == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["film.wav"], "-o"),
        (["film.wav", "-o", "x", "--fit", "y.yaml"], "--fit"),
        (["film.wav", "film.wav", "--fit", "y.yaml", "-o", "x"], "one recording"),
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
