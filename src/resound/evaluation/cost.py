"""What a model costs: seconds of work for a second of sound, and memory, in a process of its own."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Sequence
from typing import Any

import numpy as np

from resound.evaluation.cases import Case, Loader
from resound.evaluation.models import Runner
from resound.evaluation.result import Column, Cost
from resound.inference.memory import peak_memory_mb
from resound.inference.workers import single_threaded_children, start_tracker


def cost_of(model: str, cases: Sequence[Case], seconds: Column, taken: Column) -> Cost:
    """Return the real-time factor over all recordings, and the peak memory with the longest one."""
    known = ~np.isnan(taken) & (seconds > 0)
    factor = float(taken[known].sum() / seconds[known].sum()) if known.any() else float("nan")
    longest = int(np.nanargmax(seconds))
    memory = _in_own_process(model, cases[longest])
    told = f"one core; peak memory with the longest recording ({seconds[longest]:.1f} s), the interpreter included"
    return Cost(round(factor, 4), memory, told)


def _in_own_process(model: str, case: Case) -> float | None:
    """Return the peak memory in MB of a fresh process that runs a model on a case, None where it failed."""
    start_tracker()
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    with single_threaded_children():
        process = context.Process(target=_measure, args=(theirs, model, case), daemon=True)
        process.start()
    theirs.close()
    try:
        found = float(mine.recv())
        return found if math.isfinite(found) else None
    except EOFError:
        return None
    finally:
        process.join()


def _measure(pipe: Any, model: str, case: Case) -> None:
    Runner(model)(Loader()(case).example)
    pipe.send(peak_memory_mb())
