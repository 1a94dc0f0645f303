"""Convolution by the FFT, to the same bits on every processor of a family, in memory that does not grow with length.

Overlap-save: the signal is cut into blocks that overlap by the response, and of each block's circular convolution the
part is kept that did not wrap around (Oppenheim & Schafer, Discrete-Time Signal Processing, section 8.7.3).  Several
blocks go through one call: the FFT then works on four of them at once, which makes it twice as fast as one transform
of everything.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

SIDE_BY_SIDE = 4  # transforms that the FFT does at once
SHARE_OF_TIME = 0.65  # that one of them then takes, against one alone (measured: 0.5 to 0.8)
MOST_SIDE_BY_SIDE = 1 << 16  # samples: four longer ones leave the cache, and gain nothing
MOST_SAMPLES_AT_ONCE = 1 << 21  # in blocks: a whole film would take many times its memory


class Blocks(NamedTuple):
    """How a signal is cut for a response."""

    n_response: int
    step: int  # samples of each block that are kept
    n_fft: int


@lru_cache(maxsize=1024)
def blocks_for(n_samples: int, n_response: int) -> Blocks:
    """Return the fastest way to cut a signal of ``n_samples`` for a response of ``n_response``."""
    best, least = Blocks(n_response, 1, 1), math.inf
    n_blocks = 1
    while True:
        step = max(1, -(-n_samples // n_blocks))
        n_fft = int(scipy.fft.next_fast_len(step + n_response - 1, real=True))
        gains = n_blocks >= SIDE_BY_SIDE and n_fft <= MOST_SIDE_BY_SIDE
        work = n_blocks * n_fft * math.log2(n_fft + 1) * (SHARE_OF_TIME if gains else 1.0)
        if work < least and (n_fft <= MOST_SAMPLES_AT_ONCE or step <= n_response):
            best, least = Blocks(n_response, step, n_fft), work
        if step < n_response / 4 or step == 1:
            return best
        n_blocks = SIDE_BY_SIDE if n_blocks == 1 else 2 * n_blocks


def spectrum_of(response: NDArray, blocks: Blocks) -> NDArray:
    """Return the spectrum of a response ``(channel or 1, time)`` for `filtered`; worth keeping for the next signal."""
    return scipy.fft.rfft(response, blocks.n_fft, axis=-1)


def filtered(samples: NDArray, spectrum: NDArray, blocks: Blocks) -> NDArray:
    """Return ``(channel, time)`` filtered, as long as it was: what the convolution has beyond its end is left out."""
    n_channels, n_samples = samples.shape
    before, step = blocks.n_response - 1, blocks.step
    n_blocks = -(-n_samples // step)
    out = np.empty((n_channels, n_blocks, step), samples.dtype)
    at_once = max(SIDE_BY_SIDE, MOST_SAMPLES_AT_ONCE // blocks.n_fft)
    for first in range(0, n_blocks, at_once):
        last = min(first + at_once, n_blocks)
        framed = _frames(samples, first * step - before, last - first, blocks)
        product = multiply_spectra(scipy.fft.rfft(framed, axis=-1), spectrum[:, None])
        sound = scipy.fft.irfft(product, blocks.n_fft, axis=-1, overwrite_x=True)
        out[:, first:last] = sound[..., before : before + step]
    return out.reshape(n_channels, -1)[:, :n_samples]


def convolve(samples: NDArray, response: NDArray) -> NDArray:
    """Return all of the convolution of ``(channel, time)`` and ``(channel or 1, time)``, its tail too."""
    n_response = response.shape[-1]
    padded = np.pad(samples, ((0, 0), (0, n_response - 1)))
    blocks = blocks_for(padded.shape[-1], n_response)
    return filtered(padded, spectrum_of(response, blocks), blocks)


def multiply_spectra(left: NDArray, right: NDArray) -> NDArray:
    """Return the product of two complex spectra whose shapes broadcast.

    numpy's own product uses fused multiply-add where the processor has it, which rounds differently; products of real
    parts do not.
    """
    product = np.empty(np.broadcast_shapes(left.shape, right.shape), np.result_type(left, right))
    np.multiply(left.real, right.real, out=product.real)
    product.real -= left.imag * right.imag
    np.multiply(left.real, right.imag, out=product.imag)
    product.imag += left.imag * right.real
    return product


def _frames(samples: NDArray, start: int, n_blocks: int, blocks: Blocks) -> NDArray:
    """Return overlapping frames ``(channel, block, n_fft)`` from ``start``, zeros beyond both ends."""
    n_needed = (n_blocks - 1) * blocks.step + blocks.n_fft
    padded = np.zeros((len(samples), n_needed), samples.dtype)
    low, high = max(start, 0), min(start + n_needed, samples.shape[1])
    padded[:, low - start : high - start] = samples[:, low:high]
    return np.lib.stride_tricks.sliding_window_view(padded, blocks.n_fft, axis=1)[:, :: blocks.step]
