"""Which recordings train, which validate, which test: the corpus's own parts, else a hash of who speaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resound.corpora.manifest import Recording
from resound.errors import ConfigError, counted

SPLITS = ("train", "valid", "test")
SPLIT_BY = ("speaker", "file")


@dataclass(frozen=True)
class SplitRule:
    """How a corpus is split."""

    corpus: str  # its name goes into the hash
    valid_percent: float = 10.0
    test_percent: float = 0.0
    by: str = "speaker"  # "file": recordings of one speaker may be in several splits
    keep_own: bool = True  # a split that the corpus itself has stays as it was published

    def __post_init__(self) -> None:
        """Check the percentages.  Raises `ConfigError`."""
        shares = (self.valid_percent, self.test_percent)
        if not (all(share >= 0 for share in shares) and sum(shares) < 100):  # so that NaN is refused too
            raise ConfigError(
                f"--valid {shares[0]:g} --test {shares[1]:g}: leave nothing to train on; give at least 0, "
                "and less than 100 together"
            )
        if self.by not in SPLIT_BY:
            raise ConfigError(f"--split-by {self.by}: is unknown; give one of {', '.join(SPLIT_BY)}")


def with_splits(recordings: Sequence[Recording], rule: SplitRule) -> list[Recording]:
    """Return the recordings, each in one of `SPLITS`.

    What decides is a hash of the corpus's name and the speaker (else the group, else the path), so that a recording
    stays where it is when others come or go.  A split of the corpus's own is kept, and then only splits that it lacks
    are taken out of its train.  A corpus of one speaker trains: nothing of it can validate.
    """
    own = {item.split for item in recordings} & set(SPLITS) if rule.keep_own else set()
    if not own and len({key_of(item, rule.by) for item in recordings}) == 1:
        return [replace(item, split="train") for item in recordings]
    drawn = {key: _drawn(key, rule, own) for key in {key_of(item, rule.by) for item in recordings}}
    splits = [str(item.split) if item.split in own - {"train"} else drawn[key_of(item, rule.by)] for item in recordings]
    return [replace(item, split=split) for item, split in zip(recordings, splits, strict=True)]


def _drawn(key: str, rule: SplitRule, own: set[str | None]) -> str:
    place = hash_percent(f"{rule.corpus}\0{key}")
    # From the two ends: more test leaves the validation as it is.
    if "valid" not in own and place < rule.valid_percent:
        return "valid"
    if "test" not in own and place >= 100 - rule.test_percent:
        return "test"
    return "train"


def key_of(item: Recording, by: str = "speaker") -> str:
    """Return what must not be in two splits."""
    whole = item.group or item.path
    return whole if by == "file" else item.speaker or whole


def hash_percent(text: str) -> float:
    """Return a number from 0 to 100 that only the text decides, evenly over many texts."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100


def split_warnings(recordings: Sequence[Recording], rule: SplitRule) -> list[str]:
    """Return what is odd about the splits: one that is empty, speakers who are in several."""
    warnings = []
    n_keys = len({key_of(item, rule.by) for item in recordings})
    what = "speaker" if rule.by == "speaker" and any(item.speaker for item in recordings) else "recording"
    for split, percent in (("valid", rule.valid_percent), ("test", rule.test_percent)):
        if percent and not any(item.split == split for item in recordings):
            remedy = "use --split-by file to split by recording" if what == "speaker" else "add recordings"
            warnings.append(
                f"{rule.corpus}: split {split!r} is empty, {percent:g} % of {counted(n_keys, what)}; "
                f"give more percent, or {remedy}"
            )
    splits_of: dict[str, set[str | None]] = {}
    for item in recordings:
        if item.speaker:
            splits_of.setdefault(item.speaker, set()).add(item.split)
    shared = sorted(speaker for speaker, splits in splits_of.items() if len(splits) > 1)
    if shared and rule.by == "speaker":
        who = counted(len(shared), "speaker is", "speakers are")
        warnings.append(
            f"{rule.corpus}: {who} in several splits, as published ({', '.join(shared[:3])}"
            f"{', ...' if len(shared) > 3 else ''}); use --resplit to split anew by speaker"
        )
    return warnings
