"""The one loop in which everything that can restore runs over a recording of any length, in constant memory.

The recording is cut into chunks that overlap, each given to the restorer with context on both sides; the overlaps are
cross-faded and divided by the sum of the fades, so that a restorer that changes nothing gives back the recording
sample for sample.  What is faded is what the restorer *removed*: ``output = input - removed``, and whatever lies above
a restorer's own sample rate is kept as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float64]

SAMPLE_RATES = (1000, 3_000_000)  # Hz: below, frames are a few samples long; above is nothing but DSD as bits
CHUNK_SECONDS = 20.0
OVERLAP_SECONDS = 0.5
RESAMPLER_MARGIN_SECONDS = 0.05  # beyond which soxr's filter at HQ does not reach
# Several channels and high rates are cut finer: a chunk with its context has at most so many samples in all, unless the
# context alone has more.
MAX_CHUNK_SAMPLES = 2_400_000


class Restorer(Protocol):
    """Anything that restores blocks of sound.

    It may have a ``grid``: so many samples at its rate are one frame, and each block begins with a whole one.
    """

    name: str
    sample_rate: int  # the rate it works at; the loop resamples to it and back
    context: int  # samples at that rate it wants to see on both sides of what it restores

    def process(self, block: Samples) -> Samples:
        """Return the block restored, ``(channel, time)`` -> same shape, without delay."""
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
    source = iter(blocks)
    heard = Timeline()
    fading: Samples | None = None  # what the chunk before removed from where this one begins
    start = 0
    exhausted = False
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
        chunk = heard.between(first, after)
        removed = removed_by(restorer, chunk, sample_rate)[:, start - first : stop - first]
        chunk = chunk[:, start - first : stop - first]
        faded = cross_fade(fading, removed)
        done = chunk.shape[1] if last else plan.hop
        if report is not None:
            report.energy_in += float(np.sum(np.square(chunk[:, :done])))
            report.energy_removed += float(np.sum(np.square(faded[:, :done])))
        restored = chunk[:, :done] - faded[:, :done]
        fading = faded[:, done:].copy()
        start += done
        heard.forget_before(start - plan.context)
        del chunk, removed, faded  # the next stage works while this one waits: its arrays need not lie about
        yield restored
        if last:
            return


@dataclass(frozen=True)
class ChunkPlan:
    """How a recording is cut, in samples at its own rate."""

    hop: int
    overlap: int
    context: int

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
            context += round(RESAMPLER_MARGIN_SECONDS * sample_rate)
        overlap = max(1, round(overlap_seconds * sample_rate))
        room = MAX_CHUNK_SAMPLES // n_channels - 2 * context - overlap
        hop = max(overlap, min(round(chunk_seconds * sample_rate), room))
        grid = getattr(restorer, "grid", 1)
        if grid > 1:
            unit = grid * sample_rate // math.gcd(grid * sample_rate, restorer.sample_rate)  # whole frames there
            hop, context = -(-hop // unit) * unit, -(-context // unit) * unit
        return cls(hop, overlap, context)


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
    inside = resampled(chunk, sample_rate, restorer.sample_rate)
    removed = resampled(inside - restorer.process(inside), restorer.sample_rate, sample_rate)
    fitted = np.zeros_like(chunk)
    n_common = min(removed.shape[1], chunk.shape[1])
    fitted[:, :n_common] = removed[:, :n_common]
    return fitted


def resampled(block: Samples, rate_in: int, rate_out: int) -> Samples:
    """Return ``(channel, time)`` at another rate, without delay."""
    return np.ascontiguousarray(soxr.resample(block.T, rate_in, rate_out, quality="HQ").T)
