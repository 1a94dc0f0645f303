"""Trains BandRNN with GRUs of our own.

`gru.cpp` beside it has them in float32, for processors.  ``training.precision=bf16`` takes `gru_bf16.cpp` on processors
with a matrix unit (AMX), and `gru_triton.py` on NVIDIA's graphics cards.  Elsewhere nothing changes.

python scripts/fast_gru/train.py train voice --corpus ...  # what follows is as after `resound`
python scripts/fast_gru/train.py --check                   # values and gradients beside torch's, and times
TRITON_INTERPRET=1 python scripts/fast_gru/train.py --check card          # those of cards alone, without one

Why: torch's GRU on a processor writes the gates of every frame to memory and reads them back, and adds up the gradient
of its recurrent matrix frame by frame.  BandRNN's GRUs are small and run over hundreds of sequences: weights and state
fit into the caches, and gates are sooner computed once more than fetched.

Needs GCC 12 or clang, and ninja.  What is compiled is kept in $FAST_GRU_BUILD, else where torch keeps its extensions.
Only the gradient of what is learned is there: no second derivatives.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from resound.cli.main import main  # before torch: it sets how many threads there are

import torch  # isort: skip
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils import cpp_extension

from resound.models import band_rnn

SOURCES = {torch.float32: "gru.cpp", torch.bfloat16: "gru_bf16.cpp"}  # by what is multiplied
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp"]  # the second: for this machine alone
FRAMES, BANDS = 1, 2  # axes of (batch, frame, band, channel)
PER_DIRECTION = 4  # weights
TOLERANCES = {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.05}  # of the largest value: by their bits
# What is compared: examples, frames, bands, channels, states over time and over bands.  As in training; small; odd.
SIZES = ((16, 200, 24, 40, 40, 20), (4, 37, 16, 24, 24, 12), (3, 11, 7, 9, 10, 7))
SIZES_INTERPRETED = ((1, 7, 3, 24, 144, 96), (3, 4, 5, 9, 10, 7))


@functools.cache
def kernel(dtype: torch.dtype) -> Any:
    """Return the compiled module, compiled now unless it has been."""
    folder = os.environ.get("FAST_GRU_BUILD")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    source = Path(__file__).resolve().parent / SOURCES[dtype]
    return cpp_extension.load(
        f"fast_{source.stem}", [str(source)], extra_cflags=FLAGS, extra_ldflags=["-fopenmp"],
        build_directory=folder or None,
    )  # fmt: skip


@functools.cache
def has_matrix_unit() -> bool:
    """Return whether the processor multiplies matrices of bfloat16."""
    path = Path("/proc/cpuinfo")
    return path.exists() and {"amx_bf16", "avx512_bf16"} <= set(path.read_text().split())


class Recurrence(torch.autograd.Function):
    """A GRU along one axis of ``(batch, frame, band, channel)``, one way or both, by as many weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor | None, axis: int, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        """Return ``(batch, frame, band, hidden)``, both directions side by side; `before` is the forward one's."""
        x = side_by_side(x)
        before = None if before is None else side_by_side(before)
        ways = directions(weights)
        n_hidden = weights[1].shape[1]
        y = x.new_empty(*x.shape[:-1], len(ways) * n_hidden)
        for index, (way, part) in enumerate(zip(ways, along(y, axis).split(n_hidden, dim=-1), strict=True)):
            kernel(dtype).forward(along(x, axis), None if index else before, *way, part, bool(index))
        ctx.save_for_backward(x, before, y, *weights)
        ctx.axis, ctx.dtype = axis, dtype
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        x, before, y, *weights = ctx.saved_tensors
        axis, n_hidden = ctx.axis, weights[1].shape[1]
        dx = torch.empty_like(x, memory_format=torch.contiguous_format)
        parts = (along(each, axis).split(n_hidden, dim=-1) for each in (y, side_by_side(gradients[0])))
        of_weights: list[Tensor] = []
        of_before = None
        for index, (way, out, dy) in enumerate(zip(directions(weights), *parts, strict=True)):
            given = None if index else before
            first, *of_way = kernel(ctx.dtype).backward(
                along(x, axis), given, *way, out, dy, along(dx, axis), bool(index), bool(index)
            )
            of_before = of_before if given is None else first
            of_weights += of_way
        return dx, of_before, None, None, *of_weights


def side_by_side(x: Tensor) -> Tensor:
    """Return the same with channels that are neighbours in memory."""
    return x if x.stride(-1) == 1 else x.contiguous()


