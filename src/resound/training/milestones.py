"""Which steps of a reproduction are whole, as ``reproduce.json`` tells; without torch, so that it takes no time to see.

::

    {"command": hash, "settings": {...}, "material": {path: hash},
     "steps": {"train": {"identity": hash, "files": {path: bytes}, "told": "...", ...}, ...}}

A step is whole if it was made of the same (its identity) and its files are there in the sizes they had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resound.audio.atomic import atomic_file, check_can_write_in
from resound.errors import OutputError
from resound.mixing.identity import code_of, hash_of, material_of, recordings_of

FILE, LOCK = "reproduce.json", ".lock"
STEPS = ("corpus", "prepare", "doctor", "train", "evaluate", "export")


@dataclass(frozen=True)
class Asked:
    """What a reproduction is of, as the command says it."""

    name: str  # a preset, or a YAML file
    words: tuple[str, ...] = ()
    quick: bool = False
    manifests: tuple[Path, ...] = ()
    folders: tuple[tuple[str | None, Path], ...] = ()  # to be scanned, and what they hold where they do not say it
    force: tuple[str, ...] = ()

    @property
    def recordings(self) -> dict[str, Any]:
        """Tell manifests by their content, and what is in folders by sizes and times."""
        return {
            "manifests": material_of({"files": [str(path.absolute()) for path in self.manifests]}),
            "folders": [[domain, recordings_of({"folder": str(path.absolute())})] for domain, path in self.folders],
        }

    @property
    def hash(self) -> str:
        """Tell all that a reproduction depends on, as far as it is known without reading its settings."""
        facts = {
            "asked": [self.name, self.words, self.quick, self.force],
            "recordings": self.recordings,
            "file": material_of({"file": self.name}),
            "code": code_of(("doctor",)),
            "presets": material_of({"folder": str(Path(__file__).parent.parent / "presets" / "models")}),
        }
        return hash_of(facts)


class Milestones:
    """The steps of one reproduction."""

    def __init__(self, folder: Path) -> None:
        """Open a folder, which need not be there.  Raises `OutputError` for one that holds something else."""
        self.folder = folder
        self._path = folder / FILE
        self._told = self._read()

    @property
    def settings(self) -> dict[str, Any]:
        """Those that the steps so far were made with."""
        return self._told.get("settings", {})

    @property
    def material(self) -> dict[str, str]:
        """A hash of each file that the settings name, as it was."""
        return self._told.get("material", {})

    def __getitem__(self, step: str) -> dict[str, Any]:
        """Return what is known of a step; nothing where it was not made."""
        return self._told["steps"].get(step, {})

    def are_all_whole(self, command: str) -> bool:
        """Tell whether all steps are whole for a command of this hash, and nothing they were made of has changed."""
        if self._told.get("command") != command or material_of(self.settings) != self.material:
            return False
        return all(self.is_whole(step, self[step].get("identity")) for step in STEPS)

    def is_whole(self, step: str, identity: str | None) -> bool:
        """Tell whether a step's result is there, and of that identity."""
        known = self[step]
        is_same = bool(known) and known["identity"] == identity
        return is_same and all(self._is_there(name, size) for name, size in known["files"].items())

    def set(self, step: str, identity: str, told: str, files: Iterable[Path], **facts: Any) -> None:
        """Note that a step is whole."""
        sizes = {self._name(path): path.stat().st_size for path in files}
        self._told["steps"][step] = {"identity": identity, "told": told, **facts, "files": sizes}
        self.write()

    def write(self, **facts: Any) -> None:
        """Write all that is known.  Raises `OutputError`."""
        self._told |= facts
        with atomic_file(self._path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(self._told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _name(self, path: Path) -> str:
        absolute, folder = path.absolute(), self.folder.absolute()
        return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)

    def _is_there(self, name: str, size: int) -> bool:
        path = self.folder / name
        return path.is_file() and path.stat().st_size == size

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            self._check_free()
            return {"steps": {}}
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self._path}: cannot be read ({error}); delete it, and all is looked at anew; the training stays"
            ) from None
        if not isinstance(told, dict) or not isinstance(told.get("steps"), dict):
            raise OutputError(f"{self._path}: tells of no reproduction; give another folder with -o")
        return told

    def _check_free(self) -> None:
        check_can_write_in(self.folder)
        ours = {LOCK, "run", "config.yaml", "corpus.jsonl", "results.json", "results.md", "model"}
        if self.folder.exists() and (
            foreign := [path.name for path in sorted(self.folder.iterdir()) if path.name not in ours]
        ):
            raise OutputError(f"{self.folder}: holds something else ({foreign[0]}); give another folder with -o")
