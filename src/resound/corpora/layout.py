"""What a layout is: how a published corpus names its files, and what the names tell.

To add one: a `Layout` with a pattern over ``folder/sub/file.wav`` (the scanned folder's own name comes first) and a
function from a match to `Facts`, and a line in `LAYOUTS` of `resound.corpora.layouts`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What most corpora call their parts, and what a manifest calls them.
SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "development", "cv"), "valid"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "tt"), "test"),
}
AUDIO = r"\.(?:wav|flac)\Z"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a layout knows of a recording besides its header; None: nothing, or what holds for all."""

    domain: str | None = None
    speaker: str | None = None
    language: str | None = None
    licence: str | None = None
    split: str | None = None
    group: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class Tables:
    """What the lists beside the recordings hold."""

    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by what identifies a recording
    listed: Sequence[str] = ()  # the recordings that ought to be there, as paths below the folder


@dataclass(frozen=True)
class Tree:
    """A folder that was walked through: all recordings and lists below it, as paths with forward slashes."""

    root: Path
    recordings: Sequence[str]
    lists: Sequence[str] = ()  # .csv, .json and the like

    def text(self, path: str) -> str:
        """Return a path as patterns see it."""
        return f"{self.root.name}/{path}"

    def ending(self, name: str) -> list[Path]:
        """Return the lists whose path ends in ``name``."""
        return [self.root / path for path in self.lists if f"/{path}".endswith(f"/{name}")]


Parts = Counter[str]  # recordings in each part of a corpus


@dataclass(frozen=True)
class Layout:
    """How a corpus is laid out."""

    name: str
    about: str  # one line with the source
    pattern: re.Pattern[str]
    facts: Callable[[re.Match[str], Tables], Facts | None]  # None: not of the corpus
    domains: tuple[str, ...]  # several: the layout tells them apart
    licence: str | None = None
    language: str | None = None
    tables: Callable[[Tree], Tables] = lambda tree: Tables()
    # The part that a recording belongs to, and how many recordings each was published with.  What follows a "|" in a
    # part tells copies of it apart, such as those at other sample rates.
    part: Callable[[re.Match[str]], str] = lambda match: ""
    published: Mapping[str, int] = field(default_factory=dict)
    # How much of a tree is of this layout, 0 to 1; default: the share of paths that the pattern matches.
    likeness: Callable[[Tree], float] | None = None

    def expected(self, parts: Parts, tables: Tables) -> int | None:
        """Return how many recordings there ought to be in the parts that are there; None: nobody knows."""
        if tables.listed:
            return len(tables.listed)
        published = {part: self.published.get(part.partition("|")[0]) for part in parts}
        if all(count is None for count in published.values()):
            return None
        return sum(found if published[part] is None else published[part] or 0 for part, found in parts.items())
