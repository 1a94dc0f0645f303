"""Scores are the numbers of the formulas, and what cannot be measured is NaN and nothing worse."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from resound.judging.measures import MEASURES
from resound.judging.scores import noisy as noisy_input
from resound.judging.scores import score, separates, unprocessed
from resound.mixing.example import Example
from signals import noise, speech_like

RATE = 16000


def test_each_measure_is_that_of_its_formula(noisy):
    example = noisy()
    clean, degraded = example.clean[0].astype(np.float64), example.degraded[0].astype(np.float64)
    estimate = 0.8 * clean + 0.3 * (degraded - clean)
    scores = score(estimate[None], example)
    assert list(scores) == list(MEASURES)

    def sdr(signal):
        """SI-SDR by the correlation coefficient, another form of the same."""
        rho2 = np.corrcoef(signal, clean)[0, 1] ** 2
        return 10 * np.log10(rho2 / (1 - rho2))

    def snr(signal):
        return 20 * np.log10(np.linalg.norm(clean) / np.linalg.norm(signal - clean))

    assert scores["si_sdr"] == pytest.approx(sdr(estimate), abs=1e-9)
    assert scores["si_sdr_i"] == pytest.approx(sdr(estimate) - sdr(degraded), abs=1e-9)
    assert scores["snr"] == pytest.approx(snr(estimate), abs=1e-9)
    assert scores["snr_i"] == pytest.approx(snr(estimate) - snr(degraded), abs=1e-9)
    assert scores["level_db"] == pytest.approx(20 * np.log10(0.8), abs=0.05)
    assert scores["level_ratio_db"] == pytest.approx(20 * np.log10(estimate.std() / clean.std()), abs=1e-3)
    assert scores["removed_correlation"] == pytest.approx(np.corrcoef(degraded - estimate, clean)[0, 1], abs=1e-9)


def test_a_model_that_removes_the_signal_is_seen_by_what_it_removed(noisy):
    example = noisy(rms=0.003)
    assert score(0.1 * example.degraded, example)["removed_correlation"] > 0.99
    assert abs(score(example.clean, example)["removed_correlation"]) < 0.02


def test_lsd_of_a_gain_is_the_gain_at_any_level(noisy):
    example = noisy()
    for level in (1.0, 1e-6):
        scaled = Example(level * example.degraded, level * example.degraded, RATE, 8000.0, "speech")
        assert score(0.5 * scaled.clean, scaled)["lsd"] == pytest.approx(6.02, abs=0.05)


def test_channels_are_averaged(noisy):
    left, right = noisy(1), noisy(2)
    both = Example(*(np.concatenate([getattr(one, side) for one in (left, right)]) for side in ("degraded", "clean")),
                   RATE, 8000.0, "speech")  # fmt: skip
    scores = [score(one.degraded, one) for one in (left, right)]
    assert score(both.degraded, both)["si_sdr"] == pytest.approx(np.mean([one["si_sdr"] for one in scores]))
    assert not separates(both)


def test_sources_may_come_in_any_order(mixture):
    estimate = mixture.clean + 0.01 * np.random.default_rng(0).standard_normal(mixture.clean.shape)
    assert separates(mixture)
    assert score(estimate[::-1], mixture) == score(estimate, mixture)
    assert score(estimate, mixture)["si_sdr"] > 15


def test_a_stereo_mixture_of_two_is_one_to_separate_all_the_same(mixture):
    left_and_right = replace(mixture, degraded=np.repeat(mixture.degraded, 2, axis=0))
    assert separates(left_and_right)
    np.testing.assert_array_equal(unprocessed(left_and_right), unprocessed(mixture))
    assert score(mixture.clean[::-1], left_and_right) == score(mixture.clean, mixture)


def test_two_inputs_of_one_voice_are_none_to_separate(denoised):
    assert not separates(denoised)
    np.testing.assert_array_equal(unprocessed(denoised), denoised.degraded[:1])
    np.testing.assert_array_equal(noisy_input(denoised), denoised.degraded[1:])


def test_gains_are_counted_from_the_denoisers_output(denoised):
    scores = score(unprocessed(denoised), denoised)
    assert scores["si_sdr_i"] == scores["snr_i"] == 0
    before = score(noisy_input(denoised), denoised)
    assert before["si_sdr_i"] == pytest.approx(before["si_sdr"] - scores["si_sdr"])
    assert before["si_sdr_i"] < -3


def test_the_mixture_improves_nothing(mixture):
    scores = score(unprocessed(mixture), mixture)
    assert scores["si_sdr_i"] == scores["snr_i"] == 0
    assert scores["si_sdr"] == pytest.approx(0, abs=1)  # one voice is about as far above the other as that below it


def test_perfect_and_silent_estimates_end_at_100_db(noisy):
    example = noisy()
    perfect, silent = score(example.clean, example), score(0 * example.clean, example)
    assert (perfect["si_sdr"], perfect["snr"], perfect["level_db"]) == (100, 100, pytest.approx(0))
    assert (silent["si_sdr"], silent["snr"], silent["level_db"], silent["level_ratio_db"]) == (-100, 0, -100, -100)


def test_an_estimate_that_is_not_finite_has_no_score_and_spoils_no_matching(noisy, mixture):
    example = noisy()
    broken = example.degraded.copy()
    broken[0, 7] = np.nan
    assert all(np.isnan(value) for value in score(broken, example).values())
    half_broken = mixture.clean.copy()
    half_broken[0] = np.inf
    assert np.isnan(score(half_broken, mixture)["si_sdr"])


@pytest.mark.parametrize("n_samples", [1, 100, 479, 16000])
def test_no_sound_raises_or_warns(n_samples):
    speech = speech_like(2, RATE)[None, 8000 : 8000 + n_samples]
    hiss = noise(2, RATE)[None, :n_samples]
    click = np.zeros_like(speech)
    click[0, 0] = 1
    sounds = [speech, hiss, click, 0 * speech, 0 * speech + 0.5, 1e-38 * hiss, 1e30 * hiss]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for estimate in sounds:
            for degraded in sounds:
                for clean in (speech, 0 * speech, click):
                    scores = score(estimate, Example(degraded, clean, RATE, 8000.0, "speech"))
                    assert not np.isinf(list(scores.values())).any()
                    if not clean.any():
                        assert np.isnan(list(scores.values())).all()
