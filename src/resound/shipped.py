"""The networks that the package carries: their files, and the card that says what they are.

A folder ``weights/NAME`` holds

=============================================  =======================================================================
``NAME.onnx``                                  for recordings, and streams where it is causal, run by onnxruntime
``model.json`` and ``weights.safetensors``     the same network for torch: to train on, to adapt
``card.yaml``                                  what it is, what it learnt from, how good it is, what it cannot do;
                                               licence, and the SHA-256 of the files
=============================================  =======================================================================

All of it is made by ``scripts/ship_network.py`` from a training's run.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resound.errors import ModelError

RESTORING = ("film", "voice")
AUTO = "film"  # what "auto" means
SEPARATES = "separate"
REPAIRS = "timbre"
SHIPPED = (*RESTORING, SEPARATES, REPAIRS)
CARD = "card.yaml"
VERSION = 3  # of the cards; since 2 they have network.after, since 3 latency_ms may be null
FOLDER = Path(__file__).parent / "weights"


def is_shipped(model: str | os.PathLike[str]) -> bool:
    """Return whether a word names a network of the package.  Raises `ModelError` where it names a path as well."""
    word = str(model)
    if word not in SHIPPED:
        return False
    if os.path.exists(word):
        raise ModelError(
            f"{word}: is a network that resound ships, and something of that name is here; give "
            f"{os.path.abspath(word)} for that"
        )
    return True


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Facts(_Part):
    """What a network is."""

    name: str
    task: str
    parameters: int
    sample_rate: int
    latency_ms: float | None  # beside the hop that must have come in; None: it hears all of a recording
    hop_ms: float
    after: dict[str, Any] = Field(default_factory=dict)  # what runs before it of the classic chain, as its files say


class Source(_Part):
    """Recordings of one domain, source and licence that a network learnt from."""

    domain: str
    source: str
    files: int
    minutes: float
    licence: str
    repository: str | None = None  # where they come from, for credit


class Training(_Part):
    """How a network was trained."""

    told: str
    command: str


class Figures(_Part):
    """How good a network is, as a table."""

    told: str
    columns: list[str]
    rows: list[list[str]]
    command: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("rows have other cells than columns")
        return self


class Card(_Part):
    """What is said of a network that ships."""

    card: Literal[1, 2, 3]
    name: str
    about: str
    licence: str  # of the weights
    made: str  # a date, ISO 8601
    resound: str  # the version it was made by
    network: Facts
    data: list[Source]
    training: Training
    figures: Figures | None  # None: of these weights not measured yet
    limits: list[str]
    files: dict[str, str] = Field(min_length=1)  # SHA-256 of each


def card_of(name: str) -> Card:
    """Return the card of a network of the package.  Raises `ModelError`."""
    import yaml

    version: object = VERSION
    try:
        told = yaml.safe_load((FOLDER / name / CARD).read_text(encoding="utf-8"))
        version = told["card"]
        return Card.model_validate(told)
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, RecursionError):
        if isinstance(version, int) and version > VERSION:
            raise ModelError(
                f"model {name!r}: its {CARD} is of version {version}, this resound reads {VERSION}; update resound"
            ) from None
        raise ModelError(f"model {name!r}: its {CARD} is missing or damaged; install resound again") from None


def file_of(name: str, file: str | None = None) -> Path:
    """Return a file of a network of the package, NAME.onnx by default, when it is the one that its card describes.

    Raises `ModelError`.
    """
    file = f"{name}.onnx" if file is None else file
    path, wanted = FOLDER / name / file, card_of(name).files.get(file)
    try:
        with open(path, "rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"model {name!r}: {file} of the package cannot be read ({error.strerror}); install resound again"
        ) from None
    if found != wanted:
        raise ModelError(
            f"model {name!r}: {file} is not the file that its card describes (SHA-256 differs); install resound again"
        )
    return path


def named(folder: Path) -> str:
    """Return how people call a model's folder: the name of one that ships, else its path."""
    return folder.name if folder.parent == FOLDER else str(folder)


def explicit(path: str | os.PathLike[str]) -> Path:
    """Return a path as it was meant: ``./voice`` and ``voice/`` are what is here, where a `Path` drops what says so."""
    word = os.fspath(path)
    is_path = any(separator in word for separator in (os.sep, os.altsep) if separator)
    return Path(os.path.abspath(word)) if is_path and len(Path(word).parts) == 1 else Path(word)


def folder_of(name: str) -> Path:
    """Return the folder of a network of the package, for torch.  Raises `ModelError` where a file is not whole."""
    for file in ("model.json", "weights.safetensors"):
        file_of(name, file)
    return FOLDER / name
