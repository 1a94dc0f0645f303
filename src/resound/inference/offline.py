"""The one loop in which everything that can restore runs over a recording of any length, in constant memory.

The recording is cut into chunks that overlap, each given to the restorer with context on both sides; the overlaps are
cross-faded and divided by the sum of the fades, so that a restorer that changes nothing gives back the recording
sample for sample.  What is faded is what the restorer *removed*: ``output = input - removed``, and whatever lies above
a restorer's own sample rate is kept as it was.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resound.dsp.resampling import reach, resample
from resound.errors import ConfigError, ModelError

Samples = NDArray[np.float64]
Follow = Callable[[int, int], "Follower"]

MOST_CHANNELS = 64  # an array of more rows than columns and than this was given the wrong way round
SAMPLE_RATES = (1000, 3_000_000)  # Hz: below, frames are a few samples long; above is nothing but DSD as bits
CHUNK_SECONDS = 20.0
OVERLAP_SECONDS = 0.5
# Several channels and high rates are cut finer: a chunk with its context has at most so many samples in all, unless the
# context alone has more.
MAX_CHUNK_SAMPLES = 2_400_000


class Restorer(Protocol):
    """Anything that restores blocks of sound.

    It may have a ``grid``: so many samples at its rate are one frame, and each block begins with a whole one.  It may
    have ``follow(n_channels, sample_rate)``, which returns a `Follower`: then a recording is one stream, not chunks.
    """

    name: str
    sample_rate: int  # the rate it works at; the loop resamples to it and back
    context: int  # samples at that rate it wants to see on both sides of what it restores

    def process(self, block: Samples) -> Samples:
        """Return the block restored, ``(channel, time)`` -> same shape, without delay."""
        ...


class Follower(Protocol):
    """What restores a recording from its beginning to its end, and carries on what it knows: see `Stream`."""

    latency_samples: int  # by how much what comes out is late
    n_restarts: int  # times that it lost itself

    def process(self, samples: Samples) -> Samples:
        """Return as many samples as came in."""
        ...

    def flush(self) -> Samples:
        """Return the last `latency_samples`."""
        ...


@dataclass
class StageReport:
    """What one restorer did to a recording, summed while it runs."""

    name: str
    energy_in: float = 0.0
    energy_removed: float = 0.0

    @property
    def removed_db(self) -> float | None:
        """Energy of what was removed relative to what came in, in dB; None if nothing was removed."""
        return self.at_strength(1.0)

    def at_strength(self, strength: float) -> float | None:
        """`removed_db` when only a part of the difference is taken: output = input + strength (restored - input)."""
        energy_taken = strength**2 * self.energy_removed
        if energy_taken <= 0 or self.energy_in <= 0:
            return None
        return float(10 * np.log10(energy_taken / self.energy_in))


@dataclass
class Timeline:
    """The part of a signal between two positions that has arrived and is still wanted, ``(channel, time)``."""

    start: int = 0
    blocks: list[Samples] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.start + sum(block.shape[1] for block in self.blocks)

    def append(self, block: Samples) -> None:
        """Add samples at the end."""
        self.blocks.append(block)

    def between(self, start: int, end: int) -> Samples:
        """Return a copy of the samples from ``start`` to ``end``, both inside."""
        if len(self.blocks) > 1:
            self.blocks = [np.concatenate(self.blocks, axis=1)]
        return self.blocks[0][:, start - self.start : end - self.start].copy()

    def forget_before(self, position: int) -> None:
        """Drop the samples before ``position``."""
        while self.blocks and self.start + self.blocks[0].shape[1] <= position:
            self.start += self.blocks.pop(0).shape[1]
        if self.blocks and self.start < position:
            self.blocks[0] = self.blocks[0][:, position - self.start :].copy()
            self.start = position


def checked_samples(samples: NDArray, sample_rate: int) -> Samples:
    """Return ``(channel, time)`` of what a caller gave, ``(time,)`` or ``(channel, time)``; what is not finite is 0.

    Raises `ConfigError`.
    """
    try:
        samples = np.asarray(samples)
    except ValueError:  # rows of different lengths
        raise ConfigError("samples are no array; give (time,) or (channel, time)") from None
    if samples.dtype not in (np.float32, np.float64):
        raise ConfigError(f"samples are {samples.dtype}; convert them to float32 or float64 with full scale at 1")
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and len(samples) > max(samples.shape[1], MOST_CHANNELS)):
        raise ConfigError(f"samples have shape {samples.shape}; give (time,) or (channel, time)")
    lowest, highest = SAMPLE_RATES
    if not isinstance(sample_rate, Real) or not lowest <= sample_rate <= highest or sample_rate % 1:
        raise ConfigError(f"sample rate is {sample_rate!r} Hz; give a whole number from {lowest} to {highest}")
    finite = np.where(np.isfinite(samples), samples, 0) if not np.isfinite(samples).all() else samples
    return np.atleast_2d(finite).astype(np.float64)


def restore_blocks(
    blocks: Iterable[Samples],
    restorer: Restorer,
    *,
    sample_rate: int,
    chunk_seconds: float = CHUNK_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    report: StageReport | None = None,
) -> Iterator[Samples]:
    """Yield the restored recording in blocks ``(channel, time)``, as many samples as came in.

    ``blocks`` are ``(channel, time)`` at ``sample_rate``.  Nothing is read ahead further than a chunk, its overlap and
    its context.
    """
    follow: Follow | None = getattr(restorer, "follow", None)
    if follow is not None:
        yield from _followed(blocks, follow, restorer.name, sample_rate, report)
        return
    fading: Samples | None = None  # what the chunk before removed from where this one begins
    lengths = {"chunk_seconds": chunk_seconds, "overlap_seconds": overlap_seconds}
    for chunk in chunks_of(blocks, restorer, sample_rate=sample_rate, **lengths):
        removed = removed_by(restorer, chunk.samples, sample_rate)[:, chunk.inside]
        before, done = chunk.samples[:, chunk.inside], chunk.n_done
        faded = cross_fade(fading, removed)
        if report is not None:
            report.energy_in += float(np.sum(np.square(before[:, :done])))
            report.energy_removed += float(np.sum(np.square(faded[:, :done])))
        restored = before[:, :done] - faded[:, :done]
        fading = faded[:, done:].copy()
        del chunk, before, removed, faded  # the next stage works while this one waits: its arrays need not lie about
        yield restored


def _followed(
    blocks: Iterable[Samples], follow: Follow, name: str, sample_rate: int, report: StageReport | None
) -> Iterator[Samples]:
    """Yield the recording restored as one stream, its delay taken out."""
    heard, done, stream, n_early = Timeline(), 0, None, 0
    for block in itertools.chain(blocks, [None]):
        if block is not None and stream is None:
            stream = follow(len(block), sample_rate)
            n_early = stream.latency_samples
        if stream is None:
            return
        if block is not None:
            heard.append(block)
        restored = stream.flush() if block is None else stream.process(block)
        if stream.n_restarts:
            raise ModelError(f"model {name!r} gave samples that are not finite; use another one")
        n_dropped = min(n_early, restored.shape[1])
        n_early -= n_dropped
        restored = restored[:, n_dropped:]
        if not restored.shape[1]:
            continue
        before = heard.between(done, done + restored.shape[1])
        done += restored.shape[1]
        heard.forget_before(done)
        if report is not None:
            report.energy_in += float(np.sum(np.square(before)))
            report.energy_removed += float(np.sum(np.square(before - restored)))
        yield restored


@dataclass
class Chunk:
    """A part of a recording to work on, with context on both sides; positions count from the recording's start."""

    samples: Samples  # (channel, time) from `first` on
    first: int
    start: int  # where what is asked for begins ...
    stop: int  # ... and ends, the overlap with the next chunk included
    n_done: int  # samples from `start` to where the next chunk begins
    unit: int  # samples of whole frames of the restorer: chunks begin so many apart, or a multiple
    heard: Timeline  # what is still there of the recording

    @property
    def inside(self) -> slice:
        """Where in `samples` that lies which is asked for."""
        return slice(self.start - self.first, self.stop - self.first)

    def beginning_at(self, first: int) -> Chunk:
        """Return the chunk with more before it: what is still there from ``first`` on, in whole frames."""
        first = self.first - (self.first - max(first, self.heard.start)) // self.unit * self.unit
        samples = self.heard.between(first, self.first + self.samples.shape[1])
        return replace(self, samples=samples, first=first)


