"""What is kept as noise, and what is not."""

import numpy as np
import pytest

from resound.harvest.evidence import Listener
from resound.harvest.stretches import REASONS, HarvestConfig, find_stretches
from signals import clicks, hum, music_like, noise, speech_like

RATE = 16000


def verdict_on(samples, rate=RATE, *, block_samples=RATE, **settings):
    samples = np.atleast_2d(samples)
    listener = Listener(rate, len(samples))
    for start in range(0, samples.shape[1], block_samples):
        listener.add(samples[:, start : start + block_samples])
    return find_stretches(listener.finish(), rate, HarvestConfig(**settings))


def mask_of(verdict, n_samples):
    kept = np.zeros(n_samples, dtype=bool)
    for stretch in verdict.stretches:
        kept[stretch.start_samples : stretch.start_samples + stretch.n_samples] = True
    return kept


def speech_and_pauses(snr_db, seed=0):
    """Two talks of 6 s with pauses of 4 s before, between and after, over white noise; which samples are speech."""
    talk = speech_like(6, RATE, seed)
    pause = np.zeros(4 * RATE)
    speech = np.concatenate([pause, talk, pause, speech_like(6, RATE, seed + 1), pause])
    hiss = noise(len(speech) / RATE, RATE, seed=seed)
    return speech, hiss / np.sqrt(np.mean(hiss**2)) * np.sqrt(np.mean(talk**2)) * 10 ** (-snr_db / 20)


@pytest.mark.parametrize("snr_db", [10, 20, 35])
def test_pauses_are_kept_and_speech_is_not(snr_db):
    speech, hiss = speech_and_pauses(snr_db)
    kept = mask_of(verdict_on(speech + hiss), len(speech))
    power = np.convolve(speech**2, np.ones(RATE // 10) / (RATE // 10), "same")
    spoiled = kept & (power > 0.1 * np.mean(hiss**2))
    assert spoiled.sum() <= 0.01 * kept.sum()
    assert kept.sum() > 9 * RATE  # of 12 s


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
@pytest.mark.parametrize("level", [1e-3, 0.3])
def test_noise_alone_is_kept_nearly_whole_at_any_rate_and_level(rate, level):
    verdict = verdict_on(noise(6, rate, rms=level), rate)
    assert sum(stretch.seconds for stretch in verdict.stretches) > 5.5
    assert verdict.programme_dbfs is None


def test_crackle_and_mains_hum_belong_to_the_noise():
    n = 12 * RATE
    record = noise(12, RATE) + clicks(n, RATE, per_second=20, peak=0.2) + hum(12, RATE, 50, rms=0.02)
    assert sum(stretch.seconds for stretch in verdict_on(record).stretches) > 9


@pytest.mark.parametrize("make", [music_like, speech_like])
def test_clean_music_and_speech_give_nothing(make):
    assert not verdict_on(make(15, RATE)).stretches


def test_a_held_note_in_noise_is_no_noise():
    note = 0.02 * np.sin(2 * np.pi * 440 * np.arange(8 * RATE) / RATE)
    verdict = verdict_on(noise(8, RATE) + note)
    assert not verdict.stretches
    assert verdict.rejected_seconds["lines"] > 4


def test_silence_is_no_noise_and_is_counted_as_silence():
    verdict = verdict_on(np.zeros(5 * RATE))
    assert not verdict.stretches
    assert verdict.rejected_seconds["silent"] == pytest.approx(5)


def test_every_second_is_kept_or_has_a_reason():
    speech, hiss = speech_and_pauses(20)
    verdict = verdict_on(speech + hiss)
    assert set(verdict.rejected_seconds) == set(REASONS)
    total = sum(verdict.rejected_seconds.values()) + sum(stretch.seconds for stretch in verdict.stretches)
    assert total == pytest.approx(len(speech) / RATE, abs=0.03)


def test_the_level_below_the_programme_is_that_of_the_mixture():
    speech, hiss = speech_and_pauses(20)
    verdict = verdict_on(speech + hiss)
    for stretch in verdict.stretches:
        # the programme is what is loud, which is some dB above the mean of speech with its gaps
        assert stretch.below_programme_db == pytest.approx(22, abs=3)
        assert stretch.level_dbfs == pytest.approx(10 * np.log10(np.mean(hiss**2)), abs=0.5)


def test_blocks_of_any_length_find_the_same():
    speech, hiss = speech_and_pauses(20)
    whole = verdict_on(speech + hiss, block_samples=len(speech))
    assert verdict_on(speech + hiss, block_samples=777).stretches == whole.stretches


def test_the_second_channel_counts():
    speech, hiss = speech_and_pauses(20)
    kept = mask_of(verdict_on(np.stack([hiss, speech + hiss[::-1]])), len(speech))
    talking = np.convolve(speech**2, np.ones(RATE // 10), "same") > 0
    assert kept.any()
    assert (kept & talking).sum() <= 0.01 * kept.sum()


@pytest.mark.parametrize("n_samples", [0, 1, 3, 399, 400, 5000])
def test_what_is_too_short_gives_nothing(n_samples):
    assert not verdict_on(noise(1, RATE)[:n_samples]).stretches


def test_long_stretches_are_cut_into_pieces_that_leave_nothing_out():
    whole, pieces = verdict_on(noise(10, RATE)), verdict_on(noise(10, RATE), max_seconds=3)
    assert all(1 <= stretch.seconds <= 3 for stretch in pieces.stretches)
    assert (mask_of(pieces, 10 * RATE) == mask_of(whole, 10 * RATE)).all()
