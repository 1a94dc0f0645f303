"""From a model's name or path to the restorers that run it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from resound.inference.repair import Repairer, open_repairer, repairs_others
from resound.shipped import AUTO, REPAIRS, RESTORING, SEPARATES, file_of, is_shipped

RESTORES = ("auto", "classic", *RESTORING)  # names of models


@dataclass(frozen=True)
class Model:
    """A chosen model: its name, what identifies its weights or settings, and how to build its stages."""

    name: str
    weights_md5: str | None  # None for a model without weights
    settings: dict[str, Any]
    chain: ClassicConfig  # what runs of the classic chain, before the network where there is one
    network: OnnxRestorer | FramesRestorer | NetworkRestorer | None
    max_reduction_db: float | None
    then: Repairer | None = None  # what puts back what the others took

    @property
    def told(self) -> str:
        """What people read of it."""
        return f"{self.name}, then {self.then.name}" if self.then else self.name

    @property
    def packages(self) -> list[str]:
        """What it runs on beside the core."""
        of_network = ["torch"] if isinstance(self.network, NetworkRestorer) else []
        return [*{*of_network, *(self.then.packages if self.then else [])}]

    def stages(self, sample_rate: int) -> list[Restorer]:
        """Return the restorers for recordings at a rate, in order."""
        stages: list[Restorer] = list(build_stages(self.chain, sample_rate))
        if self.network is not None:
            limit_db = self.max_reduction_db
            stages.append(self.network if limit_db is None else LimitedReduction(self.network, limit_db))
        return stages


def find_model(
    model: str | Path = "auto",
    *,
    config: ClassicConfig | None = None,
    max_reduction_db: float | None = None,
    then: str | Path | None = None,
) -> Model:
    """Return the model of a name (``auto``, ``classic``, ``film``, ``voice``), of an ``.onnx``, or a network's folder.

    ``auto`` is ``film``, but the classic chain where ``config`` sets anything, or chooses stages otherwise than by
    leaving out one that runs before ``film``.  Raises `ModelError` for an unknown name, with the nearest one, and for a
    file that is no model; `ConfigError` for a reduction out of range, and for settings of the classic chain that a
    network would not heed.  ``then`` is a network that repairs what the model makes (`resound.inference.repair`).
    """
    found = _found(model, config or ClassicConfig(), max_reduction_db)
    return found if then is None else replace(found, then=open_repairer(then))


def _found(model: str | Path, config: ClassicConfig, max_reduction_db: float | None) -> Model:
    """Return the model of a name or path."""
    if max_reduction_db is not None and not 0 <= max_reduction_db <= 60:
        raise ConfigError(f"max reduction is {max_reduction_db:g} dB; give 0 to 60")
    word = str(model)
    if not word:
        raise ModelError(f"the model's name is empty; choose from {', '.join(RESTORES)}, or give a path")
    if word == "classic":
        return _classic(config, max_reduction_db)
    is_auto = word == "auto"
    if is_auto and config.model_fields_set - {"skip"}:  # who sets how deep dehiss goes means no network beside it
        return _classic(config, max_reduction_db)
    if word == SEPARATES and is_shipped(word):
        raise ModelError(f"model {word!r} gives each voice of a recording by itself; use it with 'resound separate'")
    if word == REPAIRS and is_shipped(word):
        raise repairs_others(word)
    ships = is_auto or is_shipped(word)  # a file called as what "auto" means is not meant
    path = file_of(AUTO if is_auto else word) if ships else Path(word)
    if path.suffix.lower() != ".onnx" and not os.path.exists(path):
        raise ModelError(
            f"model {word!r} is not known{did_you_mean(word, RESTORES)}; choose from {', '.join(RESTORES)}, "
            "or give the path of an .onnx file or of a network's folder"
        )
    network = NetworkRestorer(path) if os.path.isdir(path) else restorer_of(GraphFile(path))
    if network.repairs_others:
        raise repairs_others(word)
    if not is_heeded(config, network.after.order):
        if is_auto:
            return _classic(config, max_reduction_db)
        own = f"heeds those of {', '.join(network.after.order)} alone" if network.after.order else "has none"
        raise ConfigError(
            f"stages and their settings are those of the classic chain; model {word!r} is a network and {own}: "
            "leave --only, --skip, --set and --config out, or give --model classic"
        )
    chain = network.after.with_settings_of(config)
    if max_reduction_db is not None and "dehiss" in config.model_fields_set:
        raise ConfigError(
            f"--max-reduction limits the network {word!r}, and no dehiss runs before it; leave one of them out"
        )
    if max_reduction_db is not None:  # two that take so much would take twice as much
        chain = chain.model_copy(update={"order": tuple(stage for stage in chain.order if stage != "dehiss")})
    settings: dict[str, Any] = {} if ships else {"path": str(path)}
    settings |= {stage: getattr(chain, stage).model_dump(mode="json") for stage in chain.order}
    settings["max_reduction_db"] = max_reduction_db
    return Model(network.name, network.weights_md5, settings, chain, network, max_reduction_db)


def _classic(config: ClassicConfig, max_reduction_db: float | None) -> Model:
    chain = config if max_reduction_db is None else config.with_max_reduction(max_reduction_db)
    return Model("classic", None, chain.model_dump(mode="json"), chain, None, max_reduction_db)


def is_heeded(config: ClassicConfig, after: Sequence[str]) -> bool:
    """Tell whether settings speak of nothing but the stages that a network runs after: set, or left out.

    What someone gave counts, also where it is equal to the default: who sets the depth of dehiss means dehiss.
    """
    return config.model_fields_set - {"skip"} <= set(after) and set(config.skip) <= set(after)


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
