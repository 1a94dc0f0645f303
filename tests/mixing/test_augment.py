"""Augmentations do the same to both sides, or to the one they should, and can be replayed."""

import json

import numpy as np
import pytest

from resound.mixing.augment import (
    AUGMENTATIONS,
    NAMES,
    Sides,
    apply_augmentations,
    draw_augmentations,
    remix,
    round_speed,
    samples_to_make,
)
from signals import noise, speech_like

RATE = 16000


@pytest.fixture
def sides() -> Sides:
    clean = speech_like(2, RATE)[None].astype("f4")
    return Sides(clean + noise(2, RATE)[None].astype("f4"), clean)


def band_level_db(audio: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(audio * np.hanning(audio.shape[1]))) ** 2
    frequencies_hz = np.fft.rfftfreq(audio.shape[1], 1 / RATE)
    return 10 * np.log10(power[:, (frequencies_hz >= low_hz) & (frequencies_hz < high_hz)].mean() + 1e-20)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_parameters_give_the_same_samples_and_leave_the_input_alone(name, sides):
    drawn = draw_augmentations((AUGMENTATIONS[name](probability=1),), np.random.default_rng(4))
    before = [side.copy() for side in sides]
    first = apply_augmentations(sides, RATE, drawn)
    second = apply_augmentations(sides, RATE, json.loads(json.dumps(drawn)))
    for one, two, original, now in zip(first, second, before, sides, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(original, now)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_enough_samples_are_asked_for(name, sides):
    for seed in range(10):
        drawn = draw_augmentations((AUGMENTATIONS[name](probability=1),), np.random.default_rng(seed))
        n_made = samples_to_make(8000, RATE, drawn)
        made = Sides(*(side[:, :n_made] for side in sides))
        assert apply_augmentations(made, RATE, drawn).clean.shape[1] >= 8000


def test_gain_changes_both_sides_by_what_it_says(sides):
    louder = apply_augmentations(sides, RATE, [{"gain": {"gain_db": 6.0}}])
    for before, after in zip(sides, louder, strict=True):
        assert 20 * np.log10(np.abs(after).max() / np.abs(before).max()) == pytest.approx(6.0, abs=1e-4)


def test_polarity_turns_both_sides_over(sides):
    turned = apply_augmentations(sides, RATE, [{"polarity": {}}])
    np.testing.assert_array_equal(turned.degraded, -sides.degraded)
    np.testing.assert_array_equal(turned.clean, -sides.clean)


def test_shift_cuts_the_same_samples_from_both_sides(sides):
    shifted = apply_augmentations(sides, RATE, [{"shift": {"shift_seconds": 0.25}}])
    np.testing.assert_array_equal(shifted.degraded, sides.degraded[:, 4000:])
    np.testing.assert_array_equal(shifted.clean, sides.clean[:, 4000:])


def test_speed_moves_a_tone_by_its_percentage():
    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * time)[None].astype("f4")
    faster = apply_augmentations(Sides(tone, tone), RATE, [{"speed": {"speed_percent": 104.0}}]).clean[:, :RATE]
    peak_hz = np.abs(np.fft.rfft(faster[0] * np.hanning(RATE))).argmax()
    assert peak_hz == pytest.approx(1040, abs=1)


def test_band_mask_takes_the_band_from_both_sides_and_nothing_else(sides):
    params = {"width": 0.2, "place": 0.5}
    masked = apply_augmentations(sides, RATE, [{"band_mask": params}])
    top = np.log1p(RATE / 2 / 700)
    low_hz, high_hz = 700 * np.expm1(0.4 * top), 700 * np.expm1(0.6 * top)
    for before, after in zip(sides, masked, strict=True):
        inside = band_level_db(after, low_hz + 50, high_hz - 50) - band_level_db(before, low_hz + 50, high_hz - 50)
        assert inside < -40
        for ends in ((100, low_hz - 100), (high_hz + 100, 7000)):
            assert band_level_db(after, *ends) == pytest.approx(band_level_db(before, *ends), abs=0.1)


@pytest.mark.parametrize("name", ["frequency_mask", "time_mask"])
def test_masks_to_be_filled_in_leave_the_clean_side_alone(name, sides):
    params = {"width": 0.2, "place": 0.4} if name == "frequency_mask" else {"duration_seconds": 0.1, "place": 0.5}
    masked = apply_augmentations(sides, RATE, [{name: params}])
    np.testing.assert_array_equal(masked.clean, sides.clean)
    assert not np.array_equal(masked.degraded, sides.degraded)


def test_time_mask_silences_the_stretch_it_says(sides):
    masked = apply_augmentations(sides, RATE, [{"time_mask": {"duration_seconds": 0.1, "place": 0.5}}]).degraded
    start = round(0.5 * (2 * RATE - 1600))
    assert np.abs(masked[:, start + 40 : start + 1560]).max() == 0
    np.testing.assert_array_equal(masked[:, :start], sides.degraded[:, :start])
    np.testing.assert_array_equal(masked[:, start + 1600 :], sides.degraded[:, start + 1600 :])


def test_remix_gives_every_noise_to_one_example():
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((5, 1, 100)).astype("f4")
    noises = rng.standard_normal((5, 1, 100)).astype("f4")
    mixed, order = remix(clean + noises, clean, np.random.default_rng(1))
    assert sorted(order) == list(range(5))
    np.testing.assert_allclose(mixed - clean, noises[order], atol=1e-6)


def test_probability_is_the_share_of_examples():
    polarity = AUGMENTATIONS["polarity"](probability=0.3)
    rng = np.random.default_rng(0)
    assert np.mean([len(draw_augmentations((polarity,), rng)) for _ in range(4000)]) == pytest.approx(0.3, abs=0.03)


def test_speeds_are_in_steps_of_half_a_percent():
    assert round_speed(97.26) == 97.5
    assert NAMES[AUGMENTATIONS["speed"]] == "speed"
