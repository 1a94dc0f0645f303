"""Where results go: which files a command means, and what their results are called."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resound.audio.files import AUDIO_SUFFIXES, CONTAINER_SUFFIXES, VIDEO_SUFFIXES
from resound.audio.pcm import CONTAINERS
from resound.errors import ConfigError, InputError

SIDECAR_MARK = "resound"  # the key by which a sidecar is known as ours


@dataclass(frozen=True)
class Task:
    """One recording to restore and the name of its result."""

    source: Path
    output: Path
    subfolder: Path = Path()  # where the source lies below the folder that was given; companions keep it


def strength_suffix(strength: float) -> str:
    """Return ``""`` for 1, ``"_s3"`` for 0.3, ``"_s35"`` for 0.35, ``"_s0"`` for 0: versions never share a name."""
    if strength == 1:
        return ""
    digits = f"{strength:.6f}".rstrip("0").partition(".")[2]
    return f"_s{digits or '0'}"


def excerpt_suffix(start_seconds: float, duration_seconds: float | None) -> str:
    """Return ``""`` for the whole, ``"_12-20s"`` for 8 s from 12 s, ``"_12-s"`` to the end."""
    if start_seconds == 0 and duration_seconds is None:
        return ""
    end = "" if duration_seconds is None else f"{start_seconds + duration_seconds:g}"
    return f"_{start_seconds:g}-{end}s"


def result_name(source: Path, *, strength: float, start_seconds: float, duration_seconds: float | None) -> str:
    """Return the default file name of a result; an excerpt of a video is a sound file."""
    excerpt = excerpt_suffix(start_seconds, duration_seconds)
    suffix = result_suffix(source, is_excerpt=bool(excerpt))
    return f"{source.stem}_restored{strength_suffix(strength)}{excerpt}{suffix}"


def result_suffix(source: Path, *, is_excerpt: bool) -> str:
    """Return the source's suffix; where such files are read but not written, .wav for sound and .mkv for videos."""
    suffix = source.suffix.lower()
    if suffix in VIDEO_SUFFIXES and is_excerpt:
        return ".wav"
    if suffix in VIDEO_SUFFIXES and suffix not in CONTAINER_SUFFIXES:
        return ".mkv"
    if suffix in AUDIO_SUFFIXES and suffix not in CONTAINER_SUFFIXES and suffix not in CONTAINERS:
        return ".wav"
    return source.suffix


def plan_tasks(
    inputs: Sequence[str],
    output: Path | None,
    *,
    strength: float = 1.0,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
) -> list[Task]:
    """Return what to restore: files, folders (their structure is kept) and glob patterns.

    ``output`` is a file for one recording, else a folder.  Results of earlier runs inside folders are left out.
    A file that is named twice is restored once; one that does not exist stays in the list: it fails alone, not the
    batch.  Raises `InputError` for folders and patterns without recordings, `ConfigError` for results that would
    collide.
    """

    def name(source: Path) -> str:
        return result_name(source, strength=strength, start_seconds=start_seconds, duration_seconds=duration_seconds)

    found: dict[str, tuple[Path, Path | None]] = {}
    for path, root in (item for word in inputs for item in expand(word)):
        found.setdefault(os.path.abspath(path), (path, root))
    recordings = list(found.values())
    if output is not None and names_one_file(output):
        if len(recordings) > 1 or recordings[0][1] is not None:
            raise ConfigError(
                f"{output}: is one file's name, for a folder or several recordings; give a folder with -o"
            )
        return [Task(recordings[0][0], output)]
    tasks = []
    for source, root in recordings:
        subfolder = source.parent.relative_to(root) if root else Path()
        folder = source.parent if output is None else output / subfolder
        tasks.append(Task(source, folder / name(source), subfolder))
    check_apart([(task.output, task.source) for task in tasks])
    return tasks


def names_one_file(path: Path) -> bool:
    """Tell whether a target is meant as a file: it has a suffix and is no folder."""
    return bool(path.suffix) and not os.path.isdir(path)


def expand(word: str) -> list[tuple[Path, Path | None]]:
    """Return the recordings a word means, each with the folder it was found under (None for a file named itself)."""
    if not word.strip():
        raise ConfigError(f"{word!r} is no name; give a recording, a folder ('.' for this one) or a pattern")
    path = Path(word)
    if os.path.isdir(path):
        found = recordings_in(path)
        if not found:
            raise InputError(
                f"{path}: folder holds no recordings; give one with audio or video files, or a file's own name"
            )
        return [(item, path) for item in found]
    if not os.path.exists(path) and glob.has_magic(word):
        matches = [Path(match) for match in sorted(glob.glob(word, recursive=True))]
        if not matches:
            raise InputError(f"{word}: matches no file; check the pattern and the folder you are in")
        alone = [match for match in matches if not match.is_dir() and not is_sidecar(match)]
        folders = [item for match in matches if match.is_dir() for item in recordings_in(match)]
        chosen = sorted({*without_results(alone), *folders})
        if not chosen:
            raise InputError(f"{word}: matches only results of earlier runs and other files; name the file itself")
        return [(match, None) for match in chosen]
    return [(path, None)]


def recordings_in(folder: Path) -> list[Path]:
    """Return the audio and video files below a folder, sorted, without hidden files and results of earlier runs."""
    suffixes = AUDIO_SUFFIXES | VIDEO_SUFFIXES
    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    return without_results(sorted(found))


def sidecar_path(output: Path) -> Path:
    """Return the name of the JSON that lies beside a result: ``a_restored.wav`` has ``a_restored.wav.json``."""
    return output.with_name(output.name + ".json")


def read_sidecar(path: Path) -> dict[str, object]:
    """Return what our sidecar says, an empty mapping for any other file and for none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and SIDECAR_MARK in content else {}


def is_sidecar(path: Path) -> bool:
    """Tell whether a file is a sidecar of ours."""
    return path.suffix == ".json" and bool(read_sidecar(path))


def without_results(paths: Sequence[Path]) -> list[Path]:
    """Return the recordings that were not made by restoring.

    A result has our sidecar beside it, and what was removed is named there: by a path, or it was moved along.
    """
    results: set[str] = set()
    for path in paths:
        if told := read_sidecar(sidecar_path(path)):
            removed = str(told.get("removed") or "")
            results |= {os.path.abspath(path)}
            if removed:
                results |= {os.path.abspath(removed), os.path.abspath(path.with_name(Path(removed).name))}
    return [path for path in paths if os.path.abspath(path) not in results]


def check_apart(named: Iterable[tuple[Path, Path]]) -> None:
    """Raise `ConfigError` if two of the ``(file to write, its source)`` are one file, or one would replace a source."""
    pairs = [(os.path.realpath(target), target, source) for target, source in named]
    sources = {os.path.realpath(source): source for _, _, source in pairs}
    seen: dict[str, Path] = {}
    for real, target, source in pairs:
        if real in sources:
            raise ConfigError(f"{target}: is an input too, which is never overwritten; write into a folder with -o")
        if real in seen:
            raise ConfigError(
                f"{target}: both {seen[real]} and {source} would be written there; restore them into different folders"
            )
        seen[real] = source
