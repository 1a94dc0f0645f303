"""Gives a voice back what a denoiser took: a network that hears the denoised sound and, beside it, what came in.

::

    recording ─┬─ stages of a model ─ denoised ─┬─ network ── repaired
               └────────────────────────────────┘

It invents: what it puts in is likely to have been there, and was not heard.  The sidecar says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np

from resound.errors import ModelError
from resound.inference.offline import Samples, StageReport, Timeline, restore_blocks
from resound.inference.whole_network import WholeNetwork, open_network
from resound.shipped import is_shipped


class Repairer:
    """A network of two channels in and one out, for recordings of any number of channels.

    A restorer (see `resound.inference.offline`) of ``(2 · channel, time)``: all denoised channels, then all noisy ones,
    of which the latter come out as they are.
    """

    def __init__(self, network: WholeNetwork, told: str) -> None:
        """Take a network; ``told`` is how people call it.  Raises `ModelError` if it is none that repairs."""
        self._network = network
        self.name, self.weights_md5 = network.name, network.weights_md5
        self.sample_rate, self.grid, self.context = network.sample_rate, network.grid, network.context
        self.packages = network.packages
        if (network.n_channels, network.n_sources) != (2, 1):
            raise repairs_nothing(told)

    def process(self, block: Samples) -> Samples:
        """Return the block with its first half repaired."""
        if not block.size:
            return block
        denoised, noisy = np.split(block, 2)
        pairs = np.stack([denoised, noisy], axis=1).astype(np.float32)  # (channel, 2, time)
        repaired = [self._network.run(pair[None])[0, :1].astype(np.float64) for pair in pairs]
        return np.concatenate([*repaired, noisy])


def open_repairer(model: str | os.PathLike[str]) -> Repairer:
    """Return what repairs: the folder of a network or of its training's run, which needs torch, or an ``.onnx``.

    Raises `ModelError`.
    """
    word = os.fspath(model)
    if is_shipped(word):
        raise repairs_nothing(word)
    return Repairer(open_network(word), word)


def repairs_nothing(told: str) -> ModelError:
    """Return the error of a network that takes or gives something else."""
    return ModelError(
        f"{told}: repairs nothing; give a network that takes a denoiser's output and the noisy sound and gives one, as "
        "'resound train timbre' makes"
    )


def repaired(
    blocks: Iterable[Samples], heard: Timeline, repairer: Repairer, *, sample_rate: int, report: StageReport
) -> Iterator[Samples]:
    """Yield denoised blocks ``(channel, time)`` repaired; ``heard`` has what came in at the same positions."""

    def stacked() -> Iterator[Samples]:
        position = 0
        for block in blocks:
            report.energy_in += float(np.sum(np.square(block)))
            yield np.concatenate([block, heard.between(position, position + block.shape[1])])
            position += block.shape[1]

    both = StageReport(repairer.name)
    for block in restore_blocks(stacked(), repairer, sample_rate=sample_rate, report=both):
        report.energy_removed = both.energy_removed  # of the noisy half nothing is
        yield block[: len(block) // 2]
    report.energy_removed = both.energy_removed
