"""Seams: whether what a tool does to a recording jumps at even distances, as at the ends of the chunks it works in.

Looked at is the gain between input and output in some bands, and how much it changes from one moment to the next.  What
changes in the input as well, as at each beat of music, is taken off.  What is left is brought to a normal distribution
by its ranks, so that no single event counts for much, and summed over all files at the same distance from their start.
Where the input has a beat, what repeats with it is taken off.  The rest is folded at every period from 0.1 s up to a
third of the longest recording, and at every phase (Staelin, "Fast folding algorithm for detection of periodic pulse
trains", 1969).  By chance, each sum over the root of the number of its terms is a normal variable; the highest tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.dsp.spectral import hann

Samples = NDArray[np.float64]
Row = NDArray[np.float32]

HOP_SECONDS = 0.01
FRAME_HOPS = 2  # a frame is 20 ms long
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 60.0  # of a period
LEAST_SEAMS = 3
STEP_LIMITS_SECONDS, STEPS = (
    (SHORTEST_SECONDS, 2.0, 8.0, LONGEST_SECONDS),
    (1, 2, 4),
)  # hops that long periods are summed over
LONGEST_BEAT_SECONDS, BEAT_STRENGTH, MOST_BEATS = 2.0, 6.0, 3
MOST_PROFILE_HOPS = 100
EDGES_HZ = (0.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
FLOOR = 1e-5  # of a band's mean power: what is quieter has no gain
MOST_JUMP_DB = 40.0
NEAR_HOPS = 6  # around a change of the input, within which the gain may change as well
EDGE_HOPS = 5  # at the ends of a recording, where a tool begins and ends


@dataclass(frozen=True)
class Jumps:
    """How much the gain changes in one recording, at each hop of 10 ms from its start."""

    gain_db: Row  # mean over bands of how much the gain changed
    score: Row  # the same as a normal variable, the input's own changes taken off; 0 where nothing is known
    own: Row  # how much the input changes, as a normal variable
    is_known: NDArray[np.bool_]


@dataclass(frozen=True)
class Seams:
    """The period at which the gain jumps most."""

    period_seconds: float
    first_seconds: float
    strength: float  # in deviations
    jump_db: float  # of the gain at seams, above what it changes elsewhere
    n_seams: int  # moments, whatever the number of files
    n_files: int
    periods_seconds: NDArray  # that were tried
    strengths: NDArray  # the highest of each
    profile_db: NDArray  # mean change of the gain at each hop around a seam, which is in the middle


@dataclass(frozen=True)
class _Peak:
    strength: float
    period_hops: float
    phase_hops: float


def jumps_of(degraded: Samples, enhanced: Samples, sample_rate: int) -> Jumps:
    """Return the jumps of the gain between two aligned sounds ``(time,)``."""
    levels = [_band_levels_db(side, sample_rate) for side in (degraded, enhanced)]
    n_hops = len(levels[0])
    is_known = np.zeros(n_hops, bool)
    is_known[EDGE_HOPS:-EDGE_HOPS] = n_hops >= 4 * EDGE_HOPS
    gain_db = _changes(levels[1] - levels[0])
    own = _normal(_changes(levels[0]), is_known)
    score = _normal(_normal(gain_db, is_known) - scipy.ndimage.maximum_filter1d(own, 2 * NEAR_HOPS + 1), is_known)
    return Jumps(gain_db.astype(np.float32), score.astype(np.float32), own.astype(np.float32), is_known)


def find_seams(files: Sequence[Jumps]) -> Seams | None:
    """Return the period that the jumps of all files have most in common; None where they are too short for any."""
    n_hops = max((len(each.score) for each in files), default=0)
    if not any(each.is_known.any() for each in files):
        return None
    sums = np.zeros((3, n_hops), np.float32)
    for each in files:
        sums[:, : len(each.score)] += np.stack([each.score, each.own, each.is_known])
    score, own, known = sums
    for _ in range(MOST_BEATS):  # what repeats with the input's own beat is none of the tool's
        beat = _highest(np.stack([own, known]), LONGEST_BEAT_SECONDS)[0]
        if beat is None or beat.strength < BEAT_STRENGTH:
            break
        score, own = (_without_period(row, known, beat.period_hops) for row in (score, own))
    best, periods, curve = _highest(np.stack([score, known]), LONGEST_SECONDS)
    return _described(files, best, periods, curve) if best else None


def _highest(rows: Row, longest_seconds: float) -> tuple[_Peak | None, NDArray, NDArray]:
    """Return the highest fold of scores beside how many they are, ``(2, time)``, and the highest at each period.

    Long periods are folded in coarser steps.
    """
    best, tried, curve = None, [], []
    for (low, high), step in zip(pairwise(STEP_LIMITS_SECONDS), STEPS, strict=True):
        coarse = _coarser(rows, step)
        deviation = float(np.sqrt(np.mean(np.square(coarse[0][coarse[1] > 0] / np.sqrt(coarse[1][coarse[1] > 0])))))
        hop = HOP_SECONDS * step
        for base in range(
            round(low / hop), min(round(min(high, longest_seconds) / hop), coarse.shape[1] // LEAST_SEAMS)
        ):
            folds, periods = folded(coarse, base)
            strengths = folds[:, 0] / np.sqrt(np.maximum(folds[:, 1], 1.0)) / max(deviation, 1e-6)
            row, phase = np.unravel_index(int(strengths.argmax()), strengths.shape)
            tried.append(float(periods[row]) * hop)
            curve.append(float(strengths[row, phase]))
            if best is None or curve[-1] > best.strength:
                best = _Peak(curve[-1], float(periods[row]) * step, (float(phase) + 0.5) * step - 0.5)
    return best, np.array(tried), np.array(curve)


def _coarser(rows: Row, step: int) -> Row:
    """Return the sums of each ``step`` values of ``(row, time)``."""
    n_whole = rows.shape[1] // step
    return rows[:, : n_whole * step].reshape(len(rows), n_whole, step).sum(axis=2)


def _without_period(score: Row, known: Row, period: float) -> Row:
    """Return scores without what they have on average at each phase of a period."""
    phases = (np.arange(len(score)) % period).astype(int)
    n_each = np.bincount(phases, known)
    mean = np.bincount(phases, score) / np.maximum(n_each, 1)
    return (score - known * mean[phases]).astype(np.float32)


def folded(rows: Row, base: int) -> tuple[Row, NDArray]:
    """Return sums of ``(row, time)`` at periods of ``base`` to ``base + 1``, ``(period, row, phase)``, and the periods.

    Fast folding: two folds of neighbouring halves, one moved by as much as the period exceeds ``base``, make the
    fold of both.
    """
    n_rows, n_hops = rows.shape
    n_blocks = 1 << max(0, (-(-n_hops // base) - 1).bit_length())
    padded = np.zeros((n_rows, n_blocks * base), rows.dtype)
    padded[:, :n_hops] = rows
    folds = padded.reshape(n_rows, n_blocks, 1, base).transpose(1, 2, 0, 3)  # (block, shift, row, phase)
    while len(folds) > 1:
        first, second = folds[::2], folds[1::2]
        made = np.empty((len(first), 2 * folds.shape[1], n_rows, base), rows.dtype)
        for shift in range(made.shape[1]):
            moved = (shift + 1) // 2 % base
            made[:, shift] = first[:, shift // 2]
            made[:, shift, :, : base - moved] += second[:, shift // 2, :, moved:]
            made[:, shift, :, base - moved :] += second[:, shift // 2, :, :moved]
        folds = made
    return folds[0], base + np.arange(folds.shape[1]) / max(1, n_blocks - 1)


def _described(files: Sequence[Jumps], best: _Peak, periods: NDArray, curve: NDArray) -> Seams:
    period, n_hops = best.period_hops, max(len(each.score) for each in files)
    moments = np.round(np.arange(best.phase_hops, n_hops - 1, period)).astype(int)
    moments = moments[moments >= EDGE_HOPS]
    half = int(min(period / 2, MOST_PROFILE_HOPS))
    at_seams = [each.gain_db[own] for each in files if len(own := _inside(moments, each))]
    elsewhere = [float(np.mean(each.gain_db[each.is_known])) for each in files if each.is_known.any()]
    around = [
        np.mean([each.gain_db[moment - half : moment + half + 1] for moment in inner], axis=0)
        for each in files
        if len(inner := [moment for moment in moments if half <= moment < len(each.gain_db) - half])
    ]
    return Seams(
        period * HOP_SECONDS,
        float(moments[0]) * HOP_SECONDS if len(moments) else 0.0,
        best.strength,
        float(np.mean(np.concatenate(at_seams)) - np.mean(elsewhere)) if at_seams and elsewhere else 0.0,
        len(moments),
        len(at_seams),
        periods,
        curve,
        np.mean(around, axis=0) if around else np.zeros(1),
    )


def _inside(moments: NDArray, file: Jumps) -> NDArray:
    inside = moments[moments < len(file.is_known)]
    return inside[file.is_known[inside]]


def _band_levels_db(samples: Samples, sample_rate: int) -> NDArray:
    """Return the level of some bands at each hop, in dB, ``(hop, band)``."""
    hop = round(HOP_SECONDS * sample_rate)
    length = FRAME_HOPS * hop
    padded = np.pad(samples, (length // 2, length))
    frames = sliding_window_view(padded, length)[::hop][: len(samples) // hop]
    if not len(frames):
        return np.zeros((0, 1))
    window = hann(length, np.float64)
    n_fft = scipy.fft.next_fast_len(length, real=True)
    edges = [round(edge * n_fft / sample_rate) for edge in EDGES_HZ if edge < sample_rate / 2]
    parts = []
    for start in range(0, len(frames), 4096):
        spectra = scipy.fft.rfft(frames[start : start + 4096] * window, n_fft, axis=1)
        power = np.square(spectra.real) + np.square(spectra.imag)
        parts.append(np.add.reduceat(power, edges, axis=1))
    bands = np.concatenate(parts)
    return 10 * np.log10(bands + FLOOR * bands.mean(axis=0) + 1e-20)


def _changes(levels_db: NDArray) -> NDArray:
    """Return how much bands change around each hop, from the frame before to the one after: ``(hop,)``, in dB."""
    changed = np.zeros(len(levels_db))
    changed[1:-1] = np.minimum(np.abs(levels_db[2:] - levels_db[:-2]), MOST_JUMP_DB).mean(axis=1)
    return changed


def _normal(values: NDArray, is_known: NDArray) -> NDArray:
    """Return what is known as a normal variable by its rank, 0 elsewhere; what is all alike is 0."""
    scores = np.zeros(len(values))
    known = values[is_known]
    if not len(known) or np.ptp(known) <= 1e-6:
        return scores
    ranks = np.empty(len(known))
    ranks[np.argsort(known, kind="stable")] = np.arange(len(known))
    scores[is_known] = scipy.special.ndtri((ranks + 0.5) / len(known))
    return scores
