"""Ticks of dust and scratches."""

import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.stats import kstest

from degrade.added import RATE, added_by, bursts, tone
from resound.classic.declick import Declick, DeclickConfig
from resound.degrade.crackle import Crackle, Ticks, add_ticks, draw_ticks
from resound.degrade.hiss import shaped_noise
from resound.errors import InputError

STILL = {"spread_db": 0, "scratch_share": 0}


@pytest.mark.parametrize("rate_per_second", [5, 30])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_the_rate_is_that_asked_for(rate_per_second, share):
    ranges = {"rate_per_second": rate_per_second, "scratch_share": share, "rpm": 45, "spread_db": 0}
    counts = [
        len(bursts(added_by(Crackle, tone(8), seed=seed, **ranges)[0], 0.01, apart=48)) for seed in range(12)
    ]  # 8 s are 6 turns: a scratch is found 6 times
    n_dust, n_scratches = 96 * rate_per_second * (1 - share), 96 * rate_per_second * share / 6
    poisson = 4 * np.sqrt(n_dust + 36 * n_scratches)
    touching = 0.002 * rate_per_second * 96 * rate_per_second  # ticks nearer than 2 ms are found as one
    assert -poisson - touching < sum(counts) - 96 * rate_per_second < poisson


def test_the_ticks_know_nothing_of_each_other():
    added = added_by(Crackle, tone(60), rate_per_second=20, **STILL)
    gaps = np.diff(bursts(added[0], 0.01, apart=24)) / RATE
    assert kstest(gaps[gaps > 0.003] - 0.003, "expon", args=(0, 1 / 20)).pvalue > 0.01


@pytest.mark.parametrize("peak_db", [-6, 20])
def test_the_median_peak_is_that_asked_for(peak_db):
    added = added_by(Crackle, tone(60, level=0.05), rate_per_second=5, peak_db=peak_db, spread_db=6, scratch_share=0)[0]
    starts = bursts(added, 0.05 * 10 ** ((peak_db - 20) / 20), apart=200)
    peaks_db = [20 * np.log10(np.abs(added[start : start + 144]).max() / 0.05) for start in starts]
    assert np.median(peaks_db) == pytest.approx(peak_db, abs=1.2)
    assert np.std(peaks_db) == pytest.approx(6, abs=1)


def test_lengths_and_peaks_are_log_normal():
    ticks = draw_ticks(np.random.default_rng(0), np.zeros(5000), length_ms=0.27, spread_db=8)
    lengths = np.log(ticks.length_seconds)
    assert np.exp(np.median(lengths)) == pytest.approx(0.00027, rel=0.03)
    assert lengths.std() == pytest.approx(0.5, abs=0.03)
    assert ticks.length_seconds.min() >= 0.00005 and ticks.length_seconds.max() <= 0.001
    peaks_db = 20 * np.log10(np.abs(ticks.peak))
    assert peaks_db.mean() == pytest.approx(0, abs=0.4) and peaks_db.std() == pytest.approx(8, abs=0.3)
    assert np.mean(ticks.peak > 0) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("rate", [96000, 192000])
