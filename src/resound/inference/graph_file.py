"""An ONNX file and what it says of itself: the form it has, its rate, its delay, its state.

The keys are listed in `resound.export.facts`.  Older files, and those of others, need no more than ``sample_rate`` and
``context_samples`` to restore whole recordings.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.classic.chain import chain_before
from resound.errors import ModelError, one_line
from resound.shipped import SHIPPED

FRAME_SECONDS = 0.010  # of a stream, unless something else is asked for
VERSION = 1  # of what a file says of itself
TYPES = {"float32": "tensor(float)", "float64": "tensor(double)", "int64": "tensor(int64)"}  # onnxruntime's names
MOST_STATE_VALUES = 100_000_000  # more is a file that is damaged, or means harm ...
MOST_WHOLE = 100_000_000  # ... and so are larger numbers of samples, channels or hertz


@dataclass(frozen=True)
class StateTensor:
    """One tensor that a stream hands from a frame to the next."""

    name: str  # of the input
    next_name: str  # of the output
    shape: tuple[int, ...]
    type: str  # a key of `TYPES`
    fill: float  # every element before the first frame

    def initial(self) -> NDArray:
        """Return it before the first frame."""
        return np.full(self.shape, self.fill, dtype=self.type)

    def line(self) -> str:
        """Return it as a line of the file's metadata: ``state_a next_a float32 0 1x1x480``."""
        size = "x".join(map(str, self.shape)) or "scalar"
        return f"{self.name} {self.next_name} {self.type} {self.fill:.17g} {size}"

    @classmethod
    def parse(cls, line: str) -> StateTensor:
        """Return what `line` gave.  Raises `ValueError`."""
        name, next_name, kind, fill, size = line.split(" ")
        shape = () if size == "scalar" else tuple(map(int, size.split("x")))
        if kind not in TYPES or min(shape, default=1) < 1 or np.prod(shape, dtype=float) > MOST_STATE_VALUES:
            raise ValueError(line)
        value = float(fill)
        if not math.isfinite(value) or (kind == "int64" and abs(value) >= 2.0**63):
            raise ValueError(line)
        return cls(name, next_name, shape, kind, value)


def frame_of(sample_rate: int, hop: int) -> int:
    """Return the samples of a frame of about 10 ms: as many whole hops of a network as fit, and at least one."""
    return hop * max(1, round(FRAME_SECONDS * sample_rate) // hop)


class GraphFile:
    """A file that onnxruntime has opened."""

    def __init__(self, path: Path, n_threads: int = 1) -> None:
        """Open the graph.  Raises `ModelError` if it is missing, damaged, or cannot be run.

        One thread is best where files are what runs in parallel (``--jobs``).
        """
        import onnxruntime

        if not os.path.isfile(path):
            ships = str(path) == f"{path.stem}.onnx" and path.stem in SHIPPED
            hint = f" {path.stem!r} for the network that ships, or" if ships else ""
            raise ModelError(f"{path}: no such model file; give{hint} the path of an .onnx file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        if n_threads > 1:  # those that wait sleep: spinning ones take the time of whatever else runs
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        self.path = path
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a family of its own without a common root
            if "opset" in str(error):
                raise ModelError(
                    f"{path}: is of an ONNX opset that onnxruntime {onnxruntime.__version__} does not know; update "
                    "onnxruntime, or export it again"
                ) from None
            raise ModelError(
                f"{path}: is not an ONNX model that can be run ({one_line(str(error))[:120]}); export it again"
            ) from None
        self.facts = dict(self.session.get_modelmeta().custom_metadata_map)
        if self.whole("resound_onnx", least=1, default=VERSION) > VERSION:
            raise ModelError(f"{path}: was exported by a newer resound; update this one, or export it again")
        self.name = self.facts.get("name", path.stem)
        self.sample_rate = self.whole("sample_rate", least=1)
        self.after = chain_before(self.facts.get("after"), path)

    @property
    def is_streaming(self) -> bool:
        """Whether it takes a frame and a state, and not a whole recording."""
        return self.facts.get("form") == "streaming"

    def whole(self, key: str, *, least: int, default: int | None = None) -> int:
        """Return a whole number of the metadata.  Raises `ModelError`."""
        text = self.facts.get(key, None if default is None else str(default))
        is_whole = text is not None and text.isascii() and text.isdigit() and len(text) <= len(str(MOST_WHOLE))
        if text is None or not is_whole or not least <= int(text) <= MOST_WHOLE:
            told = repr(text if text is None else text[:40])
            raise ModelError(
                f"{self.path}: its metadata {key!r} is {told}; export it with a whole number from {least} to "
                f"{MOST_WHOLE}"
            )
        return int(text)

    def states(self) -> list[StateTensor]:
        """Return the tensors of a stream's state.  Raises `ModelError` where graph and metadata disagree."""
        try:
            states = [StateTensor.parse(line) for line in self.facts["states"].splitlines()]
        except (KeyError, ValueError):
            raise ModelError(f"{self.path}: its metadata 'states' cannot be read; export it again") from None
        inputs, outputs = _signature(self.session.get_inputs()), _signature(self.session.get_outputs())
        if not inputs or not outputs:
            raise ModelError(f"{self.path}: has no inputs or outputs; export it again")
        told = (
            [(state.name, TYPES[state.type], state.shape) for state in states],
            [(state.next_name, TYPES[state.type], state.shape) for state in states],
        )
        if (inputs[1:], outputs[1:]) != told:
            raise ModelError(f"{self.path}: its metadata 'states' is not of this graph; export it again")
        return states

    def md5(self) -> str:
        """Return what identifies the file."""
        return hashlib.md5(self.path.read_bytes(), usedforsecurity=False).hexdigest()


def _signature(tensors: Sequence[Any]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(tensor.name, tensor.type, tuple(tensor.shape)) for tensor in tensors]
