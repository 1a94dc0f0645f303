"""Published weights into ours: a module per origin, each by the parameter names of the original.

Each has ``from_ORIGIN(weights, config)``, which gives the network, and may have ``unpack(package)``, which gives
weights and config of what that origin saves.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resound.config import read_yaml, set_dotted
from resound.errors import ConfigError, ModelError, did_you_mean, one_line
from resound.models.importers.reading import check_weights, is_weights, read_package, weights_and_config
from resound.models.network import Network

# What reading something of another form ends in: a list where a mapping should be, a matrix where a kernel should be.
MISSHAPEN = (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError)
ORIGINS = ("asteroid", "denoiser", "espnet", "two-stage-unet")


def import_weights(path: Path, origin: str, config: Sequence[str] = ()) -> tuple[Network, str]:
    """Return the network of a checkpoint, ready to use, and a line that says where it is from.

    ``config`` are YAML or JSON files and ``key=value`` words in the origin's own terms; later ones win, and all win
    over what the checkpoint says.  Raises `ModelError` and `ConfigError`.
    """
    if origin not in ORIGINS:
        hint = did_you_mean(origin, ORIGINS) or f"; there are {', '.join(ORIGINS)}"
        raise ConfigError(f"--from {one_line(origin)}: no such origin{hint}")
    module_name = origin.replace("-", "_")
    try:
        module: Any = importlib.import_module(f"resound.models.importers.{module_name}")
    except ModuleNotFoundError as error:
        if error.name != f"resound.models.importers.{module_name}":
            raise
        raise ConfigError(f"--from {origin}: is not part of this version; update resound") from None
    given = read_settings(config)
    package = read_package(path)
    try:
        unpack = getattr(module, "unpack", weights_and_config)
        weights, own = (dict(package), {}) if is_weights(package) else unpack(package)
        check_weights(weights)
        network: Network = getattr(module, f"from_{module_name}")(weights, {**own, **given})
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except MISSHAPEN as error:
        reason = one_line(f"{type(error).__name__}: {error}")[:100]
        raise ModelError(
            f"{path}: does not have the form that {origin} gives its checkpoints ({reason}); check --from and --config"
        ) from None
    with open(path, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return network.eval(), f"{origin}: {path.name}, SHA-256 {digest}"


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return the settings of YAML or JSON files and of ``key=value`` words, later ones over earlier ones."""
    settings: dict[str, Any] = {}
    for word in words:
        if "=" in word and not Path(word).is_file():
            set_dotted(settings, word)
        else:
            settings.update(read_yaml(Path(word)))  # JSON is YAML
    return settings
