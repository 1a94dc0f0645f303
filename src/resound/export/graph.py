"""A network as an ONNX graph: for whole recordings of any length, or for one frame of a stream and its state.

    offline:    waveform (1, channel, time)                    -> sound (1, source, time)
    streaming:  frame (1, channel, frame), state_A, state_B .. -> sound (1, source, frame), next_A, next_B ..

A stream's frames have one length, or any that is a multiple of it.

What the graph is is the network's own `process` or `step`; nothing is written a second time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as trees

from resound.errors import ModelError, one_line
from resound.export.recurrent import OPSET, with_onnx_nodes
from resound.inference.graph_file import StateTensor
from resound.models.network import Network

if TYPE_CHECKING:
    import onnx

EXAMPLE_SECONDS = 1.5  # more than a chunk of any network's own: what there is one of, torch takes for a constant


def offline_graph(network: Network) -> onnx.ModelProto:
    """Return the graph of a network for whole recordings.  Raises `ModelError` where torch cannot make one."""
    network = network.eval()
    example = torch.zeros(1, network.config.n_channels, round(EXAMPLE_SECONDS * network.sample_rate))
    return _exported(network, (example,), ["waveform"], ["sound"], {2: torch.export.Dim.DYNAMIC})


def streaming_graph(
    network: Network, frame_samples: int, *, is_any_length: bool = False
) -> tuple[onnx.ModelProto, list[StateTensor]]:
    """Return the graph of one frame of a causal network, or of any multiple of it, and its state.

    Raises `ModelError`.
    """
    network = network.eval()
    check_streams(network, frame_samples)
    states, step, leaves = _state_of(network)
    names = ["frame", *(state.name for state in states)], ["sound", *(state.next_name for state in states)]
    n_frames, axes = 1, {}
    if is_any_length:
        n_frames = math.ceil(EXAMPLE_SECONDS * network.sample_rate / frame_samples)
        axes = {2: frame_samples * torch.export.Dim("frames", min=1)}
    frame = torch.zeros(1, network.config.n_channels, frame_samples * n_frames)
    return _exported(step, (frame, *leaves), *names, axes), states


def check_streams(network: Network, frame_samples: int) -> None:
    """Raise `ModelError` for a network that cannot stream, and for a frame that is no whole number of its hops."""
    name = type(network).__name__
    if not network.is_causal:
        raise ModelError(
            f"{name}: cannot stream, for {network.looks_ahead}; export it with --offline, or train a causal one"
        )
    hop = network.grid_samples
    if frame_samples < hop or frame_samples % hop:
        raise ModelError(
            f"{name}: a frame of {frame_samples} samples is no whole number of its hops of {hop}; give {hop}, or a "
            "multiple"
        )


class _Step(nn.Module):
    """`Network.step` with its state as a list of tensors."""

    def __init__(self, network: Network, spec: Any, fixed: dict[int, Tensor]) -> None:
        super().__init__()
        self.network: Any = network  # one that is causal has `step`
        self.spec, self.fixed = spec, fixed

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the sound and the state after it, but for what stays as it is."""
        leaves, given = [], iter(state)
        for index in range(self.spec.num_leaves):
            leaves.append(self.fixed[index] if index in self.fixed else next(given))
        sound, following = self.network.step(frame, trees.tree_unflatten(leaves, self.spec))
        after, spec = trees.tree_flatten(following)
        if spec != self.spec:  # a graph would mix them up
            raise ModelError(f"{type(self.network).__name__}: its state changes its form from frame to frame")
        return sound, *(leaf for index, leaf in enumerate(after) if index not in self.fixed)


def _state_of(network: Network) -> tuple[list[StateTensor], _Step, list[Tensor]]:
    """Return the tensors of a network's state, a module that takes them one by one, and their first values."""
    causal: Any = network  # and has `init_state`
    with torch.no_grad():
        state = causal.init_state(1)
        frame = torch.zeros(1, network.config.n_channels, network.grid_samples)
        after = trees.tree_leaves(causal.step(frame, state)[1])
        found, spec = trees.tree_flatten_with_path(state)
    # What has no elements, or is handed on as it is, is no state.
    fixed = {index: leaf for index, (_, leaf) in enumerate(found) if not leaf.numel() or leaf is after[index]}
    states, leaves = [], []
    for index, (path, leaf) in enumerate(found):
        if index in fixed:
            continue
        name = "_".join(str(getattr(key, "key", getattr(key, "idx", ""))) for key in path)
        fill = leaf.flatten()[0]
        if bool((leaf != fill).any()):
            raise ModelError(f"{type(network).__name__}: its state {name!r} does not begin with one value everywhere")
        states.append(
            StateTensor(
                f"state_{name}", f"next_{name}", tuple(leaf.shape), str(leaf.dtype)[len("torch.") :], float(fill)
            )
        )
        leaves.append(leaf)
    return states, _Step(network, spec, fixed), leaves


def _exported(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    free_axes: dict[int, Any],  # of the first input
) -> onnx.ModelProto:
    import onnx_ir
    import onnxscript.optimizer

    # The tensors of a state are one argument to torch, as in `_Step.forward`, and of fixed sizes.
    others: tuple[Any, ...] = (tuple({} for _ in example[1:]),) if len(example) > 1 else ()
    lengths = (free_axes, *others) if free_axes else None
    try:
        with silence(), torch.no_grad():
            program = torch.onnx.export(
                with_onnx_nodes(module),
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=lengths,
                verbose=False,
                # Its rules take a constant of less than 1e-8 for a zero: x + 1e-9, which keeps a logarithm or a power
                # from infinity, becomes x.
                optimize=False,
            )
            assert program is not None
            onnxscript.optimizer.inline(program.model)
            onnxscript.optimizer.fold_constants(program.model)
            onnxscript.optimizer.remove_unused_nodes(program.model)
            return onnx_ir.to_proto(program.model)
    except ModelError:
        raise
    except Exception as error:  # torch's exporter raises whatever its passes do
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ModelError(
            f"{type(module).__name__}: torch cannot make a graph of it ({one_line(str(cause))[:200]}); this is a fault "
            "of the network, please report it"
        ) from None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep the libraries from telling of their progress, and of what they would like to be told."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
