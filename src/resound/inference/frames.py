"""What makes a stream's next frame: a graph with its state, run by onnxruntime without a copy of the state.

The state of a frame lies in one of two sets of buffers; the graph reads one and writes the other, and the next frame
does it the other way round.  One frame allocates nothing here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError, one_line
from resound.inference.graph_file import TYPES, GraphFile

Frame = NDArray[Any]  # float32


class FrameMaker(Protocol):
    """Anything that restores sound frame by frame."""

    name: str
    sample_rate: int
    n_channels: int  # of a frame in
    n_sources: int  # of a frame out
    frame_samples: int
    latency_samples: int  # by how much what comes out is late

    def begin(self) -> FrameStream:
        """Return a stream before its first frame; several may be under way at once."""
        ...


class FrameStream(Protocol):
    """One stream under way."""

    def step(self, frame: Frame) -> Frame:
        """Return ``(source, frame_samples)`` for ``(channel, frame_samples)``; valid until the next call."""
        ...


class GraphFrames:
    """The streaming form of an exported network.  A frame maker."""

    def __init__(self, file: GraphFile | Path, *, at_once_seconds: float = 0.0) -> None:
        """Open the file.  Raises `ModelError` where it is none, or of another form.

        A file whose frames may be of any length makes frames of about ``at_once_seconds``: less work for a second of
        sound, and more delay.
        """
        self.file = file = GraphFile(file) if isinstance(file, Path) else file
        path = file.path
        if not file.is_streaming:
            raise ModelError(
                f"{path}: is for whole recordings; to stream, export the network with --streaming (causal ones can)"
            )
        self.name, self.sample_rate = file.name, file.sample_rate
        self.frame_samples = file.whole("frame_samples", least=1)  # the shortest, where any multiple is taken
        self.latency_samples = file.whole("latency_samples", least=0)
        self.n_channels, self.n_sources = file.whole("n_channels", least=1), file.whole("n_sources", least=1)
        self.states = file.states()
        ends = file.session.get_inputs()[0], file.session.get_outputs()[0]
        sizes = [tuple(one.shape) for one in ends]
        is_any_length = all(len(size) == 3 and isinstance(size[2], str) for size in sizes)
        if is_any_length:
            sizes = [(*size[:2], self.frame_samples) for size in sizes]
        if sizes != [(1, n, self.frame_samples) for n in (self.n_channels, self.n_sources)]:
            raise ModelError(
                f"{path}: its frames are {sizes[0]} in and {sizes[1]} out, not what its metadata says; export it again"
            )
        if any(one.type != TYPES["float32"] for one in ends):
            raise ModelError(f"{path}: its frames are {ends[0].type} and {ends[1].type}, not float32; export it again")
        if is_any_length:
            self.frame_samples *= max(1, round(at_once_seconds * self.sample_rate / self.frame_samples))

    def begin(self) -> GraphStream:
        """Return a stream before its first frame."""
        return GraphStream(self)


class GraphStream:
    """One stream through a graph."""

    def __init__(self, frames: GraphFrames) -> None:
        from onnxruntime import OrtValue

        session, states = frames.file.session, frames.states
        self._name = frames.name
        names_in = [one.name for one in session.get_inputs()]
        names_out = [one.name for one in session.get_outputs()]
        self._frame = np.zeros((1, frames.n_channels, frames.frame_samples), np.float32)
        self._sound = np.zeros((1, frames.n_sources, frames.frame_samples), np.float32)
        # What onnxruntime is given is the memory of these arrays, which must live as long as it runs.
        self._buffers = [[state.initial() for state in states] for _ in range(2)]
        held = [[OrtValue.ortvalue_from_numpy(array) for array in buffers] for buffers in self._buffers]
        frame, sound = OrtValue.ortvalue_from_numpy(self._frame), OrtValue.ortvalue_from_numpy(self._sound)
        self._bindings = []
        for given, made in (held, held[::-1]):
            binding = session.io_binding()
            for name, value in zip(names_in, [frame, *given], strict=True):
                binding.bind_ortvalue_input(name, value)
            for name, value in zip(names_out, [sound, *made], strict=True):
                binding.bind_ortvalue_output(name, value)
            self._bindings.append(binding)
        self._held, self._session, self._turn = (held, frame, sound), session, 0

    def step(self, frame: Frame) -> Frame:
        """Return ``(source, frame_samples)`` for ``(channel, frame_samples)``; valid until the next call."""
        self._frame[0] = frame
        try:
            self._session.run_with_iobinding(self._bindings[self._turn])
        except Exception as error:  # onnxruntime's own family
            raise ModelError(
                f"model {self._name!r} fails on a frame ({one_line(str(error))[:160]}); export it again"
            ) from None
        self._turn = 1 - self._turn
        return self._sound[0]

    def state(self) -> list[NDArray]:
        """Return the state after the last frame."""
        return self._buffers[self._turn]
