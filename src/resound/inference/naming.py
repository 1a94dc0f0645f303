"""Where results go: which files a command means, and what their results are called."""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resound.audio.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from resound.errors import ConfigError, InputError

SIDECAR_MARK = "resound"  # the key by which a sidecar is known as ours


@dataclass(frozen=True)
class Task:
    """One recording to restore and the name of its result."""

    source: Path
    output: Path


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


def result_name(
    source: Path, *, strength: float, start_seconds: float, duration_seconds: float | None
) -> str:
    """Return the default file name of a result; an excerpt of a video is a sound file."""
    excerpt = excerpt_suffix(start_seconds, duration_seconds)
    suffix = ".wav" if excerpt and source.suffix.lower() in VIDEO_SUFFIXES else source.suffix
    return f"{source.stem}_restored{strength_suffix(strength)}{excerpt}{suffix}"


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
    Raises `InputError` for folders and patterns without recordings, `ConfigError` for results that would collide.  A
    file that does not exist stays in the list: it fails alone, not the batch.
    """

    def name(source: Path) -> str:
        return result_name(
            source, strength=strength, start_seconds=start_seconds, duration_seconds=duration_seconds
        )

    found = [(path, root) for word in inputs for path, root in expand(word)]
    if (
        output is not None
        and len(found) == 1
        and found[0][1] is None
        and not output.is_dir()
        and output.suffix
    ):
        return [Task(found[0][0], output)]
    tasks = []
    for source, root in found:
        folder = source.parent
        if output is not None:
            folder = output / source.parent.relative_to(root) if root else output
        tasks.append(Task(source, folder / name(source)))
    check_apart(tasks)
    return tasks


def expand(word: str) -> list[tuple[Path, Path | None]]:
    """Return the recordings a word means, each with the folder it was found under (None for a file named itself)."""
    path = Path(word)
    if path.is_dir():
        found = recordings_in(path)
        if not found:
            raise InputError(
                f"{path}: folder holds no recordings; give one with audio or video files, or a file's own name"
            )
        return [(item, path) for item in found]
    if not path.exists() and glob.has_magic(word):
        matches = [Path(match) for match in sorted(glob.glob(word, recursive=True))]
        if not matches:
            raise InputError(f"{word}: matches no file; check the pattern and the folder you are in")
        return [
            item for match in matches for item in expand(str(match)) if match.is_dir() or not is_result(match)
        ]
    return [(path, None)]


def recordings_in(folder: Path) -> list[Path]:
    """Return the audio and video files below a folder, sorted, without hidden files and results of earlier runs."""
    suffixes = AUDIO_SUFFIXES | VIDEO_SUFFIXES
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and not is_result(path)
    )


def sidecar_path(output: Path) -> Path:
    """Return the name of the JSON that lies beside a result: ``a_restored.wav`` has ``a_restored.wav.json``."""
    return output.with_name(output.name + ".json")


def is_result(path: Path) -> bool:
    """Tell whether a file was made by restoring: our sidecar lies beside it, or names it as what was removed."""
    if path.stem.endswith("_restored") and sidecar_path(path).is_file():
        return True
    try:
        return SIDECAR_MARK in json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def check_apart(tasks: Sequence[Task]) -> None:
    """Raise `ConfigError` if two recordings would be written to one name."""
    seen: dict[Path, Path] = {}
    for task in tasks:
        if task.output in seen and seen[task.output] != task.source:
            raise ConfigError(
                f"{task.output}: both {seen[task.output]} and {task.source} would be written there; "
                "restore them into different folders with -o"
            )
        seen[task.output] = task.source
