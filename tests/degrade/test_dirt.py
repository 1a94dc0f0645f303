"""Dirt and scratches on an optical track."""

import numpy as np
import pytest

from degrade.added import RATE, added_by, bursts, tone
from resound.degrade.dirt import Dirt
from resound.errors import InputError


@pytest.mark.parametrize("rate_per_second", [1, 20])
def test_the_rate_is_that_asked_for(rate_per_second):
    n = len(bursts(added_by(Dirt, tone(60), rate_per_second=rate_per_second, spread_db=0)[0], 0.002, apart=4))
    assert n == pytest.approx(60 * rate_per_second, abs=4 * np.sqrt(60 * rate_per_second))


@pytest.mark.parametrize(("size_mm", "film_mm_per_second"), [(0.1, 457.2), (0.5, 457.2), (0.2, 182.9)])
def test_a_speck_lasts_as_long_as_its_size_takes_to_pass(size_mm, film_mm_per_second):
    added = added_by(
        Dirt, tone(60), rate_per_second=4, size_mm=size_mm, film_mm_per_second=film_mm_per_second, spread_db=0
    )[0]
    lengths = [
        np.count_nonzero(np.abs(added[start : start + 960]) > 0.001) / RATE for start in bursts(added, 0.001, apart=480)
    ]
    # cos² pulses are seen for 9 tenths of their length; the slit is 0.03 mm high
    assert np.median(lengths) == pytest.approx(0.95 * (size_mm + 0.03) / film_mm_per_second, rel=0.15)


@pytest.mark.parametrize("dark_share", [0, 0.7, 1])
def test_dirt_pushes_one_way(dark_share):
    added = added_by(Dirt, tone(60), rate_per_second=5, dark_share=dark_share, spread_db=0)[0]
    signs = np.sign([added[start + 2] for start in bursts(added, 0.001, apart=480)])
    assert np.mean(signs < 0) == pytest.approx(dark_share, abs=0.1)


def test_the_median_peak_is_that_asked_for():
    added = added_by(Dirt, tone(60, level=0.05), rate_per_second=5, peak_db=-3, spread_db=6, size_mm=0.3)[0]
    peaks_db = [
        20 * np.log10(np.abs(added[start : start + 480]).max() / 0.05) for start in bursts(added, 0.001, apart=480)
    ]
    assert np.median(peaks_db) == pytest.approx(-3, abs=1.2) and np.std(peaks_db) == pytest.approx(6, abs=1)


@pytest.mark.parametrize("rate", [8000, 192000])
@pytest.mark.parametrize("n_samples", [0, 1, 3, 1000])
def test_any_length_and_rate_will_do(rate, n_samples):
    assert np.isfinite(added_by(Dirt, np.full((8, n_samples), 0.1, np.float32), rate, rate_per_second=1000)).all()


def test_silence_is_refused_in_one_line():
    with pytest.raises(InputError, match="the signal is silent"):
        added_by(Dirt, 0 * tone(1))
