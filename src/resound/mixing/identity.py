"""What examples depend on, as plain JSON that can be compared and hashed: settings, material, version."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from resound.corpora.manifest import read_manifest

SOURCES = ("audio", "corpora", "degrade", "dsp", "mixing")  # parts of this package that decide the samples
NO_PATHS = ("task", "split", "domain", "language", "about", "target")  # words that might be a folder's name by chance


def settings_of(config: BaseModel) -> dict[str, Any]:
    """Return all settings, defaults too, as plain JSON."""
    return json.loads(config.model_dump_json(by_alias=True))


def material_of(settings: dict[str, Any]) -> dict[str, str]:
    """Return a hash of each file and folder that the settings name: of a file's bytes, of a folder's names and sizes.

    Times do not count, so that copies on several machines are the same.
    """
    paths = [path for path in sorted(set(_strings_in(settings))) if os.path.exists(path)]
    return {path: _hash_of_folder(path) if os.path.isdir(path) else _hash_of_file(path) for path in paths}


def recordings_of(settings: dict[str, Any]) -> str:
    """Return a hash of the sizes and times of all recordings that manifests and folders in the settings name."""
    digest = hashlib.sha256()
    for path in sorted(set(_strings_in(settings))):
        for file in _recordings_below(path):
            try:
                found = os.stat(file)
            except OSError:
                continue  # whoever reads it says so
            digest.update(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def code_of(parts: Sequence[str] = SOURCES) -> str:
    """Return a hash of this package's own source as far as it decides samples: versions change later than code.

    A part is a folder or a file of the package.
    """
    digest = hashlib.sha256(version("resound").encode())
    root = Path(__file__).parent.parent
    for part in parts:
        for path in [root / part] if part.endswith(".py") else sorted((root / part).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def hash_of(facts: Any) -> str:
    """Return the SHA-256 of plain JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Return where two pieces of JSON differ, as ``chain.steps.0.hiss.snr_db: [10, 40] there, [5, 40] now``."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(name for name in now if name not in before)]
        below = [(str(name), before.get(name), now.get(name)) for name in keys]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        below = [(str(number), *pair) for number, pair in enumerate(zip(before, now, strict=True))]
    else:
        return [] if before == now else [f"{key}: {_short(before)} there, {_short(now)} now"]
    return [line for name, *pair in below for line in differences(pair[0], pair[1], f"{key}.{name}" if key else name)]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _strings_in(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for key, value in values.items():
            if key not in NO_PATHS:
                yield from _strings_in(value)
    elif isinstance(values, list):
        for value in values:
            yield from _strings_in(value)


def _recordings_below(path: str) -> Iterator[str]:
    if path.endswith(".jsonl") and os.path.isfile(path):
        manifest = read_manifest(Path(path))
        yield from (str(manifest.path_of(item)) for item in manifest.recordings)
    elif os.path.isdir(path):
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(names))


def _hash_of_folder(path: str) -> str:
    digest = hashlib.sha256()
    for file in _recordings_below(path):
        digest.update(f"{os.path.relpath(file, path)}\0{os.path.getsize(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _hash_of_file(path: str) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
