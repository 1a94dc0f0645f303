"""Ctrl-C during a training: the first asks to stop after the step, with a checkpoint; the second ends at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class StopRequest:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        self.is_asked = False


@contextmanager
def stoppable(tell: Callable[[str], None]) -> Iterator[StopRequest]:
    """Take Ctrl-C, and a request of the system to end, as a wish to stop after the step under way.

    A second one ends the process at once: what is on disk is whole, whenever that is.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals reach the main thread alone
        return

    def asked(number: int, _: Any) -> None:
        if request.is_asked:
            os._exit(128 + number)
        request.is_asked = True
        tell("stopping after this step, with a checkpoint to go on from; once more to stop at once")

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def deaf_to_signals(_: int) -> None:
    """Let a loader's process leave Ctrl-C to the training, which ends it in its own time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
