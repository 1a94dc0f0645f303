"""Small operations on signals and on sequences of frames, shared by everything that restores."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray


def smooth(values: NDArray, length: int, axis: int = 0) -> NDArray:
    """Return the centred moving average over ``length`` entries of ``axis``, edges held."""
    return scipy.ndimage.uniform_filter1d(values, max(1, length), axis=axis, mode="nearest")


def minimum_behind(values: NDArray, length: int) -> NDArray:
    """Return the smallest of each value and the ``length - 1`` before it, along axis 0."""
    length = max(1, length)
    return scipy.ndimage.minimum_filter1d(values, length, axis=0, origin=(length - 1) // 2, mode="nearest")


def minimum_ahead(values: NDArray, length: int) -> NDArray:
    """Return the smallest of each value and the ``length - 1`` after it, along axis 0."""
    length = max(1, length)
    return scipy.ndimage.minimum_filter1d(values, length, axis=0, origin=-(length // 2), mode="nearest")


def quantile_across(rows: NDArray, quantile: float, width: int) -> NDArray:
    """Return the running quantile over ``width`` (odd) neighbours within each row of ``(row, column)``.

    All rows are filtered as one padded line, for which scipy has a fast rank filter (7 times the 2-D one).
    """
    if width < 3:
        return rows
    half = width // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="edge")
    line = scipy.ndimage.percentile_filter(padded.ravel(), 100 * quantile, size=width, mode="nearest")
    return line.reshape(padded.shape)[:, half : half + rows.shape[1]]


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 below ``low``, 1 above ``high``, and a straight line between."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def resample_grid(rows: NDArray, centres: NDArray, wanted_centres: NDArray, n_columns: int) -> NDArray:
    """Return ``rows`` of one spectrogram grid on another: nearest in time, linear in frequency.

    ``(row, column)`` at times ``centres`` -> ``(len(wanted_centres), n_columns)``; both frequency axes span 0 to
    Nyquist.
    """
    position = np.linspace(0, rows.shape[1] - 1, n_columns)
    left = np.minimum(position.astype(int), rows.shape[1] - 2)
    share = (position - left).astype(rows.dtype)
    columns = rows[:, left] * (1 - share) + rows[:, left + 1] * share
    step = (centres[1] - centres[0]) if len(centres) > 1 else 1.0
    nearest = np.clip(np.round((wanted_centres - centres[0]) / step).astype(int), 0, len(rows) - 1)
    return columns[nearest]
