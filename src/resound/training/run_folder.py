"""The folder of a run: what was asked for, on what machine, and how it went.

::

    config.yaml      everything resolved; `resound train config.yaml` does the same again
    run.json         versions, machine, command, state of the working tree, sessions
    console.log      what was told
    steps.csv        loss, learning rate, gradient norm of each step
    validation.csv   metrics of each validation         baselines.json   those of the baselines
    findings.json    what was found wrong: before the first step, and at validations
    checkpoints/     see `resound.training.keeper`      listen/          sounds and pictures
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from resound.audio.atomic import atomic_file, check_can_write_in, discard, make_folder, write_failure
from resound.doctor.finding import SEVERITIES
from resound.errors import OutputError, TrainingError
from resound.inference.memory import peak_memory_mb
from resound.judging.summary import finite
from resound.mixing.identity import differences, material_of, settings_of
from resound.training.config import RunConfig

CONFIG, ABOUT, CONSOLE, FINDINGS = "config.yaml", "run.json", "console.log", "findings.json"
LOCK = ".lock"  # while a process trains
STEPS, VALIDATION = "steps.csv", "validation.csv"
PACKAGES = ("resound", "torch", "lightning", "numpy", "scipy", "soxr", "soundfile")
FREE_TO_CHANGE = (  # in a run that goes on
    *("training.steps", "training.max_minutes", "training.workers", "training.threads"),
    *("listen", "n_listen", "tracker", "about", "expected", "doctor"),
    *("checkpoints.keep", "checkpoints.stop_after", "checkpoints.average"),
)


class RunFolder:
    """Writes the logs of one run; only the first process of several does."""

    def __init__(self, folder: Path, config: RunConfig, *, is_writer: bool = True) -> None:
        self.folder, self.config, self.is_writer = folder, config, is_writer
        self._began = time.time()
        self._told: list[str] | None = []  # until there is a folder to write to
        self._columns: dict[str, list[str]] = {}  # of each table

    def create(self) -> None:
        """Make the folder.  Raises `OutputError` where something is there already."""
        if not self.is_writer:
            return
        self.check_free()
        make_folder(self.folder / "checkpoints")
        self._write_config()

    def check_free(self) -> None:
        """Raise `OutputError` where something has the folder's name already, or it cannot be made."""
        check_can_write_in(self.folder)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise OutputError(f"{self.folder}: exists already; go on with --resume, or give another folder with -o")

    def reopen(self) -> list[str]:
        """Check that this is the run that the config describes, and return what changed that may.

        Raises `TrainingError` where there is no run, or where what changed makes it another one.
        """
        path = self.folder / CONFIG
        try:
            before = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            raise TrainingError(f"{self.folder}: holds no run to go on with ({CONFIG}); leave out --resume") from None
        changed = differences(before, settings_of(self.config))
        grave = [line for line in changed if not line.startswith(FREE_TO_CHANGE)]
        if grave:
            raise TrainingError(
                f"{self.folder}: was begun with other settings: {'; '.join(grave[:5])}; give those, or begin anew"
            )
        known = self._about().get("material") or {}
        others = [path for path, own in self._material().items() if known.get(path, own) != own]
        if others:
            raise TrainingError(
                f"{self.folder}: was begun with other recordings: {'; '.join(others[:3])} changed since; bring them "
                f"back, or begin a new run with its weights: initial={self.folder}"
            )
        if self.is_writer:
            check_can_write_in(self.folder)
            for remains in self.folder.glob(".*.partial*"):  # of a run that was killed
                discard(remains)
            if changed:
                self._write_config()
        return changed

    def begin_session(self, command: list[str]) -> None:
        """Note when, where and how a session of the run begins."""
        if not self.is_writer:
            return
        told = self._about()
        told["sessions"].append(
            {
                "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "command": command,
                "python": platform.python_version(),
                "packages": versions(),
                "machine": machine(),
                "git": git_state(),
            }
        )
        told.setdefault("material", self._material())
        self.write_json(ABOUT, told)
        lines, self._told = self._told or [], None
        self._append(CONSOLE, "".join(lines))

    def note(self, text: str) -> None:
        """Add a line to the console's log; before the session begins it is remembered."""
        if not self.is_writer:
            return
        line = f"{time.strftime('%H:%M:%S')}  {text}\n"
        if self._told is not None:
            self._told.append(line)
        else:
            self._append(CONSOLE, line)

    def log_step(self, step: int, measured: dict[str, float]) -> None:
        """Add a row about a step."""
        self._add_row(STEPS, {"step": step, **measured})

    def log_validation(self, step: int, metrics: dict[str, float]) -> None:
        """Add a row about a validation."""
        self._add_row(VALIDATION, {"step": step, "minutes": round((time.time() - self._began) / 60, 2), **metrics})

    def note_use(self, device_memory_mb: float | None) -> None:
        """Note in the session how long it has lasted and how much memory it has had at most."""
        told = self._about()
        if not self.is_writer or not told["sessions"]:
            return
        told["sessions"][-1] |= {
            "minutes": round((time.time() - self._began) / 60, 2),
            "peak_memory_mb": finite(round(peak_memory_mb(), 1)),
            "peak_device_memory_mb": device_memory_mb,
        }
        self.write_json(ABOUT, told)

    def _material(self) -> dict[str, str]:
        """Return a hash of each manifest and folder that examples are made of."""
        settings = settings_of(self.config)
        found = material_of({key: settings[key] for key in ("corpora", "data", "validation")})
        return {path: own for path, own in found.items() if os.path.isabs(path)}  # a name may be that of a folder here

    def _about(self) -> dict[str, Any]:
        """Return what is known of the sessions so far: nothing where the file was damaged, which harms no run."""
        try:
            told = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
            return {**told, "sessions": list(told["sessions"])}
        except (OSError, ValueError, LookupError, TypeError):
            return {"resound_run": 1, "sessions": []}

    def write_findings(self, found: list[dict[str, Any]], forced: list[str]) -> None:
        """Write what was found before the first step; what was found at steps of earlier sessions stays."""
        at_steps = [finding for finding in self._findings()["findings"] if "step" in finding]
        self.write_json(FINDINGS, {"findings": [*found, *at_steps], "forced": forced})

    def add_finding(self, finding: dict[str, Any]) -> None:
        """Add what was found at a step."""
        told = self._findings()
        self.write_json(FINDINGS, {**told, "findings": [*told["findings"], finding]})

    def severities(self) -> list[tuple[str, str]]:
        """Return code and severity of all that was found at steps so far, the worst last."""
        found = [finding for finding in self._findings()["findings"] if "step" in finding]
        return sorted(((each["code"], each["severity"]) for each in found), key=lambda each: -SEVERITIES.index(each[1]))

    def _findings(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / FINDINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"findings": [], "forced": []}

    def write_json(self, name: str, content: Any) -> None:
        """Write plain JSON."""
        if self.is_writer:
            self._write(self.folder / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the rows of steps that will be made again."""
        if not self.is_writer:
            return
        told = self._findings()
        kept_findings = [finding for finding in told["findings"] if finding.get("step", 0) <= step]
        if len(kept_findings) < len(told["findings"]):
            self.write_json(FINDINGS, {**told, "findings": kept_findings})
        for name in (STEPS, VALIDATION):
            path = self.folder / name
            if not path.exists():
                continue
            text = path.read_text(encoding="utf-8")
            lines = [
                line for line in text.splitlines(keepends=True) if line.endswith("\n")
            ]  # the last may be cut short
            kept = [row for row in lines[1:] if row.partition(",")[0].isdigit() and int(row.partition(",")[0]) <= step]
            if kept:
                self._write(path, lines[0] + "".join(kept))
            else:
                path.unlink()

    def about_model(self) -> dict[str, Any]:
        """Return what a checkpoint says of where it comes from."""
        return {
            "title": self.config.preset or self.folder.name,
            "source": "resound train",
            "licence": "as its training data allow",
            **({"after": self.config.model_dump(mode="json")["after"]} if self.config.after.order else {}),
        }

    def _add_row(self, name: str, row: dict[str, Any]) -> None:
        """Add a row under the columns of the first one."""
        if not self.is_writer:
            return
        path = self.folder / name
        is_new = not path.exists()
        if is_new:
            self._columns[name] = list(row)
        elif name not in self._columns:
            with open(path, encoding="utf-8") as table:
                self._columns[name] = table.readline().strip().split(",")
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns[name], extrasaction="ignore", lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
        self._append(name, text.getvalue())

    def _append(self, name: str, text: str) -> None:
        """Add text to a file.  Raises `OutputError`, also where the disk is full."""
        path = self.folder / name
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise write_failure(path, error) from None

    def _write_config(self) -> None:
        self._write(self.folder / CONFIG, yaml.safe_dump(settings_of(self.config), sort_keys=False, allow_unicode=True))

    def _write(self, path: Path, text: str) -> None:
        with atomic_file(path, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions of what decides the numbers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Return what this machine is."""
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count(), "devices": devices}


def git_state() -> dict[str, Any] | None:
    """Return commit and cleanliness of the working tree that this package is run from, None where it is in none."""
    folder = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"describe": run.stdout.strip()} if run.returncode == 0 else None
