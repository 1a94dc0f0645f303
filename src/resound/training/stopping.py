"""Ctrl-C during a training: the first asks to stop after the step, with a checkpoint; the second ends at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from resound.errors import OutputError
from resound.interruption import raise_what_was_lost
from resound.training.processes import end_at_once

NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# torchrun hands on to its processes the Ctrl-C that the terminal has sent them already: the two are one request.
SAME_REQUEST_SECONDS = 5.0


class StopRequest:
    """Whether someone asked to stop."""

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self.is_asked = False
        self._tell, self._first = tell, 0.0
        self._ignored = [number for number in NUMBERS if signal.getsignal(number) is signal.SIG_IGN]  # as under nohup

    def listen(self) -> None:
        """Take Ctrl-C, and a request of the system to end; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                signal.signal(number, signal.SIG_IGN if number in self._ignored else self._hear)

    def _hear(self, number: int, _: Any) -> None:
        if not self.is_asked:
            self.is_asked, self._first = True, time.monotonic()
            with suppress(OSError, OutputError, RuntimeError):  # the terminal is gone, or was just being written to
                self._tell("stopping after this step, with a checkpoint to go on from; once more to stop at once")
        elif "TORCHELASTIC_RUN_ID" not in os.environ or time.monotonic() - self._first > SAME_REQUEST_SECONDS:
            end_at_once(128 + number)


@contextmanager
def stoppable(tell: Callable[[str], None]) -> Iterator[StopRequest]:
    """Take Ctrl-C, and a request of the system to end, as a wish to stop after the step under way.

    A second one ends the process at once: what is on disk is whole, whenever that is.
    """
    raise_what_was_lost()
    request = StopRequest(tell)
    before = {number: signal.getsignal(number) for number in NUMBERS}
    request.listen()
    try:
        yield request
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def deaf_to_signals(_: int) -> None:
    """Let a loader's process leave Ctrl-C to the training, which ends it in its own time."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
