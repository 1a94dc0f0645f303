"""A run on several devices is as many processes: which of them this one is, and what they tell one another.

They are started by torchrun, or by `with_companions` from the command.  Either way the environment says who is who, in
torchrun's words: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
"""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed

from resound.errors import ConfigError, TrainingError
from resound.training.config import RunConfig

STARTED_BY_US = "RESOUND_COMPANION"  # set in the processes that `with_companions` starts
PATIENCE = datetime.timedelta(hours=12)  # others wait while the first makes validation sets and baselines
GRACE_SECONDS = 20.0  # for a process to notice by itself that another is gone, and to say so
Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """This process among those of a run."""

    rank: int = 0
    n: int = 1
    n_here: int = 1  # on this machine

    @classmethod
    def of_environment(cls) -> Processes:
        """Return what the environment says; alone where it says nothing."""
        n = int(os.environ.get("WORLD_SIZE", 1))
        return cls(int(os.environ.get("RANK", 0)), n, int(os.environ.get("LOCAL_WORLD_SIZE", n)))

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def join(self) -> None:
        """Meet the others.  Raises `TrainingError`."""
        if self.n == 1 or distributed.is_initialized():
            return
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        try:
            distributed.init_process_group(backend, rank=self.rank, world_size=self.n, timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            raise TrainingError(
                f"the {self.n} processes do not find one another ({reason}); start them again"
            ) from None

    def leave(self) -> None:
        """Part from the others, all of whom do."""
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def after_first(self, work: Callable[[], Result]) -> Result:
        """Do something in the first process and then in the others, which find what it made.

        Where it fails in the first, the others end without a word: the first says why.
        """
        if self.n == 1:
            return work()
        if not self.is_first:
            if not self._hear():
                raise SystemExit(1)
            return work()
        is_done = False
        try:
            result = work()
            is_done = True
        finally:
            with suppress(RuntimeError):  # the others are gone: the first step will tell
                distributed.broadcast_object_list([is_done], src=0)
        return result

    def _hear(self) -> bool:
        heard: list[Any] = [False]
        with suppress(RuntimeError):  # the first was killed
            distributed.broadcast_object_list(heard, src=0)
        return bool(heard[0])

    def any(self, here: bool) -> bool:
        """Return whether any process says so: all must stop at the same step."""
        if self.n == 1:
            return here
        told = torch.tensor([float(here)])
        distributed.all_reduce(told)
        return bool(told[0] > 0)

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Return the mean over all processes of numbers under the same names."""
        if self.n == 1:
            return values
        told = torch.tensor(list(values.values()), dtype=torch.float64)
        distributed.all_reduce(told)
        return dict(zip(values, (told / self.n).tolist(), strict=True))

    def gather(self, rows: list[Result]) -> list[Result]:
        """Return the rows of all processes."""
        if self.n == 1:
            return rows
        gathered: list[Any] = [None] * self.n
        distributed.all_gather_object(gathered, rows)
        return [row for part in gathered for row in part]


def with_devices(config: RunConfig, processes: Processes) -> RunConfig:
    """Return a config that says on how many devices it is trained, as torchrun may.  Raises `ConfigError`.

    The number is part of what a run is: with it goes the number of examples in a step.
    """
    training = config.training
    if training.n_devices > 1 and processes.n == 1:
        raise ConfigError(
            f"training.n_devices is {training.n_devices}, and this is one process; start it with 'resound train', or "
            f"torchrun --nproc_per_node={training.n_devices}"
        )
    if training.n_devices not in (1, processes.n):
        raise ConfigError(
            f"training.n_devices is {training.n_devices}, torchrun started {processes.n}; leave the setting out, or "
            "start as many"
        )
    _check_devices(config, processes)
    return config.model_copy(update={"training": training.model_copy(update={"n_devices": processes.n})})


def _check_devices(config: RunConfig, processes: Processes) -> None:
    device, n_gpus = config.training.device, torch.cuda.device_count()
    missing = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if missing.get(device):
        raise ConfigError(f"training.device is {device}, and torch finds none; set training.device=cpu or auto")
    if device in ("cuda", "auto") and torch.cuda.is_available() and processes.n_here > n_gpus:
        raise ConfigError(
            f"training.n_devices is {processes.n_here}, there are {n_gpus} GPUs; give as many, or training.device=cpu"
        )


def is_about_others(error: BaseException) -> bool:
    """Tell whether an error means that another process of the run is gone."""
    if not distributed.is_initialized():
        return False
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(word in text for word in ("gloo", "nccl", "connection"))


@contextmanager
def with_companions(n_devices: int, arguments: Sequence[str]) -> Iterator[None]:
    """Start the same command once more for each other device, unless this process was started so, or by torchrun.

    They end when this process does, however that ends.
    """
    if os.environ.get(STARTED_BY_US):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    if n_devices == 1 or "WORLD_SIZE" in os.environ:
        yield
        return
    before = dict(os.environ)
    os.environ.update(
        WORLD_SIZE=str(n_devices),
        LOCAL_WORLD_SIZE=str(n_devices),
        RANK="0",
        LOCAL_RANK="0",
        GROUP_RANK="0",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(_free_port()),
    )
    others = [_start(rank, arguments) for rank in range(1, n_devices)]
    over = threading.Event()
    threading.Thread(target=_watch, args=(others, over), daemon=True).start()
    try:
        yield
        over.set()
        for other in others:
            with suppress(subprocess.TimeoutExpired):
                other.wait(GRACE_SECONDS)
    finally:
        over.set()
        for other in others:
            _dismiss(other)
        os.environ.clear()
        os.environ.update(before)


def _start(rank: int, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one more process, which leaves Ctrl-C to this one as long as it does not train."""
    environment = {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), STARTED_BY_US: "1"}
    command = [sys.executable, "-m", "resound.cli.main", *arguments]
    is_main = threading.current_thread() is threading.main_thread()  # which alone may set signals
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM) if is_main}
    try:
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(others: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    """End this process if another is gone and this one waits for it for ever, as with some GPUs it would."""
    while not over.wait(1.0):
        gone = [other for other in others if other.poll()]
        if gone and not over.wait(GRACE_SECONDS):
            print(f"resound: process {gone[0].pid} of this run has ended; go on with --resume", file=sys.stderr)
            end_at_once(1)


def _dismiss(other: subprocess.Popen[bytes]) -> None:
    assert other.stdin is not None
    with suppress(OSError):
        other.stdin.close()  # which it takes as the end
    with suppress(subprocess.TimeoutExpired):
        other.wait(5.0)
    other.kill()
    other.wait()


def _end_with_parent() -> None:
    """End when the process that started this one does: it writes nothing that could be left half done."""
    with suppress(OSError):
        os.read(0, 1)  # not sys.stdin, whose lock the interpreter wants at its end
    time.sleep(1.0)  # it may be about to end by itself, with a word about why
    end_at_once(1)


def end_at_once(status: int) -> None:
    """End this process and those it started, without tidying up."""
    import multiprocessing

    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
