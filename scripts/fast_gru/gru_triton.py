"""GRUs for graphics cards, in Triton: all steps of a GRU in one kernel, along any axis and without copies.

What torch calls there (cuDNN) spends most of its time in one kernel behind the recurrences, which adds up the gradients
of the biases as far as can be told, and wants sequences in another order in memory.  Here a program takes some
sequences and one direction, and goes through the time with their state in registers; what does not depend on the step
before is left to products of large matrices.

With bfloat16 the gates that are kept are float16, which is nearer, and sums are float32, as with autocast.

Names are those of torch.nn.GRU: ``r``, ``z`` and ``n`` are the gates, ``q`` is what ``r`` multiplies, ``h`` the state.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FRAMES, BANDS = 1, 2  # axes of (batch, frame, band, channel)
PER_DIRECTION = 4  # weights
BLOCK = 64  # sequences of a program: as many rows as the matrix units of a group of warps take
RUNS_ON = {"num_warps": 8, "num_stages": 1}  # weights once in shared memory: with more stages there is no room


@triton.jit
def _tile(at, is_live, column, WIDTH: tl.constexpr):
    """Load columns of some rows as float32, nothing beyond the last."""
    mask = is_live[:, None] & (column < WIDTH)[None, :]
    return tl.load(at[:, None] + column[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _keep(at, is_live, column, value, WIDTH: tl.constexpr):
    """Store columns of some rows."""
    mask = is_live[:, None] & (column < WIDTH)[None, :]
    tl.store(at[:, None] + column[None, :], value.to(at.dtype.element_ty), mask=mask)


@triton.jit
def _weights(at, row, column, WIDTH: tl.constexpr):
    """Load a part of a square matrix."""
    mask = (row < WIDTH)[:, None] & (column < WIDTH)[None, :]
    return tl.load(at + row[:, None] * WIDTH + column[None, :], mask=mask, other=0.0)


@triton.jit
def _times(a, b, at, first, second, column, WIDTH: tl.constexpr):
    """Multiply rows, whose columns are in two parts, by a matrix, for some columns of what comes out."""
    dtype = at.dtype.element_ty
    product = tl.dot(a.to(dtype), _weights(at, first, column, WIDTH), input_precision="ieee")
    return product + tl.dot(b.to(dtype), _weights(at, second, column, WIDTH), input_precision="ieee")


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):
    return 2 / (1 + tl.exp(-2 * x)) - 1


@triton.jit
def _step_forward(inputs, kept, out, is_live, a, b, h, weights, bias, first, second, column, WIDTH: tl.constexpr):
    """Return some columns of the next state, and keep the gates."""
    size: tl.constexpr = WIDTH * WIDTH
    r = _sigmoid(_tile(inputs, is_live, column, WIDTH) + _times(a, b, weights, first, second, column, WIDTH))
    z = _tile(inputs + WIDTH, is_live, column, WIDTH) + _times(a, b, weights + size, first, second, column, WIDTH)
    z = _sigmoid(z)
    q = _times(a, b, weights + 2 * size, first, second, column, WIDTH)
    q += tl.load(bias + column, mask=column < WIDTH, other=0.0).to(tl.float32)[None, :]
    n = _tanh(_tile(inputs + 2 * WIDTH, is_live, column, WIDTH) + r * q)
    h = (1 - z) * n + z * h
    _keep(kept, is_live, column, r, WIDTH)
    _keep(kept + WIDTH, is_live, column, z, WIDTH)
    _keep(kept + 2 * WIDTH, is_live, column, n, WIDTH)
    _keep(kept + 3 * WIDTH, is_live, column, q, WIDTH)
    _keep(out, is_live, column, h, WIDTH)
    return h


@triton.jit
def _forward(
    inputs, weights, bias, before, y, kept, n_sequences, n_steps, inner, outer, stride,
    WIDTH: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, N_WAYS: tl.constexpr,
    HAS_BEFORE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    way = tl.program_id(1)
    sequence = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_live = sequence < n_sequences
    start = (sequence // inner).to(tl.int64) * outer + sequence % inner
    first, second = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    a, b = tl.zeros((BLOCK, FIRST), tl.float32), tl.zeros((BLOCK, SECOND), tl.float32)
    if HAS_BEFORE:
        given = before + sequence.to(tl.int64) * WIDTH
        a, b = _tile(given, is_live, first, WIDTH), _tile(given, is_live, second, WIDTH)
    weights += way * 3 * WIDTH * WIDTH
    bias += way * WIDTH
    for index in range(n_steps):
        cell = (start + (index + way * (n_steps - 1 - 2 * index)) * stride) * N_WAYS + way
        at, to, out = inputs + cell * 3 * WIDTH, kept + cell * 4 * WIDTH, y + cell * WIDTH
        next_a = _step_forward(at, to, out, is_live, a, b, a, weights, bias, first, second, first, WIDTH)
        b = _step_forward(at, to, out, is_live, a, b, b, weights, bias, first, second, second, WIDTH)
        a = next_a


@triton.jit
def _step_backward(
    kept, previous, dy, dgates, shifted, is_live, is_first, has_given, given, dh, column, WIDTH: tl.constexpr
):
    """Return gradients of some columns: of r, z and q before they are bent, and what goes by the gates."""
    r, z = _tile(kept, is_live, column, WIDTH), _tile(kept + WIDTH, is_live, column, WIDTH)
    n, q = _tile(kept + 2 * WIDTH, is_live, column, WIDTH), _tile(kept + 3 * WIDTH, is_live, column, WIDTH)
    h = _tile(previous, is_live & (is_first == 0), column, WIDTH) + _tile(given, is_live & has_given, column, WIDTH)
    g = _tile(dy, is_live, column, WIDTH) + dh
    dn = g * (1 - z) * (1 - n * n)
    dz = g * (h - n) * z * (1 - z)
    dr = dn * q * r * (1 - r)
    dq = dn * r
    _keep(dgates, is_live, column, dr, WIDTH)
    _keep(dgates + WIDTH, is_live, column, dz, WIDTH)
    _keep(dgates + 2 * WIDTH, is_live, column, dn, WIDTH)
    _keep(dgates + 3 * WIDTH, is_live, column, dq, WIDTH)
    _keep(shifted, is_live, column, h, WIDTH)
    return dr, dz, dq, g * z


@triton.jit
def _backward(
    weights, before, y, kept, dy, dgates, shifted, dbefore, n_sequences, n_steps, inner, outer, stride,
    WIDTH: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, N_WAYS: tl.constexpr,
    HAS_BEFORE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    size: tl.constexpr = WIDTH * WIDTH
    way = tl.program_id(1)
    sequence = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_live = sequence < n_sequences
    start = (sequence // inner).to(tl.int64) * outer + sequence % inner
    first, second = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    a, b = tl.zeros((BLOCK, FIRST), tl.float32), tl.zeros((BLOCK, SECOND), tl.float32)
    given = before + sequence.to(tl.int64) * WIDTH
    weights += way * 3 * size
    for back in range(n_steps):
        index = n_steps - 1 - back
        is_first = sequence < (index == 0) * n_sequences  # of every sequence or of none
        has_given = is_first & HAS_BEFORE
        place = start + (index + way * (n_steps - 1 - 2 * index)) * stride
        cell = place * N_WAYS + way
        last = (place - (1 - 2 * way) * stride) * N_WAYS + way
        at, to, beside = kept + cell * 4 * WIDTH, dgates + cell * 4 * WIDTH, shifted + cell * WIDTH
        of_y, previous = dy + cell * WIDTH, y + last * WIDTH
        ra, za, qa, ga = _step_backward(
            at, previous, of_y, to, beside, is_live, is_first, has_given, given, a, first, WIDTH
        )
        rb, zb, qb, gb = _step_backward(
            at, previous, of_y, to, beside, is_live, is_first, has_given, given, b, second, WIDTH
        )
        a = ga + _times(ra, rb, weights, first, second, first, WIDTH)
        a += _times(za, zb, weights + size, first, second, first, WIDTH)
        a += _times(qa, qb, weights + 2 * size, first, second, first, WIDTH)
        b = gb + _times(ra, rb, weights, first, second, second, WIDTH)
        b += _times(za, zb, weights + size, first, second, second, WIDTH)
        b += _times(qa, qb, weights + 2 * size, first, second, second, WIDTH)
    if HAS_BEFORE:
        to = dbefore + sequence.to(tl.int64) * WIDTH
        _keep(to, is_live, first, a, WIDTH)
        _keep(to, is_live, second, b, WIDTH)


class Recurrence(torch.autograd.Function):
    """A GRU along one axis of ``(batch, frame, band, channel)``, one way or both, by as many weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor | None, axis: int, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        """Return ``(batch, frame, band, hidden)``, both directions side by side; `before` is the forward one's."""
        x = x.to(dtype).contiguous()
        n_hidden, n_ways = weights[1].shape[1], len(weights) // PER_DIRECTION
        assert before is None or n_ways == 1
        of_input, of_state, bias_of_input, bias_of_state = (
            torch.stack(weights[index::PER_DIRECTION]) for index in range(PER_DIRECTION)
        )
        gate_dtype = torch.float16 if dtype == torch.bfloat16 else dtype
        bias = bias_of_input.clone()
        bias[:, : 2 * n_hidden] += bias_of_state[:, : 2 * n_hidden]
        inputs = torch.addmm(bias.flatten().to(dtype), x.flatten(0, 2), of_input.flatten(0, 1).to(dtype).t())
        y = x.new_empty(*x.shape[:-1], n_ways * n_hidden)
        kept = x.new_empty(*x.shape[:-1], n_ways, 4 * n_hidden, dtype=gate_dtype)
        across = of_state.unflatten(1, (3, n_hidden)).transpose(2, 3).to(gate_dtype).contiguous()
        before = None if before is None else before.contiguous()
        _forward[grid(x, axis, n_ways)](
            inputs, across, bias_of_state[:, 2 * n_hidden :].contiguous(), y if before is None else before, y, kept,
            *geometry(x, axis), **sizes(n_hidden, n_ways), HAS_BEFORE=before is not None, **RUNS_ON,
        )  # fmt: skip
        ctx.save_for_backward(x, before, y, kept, of_input, of_state)
        ctx.axis = axis
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        x, before, y, kept, of_input, of_state = ctx.saved_tensors
        n_ways, n_hidden = of_state.shape[0], of_state.shape[2]
        dgates = torch.empty_like(kept, dtype=x.dtype)
        shifted = torch.empty_like(y)
        dbefore = None if before is None else torch.empty_like(before)
        _backward[grid(x, ctx.axis, n_ways)](
            of_state.to(x.dtype).contiguous(), y if before is None else before, y, kept, gradients[0].contiguous(),
            dgates, shifted, y if dbefore is None else dbefore, *geometry(x, ctx.axis), **sizes(n_hidden, n_ways),
            HAS_BEFORE=before is not None, **RUNS_ON,
        )  # fmt: skip
        of_rows = dgates.flatten(0, 2)  # (row, way, 4 gates)
        without_q = torch.cat([of_input, torch.zeros_like(of_input[:, :n_hidden])], dim=1).to(x.dtype)
        dx = (of_rows.flatten(1) @ without_q.flatten(0, 1)).view_as(x)
        biases = of_rows.sum(dim=0, dtype=torch.float32)
        by_input = (of_rows.flatten(1).t() @ x.flatten(0, 2)).unflatten(0, (n_ways, -1))
        states = shifted.flatten(0, 2).unflatten(1, (n_ways, n_hidden))
        of_weights: list[Tensor] = []
        for way in range(n_ways):
            by_state = of_rows[:, way].t() @ states[:, way]
            of_weights += [
                by_input[way, : 3 * n_hidden].float(), of_state_alone(by_state).float(),
                biases[way, : 3 * n_hidden], of_state_alone(biases[way]),
            ]  # fmt: skip
        return dx, dbefore, None, None, *of_weights


