"""A network exported to ONNX, run by onnxruntime on whole recordings: no training framework needed.

The graph maps a waveform ``(batch, channel or 1, time)`` to ``(batch, source, time)`` of the same length, float32.
The file's own metadata says how to run it: ``sample_rate`` (Hz), ``context_samples`` (what it wants to see on both
sides, at its rate), ``latency_samples`` (its delay, removed here; default 0), ``grid_samples`` (its frames; default 1),
``n_sources`` (default 1: what comes out are the channels of one sound) and ``name``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError
from resound.inference.graph_file import GraphFile


class OnnxNetwork:
    """An ONNX graph, ready to run on arrays; what it says of itself is what `LoadedNetwork` says of a folder."""

    packages = ()  # what it runs on beside the core

    def __init__(self, file: GraphFile) -> None:
        """Take an opened file.  Raises `ModelError` if it is not of the contract above."""
        self.session = file.session
        self.name, self.sample_rate, self.after = file.name, file.sample_rate, file.after
        self.context = file.whole("context_samples", least=0)
        self.grid = file.whole("grid_samples", least=1, default=1)
        self.n_sources = file.whole("n_sources", least=1, default=1)
        self.weights_md5 = file.md5()
        self._latency = file.whole("latency_samples", least=0, default=0)
        self._check_contract(file)

    def run(self, waveform: NDArray) -> NDArray:
        """Return ``(batch, source, time)`` for ``(batch, channel, time)``, float32, its delay taken out."""
        fed = np.pad(waveform, ((0, 0), (0, 0), (0, self._latency))).astype(np.float32)
        try:
            output = np.asarray(self.session.run(self._outputs[:1], {self._input: fed})[0])
        except Exception as error:  # onnxruntime raises a family of its own without a common root
            reason = " ".join(str(error).split())[:160]
            raise ModelError(
                f"model {self.name!r} fails on shape {fed.shape} ({reason}); export it for any length of time"
            ) from None
        if output.ndim != 3 or output.shape[-1] != fed.shape[-1]:
            raise ModelError(
                f"model {self.name!r} gave shape {output.shape} for {fed.shape}; it must keep (batch, source, time)"
            )
        if self.n_sources > 1 and output.shape[1] != self.n_sources:
            raise ModelError(
                f"model {self.name!r} gave {output.shape[1]} sources where its metadata says {self.n_sources}; export "
                "it again"
            )
        if not np.isfinite(output).all():
            raise ModelError(f"model {self.name!r} gave samples that are not finite; use another one")
        return output[..., self._latency :]

    def _check_contract(self, file: GraphFile) -> None:
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 3 or inputs[0].type != "tensor(float)":
            shapes = [one.shape for one in inputs]
            raise ModelError(
                f"{file.path}: takes {shapes}, not one float (batch, channel, time); export the offline form"
            )
        self._input = inputs[0].name
        self._outputs = [output.name for output in outputs]
        n_channels = inputs[0].shape[1]
        self.n_channels = n_channels if isinstance(n_channels, int) else None


class OnnxRestorer:
    """Restores with the first source of an ONNX graph.  A restorer: see `resound.inference.offline`."""

    repairs_others = False  # of two channels and one source: it cannot be told from one that restores stereo

    def __init__(self, file: GraphFile | Path) -> None:
        """Load the graph.  Raises `ModelError` if it is missing, damaged, not of the contract above, or separates."""
        file = GraphFile(file) if isinstance(file, Path) else file
        self._network = network = OnnxNetwork(file)
        self.name, self.sample_rate, self.after = network.name, network.sample_rate, network.after
        self.context, self.grid, self.weights_md5 = network.context, network.grid, network.weights_md5
        if network.n_sources > 1 and network.n_channels == 1:
            raise ModelError(f"{file.path}: gives {network.n_sources} voices; use it with 'resound separate'")

    def process(self, block: NDArray) -> NDArray:
        """Return the block restored, ``(channel, time)`` -> ``(channel, time)``.

        A mono graph runs on the channels one by one, a wider one takes all at once.
        """
        if not block.size:
            return block
        n_channels, run = self._network.n_channels, self._network.run
        if n_channels == 1:
            restored = np.concatenate([run(channel[None, None])[:, :1] for channel in block], axis=1)
        elif n_channels in (len(block), None):
            restored = run(block[None])
        else:
            raise ModelError(
                f"model {self.name!r} takes {n_channels} channels, the recording has {len(block)}; "
                "use a mono model, which runs on each channel"
            )
        if restored.shape[1] < len(block):
            raise ModelError(
                f"model {self.name!r} gave {restored.shape[1]} channels for {len(block)}; use one that keeps them"
            )
        return restored[0, : len(block)].astype(block.dtype)
