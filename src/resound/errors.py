"""Every error that a user can cause, as one tree.

::

    ResoundError                 one line: what, where, the value, what to do
    ├── ConfigError              a setting is unknown, of the wrong type, or out of range
    ├── InputError               a recording cannot be read: missing, empty, damaged, no audio in it
    ├── OutputError              a result cannot be written: exists, not writable, disk full, codec refused
    ├── ModelError               a model is unknown, damaged, or does not fit the recording
    └── TrainingError            a training cannot begin or go on: the plan is broken, the loss no number, memory short

The command line prints ``str(error)`` and exits with status 1; anything else that is raised is our own bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# Of the letters of both words.  Half of them have 'foo' and 'room' in common, and two thirds 'snr' and 'snr_db'.
NEAR = 0.65


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


class TrainingError(ResoundError):
    """A training cannot begin or go on."""


class Interrupted(BaseException):
    """Ctrl-C or a request to end; its text says what became of the work, where that is worth saying.

    Not a KeyboardInterrupt, which typer would swallow without a word.
    """


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``" (did you mean 'classic'?)"`` for the nearest other choice, or an empty string when none is near."""
    found = nearest(word, (choice for choice in choices if choice != word))
    return "" if found is None else f" (did you mean {found!r}?)"


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is most like a word, None where none is near."""
    return next(iter(difflib.get_close_matches(word, list(choices), n=1, cutoff=NEAR)), None)


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``"1 stretch"`` or ``"2 stretches"``; the plural is the singular with an s unless it is given."""
    return f"{number} {one if number == 1 else many or one + 's'}"


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


@contextmanager
def tune_extra() -> Iterator[None]:
    """Turn the lack of a package that searches need into one line with the remedy, around what imports it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("optuna", "plotly"):
            raise
        raise ConfigError(
            f"searches need {package}, which is not installed; run: pip install 'resound[train,tune]'"
        ) from None
