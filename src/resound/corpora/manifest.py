"""A corpus as a file: one JSON line for each recording, after one line about the whole.

Paths are relative to the root that the first line names, so that a manifest serves after the folder has moved
(``root`` is itself relative to the manifest where the recordings lie below it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from resound.audio.atomic import atomic_file
from resound.errors import InputError, did_you_mean

VERSION = 1
Domain = Literal["speech", "effects", "music", "noise", "room", "pairs"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a corpus, as its header and its folder tell."""

    path: str  # relative to the manifest's root, with forward slashes
    n_samples: int  # per channel
    sample_rate: int
    n_channels: int = 1
    domain: str = ""
    speaker: str | None = None
    language: str | None = None
    licence: str | None = None
    split: str | None = None  # "train", "valid", "test"
    bandwidth_hz: float | None = None  # above it there is nothing but noise; None: not measured
    group: str | None = None  # recordings with the same one belong together: a mixture and its sources, a pair
    role: str | None = None  # within a group: "clean", "degraded", "source1", "mixture", "noise", "mic1"
    size_bytes: int = 0
    modified_ns: int = 0

    @property
    def seconds(self) -> float:
        """Length."""
        return self.n_samples / self.sample_rate


@dataclass
class Manifest:
    """A corpus: its recordings and where they are."""

    root: Path
    recordings: list[Recording]
    about: dict[str, Any] = field(default_factory=dict)  # corpus, layout, domain, ledger

    def path_of(self, recording: Recording) -> Path:
        """Return where a recording lies."""
        return self.root / recording.path


NAMES = tuple(item.name for item in fields(Recording))
VALUES = attrgetter(*NAMES)
ENCODER = json.JSONEncoder(ensure_ascii=False)  # made once: a manifest may have a million lines
TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(NAMES, (str, type(None))),
    **dict.fromkeys(("n_samples", "sample_rate", "n_channels", "size_bytes", "modified_ns"), (int,)),
    **{"path": (str,), "bandwidth_hz": (float, int, type(None))},
}
NEEDED = ("path", "n_samples", "sample_rate")
LEAST = {"n_samples": 0, "sample_rate": 1, "n_channels": 1}


def write_manifest(path: Path, manifest: Manifest, *, overwrite: bool = False) -> None:
    """Write a manifest; it appears whole or not at all.  Raises `OutputError`."""
    root, folder = manifest.root.resolve(), path.parent.resolve()
    shown = root.relative_to(folder).as_posix() if root.is_relative_to(folder) else root.as_posix()
    with atomic_file(path, overwrite=overwrite) as temporary, open(temporary, "w", encoding="utf-8") as out:
        out.write(_as_line({"manifest": VERSION, "root": shown, **manifest.about}))
        for recording in manifest.recordings:
            values = zip(NAMES, VALUES(recording), strict=True)
            out.write(_as_line({name: value for name, value in values if value is not None and value != ""}))


def _as_line(values: dict[str, Any]) -> str:
    """Return JSON as people read it, but a name whose bytes are no UTF-8 in escapes, which come back as they were."""
    text = ENCODER.encode(values)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(values)
    return text + "\n"


def read_manifest(path: Path) -> Manifest:
    """Return a corpus.  Raises `InputError` that names file and line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: a name may hold other line ends
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a manifest, as 'resound corpus scan' makes") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(
            f"{path}: is no manifest that can be read ({reason}); make one by 'resound corpus scan'"
        ) from None
    if lines == [""]:
        raise InputError(f"{path}: is empty; make a manifest by 'resound corpus scan'")
    about = _line(path, 1, lines[0])
    if about.get("manifest") != VERSION or not isinstance(about.get("root"), str):
        raise InputError(f"{path}: line 1 is not that of a manifest; make one by 'resound corpus scan'")
    root = path.parent / about.pop("root")
    recordings = [_recording(path, number, text) for number, text in enumerate(lines[1:], 2) if text.strip()]
    return Manifest(root, recordings, {key: value for key, value in about.items() if key != "manifest"})


def _recording(path: Path, number: int, text: str) -> Recording:
    values = _line(path, number, text)
    fault = _fault(values)
    if fault:
        raise InputError(f"{path}: line {number} has {fault}; mend it or scan the corpus again")
    return Recording(**values)


def _fault(values: dict[str, Any]) -> str | None:
    """Return the first thing that is wrong with the values of a line."""
    for name, value in values.items():
        if name not in TYPES:
            return f"unknown {name!r}{did_you_mean(name, NAMES)}"
        if type(value) not in TYPES[name] or (name in LEAST and value < LEAST[name]):
            return f"{value!r:.40} for {name!r}"
        if name == "path" and "\0" in value:  # no file can have such a name
            return f"{value!r:.40} for {name!r}"
    return next((f"no {name!r}" for name in NEEDED if name not in values), None)


def _line(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InputError(f"{path}: line {number} is not JSON ({text[:40]!r}); mend it or scan the corpus again")
    return values


def split_lines(recordings: Iterable[Recording], split: str | None) -> list[Recording]:
    """Return the recordings of one split, and those that belong to none; all of them where none is asked for."""
    return [recording for recording in recordings if split is None or recording.split in (None, split)]
