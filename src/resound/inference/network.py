"""A network of ours (`resound.checkpoint`) as a restorer, run by torch: needs the extra `train`.

Each chunk is given with context on both sides: as far as the network's receptive field reaches, so that the parts of a
convolutional network are those of the whole (chunks begin on its grid of frames, too).  Where it is unlimited
(recurrent, or a norm over the whole input) `CONTEXT_SECONDS` must do, after which a network has settled, and where it
is enormous `MOST_CONTEXT_SECONDS`: of a deep U-Net the far ends count for next to nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.classic.chain import chain_before
from resound.errors import ModelError, counted, one_line, train_extra

CONTEXT_SECONDS = 2.0
MOST_CONTEXT_SECONDS = 5.0


class LoadedNetwork:
    """A network from a model's folder, ready to run on arrays."""

    packages = ("torch",)  # what it runs on beside the core

    def __init__(self, folder: Path) -> None:
        """Load the network.  Raises `ModelError` if it is damaged, or no network."""
        with train_extra():
            from resound.checkpoint import WEIGHTS, load_model, model_folder, read_about, run_network

        folder = model_folder(folder)
        told = read_about(folder)
        self._network, self._run = load_model(folder), run_network
        self.folder = folder
        self.name = str(told.get("title", told["name"]))
        self.after = chain_before(told.get("after"), folder)
        self.sample_rate, self.n_sources = self._network.sample_rate, self._network.n_sources
        self.n_channels = self._network.config.n_channels
        self.grid = self._network.grid_samples
        self.context = context_of(self._network)
        self.weights_md5 = hashlib.md5((folder / WEIGHTS).read_bytes(), usedforsecurity=False).hexdigest()

    def run(self, waveform: NDArray) -> NDArray:
        """Return ``(batch, source, time)`` for ``(batch, channel, time)``, float32.  Raises `ModelError`."""
        out = self._run(self._network, waveform)
        if not np.isfinite(out).all():
            raise ModelError(f"model {one_line(self.name)!r} gave samples that are not finite; use another one")
        return out


class NetworkRestorer:
    """Restores with a network from a model's folder.  A restorer: see `resound.inference.offline`."""

    def __init__(self, folder: Path) -> None:
        """Load the network.  Raises `ModelError` if it is damaged, or no network that restores by itself."""
        self._network = network = LoadedNetwork(folder)
        self.name, self.weights_md5, self.after = network.name, network.weights_md5, network.after
        self.sample_rate, self.grid, self.context = network.sample_rate, network.grid, network.context
        self.repairs_others = (network.n_channels, network.n_sources) == (2, 1)
        if network.n_sources > 1 and network.n_sources != network.n_channels:
            raise ModelError(
                f"{folder}: gives {network.n_sources} sources for {counted(network.n_channels, 'channel')}; to restore "
                "takes a network that gives one, and 'resound separate' those that give several"
            )

    def process(self, block: NDArray) -> NDArray:
        """Return the block restored, ``(channel, time)`` -> ``(channel, time)``.

        A mono network runs on the channels one by one, a wider one takes all at once.
        """
        if not block.size:
            return block
        fed = block.astype(np.float32)
        if self._network.n_channels == 1:
            restored = np.concatenate([self._network.run(channel[None, None])[0] for channel in fed])
        elif self._network.n_channels == len(fed):
            restored = self._network.run(fed[None])[0]
        else:
            raise ModelError(
                f"model {one_line(self.name)!r} takes {self._network.n_channels} channels, the recording has "
                f"{len(fed)}; use a mono model, which runs on each channel"
            )
        if len(restored) != len(block):
            raise ModelError(
                f"model {one_line(self.name)!r} gave {len(restored)} channels for {len(block)}; use one that keeps them"
            )
        return restored.astype(block.dtype)


def context_of(network: Any) -> int:
    """Return how many samples a network wants to see on both sides."""
    reach = network.receptive_field_samples
    if reach is None:
        return round(CONTEXT_SECONDS * network.sample_rate)
    if not network.is_causal:
        reach = reach // 2 + 2 * network.grid_samples  # half on each side, but for where a sample lies in its frame
    return min(reach, round(MOST_CONTEXT_SECONDS * network.sample_rate))
