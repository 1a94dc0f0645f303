"""One process at a time works on a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resound.errors import OutputError


@contextmanager
def alone(lock: Path, *, refusal: str = "") -> Iterator[None]:
    """Keep other processes out, however this one ends: they wait, or with a ``refusal`` raise `OutputError`."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(lock, "ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError:
            raise OutputError(refusal) from None
        except OSError:
            pass  # a network disk without locks
        yield
