"""What happens between the steps of a run: logs, validations, schedule, checkpoints, stopping.

Lightning makes the steps; after each, `Session` looks whether something is due.  All that is due depends on the number
of steps alone, so that a run which was stopped and goes on does the same at the same step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import lightning
import torch

from resound.judging.summary import Summary
from resound.training.config import RunConfig
from resound.training.judge import Judge
from resound.training.keeper import Keeper
from resound.training.listening import Listening
from resound.training.memory import device_memory_mb
from resound.training.processes import Processes
from resound.training.run_folder import RunFolder
from resound.training.stopping import StopRequest
from resound.training.tasks import NoNumberError, Task
from resound.training.trackers import Tracker
from resound.training.watch import Watch, no_number

TIMED_STEPS = 20  # after so many the time of the whole is told
SMOOTHED_STEPS = 100  # over which the time left is estimated

AfterValidation = Callable[[int, dict[str, float]], bool]  # step and metrics in; whether the run should end there


class Shown(Protocol):
    """Who tells the user how a run goes."""

    def line(self, text: str) -> None:
        """Tell something once."""
        ...

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        """Tell how far the run is."""
        ...


@dataclass
class Outcome:
    """How a run ended."""

    reason: str  # in words
    is_finished: bool = False  # nothing is left to do
    is_interrupted: bool = False  # by the user, or the system
    n_steps: int = 0
    minutes: float = 0.0  # of this session
    validations: list[dict[str, float]] = field(default_factory=list)


class Session(lightning.Callback):
    """From the first step of this process to its last."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        keeper: Keeper,
        judge: Judge,
        listening: Listening,
        tracker: Tracker,
        shown: Shown,
        stop: StopRequest,
        processes: Processes,
        state: dict[str, Any] | None,
        after_validation: AfterValidation | None = None,
    ) -> None:
        self.config, self.folder, self.keeper, self.judge = config, folder, keeper, judge
        self.listening, self.tracker, self.shown, self.stop = listening, tracker, shown, stop
        self._processes, self._state = processes, state  # to go on from
        self._after_validation = after_validation
        self.n_without_gain = 0
        self.device = torch.device("cpu")  # that of the task, once it is known
        self.outcome = Outcome("not begun")
        self._is_spoilt = False  # by numbers that are none
        self._began = time.monotonic()
        self._ends: deque[float] = deque(maxlen=SMOOTHED_STEPS)
        self._waiting = self._working = 0.0  # seconds for the loader, and all
        self._batch_ended = time.monotonic()

    # Lightning's hooks

    def on_train_start(self, trainer: lightning.Trainer, task: Task) -> None:  # type: ignore[override]
        """Put everything back as it was when the run was left."""
        if self._state is not None:
            restore_state(task, trainer.optimizers, self._state)
            self.n_without_gain = int(self._state["n_without_gain"])
        self.folder.forget_after(task.n_steps)
        if trainer.is_global_zero:
            self._watch = Watch(self.folder, self.config.doctor)
        self.device = task.device
        self.stop.listen()  # once more: Lightning has put a handler of its own in the place of ours
        self._batch_ended = self._began = time.monotonic()
        self._first_step = task.n_steps

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_index: int) -> None:
        """Note how long the loader took."""
        self._waiting += time.monotonic() - self._batch_ended

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_index: int) -> None:
        """Do what is due after a step."""
        now = time.monotonic()
        self._working += now - self._batch_ended
        if (batch_index + 1) % self.config.training.accumulate == 0:
            self._after_step(trainer, task, now)
        self._batch_ended = time.monotonic()

    def on_exception(self, trainer: lightning.Trainer, task: Task, exception: BaseException) -> None:  # type: ignore[override]
        """Record a loss that is no number: the step has no row in the tables."""
        if isinstance(exception, NoNumberError) and trainer.is_global_zero and self.config.doctor.is_on("RUN10"):
            self._watch.add(task.n_steps, no_number(task.n_steps, str(exception), self.folder.folder.name))

    # What is due

    def _after_step(self, trainer: lightning.Trainer, task: Task, now: float) -> None:
        self._ends.append(now)
        step, n_steps = task.n_steps, self.config.training.steps
        task.measured = self._processes.mean(task.measured)
        if trainer.is_global_zero:
            self.folder.log_step(step, task.measured)
            known = {key: value for key, value in task.measured.items() if value == value}
            self.tracker.log(step, {f"train/{key}": value for key, value in known.items()})
            self.shown.progress(step, n_steps, self._seconds_left(step), task.measured)
            if step - self._first_step == min(TIMED_STEPS, n_steps):
                self._tell_time(step)
        reason = None
        if step % self.config.training.validate_every == 0 or step == n_steps:
            reason = self._validate(trainer, task)
            self._ends.clear()  # a validation is no step
        reason = reason or self._reason_to_stop(step, trainer)
        if reason:
            self._end(trainer, task, reason)

    def _validate(self, trainer: lightning.Trainer, task: Task) -> str | None:
        """Judge the network, keep it if it is good, and return why the run should end, if it should."""
        step = task.n_steps
        summary = self.judge(task.judged, task.device)
        value = self.judge.value(summary, self.config.checkpoints.metric)
        gain = self.keeper.gain(value)
        task.schedule_state = self.config.schedule.hear(task.schedule_state, gain)
        self.n_without_gain = 0 if gain > 0 else self.n_without_gain + 1
        metrics = self.judge.values(summary)
        if trainer.is_global_zero:  # before the checkpoint: a run that goes on from there does not tell it again
            self._tell_validation(step, summary, metrics)
        if value != value and self.config.doctor.is_on("RUN10"):
            self._is_spoilt = True
            return f"{self.config.checkpoints.metric} is no number: the checkpoints before stay"
        self._keep(trainer, task, metrics)
        if trainer.is_global_zero:
            self.listening(task.judged, task.device, step, self.tracker)
        self.outcome.validations.append({"step": float(step), **metrics})
        ends = self._after_validation is not None and trainer.is_global_zero and self._after_validation(step, metrics)
        if self._processes.any(ends):
            return "ended after a validation, as asked"
        most = self.config.checkpoints.stop_after
        if most is not None and self.n_without_gain >= most:
            self.outcome.is_finished = True
            return f"{most} validations without gain: early stopping"
        return None

    def _tell_validation(self, step: int, summary: Summary, metrics: dict[str, float]) -> None:
        self.folder.log_validation(step, metrics)
        self.folder.note_use(device_memory_mb(self.device))
        self.tracker.log(step, {f"valid/{key}": value for key, value in metrics.items()})
        for name, baseline in self.judge.baselines.items():
            self.tracker.log(step, {f"{name}/{key}": value for key, value in self.judge.values(baseline).items()})
        mark = " (best so far)" if self.n_without_gain == 0 else ""
        for line in self.judge.told(step, summary, mark):
            self.shown.line(line)
        self._look(step)

    def _look(self, step: int) -> None:
        """Tell what doctor finds."""
        for found in self._watch(step):
            self.shown.line(str(found))
            if isinstance(found.value, int | float):
                self.tracker.log(step, {f"doctor/{found.code}": float(found.value)})

    def _reason_to_stop(self, step: int, trainer: lightning.Trainer) -> str | None:
        if step >= self.config.training.steps:
            self.outcome.is_finished = True
            return "all steps are done"
        minutes = self.config.training.max_minutes
        if minutes is not None and self._processes.any(time.monotonic() - self._began >= 60 * minutes):
            return f"{minutes:g} minutes are over"
        if self._processes.any(self.stop.is_asked):
            self.outcome.is_interrupted = True
            return "stopped by the user"
        return None

    def _keep(self, trainer: lightning.Trainer, task: Task, metrics: dict[str, float] | None = None) -> None:
        state = state_of(task, trainer.optimizers, self.n_without_gain)
        self.keeper.keep(task.judged, task.n_steps, state, self.folder.about_model(), metrics)

    def _end(self, trainer: lightning.Trainer, task: Task, reason: str) -> None:
        if self.keeper.last_step != task.n_steps and not self._is_spoilt:
            self._keep(trainer, task)
        trainer.should_stop = True
        self.outcome.reason, self.outcome.n_steps = reason, task.n_steps
        self.outcome.minutes = (time.monotonic() - self._began) / 60

    def _seconds_left(self, step: int) -> float | None:
        if len(self._ends) < 2:
            return None
        each = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        n_validations = self.config.training.steps // self.config.training.validate_every
        done = step // self.config.training.validate_every
        return each * (self.config.training.steps - step) + self.judge.seconds * (n_validations - done)

    def _tell_time(self, step: int) -> None:
        left = self._seconds_left(step)
        if left is None:
            return
        share = self._waiting / max(self._working, 1e-9)
        loader = f"; the loader takes {share:.0%} of it" if share > 0.1 else ""
        self.shown.line(f"a step takes {self._step_seconds():.2f} s, all of them about {duration(left)}{loader}")

    def _step_seconds(self) -> float:
        return (self._ends[-1] - self._ends[0]) / max(len(self._ends) - 1, 1)


def state_of(task: Task, optimisers: list[torch.optim.Optimizer], n_without_gain: int) -> dict[str, Any]:
    """Return all that a resumed run needs to go on as if nothing had happened: plain values and tensors."""
    return {
        "n_steps": task.n_steps,
        "n_without_gain": n_without_gain,
        "schedule": task.schedule_state,
        "network": task.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "random": torch.get_rng_state(),
    }


def restore_state(task: Task, optimisers: list[torch.optim.Optimizer], state: dict[str, Any]) -> None:
    """Put back what `state_of` returned."""
    task.load_state_dict(state["network"])
    task.n_steps, task.schedule_state = int(state["n_steps"]), dict(state["schedule"])
    for optimiser, its_state in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(its_state)
    torch.set_rng_state(state["random"])


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
