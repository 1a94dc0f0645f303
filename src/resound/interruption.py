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
    end: BaseException | None = None  # of the program, that was asked for


def interrupt(error: BaseException, *, ends_program: bool = False) -> None:
    """Raise the error now, or at the end of the outermost `uninterrupted`; of several the first."""
    if ends_program:
        _Held.end = error
    if not _Held.depth:
        raise error
    _Held.error = _Held.error or error


def begin_program() -> None:
    """Know of nothing that was asked before."""
    _Held.end = None


def raise_what_was_lost() -> None:
    """Raise an error that should have ended the program and did not: Python loses those raised while it frees objects.

    For places that no program reaches which is ending.
    """
    if _Held.end is not None:
        raise _Held.end


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
