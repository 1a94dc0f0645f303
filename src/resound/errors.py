"""Every error that a user can cause, as one tree.

::

    ResoundError                 one line: what, where, the value, what to do
    ├── ConfigError              a setting is unknown, of the wrong type, or out of range
    ├── InputError               a recording cannot be read: missing, empty, damaged, no audio in it
    ├── OutputError              a result cannot be written: exists, not writable, disk full, codec refused
    └── ModelError               a model is unknown, damaged, or does not fit the recording

The command line prints ``str(error)`` and exits with status 1; anything else that is raised is our own bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ResoundError(Exception):
    """Root of all errors that a user can cause; its text is one line that says what to do."""


class ConfigError(ResoundError):
    """A setting is unknown, of the wrong type, or out of range."""


class InputError(ResoundError):
    """A recording cannot be read."""


class OutputError(ResoundError):
    """A result cannot be written."""


class ModelError(ResoundError):
    """A model is unknown, damaged, or does not fit the recording."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'classic'?"`` for the nearest choice, or an empty string when none is near."""
    nearest = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def one_line(message: object) -> str:
    """Return a message as one line: file names may hold line ends and other controls."""
    return "".join(
        letter if letter.isprintable() or letter == "\u3000" else ascii(letter)[1:-1] for letter in str(message)
    )


@contextmanager
def train_extra() -> Iterator[None]:
    """Turn the lack of a package that networks need into one line with the remedy, around what imports it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("torch", "safetensors", "lightning"):
            raise
        raise ModelError(
            f"networks need {package}, which is not installed; run: pip install 'resound[train]'"
        ) from None
