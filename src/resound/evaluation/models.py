"""A model under judgement: whatever `resound restore` and `resound separate` take, run on whole examples."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError, train_extra
from resound.inference.models import RESTORES, find_model
from resound.inference.network import LoadedNetwork
from resound.inference.offline import Restorer, checked_samples
from resound.inference.pipeline import restored
from resound.inference.separation import NetworkSeparator, open_separator, separate_blocks
from resound.mixing.example import Example
from resound.shipped import REPAIRS, SEPARATES


class Runner:
    """Restores or separates examples with one model, loaded once."""

    def __init__(self, model: str) -> None:
        """Load a model.  Raises `ModelError`."""
        self.model = found(model)
        self.network = (
            None if self.model in RESTORES or not os.path.isdir(self.model) else LoadedNetwork(Path(self.model))
        )
        self._stages: dict[int, list[Restorer]] = {}
        self._separator: NetworkSeparator | None = None

    def __call__(self, example: Example) -> NDArray:
        """Return ``(channel or source, time)`` for an example.  Raises `ModelError` where the model does not fit."""
        if self._takes_whole(example):
            assert self.network is not None
            out = self.network.run(example.degraded[None])[0]
        elif example.task == "separate":
            out = self._voices(example)
        else:
            out = self._restored(example)
        if out.shape != example.clean.shape:
            raise ModelError(f"{self.model}: gives {len(out)} outputs where {len(example.clean)} are judged")
        return out

    def _takes_whole(self, example: Example) -> bool:
        """Whether the network itself can be given the example, as in training: no chunks, its own rate."""
        network = self.network
        return (
            network is not None
            and example.recipe.get("epoch") is not None  # of a cache, so a few seconds
            and network.sample_rate == example.sample_rate
            and network.n_channels == len(example.degraded)
            and not network.after.order  # else it is judged as it restores
        )

    def _restored(self, example: Example) -> NDArray:
        rate = example.sample_rate
        if rate not in self._stages:
            self._stages[rate] = find_model(self.model).stages(rate)
        wide = checked_samples(example.degraded, rate)
        parts = [output for _, output in restored([wide], self._stages[rate], sample_rate=rate)]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _voices(self, example: Example) -> NDArray:
        self._separator = self._separator or open_separator(self.model)
        wide = checked_samples(example.degraded.mean(axis=0, keepdims=True), example.sample_rate)
        parts = [voices for _, voices in separate_blocks([wide], self._separator, sample_rate=example.sample_rate)]
        return np.concatenate(parts, axis=-1)[:, 0].astype(np.float32)


def found(model: str) -> str:
    """Return a model's path or name, after a look whether there is one.  Raises `ModelError`."""
    if model in (*RESTORES, SEPARATES, REPAIRS) or (model.endswith(".onnx") and os.path.exists(model)):
        return model
    if not os.path.exists(model) and not _is_preset(model):
        find_model(model)  # whose error names what can be restored with
    with train_extra():
        from resound.checkpoint import found_model, model_folder
    path = found_model(model)
    model_folder(path)  # a run without a checkpoint says so here, before there is much to do
    return str(path)


def check_fits(model: str, n_sources: int) -> None:
    """Raise `ModelError` for a model that can be loaded by none, or not for this: before all files say the same."""
    if n_sources == 1:
        find_model(model)
    elif model in RESTORES:
        raise ModelError(f"{model}: separates no voices; give {SEPARATES} or another network that does, or one --clean")
    else:
        n_voices = open_separator(model).n_sources
        if n_voices != n_sources:
            raise ModelError(f"{model}: gives {n_voices} voices, the references are {n_sources}")


def _is_preset(name: str) -> bool:
    if Path(name).suffix or os.sep in name:
        return False
    try:
        from resound.models.presets import preset_names
    except ModuleNotFoundError:  # without torch there are none
        return False
    return name in preset_names()
