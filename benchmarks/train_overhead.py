"""What a training costs beside forward, backward and optimiser: resound's trainer against a bare loop of PyTorch.

Both have the same network, loss, clipping and optimiser, and the same batches, which lie in memory; they take turns of
``--turn`` steps, so that another load on the machine meets both.  Overhead is the share of our step that the bare one
does not take: (ours - bare) / ours, medians over all steps.  Between the steps is what `Session` does there: logs, the
tracker, the bar.  With one thread these are seconds of the processor, else of the clock.  The loader's share is what a
training waits for its two processes, when the batches are mixed on the fly.  The time to the first step is that of the
whole command, with the validation set and the baselines there already.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/train_overhead.py data.jsonl --presets demucs48:4 demucs48,quick --steps 20
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from common import machine, parser_for, print_table

os.environ.pop("OMP_NUM_THREADS")  # a training has all cores

import torch

from resound.mixing.cache import open_cache
from resound.mixing.identity import settings_of
from resound.training import fit
from resound.training.config import RunConfig, load_run_config
from resound.training.judge import Judge, jobs_for
from resound.training.keeper import Keeper
from resound.training.listening import Listening
from resound.training.prepared import prepare
from resound.training.processes import Processes
from resound.training.run_folder import RunFolder
from resound.training.session import Session
from resound.training.stopping import StopRequest
from resound.training.tasks import Task, task_of
from resound.training.trackers import open_tracker
from resound.training.trackers.tracker import TrackedRun

NEVER = 10**9  # steps between validations, of which none is wanted here
N_BATCHES = 4  # that lie in memory
WARM_UP = 2  # steps that are not counted, of each turn
PRESETS = ["demucs48:4", "demucs48,quick", "gatewave,quick", "convtasnet-student,quick", "waveunet,quick"]


def clock() -> float:
    """Return seconds: on one thread those of the processor, which another load on the machine leaves alone."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Quiet:
    """Shows nothing."""

    def line(self, text: str) -> None:
        pass

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        pass


@dataclass
class Taken:
    """Seconds of steps."""

    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)  # of ours: in Session

    @property
    def overhead(self) -> float:
        """The share of our step that the bare loop does not take."""
        return 1 - statistics.median(self.bare) / statistics.median(self.ours)


class Chosen(NamedTuple):
    """A preset as it is measured: ``demucs48:4`` with batches of 4, ``demucs48,quick`` in its small form."""

    name: str
    is_quick: bool
    batch_size: int | None
    changes: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, changes: list[str]) -> Chosen:
        """Read one of the command line."""
        text, _, size = text.partition(":")
        name, _, form = text.partition(",")
        return cls(name, form == "quick", int(size) if size else None, tuple(changes))

    @property
    def words(self) -> list[str]:
        """What differs from the preset."""
        return [*self.changes, *([f"training.batch_size={self.batch_size}"] if self.batch_size else [])]

    def config(self, manifest: Path, *words: str) -> RunConfig:
        """Return the training."""
        return load_run_config(self.name, [*self.words, *words], corpora=[manifest], quick=self.is_quick)

    def __str__(self) -> str:
        return (
            f"{self.name}{', quick' if self.is_quick else ''}{f', batch {self.batch_size}' if self.batch_size else ''}"
        )


class Turns:
    """A training whose batches are the same few, and a bare loop that makes its own steps when it has its turn.

    Lightning asks for a batch when it wants to make a step: whoever gives it can let the other one go first.
    """

    def __init__(self, config: RunConfig, batches: list[dict[str, Any]], n_steps: int, turn: int) -> None:
        self.config, self.batches, self.n_steps, self.turn = config, batches, n_steps, turn
        self.taken = Taken()
        self.bare = BareLoop(config)
        self._asked: float | None = None  # when the step under way was begun

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for step in range(self.n_steps):
            self._note(step)
            batch = self.batches[step % N_BATCHES]
            if step % self.turn == 0:
                for turn in range(self.turn):
                    seconds = self.bare.step(batch)
                    if turn >= min(WARM_UP, self.turn - 1):
                        self.taken.bare.append(seconds)
            self._asked = clock()
            yield batch
        self._note(self.n_steps)

    def __len__(self) -> int:
        return self.n_steps

    def _note(self, step: int) -> None:
        if self._asked is not None and (step - 1) % self.turn >= min(WARM_UP, self.turn - 1):
            self.taken.ours.append(clock() - self._asked)


class BareLoop:
    """What everyone writes at first."""

    def __init__(self, config: RunConfig) -> None:
        self.task = task_of(fit.initial_network(config), config)
        self.most = config.optimiser.clip_norm or float("inf")
        self.optimiser = self.task.optimiser_of(self.task.network)

    def step(self, batch: dict[str, Any]) -> float:
        """Make a step, and return its seconds."""
        began = clock()
        self.optimiser.zero_grad()
        loss, _ = self.task.losses(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.task.network.parameters(), self.most)
        self.optimiser.step()
        loss.item()
        return clock() - began


class TimedSession(Session):
    """Notes how long it takes between two steps."""

    between: list[float]

    def on_train_batch_end(self, *arguments: Any) -> None:
        began = clock()
        super().on_train_batch_end(*arguments)
        self.between.append(clock() - began)


def batches_of(config: RunConfig) -> list[dict[str, Any]]:
    """Return a few batches of the training."""
    for plan in config.prepared_plans:
        prepare(plan, lambda told: None, jobs_for(plan.n_examples))
    loader = fit.loader_of(fit.ExampleDataset(config.mixing), config, 0, Processes())
    return [batch for batch, _ in zip(loader, range(N_BATCHES), strict=False)]


