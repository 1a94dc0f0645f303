"""All recordings below a folder, with size and time, by one look at each folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from resound.audio.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from resound.corpora.layout import Tree
from resound.errors import InputError, counted

RECORDINGS = AUDIO_SUFFIXES | VIDEO_SUFFIXES
LIST_SUFFIXES = frozenset({".csv", ".json"})
LIST_NAMES = frozenset({"ANNOTATIONS"})  # of MUSAN


@dataclass
class Walked:
    """What lies below a folder; paths are relative to it, with forward slashes."""

    root: Path
    recordings: dict[str, tuple[int, int]] = field(default_factory=dict)  # path: (size in bytes, time in ns)
    lists: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)  # folders that may not be read
    n_others: int = 0

    def tree(self) -> Tree:
        """Return the paths in order, for layouts."""
        return Tree(self.root, sorted(self.recordings), sorted(self.lists))


def walk(folder: Path) -> Walked:
    """Return all recordings below a folder; links are followed, but no folder is entered twice on one way down.

    Hidden files and folders are passed over.  Raises `InputError`.
    """
    _check_folder(folder)
    found = Walked(folder.resolve())
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        below, above = pending.pop()
        try:
            status = os.stat(found.root / below)
            entries = list(os.scandir(found.root / below))
        except OSError:
            found.closed.append(below)
            continue
        here = (status.st_dev, status.st_ino)
        if here in above:  # a link that leads back up
            continue
        way = above | {here}
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{below}/{entry.name}" if below else entry.name
            if _is_folder(entry):
                pending.append((path, way))
            else:
                _note(found, entry, path)
    if not found.recordings:
        raise InputError(
            f"{folder}: holds no recordings {_what_instead(found)}; give a folder with WAV, FLAC or the like"
        )
    return found


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; check the path")
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file; give the folder that a corpus lies in")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"{folder}: no permission to read this folder; change its permissions")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _note(found: Walked, entry: os.DirEntry[str], path: str) -> None:
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in RECORDINGS:
        try:
            status = entry.stat()
            found.recordings[path] = (status.st_size, status.st_mtime_ns)
        except OSError:  # a link that leads nowhere
            found.recordings[path] = (-1, 0)
    elif suffix in LIST_SUFFIXES or entry.name in LIST_NAMES:
        found.lists.append(path)
    else:
        found.n_others += 1


def _what_instead(found: Walked) -> str:
    n_others = found.n_others + len(found.lists)
    closed = f", and {counted(len(found.closed), 'folder')} may not be read" if found.closed else ""
    return f"(but {counted(n_others, 'other file')}{closed})" if n_others or closed else "(nor anything else)"
