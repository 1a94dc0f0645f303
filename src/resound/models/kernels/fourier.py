"""The Fourier transform of real frames as two small matrix products, for graphs: ONNX runtimes have no quick one.

With N = A · B, n = B a + b and k = c + A d (Cooley & Tukey 1965; four steps of them, twiddles in the second product)::

    X[c + A d] = sum_b  exp(-2πi b (c + A d) / N)  ·  sum_a  exp(-2πi a c / A) x[B a + b]

One product with sines and cosines reads N² numbers; of 960 samples these read 125,000.  Bins come out in their order:
those of a real frame are the first N / 2 + 1.  The inverse is the same backwards.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def rfft(frames: Tensor) -> Tensor:
    """Return the bins ``(..., freq, 2)`` of ``(..., time)``."""
    first, second = _matrices(frames.shape[-1], frames.device)
    n_rows = len(second)
    x = frames.unflatten(-1, (n_rows, -1)).transpose(-1, -2) @ first  # (..., b, part · c)
    x = x.unflatten(-1, (2, n_rows)).movedim(-1, 0)  # (c, ..., b, part)
    x = (x.flatten(1, -3).flatten(2) @ second).unflatten(1, frames.shape[:-1])  # (c, ..., d · part)
    x = x.unflatten(-1, (-1, 2)).movedim(0, -2)  # (..., d, c, part): k = c + A d
    return x.flatten(-3, -2)[..., : frames.shape[-1] // 2 + 1, :]


def irfft(spectrum: Tensor, n_samples: int) -> Tensor:
    """Return ``(..., time)`` of bins ``(..., freq, 2)``."""
    first, second = _matrices(n_samples, spectrum.device)
    n_rows, n_freqs = len(second), n_samples // 2 + 1
    twice = torch.full((n_freqs, 1), 2 / n_samples, device=spectrum.device)  # each stands for its conjugate as well ...
    twice[0] = 1 / n_samples  # ... but the first and, where there is one in the middle, the last
    if n_samples % 2 == 0:
        twice[-1] = 1 / n_samples
    x = functional.pad(spectrum * twice, (0, 0, 0, n_samples - n_freqs))
    x = x.unflatten(-2, (-1, n_rows)).movedim(-2, 0).flatten(-2)  # (c, ..., d · part)
    x = (x.flatten(1, -2) @ second.transpose(1, 2)).unflatten(1, spectrum.shape[:-2])  # (c, ..., b · part)
    x = x.unflatten(-1, (-1, 2)).movedim(0, -1)  # (..., b, part, c)
    return (x.flatten(-2) @ first.t()).transpose(-1, -2).flatten(-2)


def _matrices(n_samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    first, second = (torch.from_numpy(matrix).to(device) for matrix in _tables(n_samples))
    return first, second


@lru_cache(maxsize=16)
def _tables(n_samples: int) -> tuple[NDArray, NDArray]:
    """Return the two matrices: ``(a, part · c)``, and ``(c, b · part, d · part)``.

    As arrays, for a tensor that is made while a graph is traced has no values to keep.
    """
    n_rows = min((a for a in range(1, n_samples + 1) if n_samples % a == 0), key=lambda a: abs(a - n_samples**0.5))
    a, b = np.arange(n_rows), np.arange(n_samples // n_rows)
    first = _turns(np.outer(a, a), n_rows)
    second = _turns(b[:, None] * (a[:, None, None] + n_rows * b), n_samples)  # (c, b, d)
    rows = np.array([[second.real, second.imag], [-second.imag, second.real]])  # (part in, part out, c, b, d)
    rows = rows.transpose(2, 3, 0, 4, 1).reshape(n_rows, 2 * len(b), 2 * len(b))
    return np.hstack([first.real, first.imag]).astype(np.float32), rows.astype(np.float32)


def _turns(steps: NDArray, n: int) -> NDArray[np.complex128]:
    """Return exp(-2πi steps / n); whole turns are left out first, which keeps it exact."""
    return np.exp(-2j * np.pi * (steps % n) / n)