@pytest.mark.parametrize("length_ms", [0.3, 1])
def test_a_tick_has_its_peak_and_has_fallen_to_a_tenth_after_its_length(rate, length_ms):
    length = length_ms / 1000
    one = Ticks(*(np.array([value]) for value in (0.01, length, 2 / length, -0.5)))
    tick = add_ticks(np.zeros((1, rate // 10), np.float32), rate, one, np.ones((1, 1)))[0]
    assert np.abs(tick).max() == pytest.approx(0.5, rel=0.05) and tick[np.argmax(np.abs(tick))] < 0
    assert not tick[: rate // 100].any()
    crest = [0.01 + length * share for share in (0.125, 1.125)]  # crests, two periods apart
    early, late = (np.abs(tick[round(t * rate) - 1 : round(t * rate) + 2]).max() for t in crest)
    assert late / early == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("rpm", [100 / 3, 45, 78.26])
def test_scratches_come_once_a_revolution(rpm):
    added = added_by(Crackle, tone(30), rate_per_second=4, scratch_share=1, spread_db=0, rpm=rpm)[0]
    loud = np.add.reduceat(np.abs(added), np.arange(0, len(added), 48))  # in milliseconds
    spectrum = np.abs(np.fft.rfft(loud - loud.mean(), 1 << 18))
    likeness = np.fft.irfft(spectrum**2)[: len(loud) // 2]
    period_ms = 200 + np.argmax(likeness[200:2500])
    turns = period_ms / (60000 / rpm)
    assert abs(turns - round(turns)) < 0.01 and round(turns) >= 1


def test_dust_does_not_come_again():
    added = added_by(Crackle, tone(30), rate_per_second=4, **STILL)[0]
    loud = np.add.reduceat(np.abs(added), np.arange(0, len(added), 48))
    likeness = np.fft.irfft(np.abs(np.fft.rfft(loud - loud.mean(), 1 << 18)) ** 2)[:5000]
    assert likeness[200:].max() < 0.4 * likeness[0]


def test_a_tick_is_loudest_in_one_of_two_channels():
    added = added_by(Crackle, tone(10, n_channels=2), rate_per_second=10, **STILL)
    starts = bursts(np.abs(added).max(axis=0), 0.01, apart=200)
    peaks = np.array([np.abs(added[:, start : start + 100]).max(axis=1) for start in starts])
    assert (peaks[:, 0] > peaks[:, 1]).mean() == pytest.approx(0.5, abs=0.2)


def test_no_ticks_change_nothing():
    np.testing.assert_array_equal(added_by(Crackle, tone(1), rate_per_second=0), 0)


def test_thousands_of_ticks_are_quick():
    clean, params = tone(3), Crackle(rate_per_second=1000).draw(np.random.default_rng(0))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        Crackle.apply(clean, RATE, **params)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05  # 4 ms here


@pytest.mark.parametrize("n_samples", [0, 1, 3])
def test_a_few_samples_will_do(n_samples):
    clean = np.full((2, n_samples), 0.1, np.float32)
    assert np.isfinite(added_by(Crackle, clean, rate_per_second=5000, scratch_share=0.5)).all()


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent, so a level relative to it means nothing; leave it out"):
        added_by(Crackle, 0 * tone(1))


VINYL = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data")) / "vintage/sonic-pi"


@pytest.mark.shared
@pytest.mark.skipif(not VINYL.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder")
def test_ticks_are_as_long_and_as_bright_as_those_of_real_vinyl():
    real, rate = soundfile.read(VINYL / "vinyl_hiss.flac")
    surface = shaped_noise((1, len(real)), rate, db_per_octave=-5, seed=1)
    surface *= 0.05 / surface.std()
    ranges = {"rate_per_second": 60, "peak_db": 0, "spread_db": 9, "length_ms": 0.3, "scratch_share": 0}
    ours = Crackle.apply(surface, rate, **Crackle(**ranges).draw(np.random.default_rng(0)))[0].astype(np.float64)
    (real_length, real_db), (our_length, our_db) = (ticks_found(sound, rate) for sound in (real, ours))
    assert our_length == pytest.approx(real_length, rel=0.3)
    np.testing.assert_allclose(our_db, real_db, atol=3)


def ticks_found(samples: np.ndarray, rate: int) -> tuple[float, np.ndarray]:
    """Return the median length in seconds of what a declicker takes out, and the loudest third's spectrum in dB."""
    taken_out = samples - Declick(rate, DeclickConfig(threshold=6, edge=2.5)).process(samples[None])[0]
    inside = np.pad(taken_out != 0, 1)
    starts, ends = np.flatnonzero(np.diff(inside.astype(int)) == 1), np.flatnonzero(np.diff(inside.astype(int)) == -1)
    peaks = np.array([np.abs(taken_out[a:b]).max() for a, b in zip(starts, ends, strict=True)])
    loud = [a for a, peak in zip(starts, peaks, strict=True) if peak >= np.quantile(peaks, 2 / 3) and a > 64]
    pieces = np.stack([taken_out[a - 64 : a + 192] for a in loud if a + 192 < len(samples)])
    pieces /= np.abs(pieces).max(axis=1, keepdims=True)
    power = np.mean(np.abs(np.fft.rfft(pieces)) ** 2, axis=0)
    frequencies = np.fft.rfftfreq(256, 1 / rate)
    edges = [400, 800, 1400, 2000, 2800, 4000, 5600, 8000, 11000]
    bands = [power[(frequencies >= low) & (frequencies < high)].mean() for low, high in pairwise(edges)]
    return float(np.median(ends - starts) / rate), 10 * np.log10(np.array(bands) / bands[0])
