"""Bumps where a film was spliced."""

import numpy as np
import pytest

from degrade.added import added_by, bursts, tone
from resound.degrade.splice import Splice
from resound.errors import InputError

RATE = 16000


def test_the_rate_is_that_asked_for():
    added = added_by(Splice, tone(300, 8000), 8000, rate_per_minute=30, spread_db=0)[0]
    assert len(bursts(added, 0.02, apart=400)) == pytest.approx(150, abs=4 * np.sqrt(150))


@pytest.mark.parametrize("rate", [8000, 48000])
def test_a_bump_is_of_low_frequency_swings_back_and_leaves_no_mean(rate):
    added = added_by(Splice, tone(20, rate), rate, rate_per_minute=20, length_mm=8, peak_db=0, spread_db=0)[0]
    spectrum = np.abs(np.fft.rfft(added * np.hanning(len(added)))) ** 2
    frequencies = np.fft.rfftfreq(len(added), 1 / rate)
    assert spectrum[frequencies < 150].sum() > 0.99 * spectrum.sum()
    assert spectrum[frequencies > 2000].sum() < 1e-6 * spectrum.sum()
    start = bursts(added, 0.005, apart=rate // 4)[0]
    bump = added[start : start + rate // 4]
    assert abs(bump.sum()) < 0.05 * np.abs(bump).sum()
    assert 0.05 < min(abs(bump.min()), bump.max()) / np.abs(bump).max() < 0.9


@pytest.mark.parametrize("film_mm_per_second", [457.2, 182.9])
def test_a_bump_lasts_as_long_as_the_splice_takes_to_pass(film_mm_per_second):
    added = added_by(
        Splice,
        tone(60, RATE),
        RATE,
        rate_per_minute=10,
        length_mm=4,
        film_mm_per_second=film_mm_per_second,
        spread_db=0,
    )[0]
    starts = [start for start in bursts(added, 0.005, apart=RATE // 2) if start + 1600 < len(added)]
    widths = []
    for start in starts:
        bump = added[start : start + 1600] * np.sign(added[start + 2])
        widths.append(np.count_nonzero(bump > bump.max() / 2) / RATE)
    # Half as high for half as long, a little less as the coupling pulls it back.
    assert np.median(widths) == pytest.approx(0.5 * 4 / film_mm_per_second, rel=0.2)


@pytest.mark.parametrize("n_samples", [0, 1, 3])
def test_a_few_samples_will_do(n_samples):
    assert np.isfinite(added_by(Splice, np.full((2, n_samples), 0.1, np.float32), RATE, rate_per_minute=600)).all()


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent"):
        added_by(Splice, 0 * tone(1, RATE), RATE)
