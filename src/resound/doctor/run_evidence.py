"""What is looked at in a run: the rows of its tables, its baselines, its settings.

A run folder is read as it stands, so a run under way can be looked at as well as one that is over; `RunReader` reads
only what was added since it looked last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.config import read_yaml, value_at
from resound.errors import InputError, counted
from resound.judging.measures import ALL, Measure

Columns = Mapping[str, NDArray[np.float64]]  # by name, all of one length


@dataclass(frozen=True)
class RunEvidence:
    """All that the checks of runs look at."""

    steps: Columns  # of steps.csv: step, lr, loss and its parts, grad_norm ...
    validations: Columns  # of validation.csv: step, minutes, metrics
    baselines: Mapping[str, Mapping[str, float]]  # by name, then metric
    settings: Mapping[str, Any]  # of config.yaml
    where: str

    def setting(self, key: str) -> Any:
        """Return a setting such as ``training.steps``, None where it is not there."""
        return value_at(dict(self.settings), key)

    @property
    def metric(self) -> str:
        """What chooses the best checkpoint."""
        return str(self.setting("checkpoints.metric") or "si_sdr_i")

    @property
    def measure(self) -> Measure:
        """How that metric counts."""
        return ALL[self.metric]

    @property
    def unit_of_last_digit(self) -> float:
        """The smallest difference of the metric that is worth telling: 0.1 dB of SI-SDR."""
        return float(10.0**-self.measure.digits)

    @property
    def badness(self) -> NDArray[np.float64]:
        """The metric of each validation, the smaller the better; infinite where it is no number."""
        values = self.validations.get(self.metric, np.empty(0))
        return np.nan_to_num([self.measure.badness(value) for value in values], nan=np.inf)

    @property
    def n_validations(self) -> int:
        """How many there were."""
        return len(self.validations.get("step", ()))

    @property
    def notes(self) -> list[str]:
        """What could not be looked at."""
        return [] if self.n_validations else ["no validation yet: what the output is worth cannot be told"]

    @property
    def last_step(self) -> int:
        """How many steps are made."""
        return int(max([0, *self.steps.get("step", ())[-1:], *self.validations.get("step", ())[-1:]]))

    @property
    def progress(self) -> float:
        """The share of the planned steps that is made."""
        return self.last_step / max(1, int(self.setting("training.steps") or 1))

    @property
    def steps_per_epoch(self) -> float | None:
        """Steps that see every example once; None where the settings do not say how many there are."""
        n_examples = self.setting("data.n_examples") or self.setting("data.prepare.n_examples")
        sizes = [self.setting(f"training.{name}") or 1 for name in ("batch_size", "accumulate", "n_devices")]
        return None if not n_examples else n_examples / float(np.prod(sizes))

    def latest(self, name: str, n: int = 3) -> float:
        """Return the median of a metric over the latest validations that have it, NaN where none has."""
        return median(self.validations.get(name, np.empty(0))[-n:])

    def baseline(self, name: str, metric: str) -> float:
        """Return what a baseline reaches, NaN where that is not known."""
        return float(self.baselines.get(name, {}).get(metric, float("nan")))

    def long(self, n_steps: float) -> str:
        """Return a number of steps in words, in epochs too: ``1,260 steps (140 epochs)``."""
        each = self.steps_per_epoch
        epochs = f" ({n_steps / each:,.0f} epochs)" if each and n_steps >= each else ""
        return f"{n_steps:,.0f} steps{epochs}"


class Table:
    """A CSV of numbers that grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._names: list[str] = []
        self._rows: NDArray[np.float64] = np.empty((0, 0))

    def read(self) -> Columns:
        """Return all whole rows so far.  Raises `InputError` for what is no table of numbers."""
        if not self._path.exists():
            return {}
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                lines = file.read().rpartition(b"\n")[0].decode("utf-8")
            self._add(lines)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._path}: is no table of a run ({error}); give a folder of 'resound train'"
            ) from None
        return dict(zip(self._names, self._rows.T, strict=True))

    def _add(self, lines: str) -> None:
        if not lines:
            return
        self._offset += len(lines.encode()) + 1
        rows = lines.split("\n")
        if not self._names:
            self._names = rows.pop(0).split(",")
            if "step" not in self._names:
                raise ValueError("it has no column 'step'")
            self._rows = np.empty((0, len(self._names)))
        if rows:
            cells = [row.split(",") for row in rows]
            odd = next((row for row in cells if len(row) != len(self._names)), None)
            if odd:
                raise ValueError(f"a row begins {odd[0]!r} and has {len(odd)} columns, not {len(self._names)}")
            new = np.array([[float(cell or "nan") for cell in row] for row in cells])
            if not np.isfinite(new[:, self._names.index("step")]).all():
                raise ValueError("a step is no number")
            self._rows = np.concatenate([self._rows, new])


class RunReader:
    """Reads the folder of a run, again and again."""

    def __init__(self, folder: Path) -> None:
        """Look at what stays as it is.  Raises `InputError`, `ConfigError` for a folder that holds no run."""
        self.folder = folder
        if not (folder / "config.yaml").is_file():
            raise InputError(f"{folder}: holds no run (config.yaml is missing); give a folder of 'resound train'")
        self._settings = read_yaml(folder / "config.yaml")
        self._baselines = _baselines(folder / "baselines.json")
        self._steps, self._validations = Table(folder / "steps.csv"), Table(folder / "validation.csv")

    def read(self) -> RunEvidence:
        """Return what the run has come to.  Raises `InputError`."""
        steps, validations = self._steps.read(), self._validations.read()
        n_steps, n_validations = (len(each.get("step", ())) for each in (steps, validations))
        where = f"{self.folder.name}: {counted(n_steps, 'step')}, {counted(n_validations, 'validation')}"
        return RunEvidence(steps, validations, self._baselines, self._settings, where)


def median(values: NDArray[np.float64]) -> float:
    """Return the median of what is a number, NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def read_run(folder: Path) -> RunEvidence:
    """Return what there is of a run.  Raises `InputError` where it has no metrics yet."""
    evidence = RunReader(folder).read()
    _check_settings(evidence, folder / "config.yaml")
    if not evidence.last_step:
        raise InputError(f"{folder}: the run has no metrics yet (steps.csv is missing or empty); let it train first")
    return evidence


def _check_settings(evidence: RunEvidence, path: Path) -> None:
    """Raise `InputError` for settings that no training can have had, as after editing by hand."""
    try:
        _ = evidence.measure, evidence.progress, evidence.steps_per_epoch
        _ = float(evidence.setting("optimiser.clip_norm") or 0)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: is no plan of a run ({error!r:.80}); restore it as 'resound train' wrote it"
        ) from None


def _baselines(path: Path) -> dict[str, dict[str, float]]:
    """Return the means of each baseline, none where they were not judged."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {metric: float(one["mean"]) for metric, one in each["overall"].items() if one["mean"] is not None}
            for name, each in told.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error!r:.80}); take it away, or begin the run again") from None
