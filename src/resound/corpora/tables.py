"""Lists beside recordings, and the layout of a folder that holds its own ``manifest.csv``."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from resound.corpora.layout import SPLITS, Facts, Layout, Tables, Tree
from resound.errors import InputError

LISTS = ("manifest.csv", "metadata.csv")
# The columns that we read, and the names that they are known by.
COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "audio_path", "audio", "wav"),
    "domain": ("domain", "kind", "type"),
    "speaker": ("speaker", "speaker_id", "spk", "spk_id", "client_id"),
    "language": ("language", "lang", "locale"),
    "licence": ("licence", "license"),
    "split": ("split", "subset", "set", "partition"),
    "group": ("group", "recording", "recording_id"),
    "role": ("role", "side"),
}
DOMAINS = {
    **dict.fromkeys(("speech", "voice", "clean"), "speech"),
    **dict.fromkeys(("effects", "effect", "sfx", "sound", "sounds", "foley"), "effects"),
    "music": "music",
    "noise": "noise",
    **dict.fromkeys(("room", "rooms", "rir", "rirs", "ir", "response", "responses"), "room"),
    **dict.fromkeys(("pairs", "pair"), "pairs"),
}
# Folders, and the ends of kinds such as ``pairs_clean``, that tell the sides of a pair or a mixture apart.
SIDES = {
    **dict.fromkeys(("clean", "target", "reference"), "clean"),
    **dict.fromkeys(("noisy", "degraded", "input"), "degraded"),
    **dict.fromkeys(("mix", "mixture", "mix_clean"), "mixture"),
    **{f"s{number}": f"source{number}" for number in (1, 2, 3)},
}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV by the names in its first line.  Raises `InputError`."""
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
            reader = csv.DictReader(handle)
            return [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV ({error}); mend it, or take another --layout") from None


def side_of(path: str) -> tuple[str | None, str | None]:
    """Return the role that a folder's name tells (``clean/a.wav``), and the group: the path without that folder."""
    *folders, name = path.split("/")
    for place in reversed(range(len(folders))):
        role = SIDES.get(folders[place].lower())
        if role:
            group = [*folders[:place], *folders[place + 1 :], name.rpartition(".")[0] or name]
            return role, "/".join(group)
    return None, None


def _list_of(tree: Tree) -> Path | None:
    """Return the list at the top of a folder that has a column of paths."""
    for name in LISTS:
        if name in tree.lists and any(_columns(row).get("path") for row in read_rows(tree.root / name)[:1]):
            return tree.root / name
    return None


def _columns(row: dict[str, str]) -> dict[str, str]:
    """Return our name of each column to its name in the list."""
    written = {name.strip().lower(): name for name in row}
    found = {ours: next((written[name] for name in names if name in written), None) for ours, names in COLUMNS.items()}
    return {ours: name for ours, name in found.items() if name is not None}


def _tables(tree: Tree) -> Tables:
    path = _list_of(tree)
    rows: dict[str, dict[str, Any]] = {}
    for row in read_rows(path) if path else []:
        values = {ours: row[name].strip() for ours, name in _columns(row).items()}
        name = values.pop("path").replace("\\", "/").removeprefix(f"{tree.root.as_posix()}/").removeprefix("./")
        if name:
            rows[name] = values
    return Tables(rows, list(rows))


def _likeness(tree: Tree) -> float:
    rows = _tables(tree).rows
    return sum(path in rows for path in tree.recordings) / max(1, len(tree.recordings))


def _facts(match: re.Match[str], tables: Tables) -> Facts | None:
    row = tables.rows.get(match["path"])
    if row is None:
        return None
    kind, _, end = row.get("domain", "").lower().partition("_")
    role, group = side_of(match["path"]) if kind in ("pair", "pairs") else (None, None)
    role = row.get("role") or role or SIDES.get(end)
    is_source = role is not None and (role == "clean" or role.startswith("source"))
    domain = "speech" if kind in ("pair", "pairs") and is_source else DOMAINS.get(kind, kind)
    return Facts(
        domain=domain or None,
        speaker=row.get("speaker") or None,
        language=row.get("language") or None,
        licence=row.get("licence") or None,
        split=SPLITS.get(row.get("split", "").lower()),
        group=row.get("group") or group,
        role=role,
    )


CSV = Layout(
    "csv",
    "A folder with a manifest.csv or metadata.csv: paths, and what else there is (kind, speaker, split, ...)",
    re.compile(r"^[^/]*/(?P<path>.+)\Z", re.DOTALL),
    _facts,
    ("speech", "effects", "music", "noise", "room", "pairs"),
    tables=_tables,
    likeness=_likeness,
)
