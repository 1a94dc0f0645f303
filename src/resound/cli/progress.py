"""Progress bars on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


class Work(Protocol):
    """What is done to one recording; it can be a key of a dict."""

    @property
    def source(self) -> Path:
        """The recording."""
        ...


class NoBars:
    """What a pipe gets: results line by line.  A context manager, as `RestoreBars`."""

    def __enter__(self) -> NoBars:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, task: Work, seconds_done: float, seconds_in_all: float | None) -> None:
        """Show nothing."""

    def finish(self, task: Work) -> None:
        """Show nothing."""

    def print(self, line: str) -> None:
        """Print a line of results to stdout."""
        print(line, flush=True)


def bars(n_tasks: int) -> RestoreBars | NoBars:
    """Return bars on a terminal, none in a pipe."""
    return RestoreBars(n_tasks) if sys.stderr.isatty() else NoBars()


class RestoreBars:
    """One bar for each recording under way, and one for the batch.  A context manager."""

    def __init__(self, n_tasks: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
        )
        self._bars: dict[Work, TaskID] = {}
        self._shares: dict[Work, float] = {}  # how much of each recording is done, 0 to 1
        self._whole = self._progress.add_task(f"{n_tasks} recordings", total=n_tasks) if n_tasks > 1 else None

    def __enter__(self) -> RestoreBars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, task: Work, seconds_done: float, seconds_in_all: float | None) -> None:
        """Show how far a recording is."""
        if task not in self._bars:
            self._bars[task] = self._progress.add_task(escape(task.source.name[-40:]), total=seconds_in_all)
        self._progress.update(self._bars[task], completed=seconds_done, total=seconds_in_all)
        self._share(task, min(1.0, seconds_done / seconds_in_all) if seconds_in_all else 0.0)

    def finish(self, task: Work) -> None:
        """Take a recording's bar away."""
        if task in self._bars:
            self._progress.remove_task(self._bars.pop(task))
        self._share(task, 1.0)

    def _share(self, task: Work, share: float) -> None:
        self._shares[task] = share
        if self._whole is not None:
            self._progress.update(self._whole, completed=sum(self._shares.values()))

    def print(self, line: str) -> None:
        """Print a line of results to stdout, above the bars."""
        self._progress.stop()
        print(line, flush=True)
        self._progress.start()


class CountBar:
    """One bar for things that are counted.  A context manager."""

    def __init__(self, what: str) -> None:
        self._progress = Progress(
            TextColumn(what),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> CountBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, n_done: int, n_in_all: int) -> None:
        """Show how many are done."""
        self._progress.update(self._task, completed=n_done, total=n_in_all)
