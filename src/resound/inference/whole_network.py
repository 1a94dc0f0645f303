"""A network for whole recordings by its path, whichever runs it: torch a folder, onnxruntime a file."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from resound.errors import ModelError, did_you_mean, train_extra
from resound.inference.graph_file import GraphFile
from resound.inference.network import LoadedNetwork
from resound.inference.onnx import OnnxNetwork
from resound.shipped import file_of, is_shipped

WholeNetwork = LoadedNetwork | OnnxNetwork


def open_network(word: str, names: tuple[str, ...] = (), n_threads: int = 1) -> WholeNetwork:
    """Return the network of a name that ships, of an ``.onnx``, or of a folder or a training's run, which need torch.

    ``names`` are those that a caller offers, ``n_threads`` what onnxruntime uses; torch has its own.
    Raises `ModelError`.
    """
    if is_shipped(word):
        return OnnxNetwork(GraphFile(file_of(word), n_threads))
    if word.lower().endswith(".onnx"):
        file = GraphFile(Path(word), n_threads)
        if file.is_streaming:
            raise ModelError(f"{word}: is a streaming form; export it with --offline, or give the folder")
        return OnnxNetwork(file)
    hint = did_you_mean(word, names)
    if not os.path.exists(word) and (find_spec("torch") is None or hint or word in ("", "auto")):
        offered = ", ".join([*names, "an .onnx file or a network's folder"])
        raise ModelError(f"model {word!r} is not known{hint}; give {offered}")
    with train_extra():
        from resound.checkpoint import found_model
    return LoadedNetwork(found_model(word))
