"""One process at a time works on a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from resound.errors import OutputError

_held: set[IO[bytes]] = set()


@contextmanager
def alone(lock: Path, *, refusal: str = "") -> Iterator[None]:
    """Keep other processes out, however this one ends: they wait, or with a ``refusal`` raise `OutputError`.

    The lock file is there as long as somebody works.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    while True:
        handle = open(lock, "ab")  # noqa: SIM115 (until the work is done)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError:
            handle.close()
            raise OutputError(refusal) from None
        except OSError:
            break  # a network disk without locks
        if _is_at(handle, lock):
            break
        handle.close()  # whoever had it has removed it: the next one has another file
    _held.add(handle)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        _held.discard(handle)
        handle.close()


def _is_at(handle: IO[bytes], path: Path) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """Leave the locks to the process that forked this one: they end with it, not with those whom it leaves behind."""
    for handle in _held:
        handle.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
