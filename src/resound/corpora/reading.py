"""The headers of many files, several at a time; what has not changed since the last scan is not opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from resound.audio.segments import header_of
from resound.cores import n_cores
from resound.corpora.ledger import Unusable, dc_of, unusable_of
from resound.corpora.manifest import Manifest, Recording
from resound.corpora.splits import hash_percent
from resound.errors import InputError

SHORTEST_SECONDS = {"room": 0.01}  # a response may be over soon; of anything else:
SHORTEST_OTHERWISE_SECONDS = 0.1
FILES_AT_ONCE = 64  # handed to a thread at a time
Progress = Callable[[int, int], None]  # (files done, files in all)


@dataclass(frozen=True, slots=True)
class Item:
    """A file that belongs to a corpus."""

    path: str
    size_bytes: int
    modified_ns: int
    facts: Mapping[str, Any]  # what its layout says, by the names of `Recording`


@dataclass(frozen=True, slots=True)
class Read:
    """A file as a recording, or why it cannot be one."""

    result: Recording | Unusable
    has_dc: bool = False
    change: str = "unchanged"  # since the last scan: "added", "changed"


@dataclass(frozen=True)
class Known:
    """What the last scan told."""

    results: Mapping[str, Recording | Unusable] = field(default_factory=dict)
    dc: frozenset[str] = frozenset()

    @classmethod
    def of(cls, manifest: Manifest | None) -> Known:
        """Return what a manifest tells."""
        if manifest is None:
            return cls()
        recordings: dict[str, Recording | Unusable] = {item.path: item for item in manifest.recordings}
        return cls({**unusable_of(manifest.about), **recordings}, dc_of(manifest.about))

    def read(self, item: Item, measure_percent: float) -> Read | None:
        """Return what is known of a file, None where it must be opened."""
        before = self.results.get(item.path)
        if before is None or not _is_same(before, item):
            return None
        if isinstance(before, Unusable):
            return Read(before)
        if before.bandwidth_hz is None and is_to_measure(item.path, measure_percent):
            return None
        recording = _recording(item, before.sample_rate, before.n_samples, before.n_channels, before.bandwidth_hz)
        return Read(recording, item.path in self.dc)

    def change(self, item: Item) -> str:
        """Return how a file that was opened differs from what is known of it."""
        before = self.results.get(item.path)
        return "added" if before is None else "unchanged" if _is_same(before, item) else "changed"


def read_files(
    root: Path, items: Sequence[Item], known: Known, *, measure_percent: float, n_jobs: int, progress: Progress | None
) -> list[Read]:
    """Return each file as it is, in order; ``measure_percent`` of them are decoded as well."""
    reads = {item.path: known.read(item, measure_percent) for item in items}
    to_open = [item for item in items if reads[item.path] is None]

    def open_some(some: list[Item]) -> list[Read]:
        return [replace(_open(root, item, measure_percent), change=known.change(item)) for item in some]

    n_done = 0
    for chunk in _in_threads(open_some, to_open, n_jobs):
        reads.update({read.result.path: read for read in chunk})
        n_done += len(chunk)
        if progress is not None:
            progress(n_done, len(to_open))
    return [read for read in reads.values() if read is not None]


def _in_threads(work: Callable[[list[Item]], list[Read]], items: list[Item], n_jobs: int) -> Iterator[list[Read]]:
    """Yield what the work makes of a few items at a time.

    Threads, not processes: libsndfile works without the interpreter's lock, and there is nothing to start or to lose.
    """
    remaining = iter(items)
    n_threads = n_jobs or n_cores()
    with ThreadPoolExecutor(n_threads) as pool:
        pending: set[Future[list[Read]]] = set()
        try:
            while chunk := list(islice(remaining, FILES_AT_ONCE)):
                pending.add(pool.submit(work, chunk))
                if len(pending) > 4 * n_threads:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in pending)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _open(root: Path, item: Item, measure_percent: float) -> Read:
    try:
        return _read_header(root, item, measure_percent)
    except InputError:
        return Read(Unusable(item.path, "unreadable", item.size_bytes, item.modified_ns))


def _read_header(root: Path, item: Item, measure_percent: float) -> Read:
    """Return a file as a recording or the reason against it.  Raises `InputError` for what is no sound."""

    def refused(why: str) -> Read:
        return Read(Unusable(item.path, why, item.size_bytes, item.modified_ns))

    path = root / item.path
    if item.size_bytes <= 0:
        return refused("empty" if item.size_bytes == 0 else "link to nowhere")
    if not os.access(path, os.R_OK):
        return refused("no permission")
    sample_rate, n_samples, n_channels = header_of(path)
    shortest = SHORTEST_SECONDS.get(item.facts["domain"], SHORTEST_OTHERWISE_SECONDS)
    if n_samples < shortest * sample_rate:
        return refused(f"shorter than {shortest:g} s" if n_samples > 0 else "no samples")
    recording = _recording(item, sample_rate, n_samples, n_channels)
    if not is_to_measure(item.path, measure_percent):
        return Read(recording)
    from resound.corpora.measure import measure  # a rescan that needs no scipy starts a quarter of a second sooner

    measured = measure(path, n_samples, sample_rate)
    if measured.why_not is not None:
        return refused(measured.why_not)
    return Read(replace(recording, bandwidth_hz=measured.bandwidth_hz), measured.has_dc)


def is_to_measure(path: str, measure_percent: float) -> bool:
    """Tell whether a file is one of those that are decoded; always the same ones for a percentage."""
    return measure_percent > 0 and hash_percent(path) < measure_percent


def _is_same(before: Recording | Unusable, item: Item) -> bool:
    return (before.size_bytes, before.modified_ns) == (item.size_bytes, item.modified_ns)


def _recording(
    item: Item, sample_rate: int, n_samples: int, n_channels: int, bandwidth_hz: float | None = None
) -> Recording:
    return Recording(
        item.path, n_samples, sample_rate, n_channels, bandwidth_hz=bandwidth_hz,
        size_bytes=item.size_bytes, modified_ns=item.modified_ns, **item.facts,
    )  # fmt: skip
