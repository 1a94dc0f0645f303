"""The networks that the package carries: their files, and the card that says what they are.

A folder ``weights/NAME`` holds

=============================================  =======================================================================
``NAME.onnx``                                  for recordings and streams, run by onnxruntime
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
from typing import Any

from resound.errors import ModelError

SHIPPED = ("voice",)
CARD = "card.yaml"
VERSION = 1  # of the cards
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


def card_of(name: str) -> dict[str, Any]:
    """Return the card of a network of the package.  Raises `ModelError`."""
    import yaml

    try:
        card = yaml.safe_load((FOLDER / name / CARD).read_text(encoding="utf-8"))
        version, _ = card["card"], card["files"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        raise ModelError(f"model {name!r}: its {CARD} is missing or damaged; install resound again") from None
    if version != VERSION:
        raise ModelError(
            f"model {name!r}: its {CARD} is of version {version}, this resound reads {VERSION}; update resound"
        )
    return card


def file_of(name: str, file: str | None = None) -> Path:
    """Return a file of a network of the package, NAME.onnx by default, when it is the one that its card describes.

    Raises `ModelError`.
    """
    file = f"{name}.onnx" if file is None else file
    path, wanted = FOLDER / name / file, card_of(name)["files"].get(file)
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


def folder_of(name: str) -> Path:
    """Return the folder of a network of the package, for torch.  Raises `ModelError` where a file is not whole."""
    for file in ("model.json", "weights.safetensors"):
        file_of(name, file)
    return FOLDER / name