def along(x: Tensor, axis: int) -> Tensor:
    """Return ``(batch, frame, band, channel)`` with an axis moved to where the kernel has its steps."""
    return x.transpose(axis, 2)


def directions(weights: Iterable[Tensor]) -> list[tuple[Tensor, ...]]:
    """Return the weights of each direction."""
    every = tuple(weights)
    return [every[first : first + PER_DIRECTION] for first in range(0, len(every), PER_DIRECTION)]


def recur(
    gru: nn.GRU, x: Tensor, axis: int, before: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return what torch's module would, along an axis of ``(batch, frame, band, channel)``."""
    return Recurrence.apply(x, before, axis, dtype, *gru.parameters())


@functools.cache
def on_a_card() -> Callable[..., Tensor] | None:
    """Return what `recur` is on a graphics card; None where there is no Triton."""
    try:
        return importlib.import_module("gru_triton").recur
    except ImportError:
        return None


Forward = Callable[[band_rnn.Block, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def faster(original: Forward) -> Forward:
    """Return the forward of a block that learns on a processor by `kernel`, and else as before."""

    def forward(self: band_rnn.Block, x: Tensor, hidden: Tensor, n_batch: int) -> tuple[Tensor, Tensor]:
        dtype = dtype_of_products(x, hidden)
        if not torch.is_grad_enabled() or dtype is None:
            return original(self, x, hidden, n_batch)
        along_axis = on_a_card() if x.is_cuda else recur
        x = x.float().contiguous()  # once: of two orders in memory, a sum has its first summand's
        before = None if self.both_ways else hidden.float()
        y = along_axis(self.time, x.unflatten(0, (n_batch, -1)), FRAMES, before, dtype)
        x = x + self.after_time(y.flatten(0, 1))
        z = along_axis(self.bands, x.unflatten(0, (n_batch, -1)), BANDS, None, dtype)
        return x + self.after_bands(z.flatten(0, 1)), y[:, -1, :, : self.time.hidden_size]

    return forward


def dtype_of_products(x: Tensor, hidden: Tensor) -> torch.dtype | None:
    """Return what our own GRUs multiply; None where they do not know how."""
    if x.is_cuda:
        is_bf16 = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") == torch.bfloat16
        return torch.bfloat16 if is_bf16 and on_a_card() is not None else None
    if x.device.type != "cpu":
        return None
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        return dtype if dtype == torch.bfloat16 and has_matrix_unit() else None
    return torch.float32 if x.dtype == hidden.dtype == torch.float32 else None


def run() -> None:
    """Run the command line of resound with the other GRUs."""
    if not torch.cuda.is_available():
        kernel(torch.float32)  # the other is compiled when it is used first
    band_rnn.Block.forward = faster(band_rnn.Block.forward)  # type: ignore[assignment, method-assign]
    main()


# ---------------------------------------------------------------------------------------------------------------------


class Way(NamedTuple):
    """One of our GRUs, and what is asked of it."""

    recur: Callable[..., Tensor]
    device: str
    dtype: torch.dtype  # of what is multiplied
    sizes: tuple[tuple[int, ...], ...] = SIZES


def available() -> list[Way]:
    """Return what there is on this machine; with TRITON_INTERPRET=1 that of graphics cards too, on its processor."""
    ways = [Way(recur, "cpu", torch.float32)] + [Way(recur, "cpu", torch.bfloat16)] * has_matrix_unit()
    ours = on_a_card()
    if ours is not None and torch.cuda.is_available():
        ways.append(Way(ours, "cuda", torch.bfloat16))
    elif ours is not None and os.environ.get("TRITON_INTERPRET") == "1":  # which multiplies no bfloat16
        ways += [Way(ours, "cpu", dtype, SIZES_INTERPRETED) for dtype in (torch.float32, torch.float16)]
    return ways


def check(ways: Sequence[Way]) -> None:
    """Print the largest difference from torch, as part of the largest value, and times; fail where it is too large."""
    if not ways:
        raise SystemExit("no graphics card, or no triton")
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cudnn.allow_tf32 = False
    for way in ways:
        torch.manual_seed(0)
        found = differences(way)
        told = f"{way.dtype}" + (" in Triton" if way.recur is not recur else "")
        print(f"{told}: largest difference {float(torch.tensor(found).max()):.1e}")
        if not all(difference < TOLERANCES[way.dtype] for difference in found):  # NaN is less than nothing
            raise SystemExit("differs from torch")


def differences(way: Way) -> list[float]:
    """Return the largest of each comparison with torch in float32, and print them and times."""
    ours_at = functools.partial(way.recur, dtype=way.dtype)
    found: list[float] = []
    for n_batch, n_frames, n_bands, n_in, n_time, n_band in way.sizes:
        for axis, n_hidden, both_ways in ((FRAMES, n_time, False), (FRAMES, n_time, True), (BANDS, n_band, True)):
            gru = nn.GRU(n_in, n_hidden, batch_first=axis == BANDS, bidirectional=both_ways).to(way.device)
            x = torch.randn(n_batch, n_frames, n_bands, n_in, device=way.device)
            before = None if both_ways else torch.randn(n_batch, n_bands, n_hidden, device=way.device).tanh()
            like = torch.randn(n_batch, n_frames, n_bands, n_hidden * (1 + both_ways), device=way.device)
            ours, theirs = (learn(each, gru, x, axis, before, like) for each in (ours_at, by_torch))
            difference = largest_difference(ours, theirs)
            found.append(difference)
            of = f"{'bands' if axis == BANDS else 'time'}{', both ways' * both_ways}"
            print(f"{of} {n_in} to {n_hidden}: difference {difference:.1e}")
            if n_frames < SIZES[0][1]:
                continue
            fast, slow = (seconds(learn, each, gru, x, axis, before, like) for each in (ours_at, by_torch))
            print(f"  forward and backward {1e3 * fast:.1f} ms, torch {1e3 * slow:.1f} ms: {slow / fast:.2f} times")
    if way.recur is recur or way.device == "cuda":
        found += [difference_of_block(way, both_ways=both_ways) for both_ways in (False, True)]
    return found


def difference_of_block(way: Way, *, both_ways: bool) -> float:
    """Return how far a whole block is from its original, in values and gradients, as part of the largest."""
    block = band_rnn.Block(12, 10, 6, both_ways=both_ways).to(way.device)
    x, like = (torch.randn(3 * 21, 8, 12, device=way.device) for _ in range(2))
    hidden = torch.randn(3, 8, 10, device=way.device).tanh()  # both ways, nobody takes it
    of_each = []
    for forward in (faster(band_rnn.Block.forward), band_rnn.Block.forward):
        given = [each.clone().requires_grad_() for each in (x, hidden)]
        with torch.autocast(way.device, way.dtype, enabled=way.dtype != torch.float32 and not of_each):
            y, after = forward(block, *given, 3)
        learnt = [*given[: 1 if both_ways else None], *block.parameters()]
        gradients = torch.autograd.grad((y * like).sum() + after.sum(), learnt)
        of_each.append([y.detach(), *([] if both_ways else [after.detach()]), *gradients])
    return largest_difference(*of_each)


def largest_difference(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> float:
    """Return by how much any tensor differs, as part of its largest value; NaN where anything is."""
    return float(torch.stack([(a - b).abs().max() / b.abs().max() for a, b in zip(ours, theirs, strict=True)]).max())


def by_torch(gru: nn.GRU, x: Tensor, axis: int, before: Tensor | None = None) -> Tensor:
    """Return what torch computes, as `band_rnn.Block` has it."""
    n_batch, _, n_bands, _ = x.shape
    if axis == BANDS:
        return gru(x.flatten(0, 1))[0].unflatten(0, (n_batch, -1))
    initial = None if before is None else before.flatten(0, 1)[None].contiguous()
    y, _ = gru(x.transpose(0, 1).flatten(1, 2), initial)
    return y.unflatten(1, (n_batch, n_bands)).transpose(0, 1)


def learn(
    way: Callable[..., Tensor], gru: nn.GRU, x: Tensor, axis: int, before: Tensor | None, like: Tensor
) -> list[Tensor]:
    """Return the output and the gradients of its product with `like`."""
    given = [each.clone().requires_grad_() for each in (x, before) if each is not None]
    y = way(gru, given[0], axis, *given[1:])
    return [y.detach(), *torch.autograd.grad(y, [*given, *gru.parameters()], like.to(y.dtype))]


def seconds(call: Callable[..., object], *arguments: object) -> float:
    """Return the shortest of some runs."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        call(*arguments)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return min(times)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check([way for way in available() if sys.argv[2:] != ["card"] or way.recur is not recur])
    else:
        run()
