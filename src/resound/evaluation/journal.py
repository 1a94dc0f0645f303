"""The rows of an evaluation on disk, one JSON line each, so that it goes on where it was stopped.

The first line says what is judged and how; a row is used again only where that and the files are the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from resound.audio.atomic import atomic_file, write_failure
from resound.errors import OutputError
from resound.evaluation.cases import Case
from resound.evaluation.scoring import Row, from_json, to_json

ROWS = "rows.jsonl"
VERSION = 1


class Journal:
    """Rows of one evaluation, in the order in which they were made; the last of a name counts."""

    def __init__(self, folder: Path, facts: dict[str, Any], *, overwrite: bool = False) -> None:
        """Open a folder's journal, or begin it.  Raises `OutputError` where it holds another evaluation."""
        self.path = folder / ROWS
        self._facts = json.loads(json.dumps({"resound_evaluation": VERSION, **facts}))
        self.shared = ""  # what all rows depend on beside their own files: where it has changed, all are made anew
        self._stamps: dict[str, str] = {}
        self.offsets: dict[str, int] = {}  # of each row's line
        if self.path.exists() and not overwrite:
            self._open()
        else:
            if folder.is_dir() and any(folder.iterdir()) and not (self.path.exists() or overwrite):
                raise OutputError(f"{folder}: holds something else already; give another folder with -o")
            with atomic_file(self.path, overwrite=True) as temporary:
                temporary.write_text(json.dumps(self._facts) + "\n", encoding="utf-8")

    def _open(self) -> None:
        try:
            with open(self.path, "rb") as file, suppress(ValueError):
                if json.loads(file.readline()) == self._facts:
                    size = self._read(file)
                    if size < self.path.stat().st_size:  # the last line was cut short
                        os.truncate(self.path, size)
                    return
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be gone on with ({error.strerror}); give another folder with -o"
            ) from None
        raise OutputError(
            f"{self.path.parent}: holds an evaluation of something else, by another version of resound, or with other "
            "settings; give another folder with -o, or --overwrite to begin it anew"
        )

    def _read(self, file: Any) -> int:
        """Note all whole rows, and return where they end."""
        offset = file.tell()
        for line in file:
            try:
                told = json.loads(line)
                name, stamp = str(told["name"]), told["stamp"]
            except (ValueError, TypeError, KeyError):
                return offset
            if not line.endswith(b"\n"):
                return offset
            self._stamps[name], self.offsets[name] = stamp, offset
            if "error" in told:  # it is tried again
                self._stamps.pop(name)
            offset += len(line)
        return offset

    def is_done(self, case: Case) -> bool:
        """Tell whether there is a row of a case, made from the files as they are now, and the sound that it kept."""
        if self._stamps.get(case.name) != self._stamp(case):
            return False
        kept = next(self.rows([case.name])).files.get("enhanced", []) if self._facts.get("audio") else []
        return all(map(os.path.exists, kept))

    def _stamp(self, case: Case) -> str:
        return f"{stamp_of(case)} {self.shared}".strip()

    def add(self, rows: Iterable[tuple[Case, Row]]) -> Iterator[Row]:
        """Write rows as they come, and give them on.  Raises `OutputError`."""
        try:
            with open(self.path, "ab") as file:
                for case, row in rows:
                    self.offsets[row.name] = file.tell()
                    line = json.dumps({**to_json(row), "stamp": self._stamp(case)}, ensure_ascii=False)
                    file.write(line.encode("utf-8", "surrogateescape") + b"\n")
                    file.flush()
                    yield row
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise write_failure(self.path, error) from None

    def rows(self, names: Iterable[str]) -> Iterator[Row]:
        """Yield the rows of names, in that order."""
        with open(self.path, "rb") as file:
            for name in names:
                file.seek(self.offsets[name])
                told = json.loads(file.readline().decode("utf-8", "surrogateescape"))
                told.pop("stamp")
                yield from_json(told)


def stamp_of(case: Case) -> str:
    """Return what changes when a case's files do: their sizes and times."""
    paths = [path for path in (case.degraded, *case.clean, *case.enhanced) if path]
    if case.cache is not None:
        return f"{case.cache.name} {case.index}"
    with suppress(OSError):
        return " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in (path.stat() for path in paths))
    return "missing"
