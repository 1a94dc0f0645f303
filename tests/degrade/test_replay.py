"""Drawn parameters that come from a file: what lies outside of the limits is refused, not tried."""

import pytest

from resound.degrade.chain import read_drawn
from resound.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"hiss": {"snr_db": 20, "seed": -1}}, "hiss: seed: input should be greater than or equal to 0, got -1"),
        ({"hiss": {"snr_db": 20, "seed": 2**64}}, "seed: input should be less than 18446744073709551616"),
        ({"hiss": {"snr_db": 1e30, "seed": 1}}, "hiss: snr_db: more than 150, the most that makes sense, got 1e+30"),
        ({"gain": {"gain_db": -9000}}, "gain: gain_db: less than -120, the least that makes sense, got -9000"),
        ({"density_flutter": {"depth_db": 1, "rate_hz": 0, "seed": 1}}, "rate_hz: less than 0.05"),
        ({"room": {"file": "a\0b", "target": "dry"}}, "room: file: no file has a NUL in its name, got 'a\\x00b'"),
        ({"bit_depth": {}}, "bit_depth: bits: is missing; dither: is missing; seed: is missing; draw"),
    ],
)
def test_what_is_out_of_range_is_said_once_with_its_limit(line, fault):
    with pytest.raises(ConfigError) as caught:
        read_drawn([line])
    assert fault in str(caught.value)


def test_what_an_end_of_a_range_draws_is_within_it():
    drawn = [{"gain": {"gain_db": 120}}, {"hiss": {"snr_db": None, "level_dbfs": -150, "seed": 2**64 - 1}}]
    assert [step.params for step in read_drawn(drawn)] == [next(iter(line.values())) for line in drawn]
