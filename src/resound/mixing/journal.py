"""What has been made so far: one JSON line for each example, in one file for each shard that writes.

A line is appended when all files of its example are there.  A process that is killed leaves at most a torn last line,
which counts as none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from resound.audio.atomic import write_failure
from resound.errors import OutputError

FOLDER = ".journal"


class Journal:
    """A shard's journal, open for appending by one process alone.  A context manager."""

    def __init__(self, folder: Path, number: int, n_shards: int) -> None:
        self.path = folder / FOLDER / f"{number}of{n_shards}.jsonl"
        self._shard = f"{number}/{n_shards}"

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise write_failure(self.path, error) from None
        try:
            self._lock()
            size = os.path.getsize(self.path)
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                os.write(self._descriptor, b"\n")  # ends a torn line, so that the next one is whole
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def append(self, record: dict[str, Any]) -> None:
        """Add a line.  Raises `OutputError`."""
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
        try:
            while line:  # a full disk may take a part
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            raise write_failure(self.path, error) from None

    def _lock(self) -> None:
        """Keep other processes out until this one ends, however it ends."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{self.path.parent.parent}: shard {self._shard} is being written by another process; let it finish, "
                "or give this one another --shard"
            ) from None
        except OSError:
            return  # a network disk without locks


class Records:
    """Where the line of each example lies, found by reading files once; lines are read again when asked for."""

    def __init__(self, paths: list[Path]) -> None:
        """Read journals; of several lines about one example the last file's last one counts."""
        self._places: dict[int, tuple[Path, int]] = {}
        for path in paths:
            for offset, line in _lines(path):
                record = _read(line)
                if record is not None:
                    self._places[record["index"]] = path, offset

    def __contains__(self, index: int) -> bool:
        return index in self._places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def last(self) -> int:
        """The highest number of an example, -1 where there is none."""
        return max(self._places, default=-1)

    def get(self, index: int) -> dict[str, Any] | None:
        """Return all about an example, None where it was not made."""
        if index not in self._places:
            return None
        path, offset = self._places[index]
        with open(path, "rb") as handle:
            handle.seek(offset)
            return _read(handle.readline())


def journals_in(folder: Path) -> list[Path]:
    """Return the journals of all shards."""
    return sorted((folder / FOLDER).glob("*.jsonl"))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open(path, "rb") as handle:
            offset = 0
            for line in handle:
                yield offset, line
                offset += len(line)
    except FileNotFoundError:
        return


def _read(line: bytes) -> dict[str, Any] | None:
    """Return the record in a line, None for a torn one."""
    try:
        record = json.loads(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    is_record = isinstance(record, dict) and isinstance(record.get("index"), int) and "files" in record
    return record if is_record else None
