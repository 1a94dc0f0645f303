"""Ctrl-C and the like, held back while C code may be calling us: an exception raised there is printed, and lost.

A signal's handler calls `interrupt`; what calls a library that calls back does so within `uninterrupted`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Held:
    """How deep we are inside, and what is to be raised at the end."""

    depth = 0
    error: BaseException | None = None


def interrupt(error: BaseException) -> None:
    """Raise the error now, or at the end of the outermost `uninterrupted`; of several the first."""
    if not _Held.depth:
        raise error
    _Held.error = _Held.error or error


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold `interrupt` back; what came meanwhile is raised at the end, also in the place of another error.

    Handlers run in the main thread, so that there is nothing to hold back in another.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Held.depth += 1
    try:
        yield
    finally:
        _Held.depth -= 1
        if not _Held.depth and _Held.error is not None:
            error, _Held.error = _Held.error, None
            raise error
