"""One network, one file: made, held against the network, and only then left where it was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resound.audio.atomic import atomic_file
from resound.audio.segments import read_excerpt
from resound.checkpoint import load_model, model_folder, read_about
from resound.errors import ConfigError, ModelError
from resound.export.facts import facts_of_graph
from resound.export.graph import check_streams, offline_graph, streaming_graph
from resound.export.smaller import Weights, quality_db, with_weights
from resound.export.verify import MOST_ERROR, Agreement, Sound, verify
from resound.inference.frames import GraphFrames
from resound.inference.graph_file import frame_of
from resound.inference.timing import Timing, time_file
from resound.models.network import Network

if TYPE_CHECKING:
    import onnx

RECORDING_SECONDS = 10.0
SEVERAL_SECONDS = (0.2, 2.0)  # of frames that may be of any length: tried, once each
LEAST_GAIN = 0.99  # what a file with fewer bits may have of the size of the whole one
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """What was made."""

    path: Path
    form: str
    size_mb: float
    frame_samples: int | None  # of a stream
    is_any_length: bool  # any multiple of it
    latency_samples: int
    sample_rate: int
    agreement: Agreement | None
    timing: Timing | None
    quality_db: float | None = None  # of fewer bits: SI-SDR against float32


def export(
    model: Path,
    output: Path,
    *,
    is_streaming: bool | None = None,
    frame_samples: int | None = None,
    is_any_length: bool = False,
    weights: Weights = "float32",
    is_verified: bool = True,
    is_timed: bool = False,
    recording: Path | None = None,
    overwrite: bool = False,
    tell: Tell = lambda line: None,
) -> Exported:
    """Write a model's network as ONNX; ``is_streaming`` None takes the streaming form where the network can.

    ``is_any_length``: a stream's frames may be of any multiple of ``frame_samples``.

    The first seconds of ``recording`` are compared as well.  Nothing is left where a check fails.  Raises
    `ModelError`, `ConfigError`, `InputError`, `OutputError`.
    """
    if recording is not None and not is_verified:
        raise ConfigError("a recording is to compare on, and nothing is compared; leave --with or --no-verify out")
    folder = model_folder(model)
    network, told = load_model(folder), read_about(folder)
    is_streaming = network.is_causal if is_streaming is None else is_streaming
    if not is_streaming and (is_any_length or frame_samples is not None):
        option = "--any-length" if is_any_length else "--frame-samples"
        raise ConfigError(f"frames are of the streaming form; give --streaming, or leave {option} out")
    default = frame_of(network.sample_rate, network.grid_samples)
    frame = default if frame_samples is None else frame_samples
    if is_streaming:
        check_streams(network, frame)
    heard = _read(recording, network) if recording else None
    with atomic_file(output, overwrite=overwrite) as temporary:
        tell("making the graph")
        graph, states = (
            streaming_graph(network, frame, is_any_length=is_any_length)
            if is_streaming
            else (offline_graph(network), None)
        )
        facts = facts_of_graph(network, told, states, frame)
        made = Exported(
            output,
            facts["form"],
            _written(temporary, graph, facts, is_any_length),
            frame if is_streaming else None,
            is_any_length,
            network.latency_samples if is_streaming else 0,
            network.sample_rate,
            agreement=_verified(network, temporary, heard, tell) if is_verified else None,
            timing=time_file(temporary) if is_timed else None,
        )
        if weights != "float32":
            made = _made_smaller(made, temporary, graph, facts, weights, tell)
    return made


def _written(path: Path, graph: onnx.ModelProto, facts: dict[str, str], is_any_length: bool) -> float:
    """Write the file; return its size in MB.  Raises `ModelError` where frames of any length do not run."""
    size_mb = _write(path, graph, facts)
    if is_any_length:
        try:
            for seconds in (0.0, *SEVERAL_SECONDS):
                frames = GraphFrames(path, at_once_seconds=seconds)
                frames.begin().step(np.zeros((frames.n_channels, frames.frame_samples), np.float32))
        except ModelError:
            raise ModelError(
                f"{facts['network']}: its graph takes frames of one length; leave --any-length out"
            ) from None
    return size_mb


def _verified(network: Network, path: Path, recording: Sound | None, tell: Tell) -> Agreement:
    """Return how the file agrees with its network.  Raises `ModelError` where it does not."""
    tell("comparing it with torch")
    agreement = verify(network, path, recording)
    if not agreement.error <= MOST_ERROR:
        raise ModelError(
            f"{type(network).__name__}: the file {agreement}; more than {MOST_ERROR:g} is another network, so it was "
            "not left; please report it"
        )
    return agreement


def _read(path: Path, network: Network) -> Sound:
    """Return the first seconds of a recording, ``(channel, time)``, as the network takes it.  Raises `InputError`."""
    sound = read_excerpt(path, network.sample_rate, n_samples=round(RECORDING_SECONDS * network.sample_rate))
    fitted = [sound[channel % len(sound)] for channel in range(network.config.n_channels)]
    return np.stack(fitted).astype(np.float32)


def _made_smaller(
    exact: Exported, path: Path, graph: onnx.ModelProto, facts: dict[str, str], weights: Weights, tell: Tell
) -> Exported:
    """Put a file with weights in fewer bits in the place of an exact one.  Raises `ModelError` where nothing is won."""
    tell(f"making the weights {weights}")
    whole = path.with_name(f"{path.stem}.whole.onnx")
    os.replace(path, whole)
    try:
        size_mb = _write(path, with_weights(graph, weights), {**facts, "weights": weights})
        before = exact.timing or time_file(whole)
        after = time_file(path)
        quality = quality_db(path, whole)
    finally:
        whole.unlink()
    if size_mb > LEAST_GAIN * exact.size_mb and after.real_time_factor >= before.real_time_factor:
        raise ModelError(
            f"weights {weights} make this network neither smaller ({size_mb:.2f} MB, {exact.size_mb:.2f} before) nor "
            "faster; leave --weights out"
        )
    tell(
        f"{weights}: {exact.size_mb:.2f} MB became {size_mb:.2f}; {before.real_time_factor:.4f} x real time became "
        f"{after.real_time_factor:.4f}"
    )
    return replace(exact, size_mb=size_mb, timing=after if exact.timing else None, quality_db=quality)


def _write(path: Path, graph: onnx.ModelProto, facts: dict[str, Any]) -> float:
    """Write a graph with its metadata, and return its size in MB."""
    import onnx

    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, facts)
    graph.producer_name = "resound"
    onnx.save(graph, path)
    return path.stat().st_size / 1e6
