"""Active speech level, against the standard written out sample by sample."""

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resound.dsp.active import active_speech_power
from signals import noise, speech_like


def level_by_the_standard(samples: np.ndarray, sample_rate: int) -> float:
    """ITU-T P.56 (12/2011), method B, in dB relative to full scale, one sample after the other."""
    thresholds = [2.0**-j for j in range(15, 0, -1)]
    g = math.exp(-1 / (sample_rate * 0.03))
    hangover = math.ceil(0.2 * sample_rate)
    active, hang = [0] * 15, [hangover] * 15
    p = q = square = 0.0
    for x in samples.tolist():
        square += x * x
        p = g * p + (1 - g) * abs(x)
        q = g * q + (1 - g) * p
        for j, threshold in enumerate(thresholds):
            if q >= threshold:
                active[j] += 1
                hang[j] = 0
            elif hang[j] < hangover:
                active[j] += 1
                hang[j] += 1
            else:
                break  # a higher threshold is not passed either
    levels = [(10 * math.log10(square / a), 20 * math.log10(c)) for a, c in zip(active, thresholds, strict=True) if a]
    for (low_level, low_c), (level, c) in itertools.pairwise(levels):
        if level - c <= 15.9 <= low_level - low_c:
            margin, low_margin = level - c, low_level - low_c
            share = (low_margin - 15.9) / (low_margin - margin)
            return low_level + share * (level - low_level)
    raise AssertionError("the margin is not crossed")


@pytest.mark.parametrize(
    ("sample_rate", "seed", "gain_db"), [(8000, 0, 0), (8000, 3, -20), (16000, 1, 10), (16000, 2, -12)]
)
def test_the_active_level_is_that_of_the_standard(sample_rate, seed, gain_db):
    speech = speech_like(5, sample_rate, seed) * 10 ** (gain_db / 20)
    expected = level_by_the_standard(speech, sample_rate)
    assert 10 * np.log10(active_speech_power(speech, sample_rate)) == pytest.approx(expected, abs=0.3)


def test_the_active_level_in_noise_is_that_of_the_standard():
    speech = speech_like(5, 8000, 4) + noise(5, 8000, 0.003)
    assert 10 * np.log10(active_speech_power(speech, 8000)) == pytest.approx(
        level_by_the_standard(speech, 8000), abs=0.3
    )


def test_pauses_do_not_lower_the_active_level():
    speech = speech_like(4, 16000)
    with_pauses = np.concatenate([speech, np.zeros(4 * 16000), speech, np.zeros(8 * 16000)])
    change_db = 10 * np.log10(active_speech_power(with_pauses, 16000) / active_speech_power(speech, 16000))
    assert abs(change_db) < 0.3
    assert 10 * np.log10(np.mean(with_pauses**2) / np.mean(speech**2)) < -2.9  # as the plain level does


@pytest.mark.parametrize("gain_db", [-80, -30, 20])
def test_the_active_level_follows_the_gain(gain_db):
    speech = speech_like(3, 16000)
    raised = active_speech_power(speech * 10 ** (gain_db / 20), 16000)
    assert 10 * np.log10(raised / active_speech_power(speech, 16000)) == pytest.approx(gain_db, abs=1e-6)


def test_a_steady_sound_is_active_throughout():
    steady = noise(3, 16000, 0.1)
    assert 10 * np.log10(active_speech_power(steady, 16000) / np.mean(steady**2)) == pytest.approx(0, abs=0.1)


def test_the_power_of_two_equal_channels_is_that_of_one():
    speech = speech_like(3, 16000)
    assert active_speech_power(np.stack([speech, speech]), 16000) == pytest.approx(active_speech_power(speech, 16000))


@pytest.mark.parametrize("n_samples", [1, 3, 1000])
def test_silence_has_no_power(n_samples):
    assert active_speech_power(np.zeros((2, n_samples), np.float32), 16000) == 0.0


@pytest.mark.parametrize("n_samples", [1, 3, 50])
def test_a_few_samples_have_a_finite_level(n_samples):
    assert 0 < active_speech_power(np.full((1, n_samples), 0.5, np.float32), 48000) < np.inf


SPEECH = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data")) / "pairs/valentini"


@pytest.mark.shared
@pytest.mark.skipif(not SPEECH.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder")
@pytest.mark.parametrize("kind", ["clean", "noisy"])
def test_the_active_level_of_real_speech_is_that_of_the_standard(kind):
    for path in sorted((SPEECH / kind).glob("*.flac"))[::8]:
        speech, rate = soundfile.read(path)
        measured = 10 * np.log10(active_speech_power(speech, rate))
        assert measured == pytest.approx(level_by_the_standard(speech, rate), abs=0.3), path.name