def of_state_alone(gates: Tensor) -> Tensor:
    """Return of gradients of r, z, n and q those of what the state is multiplied by: of r, z and q."""
    n_hidden = len(gates) // 4
    return torch.cat([gates[: 2 * n_hidden], gates[3 * n_hidden :]])


def grid(x: Tensor, axis: int, n_ways: int) -> tuple[int, int]:
    """Return how many programs there are."""
    return triton.cdiv(geometry(x, axis)[0], BLOCK), n_ways


def geometry(x: Tensor, axis: int) -> tuple[int, int, int, int, int]:
    """Return how many sequences, how many steps, and where they are.

    The row of sequence s at step t is ``s // inner * outer + s % inner + t * stride``.
    """
    n_batch, n_frames, n_bands, _ = x.shape
    if axis == FRAMES:
        return n_batch * n_bands, n_frames, n_bands, n_frames * n_bands, n_bands
    return n_batch * n_frames, n_bands, 1, n_bands, 1


def sizes(n_hidden: int, n_ways: int) -> dict[str, int]:
    """Return what the kernel is compiled for: columns are in two parts, for a part is a power of two, 16 at least."""
    first = max(16, triton.next_power_of_2(n_hidden) // 2)
    second = max(16, triton.next_power_of_2(max(n_hidden - first, 1)))
    return {"WIDTH": n_hidden, "FIRST": first, "SECOND": second, "N_WAYS": n_ways, "BLOCK": BLOCK}


def recur(
    gru: nn.GRU, x: Tensor, axis: int, before: Tensor | None = None, dtype: torch.dtype = torch.bfloat16
) -> Tensor:
    """Return what torch's module would, along an axis of ``(batch, frame, band, channel)``."""
    return Recurrence.apply(x, before, axis, dtype, *gru.parameters())
