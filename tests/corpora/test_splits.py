"""Splits: by speaker, about as many as asked for, and the same when recordings come and go."""

from __future__ import annotations

from collections import Counter

import pytest

from resound.corpora.manifest import Recording
from resound.corpora.splits import SplitRule, hash_percent, split_warnings, with_splits
from resound.errors import ConfigError


def corpus(n_speakers: int, n_each: int = 3, **values: object) -> list[Recording]:
    names = [(f"s{who}", number) for who in range(n_speakers) for number in range(n_each)]
    return [Recording(f"{who}/{number}.wav", 8000, 8000, speaker=who, **values) for who, number in names]


def splits_of(recordings: list[Recording]) -> dict[str, str | None]:
    return {item.path: item.split for item in recordings}


def test_no_speaker_is_in_two_splits_and_shares_are_about_right():
    found = with_splits(corpus(1000), SplitRule("x", valid_percent=10, test_percent=20))
    assert len({(item.speaker, item.split) for item in found}) == 1000
    counts = Counter(item.split for item in found)
    # Of 1000 speakers, three standard deviations of a binomial are 28 and 38.
    assert counts["valid"] == pytest.approx(300, abs=90)
    assert counts["test"] == pytest.approx(600, abs=120)


def test_recordings_stay_where_they_are_when_others_come_or_go():
    rule = SplitRule("x", test_percent=10)
    before, after = splits_of(with_splits(corpus(50), rule)), splits_of(with_splits(corpus(80, 5), rule))
    assert before.items() <= after.items()


def test_more_test_does_not_move_what_validates():
    first = with_splits(corpus(300), SplitRule("x", valid_percent=10))
    second = with_splits(corpus(300), SplitRule("x", valid_percent=10, test_percent=30))
    valid = [{item.path for item in found if item.split == "valid"} for found in (first, second)]
    assert valid[0] == valid[1] != set()


def test_the_name_of_the_corpus_draws_other_speakers():
    assert splits_of(with_splits(corpus(50), SplitRule("x"))) != splits_of(with_splits(corpus(50), SplitRule("y")))


def test_the_hash_is_the_same_on_every_machine():
    assert hash_percent("librispeech\x0084") == pytest.approx(84.54371867955511, abs=1e-9)
    assert 0 <= hash_percent("name with \udcff") < 100


def test_without_a_speaker_what_belongs_together_stays_together():
    recordings = [Recording(f"{n}{s}.wav", 1, 8000, group=f"g{n}") for n in range(100) for s in "ab"]
    found = with_splits(recordings, SplitRule("x", valid_percent=50))
    assert len({(item.group, item.split) for item in found}) == 100
    assert {item.split for item in found} == {"train", "valid"}


def test_splits_of_the_corpus_stay_and_only_what_it_lacks_is_taken_from_train():
    own = [*corpus(100, split="train"), Recording("t.wav", 1, 8000, speaker="t", split="test")]
    found = with_splits(own, SplitRule("x", valid_percent=20, test_percent=20))
    assert {item.path for item in found if item.split == "test"} == {"t.wav"}
    assert sum(item.split == "valid" for item in found) > 0
    whole = with_splits([*own, Recording("v.wav", 1, 8000, split="valid")], SplitRule("x", valid_percent=20))
    assert [item.path for item in whole if item.split == "valid"] == ["v.wav"]
    anew = with_splits(own, SplitRule("x", valid_percent=0, keep_own=False))
    assert {item.split for item in anew} == {"train"}


def test_a_corpus_of_one_speaker_trains_and_says_that_nothing_validates():
    rule = SplitRule("x", valid_percent=10)
    for who in range(40):  # whatever their names hash to
        found = with_splits([Recording(f"{n}.wav", 1, 8000, speaker=f"s{who}") for n in range(30)], rule)
        assert {item.split for item in found} == {"train"}
    (warning,) = split_warnings(found, rule)
    assert "split 'valid' is empty, 10 % of 1 speaker;" in warning
    assert "use --split-by file to split by recording" in warning
    by_file = with_splits(found, SplitRule("x", valid_percent=30, by="file"))
    assert {item.split for item in by_file} == {"train", "valid"}


def test_speakers_in_several_splits_are_named():
    found = [Recording(f"{split}.wav", 1, 8000, speaker="anna", split=split) for split in ("train", "valid")]
    (warning,) = split_warnings(found, SplitRule("x"))
    assert "1 speaker is in several splits, as published (anna); use --resplit" in warning


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"valid_percent": -1}, "leave nothing to train on"),
        ({"valid_percent": float("nan")}, "leave nothing to train on"),
        ({"valid_percent": 60, "test_percent": 40}, "leave nothing to train on"),
        ({"by": "song"}, "--split-by song: is unknown; give one of speaker, file"),
    ],
)
def test_impossible_splits_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SplitRule("x", **values)
