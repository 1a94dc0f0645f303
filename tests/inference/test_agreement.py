"""Whether voices that are separated again say how well they were separated."""

import numpy as np
import pytest

from resound.inference.agreement import LIMIT_DB, Agreement, agreement
from resound.inference.separation import SeparationReport, separate_blocks
from signals import speech_like

RATE = 8000


@pytest.fixture
def voices():
    """Two voices in two channels, ``(voice, channel, time)``."""
    return np.stack([speech_like(2.0, RATE, seed=seed) for seed in (1, 2, 3, 4)]).reshape(2, 2, -1)


class Bands:
    """Separates by frequency, and leaks: what a voice has in the other's band is in the other's file."""

    name, sample_rate, context, n_sources = "bands", RATE, 0, 2

    def __init__(self, leak=0.0):
        self.leak = leak

    def process(self, block):
        """Return ``(voice, channel, time)``, the higher first and twice as loud."""
        spectrum = np.fft.rfft(block)
        is_high = np.fft.rfftfreq(block.shape[-1], 1 / RATE) > 1000
        high = np.fft.irfft(np.where(is_high, 1 - self.leak, self.leak) * spectrum, block.shape[-1])
        return np.stack([2 * high, block - high])


def test_voices_that_are_told_apart_again_agree():
    mixture = speech_like(2.0, RATE)[None]
    voices = Bands().process(mixture)
    assert agreement(voices, Bands().process).ratio_db == pytest.approx(LIMIT_DB, abs=0.01)


def test_order_level_and_polarity_of_what_comes_out_do_not_count(voices):
    found = agreement(voices, lambda mixture: np.stack([0.3 * voices[1], -2 * voices[0]]))
    assert found.ratio_db > 35  # these two have a little in common


def test_the_more_leaks_the_less_they_agree():
    mixture = speech_like(2.0, RATE)[None]
    ratios = []
    for leak in (0.0, 0.01, 0.1, 0.3, 0.45):
        high, low = Bands(leak).process(mixture)
        ratios.append(agreement(np.stack([high / 2, low]), Bands(leak).process).ratio_db)  # as their sum is the mixture
    assert all(np.diff(ratios) < 0), ratios
    assert ratios[-1] < -10


def test_copies_at_two_levels_are_no_voices(voices):
    copies = [0.7, 0.3]
    mixture = voices.sum(axis=0)
    found = agreement(
        np.stack([gain * mixture for gain in copies]), lambda block: np.stack([gain * block for gain in copies])
    )
    assert found.ratio_db < -50


def test_a_voice_alone_agrees(voices):
    alone = np.stack([voices[0], np.zeros_like(voices[0])])
    assert agreement(alone, lambda mixture: np.stack([np.zeros_like(mixture), mixture])).ratio_db == LIMIT_DB


def test_who_gives_both_the_same_is_found_out(voices):
    halves = np.stack([voices.sum(axis=0) / 2] * 2)
    assert agreement(halves, lambda mixture: np.stack([mixture / 2] * 2)).ratio_db == pytest.approx(-LIMIT_DB)


def test_noise_that_comes_out_instead_is_as_little(voices):
    rng = np.random.default_rng(0)
    assert agreement(voices, lambda mixture: rng.standard_normal((2, *mixture.shape))).ratio_db < -20


def test_silence_tells_nothing():
    assert agreement(np.zeros((2, 1, 100)), lambda mixture: np.zeros((2, 1, 100))).ratio_db is None
    assert Agreement().ratio_db is None


def test_a_recordings_agreement_is_that_of_all_its_energy_and_chunks_have_their_own():
    mixture = speech_like(7.0, RATE)[None]
    mixture[:, 2 * RATE : 4 * RATE] = 0  # the second chunk is silent but for its ends
    report = SeparationReport()
    options = {"chunk_seconds": 2.0, "overlap_seconds": 0.2}
    parts = separate_blocks([mixture], Bands(0.2), sample_rate=RATE, check=True, report=report, **options)
    assert sum(voices.shape[-1] for _, voices in parts) == mixture.shape[-1]
    starts, ratios = zip(*report.agreements_db, strict=True)
    assert len(starts) == report.n_chunks
    assert list(starts) == sorted(starts)
    assert min(ratios) <= report.agreement.ratio_db <= max(ratios)


def test_nothing_is_looked_at_unasked():
    report = SeparationReport()
    list(separate_blocks([speech_like(2.0, RATE)[None]], Bands(), sample_rate=RATE, report=report))
    assert (report.agreement.ratio_db, report.agreements_db) == (None, [])
