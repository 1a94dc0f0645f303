"""What a run tells a tracker, and what a tracker is told of the run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from resound.audio.atomic import atomic_file

IDS = "tracker.json"  # in the run folder: under which id each tracker knows the run


class Tracker(Protocol):
    """Takes numbers, sounds and pictures.  What it raises ends the tracking, not the run: see `Guarded`."""

    where: str  # in words: where it writes and how to look at it

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step, named ``GROUP/NAME``."""
        ...

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Take a FLAC."""
        ...

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


@dataclass(frozen=True)
class TrackedRun:
    """The run that is tracked."""

    folder: Path
    settings: dict[str, Any]  # everything resolved, as in config.yaml
    first_step: int = 0  # that was made already; 0: a new run

    def known_id(self, tracker: str) -> str | None:
        """Return the id that a tracker gave the run in an earlier session, None where it did not."""
        return self._ids().get(tracker) if self.first_step else None

    def remember(self, tracker: str, its_id: str) -> None:
        """Keep the id that a tracker gave the run, so that a later session goes on under it."""
        with atomic_file(self.folder / IDS, overwrite=True) as temporary:
            temporary.write_text(json.dumps(self._ids() | {tracker: its_id}, indent=2) + "\n", encoding="utf-8")

    def _ids(self) -> dict[str, str]:
        try:
            ids = json.loads((self.folder / IDS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return dict(ids) if isinstance(ids, dict) else {}


class NoTracker:
    """Tells nobody."""

    where = ""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Do nothing."""

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Do nothing."""

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level: ``{"training.steps": 20000}``; lists stay as they are."""
    result: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        result |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return result
