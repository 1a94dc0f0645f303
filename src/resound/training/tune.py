"""Makes the trials of a search: one after another in this process, or side by side in several.

A trial that fails (a loss that is no number, memory that runs out, settings that do not go together) is noted, and the
search goes on; one that is stopped goes on when the same command is given again.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import multiprocessing
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import TrialState

from resound.audio.alone import alone
from resound.audio.atomic import make_folder
from resound.errors import OutputError, ResoundError, TrainingError, counted, one_line
from resound.inference.workers import start_tracker
from resound.judging.baselines import judge_baselines
from resound.mixing.cache import open_cache
from resound.training.config import RunConfig
from resound.training.fit import initial_network, train
from resound.training.judge import jobs_for
from resound.training.keeper import Keeper
from resound.training.run_folder import CONSOLE, VALIDATION
from resound.training.search import Plan
from resound.training.session import Outcome, Shown
from resound.training.study import LOCK, StudyFolder, has_checkpoint

FIRST_FAILURES = 3  # if so many trials fail and none succeeds, the plan is at fault


def tune(plan: Plan, folder: Path, shown: Shown, *, n_trials: int = 20, n_jobs: int = 1, seed: int = 0) -> StudyFolder:
    """Make trials until there are ``n_trials`` in all, and return the study; stopped early, it can go on.

    Raises `ConfigError`, `InputError`, `OutputError` and `TrainingError`.
    """
    make_folder(folder)
    with alone(folder / LOCK, refusal=f"{folder}: another process works on this study; let it finish, or stop it"):
        study = StudyFolder(folder, plan, seed=seed, n_jobs=n_jobs)
        check_space(study, n_trials, n_jobs)
        for line in study.prepare():
            shown.line(line)
        n_left = n_trials - len(study.begun)
        if n_left <= 0:
            shown.line(f"{folder} has its {counted(len(study.begun), 'trial')}; give more by --trials N")
            return study
        shown.line(announcement(study, n_left, n_jobs))
        prepare_validation(plan.config({}))
        if n_jobs == 1:
            make_trials(study, n_trials, shown)
        else:
            make_trials_side_by_side(study, n_trials, min(n_jobs, n_left), seed)
        return study


def prepare_validation(config: RunConfig) -> None:
    """Make the validation set and judge the baselines once; whatever is wrong with the data shows here."""
    n_examples = config.validation.n_examples
    examples = open_cache(config.validation_mixing, n_examples, n_jobs=jobs_for(n_examples))
    judge_baselines(examples, n_jobs=jobs_for(n_examples), asked=config.asked)


def bytes_needed(study: StudyFolder, n_trials: int, n_jobs: int) -> int:
    """Return what trials leave on disk and what those under way need, as the training is; larger networks need more."""
    network = initial_network(study.plan.config({}))
    keeper = Keeper(study.folder, study.plan.metric, 1)
    return n_trials * keeper.kept_bytes(network) + n_jobs * keeper.needed_bytes(network)


def check_space(study: StudyFolder, n_trials: int, n_jobs: int) -> None:
    """Raise `OutputError` if the disk has no room for the trials that are still to be made."""
    needed = bytes_needed(study, max(0, n_trials - len(study.begun)), n_jobs)
    free = shutil.disk_usage(study.folder).free
    if needed > free:
        raise OutputError(
            f"{study.folder}: {n_trials} trials take up to {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; free "
            "some space, give another folder with -o, or fewer --trials"
        )


def announcement(study: StudyFolder, n_trials: int, n_jobs: int) -> str:
    """Return one line about what will happen."""
    training = study.plan.config({}).training
    side_by_side = f", {n_jobs} at a time" if n_jobs > 1 else ""
    minutes = f" or {training.max_minutes:g} min" if training.max_minutes else ""
    return (
        f"{counted(n_trials, 'trial')} to make{side_by_side}, each of {training.steps:,} steps{minutes} at most: "
        f"{', '.join(study.plan.search.vary)} by {study.measure.title}; "
        f"up to {bytes_needed(study, n_trials, n_jobs) / 1e6:,.0f} MB of checkpoints on disk"
    )


def make_trials(study: StudyFolder, n_trials: int, shown: Shown, *, n_jobs: int = 1) -> None:
    """Make trials until so many have been begun, or someone asks to stop."""
    while (drawn := study.next_trial(n_trials)) is not None:
        trial, values = drawn
        shown.line(f"trial {trial.number}: {settings_text(values) or 'the training as it is'}")
        made = make_trial(study, trial, values, TrialLines(shown, trial.number), n_jobs=n_jobs)
        if made.ending is not None:
            shown.line(f"trial {trial.number}: {made.ending}")
            refuse_hopeless(study, made.ending)
        if made.is_stop_asked:
            return


@dataclass(frozen=True)
class Made:
    """What came of a trial."""

    ending: str | None  # in words; None where it was interrupted, and can go on
    is_stop_asked: bool


def make_trial(
    study: StudyFolder, trial: optuna.Trial, values: dict[str, Any], shown: Shown, *, n_jobs: int = 1
) -> Made:
    """Make one trial, and note in the study how it ended."""
    folder, began = study.folder_of(trial.number), time.monotonic()
    reports = Reports(study, trial)
    try:
        reports.replay(folder / VALIDATION)
        config = trial_config(study.plan, values)
        hears = reports if study.plan.search.prune and not trial.user_attrs.get("is_usual") else reports.only
        outcome = train(config, folder, shown, resume=has_checkpoint(folder), after_validation=hears, shared_by=n_jobs)
        is_stop_asked = outcome.is_interrupted
    except OutputError:
        raise  # a full disk fails every trial
    except (ResoundError, RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
        state, ending, is_stop_asked = TrialState.FAIL, one_line(error).strip() or type(error).__name__, False
        note_failure(folder, error)
    else:
        if is_stop_asked and not (outcome.is_finished or reports.is_given_up):
            return Made(None, is_stop_asked)
        state, ending = reports.ending(outcome)
    trial.set_user_attr("ending", ending)
    trial.set_user_attr("minutes", round((time.monotonic() - began) / 60, 2))
    study.study.tell(trial, reports.best if state == TrialState.COMPLETE else None, state=state)
    tidy(folder, study.plan.metric, keep_best=state == TrialState.COMPLETE)
    return Made(f"{ending}; {reports.told}", is_stop_asked)


def trial_config(plan: Plan, values: dict[str, Any]) -> RunConfig:
    """Return the training of a trial: no sounds, and no checkpoint but its best."""
    return plan.config({**values, "checkpoints.keep": 1, "checkpoints.average": False, "n_listen": 0, "listen": []})


@dataclass
class Reports:
    """Hears the validations of a trial, passes them on to the study, and says when it should be given up."""

    study: StudyFolder
    trial: optuna.Trial
    best: float | None = None
    best_step: int = 0
    is_given_up: bool = False
    heard: set[int] = field(default_factory=set)  # steps; those after the last checkpoint are made twice

    def __call__(self, step: int, metrics: dict[str, float]) -> bool:
        """Take in a validation, and return whether the trial should end."""
        self.only(step, metrics)
        is_last = step >= self.study.plan.settings["training"]["steps"]
        self.is_given_up = not is_last and self.trial.should_prune()
        return self.is_given_up

    def only(self, step: int, metrics: dict[str, float]) -> bool:
        """Take in a validation, whatever it says."""
        value = metrics.get(self.study.plan.metric, float("nan"))
        if value == value and step not in self.heard:
            self.heard.add(step)
            self.trial.report(value, step)
            if self.best is None or self.study.measure.badness(value) < self.study.measure.badness(self.best):
                self.best, self.best_step = value, step
                self.trial.set_user_attr("best_step", step)
        return False

    def replay(self, table: Path) -> None:
        """Take in what a trial that was interrupted had measured."""
        if table.exists():
            with open(table, encoding="utf-8", newline="") as rows:
                for row in csv.DictReader(rows):
                    with suppress(ValueError, LookupError, TypeError):  # a row cut short: that step is made again
                        value = float(row[self.study.plan.metric] or "nan")
                        self.only(int(row["step"]), {self.study.plan.metric: value})

    def ending(self, outcome: Outcome) -> tuple[TrialState, str]:
        """Return what becomes of a trial that was not interrupted, and why."""
        if self.is_given_up:
            return TrialState.PRUNED, f"given up after {counted(outcome.n_steps, 'step')}, worse than most were there"
        if self.best is None:
            return TrialState.FAIL, f"no validation gave a number for {self.study.plan.metric}"
        return TrialState.COMPLETE, outcome.reason

    @property
    def told(self) -> str:
        """The best so far, in words."""
        measure = self.study.measure
        if self.best is None:
            return f"no {measure.title}"
        return (
            f"{measure.title} {self.best:.{measure.digits + 1}f} {measure.unit}".rstrip()
            + f" at step {self.best_step:,}"
        )


@dataclass
class TrialLines:
    """Tells what a trial tells, with its number; the lines in full are in its folder."""

    shown: Shown
    number: int

    def line(self, text: str) -> None:
        """Tell of validations and of being stopped."""
        if text.startswith(("step ", "goes on", "stopping")):
            self.shown.line(f"trial {self.number}: {text}")

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        """Tell how far the trial is."""
        self.shown.progress(step, n_steps, seconds_left, measured)


def settings_text(values: dict[str, Any]) -> str:
    """Return settings as they are given on the command line."""
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def refuse_hopeless(study: StudyFolder, ending: str) -> None:
    """Raise `TrainingError` where the first trials fail, all of them."""
    states = [trial.state for trial in study.begun]
    if states.count(TrialState.FAIL) >= FIRST_FAILURES and not {TrialState.COMPLETE, TrialState.PRUNED} & set(states):
        raise TrainingError(
            f"{study.folder}: the first {len(states)} trials failed, the last with: {ending}; mend that"
        )


def note_failure(folder: Path, error: BaseException) -> None:
    """Leave in a trial's folder what happened, and let go of the memory that it held."""
    if folder.is_dir():
        with open(folder / CONSOLE, "a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tidy(folder: Path, metric: str, *, keep_best: bool) -> None:
    """Remove what only a run that goes on needs, and of a trial that came to nothing its best checkpoint too."""
    if has_checkpoint(folder):
        Keeper.of(folder, metric, 1).drop(best=not keep_best)


# Side by side


def make_trials_side_by_side(study: StudyFolder, n_trials: int, n_jobs: int, seed: int) -> None:
    """Make trials in several processes; a request to stop is passed on to them.  Raises what ends all of them."""
    start_tracker()
    context = multiprocessing.get_context("spawn")
    told: Any = context.SimpleQueue()
    arguments = (study.folder, study.plan, n_trials, n_jobs, seed, told)
    workers = [context.Process(target=work, args=arguments) for _ in range(n_jobs)]
    for worker in workers:
        worker.start()
    try:
        with passed_on(workers) as is_stopping:
            for worker in workers:
                worker.join()
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
    failures = [told.get() for _ in iter(told.empty, True)]
    if not is_stopping():
        settle_dead(study, [worker.exitcode or 0 for worker in workers])
    if failures:
        raise TrainingError(failures[0])


def work(folder: Path, plan: Plan, n_trials: int, n_jobs: int, seed: int, told: Any) -> None:
    """Make trials in this process, one of several that do."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C on the terminal reaches the parent alone, which passes it on once
    signal.signal(signal.SIGTERM, end_at_once)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        study = StudyFolder(folder, plan, seed=seed, n_jobs=n_jobs)
        make_trials(study, n_trials, Stderr(), n_jobs=n_jobs)
    except ResoundError as error:
        told.put(str(error))
    except KeyboardInterrupt:
        pass  # between two trials, or while one was being prepared: it stays interrupted


def end_at_once(*_: Any) -> None:
    """Answer a request to end where no training is under way, which would end by itself with a checkpoint."""
    raise KeyboardInterrupt


def end_with_parent() -> None:
    """Ask this process to end when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


class Stderr:
    """Tells on the standard error; several processes at once, so no bars."""

    def line(self, text: str) -> None:
        """Tell something once."""
        with contextlib.suppress(OSError):
            os.write(2, f"{text}\n".encode(errors="backslashreplace"))  # in one piece

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        """Tell nothing: the trials' folders have it."""


@contextmanager
def passed_on(workers: list[Any]) -> Iterator[Callable[[], bool]]:
    """Pass requests to end on to worker processes: the first lets them write checkpoints, the second ends them."""
    asked: list[int] = []

    def pass_on(number: int, _: Any) -> None:
        asked.append(number)
        for worker in workers:
            if worker.is_alive():
                os.kill(worker.pid, signal.SIGTERM)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def settle_dead(study: StudyFolder, exit_codes: list[int]) -> None:
    """Note that trials failed whose process died; asked again they would most likely do the same."""
    for trial in study.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.study.tell(trial.number, state=TrialState.FAIL)
        tidy(study.folder_of(trial.number), study.plan.metric, keep_best=False)
    if any(exit_codes) and not study.best:
        raise TrainingError(
            f"{study.folder}: worker processes ended with {exit_codes}, perhaps for lack of memory; use fewer --jobs"
        )
