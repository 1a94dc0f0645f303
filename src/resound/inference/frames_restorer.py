"""A streaming form as a restorer of whole recordings, frame after frame: one file serves streams and recordings.

A recording is one stream from its beginning to its end, so that the state is carried on and there are no chunks.  It
takes a little longer than the offline form, which gives onnxruntime all frames at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError, counted
from resound.inference.frames import GraphFrames
from resound.inference.graph_file import GraphFile

if TYPE_CHECKING:
    from resound.inference.streaming import Stream  # which imports what imports this


class FramesRestorer:
    """Restores with the first source of a streaming graph.  A restorer: see `resound.inference.offline`."""

    def __init__(self, file: GraphFile) -> None:
        """Take an opened file.  Raises `ModelError` if it is not of its own description."""
        self._frames = GraphFrames(file)
        self.name, self.sample_rate = file.name, file.sample_rate
        self.context = file.whole("context_samples", least=0)
        self.grid = self._frames.frame_samples
        self.weights_md5 = file.md5()

    def follow(self, n_channels: int, sample_rate: int, max_reduction_db: float | None = None) -> Stream:
        """Return a stream for a recording.  Raises `ConfigError` for channels that the model cannot take."""
        from resound.inference.streaming import Stream

        return Stream(self._frames, sample_rate=sample_rate, channels=n_channels, max_reduction_db=max_reduction_db)

    def process(self, block: NDArray) -> NDArray:
        """Return the block restored, ``(channel, time)`` -> ``(channel, time)``."""
        width = self._frames.n_channels
        if not block.size:
            return block
        if width == 1:
            return np.concatenate([self._run(channel[None]) for channel in block]).astype(block.dtype)
        if width != len(block) or self._frames.n_sources != width:
            raise ModelError(
                f"model {self.name!r} makes {counted(self._frames.n_sources, 'channel')} of {width}, the recording has "
                f"{len(block)}; use a mono model, which runs on each channel"
            )
        return self._run(block).astype(block.dtype)

    def _run(self, block: NDArray) -> NDArray:
        """Return ``(channel, time)`` of one stream, its delay taken out."""
        size, late, n_samples = self._frames.frame_samples, self._frames.latency_samples, block.shape[1]
        n_frames = -(-(n_samples + late) // size)
        fed = np.pad(block, ((0, 0), (0, n_frames * size - n_samples))).astype(np.float32)
        stream = self._frames.begin()
        made = [
            stream.step(fed[:, start : start + size])[: len(block)].copy() for start in range(0, fed.shape[1], size)
        ]
        restored = np.concatenate(made, axis=1)[:, late : late + n_samples]
        if not np.isfinite(restored).all():
            raise ModelError(f"model {self.name!r} gave samples that are not finite; use another one")
        return restored
