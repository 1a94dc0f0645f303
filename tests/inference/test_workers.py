"""Work in several processes comes back in order, with its errors, and stops when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from resound.errors import ConfigError, InputError, OutputError
from resound.inference.workers import count_of_jobs, map_in_order


class Work:
    """Squares numbers; some take longer, fail, or never come back."""

    def __init__(self, folder: Path) -> None:
        (folder / f"started{os.getpid()}").touch()
        self._folder = folder

    def __call__(self, number: int) -> int:
        if number % 3 == 0:
            time.sleep(0.02)
        if number == 13:
            raise InputError("13: is no number to square")
        if number == 17:
            os._exit(9)
        (self._folder / f"done{number}").touch()
        return number**2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_the_order_of_the_arguments_and_each_process_starts_once(tmp_path, n_jobs):
    assert list(map_in_order(partial(Work, tmp_path), range(12), n_jobs)) == [number**2 for number in range(12)]
    assert 1 <= len(list(tmp_path.glob("started*"))) <= n_jobs


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_comes_out_where_its_result_would_have(tmp_path, n_jobs):
    results = map_in_order(partial(Work, tmp_path), [11, 12, 13, 14], n_jobs)
    assert [next(results), next(results)] == [121, 144]
    with pytest.raises(InputError, match="13: is no number to square"):
        next(results)


def test_a_process_that_dies_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="a worker process was killed, perhaps for lack of memory; use fewer --jobs"):
        list(map_in_order(partial(Work, tmp_path), range(14, 20), 2))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ending_early_stops_the_work(tmp_path, n_jobs):
    results = map_in_order(partial(Work, tmp_path), range(18, 1000), n_jobs)
    next(results)
    results.close()
    n_done = len(list(tmp_path.glob("done*")))
    assert n_done <= 4 * n_jobs + 1
    time.sleep(0.1)
    assert len(list(tmp_path.glob("done*"))) == n_done


def test_0_jobs_are_one_per_core():
    assert count_of_jobs(0) == len(os.sched_getaffinity(0))
    assert count_of_jobs(3) == 3
    with pytest.raises(ConfigError, match="jobs is -1; give 1 or more, or 0 for one per core"):
        count_of_jobs(-1)


INTERRUPTED_WHILE_HELD = """
import os, signal, sys, threading, time
from resound.inference.workers import held_signals
from resound.interruption import interrupt

signal.signal(signal.SIGINT, lambda *_: interrupt(KeyboardInterrupt()))
if "another" in sys.argv:
    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()  # which masks nothing
try:
    with held_signals():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        print("whole")
    print("too late")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks of signals here")
@pytest.mark.parametrize("threads", ["alone", "another"])
def test_a_process_is_started_whole_though_another_thread_takes_the_signal(threads):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_HELD, threads], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("whole\ninterrupted\n", "")
