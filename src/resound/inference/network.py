"""A network of ours (`resound.checkpoint`) as a restorer, run by torch: needs the extra `train`.

Each chunk is given with context on both sides: as much as the network's receptive field, and where that is unlimited
(recurrent, or a norm over the whole input) `CONTEXT_SECONDS`, after which a restorer has settled.  Chunks begin on the
network's own grid of frames, so that of a convolutional network the parts are those of the whole.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError, one_line, train_extra

CONTEXT_SECONDS = 2.0


class NetworkRestorer:
    """Restores with a network from a model's folder.  A restorer: see `resound.inference.offline`."""

    def __init__(self, folder: Path) -> None:
        """Load the network.  Raises `ModelError` if it is damaged, or no network that restores by itself."""
        with train_extra():
            from resound.checkpoint import WEIGHTS, load_model, read_about, run_network

        told = read_about(folder)
        self._network, self._run = load_model(folder), run_network
        self.name = str(told.get("title", told["name"]))
        self.sample_rate = self._network.sample_rate
        reach = self._network.receptive_field_samples
        self.context = round(CONTEXT_SECONDS * self.sample_rate) if reach is None else reach
        self.grid = self._network.grid_samples
        self.weights_md5 = hashlib.md5((folder / WEIGHTS).read_bytes(), usedforsecurity=False).hexdigest()
        self._n_channels = self._network.config.n_channels
        if told["name"] == "timbre" and self._n_channels > 1:
            raise ModelError(
                f"{folder}: gives a denoiser's output its timbre back and needs the noisy input beside it; build it "
                "with n_channels=1 to restore by itself"
            )
        if self._network.n_sources > 1 and self._network.n_sources != self._n_channels:
            raise ModelError(
                f"{folder}: gives {self._network.n_sources} sources for {self._n_channels} channels; to restore takes "
                "a network that gives one"
            )

    def process(self, block: NDArray) -> NDArray:
        """Return the block restored, ``(channel, time)`` -> ``(channel, time)``.

        A mono network runs on the channels one by one, a wider one takes all at once.
        """
        if not block.size:
            return block
        fed = block.astype(np.float32)
        if self._n_channels == 1:
            restored = np.concatenate([self._run(self._network, channel[None, None])[0] for channel in fed])
        elif self._n_channels == len(fed):
            restored = self._run(self._network, fed[None])[0]
        else:
            raise ModelError(
                f"model {one_line(self.name)!r} takes {self._n_channels} channels, the recording has {len(fed)}; use a "
                "mono model, which runs on each channel"
            )
        if len(restored) != len(block):
            raise ModelError(
                f"model {one_line(self.name)!r} gave {len(restored)} channels for {len(block)}; use one that keeps them"
            )
        if not np.isfinite(restored).all():
            raise ModelError(f"model {one_line(self.name)!r} gave samples that are not finite; use another one")
        return restored.astype(block.dtype)
