"""Files that appear whole or not at all: a temporary name beside the target, renamed at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resound.errors import OutputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reserve(target: Path, *, overwrite: bool) -> Path:
    """Return a temporary path beside ``target`` with its suffix, after checking that the target may be written.

    Raises `OutputError`.
    """
    check_free(target, overwrite=overwrite)
    make_folder(target.parent)
    return target.with_name(f".{shortened(target.stem, 60)}.{secrets.token_hex(4)}.partial{target.suffix}")


def shortened(stem: str, most_bytes: int) -> str:
    """Return the beginning of a name: names are limited in bytes, most often to 255, and a letter may take four."""
    encoded = os.fsencode(stem)
    if len(encoded) <= most_bytes:
        return stem
    return os.fsdecode(encoded[:most_bytes]).encode("utf-8", "ignore").decode("utf-8")


def check_can_write_in(folder: Path) -> None:
    """Raise `OutputError` where a folder cannot be written to, nor made."""
    there = next((path for path in (folder, *folder.parents) if os.path.exists(path)), Path())
    if not there.is_dir():
        what = "a file has that name" if there.is_file() else "it is a device or pipe, no regular file"
        raise OutputError(
            f"{there}: cannot make this folder ({what}); choose another folder, or a file name with a suffix"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{there}: folder is not writable; choose another")


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, or raise `OutputError`."""
    check_can_write_in(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make this folder ({error.strerror}); choose another") from None


def check_free(target: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` where ``target`` is a folder, has an impossible name, or exists and may not be replaced."""
    try:
        os.stat(target)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        remedy = "a shorter one" if error.errno == errno.ENAMETOOLONG else "another"
        raise OutputError(f"{target}: cannot be a file's name ({error.strerror}); give {remedy} with -o") from None
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give a file name")
    if not target.is_file():
        raise OutputError(f"{target}: is a device or pipe, not a regular file; give another name")
    if not overwrite:
        raise OutputError(f"{target}: exists already; use --overwrite to replace it, or -o for another name")


def write_failure(target: Path, error: OSError) -> OutputError:
    """Return what to tell the user when the system refuses to write."""
    reason = error.strerror or str(error)
    if error.errno in DISK_FULL:
        return OutputError(f"{target}: disk full ({reason}); free some space or choose another folder with -o")
    return OutputError(f"{target}: cannot be written ({reason}); choose another name or folder with -o")


def flush(temporary: Path) -> None:
    """Have the system write a closed file to its disk: some disks tell only now that they are full."""
    with open(temporary, "rb+") as handle:
        os.fsync(handle.fileno())


def commit(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Flush ``temporary`` to disk and give it its name; never replaces a file that came up meanwhile."""
    try:
        flush(temporary)
        if target.exists() and not overwrite:
            raise OutputError(f"{target}: appeared while it was being made; use --overwrite to replace it")
        os.replace(temporary, target)
    except OSError as error:
        raise write_failure(target, error) from None
    finally:
        discard(temporary)


def discard(temporary: Path) -> None:
    """Remove a temporary file, if it is still there."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path for ``target``; on a normal exit it gets its name, on any exception it is removed.

    A full disk and the like become an `OutputError` about ``target``.
    """
    temporary = reserve(target, overwrite=overwrite)
    try:
        with writing(target, temporary):
            yield temporary
        commit(temporary, target, overwrite=overwrite)
    finally:
        discard(temporary)


@contextmanager
def writing(target: Path, temporary: Path) -> Iterator[None]:
    """Turn the system's refusal to write ``temporary`` into an `OutputError` about ``target``; flush at the end."""
    try:
        yield
        flush(temporary)
    except BrokenPipeError:  # no file, but the output of the program
        raise
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(temporary):
            raise
        raise write_failure(target, error) from None
