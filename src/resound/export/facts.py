"""What an exported file says of itself, so that the file alone is enough to run it.

All of it is text, in the metadata of the ONNX file (``custom_metadata_map`` of onnxruntime):

===================  ==================================================================================================
``resound_onnx``     1, the version of this list
``form``             ``offline`` (whole recordings) or ``streaming`` (a frame and the state)
``name``, ``network``  the model's title, and the network's name in `resound.models.MODELS`
``sample_rate``      Hz
``n_channels``, ``n_sources``  waveforms in and out
``frame_samples``    streaming: what a call takes and gives; or any multiple of it, where the graph's axis is free
``latency_samples``  streaming: by how much the sound comes later than the input; offline: 0
``states``           streaming: a line for each tensor of the state: its input, its output, type, the value of all its
                     elements before the first frame, and its size
``context_samples``  offline: how much before and after a stretch it wants to see
``grid_samples``     offline: a shift of the input by it, or a multiple, shifts the output
``after``            the classic chain's stages that run before it to restore a recording, with their settings as JSON;
                     missing: none
``weights``          ``float32``, ``float16`` or ``int8``
``weights_sha256``   of the model that it was made from
``config``           of the network, JSON
``licence``, ``source``  of the weights
``resound``, ``torch``   versions that made it
===================  ==================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from resound.checkpoint import name_of
from resound.inference.graph_file import VERSION, StateTensor
from resound.inference.network import context_of
from resound.models.network import Network


def facts_of_graph(
    network: Network, told: dict[str, Any], states: Sequence[StateTensor] | None, frame: int
) -> dict[str, str]:
    """Return the metadata of a graph; ``told`` is the model's own ``model.json``, ``states`` None for offline."""
    facts: dict[str, Any] = {
        "resound_onnx": VERSION,
        "form": "offline" if states is None else "streaming",
        "name": told.get("title", name_of(network)),
        "network": name_of(network),
        "sample_rate": network.sample_rate,
        "n_channels": network.config.n_channels,
        "n_sources": network.n_sources,
        "latency_samples": 0 if states is None else network.latency_samples,
        "context_samples": context_of(network),
        "grid_samples": network.grid_samples,
        "weights": "float32",
        "weights_sha256": told.get("sha256", ""),
        "config": json.dumps(network.config.model_dump(mode="json")),
        "licence": told.get("licence", "not stated"),
        "source": told.get("source", "not stated"),
        "resound": version("resound"),
        "torch": torch.__version__,
    }
    if told.get("after"):
        facts["after"] = told["after"]
    if states is not None:
        facts |= {"frame_samples": frame, "states": "\n".join(state.line() for state in states)}
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in facts.items()
    }
