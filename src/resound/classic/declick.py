"""Clicks and crackle: found on the residual of a short-time autoregressive model, interpolated by least squares.

After Godsill & Rayner, *Digital Audio Restoration* (1998): detection by inverse filtering (section 5.2), least-squares
AR interpolation (section 5.2.2).  A click is what speech and music are not: unpredictable from its neighbours, far
above the residual around it on **both** sides, and over within a few milliseconds.  So a plosive, a drum stroke or a
glottal pulse is left alone, and samples outside a click are never touched.

Nothing depends on absolute level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

SEGMENT_SECONDS = 0.012  # of constant AR coefficients, fitted on twice as much
SCALE_SECONDS = 0.01  # the residual's level is known this finely
CONTEXT_SECONDS = 0.1
JOIN_SECONDS = 0.00015  # between the spikes of one click
BORROW_SEGMENTS = 4  # how far a segment with a click looks for coefficients without one
FIT_BATCH = 256  # segments whose spectra are held at once
MAX_UNKNOWN = 512  # samples of one group of neighbouring clicks solved together


class DeclickConfig(BaseModel):
    """Settings of `Declick`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="repair clicks and crackle")
    threshold: float = Field(
        12.0, ge=2, le=100, description="a click stands this many times above the residual; lower finds more"
    )
    edge: float = Field(3.0, ge=0.5, le=20, description="a click reaches to where it falls below this")
    max_click_seconds: float = Field(0.002, gt=0, le=0.02, description="anything longer is no click")
    order: int = Field(0, ge=0, le=128, description="of the AR model; 0 chooses by sample rate")
    passes: int = Field(2, ge=1, le=5, description="small clicks show once large ones are gone")


class Declick:
    """Replaces clicks by what their surroundings predict; each channel on its own, because scratches are.

    A restorer: see `resound.inference.offline`.
    """

    name = "declick"

    def __init__(self, sample_rate: int, config: DeclickConfig | None = None) -> None:
        self.sample_rate = sample_rate
        self.config = config or DeclickConfig()
        self.context = round(CONTEXT_SECONDS * sample_rate)
        # 32 poles at 44.1 kHz; fewer where there is less band to model
        self.order = self.config.order or int(np.clip(round(sample_rate / 1400), 12, 48))

    def process(self, block: NDArray) -> NDArray:
        """Return the block without clicks, ``(channel, time)`` -> ``(channel, time)``."""
        return np.stack([self._repair(channel) for channel in block]) if block.size else block

    def count(self, samples: NDArray) -> int:
        """Return how many clicks the first pass finds in ``(time,)`` samples."""
        if len(samples) < 8 * self.order or not np.any(samples):
            return 0
        model = fit_segments(samples, self.order, round(SEGMENT_SECONDS * self.sample_rate))
        clicks = find_clicks(samples, model, self.sample_rate, self.config)
        return int(np.count_nonzero(np.diff(clicks.astype(np.int8)) == 1))

    def _repair(self, samples: NDArray) -> NDArray:
        if len(samples) < 8 * self.order or not np.any(samples):
            return samples
        repaired = samples.astype(np.float64, copy=True)
        for _ in range(self.config.passes):
            model = fit_segments(repaired, self.order, round(SEGMENT_SECONDS * self.sample_rate))
            clicks = find_clicks(repaired, model, self.sample_rate, self.config)
            if not clicks.any():
                break
            model = borrow_clean_models(model, clicks)
            clicks = touching(find_clicks(repaired, model, self.sample_rate, self.config), clicks)
            interpolate(repaired, clicks, model)
            # a borrowed model fits roughly; one fitted on the rough repair fits well
            model = fit_segments(repaired, self.order, round(SEGMENT_SECONDS * self.sample_rate))
            interpolate(repaired, clicks, model)
        return repaired.astype(samples.dtype)


@dataclass(frozen=True)
class SegmentModel:
    """AR coefficients of consecutive segments: prediction error e[n] = sum_k coefficients[segment, k] x[n - k]."""

    coefficients: NDArray  # (segment, order + 1), the first of each is 1
    segment_samples: int

    @property
    def order(self) -> int:
        """Number of poles."""
        return self.coefficients.shape[1] - 1


def fit_segments(samples: NDArray, order: int, segment_samples: int) -> SegmentModel:
    """Return the AR model of each segment of ``(time,)``, fitted on the segment and half its length on both sides."""
    n_segments = -(-len(samples) // segment_samples)
    half = segment_samples // 2
    padded = np.zeros(n_segments * segment_samples + 2 * half)
    padded[half : half + len(samples)] = samples
    window = np.hanning(segment_samples + 2 * half + 2)[1:-1]
    frames = sliding_window_view(padded, segment_samples + 2 * half)[::segment_samples]
    n_fft = 1 << int(2 * segment_samples + order).bit_length()
    correlation = np.empty((n_segments, order + 1))
    for first in range(0, n_segments, FIT_BATCH):
        batch = slice(first, first + FIT_BATCH)
        spectrum = np.fft.rfft(frames[batch] * window, n_fft)
        correlation[batch] = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:, : order + 1]
    return SegmentModel(levinson(correlation), segment_samples)


