"""Graphs by hand, where what comes out is known without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from resound.inference.graph_file import StateTensor as State

FRAME = 4  # samples
RATE = 8000
KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}


def write_root(path: Path) -> Path:
    """Write one that gives the root of the sum of all that it has heard so far at each of the places of a frame."""
    nodes = [helper.make_node("Add", ["frame", "state"], ["next"]), helper.make_node("Sqrt", ["next"], ["sound"])]
    return _write(path, nodes, [State.parse(f"state next float32 0 1x1x{FRAME}")])


def write_mixer(path: Path, mix: list[list[float]]) -> Path:
    """Write one that mixes the channels of the frame before, ``(out, in)``."""
    nodes = [helper.make_node("MatMul", ["mix", "state"], ["sound"]), helper.make_node("Identity", ["frame"], ["next"])]
    weights = np.array(mix, np.float32)
    state = State.parse(f"state next float32 0 1x{weights.shape[1]}x{FRAME}")
    return _write(path, nodes, [state], channels=weights.shape, latency=FRAME, mix=weights)


def write_counter(path: Path) -> Path:
    """Write one with states of other types: frame k comes out times (3 + k) / 2 ** (k + 1)."""
    nodes = [
        helper.make_node("Add", ["count", "one"], ["next_count"]),
        helper.make_node("Mul", ["part", "half"], ["next_part"]),
        helper.make_node("Cast", ["count"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["part"], ["parted"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["counted", "parted"], ["gain"]),
        helper.make_node("Mul", ["frame", "gain"], ["sound"]),
    ]
    states = [State.parse("count next_count int64 3 scalar"), State.parse("part next_part float64 0.5 1x1x1")]
    return _write(path, nodes, states, one=np.array(1), half=np.array(0.5))


def _write(
    path: Path,
    nodes: list,
    states: list[State],
    *,
    channels: tuple[int, ...] = (1, 1),
    latency: int = 0,
    **weights: np.ndarray,
) -> Path:
    """Write a graph from ``frame`` to ``sound``; ``channels`` out and in."""
    n_out, n_in = channels
    frame, sound = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n, FRAME])
        for name, n in (("frame", n_in), ("sound", n_out))
    )
    inputs = [helper.make_tensor_value_info(state.name, KINDS[state.type], state.shape) for state in states]
    outputs = [helper.make_tensor_value_info(state.next_name, KINDS[state.type], state.shape) for state in states]
    initial = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "by_hand", [frame, *inputs], [sound, *outputs], initializer=initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    facts = {
        "resound_onnx": 1,
        "form": "streaming",
        "name": path.stem,
        "sample_rate": RATE,
        "frame_samples": FRAME,
        "latency_samples": latency,
        "n_channels": n_in,
        "n_sources": n_out,
        "states": "\n".join(state.line() for state in states),
    }
    helper.set_model_props(model, {key: str(value) for key, value in facts.items()})
    onnx.save(model, path)
    return path


def changed(source: Path, target: Path, **facts: str | None) -> Path:
    """Copy a model with other metadata; None takes a key away."""
    model = onnx.load(source)
    told = {entry.key: entry.value for entry in model.metadata_props} | facts
    del model.metadata_props[:]
    helper.set_model_props(model, {key: value for key, value in told.items() if value is not None})
    onnx.save(model, target)
    return target


def states_of(model: Path) -> str:
    return next(entry.value for entry in onnx.load(model).metadata_props if entry.key == "states")
