"""The best filter that never changes finds rumble, and nothing else; a run that does no more is told so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal

from resound.judging.fixed_filter import fixed_filter
from resound.judging.scores import score


def rumbling(example, level: float, seed: int):
    """Return an example with noise below 60 Hz in place of what noise it has."""
    noise = np.random.default_rng(seed).standard_normal(example.clean.shape)
    low = scipy.signal.sosfilt(scipy.signal.butter(8, 60, fs=example.sample_rate, output="sos"), noise)
    return replace(example, degraded=(example.clean + level * low / low.std()).astype(np.float32))


def test_it_takes_what_is_there_at_all_times(noisy):
    examples = [rumbling(noisy(seconds=1), level, seed) for seed, level in enumerate((0.02, 0.05, 0.1))]
    of_set = fixed_filter(examples)
    assert all(score(of_set(example), example)["si_sdr_i"] > 5 for example in examples)
    assert of_set.gains[0] < 0.1 and of_set.gains.max() > 0.95


def test_it_cannot_take_what_shares_its_frequencies_with_the_target(noisy):
    example = noisy(seconds=1)
    wanted = np.random.default_rng(0).standard_normal(example.clean.shape)
    example = replace(
        example,
        clean=(0.05 * wanted).astype(np.float32),
        degraded=(0.05 * (wanted + np.random.default_rng(1).standard_normal(wanted.shape))).astype(np.float32),
    )
    of_set = fixed_filter([example])
    assert abs(score(of_set(example), example)["si_sdr_i"]) < 1
    assert np.median(of_set.gains) == pytest.approx(0.5, abs=0.1)  # as Wiener has it


def test_loud_examples_count_as_much_as_quiet_ones(noisy):
    hissing, rumble = noisy(seconds=1, rms=0.05), rumbling(noisy(seconds=1), 0.05, 0)
    louder = replace(rumble, clean=100 * rumble.clean, degraded=100 * rumble.degraded)
    np.testing.assert_allclose(fixed_filter([hissing, rumble]).gains, fixed_filter([hissing, louder]).gains, rtol=1e-3)


def test_what_is_silent_or_clean_passes(noisy):
    example = noisy(seconds=1, rms=0)
    np.testing.assert_allclose(fixed_filter([example])(example), example.clean, atol=1e-6)
    silent = replace(example, clean=np.zeros_like(example.clean))
    assert np.array_equal(fixed_filter([silent]).gains, np.ones_like(fixed_filter([silent]).gains))


def test_a_reference_that_is_next_to_silent_does_not_rule_the_filter(noisy):
    example = noisy(seconds=1)
    dither = replace(example, clean=(1e-9 * example.clean).astype(np.float32))
    np.testing.assert_array_equal(fixed_filter([example, dither]).gains, fixed_filter([example]).gains)
