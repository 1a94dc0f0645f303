"""Files and folders that a YAML file names: relative to its own folder if there, else to where one works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from resound.errors import ConfigError

KEYS = ("bank", "clean", "corpus", "degraded", "listen", "pairs")  # whose text is always a path
# Keys whose text is a path where it ends so, else a name.
FILES = {"chain": (".yaml", ".yml"), "source_chain": (".yaml", ".yml"), "with": (".onnx",)}


def beside(values: Any, folder: Path) -> Any:
    """Return nested settings whose relative paths are those below ``folder``, where something is there."""
    return _with_paths(values, lambda key, path: str(folder / path) if (folder / path).exists() else path)


def check_paths(values: Any, where: Path) -> None:
    """Raise `ConfigError` for the first path in nested settings where nothing is, with the places looked at."""
    _with_paths(values, lambda key, path: _checked(key, path, where))


def _checked(key: str, path: str, where: Path) -> str:
    if not Path(path).exists():
        places = dict.fromkeys(str(folder.resolve()) for folder in (where.parent, Path()))
        looked = "" if Path(path).is_absolute() else f" (looked in {' and in '.join(places)})"
        raise ConfigError(f"{where}: {key}: {path} is not there{looked}; mend the path, or put the file there")
    return path


def _with_paths(values: Any, change: Callable[[str, str], str], key: str = "") -> Any:
    """Return nested settings with each path changed by ``change(key, path)``."""
    if isinstance(values, dict):
        return {name: _with_paths(value, change, str(name)) for name, value in values.items()}
    if isinstance(values, list):
        return [_with_paths(value, change, key) for value in values]
    is_path = isinstance(values, str) and (key in KEYS or values.lower().endswith(FILES.get(key, ())))
    return change(key, values) if is_path else values
