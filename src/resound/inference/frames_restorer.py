"""A streaming form as a restorer of whole recordings, frame after frame: one file serves streams and recordings.

A recording is one stream from its beginning to its end, so that the state is carried on and there are no chunks.  A
file with frames of one length takes longer than the offline form, which gives onnxruntime all frames at once; one whose
frames may be of any length gets many at a time, and does not.
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


AT_ONCE_SECONDS = 0.5  # longer frames are not faster


class FramesRestorer:
    """Restores with the first source of a streaming graph.  A restorer: see `resound.inference.offline`."""

    def __init__(self, file: GraphFile) -> None:
        """Take an opened file.  Raises `ModelError` if it is not of its own description."""
        self._frames = GraphFrames(file, at_once_seconds=AT_ONCE_SECONDS)
        self.name, self.sample_rate, self.after = file.name, file.sample_rate, file.after
        self.context = file.whole("context_samples", least=0)
        self.grid = self._frames.frame_samples
        self.weights_md5 = file.md5()
        self.repairs_others = (self._frames.n_channels, self._frames.n_sources) == (2, 1)

    def follow(self, n_channels: int, sample_rate: int, max_reduction_db: float | None = None) -> Stream:
        """Return a stream for a recording.  Raises `ConfigError` and `ModelError` for channels that do not fit."""
        from resound.inference.streaming import Stream

        stream = Stream(
            self._frames, sample_rate=sample_rate, channels=n_channels, max_reduction_db=max_reduction_db, whole=True
        )
        if stream.n_channels_out != n_channels:
            made = counted(stream.n_channels_out, "channel")
            raise ModelError(f"model {self.name!r} makes {made} of {n_channels}; to restore takes one that keeps them")
        return stream

    def process(self, block: NDArray) -> NDArray:
        """Return the block restored as a stream of its own, ``(channel, time)`` -> ``(channel, time)``."""
        if not block.size:
            return block
        stream = self.follow(len(block), self.sample_rate)
        restored = np.concatenate([stream.process(block), stream.flush()], axis=1)[:, stream.latency_samples :]
        if stream.n_restarts:
            raise ModelError(f"model {self.name!r} gave samples that are not finite; use another one")
        return restored.astype(block.dtype)
