"""Which stretches of a recording hold noise and nothing else, decided on `resound.harvest.evidence`.

Conservative: what is doubtful is left out.  A step is kept where everything speaks for noise, the stretch is then
shortened at both ends, and each second that is left out is counted under the first reason that speaks against it.
The limits were set on record and film noise, on speech with known noise and on music; ``benchmarks/harvest_quality.py``
measures what they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from resound.dsp.signal import smooth
from resound.harvest.evidence import Evidence

FLOOR_SEGMENT_SECONDS = 10.0
FLOOR_REACH_SEGMENTS = 3  # the floor is the lowest of so many segments on both sides
FLOOR_QUANTILE = 0.05
LEVEL_SECONDS = 0.4
SYLLABLE_SECONDS = 0.5  # the envelope's mean over so long is taken away: what is left is 2 Hz and faster
PROGRAMME_SHARE = 0.05
PROGRAMME_SECONDS = 60.0
# Noise without a programme may move so many times more, and stand so many times further above its floor.
WANDERING = 1.5
WANDERING_LEVEL = 3.0
EMPTY_BAND_DB = 60.0  # a band so far below the strongest one is no part of the recording
REASONS = {
    "silent": "digital silence, or too quiet to be anybody's noise",
    "above_floor": "louder than the recording's own floor",
    "lines": "steady tones stand out",
    "pitch": "a voice's or an instrument's period shows",
    "modulated": "the level moves at the pace of syllables and notes",
    "edge": "too near to one of these",
    "too_short": "a stretch shorter than asked for",
}


class HarvestConfig(BaseModel):
    """What counts as noise only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_seconds: float = Field(0.5, ge=0.1, le=600, description="shorter stretches are left out")
    max_seconds: float | None = Field(None, ge=0.1, description="longer stretches are cut into pieces of this length")
    least_dbfs: float = Field(-85.0, ge=-140, le=0, description="what is quieter is silence")
    floor_db: float = Field(3.5, gt=0, le=20, description="above the floor at most so much, mean over bands")
    floor_band_db: float = Field(7.0, gt=0, le=40, description="... and in no band more than this")
    below_programme_db: float = Field(4.0, ge=0, le=60, description="... and at least so much below the programme")
    line_db: float = Field(9.0, gt=0, le=40, description="no line stands further above its surroundings")
    pitch: float = Field(0.25, gt=0, le=1, description="height of the autocorrelation's peak")
    modulation_db: float = Field(3.2, gt=0, le=20, description="RMS of the envelope above 2 Hz, mean over bands")
    modulation_band_db: float = Field(4.5, gt=0, le=40, description="... and in no band more than this")
    guard_seconds: float = Field(0.15, ge=0, le=5, description="left out at both ends of each stretch")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_seconds is not None and self.max_seconds < self.min_seconds:
            raise ValueError(f"max_seconds {self.max_seconds:g} is below min_seconds {self.min_seconds:g}; swap them")
        return self


@dataclass(frozen=True)
class Stretch:
    """A piece of noise, and why it was taken for noise: the largest value of each measure."""

    start_samples: int
    n_samples: int
    seconds: float
    start_seconds: float
    level_dbfs: float
    below_programme_db: float | None  # None where there is no programme
    above_floor_db: float
    line_db: float
    pitch: float
    modulation_db: float


@dataclass(frozen=True)
class Verdict:
    """The stretches of a recording, and for how many seconds each reason spoke against the rest."""

    stretches: tuple[Stretch, ...]
    rejected_seconds: dict[str, float]
    programme_dbfs: float | None


@dataclass(frozen=True)
class Measures:
    """What the limits are held against, each ``(step,)``."""

    level_dbfs: NDArray
    above_floor_db: NDArray
    above_floor_band_db: NDArray
    line_db: NDArray
    pitch: NDArray
    modulation_db: NDArray
    modulation_band_db: NDArray


