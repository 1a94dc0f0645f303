"""A network exported to ONNX as a restorer, run by onnxruntime: no training framework needed.

The graph maps a waveform ``(batch, channel or 1, time)`` to ``(batch, source, time)`` of the same length, float32.
The file's own metadata says how to run it: ``sample_rate`` (Hz), ``context_samples`` (what it wants to see on both
sides, at its rate), ``latency_samples`` (its delay, removed here; default 0), ``grid_samples`` (its frames; default 1),
and ``name``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError
from resound.inference.graph_file import GraphFile


class OnnxRestorer:
    """Restores with the first source of an ONNX graph.  A restorer: see `resound.inference.offline`."""

    def __init__(self, file: GraphFile | Path) -> None:
        """Load the graph.  Raises `ModelError` if it is missing, damaged, or not of the contract above."""
        file = GraphFile(file) if isinstance(file, Path) else file
        self._session = file.session
        self.name, self.sample_rate, self.after = file.name, file.sample_rate, file.after
        self.context = file.whole("context_samples", least=0)
        self.latency = file.whole("latency_samples", least=0, default=0)
        self.grid = file.whole("grid_samples", least=1, default=1)
        self.weights_md5 = file.md5()
        self._check_contract(file.path)

    def process(self, block: NDArray) -> NDArray:
        """Return the block restored, ``(channel, time)`` -> ``(channel, time)``.

        A mono graph runs on the channels one by one, a wider one takes all at once.
        """
        fed = np.pad(block, ((0, 0), (0, self.latency))).astype(np.float32)
        if not block.size:
            return block
        if self._n_channels == 1:
            restored = np.concatenate([self._run(channel[None, None])[:, :1] for channel in fed], axis=1)
        elif self._n_channels in (len(fed), None):
            restored = self._run(fed[None])
        else:
            raise ModelError(
                f"model {self.name!r} takes {self._n_channels} channels, the recording has {len(fed)}; "
                "use a mono model, which runs on each channel"
            )
        if restored.shape[1] < len(block):
            raise ModelError(
                f"model {self.name!r} gave {restored.shape[1]} channels for {len(block)}; use one that keeps them"
            )
        return restored[0, : len(block), self.latency :].astype(block.dtype)

    def _run(self, waveform: NDArray) -> NDArray:
        try:
            output = np.asarray(self._session.run(self._outputs[:1], {self._input: waveform})[0])
        except Exception as error:  # as above
            reason = " ".join(str(error).split())[:160]
            raise ModelError(
                f"model {self.name!r} fails on shape {waveform.shape} ({reason}); export it for any length of time"
            ) from None
        if output.ndim != 3 or output.shape[-1] != waveform.shape[-1]:
            raise ModelError(
                f"model {self.name!r} gave shape {output.shape} for {waveform.shape}; "
                "it must keep (batch, source, time)"
            )
        if not np.isfinite(output).all():
            raise ModelError(f"model {self.name!r} gave samples that are not finite; use another one")
        return output

    def _check_contract(self, path: Path) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 3 or inputs[0].type != "tensor(float)":
            shapes = [one.shape for one in inputs]
            raise ModelError(f"{path}: takes {shapes}, not one float (batch, channel, time); export the offline form")
        self._input = inputs[0].name
        self._outputs = [output.name for output in outputs]
        n_channels = inputs[0].shape[1]
        self._n_channels = n_channels if isinstance(n_channels, int) else None
