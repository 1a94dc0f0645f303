"""How good one estimate is: all measures of one example, as plain numbers.

A measure that has no answer for an example (a silent target has no SI-SDR) is NaN, which summaries count.  Ratios in
dB end at ±100: one perfect or silent estimate must not outweigh all others in a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resound import metrics
from resound.dsp.permutation import best_matching
from resound.judging.measures import MEASURES
from resound.judging.perceptual import left_out, perceptual
from resound.mixing.example import Example

LIMIT_DB = 100.0
NAN = float("nan")


@dataclass(frozen=True)
class Judged:
    """The scores of one example of a set; measures that were not asked for are absent."""

    index: int
    domain: str
    scores: dict[str, float]


def score(
    estimate: NDArray, example: Example, extra: tuple[str, ...] = (), cheap: tuple[str, ...] = tuple(MEASURES)
) -> dict[str, float]:
    """Return the ``cheap`` `MEASURES` of ``(channel, time)``, or of ``(source, time)`` in any order, and the ``extra``.

    Means over channels or sources, NaN where one of them is.  ``extra`` are names of `PERCEPTUAL`; those whose package
    is absent are left out.
    """
    assert estimate.shape == example.clean.shape, f"{estimate.shape} for {example.clean.shape}"
    clean, degraded = example.clean.astype(np.float64), unprocessed(example).astype(np.float64)
    estimate = estimate.astype(np.float64)
    asked = [name for name in extra if name not in left_out(extra)]
    with np.errstate(all="ignore"):
        if separates(example):
            estimate = estimate[matched(estimate, clean)]
        each = [
            _scores(*parts, example.sample_rate, asked, cheap) for parts in zip(estimate, clean, degraded, strict=True)
        ]
    return {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}


def separates(example: Example) -> bool:
    """Whether the targets are the sources of a mixture, not the channels of a recording."""
    return example.task == "separate"


def unprocessed(example: Example) -> NDArray:
    """Return the input in the shape of the target: the mixture once for each source; of two versions the denoised."""
    if not separates(example):
        return example.degraded[: len(example.clean)]
    return np.repeat(example.degraded.mean(axis=0, keepdims=True), len(example.clean), axis=0)


def noisy(example: Example) -> NDArray:
    """Return the degraded input in the shape of the target; of two versions the one that no denoiser has been over."""
    return example.degraded[-len(example.clean) :] if example.task == "regenerate" else unprocessed(example)


def matched(estimate: NDArray, clean: NDArray) -> NDArray[np.int64]:
    """Return which estimate belongs to each target, ``(source,)``: the order with the highest sum of SI-SDR."""
    pairwise = si_sdr(np.nan_to_num(estimate)[None, :], clean[:, None])
    return best_matching(np.nan_to_num(pairwise)).order


def si_sdr(estimate: NDArray, target: NDArray) -> NDArray:
    """Return the SI-SDR in dB, ``(..., time)`` -> ``(...)``: the least for silence, NaN for a silent target."""
    ratio_db = np.clip(metrics.si_sdr(estimate, target), -LIMIT_DB, LIMIT_DB)
    ratio_db = np.where(_silent(estimate), -LIMIT_DB, ratio_db)
    return np.where(_silent(target), NAN, ratio_db)


def _scores(
    estimate: NDArray,
    target: NDArray,
    degraded: NDArray,
    sample_rate: int,
    asked: Sequence[str],
    cheap: Sequence[str],
) -> dict[str, float]:
    """Return the measures of ``(time,)`` arrays."""
    if not np.isfinite(estimate).all() or _silent(target):
        return dict.fromkeys([*cheap, *asked], NAN)
    is_known = not _silent(degraded)
    measured: dict[str, Callable[[], float]] = {
        "si_sdr": lambda: float(si_sdr(estimate, target)),
        "si_sdr_i": lambda: float(si_sdr(estimate, target) - si_sdr(degraded, target)) if is_known else NAN,
        "snr": lambda: _snr_db(estimate, target),
        "snr_i": lambda: _snr_db(estimate, target) - _snr_db(degraded, target) if is_known else NAN,
        "level_db": lambda: _level_db(estimate, target, sample_rate),
        "level_ratio_db": lambda: _decibels(np.mean(estimate**2), np.mean(target**2)),
        "removed_correlation": lambda: _correlation(degraded - estimate, target),
        "lsd": lambda: _lsd(estimate, target, sample_rate),
    }
    values = {name: measured[name]() for name in cheap}
    values |= {name: _perceptual(name, estimate, target, sample_rate) for name in asked}
    return {name: value if np.isfinite(value) else NAN for name, value in values.items()}  # beyond what numbers hold


def _silent(samples: NDArray) -> NDArray[np.bool_]:
    """Whether nothing moves in ``(..., time)``; a constant is no sound."""
    return np.asarray(np.ptp(samples, axis=-1) == 0)


def _decibels(power: float, reference: float) -> float:
    return float(np.clip(10 * (np.log10(power) - np.log10(reference)), -LIMIT_DB, LIMIT_DB))


def _snr_db(estimate: NDArray, target: NDArray) -> float:
    return _decibels(np.sum(target**2), np.sum((estimate - target) ** 2))


def _level_db(estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    if len(target) < round(0.03 * sample_rate):  # one frame
        return NAN
    return float(np.clip(metrics.speech_level_change_db(estimate, target, sample_rate), -LIMIT_DB, LIMIT_DB))


def _correlation(removed: NDArray, target: NDArray) -> float:
    """Return the correlation of what was removed with the target; NaN where nothing was."""
    removed, target = removed - removed.mean(), target - target.mean()
    return float(np.sum(removed * target) / np.sqrt(np.sum(removed**2) * np.sum(target**2)))


def _lsd(estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    # Brought to one level in float64 first, because spectra are float32.
    peak = np.abs(target).max()
    scaled = [(samples / peak).astype(np.float32) for samples in (estimate, target)]
    return metrics.log_spectral_distance(scaled[0], scaled[1], sample_rate)


def _perceptual(name: str, estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    return NAN if _silent(estimate) else perceptual(name, estimate, target, sample_rate)
