"""What training and validation have in common: speakers, files, copies, near-duplicates."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from resound.audio.segments import header_of, read_excerpt
from resound.doctor.fingerprint import RATE, Marks, Twin, marks_of, twins_between
from resound.doctor.settings import DoctorSettings
from resound.errors import InputError
from resound.inference.workers import map_in_order

MARKED_SECONDS = 10.0  # of a file, out of its middle


@dataclass(frozen=True)
class Splits:
    """What both parts have in common."""

    n_train: int
    n_valid: int
    same_files: Sequence[str] = ()
    same_speakers: Sequence[str] = ()
    copies: Sequence[tuple[str, str]] = ()  # of the same bytes
    twins: Sequence[Twin] = field(default_factory=list)  # of the same sound
    n_marked: int = 0  # files whose sound was compared


def splits_of(
    train: Sequence[Path],
    valid: Sequence[Path],
    speakers: tuple[set[str], set[str]],
    settings: DoctorSettings,
    n_jobs: int = 1,
) -> Splits:
    """Return what two lists of files have in common; the sound of at most ``n_files`` of each is compared."""
    same = sorted(set(map(str, train)) & set(map(str, valid)))
    ones, others = ([path for path in side if str(path) not in same] for side in (train, valid))
    drawn = [_drawn(side, settings) for side in (ones, others)]
    marks = list(map_in_order(Marker, drawn[0] + drawn[1], n_jobs))
    by_name = [dict(zip(map(str, drawn[0]), marks, strict=False))]
    by_name.append(dict(zip(map(str, drawn[1]), marks[len(drawn[0]) :], strict=True)))
    copies = copies_between(ones, others)
    known = {other for _, other in copies}
    twins = [twin for twin in twins_between(*by_name) if twin.other not in known]
    shared = sorted(speakers[0] & speakers[1])
    return Splits(len(train), len(valid), same, shared, copies, twins, len(marks))


def copies_between(ones: Sequence[Path], others: Sequence[Path]) -> list[tuple[str, str]]:
    """Return which files have the same bytes; only those of the same size are read."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in ones:
        by_size[_size(path)].append(path)
    found = []
    for path in others:
        alike = by_size.get(_size(path), []) if _size(path) > 0 else []
        digest = _digest(path) if alike else b""
        found += [(str(one), str(path)) for one in alike if _digest(one) == digest]
    return found


def _drawn(paths: Sequence[Path], settings: DoctorSettings) -> list[Path]:
    if len(paths) <= settings.n_files:
        return list(paths)
    chosen = np.random.default_rng(settings.seed).choice(len(paths), settings.n_files, replace=False)
    return [paths[number] for number in sorted(chosen)]


class Marker:
    """Makes the marks of files in one process: of the middle 10 s of each."""

    def __call__(self, path: Path) -> Marks:
        """Return the marks of a file, none where it cannot be read."""
        try:
            rate, n_samples, _ = header_of(path)
            start = max(0.0, (n_samples / rate - MARKED_SECONDS) / 2)
            audio = read_excerpt(path, RATE, start_seconds=start, n_samples=round(MARKED_SECONDS * RATE))
        except InputError:
            return []  # DATA08 says so
        return marks_of(audio.mean(axis=0))


def _size(path: Path) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _digest(path: Path) -> bytes:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "blake2b").digest()