def find_stretches(evidence: Evidence, sample_rate: int, config: HarvestConfig) -> Verdict:
    """Return the noise-only stretches of a recording in its own samples."""
    if not evidence.n_steps:
        return Verdict((), dict.fromkeys(REASONS, 0.0), None)
    measures = measure(evidence, config)
    programme = has_programme(measures, config, evidence.step_seconds)
    programme_dbfs = programme_level_dbfs(evidence, measures, config) if programme else None
    reason = first_reason(measures, config, programme_dbfs, wanders=not programme)
    kept = shortened(reason < 0, round(config.guard_seconds / evidence.step_seconds))
    least_steps = int(np.ceil(config.min_seconds / evidence.step_seconds - 1e-6))
    runs = [run for run in runs_of(kept) if run[1] - run[0] >= least_steps]
    long_enough = np.zeros_like(kept)
    for first, last in runs:
        long_enough[first:last] = True
    names = list(REASONS)
    reason[(reason < 0) & ~kept] = names.index("edge")
    reason[kept & ~long_enough] = names.index("too_short")
    seconds = np.bincount(reason[~long_enough], minlength=len(names)) * evidence.step_seconds
    pieces = [piece for run in runs for piece in pieces_of(run, config, evidence.step_seconds)]
    return Verdict(
        tuple(describe(piece, evidence, measures, sample_rate, programme_dbfs) for piece in pieces),
        {name: round(float(value), 3) for name, value in zip(names, seconds, strict=True)},
        programme_dbfs,
    )


def measure(evidence: Evidence, config: HarvestConfig) -> Measures:
    """Return the measures of each step; band by band, so that an hour takes a few MB."""
    step_seconds = evidence.step_seconds
    n_level, n_syllable = round(LEVEL_SECONDS / step_seconds), round(SYLLABLE_SECONDS / step_seconds)
    silent = decibels(evidence.power) < config.least_dbfs
    starts = segment_starts(evidence.n_steps, step_seconds)
    segment = np.repeat(np.arange(len(starts)), np.diff([*starts, evidence.n_steps]))
    levels = (decibels(smooth(band, n_level)) for band in evidence.bands.T)
    floor_db = np.stack([band_floor_db(level_db, silent, starts) for level_db in levels], axis=1)  # (segment, band)
    heard = floor_db > floor_db.max(axis=1, keepdims=True) - EMPTY_BAND_DB
    total_above, total_moved = np.zeros(evidence.n_steps), np.zeros(evidence.n_steps)
    most_above, most_moved = np.full(evidence.n_steps, -np.inf), np.zeros(evidence.n_steps)
    for number, band in enumerate(evidence.bands.T):
        is_heard = heard[segment, number]
        above_db = np.where(is_heard, decibels(smooth(band, n_level)) - floor_db[segment, number], 0.0)
        envelope_db = decibels(smooth(band, 2))
        quick_db = envelope_db - smooth(envelope_db, n_syllable)
        moved_db = np.where(is_heard, np.sqrt(smooth(quick_db**2, n_syllable).clip(0)), 0.0)
        total_above += above_db
        total_moved += moved_db
        np.maximum(most_above, above_db, out=most_above)
        np.maximum(most_moved, moved_db, out=most_moved)
    n_heard = np.maximum(heard.sum(axis=1), 1)[segment]
    return Measures(
        np.where(silent, -np.inf, decibels(smooth(evidence.power, n_level))),
        total_above / n_heard,
        most_above,
        evidence.line_db,
        evidence.pitch,
        total_moved / n_heard,
        most_moved,
    )