def chunks_of(
    blocks: Iterable[Samples],
    restorer: Restorer,
    *,
    sample_rate: int,
    chunk_seconds: float = CHUNK_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    look_back_seconds: float = 0.0,
) -> Iterator[Chunk]:
    """Yield a recording in chunks that overlap, cut as a restorer wants it.

    ``look_back_seconds`` more than the context are kept before where the next chunk begins, for `Chunk.beginning_at`.
    """
    source, heard = iter(blocks), Timeline()
    start, exhausted = 0, False
    while True:
        plan = ChunkPlan.of(restorer, sample_rate, chunk_seconds, overlap_seconds, heard)
        stop = start + plan.hop + plan.overlap
        while not exhausted and heard.end < stop + max(1, plan.context):  # one beyond tells that this is not the last
            block = next(source, None)
            exhausted = block is None
            if block is not None and block.shape[1]:
                heard.append(block)
                if not heard.start and len(heard.blocks) == 1:  # the number of channels is known only now
                    plan = ChunkPlan.of(restorer, sample_rate, chunk_seconds, overlap_seconds, heard)
                    stop = start + plan.hop + plan.overlap
        if start >= heard.end:
            return
        last = heard.end <= stop
        stop = min(stop, heard.end)
        first, after = max(heard.start, start - plan.context), min(heard.end, stop + plan.context)
        n_done = stop - start if last else plan.hop
        made = [Chunk(heard.between(first, after), first, start, stop, n_done, plan.unit, heard)]
        start += n_done
        heard.forget_before(start - plan.context - round(look_back_seconds * sample_rate))
        yield made.pop()  # not held here while whoever asked works on it
        if last:
            return