def session_of(config: RunConfig, folder: Path) -> tuple[Task, TimedSession]:
    """Return a task and what happens between its steps, with all that a training has but a validation."""
    run, quiet, one = RunFolder(folder, config), Quiet(), Processes()
    task = task_of(fit.initial_network(config), config)
    keeper = Keeper.of(folder, config.checkpoints.metric, config.checkpoints.keep)
    n_examples = config.validation.n_examples
    examples = open_cache(config.validation_mixing, n_examples, n_jobs=jobs_for(n_examples))
    judge = Judge(config, examples, one)
    run.create()
    run.begin_session(sys.argv)
    tracker = open_tracker(config.tracker, TrackedRun(folder, settings_of(config), 0), quiet.line)
    listening = Listening(config, folder, examples, [])
    say = fit.LogAndShow(quiet, run)
    session = TimedSession(config, run, keeper, judge, listening, tracker, say, StopRequest(), one, None)
    session.between = []
    session._validate = lambda *_: None  # type: ignore[method-assign]
    session._keep = lambda *_: None  # type: ignore[method-assign]
    return task, session


def against_bare(chosen: Chosen, manifest: Path, n_steps: int, turn: int) -> Taken:
    """Let both take turns."""
    small = ["validation.n_examples=2", "n_listen=0", f"training.validate_every={NEVER}", "training.device=cpu"]
    config = chosen.config(manifest, *small, f"training.steps={n_steps}")
    batches = batches_of(config)
    with tempfile.TemporaryDirectory() as folder:
        task, session = session_of(config, Path(folder) / "run")
        turns = Turns(config, batches, n_steps, turn)
        fit.fit(task, session, turns, config, Processes())  # type: ignore[arg-type]
        session.tracker.close()
        turns.taken.between = session.between[WARM_UP:]
    return turns.taken


class Started(NamedTuple):
    """The command as the user gives it."""

    first_step: float  # seconds from its start to the first line of steps.csv
    loader: float  # share of the time that is waited for the loader


def started(chosen: Chosen, manifest: Path, n_steps: int) -> Started:
    """Run the command twice, the second time with everything in the caches, and measure that."""
    with tempfile.TemporaryDirectory() as work:
        run_command(chosen, manifest, Path(work) / "cold", 1)
        first_step = run_command(chosen, manifest, Path(work) / "warm", 1)
    return Started(first_step, waited_for_loader(chosen, manifest, n_steps))


def run_command(chosen: Chosen, manifest: Path, run: Path, n_steps: int) -> float:
    """Run ``resound train`` until its first step is noted, and return the seconds to there."""
    form = ["--quick"] if chosen.is_quick else []
    words = [*form, "--corpus", str(manifest), "-o", str(run), *chosen.words]
    command = [sys.executable, "-m", "resound.cli.main", "train", chosen.name, *words]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    told: list[bytes] = []
    reader = threading.Thread(target=lambda: told.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        while not (run / "steps.csv").exists():
            if process.poll() is not None:
                sys.exit(f"{chosen}: ended before its first step: {b''.join(told).decode()[-300:]}")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def waited_for_loader(chosen: Chosen, manifest: Path, n_steps: int) -> float:
    """Return the share of a training's time that it waits for two processes which mix its examples."""
    small = ["validation.n_examples=2", "n_listen=0", f"training.validate_every={NEVER}", "training.workers=2"]
    config = chosen.config(manifest, *small, "training.device=cpu", f"training.steps={n_steps}")
    dataset = fit.ExampleDataset(config.mixing)
    with tempfile.TemporaryDirectory() as folder:
        task, session = session_of(config, Path(folder) / "run")
        fit.fit(task, session, fit.loader_of(dataset, config, 0, Processes()), config, Processes())
        session.tracker.close()
    return session._waiting / session._working


def row_of(chosen: Chosen, manifest: Path, arguments: argparse.Namespace) -> list[str]:
    """Measure a preset."""
    taken = against_bare(chosen, manifest, arguments.steps, arguments.turn)
    bare, ours, between = (1000 * statistics.median(each) for each in (taken.bare, taken.ours, taken.between))
    row = [
        str(chosen),
        f"{bare:.1f}",
        f"{ours:.1f}",
        f"{taken.overhead:.1%}",
        f"{between:.2f}",
        f"{between / ours:.2%}",
    ]
    if arguments.no_command:
        return [*row, "", ""]
    seen = started(chosen, manifest, arguments.steps)
    return [*row, f"{seen.loader:.1%}", f"{seen.first_step:.1f}"]


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="speech and noise, as 'resound corpus scan' lists them")
    parser.add_argument("--presets", nargs="+", default=PRESETS, metavar="NAME[,quick][:BATCH]")
    parser.add_argument("--steps", type=int, default=60, help="of each (60)")
    parser.add_argument("--turn", type=int, default=6, help="steps before the other has its turn (6)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch (all cores)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings that differ in all")
    parser.add_argument("--no-command", action="store_true", help="neither loader nor time to the first step")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [row_of(Chosen.of(text, arguments.set), arguments.manifest, arguments) for text in arguments.presets]
    print(f"{machine()}, torch {torch.__version__}, {arguments.threads} threads, {arguments.steps} steps\n")
    header = ("preset", "bare, ms", "ours, ms", "overhead", "between, ms", "between", "loader", "first step, s")
    print_table(header, rows)


if __name__ == "__main__":
    main()
