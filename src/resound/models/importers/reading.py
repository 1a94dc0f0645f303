"""Reads weights that others have saved, without running anything that comes with them.

A pickle is a program.  `torch.load(weights_only=True)` runs no more of it than puts tensors, numbers, texts, lists and
dicts together; a file that asks for more is refused, and the error names what it asked for.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resound.errors import ModelError, one_line

SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".npz", ".safetensors")
# Under which keys packages hold their weights, and what made the network; the first that is there counts.
WEIGHTS_KEYS = ("best_state", "state_dict", "state", "model_state_dict", "model")
CONFIG_KEYS = ("model_args", "kwargs", "config")


class Placeholder:
    """Stands for the class of a network that a package names: nothing is ever made of it."""


# A package of denoiser names the class of its network beside the weights; the name is all that is taken.
HARMLESS = ("denoiser.demucs.Demucs",)


def read_package(path: Path) -> Mapping[str, Any]:
    """Return what a file of weights holds: names to tensors, or a package with such a mapping in it.

    Raises `ModelError` for a file that is missing, damaged, of no known kind, or that needs code to be run.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give a checkpoint ({', '.join(SUFFIXES)})")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ModelError(f"{path}: is no kind of checkpoint that can be read; give one of {', '.join(SUFFIXES)}")
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(suffix, _read_pickle)
    try:
        package = read(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or one_line(error)}); get another copy") from None
    if not isinstance(package, Mapping):
        raise ModelError(
            f"{path}: holds {type(package).__name__}, not weights by name; save the network's state_dict()"
        )
    return package


def weights_and_config(package: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights by name and the config, wherever a package has them; the config may be empty."""
    config: dict[str, Any] = {}
    while not is_weights(package):
        for key in CONFIG_KEYS:
            if isinstance(package.get(key), Mapping):
                config = {**package[key], **config}
        inner = next((package[key] for key in WEIGHTS_KEYS if isinstance(package.get(key), Mapping)), None)
        if inner is None:
            names = ", ".join(one_line(key) for key in list(package)[:5])
            raise ModelError(f"no weights by name (found {names or 'nothing'}); save the network's state_dict()")
        package = inner
    return {str(key): value for key, value in package.items()}, config


def is_weights(package: Mapping[str, Any]) -> bool:
    """Tell whether a mapping holds tensors alone."""
    return bool(package) and all(isinstance(value, Tensor) for value in package.values())


def check_weights(weights: Any) -> None:
    """Raise `ModelError` unless these are tensors by name, of finite real numbers that are there."""
    if not isinstance(weights, Mapping) or not weights:
        raise ModelError("holds no weights by name; save the network's state_dict()")
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{one_line(name)!r} is {type(value).__name__}, not a tensor; save the state_dict() alone")
        if value.is_meta or value.layout != torch.strided:
            raise ModelError(f"{one_line(name)!r} is a tensor without plain values; save it dense, on the processor")
        if value.is_complex() or not (value.is_floating_point() or value.numel() <= 1):  # counters are whole numbers
            raise ModelError(f"{one_line(name)!r} holds {value.dtype}, where weights are floating point; save those")
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{one_line(name)!r} holds NaN or infinite values; the training that gave it had failed")


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ModelError(f"{path}: holds pickled objects, whose loading runs code; save plain arrays") from None
        raise _damaged(path, error) from None
    except (EOFError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from None


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([(Placeholder, name) for name in HARMLESS]):
            warnings.simplefilter("ignore")  # of pickles in a newer notation, which then are refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL\s+([\w.]+\.\w+)", str(error))
        what = f"loading it would run {asked[1]}" if asked else "it is damaged, or loading it would run code of its own"
        raise ModelError(
            f"{path}: {what}, so it was refused; where you trust it, load it as its author does and save the "
            "network's state_dict() alone"
        ) from None
    except (EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = one_line(error)[:100] or type(error).__name__
    return ModelError(f"{path}: is not a checkpoint that can be read ({reason}); get another copy")
