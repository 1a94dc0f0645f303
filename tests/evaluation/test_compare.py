"""``resound compare``: which of several is better, that nobody can tell, and a blind test in a real browser."""

import contextlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.chromium import Browser
from evaluation.folders import recordings, write_folders
from resound.evaluation.compare import Pairing, but_worse, sentence
from resound.evaluation.evaluate import Asked, evaluate
from resound.evaluation.statistics import paired
from resound.evaluation.writing import write_results

N = 8


def judge(name, *, degraded="degraded", output=None):
    asked = Asked(Path(degraded), (Path(name),), (Path("clean"),), metrics=("si_sdr,lsd",), baselines=("unprocessed",))
    folder = Path("results") / (output or name)
    write_results(evaluate(asked, folder, n_jobs=1, overwrite=True).result, folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three systems: b removes more of the noise than a, and c as much as a, give or take."""
    where = tmp_path_factory.mktemp("systems")
    sides = recordings(N)
    noises = [given - clean for given, clean in zip(sides["degraded"], sides["clean"], strict=True)]
    kept = {"a": [0.5] * N, "b": [0.3] * N, "c": 0.5 + 0.05 * np.random.default_rng(5).standard_normal(N)}
    systems = {
        name: [clean + share * noise for clean, share, noise in zip(sides["clean"], shares, noises, strict=True)]
        for name, shares in kept.items()
    }
    write_folders({"clean": sides["clean"], "degraded": sides["degraded"], **systems}, where=where)
    with contextlib.chdir(where):
        for name in systems:
            judge(name)
    return where


@pytest.fixture
def judged(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def told(name):
    with open(f"comparison/{name}/comparison.json") as file:
        return json.load(file)


def test_the_better_one_is_named(judged, resound):
    ended = resound("compare", "results/a", "results/b")
    assert ended.status == 0
    assert "b is better than a on 8 of 8 files: +4.4 dB SI-SDR, 95 % interval 4.4 to 4.5, p 0.016" in ended.stdout
    (first, _) = told("a-b")["differences"]
    assert first["mean"] == pytest.approx(20 * np.log10(0.5 / 0.3), abs=0.05) and first["is_told_apart"]


def test_those_that_nobody_can_tell_apart_are_told_so_and_what_it_would_take(judged, resound):
    ended = resound("compare", "results/a", "results/c", "--metrics", "si_sdr")
    assert "a and c cannot be told apart with 8 files" in ended.stdout and "files would be needed" in ended.stdout
    assert "to tell a difference of that size by one test at 5 %" in ended.stdout


def test_what_the_better_one_is_worse_in_is_told():
    rng = np.random.default_rng(0)
    better, worse = paired(1 + 0.1 * rng.random(20)), paired(np.linspace(-0.4, -0.3, 20))
    pairings = [
        Pairing("si_sdr", "a", "b", better),
        Pairing("pesq", "a", "b", worse),
        Pairing("pesq", "a", "c", better),
    ]
    assert but_worse(pairings[0], pairings) == "; but worse in PESQ (-0.35)"
    assert but_worse(pairings[2], pairings) == ""


def test_the_number_of_files_has_two_digits():
    found = replace(paired(np.array([1.0, -0.9, 1.1, -1.0, 0.3, -0.2, 0.1])), n_needed=15_798)
    assert "about 16,000 files would be needed" in sentence(Pairing("si_sdr", "a", "b", found), 1)


def test_what_one_test_tells_and_several_do_not_is_no_matter_of_files():
    rng = np.random.default_rng(0)
    found = paired(0.6 + rng.standard_normal(24))
    assert found.p < 0.05 and found.low > 0
    told = sentence(Pairing("si_sdr", "a", "b", replace(found, p_holm=9 * found.p)), 9)
    assert "cannot be told apart" in told and "this test by itself would tell them apart (p 0.0" in told


def test_identical_systems_are_identical(judged, resound):
    ended = resound("compare", "results/a", "results/a")
    assert ended.status == 0 and "are identical in SI-SDR on all 8 files" in ended.stdout


def test_three_are_compared_pair_by_pair(judged, resound):
    resound("compare", "results/a", "results/b", "results/c", "--metrics", "si_sdr")
    assert [(each["first"], each["second"]) for each in told("a-b-c")["differences"]] == [
        ("a", "b"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    assert len(told("a-b-c")["sentences"]) == 3


def test_what_was_judged_on_other_inputs_is_not_compared(judged, resound):
    sides = recordings(N)
    noisier = [1.5 * given - 0.5 * clean for given, clean in zip(sides["degraded"], sides["clean"], strict=True)]
    write_folders({"noisier": noisier})
    judge("b", degraded="noisier", output="other")
    ended = resound("compare", "results/a", "results/other")
    assert ended.status == 1 and "were judged on other inputs (take" in ended.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("results/a",), "1 evaluation given; to compare takes two or more"),
        (("results/a", "clean"), "clean: holds no results (results.json is missing)"),
        (("results/a", "results/b", "--metrics", "pesq"), "metric 'pesq' was not measured of all"),
    ],
)
def test_what_cannot_be_compared_is_one_line(judged, resound, words, error):
    ended = resound("compare", *words)
    assert ended.status == 1 and error in ended.stderr and ended.stderr.count("\n") == 1


def copied(judged, name, change):
    """Write a copy of an evaluation, one of its files changed."""
    shutil.copytree(judged / "results" / "b", judged / "results" / name)
    change(judged / "results" / name)


def test_an_evaluation_cut_short_is_not_compared(judged, resound):
    copied(judged, "short", lambda folder: os.truncate(folder / "results.csv", 500))
    ended = resound("compare", "results/a", "results/short")
    assert ended.status == 1 and "is missing, broken or of another program" in ended.stderr


def test_a_journal_that_is_broken_only_takes_the_sound(judged, resound):
    copied(judged, "broken", lambda folder: (folder / "rows.jsonl").write_text("{}\n[1, 2]\n"))
    assert resound("compare", "results/a", "results/broken").status == 0
    assert "There is no sound to compare" in Path("comparison/a-broken/comparison.html").read_text()


def test_sound_is_found_from_any_folder(judged, resound, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    resound("compare", str(judged / "results" / "a"), str(judged / "results" / "b"), "-o", "out")
    assert "class='trial'" in Path("out/comparison.html").read_text()


def test_a_metric_asked_for_twice_is_one_test(judged, resound):
    resound("compare", "results/a", "results/b", "--metrics", "si_sdr,SI_SDR", "-o", "twice")
    assert len(json.loads(Path("twice/comparison.json").read_text())["differences"]) == 1


def test_inputs_that_nobody_could_check_are_told(judged, resound):
    asked = Asked(Path("degraded"), (Path("a"),), (Path("clean"),), metrics=("si_sdr",), baselines=())
    write_results(evaluate(asked, Path("results/bare"), n_jobs=1).result, Path("results/bare"))
    ended = resound("compare", "results/bare", "results/b")
    assert "note: bare: was judged without the unprocessed input" in ended.stdout


def test_test_and_mean_that_disagree_name_no_winner():
    spread = np.arange(120) * 1e-3
    found = paired(np.r_[0.1 + spread[:100], -5 - spread[:20]])
    assert found.mean < 0 < found.n_better - found.n_worse and found.p < 0.001 and not found.is_told_apart
    told = sentence(Pairing("si_sdr", "a", "b", found), 1)
    assert "cannot be told apart with 120 files" in told and "the test and the mean do not agree" in told


def test_a_run_that_was_not_judged_is_told_how_to(judged, resound):
    (judged / "run").mkdir()
    (judged / "run" / "config.yaml").write_text("preset: gatewave\n")
    ended = resound("compare", "results/a", "run")
    assert ended.status == 1 and "run 'resound evaluate --model run' first" in ended.stderr


def test_the_blind_test_hides_the_order_and_keeps_the_score(judged, resound):
    resound("compare", "results/a", "results/b")
    with Browser(judged / "comparison" / "a-b" / "comparison.html") as browser:
        browser.wait("document.body?.dataset.ready === 'yes'")
        assert browser.run("document.querySelectorAll('.trial').length") == N
        trial = "document.querySelector('.trial')"
        labels = f"[...{trial}.querySelectorAll('button[data-version]')].map((each) => each.textContent)"
        assert browser.run(labels) == ["A", "B", "X"]
        sounds = browser.run(f"{trial}.querySelector('.controls').player.take.versions.map((v) => v.audio)")
        assert sounds[0] != sounds[1] and sounds[2] in sounds[:2]
        browser.run(f"{trial}.querySelector('.play').click()")
        browser.wait(f"{trial}.querySelector('.controls').dataset.state === 'playing'")
        guess = "A" if sounds[2] == sounds[0] else "B"
        browser.run(f"{trial}.querySelector('[data-guess={guess}]').click()")
        assert "X told rightly 1 of 1 times" in browser.run("document.getElementById('score').textContent")
        assert browser.run(f"{trial}.querySelector('p.note').textContent").startswith("Right: X was")
        assert not browser.errors
