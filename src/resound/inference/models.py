"""From a model's name or path to the restorers that run it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from resound.classic.chain import ClassicConfig, build_stages
from resound.errors import ConfigError, ModelError, did_you_mean
from resound.inference.frames_restorer import FramesRestorer
from resound.inference.graph_file import GraphFile
from resound.inference.network import NetworkRestorer
from resound.inference.offline import Restorer, Samples
from resound.inference.onnx import OnnxRestorer
from resound.shipped import SHIPPED, file_of, is_shipped

# What a name means; "auto" picks what is best for real recordings of those that ship.
NAMES = ("auto", "classic", *SHIPPED)
CHAIN = ("auto", "classic")


@dataclass(frozen=True)
class Model:
    """A chosen model: its name, what identifies its weights or settings, and how to build its stages."""

    name: str
    weights_md5: str | None  # None for a model without weights
    settings: dict[str, Any]
    network: OnnxRestorer | FramesRestorer | NetworkRestorer | None
    config: ClassicConfig
    max_reduction_db: float | None

    @property
    def packages(self) -> list[str]:
        """What it runs on beside the core."""
        return ["torch"] if isinstance(self.network, NetworkRestorer) else []

    def stages(self, sample_rate: int) -> list[Restorer]:
        """Return the restorers for recordings at a rate, in order."""
        if self.network is None:
            return list(build_stages(self.config, sample_rate))
        if self.max_reduction_db is None:
            return [self.network]
        return [LimitedReduction(self.network, self.max_reduction_db)]


def find_model(
    model: str | Path = "auto",
    *,
    config: ClassicConfig | None = None,
    max_reduction_db: float | None = None,
) -> Model:
    """Return the model of a name (``auto``, ``classic``, ``voice``), of an ``.onnx`` file, or of a network's folder.

    Raises `ModelError` for an unknown name, with the nearest one, and for a file that is no model; `ConfigError` for
    a reduction out of range, and for settings of the classic chain that a network would not heed.
    """
    config = config or ClassicConfig()
    is_changed = config != ClassicConfig()
    if max_reduction_db is not None:
        if not 0 <= max_reduction_db <= 60:
            raise ConfigError(f"max reduction is {max_reduction_db:g} dB; give 0 to 60")
        config = config.with_max_reduction(max_reduction_db)
    word = str(model)
    if not word:
        raise ModelError(f"the model's name is empty; choose from {', '.join(NAMES)}, or give a path")
    if word in CHAIN:
        settings = config.model_dump(mode="json")
        return Model("classic", None, settings, None, config, max_reduction_db)
    ships = is_shipped(word)
    path = file_of(word) if ships else Path(word)
    if path.suffix.lower() == ".onnx" or os.path.exists(path):
        if is_changed:
            raise ConfigError(
                f"stages and their settings are those of the classic chain; model {word!r} is a network and has none: "
                "leave --only, --skip, --set and --config out"
            )
        network = NetworkRestorer(path) if os.path.isdir(path) else restorer_of(GraphFile(path))
        settings = {} if ships else {"path": str(path)}
        settings["max_reduction_db"] = max_reduction_db
        return Model(network.name, network.weights_md5, settings, network, config, max_reduction_db)
    raise ModelError(
        f"model {word!r} is not known{did_you_mean(word, NAMES)}; choose from {', '.join(NAMES)}, "
        "or give the path of an .onnx file or of a network's folder"
    )


def restorer_of(file: GraphFile) -> OnnxRestorer | FramesRestorer:
    """Return what restores recordings by an ONNX file, of either form.  Raises `ModelError`."""
    return FramesRestorer(file) if file.is_streaming else OnnxRestorer(file)


class LimitedReduction:
    """A restorer that leaves so much of what another removes that nothing falls by more than some decibels."""

    def __init__(self, inner: Restorer, max_reduction_db: float) -> None:
        self.inner = inner
        self.name, self.sample_rate, self.context = inner.name, inner.sample_rate, inner.context
        self.grid = getattr(inner, "grid", 1)
        if isinstance(inner, FramesRestorer):
            self.follow = partial(inner.follow, max_reduction_db=max_reduction_db)
        self._kept = 10 ** (-max_reduction_db / 20)

    def process(self, block: Samples) -> Samples:
        """Return the block restored, ``(channel, time)`` -> ``(channel, time)``."""
        return self._kept * block + (1 - self._kept) * self.inner.process(block)
