"""A search on disk: which trials there were, so that any process can go on with it.

::

    plan.json        what is varied, and the training as it is
    study.sqlite3    the trials (optuna)
    trials/0007/     each a run folder, as `resound train` makes it, with its best checkpoint alone
    trials.csv, best.yaml, report.html     what came of it: see `resound.training.findings`

A trial whose process was stopped or died stays "running" in the database.  As one command at a time works on a study,
whoever opens it next knows that these were interrupted, and puts them first in the queue: each goes on from its last
checkpoint under a new number.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from resound.audio.alone import alone
from resound.audio.atomic import atomic_file
from resound.config import validated
from resound.errors import InputError, OutputError
from resound.judging.measures import ALL
from resound.mixing.identity import differences, settings_of
from resound.training.keeper import INDEX
from resound.training.search import Plan, Varied

PLAN, DATABASE, TRIALS, LOCK, ASKING = "plan.json", "study.sqlite3", "trials", ".lock", ".asking"
MOST_BEGINNINGS = 3  # of one trial: what ends its process each time would do so for ever
FREE_TO_CHANGE = (
    "settings.training.workers",
    "settings.training.device",
    "settings.tracker",
    "settings.about",
    "settings.expected",
)
SECONDS_FOR_LOCKS = 120  # that a process waits for the others to write


class StudyFolder:
    """The trials of one search."""

    def __init__(self, folder: Path, plan: Plan, *, seed: int = 0, n_jobs: int = 1) -> None:
        """Open a study, or begin one; its plan must be the same.  Raises `InputError` and `OutputError`."""
        self.folder, self.plan, self._seed, self._n_jobs = folder, plan, seed, n_jobs
        self.measure = ALL[plan.metric]
        self._check_plan()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        address = sqlalchemy.URL.create("sqlite", database=str(folder.absolute() / DATABASE))
        try:
            storage = optuna.storages.RDBStorage(
                address.render_as_string(), engine_kwargs={"connect_args": {"timeout": SECONDS_FOR_LOCKS}}
            )
            direction: Literal["maximize", "minimize"]
            direction = "maximize" if self.measure.better == "higher" else "minimize"
            self.study = optuna.create_study(
                storage=storage, study_name="resound", direction=direction, load_if_exists=True, pruner=self._pruner()
            )
        except (sqlalchemy.exc.DatabaseError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:120]
            raise InputError(f"{folder / DATABASE}: cannot be read ({reason}); give another folder with -o") from None

    # Trials

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that count, in their order: not those which went on under another number."""
        trials = self.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get("goes_on") for trial in trials}
        return [trial for trial in trials if trial.number not in replaced]

    @property
    def begun(self) -> list[FrozenTrial]:
        """The trials that are made, or being made."""
        return [trial for trial in self.trials if trial.state != TrialState.WAITING]

    @property
    def usual(self) -> FrozenTrial | None:
        """The trial with the training as it is, if it was made to its end."""
        return next((t for t in self.trials if is_usual(t) and t.state == TrialState.COMPLETE), None)

    @property
    def best(self) -> FrozenTrial | None:
        """The best of the trials that were made to their end."""
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        return min(done, key=lambda trial: self.measure.badness(trial.values[0]), default=None)

    def folder_of(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.folder / TRIALS / f"{number:04}"

    def values_of(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return the settings that make a trial differ from the training as it is."""
        return {key: self.plan.search.vary[key].value_of(label) for key, label in trial.params.items()}

    # Making them

    def prepare(self) -> list[str]:
        """Put interrupted trials in the queue, and first of all the training as it is.  Return what to tell."""
        told = []
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            told.append(self._retry(trial))
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(self._usual_labels(), user_attrs={"is_usual": True})
        return told

    def next_trial(self, n_trials: int) -> tuple[optuna.Trial, dict[str, Any]] | None:
        """Return the next trial with its settings, None where so many have been begun."""
        with alone(self.folder / ASKING):
            if len(self.begun) >= n_trials:
                return None
            # A seed for each trial: a study that goes on must draw what it would have drawn next, not its first again.
            self.study.sampler = self._sampler(len(self.trials))
            trial = self.study.ask()
            labels = self._usual_labels() if trial.user_attrs.get("is_usual") else self.plan.search.vary
            values = {key: self._drawn(trial, key) for key in labels}
        self._move_interrupted(trial)
        return trial, values

    def _drawn(self, trial: optuna.Trial, key: str) -> Any:
        varied: Varied = self.plan.search.vary[key]
        if varied.choices is not None:
            return varied.value_of(trial.suggest_categorical(key, list(varied.labels)))
        assert varied.low is not None and varied.high is not None
        if varied.whole:
            return trial.suggest_int(key, int(varied.low), int(varied.high), step=int(varied.step or 1), log=varied.log)
        return trial.suggest_float(key, varied.low, varied.high, step=varied.step, log=varied.log)

    def _usual_labels(self) -> dict[str, Any]:
        """Return the training's own values, but for those that lie outside of what is searched."""
        labels = {}
        for key, value in self.plan.usual.items():
            try:
                labels[key] = self.plan.search.vary[key].label_of(value)
            except ValueError:
                continue
        return labels

    def _retry(self, trial: FrozenTrial) -> str:
        """Take a trial off those that run, and put it in the queue once more, unless that was done often enough."""
        n_begun = trial.user_attrs.get("n_begun", 1)
        self.study.tell(trial.number, state=TrialState.FAIL)
        if n_begun >= MOST_BEGINNINGS:
            return f"trial {trial.number}: its process ended {n_begun} times while it was made; left out"
        attributes = {**trial.user_attrs, "goes_on": trial.number, "n_begun": n_begun + 1}
        self.study.enqueue_trial(trial.params, user_attrs=attributes)
        return f"trial {trial.number} was interrupted, and goes on"

    def _move_interrupted(self, trial: optuna.Trial) -> None:
        """Let a trial have the folder of the one that it goes on with, if there is a checkpoint in it."""
        before = trial.user_attrs.get("goes_on")
        if before is None:
            return
        source = self.folder_of(before)
        if has_checkpoint(source):
            os.replace(source, self.folder_of(trial.number))
        else:
            shutil.rmtree(source, ignore_errors=True)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=1_000_003 * self._seed + number, constant_liar=self._n_jobs > 1)

    def _pruner(self) -> optuna.pruners.BasePruner:
        prune = self.plan.search.prune
        if prune is None:
            return optuna.pruners.NopPruner()
        n_steps = self.plan.settings["training"]["steps"]
        return optuna.pruners.MedianPruner(prune.after_trials, n_warmup_steps=int(prune.after_share * n_steps))

    def _check_plan(self) -> None:
        """Write down what is searched, or check that it is what was searched before."""
        path, now = self.folder / PLAN, settings_of(self.plan)
        if path.exists():
            try:
                before = settings_of(validated(Plan, json.loads(path.read_text(encoding="utf-8")), str(path)))
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: cannot be read ({error}); give another folder with -o") from None
            grave = [line for line in differences(before, now) if not line.startswith(FREE_TO_CHANGE)]
            if grave:
                raise OutputError(
                    f"{self.folder}: is a study of something else: {'; '.join(grave[:5])}; give those settings to go "
                    "on, or another folder with -o"
                )
        elif self.folder.exists() and any(path for path in self.folder.iterdir() if path.name != LOCK):
            raise OutputError(f"{self.folder}: exists already, and is no study; give another folder with -o")
        with atomic_file(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def is_usual(trial: FrozenTrial) -> bool:
    """Tell whether a trial is the training as it is."""
    return bool(trial.user_attrs.get("is_usual"))


def has_checkpoint(run: Path) -> bool:
    """Tell whether a run folder has what a run can go on from."""
    try:
        return bool(json.loads((run / INDEX).read_text(encoding="utf-8"))["last"])
    except (OSError, ValueError, KeyError):
        return False
