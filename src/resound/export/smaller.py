"""Weights in fewer bits, each with what it costs in sound: offered where the file is smaller or faster, else not.

``float16``: weights are stored in half the bytes and widened when the file is loaded; it computes as before.
``int8``: weights of matrix products in a quarter of the bytes, scaled for each output; products are of whole numbers
(onnxruntime's dynamic quantisation).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from resound.errors import ModelError, one_line
from resound.export.graph import silence
from resound.export.verify import test_sounds
from resound.inference.frames import GraphFrames
from resound.inference.graph_file import GraphFile
from resound.metrics import si_sdr

if TYPE_CHECKING:
    import onnx

Weights = Literal["float32", "float16", "int8"]
LEAST_VALUES = 256  # of a tensor that is worth it


def with_weights(model: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    """Return a graph whose weights are stored so."""
    if weights == "float16":
        return _halved(model)
    return _in_bytes(model) if weights == "int8" else model


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with large float32 constants as float16, widened by a node that runs once, on loading."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    casts = []
    for tensor in smaller.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LEAST_VALUES:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *smaller.graph.node]
    del smaller.graph.node[:]
    smaller.graph.node.extend(nodes)
    return smaller


def _in_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        try:
            with silence():
                quantize_dynamic(before, after, weight_type=QuantType.QInt8, per_channel=True)
        except Exception as error:  # assertions of onnxruntime's, on networks that it does not know how to
            why = f" ({one_line(str(error))})" if str(error) else ""
            raise ModelError(
                f"weights int8: onnxruntime cannot store this network so{why}; give float16, or leave it out"
            ) from None
        return onnx.load(after)


def quality_db(path: Path, exact: Path) -> float:
    """Return the SI-SDR in dB of what a file makes of the test sounds, against what the exact one makes of them."""
    ours, theirs = _output(path), _output(exact)
    return float(np.mean(si_sdr(ours.astype(np.float64), theirs.astype(np.float64))))


def _output(path: Path) -> np.ndarray:
    """Return ``(source, time)`` of all test sounds in a row."""
    file = GraphFile(path)
    sound = np.concatenate(list(test_sounds(file.sample_rate, file.whole("n_channels", least=1)).values()), axis=1)
    if not file.is_streaming:
        try:
            return np.asarray(file.session.run(None, {file.session.get_inputs()[0].name: sound[None]})[0][0])
        except Exception as error:  # onnxruntime's own family
            raise ModelError(f"{path}: fails ({' '.join(str(error).split())[:160]})") from None
    frames = GraphFrames(path)
    stream, size = frames.begin(), frames.frame_samples
    starts = range(0, sound.shape[1] - size + 1, size)
    return np.concatenate([stream.step(sound[:, start : start + size]).copy() for start in starts], axis=1)
