"""What is looked at in data, gathered once for all checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import scipy

from resound.classic.dehiss import Dehiss, DehissConfig
from resound.doctor.likeness import Gain, Likeness, Side, gain_between, likeness, strength_between
from resound.doctor.pair_lists import Pair, PairList
from resound.doctor.settings import DoctorSettings
from resound.doctor.sounds import (
    ANALYSIS_HZ,
    Audio,
    FileFacts,
    for_comparing,
    look_at_file,
    look_at_header,
    pause_snr_db,
)
from resound.doctor.splits import Splits
from resound.doctor.verdict import STRONG, Pooled
from resound.dsp.bandwidth import bandwidth_hz
from resound.errors import InputError, counted
from resound.inference.workers import count_of_jobs, map_in_order

if TYPE_CHECKING:  # it loads all that measures old recordings
    from resound.doctor.resemblance import Resemblance
    from resound.models.presets import Published  # it loads torch

COMPARED_SECONDS = 6.0  # of a pair, where the clean side is loudest
GROUP = 8  # pairs that one process takes at a time, and compares with each other
NARROW = 0.6  # of half the rate: clean sides that end below it hold nothing in the upper part of the band
ABOVE = 1.25  # times the clean side's bandwidth, from where on nothing of it is left
FLOOR_CHANGE = 2.0  # in power, between the floors of both sides, which need not be the same samples
N_UNRELATED = 2  # pairs put together wrongly, for each true one
HEADERS_AT_ONCE = 64
UNLIMITED = DehissConfig(max_reduction_db=60)

Progress = Callable[[int, int], None]
Item = TypeVar("Item")


@dataclass(frozen=True)
class PairFacts:
    """What is known of one pair."""

    name: str
    clean: FileFacts
    degraded: FileFacts
    likeness: Likeness | None = None  # None: not compared, or too short or silent to be
    gain: Gain | None = None
    asked_snr_db: float | None = None  # what a list or a recipe says
    above_db: float | None = None  # see `above_band_db`
    own_snr_db: float | None = None  # see `own_snr_db`


@dataclass(frozen=True)
class Amount:
    """How much there is to learn from."""

    hours: float  # of clean recordings, or of fixed pairs
    n_speakers: int | None  # None: nobody says
    n_distinct: int  # examples
    is_fixed: bool  # the same in every epoch, not mixed anew
    n_parameters: int | None = None
    published: Published | None = None  # what a network of this kind was published with


@dataclass(frozen=True)
class Shares:
    """Of which domains the examples are to be, and are."""

    asked: Mapping[str, float]
    drawn: Mapping[str, float]
    left_out: Sequence[str] = ()  # kinds of material that were asked for and that no corpus has


@dataclass(frozen=True)
class Validation:
    """How much is judged, and what that costs against training."""

    n_examples: int
    cost: float | None  # of one validation, against the training between two of them


@dataclass(frozen=True)
class DataEvidence:
    """All that the checks of data look at."""

    pairs: Sequence[PairFacts] = ()
    unrelated: Sequence[Likeness] = ()  # of pairs put together wrongly on purpose
    others: Sequence[FileFacts] = ()  # files that belong to no pair
    wanted_rate: int | None = None  # of the training
    where_pairs: str = ""
    where_files: str = ""
    notes: Sequence[str] = ()
    # Of a training, or of mixtures and their sources.
    sums_db: Sequence[float] = ()  # what is left of each mixture without its sources
    amount: Amount | None = None
    shares: Shares | None = None
    validation: Validation | None = None
    splits: Splits | None = None
    resemblance: Resemblance | None = None

    @cached_property
    def files(self) -> list[FileFacts]:
        """All files."""
        return [file for pair in self.pairs for file in (pair.clean, pair.degraded)] + list(self.others)

    @cached_property
    def clean_files(self) -> list[FileFacts]:
        """Those that are said to be clean, decoded and fit for use."""
        return [file for file in self.files if file.side == "clean" and file.measured and not file.fault]

    @cached_property
    def measured(self) -> list[FileFacts]:
        """All that were decoded."""
        return [file for file in self.files if file.measured]

    @cached_property
    def compared(self) -> list[PairFacts]:
        """Pairs that were compared."""
        return [pair for pair in self.pairs if pair.likeness is not None]

    @cached_property
    def pooled(self) -> Pooled:
        """What all compared pairs say together."""
        return Pooled([pair.likeness for pair in self.compared], self.unrelated)


def evidence_of_pairs(
    listed: PairList, settings: DoctorSettings, *, n_jobs: int = 0, progress: Progress | None = None
) -> DataEvidence:
    """Return what pairs of files hold: all headers, and of a drawn sample the sound.  Raises `InputError` for none."""
    if not listed.pairs:
        raise InputError("there is no pair to look at; give two folders or lists with files of the same name")
    drawn, rest = drawn_from(listed.pairs, settings)
    tasks: list[_Task] = [_Task(group, True) for group in _in_groups(drawn, GROUP)]
    tasks += [_Task(group, False) for group in _in_groups(rest, HEADERS_AT_ONCE)]
    jobs = 1 if len(listed.pairs) <= GROUP else min(count_of_jobs(n_jobs), len(tasks))
    pairs: list[PairFacts] = []
    unrelated: list[Likeness] = []
    for found in map_in_order(_Looker, tasks, jobs):
        pairs += found.pairs
        unrelated += found.unrelated
        if progress is not None:
            progress(len(pairs), len(listed.pairs))
    of = "" if not rest else f" of {len(listed.pairs)}, drawn with seed {settings.seed}"
    n_files = len({path for pair in drawn for path in (pair.clean, pair.degraded)})
    return DataEvidence(
        pairs,
        unrelated,
        where_pairs=counted(len(drawn), "pair") + of,
        where_files=counted(n_files, "file") + (f" of {len(drawn)} pairs{of}" if rest else ""),
        notes=listed.notes,
    )


def drawn_from(items: Sequence[Item], settings: DoctorSettings) -> tuple[list[Item], list[Item]]:
    """Return the items that are decoded, drawn by the seed, and the others; both in their order."""
    if len(items) <= settings.n_files:
        return list(items), []
    chosen = set(np.random.default_rng(settings.seed).choice(len(items), settings.n_files, replace=False).tolist())
    return (
        [item for number, item in enumerate(items) if number in chosen],
        [item for number, item in enumerate(items) if number not in chosen],
    )


def _in_groups(items: Sequence[Pair], size: int) -> list[Sequence[Pair]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


@dataclass(frozen=True)
class _Task:
    """Pairs that one process looks at."""

    pairs: Sequence[Pair]
    is_decoded: bool


@dataclass(frozen=True)
class _Found:
    pairs: list[PairFacts]
    unrelated: list[Likeness]


class _Looker:
    """Looks at pairs in one process."""

    def __call__(self, task: _Task) -> _Found:
        if not task.is_decoded:
            return _Found([_headers(pair) for pair in task.pairs], [])
        facts, sides = [], []
        for pair in task.pairs:
            clean, degraded, audios = _read(pair)
            rates = clean.sample_rate, degraded.sample_rate
            found = compare(*audios, rates) if audios else None
            own = found.facts if found else (None, None)
            above_db = above_band_db(*audios, rates[0]) if audios and rates[0] == rates[1] else None
            own_db = own_snr_db(found.clean) if found else None
            facts.append(PairFacts(pair.name, clean, degraded, *own, pair.asked_snr_db, above_db, own_db))
            if found:
                sides.append(found)
        return _Found(facts, unrelated_in(sides))


@dataclass(frozen=True)
class Compared:
    """Two sides that were compared, kept to be compared with others."""

    clean: Side
    degraded: Side
    likeness: Likeness | None
    gain: Gain | None

    @property
    def facts(self) -> tuple[Likeness | None, Gain | None]:
        """What came of it."""
        return self.likeness, self.gain


def _headers(pair: Pair) -> PairFacts:
    return PairFacts(pair.name, look_at_header(pair.clean, "clean"), look_at_header(pair.degraded, "degraded"))


def _read(pair: Pair) -> tuple[FileFacts, FileFacts, tuple[Audio, Audio] | None]:
    """Return the facts of both files and the same stretch of both, None where one cannot be read."""
    clean, audio = look_at_file(pair.clean, "clean")
    start = max(0.0, (clean.seconds - audio.shape[1] / clean.sample_rate) / 2) if clean.sample_rate else None
    degraded, other = look_at_file(pair.degraded, "degraded", start_seconds=start)
    if not audio.size or not other.size:
        return clean, degraded, None
    return clean, degraded, (audio, other)


def compare(clean: Audio, degraded: Audio, rates: tuple[int, int]) -> Compared:
    """Return what two sounds ``(channel, time)``, each with its rate, have in common where the first is loudest."""
    rate = min(ANALYSIS_HZ, *rates)
    one, two = (for_comparing(side, own, rate) for side, own in zip((clean, degraded), rates, strict=True))
    n_samples = min(len(one), len(two))
    start, length = loudest_stretch(one[:n_samples], round(COMPARED_SECONDS * rate))
    first, second = (Side(side[start : start + length].astype(np.float64), rate) for side in (one, two))
    found = likeness(first, second)
    gain = gain_between(first, second, found.lag_seconds) if found and found.strength > STRONG else None
    return Compared(first, second, found, gain)


def above_band_db(clean: Audio, degraded: Audio, sample_rate: int) -> float | None:
    """Return what a degraded sound has above the clean one's band, against all of it, in dB; -150 for nothing.

    Both are ``(channel, time)`` of one rate.  What the clean one has there itself, its floor, is taken off.  None where
    that reaches beyond `NARROW` of half the rate, or one is silent.
    """
    width_hz = bandwidth_hz(clean, sample_rate)
    if not 0 < width_hz < NARROW * sample_rate / 2:
        return None
    n_samples = min(clean.shape[1], degraded.shape[1])
    window = scipy.signal.windows.hann(n_samples, sym=False)
    first = math.ceil(ABOVE * width_hz / sample_rate * n_samples)
    above, whole = [], 0.0
    for side in (clean, degraded):
        powers = np.square(np.abs(scipy.fft.rfft(side[:, :n_samples].astype(np.float64) * window))).sum(axis=0)
        above.append(float(powers[first:].sum()))
        whole = float(powers.sum())
    added = max(0.0, above[1] - FLOOR_CHANGE * above[0])
    return 10 * math.log10(added / whole + 1e-15) if whole else None


def own_snr_db(clean: Side) -> float | None:
    """Return how far a clean side lies above its own steady noise, in dB; None where it has none, or no pause to tell.

    Noise is what the classic chain's dehiss would take if nothing limited it.
    """
    if pause_snr_db(clean.samples.astype(np.float32), clean.sample_rate) is None:
        return None
    noise = clean.samples - Dehiss(clean.sample_rate, UNLIMITED).process(clean.samples[None])[0]
    power = float(np.mean(np.square(noise))) if len(noise) else 0.0
    return 10 * math.log10(float(np.mean(np.square(clean.samples))) / power) if power else None


def unrelated_in(sides: Sequence[Compared]) -> list[Likeness]:
    """Return what the clean side of each pair has in common with the degraded sides of others, of another recording."""
    found = []
    for step in range(1, min(N_UNRELATED, len(sides) - 1) + 1):
        for number, own in enumerate(sides):
            other = sides[(number + step) % len(sides)]
            if own.clean.sample_rate != other.degraded.sample_rate or strength_between(own.clean, other.clean) > STRONG:
                continue  # the same clean recording in two pairs
            found.append(likeness(own.clean, other.degraded))
    return [each for each in found if each is not None]


def loudest_stretch(samples: Audio, length: int) -> tuple[int, int]:
    """Return start and length of the part of ``(time,)`` with the most energy, in steps of a quarter of its length."""
    if len(samples) <= length:
        return 0, len(samples)
    starts = np.arange(0, len(samples) - length + 1, max(1, length // 4))
    energy = np.concatenate([[0], np.cumsum(np.square(samples, dtype=np.float64))])
    return int(starts[(energy[starts + length] - energy[starts]).argmax()]), length
