"""A folder of recordings becomes a manifest, from names and headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resound.corpora.layout import Facts, Layout, Parts, Tables, Tree
from resound.corpora.layouts import PLAIN, SPEAKER_FROM, layout_of
from resound.corpora.ledger import Ledger, Unusable
from resound.corpora.manifest import Manifest, Recording
from resound.corpora.reading import Item, Known, Progress, Read, read_files
from resound.corpora.splits import SplitRule, split_warnings, with_splits
from resound.corpora.tables import CSV
from resound.corpora.walk import Walked, walk
from resound.errors import ConfigError, InputError, counted, did_you_mean

DOMAINS = ("speech", "effects", "music", "noise", "room", "pairs")


@dataclass(frozen=True)
class ScanOptions:
    """How to scan."""

    domain: str | None = None  # what a folder holds; where the layout tells several apart: the one to take
    layout: str = "auto"
    corpus: str | None = None  # its name; None: that of the last scan, of the layout, or of the folder
    speaker_from: str | None = None  # for plain folders; None: the first folder for speech, else nothing
    licence: str | None = None  # where the corpus does not say
    language: str | None = None
    valid_percent: float = 10.0
    test_percent: float = 0.0
    split_by: str = "speaker"
    keep_own_splits: bool = True
    measure_percent: float = 0.0  # of the files are decoded
    n_jobs: int = 0  # 0: one per core

    def __post_init__(self) -> None:
        """Check what can be checked without the folder.  Raises `ConfigError`."""
        if self.domain is not None and self.domain not in DOMAINS:
            hint = did_you_mean(self.domain, DOMAINS) or f"; there are {', '.join(DOMAINS)}"
            raise ConfigError(f"--as {self.domain}: is unknown{hint}")
        if self.speaker_from is not None and self.speaker_from not in SPEAKER_FROM:
            raise ConfigError(f"--speaker-from {self.speaker_from}: is unknown; give one of {', '.join(SPEAKER_FROM)}")
        if not 0 <= self.measure_percent <= 100:
            raise ConfigError(f"--measure {self.measure_percent:g}: is a percentage; give 0 to 100")
        if self.n_jobs < 0:
            raise ConfigError(f"--jobs {self.n_jobs}: give 1 or more, or 0 for one per core")
        self.split_rule("")

    def split_rule(self, corpus: str) -> SplitRule:
        """Return how a corpus is split.  Raises `ConfigError`."""
        return SplitRule(corpus, self.valid_percent, self.test_percent, self.split_by, self.keep_own_splits)


@dataclass(frozen=True)
class Scanned:
    """What a scan came to."""

    manifest: Manifest
    ledger: Ledger
    layout: Layout
    changes: Mapping[str, int]  # added, changed, removed, unchanged since the last scan
    warnings: Sequence[str]


def scan(
    folder: Path, options: ScanOptions, previous: Manifest | None = None, progress: Progress | None = None
) -> Scanned:
    """Return the manifest of a folder and its ledger, which may still be found wanting (`Ledger.check`).

    Files whose size and time are those of ``previous`` are not opened.  Raises `ConfigError` and `InputError`.
    """
    walked = walk(folder)
    tree = walked.tree()
    speaker_from = options.speaker_from or ("folder" if options.domain in ("speech", "pairs") else "none")
    layout = layout_of(tree, options.layout, domain=options.domain, speaker_from=speaker_from)
    tables = layout.tables(tree)
    items, outside, parts = _items(layout, tables, tree, walked, options)
    if not items and not tables.listed:
        of_what = f"the layout {layout.name}" if len(outside) == len(tree.recordings) else str(options.domain)
        raise InputError(
            f"{folder}: of {counted(len(tree.recordings), 'recording')} none is of {of_what}; take another"
        )
    known = Known.of(previous)
    reads = read_files(
        walked.root, items, known,
        measure_percent=options.measure_percent, n_jobs=options.n_jobs, progress=progress,
    )  # fmt: skip
    rule = options.split_rule(_corpus_name(layout, walked.root, options, previous))
    recordings = with_splits([read.result for read in reads if isinstance(read.result, Recording)], rule)
    if options.domain is not None and len(layout.domains) > 1:
        tables = Tables()  # of one domain out of several nobody knows how many the list meant
    ledger = _ledger(reads, outside, tables, layout.expected(parts, tables))
    about = {"corpus": rule.corpus, "layout": layout.name, "domain": options.domain, "ledger": ledger.as_dict()}
    closed = [f"{walked.root / path}: may not be read; what it holds is missing" for path in walked.closed]
    return Scanned(
        Manifest(walked.root, recordings, about),
        ledger,
        layout,
        _changes(known, reads),
        closed + (split_warnings(recordings, rule) if recordings else []),
    )


def _items(
    layout: Layout, tables: Tables, tree: Tree, walked: Walked, options: ScanOptions
) -> tuple[list[Item], list[str], Parts]:
    """Return the files of the corpus that are of the domain asked for, those that are not of it, and its parts."""
    items, outside, parts = [], [], Counter[str]()
    for path in tree.recordings:
        match = layout.pattern.search(tree.text(path))
        facts = layout.facts(match, tables) if match else None
        if match is None or facts is None:
            outside.append(path)
            continue
        domain = _domain(layout, facts, options.domain)
        if domain is None:
            continue
        parts[layout.part(match)] += 1
        named = {
            "domain": domain,
            "speaker": facts.speaker,
            "language": facts.language or layout.language or options.language,
            "licence": facts.licence or layout.licence or options.licence,
            "split": facts.split,
            "group": facts.group,
            "role": facts.role,
        }
        items.append(Item(path, *walked.recordings[path], named))
    return items, outside, parts


def _domain(layout: Layout, facts: Facts, asked: str | None) -> str | None:
    """Return a recording's domain, None where another one is asked for.

    A layout that tells domains apart is asked for one of them, ``pairs`` for all that have a role; of another layout
    the user knows best.
    """
    if len(layout.domains) == 1:
        return asked or layout.domains[0]
    own = facts.domain or layout.domains[0]
    is_asked = asked is None or own == asked or (asked == "pairs" and facts.role is not None)
    return own if is_asked else None


def _corpus_name(layout: Layout, root: Path, options: ScanOptions, previous: Manifest | None) -> str:
    """Return the corpus's name, on which its splits hang: that of the last scan, though the folder be renamed."""
    before = previous.about.get("corpus") if previous else None
    return options.corpus or (str(before) if before else root.name if layout.name in (PLAIN, CSV.name) else layout.name)


def _ledger(reads: Sequence[Read], outside: Sequence[str], tables: Tables, expected: int | None) -> Ledger:
    unusable = [read.result for read in reads if isinstance(read.result, Unusable)]
    there = {read.result.path for read in reads}
    missing = [Unusable(path, "listed but missing") for path in tables.listed if path not in there]
    return Ledger(
        n_found=len(reads),
        n_usable=len(reads) - len(unusable),
        expected=expected,
        unusable=unusable + missing,
        outside=outside,
        dc=[read.result.path for read in reads if read.has_dc],
    )


def _changes(known: Known, reads: Sequence[Read]) -> dict[str, int]:
    counts = Counter(read.change for read in reads)
    there = {read.result.path for read in reads}
    counts["removed"] = sum(path not in there for path in known.results)
    return {name: counts[name] for name in ("added", "changed", "removed", "unchanged")}
