"""What a network costs and how it behaves: parameters, work, memory, reach, delay.

Nothing is computed for it but shapes: the network is built without values (torch's "meta" device), so that the biggest
answers in a moment.  Only `real_time_factor` runs it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from resound.models import MODELS, build
from resound.models.network import Network, n_parameters

SECONDS = 4.0  # of audio that work and memory are told for
BYTES = 4  # of a float32
ADAM_COPIES = 4  # the weights, their gradients, two moments


@dataclass(frozen=True)
class Facts:
    """The facts of one network at one configuration."""

    network: str
    sample_rate: int  # Hz
    n_channels: int
    n_sources: int
    causal: bool
    follows_level: bool  # an input twice as loud gives an output twice as loud
    parameters: int
    macs_per_second: int  # multiply-adds for a second of audio, the mean over 4 s
    receptive_field_ms: float | None  # None: unlimited
    latency_ms: float | None  # None: not causal, for recordings and not for streams
    hop_ms: float | None  # what a stream is fed a multiple of; None: does not stream
    training_memory_mb: float  # for a training step on one example of 4 s, float32, Adam

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return asdict(self)


def facts_of(name: str, config: dict[str, Any]) -> Facts:
    """Return the facts of a network by name and config.  Raises `ModelError` and `ConfigError` as `build` does."""
    network = build_without_values(name, config)
    causal, rate = network.is_causal, network.sample_rate
    hop = getattr(network, "hop_samples", None) if causal else None
    reach = network.receptive_field_samples
    return Facts(
        network=name,
        sample_rate=rate,
        n_channels=network.config.n_channels,
        n_sources=network.n_sources,
        causal=causal,
        follows_level=network.follows_level,
        parameters=n_parameters(network),
        macs_per_second=round(macs(network, round(SECONDS * rate)) / SECONDS),
        receptive_field_ms=None if reach is None else 1000 * reach / rate,
        latency_ms=1000 * network.latency_samples / rate if causal else None,
        hop_ms=None if hop is None else 1000 * hop / rate,
        training_memory_mb=training_bytes(network, round(SECONDS * rate)) / 1e6,
    )


def build_without_values(name: str, config: dict[str, Any]) -> Network:
    """Return a fresh network of shapes alone; one that cannot be built so has values."""
    try:
        with torch.device("meta"):
            return build(name, **config)
    except (NotImplementedError, RuntimeError):  # looks at the values of its weights
        return build(name, **config)


def macs(network: Network, n_samples: int) -> int:
    """Return the multiply-adds of matrix products, convolutions, recurrent layers and attention for one example."""
    with _counting() as counter, RecurrentLayersAtOnce() as recurrent, torch.no_grad():
        _run_on_shapes(network.eval(), n_samples, lambda out: None)
    return counter.get_total_flops() // 2 + recurrent.macs


def training_bytes(network: Network, n_samples: int) -> int:
    """Return the memory that a training step on one example needs.

    That is everything kept for the backward pass, each tensor once, plus weights, gradients and Adam's two moments; it
    leaves out what is needed only for a moment, and what torch itself takes.
    """
    weights = {_storage_of(tensor): 0 for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, Any] = {}  # the storages themselves: a key is free for another once its storage is gone

    def keep(tensor: Tensor) -> Tensor:
        if _storage_of(tensor) not in weights:
            kept[_storage_of(tensor)] = tensor.untyped_storage()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, RecurrentLayersAtOnce(), torch.enable_grad():
        _run_on_shapes(network.train(), n_samples, lambda out: out.square().mean())
    network.eval()
    return sum(storage.nbytes() for storage in kept.values()) + ADAM_COPIES * BYTES * n_parameters(network)


def real_time_factor(network: Network, *, seconds: float = SECONDS, rounds: int = 3) -> float:
    """Return the time that the whole of some audio takes on this machine, divided by its length; below 1 is faster."""
    x = _noise(network, round(seconds * network.sample_rate))
    return _median_seconds(lambda: network(x), rounds) / seconds


def frame_seconds(network: Network, *, rounds: int = 50) -> float | None:
    """Return the time that one streamed hop takes on this machine; None: does not stream."""
    if not network.is_causal or not hasattr(network, "step"):
        return None
    frame = _noise(network, network.hop_samples)  # type: ignore[arg-type]
    with torch.inference_mode():
        state = network.init_state(1)  # type: ignore[operator]
        _, state = network.step(frame, state)  # type: ignore[operator]
    return _median_seconds(lambda: network.step(frame, state), rounds)  # type: ignore[operator]


def n_threads() -> int:
    """Return on how many threads torch works."""
    return torch.get_num_threads()


def _median_seconds(run: Callable[[], Any], rounds: int) -> float:
    taken = []
    with torch.inference_mode():
        run()  # warms up
        for _ in range(rounds):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return median(taken)


def _noise(network: Network, n_samples: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(1, network.config.n_channels, n_samples, generator=generator)


def _run_on_shapes(network: Network, n_samples: int, finish: Callable[[Tensor], Any]) -> None:
    """Run a network without looking at values; `process`, for `forward` asks whether they are finite."""
    device = next(network.parameters()).device
    x = torch.zeros(1, network.config.n_channels, n_samples, device=device)
    try:
        with torch.device(device):
            finish(network.process(x))
    except (NotImplementedError, RuntimeError):  # looks at values on its way: it must have some
        if device.type != "meta":
            raise
        with_values = build(next(key for key, (kind, _) in MODELS.items() if kind is type(network)),
                            **network.config.model_dump())  # fmt: skip
        finish(with_values.train(network.training).process(torch.zeros(x.shape)))


def _storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class RecurrentLayersAtOnce(TorchFunctionMode):
    """Passes over LSTM and GRU layers, which would be thousands of small steps, and counts what they would do.

    For each frame a layer multiplies its two matrices, and keeps its gates, its cell and its output for the gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") not in ("lstm", "gru") or len(args) != 9 or not isinstance(args[2], list):
            return func(*args, **(kwargs or {}))
        x, state, weights = args[:3]
        n_frames = x.shape[:-1].numel()
        matrices = [weight for weight in weights if weight.ndim == 2]
        self.macs += n_frames * sum(matrix.numel() for matrix in matrices)
        kept = sum(len(weight) + 2 * weight.shape[1] for weight in matrices[1::2])  # of the recurrent ones
        hidden = state[0] if isinstance(state, tuple) else state
        n_out = hidden.shape[-1] * (1 + bool(args[7]))  # both ways
        out = _Untouched.apply(x, x.new_empty(n_frames, kept), n_out, *weights)
        ends = [torch.zeros_like(end) for end in (state if isinstance(state, tuple) else [state])]
        return (out, *ends)


class _Untouched(torch.autograd.Function):
    """Zeros ``(..., n_out)`` that keep their input and another tensor for a gradient which nobody asks for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, n_out: int, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, kept)
        return x.new_zeros(*x.shape[:-1], n_out)


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """Count what torch's own counter knows, and what it does not: products without sums, attention on a processor."""
    aten = torch.ops.aten
    elementwise = {op: _as_many_as_come_out for op in (aten.addcmul, aten.addcmul_)}
    vectors = {aten.mv: _matrix_vector, aten.addmv: lambda _, *shapes, **rest: _matrix_vector(*shapes, **rest)}
    fused = {aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with FlopCounterMode(display=False, custom_mapping={**elementwise, **vectors, **fused}) as counter:
        yield counter


# Each gets the shapes of an operator's arguments and gives operations: two for a multiply-add.


def _as_many_as_come_out(*shapes: Any, out_shape: Any = None, **_: Any) -> int:
    return 2 * math.prod(out_shape)


def _matrix_vector(matrix: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    n_pairs = math.prod(query[:-1]) * key[-2]
    return 2 * n_pairs * (query[-1] + value[-1])
