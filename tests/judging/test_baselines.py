"""Baselines stand in the order that they must, and are judged once per set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resound.errors import ConfigError
from resound.judging import baselines
from resound.judging.baselines import BASELINES, baselines_for, judge_baselines
from resound.judging.fixed_filter import fixed_filter
from resound.judging.measures import Asked
from resound.judging.scores import score
from resound.mixing.cache import CachedExamples, open_cache
from resound.mixing.config import mixing_from


@pytest.fixture
def examples(speech_corpus, tmp_path) -> CachedExamples:
    values = {"sample_rate": 8000, "segment_seconds": 0.5, "clean": {"corpus": str(speech_corpus)}}
    return open_cache(mixing_from(values | {"chain": [{"hiss": {"snr_db": [0, 20]}}]}), 6, tmp_path / "set", n_jobs=1)


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """Count the examples that are judged."""
    called: list[int] = []

    def counted(estimate, example, extra=()):
        called.append(1)
        return score(estimate, example, extra)

    monkeypatch.setattr(baselines, "score", counted)
    return called


@pytest.mark.parametrize("rms", [0.01, 0.1])
def test_the_oracle_beats_the_classic_chain_beats_silence(noisy, rms):
    example = noisy(rms=rms)
    scores = {name: score(baseline(example), example) for name, baseline in BASELINES.items()}
    for name in ("si_sdr", "snr"):
        assert scores["oracle_mask"][name] > scores["classic"][name] + 1
        assert scores["classic"][name] > scores["unprocessed"][name] > scores["silence"][name]


def test_estimates_have_the_shape_of_the_target(noisy, mixture, denoised):
    for example in (noisy(seconds=0.7), mixture, denoised):
        for name in baselines_for(example.task):
            baseline = BASELINES.get(name) or fixed_filter([example])
            assert baseline(example).shape == example.clean.shape


def test_after_a_denoiser_the_noisy_input_is_a_baseline_too(denoised):
    assert "noisy" not in baselines_for("enhance")
    assert baselines_for("regenerate") == ["unprocessed", "noisy", "silence", "classic", "fixed_filter", "oracle_mask"]
    alone = replace(denoised, degraded=denoised.degraded[1:], task="enhance")
    for name in ("classic", "oracle_mask"):  # of what the denoiser was given, as if there were no denoiser
        np.testing.assert_array_equal(BASELINES[name](denoised), BASELINES[name](alone))


def test_the_oracle_mask_separates(mixture):
    scores = score(BASELINES["oracle_mask"](mixture), mixture)
    assert scores["si_sdr_i"] > 8
    assert abs(scores["level_db"]) < 1


def test_the_oracle_mask_of_a_clean_input_is_the_input(noisy):
    example = noisy(seconds=1, rms=0)
    np.testing.assert_allclose(BASELINES["oracle_mask"](example), example.clean, atol=1e-6)
    example.clean[:] = 0
    assert not BASELINES["oracle_mask"](example).any()


def test_each_baseline_is_judged_on_each_example(examples, calls):
    judged = judge_baselines(examples, 1)
    assert list(judged) == baselines_for("enhance")
    assert len(calls) == 5 * 6
    example = examples.example(0, 3)
    assert judged["classic"].rows[3].scores == score(BASELINES["classic"](example), example)
    assert judged["unprocessed"].overall["si_sdr_i"].mean == 0


def test_a_second_start_judges_nothing_and_gives_the_same(examples, calls):
    first = judge_baselines(examples, 1)
    calls.clear()
    second = judge_baselines(CachedExamples(examples.folder), 1)
    assert not calls
    assert repr(second) == repr(first)  # NaN is not equal to itself


def test_other_measures_or_other_code_are_judged_anew(examples, calls, monkeypatch):
    judge_baselines(examples, 1)
    judge_baselines(examples, 1, Asked(("stoi",), 2))
    assert len(calls) == 2 * 30
    monkeypatch.setattr("resound.judging.stored.code_of", lambda parts: "changed")
    judge_baselines(examples, 1)
    assert len(calls) == 3 * 30


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"silence": [[0, "speech", {}]]}', '{"silence": [3]}'])
def test_a_damaged_cache_is_made_again(examples, calls, text):
    judge_baselines(examples, 1)
    [path] = examples.folder.glob("baselines-*.json")
    whole = path.read_text()
    path.write_text(text)
    judge_baselines(examples, 1)
    assert len(calls) == 2 * 30
    assert path.read_text() == whole


def test_a_folder_that_cannot_be_written_costs_only_time(examples, monkeypatch):
    from resound.errors import OutputError

    def refuse(*_, **__):
        raise OutputError("full")

    monkeypatch.setattr("resound.judging.stored.atomic_file", refuse)
    assert len(judge_baselines(examples, 1)) == 5
    assert not list(examples.folder.glob("baselines-*"))


def test_slow_measures_are_taken_of_some_examples_evenly(examples):
    pytest.importorskip("pystoi", reason="needs the extra: pip install '.[eval]'")
    judged = judge_baselines(examples, 1, Asked(("stoi",), 2))["unprocessed"]
    assert [row.index for row in judged.rows if "stoi" in row.scores] == [2, 5]
    asked = Asked(("stoi",), 20)
    assert sum(bool(asked.at(index, 1000)) for index in range(1000)) == 20
    assert all(asked.at(index, 7) for index in range(7))
    with pytest.raises(ConfigError, match="'pesk' is not known \\(did you mean 'pesq'"):
        Asked(("pesk",))


def test_sets_to_separate_have_no_classic_chain(speech_corpus, tmp_path):
    config = mixing_from(
        {"task": "separate", "sample_rate": 8000, "segment_seconds": 0.5, "speech": {"corpus": str(speech_corpus)}}
    )
    judged = judge_baselines(open_cache(config, 3, tmp_path / "set", n_jobs=1), 1)
    assert list(judged) == ["unprocessed", "silence", "oracle_mask"]


@pytest.mark.slow
def test_worker_processes_give_the_same(examples):
    alone = judge_baselines(examples, 1)
    for path in examples.folder.glob("baselines-*.json"):
        path.unlink()
    assert repr(judge_baselines(examples, 2)) == repr(alone)
