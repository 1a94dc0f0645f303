"""How a parameter spreads."""

from typing import Annotated

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from resound.degrade.spread import Spread, spread, within


class Ranged(BaseModel):
    value: Annotated[Spread, within(0, 10)] = spread(1)


def draws(written, n=4000):
    made = Ranged.model_construct(value=Spread.model_validate(written)).value
    rng = np.random.default_rng(0)
    return np.array([made.draw(rng) for _ in range(n)])


def test_a_number_is_always_itself():
    assert set(draws(3)) == {3.0}


def test_a_range_is_uniform():
    values = draws([2, 6])
    assert values.min() >= 2
    assert values.max() <= 6
    assert np.histogram(values, 4, (2, 6))[0] == pytest.approx([1000] * 4, rel=0.1)


def test_a_log_range_has_as_many_values_in_each_octave():
    assert np.histogram(np.log2(draws({"log": [1, 16]})), 4, (0, 4))[0] == pytest.approx([1000] * 4, rel=0.1)


def test_a_normal_has_its_mean_and_deviation_and_ends_at_three():
    values = draws({"normal": [5, 2]})
    assert values.mean() == pytest.approx(5, abs=0.1)
    assert values.std() == pytest.approx(2, abs=0.1)
    assert values.min() >= -1
    assert values.max() <= 11


def test_one_of_takes_each_as_often():
    values, counts = np.unique(draws({"one_of": [33, 45, 78]}), return_counts=True)
    assert list(values) == [33, 45, 78]
    assert counts == pytest.approx([1333] * 3, rel=0.1)


def test_what_is_drawn_has_no_more_digits_than_json_shows():
    for value in draws([0, 1], 50):
        assert float(f"{value:.6g}") == value


@pytest.mark.parametrize("written", [3, [1, 2], {"log": [1, 2]}, {"normal": [0, 1]}, {"one_of": [1, 5, 9]}])
def test_what_is_written_is_what_was_read(written):
    assert Spread.model_validate(written).model_dump() == written


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("loud", "write a number"),
        (True, "write a number"),
        (float("nan"), "write a number"),
        ([1, 2, 3], "write a number"),
        ({"gauss": [1, 2]}, "write a number"),
        ({"log": [1]}, "write a number"),
        ([3, 1], "the low end 3 is above the high end 1"),
        ({"log": [0, 1]}, "a logarithmic range starts above 0"),
        (11, "more than 10, the most"),
        ([-1, 5], "less than 0, the least"),
        ({"normal": [5, 2]}, "less than 0"),
    ],
)
def test_a_wrong_spread_says_what_is_wrong(written, fault):
    with pytest.raises(ValidationError, match=fault):
        Ranged(value=written)
