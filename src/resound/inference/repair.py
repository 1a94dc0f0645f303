"""Gives a voice back what a denoiser took: a network that hears the denoised sound and, beside it, what came in.

::

    recording ─┬─ stages of a model ─ denoised ─┬─ network ── repaired
               └────────────────────────────────┘

What it gives back is likely to have been in the voice; it may be noise that sounds like it.  So the sidecar says that
a network took part which makes what is likely (``is_generative``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.errors import ConfigError, ModelError, one_line
from resound.inference.frames import GraphFrames
from resound.inference.frames_restorer import AT_ONCE_SECONDS
from resound.inference.graph_file import GraphFile
from resound.inference.offline import Samples, StageReport, Timeline, checked_samples, restore_blocks
from resound.inference.onnx import OnnxNetwork
from resound.inference.whole_network import WholeNetwork, open_network
from resound.shipped import REPAIRS, file_of, is_shipped


class NetworkRepairer:
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


class FramesRepairer:
    """The same by a streaming form: a recording is one stream, from its beginning to its end."""

    packages = ()  # what it runs on beside the core

    def __init__(self, file: GraphFile, told: str) -> None:
        """Take an opened file; ``told`` is how people call it.  Raises `ModelError` if it is none that repairs."""
        self._frames = GraphFrames(file, at_once_seconds=AT_ONCE_SECONDS)
        if (self._frames.n_channels, self._frames.n_sources) != (2, 1):
            raise repairs_nothing(told)
        self.name, self.sample_rate, self.weights_md5 = file.name, file.sample_rate, file.md5()
        self.grid, self.context = self._frames.frame_samples, file.whole("context_samples", least=0)

    def follow(self, n_channels: int, sample_rate: int) -> _Pairs:
        """Return what follows a recording of half as many channels."""
        return _Pairs(self._frames, n_channels // 2, sample_rate)

    def process(self, block: Samples) -> Samples:
        """Return the block with its first half repaired, as a recording of its own."""
        if not block.size:
            return block
        pairs = self.follow(len(block), self.sample_rate)
        repaired = np.concatenate([pairs.process(block), pairs.flush()], axis=1)[:, pairs.latency_samples :]
        if pairs.n_restarts:
            raise ModelError(f"model {self.name!r} gave samples that are not finite; use another one")
        return repaired


class _Pairs:
    """A stream for each channel of a recording.  A follower: see `resound.inference.offline`."""

    def __init__(self, frames: GraphFrames, n_channels: int, sample_rate: int) -> None:
        from resound.inference.streaming import Stream  # which imports what imports this

        self._streams = [Stream(frames, sample_rate=sample_rate, channels=2, whole=True) for _ in range(n_channels)]
        self.latency_samples = self._streams[0].latency_samples
        self._noisy = np.zeros((n_channels, self.latency_samples))  # what comes out late with the other half

    @property
    def n_restarts(self) -> int:
        """Times that a network lost itself and began anew."""
        return sum(stream.n_restarts for stream in self._streams)

    def process(self, block: Samples) -> Samples:
        """Return as many samples as came in, ``(2 · channel, time)``."""
        denoised, noisy = np.split(block, 2)
        pairs = zip(self._streams, denoised, noisy, strict=True)
        repaired = [stream.process(np.stack([one, other])) for stream, one, other in pairs]
        late, self._noisy = np.split(np.concatenate([self._noisy, noisy], axis=1), [block.shape[1]], axis=1)
        return np.concatenate([*repaired, late])

    def flush(self) -> Samples:
        """Return the last `latency_samples`."""
        return np.concatenate([*(stream.flush() for stream in self._streams), self._noisy])


Repairer = NetworkRepairer | FramesRepairer


def open_repairer(model: str | os.PathLike[str]) -> Repairer:
    """Return what repairs: ``timbre``, which ships, an ``.onnx``, or the folder of a network or of its training's run.

    A folder needs torch.  Raises `ModelError`.
    """
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"{one_line(model)}: is no model; give {REPAIRS}, or a path")
    word = os.fspath(model)
    if is_shipped(word):
        if word != REPAIRS:
            raise repairs_nothing(word)
        return FramesRepairer(GraphFile(file_of(word)), word)
    if word.lower().endswith(".onnx"):
        file = GraphFile(Path(word))
        return FramesRepairer(file, word) if file.is_streaming else NetworkRepairer(OnnxNetwork(file), word)
    return NetworkRepairer(open_network(word, (REPAIRS,)), word)


def repairs_others(told: str | os.PathLike[str]) -> ModelError:
    """Return the error of a network that repairs, where one is wanted that restores by itself."""
    return ModelError(
        f"{told}: repairs what another model makes; use it with 'resound restore --model voice --then {told}'"
    )


def repairs_nothing(told: str) -> ModelError:
    """Return the error of a network that takes or gives something else."""
    return ModelError(
        f"{told}: repairs nothing; give {REPAIRS}, or a network that takes a denoiser's output and the noisy sound and "
        "gives one, as 'resound train timbre' makes"
    )


def repair(denoised: NDArray, noisy: NDArray, sample_rate: int, model: str | os.PathLike[str] = REPAIRS) -> NDArray:
    """Return what any denoiser made with the voice given back that it took; of the shape and type of ``denoised``.

    Both are ``(time,)`` or ``(channel, time)``, float32 or float64, of the same moments: a denoiser's delay is to be
    taken out before.  Raises `ConfigError` for arrays that do not fit, `ModelError` for a network that repairs nothing.
    """
    sides = [checked_samples(side, sample_rate) for side in (denoised, noisy)]
    if sides[0].shape != sides[1].shape:
        raise ConfigError(
            f"denoised has shape {np.shape(denoised)}, noisy {np.shape(noisy)}; give both sides of one recording"
        )
    repairer = open_repairer(model)
    if not sides[0].size:
        return np.array(denoised)
    blocks = restore_blocks([np.concatenate(sides)], repairer, sample_rate=int(sample_rate))
    made = np.concatenate([block[: len(sides[0])] for block in blocks], axis=1)
    return made.reshape(np.shape(denoised)).astype(np.asarray(denoised).dtype)


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