def borrow_clean_models(model: SegmentModel, clicks: NDArray) -> SegmentModel:
    """Return the model in which segments fitted on a click have the coefficients of the nearest one that was not.

    A loud click bends the fit towards itself, and then its own ringing looks predictable and stays behind.  Segments
    without a clean neighbour nearby (dense crackle) keep their own.
    """
    size, n_segments = model.segment_samples, len(model.coefficients)
    padded = np.zeros((n_segments + 1) * size, dtype=bool)
    padded[size // 2 : size // 2 + len(clicks)] = clicks
    halves = np.logical_or.reduce(padded.reshape(-1, size), axis=1)
    spoiled = halves[:-1] | halves[1:]  # the fit of a segment sees half a segment beyond it on both sides
    numbers = np.arange(n_segments)
    clean = np.flatnonzero(~spoiled)
    if not len(clean):
        return model
    place = np.clip(np.searchsorted(clean, numbers), 1, max(1, len(clean) - 1))
    left, right = clean[place - 1], clean[np.minimum(place, len(clean) - 1)]
    nearest = np.where(numbers - left <= right - numbers, left, right)
    near_enough = np.abs(nearest - numbers) <= BORROW_SEGMENTS
    return SegmentModel(model.coefficients[np.where(spoiled & near_enough, nearest, numbers)], size)


def levinson(correlation: NDArray) -> NDArray:
    """Return the prediction-error filters ``(row, order + 1)`` of autocorrelations of the same shape.

    Levinson-Durbin for all rows at once, with white noise 90 dB below added so that silence and pure tones solve.
    """
    n_rows, order = correlation.shape[0], correlation.shape[1] - 1
    filters = np.zeros((n_rows, order + 1))
    filters[:, 0] = 1.0
    error = correlation[:, 0] * (1 + 1e-9) + np.finfo(np.float64).tiny
    for step in range(1, order + 1):
        reflection = -np.einsum("rk,rk->r", filters[:, :step], correlation[:, step:0:-1]) / error
        filters[:, 1 : step + 1] += reflection[:, None] * filters[:, step - 1 :: -1][:, :step]
        error = error * np.maximum(1 - reflection**2, 1e-9)
    return filters


def prediction_error(samples: NDArray, model: SegmentModel) -> NDArray:
    """Return the prediction error ``(time,)``; 0 where there is no past to predict from."""
    n_segments, size, order = len(model.coefficients), model.segment_samples, model.order
    padded = np.zeros(order + n_segments * size)
    padded[order : order + len(samples)] = samples
    error = np.zeros((n_segments, size))
    for lag in range(order + 1):
        shifted = padded[order - lag : order - lag + n_segments * size].reshape(n_segments, size)
        error += model.coefficients[:, lag : lag + 1] * shifted
    flat = error.reshape(-1)[: len(samples)]
    flat[:order] = 0  # the model has no past there
    return flat


def backward_prediction_error(samples: NDArray, model: SegmentModel) -> NDArray:
    """Return the error of predicting each sample from those after it, ``(time,)``.

    A stationary process looks the same backwards, so the same filter serves, applied to time reversed.
    """
    n_segments, size = len(model.coefficients), model.segment_samples
    reversed_model = SegmentModel(model.coefficients[::-1], size)
    padded = np.zeros(n_segments * size)
    padded[: len(samples)] = samples
    return prediction_error(padded[::-1], reversed_model)[::-1][: len(samples)]


def residual_scale(error: NDArray, block_samples: int) -> NDArray:
    """Return the residual's standard deviation around each sample, ``(time,)``, as if it were Gaussian.

    From quantiles of blocks, the larger of three views: the block itself (its 75th percentile: a click with its ringing
    is too short to move it, a burst is not), and the blocks on either side (their 90th percentile: glottal pulses
    count, and what begins loudly and stays loud is an onset).
    """
    n_blocks = max(1, len(error) // block_samples)
    usable = n_blocks * block_samples if len(error) >= block_samples else len(error)
    blocks = np.abs(error[:usable]).reshape(n_blocks, -1)
    within, around = np.quantile(blocks, [0.75, 0.9], axis=1)
    within, around = within / 1.150, around / 1.645  # these quantiles of |Gaussian|
    beside = np.pad(around, 1, mode="edge")
    level = np.maximum(within, np.maximum(beside[:-2], beside[2:]))
    return np.repeat(level, blocks.shape[1])[np.minimum(np.arange(len(error)), usable - 1)]


def find_clicks(samples: NDArray, model: SegmentModel, sample_rate: int, config: DeclickConfig) -> NDArray:
    """Return which samples belong to clicks, ``(time,)`` of bool.

    A click rings on through the prediction filter, forwards in time in the error of forward prediction, backwards in
    that of backward prediction: only the click itself is in both.
    """
    tiny = np.finfo(np.float64).tiny
    join = np.ones(max(2, round(JOIN_SECONDS * sample_rate)), dtype=bool)
    loud, within = np.zeros(len(samples), dtype=bool), np.ones(len(samples), dtype=bool)
    for error in (prediction_error(samples, model), backward_prediction_error(samples, model)):
        scale = residual_scale(error, max(16, round(SCALE_SECONDS * sample_rate)))
        magnitude = np.abs(error)
        loud |= magnitude > config.threshold * scale + tiny
        above = np.pad(magnitude > config.edge * scale + tiny, len(join))
        within &= scipy.ndimage.binary_closing(above, join)[len(join) : -len(join)]
    if not (loud & within).any():
        return np.zeros_like(loud)
    labels, n_labels = scipy.ndimage.label(within)
    chosen = np.zeros(n_labels + 1, dtype=bool)
    chosen[np.unique(labels[loud & within])] = True
    chosen &= np.bincount(labels, minlength=n_labels + 1) <= max(3, round(config.max_click_seconds * sample_rate))
    chosen[0] = False
    return scipy.ndimage.binary_dilation(chosen[labels], iterations=1)


def touching(found: NDArray, seeds: NDArray) -> NDArray:
    """Return the stretches of either mask, ``(time,)`` of bool, that hold a seed."""
    labels, n_labels = scipy.ndimage.label(found | seeds)
    chosen = np.zeros(n_labels + 1, dtype=bool)
    chosen[np.unique(labels[seeds])] = True
    return chosen[labels]


def interpolate(samples: NDArray, unknown: NDArray, model: SegmentModel) -> None:
    """Replace the unknown samples of ``(time,)`` in place by those that make the prediction error least.

    Godsill & Rayner 1998, eq. 5.15: with b the autocorrelation of the prediction filter, unknowns u solve
    ``sum_j b[|i - j|] u_j = -sum_k b[|i - k|] x_k`` over known neighbours k within the order.
    """
    order = model.order
    groups = group_unknowns(np.flatnonzero(unknown), order)
    known = np.pad(np.where(unknown, 0.0, samples), order)
    sizes = np.array([len(group) for group in groups])
    for upper in (8, 16, 32, 64, 128, 256, MAX_UNKNOWN):
        bucket = [
            group
            for group, size in zip(groups, sizes, strict=True)
            if upper // 2 < size <= upper or (upper == 8 and size <= 4)
        ]
        batch = max(1, 2_000_000 // (upper * (2 * order + 1)))
        for first in range(0, len(bucket), batch):
            solve_groups(samples, known, bucket[first : first + batch], upper, model)


def group_unknowns(positions: NDArray, order: int) -> list[NDArray]:
    """Return the positions in groups that do not see each other through a model of this order."""
    groups = np.split(positions, np.flatnonzero(np.diff(positions) > order) + 1)
    return [group[first : first + MAX_UNKNOWN] for group in groups for first in range(0, len(group), MAX_UNKNOWN)]


def solve_groups(samples: NDArray, known: NDArray, groups: list[NDArray], size: int, model: SegmentModel) -> None:
    """Solve groups of at most ``size`` unknowns at once and write them into ``samples``."""
    order = model.order
    positions = np.stack([np.pad(group, (0, size - len(group)), mode="edge") for group in groups])
    real = np.arange(size) < np.array([len(group) for group in groups])[:, None]
    segment = np.minimum(positions[:, 0] // model.segment_samples, len(model.coefficients) - 1)
    filters = model.coefficients[segment]
    spectrum = np.fft.rfft(filters, 2 * order + 2)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, 2 * order + 2)[:, : order + 2]
    correlation[:, order + 1] = 0.0  # lags beyond the order share no prediction
    lags = np.minimum(np.abs(positions[:, :, None] - positions[:, None, :]), order + 1)
    matrix = np.take_along_axis(correlation[:, None, :], lags, axis=2)
    matrix = np.where(real[:, :, None] & real[:, None, :], matrix, 0.0)
    diagonal = np.arange(size)
    matrix[:, diagonal, diagonal] = np.where(real, correlation[:, :1] * (1 + 1e-9), 1.0)
    around = sliding_window_view(known, 2 * order + 1)[positions]  # (group, size, 2 order + 1)
    symmetric = np.concatenate([correlation[:, order:0:-1], correlation[:, : order + 1]], axis=1)
    right = -np.einsum("gsk,gk->gs", around, symmetric)
    solution = np.linalg.solve(matrix, np.where(real, right, 0.0)[..., None])[..., 0]
    samples[positions[real]] = solution[real]
