"""Whether a manifest still tells the truth: files gone or changed since, and the same content twice."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resound.corpora.manifest import Manifest, Recording


@dataclass(frozen=True)
class Checked:
    """What a check found; paths as in the manifest."""

    n_recordings: int
    missing: list[str]
    changed: list[str]  # of another size than at the scan
    twice: list[str]  # named a second time in the manifest
    copies: list[list[Recording]]  # recordings of the same content, if it was looked for

    @property
    def leaks(self) -> list[list[Recording]]:
        """Copies that lie in different splits: what is tested was trained on."""
        return [same for same in self.copies if len({item.split for item in same}) > 1]

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing is wrong; a copy within one split is no fault."""
        return not (self.missing or self.changed or self.twice or self.leaks)


def check(manifest: Manifest, *, look_for_copies: bool = False) -> Checked:
    """Return what is wrong with a manifest; to look for copies reads all files that have a size in common."""
    missing, changed, twice, there = [], [], [], []
    seen: set[str] = set()
    for item in manifest.recordings:
        if item.path in seen:
            twice.append(item.path)
            continue
        seen.add(item.path)
        try:
            size = os.stat(manifest.path_of(item)).st_size
        except OSError:
            missing.append(item.path)
            continue
        if item.size_bytes and size != item.size_bytes:
            changed.append(item.path)
        there.append(item)
    copies = _copies(manifest, there) if look_for_copies else []
    return Checked(len(manifest.recordings), missing, changed, twice, copies)


def _copies(manifest: Manifest, recordings: Sequence[Recording]) -> list[list[Recording]]:
    by_size = _grouped((os.path.getsize(manifest.path_of(item)), item) for item in recordings)
    alike = [item for same in by_size for item in same]
    return _grouped((_digest(manifest.path_of(item)), item) for item in alike)


def _grouped(keyed: Iterable[tuple[object, Recording]]) -> list[list[Recording]]:
    """Return the recordings that share a key with others."""
    groups: dict[object, list[Recording]] = defaultdict(list)
    for key, item in keyed:
        groups[key].append(item)
    return [group for group in groups.values() if len(group) > 1]


def _digest(path: Path) -> bytes:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "blake2b").digest()
