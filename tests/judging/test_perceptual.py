"""PESQ and STOI: at the right rate, NaN without an answer, left out and told where their package is absent."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest

from resound.judging.perceptual import left_out
from resound.judging.scores import Judged, score
from resound.judging.summary import summarise
from resound.mixing.example import Example
from signals import speech_like

RATE = 16000


@pytest.mark.parametrize("name", ["pesq", "stoi", "estoi"])
def test_less_noise_is_better_and_none_is_best(noisy, name):
    pytest.importorskip("pesq" if name == "pesq" else "pystoi", reason="needs the extra: pip install '.[eval]'")
    little, much = noisy(rms=0.003), noisy(rms=0.1)
    values = [score(estimate, little, (name,))[name] for estimate in (much.degraded, little.degraded, little.clean)]
    assert values == sorted(values)
    assert values[2] == pytest.approx({"pesq": 4.644}.get(name, 1.0), abs=0.001)


def test_pesq_is_wide_band_at_16_khz_and_narrow_band_at_8(noisy):
    package = pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    for rate, mode in ((16000, "wb"), (8000, "nb")):
        example = noisy(rate=rate)
        expected = package.pesq(rate, example.clean[0], example.degraded[0], mode)
        assert score(example.degraded, example, ("pesq",))["pesq"] == pytest.approx(expected, abs=1e-3)


def test_pesq_of_other_rates_is_that_of_the_resampled_sound():
    pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    soxr = pytest.importorskip("soxr")
    clean = speech_like(4, 48000).astype(np.float32)
    degraded = clean + 0.01 * np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    pair = (degraded[None], clean[None])
    resampled = tuple(soxr.resample(side[0], 48000, RATE, quality="HQ")[None] for side in pair)
    there = score(pair[0], Example(*pair, 48000, 24000.0, "speech"), ("pesq",))["pesq"]
    here = score(resampled[0], Example(*resampled, RATE, 8000.0, "speech"), ("pesq",))["pesq"]
    assert there == pytest.approx(here, abs=1e-6)


@pytest.mark.slow
def test_pesq_of_a_long_sound_is_the_mean_of_its_parts():
    """The package crashes on more than 50 utterances."""
    package = pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    rng, n = np.random.default_rng(0), 30 * RATE
    bursts = 0.1 * rng.standard_normal(n) * (np.arange(n) // (0.25 * RATE) % 2)
    degraded = bursts + 0.01 * rng.standard_normal(n)
    example = Example(*(side[None].astype(np.float32) for side in (degraded, bursts)), RATE, 8000.0, "speech")
    halves = zip(np.split(example.clean[0], 2), np.split(example.degraded[0], 2), strict=True)
    expected = np.mean([package.pesq(RATE, *half, "wb") for half in halves])
    assert score(example.degraded, example, ("pesq",))["pesq"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("n_samples", [1, 1000, 5000])
def test_what_is_too_short_has_no_value_and_gives_no_warning(n_samples):
    pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    pytest.importorskip("pystoi", reason="needs the extra: pip install '.[eval]'")
    speech = speech_like(2, RATE)[None, 8000 : 8000 + n_samples]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for estimate in (speech, 0 * speech):
            scores = score(estimate, Example(speech, speech, RATE, 8000.0, "speech"), ("pesq", "stoi", "estoi"))
            assert np.isnan([scores[name] for name in ("stoi", "estoi")]).all()
            assert np.isnan(scores["pesq"]) or n_samples >= 4000


def test_estoi_is_repeatable_and_leaves_the_global_generator_alone(noisy):
    pytest.importorskip("pystoi", reason="needs the extra: pip install '.[eval]'")
    example = noisy()
    np.random.seed(5)  # noqa: NPY002
    first, after = score(example.degraded, example, ("estoi",))["estoi"], np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert after == np.random.random()  # noqa: NPY002
    assert score(example.degraded, example, ("estoi",))["estoi"] == first


def test_an_absent_package_leaves_its_measures_out_and_the_summary_says_so(noisy, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    example = noisy(seconds=1)
    scores = score(example.degraded, example, ("pesq", "stoi"))
    assert not {"pesq", "stoi"} & set(scores)
    summary = summarise([Judged(0, "speech", scores)], ("pesq", "stoi"))
    assert summary.left_out == left_out(("pesq", "stoi"))
    assert summary.left_out["stoi"] == "needs pystoi, which is not installed; run: pip install 'resound[eval]'"
