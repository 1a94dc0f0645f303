"""Restores many recordings, several at a time; a bad one is reported and the rest goes on."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from resound.cores import n_cores
from resound.errors import ConfigError, ResoundError
from resound.inference.naming import Task, check_apart, names_one_file
from resound.inference.pipeline import Options, Report, restore_file
from resound.inference.workers import (
    POLL_SECONDS,
    become_worker,
    busy,
    held_signals,
    single_threaded_children,
    start_tracker,
)


@dataclass(frozen=True)
class Outcome:
    """How one recording fared: restored (``report``), failed (``error``), or skipped (neither)."""

    task: Task
    report: Report | None = None
    error: str | None = None

    @property
    def status(self) -> str:
        """``restored``, ``failed`` or ``skipped``."""
        return "restored" if self.report else "failed" if self.error else "skipped"


@dataclass(frozen=True)
class Batch:
    """Recordings to restore and how."""

    tasks: Sequence[Task]
    options: Options
    removed: Path | None = None  # a file for one recording, else a folder
    picture: Path | None = None
    skip_existing: bool = False
    n_jobs: int = 1

    def __post_init__(self) -> None:
        """Check the number of jobs, and that no two files to write are one.  Raises `ConfigError`."""
        if self.n_jobs < 0:
            raise ConfigError(f"jobs is {self.n_jobs}; give 1 or more, or 0 for one per core")
        for target, kind in ((self.removed, "--removed"), (self.picture, "--picture")):
            if target is not None and len(self.tasks) > 1 and names_one_file(target):
                raise ConfigError(f"{target}: is one file's name, for several recordings; give {kind} a folder")
        if len(self.tasks) > 1:  # a single one is checked where it is restored
            check_apart((target, task.source) for task in self.tasks for target in self.targets(task))

    def targets(self, task: Task) -> list[Path]:
        """Return the recordings and pictures that a task writes."""
        removed, picture = self.companion(task, self.removed, ".wav"), self.companion(task, self.picture, ".png")
        return [path for path in (task.output, removed, picture) if path is not None]

    def companion(self, task: Task, target: Path | None, suffix: str) -> Path | None:
        """Return where a task's removed part or picture goes: the target itself for a single recording."""
        if target is None or (len(self.tasks) == 1 and names_one_file(target)):
            return target
        kind = "_removed" if suffix == ".wav" else ""
        # film.mkv and film.wav in one folder: only their whole names tell them apart
        stem = task.output.name if self._stems[task.subfolder, task.output.stem] > 1 else task.output.stem
        return target / task.subfolder / f"{stem}{kind}{suffix}"

    @cached_property
    def _stems(self) -> Counter[tuple[Path, str]]:
        return Counter((task.subfolder, task.output.stem) for task in self.tasks)


# (task, seconds done, seconds in all if known)
TaskProgress = Callable[[Task, float, "float | None"], None]


def run_batch(batch: Batch, progress: TaskProgress | None = None) -> Iterator[Outcome]:
    """Yield an `Outcome` for each task as it ends; on KeyboardInterrupt nothing half-written is left."""
    n_jobs = min(batch.n_jobs or n_cores(), max(1, len(batch.tasks)))
    if n_jobs == 1:
        for task in batch.tasks:
            yield run_task(batch, task, progress)
    else:
        yield from run_parallel(batch, n_jobs, progress)


def run_task(batch: Batch, task: Task, progress: TaskProgress | None) -> Outcome:
    """Restore one recording; what is its fault becomes the outcome, what is ours is raised."""
    if batch.skip_existing and os.path.exists(task.output):
        return Outcome(task)
    try:
        report = restore_file(
            task.source,
            task.output,
            options=batch.options,
            removed=batch.companion(task, batch.removed, ".wav"),
            picture=batch.companion(task, batch.picture, ".png"),
            progress=None if progress is None else (lambda done, total: progress(task, done, total)),
        )
    except ResoundError as error:
        return Outcome(task, error=str(error))
    except BrokenPipeError:  # of whoever reads our progress, not of the recording
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        return Outcome(task, error=f"{task.source}: could not be read to its end ({reason}); check its disk")
    except MemoryError:
        return Outcome(task, error=f"{task.source}: takes more memory than there is; use --jobs 1, or --duration")
    return Outcome(task, report=report)


def run_parallel(batch: Batch, n_jobs: int, progress: TaskProgress | None) -> Iterator[Outcome]:
    """Yield outcomes from worker processes, which tell how far they are through a queue and stop when a pipe closes.

    (An event would wait for an answer of workers that were killed.)
    """
    start_tracker()
    context = multiprocessing.get_context("spawn")
    queue, (ended, alive) = context.Queue(), context.Pipe(duplex=False)
    by_number = dict(enumerate(batch.tasks))
    with single_threaded_children():
        pool = ProcessPoolExecutor(n_jobs, context, _start_worker, (queue, ended))
        try:
            with held_signals():
                numbers = {pool.submit(_work, batch, n): n for n in by_number}
            pending: set[Future[Outcome]] = set(numbers)
            while pending:
                done, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                while not queue.empty():
                    number, seconds_done, seconds_in_all = queue.get()
                    if progress is not None:
                        progress(by_number[number], seconds_done, seconds_in_all)
                for future in done:
                    yield _outcome(future, by_number[numbers[future]])
        finally:
            alive.close()  # workers give up where they are; so they do if this process is killed
            pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future[Outcome], task: Task) -> Outcome:
    """Return what a worker returned; one that was killed takes all that were waiting for it along."""
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(
            task,
            error=f"{task.source}: a worker process was killed, perhaps for lack of memory; use fewer --jobs and "
            "--skip-existing to go on",
        )


_queue: list[Any] = []  # of a worker process: where it tells how far it is


def _start_worker(queue: Any, ended: Any) -> None:
    _queue.append(queue)
    queue.cancel_join_thread()  # nobody may be reading any more when the worker ends
    become_worker(ended)


def _work(batch: Batch, number: int) -> Outcome:
    def tell(_: Task, seconds_done: float, seconds_in_all: float | None) -> None:
        _queue[0].put((number, seconds_done, seconds_in_all))

    with busy():
        return run_task(batch, batch.tasks[number], tell)