def segment_starts(n_steps: int, step_seconds: float) -> NDArray:
    """Return where the segments begin in which a floor is looked for; the last is at least half as long as others."""
    size = round(FLOOR_SEGMENT_SECONDS / step_seconds)
    return np.arange(0, max(1, n_steps - size // 2), size)


def band_floor_db(level_db: NDArray, silent: NDArray, starts: NDArray) -> NDArray:
    """Return the level ``(segment,)`` of the quietest moments within half a minute; digital silence apart."""
    floors = np.full(len(starts), np.inf)
    for index, (first, last) in enumerate(pairwise([*starts, len(level_db)])):
        sounding = level_db[first:last][~silent[first:last]]
        if len(sounding):
            floors[index] = np.quantile(sounding, FLOOR_QUANTILE)
    return np.asarray(scipy.ndimage.minimum_filter1d(floors, 2 * FLOOR_REACH_SEGMENTS + 1, mode="nearest"))


def has_programme(measures: Measures, config: HarvestConfig, step_seconds: float) -> bool:
    """Tell whether tones, voices or syllables fill a twentieth of any minute.

    Measured: 0 to 4 % of the time in noise of discs and films and of rain and fire (10 % in one record with a buzz), 32
    to 90 % in film scenes, 64 % and more in music.  Without a programme there is nothing for the noise to be told from
    by its level.
    """
    sounds = (measures.line_db > config.line_db) | (measures.pitch > config.pitch)
    sounds |= measures.modulation_db > 2 * config.modulation_db
    n_steps = min(len(sounds), round(PROGRAMME_SECONDS / step_seconds))
    return bool(smooth(sounds.astype(np.float64), n_steps).max() > PROGRAMME_SHARE)


def first_reason(measures: Measures, config: HarvestConfig, programme_dbfs: float | None, *, wanders: bool) -> NDArray:
    """Return the index in `REASONS` of the first that speaks against each step, ``(step,)``; -1 where none does."""
    level_room, motion_room = (WANDERING_LEVEL, WANDERING) if wanders else (1.0, 1.0)
    above = measures.above_floor_db > config.floor_db * level_room
    above |= measures.above_floor_band_db > config.floor_band_db * level_room
    if programme_dbfs is not None:
        above |= measures.level_dbfs > programme_dbfs - config.below_programme_db
    moved = measures.modulation_db > config.modulation_db * motion_room
    moved |= measures.modulation_band_db > config.modulation_band_db * motion_room
    against = [
        ~(measures.level_dbfs >= config.least_dbfs),
        above,
        measures.line_db > config.line_db,
        measures.pitch > config.pitch,
        moved,
    ]
    return np.select(against, range(len(against)), default=-1)


def shortened(kept: NDArray, n_steps: int) -> NDArray:
    """Return the mask ``(step,)``, its stretches ``n_steps`` shorter at each end that is not the recording's."""
    return scipy.ndimage.minimum_filter1d(kept.astype(np.uint8), 2 * n_steps + 1, mode="nearest").astype(bool)


def runs_of(mask: NDArray) -> list[tuple[int, int]]:
    """Return the first and the end (exclusive) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def pieces_of(run: tuple[int, int], config: HarvestConfig, step_seconds: float) -> list[tuple[int, int]]:
    """Return a run cut into equal pieces of at most ``max_seconds``, none shorter than ``min_seconds``."""
    first, last = run
    if config.max_seconds is None:
        return [run]
    most = max(1, int(config.max_seconds / step_seconds + 1e-6))
    edges = np.linspace(first, last, -(-(last - first) // most) + 1).round().astype(int)
    least = config.min_seconds / step_seconds - 1e-6
    return [(int(a), int(b)) for a, b in pairwise(edges) if b - a >= least]


def programme_level_dbfs(evidence: Evidence, measures: Measures, config: HarvestConfig) -> float | None:
    """Return the mean level of what stands clearly above the floor, None where nothing does for a twentieth."""
    loud = (measures.above_floor_db > 2 * config.floor_db) & np.isfinite(measures.level_dbfs)
    if loud.mean() < 0.05:
        return None
    return round(float(decibels(evidence.power[loud].mean())), 2)


def describe(
    piece: tuple[int, int], evidence: Evidence, measures: Measures, sample_rate: int, programme_dbfs: float | None
) -> Stretch:
    """Return the stretch between two steps."""
    steps = slice(*piece)
    start, end = (min(evidence.n_samples, round(edge * evidence.step_seconds * sample_rate)) for edge in piece)
    level_dbfs = float(decibels(evidence.power[steps].mean()))
    return Stretch(
        start_samples=start,
        n_samples=end - start,
        seconds=round((end - start) / sample_rate, 6),
        start_seconds=round(start / sample_rate, 6),
        level_dbfs=round(level_dbfs, 2),
        below_programme_db=None if programme_dbfs is None else round(programme_dbfs - level_dbfs, 2),
        above_floor_db=round(float(measures.above_floor_db[steps].max()), 2),
        line_db=round(float(measures.line_db[steps].max()), 2),
        pitch=round(float(measures.pitch[steps].max()), 3),
        modulation_db=round(float(measures.modulation_db[steps].max()), 2),
    )


def decibels(power: NDArray | float) -> NDArray:
    """Return powers in dB, -200 for nothing."""
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)))
