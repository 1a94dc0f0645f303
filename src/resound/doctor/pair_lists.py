"""Pairs of files, from two folders or two lists, whoever made them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resound.errors import InputError, counted
from resound.mixing.pairs import files_by_name

LIST_SUFFIXES = (".csv", ".scp", ".txt")
ID_COLUMNS = ("id", "name", "utt", "utt_id", "key", "mixture_id")
PATH_COLUMNS = ("path", "file", "filename", "wav", "audio")
# What the column of a side is called in lists that hold both.
SIDE_COLUMNS = {
    "clean": ("clean", "clean_path", "clean_wav", "target", "reference", "source"),
    "degraded": ("degraded", "degraded_path", "noisy", "noisy_path", "noisy_wav", "mixture", "mixture_path", "input"),
    "enhanced": ("enhanced", "enhanced_path", "enhanced_wav", "estimate", "output"),
}


@dataclass(frozen=True)
class Pair:
    """Two files that are said to hold the same recording."""

    name: str
    clean: Path
    degraded: Path
    asked_snr_db: float | None = None  # what a record says


@dataclass(frozen=True)
class PairList:
    """Pairs, and what has no partner."""

    pairs: list[Pair]
    notes: list[str]  # a line each


def pairs_between(clean: Path, degraded: Path) -> PairList:
    """Return the files of the same name in two folders, or of the same key in two lists (CSV, Kaldi scp, plain).

    Raises `InputError` where there is none.
    """
    sides = {"clean": files_of(clean, "clean"), "degraded": files_of(degraded, "degraded")}
    names = sorted(sides["clean"].keys() & sides["degraded"].keys())
    if not names:
        examples = " and ".join(repr(next(iter(files))) for files in sides.values())
        raise InputError(
            f"{clean} and {degraded}: no name is in both ({examples}); give both sides of a pair one name, or two "
            "lists (CSV with the columns clean and degraded, or Kaldi scp)"
        )
    pairs = [Pair(name, sides["clean"][name], sides["degraded"][name]) for name in names]
    if all(pair.clean.resolve() == pair.degraded.resolve() for pair in pairs):
        raise InputError(f"{clean} and {degraded}: are the same files; give the folder of the other side")
    notes = [*without_partner(sides["clean"], names, clean), *without_partner(sides["degraded"], names, degraded)]
    return PairList(pairs, notes)


def files_of(place: Path, side: str) -> dict[str, Path]:
    """Return the files of one side by name: of a folder, or of a list.  Raises `InputError`."""
    if place.suffix.lower() not in LIST_SUFFIXES or place.is_dir():
        if place.is_file():
            raise InputError(
                f"{place}: is neither a folder nor a list; give a folder, or a .csv, .scp or .txt of files"
            )
        return files_by_name(place)
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{place}: cannot be read ({reason}); give a CSV or scp list of files") from None
    readers: dict[str, Callable[[str, Path, str], list[tuple[str, str]]]]
    readers = {".csv": _of_csv, ".scp": _of_scp, ".txt": _of_lines}
    found: dict[str, str] = {}
    for name, file in readers[place.suffix.lower()](text, place, side):
        if found.setdefault(name, file) != file:
            raise InputError(
                f"{place}: {name!r} is both {found[name]} and {file}; give each recording a key of its own (the column "
                "'id' of a CSV, the first word of an scp list)"
            )
    if not found:
        raise InputError(f"{place}: lists no file; give a CSV or scp list of files")
    return {name: _beside(place, file) for name, file in found.items()}


def without_partner(files: dict[str, Path], names: list[str], place: Path) -> list[str]:
    """Return a note that names the files of a side without a partner."""
    alone = sorted(files.keys() - set(names))
    if not alone:
        return []
    shown = ", ".join(files[name].name for name in alone[:5]) + (" ..." if len(alone) > 5 else "")
    return [f"{place}: {counted(len(alone), 'file')} without a partner, left out: {shown}"]


def _of_scp(text: str, place: Path, _: str) -> list[tuple[str, str]]:
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    bad = next((line for line in lines if len(line) != 2), None)
    if bad:
        raise InputError(f"{place}: {bad[0]!r} has no path; a line of an scp list is 'key path'")
    return [(key, path.strip()) for key, path in lines]


def _of_lines(text: str, place: Path, _: str) -> list[tuple[str, str]]:
    return [(Path(line.strip()).stem, line.strip()) for line in text.splitlines() if line.strip()]


def _of_csv(text: str, place: Path, side: str) -> list[tuple[str, str]]:
    """Return the files of a side's column; a row's key is its id, or its number where the list holds both sides."""
    rows = csv_rows(text, place)
    columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    own = next((columns[name] for name in SIDE_COLUMNS[side] if name in columns), None)
    column = own or next((columns[name] for name in PATH_COLUMNS if name in columns), None)
    if column is None:
        there = ", ".join(columns) or "none"
        raise InputError(
            f"{place}: has no column {side!r} or 'path' (columns there: {there}); name it in the first row"
        )
    key = next((columns[name] for name in ID_COLUMNS if name in columns), None)
    listed = [(number, row, file) for number, row in enumerate(rows, 1) if (file := (row[column] or "").strip())]
    return [(row[key] if key else f"row {number}" if own else Path(file).stem, file) for number, row, file in listed]


def csv_rows(text: str, place: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV by the names in its first row.  Raises `InputError`."""
    try:
        return list(csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise InputError(f"{place}: is no CSV that can be read ({error}); write it again") from None


def _beside(place: Path, file: str) -> Path:
    """Return a listed path, looked for beside the list first."""
    beside = place.parent / file
    return beside if beside.exists() else Path(file)
