"""What is kept of real recordings; skipped where they are absent."""

import os
from pathlib import Path

import pytest

from resound.harvest.cut import Source, harvest
from resound.harvest.stretches import HarvestConfig

DATA = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder"),
]


def share_kept(pattern: str) -> float:
    results = list(harvest([Source(path) for path in sorted(DATA.glob(pattern))], None, HarvestConfig()))
    assert results
    assert not any(result.error for result in results)
    return sum(result.kept_seconds for result in results) / sum(result.seconds for result in results)


@pytest.mark.parametrize(
    "pattern", ["vintage/tumult/static*.flac", "vintage/tumult/vinyl4*.flac", "vintage/sonic-pi/vinyl_hiss.flac"]
)
def test_noise_of_films_and_records_is_kept(pattern):
    assert share_kept(pattern) > 0.7


@pytest.mark.parametrize("pattern", ["music/mdn/*.opus", "music/sonic-pi/*.opus", "vintage/edison_victor_discs/*sung*"])
def test_music_is_not(pattern):
    assert share_kept(pattern) < 0.005


def test_some_pauses_of_a_film_are_kept_but_little_else():
    assert 0.01 < share_kept("vintage/notld1968/*.flac") < 0.1
