"""A causal network of ours as a frame maker, run by torch: needs the extra `train`; exported, it runs without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from resound.errors import ModelError, train_extra
from resound.inference.frames import Frame, FrameStream
from resound.inference.graph_file import frame_of


class NetworkFrames:
    """The network in a model's folder.  A frame maker: see `resound.inference.frames`."""

    def __init__(self, folder: Path) -> None:
        """Load the network.  Raises `ModelError` where it is damaged, or cannot stream."""
        with train_extra():
            from resound.checkpoint import load_model, model_folder, read_about, stepper

        folder = model_folder(folder)
        self._network, told = load_model(folder), read_about(folder)
        if not self._network.is_causal:
            raise ModelError(f"{folder}: cannot stream, for {self._network.looks_ahead}; give a causal network")
        self._stepper = stepper
        self.name, self.sample_rate = str(told.get("title", told["name"])), self._network.sample_rate
        self.n_channels, self.n_sources = self._network.config.n_channels, self._network.n_sources
        self.frame_samples = frame_of(self.sample_rate, self._network.grid_samples)
        self.latency_samples = self._network.latency_samples

    def begin(self) -> FrameStream:
        """Return a stream before its first frame."""
        return _NetworkStream(self._stepper(self._network))


class _NetworkStream:
    def __init__(self, step: Any) -> None:
        self._step = step

    def step(self, frame: Frame) -> Frame:
        """Return ``(source, frame_samples)`` for ``(channel, frame_samples)``."""
        return np.asarray(self._step(frame[None]))[0]
