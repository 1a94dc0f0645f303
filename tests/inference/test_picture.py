"""Spectrograms keep the power of what they show, in whatever bands they show it."""

import numpy as np
import pytest
from matplotlib.image import imread

from resound.inference.picture import Spectrograms, on_mel_scale


@pytest.mark.parametrize("sample_rate", [8000, 48000, 384_000])
def test_bands_of_even_power_have_that_power(sample_rate):
    np.testing.assert_allclose(on_mel_scale(np.full((2, 481, 3), 0.7), sample_rate), 0.7, rtol=1e-9)


def test_a_line_between_the_middles_of_wide_bands_is_not_lost():
    power = np.zeros((1, 961, 1))
    power[0, 700] = 1.0
    banded = on_mel_scale(power, 48000)
    assert banded.max() > 0.1


@pytest.mark.parametrize("names", [("mixture", "voice 1"), ("before", "after", "removed", "asked for")])
def test_as_many_rows_are_drawn_as_have_names(tmp_path, names):
    pictures = Spectrograms(8000, 1.0, names=names)
    pictures.add(*np.random.default_rng(0).standard_normal((len(names), 1, 8000)))
    pictures.draw(tmp_path / "picture.png", title="x", dpi=50)
    height, width = imread(tmp_path / "picture.png").shape[:2]
    assert (width, height) == (550, pytest.approx(50 * (0.8 + 2.1 * len(names)), abs=1))
