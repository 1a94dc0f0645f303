"""Files that appear whole or not at all: a temporary name beside the target, renamed at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resound.errors import OutputError


def reserve(target: Path, *, overwrite: bool) -> Path:
    """Return a temporary path beside ``target`` with its suffix, after checking that the target may be written."""
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give a file name")
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already; use --overwrite to replace it, or -o for another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{target.parent}: cannot make this folder ({error.strerror}); choose another with -o"
        ) from None
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{target.parent}: folder is not writable; choose another with -o")
    return target.with_name(f".{target.stem[:60]}.{secrets.token_hex(4)}.partial{target.suffix}")


def commit(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Flush ``temporary`` to disk and give it its name; never replaces a file that came up meanwhile."""
    try:
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        if target.exists() and not overwrite:
            raise OutputError(f"{target}: appeared while it was being made; use --overwrite to replace it")
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror}); free some space or choose another -o"
        ) from None
    finally:
        discard(temporary)


def discard(temporary: Path) -> None:
    """Remove a temporary file, if it is still there."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path for ``target``; on a normal exit it gets its name, on any exception it is removed."""
    temporary = reserve(target, overwrite=overwrite)
    try:
        yield temporary
        commit(temporary, target, overwrite=overwrite)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{target}: cannot be written ({reason}); free some space or choose another -o"
        ) from None
    finally:
        discard(temporary)
