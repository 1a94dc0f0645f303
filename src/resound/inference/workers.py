"""Worker processes that stop cleanly: at Ctrl-C, when they are told to end, and when their parent is gone."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from resound.cores import n_cores
from resound.errors import ConfigError, OutputError
from resound.interruption import interrupt, uninterrupted

POLL_SECONDS = 0.1
WAITING_PER_WORKER = 4  # tasks handed out ahead: enough that no worker waits for the slowest
ENDS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Argument = TypeVar("Argument")
Result = TypeVar("Result")


def map_in_order(
    start: Callable[[], Callable[[Argument], Result]], arguments: Iterable[Argument], n_jobs: int
) -> Generator[Result]:
    """Yield ``start()(argument)`` for each argument in their order, made by ``n_jobs`` processes.

    Each process calls ``start`` once; it and what it returns must be picklable by name or value.  With one job all is
    done in this process.  Ending the iteration early stops the work.  Raises what a process raises, and `OutputError`
    where one was killed.
    """
    if n_jobs == 1:
        yield from map(start(), arguments)
        return
    start_tracker()
    context = multiprocessing.get_context("spawn")
    ended, alive = context.Pipe(duplex=False)
    with single_threaded_children():
        pool = ProcessPoolExecutor(n_jobs, context, become_worker, (ended,))
        waiting: deque[Future[Result]] = deque()
        try:
            for argument in arguments:
                with held_signals():
                    waiting.append(pool.submit(_do, start, argument))
                if len(waiting) >= WAITING_PER_WORKER * n_jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise OutputError(
                "a worker process was killed, perhaps for lack of memory; use fewer --jobs, and run the same command "
                "again to go on"
            ) from None
        finally:
            alive.close()  # workers give up where they are; so they do if this process is killed
            pool.shutdown(wait=True, cancel_futures=True)


def count_of_jobs(asked: int) -> int:
    """Return how many processes to use: one per core where 0 is asked for.  Raises `ConfigError`."""
    if asked < 0:
        raise ConfigError(f"jobs is {asked}; give 1 or more, or 0 for one per core")
    return asked or n_cores()


def start_tracker() -> None:
    """Start multiprocessing's own helper process deaf to a closing terminal; to Ctrl-C and SIGTERM it is already.

    Killed before the workers, it would greet each of them with a traceback.  Only the main thread may set signals.
    """
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by what is started now
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def single_threaded_children() -> Iterator[None]:
    """Start child processes whose maths libraries keep to one thread: the files are what runs in parallel."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update({name: "1" for name in THREAD_VARIABLES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def held_signals() -> Iterator[None]:
    """Hold Ctrl-C and the like back, also in processes started meanwhile, until those are ready to answer.

    What is masked here another thread may take, one of a maths library, and Python answers in the main one all the
    same: so `interrupt` waits as well.
    """
    with uninterrupted():
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            yield
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: dict[str, Any] = {}  # of a worker process


def become_worker(ended: Any) -> None:
    """Prepare this process, just started, to be a worker until the pipe ``ended`` closes."""
    _worker.update(busy=False, stopped=False, killed=False)
    signal.signal(signal.SIGINT, _stop_work)
    for number in ENDS[1:]:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop_worker)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    threading.Thread(target=_await, args=(ended,), daemon=True).start()


@contextmanager
def busy() -> Iterator[None]:
    """Say that this worker is at work, so that a request to end interrupts it and lets it tidy up first."""
    _worker["busy"] = True
    try:
        yield
    finally:
        _worker["busy"] = False
        if _worker["killed"]:
            os._exit(1)


def _do(start: Callable[[], Callable[[Argument], Result]], argument: Argument) -> Result:
    """Work on one argument, in a worker process."""
    with busy():
        if "work" not in _worker:
            _worker["work"] = start()
        return _worker["work"](argument)


def _await(ended: Any) -> None:
    """Stop the thread that works when the parent closes its end of the pipe, which is also when it is killed."""
    with suppress(EOFError, OSError):
        ended.recv()
    _thread.interrupt_main()
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    while _worker["busy"]:  # tidying up
        time.sleep(POLL_SECONDS)
    os._exit(1)  # an orphan would wait for work for ever


def _stop_work(*_: Any) -> None:
    """Answer Ctrl-C: give up what is under way, once; while idle there is nothing to do."""
    if _worker["busy"] and not _worker["stopped"]:
        _worker["stopped"] = True
        interrupt(KeyboardInterrupt())


def _stop_worker(*_: Any) -> None:
    """Answer SIGTERM and SIGHUP: give up what is under way, and end."""
    if not _worker["busy"]:
        os._exit(1)
    _worker["killed"] = True
    _stop_work()