@dataclass(frozen=True)
class ChunkPlan:
    """How a recording is cut, in samples at its own rate."""

    hop: int
    overlap: int
    context: int
    unit: int = 1  # what hop and context are multiples of

    @classmethod
    def of(
        cls,
        restorer: Restorer,
        sample_rate: int,
        chunk_seconds: float,
        overlap_seconds: float,
        heard: Timeline,
    ) -> ChunkPlan:
        """Return the plan for a restorer at a rate; the number of channels is that of what was heard."""
        n_channels = heard.blocks[0].shape[0] if heard.blocks else 1
        context = -(-restorer.context * sample_rate // restorer.sample_rate)
        if restorer.sample_rate != sample_rate:
            context += reach(sample_rate, restorer.sample_rate)
        overlap = max(1, round(overlap_seconds * sample_rate))
        room = MAX_CHUNK_SAMPLES // n_channels - 2 * context - overlap
        hop = max(overlap, min(round(chunk_seconds * sample_rate), room))
        grid, unit = getattr(restorer, "grid", 1), 1
        if grid > 1:
            unit = grid * sample_rate // math.gcd(grid * sample_rate, restorer.sample_rate)  # whole frames there
            hop, context = -(-hop // unit) * unit, -(-context // unit) * unit
        return cls(hop, overlap, context, unit)


def cross_fade(before: Samples | None, removed: Samples) -> Samples:
    """Return ``removed`` with its beginning cross-faded from the end of the chunk before.

    The weighted sum is divided by the sum of its weights, so that equal chunks give themselves.
    """
    if before is None:
        return removed
    n_overlap = before.shape[1]
    rise = np.sin(0.5 * np.pi * (np.arange(n_overlap) + 0.5) / n_overlap)
    fall = rise[::-1]
    n_common = min(n_overlap, removed.shape[1])
    rise, fall = rise[:n_common], fall[:n_common]
    faded = removed.copy()
    faded[:, :n_common] = (fall * before[:, :n_common] + rise * removed[:, :n_common]) / (fall + rise)
    return faded


def removed_by(restorer: Restorer, chunk: Samples, sample_rate: int) -> Samples:
    """Return what the restorer takes away from ``(channel, time)`` at ``sample_rate``, same shape."""
    if restorer.sample_rate == sample_rate:
        return chunk - restorer.process(chunk)
    inside = resample(chunk, sample_rate, restorer.sample_rate)
    removed = resample(inside - restorer.process(inside), restorer.sample_rate, sample_rate)
    fitted = np.zeros_like(chunk)
    n_common = min(removed.shape[1], chunk.shape[1])
    fitted[:, :n_common] = removed[:, :n_common]
    return fitted
