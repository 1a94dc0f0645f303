"""Convolution by the FFT, to the same bits on every processor of a family."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

# Beyond this the signal is convolved in blocks: one transform of a whole film would take many times its memory.
LONGEST_TRANSFORM = 1 << 21


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


def transform_length(n_samples: int, n_response: int) -> int:
    """Return the fast FFT length at which ``n_samples`` with a response of ``n_response`` do not wrap around."""
    return int(scipy.fft.next_fast_len(max(1, n_samples + n_response - 1), real=True))


def convolve_with_spectrum(samples: NDArray, spectrum: NDArray, n_fft: int) -> NDArray:
    """Return the first ``n_fft`` samples of ``(channel, time)`` filtered; ``spectrum`` is ``(channel or 1, freq)``."""
    product = multiply_spectra(scipy.fft.rfft(samples, n_fft, axis=-1), spectrum)
    return scipy.fft.irfft(product, n_fft, axis=-1, overwrite_x=True)


def convolve(samples: NDArray, response: NDArray) -> NDArray:
    """Return the full convolution of ``(channel, time)`` and ``(channel or 1, time)``, ``n + len(response) - 1`` long.

    Memory stays a small multiple of the signal's own for any length.
    """
    n_samples, n_response = samples.shape[-1], response.shape[-1]
    n_out = n_samples + n_response - 1
    step = n_samples if n_out <= LONGEST_TRANSFORM else max(n_response, LONGEST_TRANSFORM // 2)
    n_fft = transform_length(step, n_response)
    spectrum = scipy.fft.rfft(response, n_fft, axis=-1)
    out = np.zeros((*samples.shape[:-1], n_out), samples.dtype)
    for start in range(0, n_samples, step):
        block = samples[..., start : start + step]
        n_block = block.shape[-1] + n_response - 1
        out[..., start : start + n_block] += convolve_with_spectrum(block, spectrum, n_fft)[..., :n_block]
    return out
