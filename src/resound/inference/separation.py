"""Separates voices in recordings of any length: in chunks, each voice on the same output from beginning to end.

A network that separates may give the voices of every chunk in another order and at a level of its own (trained on
SI-SDR it is free to).  So chunks overlap, and where two have heard the same, the order of the later one is that in
which its voices resemble those of the earlier one most.  Where that is a pause, or one voice is silent, nothing can be
told; then the later chunk is made again from further back, until there is something to tell it by.  The levels are
those whose sum comes nearest to the mixture (least squares); where a voice is quiet, its level goes on from before.

Asked to `check`, it separates the voices of each chunk once more, to tell how sure it is (`agreement`).

What is in no voice then (what the network's own rate cannot hold, too) goes to whoever is louder at that moment, so
that the voices are the mixture, unless it is asked for by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.cores import n_cores
from resound.dsp.permutation import best_matching
from resound.dsp.resampling import resample
from resound.errors import ModelError, one_line
from resound.inference.agreement import Agreement, agreement
from resound.inference.offline import (
    CHUNK_SECONDS,
    OVERLAP_SECONDS,
    Chunk,
    Samples,
    checked_samples,
    chunks_of,
    cross_fade,
)
from resound.inference.whole_network import WholeNetwork, open_network
from resound.shipped import REPAIRS, RESTORING, SEPARATES, is_shipped

Voices = NDArray[np.float64]  # (voice, channel, time)

LOOK_BACK_SECONDS = 2 * CHUNK_SECONDS  # from the start of the next chunk: one chunk further back than its context
SURE = 0.1  # by which share of its energy the best order must explain more than the next best
PAUSE = 1e-3  # of the earlier chunk's power: an overlap quieter than that is noise, which tells nothing
PRIOR = 1e-2  # of the loudest voice's energy: at which a voice's level is half that of the chunk before
FIRST_PRIOR = 1e-9  # in the first chunk, where nothing is known of levels: it only keeps silent voices finite
ENVELOPE_SECONDS = 0.02
SHARE_SECONDS = 0.05  # over which the voices' powers say who gets what is in none of them


def separate(
    samples: NDArray, sample_rate: int, model: str | Path = SEPARATES, *, report: SeparationReport | None = None
) -> NDArray:
    """Return the voices, ``(voice, time)`` for ``(time,)`` and ``(voice, channel, time)`` for ``(channel, time)``.

    float32 or float64, full scale ±1; ``model`` is ``separate``, which ships, an ``.onnx`` or the folder of a network
    that separates.  The voices add up to the samples.  A ``report`` is filled in with what happened and how sure the
    voices are, which takes as long again.  Raises `ConfigError` for samples of another kind, `ModelError` for a model
    that does not separate.

    >>> voices = separate(samples, 16000)                                                 # doctest: +SKIP
    """
    wide, separator = checked_samples(samples, sample_rate), open_separator(model, n_threads=n_cores())
    shape = (separator.n_sources, *np.shape(samples))
    if not wide.size:
        return np.zeros(shape, np.asarray(samples).dtype)
    blocks = separate_blocks([wide], separator, sample_rate=int(sample_rate), check=report is not None, report=report)
    parts = [voices for _, voices in blocks]
    return np.concatenate(parts, axis=-1).reshape(shape).astype(np.asarray(samples).dtype)


class Separator(Protocol):
    """Anything that separates blocks of sound.  It may have a ``grid``, as a restorer."""

    name: str
    sample_rate: int
    context: int  # samples at that rate it wants to see on both sides
    n_sources: int

    def process(self, block: Samples) -> Voices:
        """Return ``(voice, channel, time)`` for ``(channel, time)``, without delay."""
        ...


class NetworkSeparator:
    """Separates with a network; each channel by itself, its voices in the first one's order."""

    def __init__(self, network: WholeNetwork, told: str) -> None:
        """Take a network; ``told`` is how people call it.  Raises `ModelError` if it separates no mono mixture."""
        self._network = network
        self.name, self.weights_md5 = network.name, network.weights_md5
        self.sample_rate, self.grid, self.context = network.sample_rate, network.grid, network.context
        self.n_sources, self.packages = network.n_sources, network.packages
        if network.n_sources < 2:
            raise ModelError(f"{told}: gives one source; use it with 'resound restore', or give one that separates")
        if network.n_channels != 1:
            raise ModelError(
                f"{told}: takes {network.n_channels or 'any number of'} channels; to separate takes a network for mono"
            )

    def process(self, block: Samples) -> Voices:
        """Return ``(voice, channel, time)`` for ``(channel, time)``."""
        if not block.size:
            return np.zeros((self.n_sources, *block.shape))
        channels = [
            self._network.run(channel[None, None].astype(np.float32))[0].astype(np.float64) for channel in block
        ]
        envelopes = [envelope(voices, self.sample_rate) for voices in channels]
        for index in range(1, len(channels)):  # microphones stand apart: only the envelopes of a voice are alike
            channels[index] = channels[index][best_matching(envelopes[0] @ envelopes[index].T).order]
        return np.stack(channels, axis=1)


def envelope(voices: NDArray, sample_rate: int) -> NDArray:
    """Return the levels over time of ``(voice, time)``, without their means and at unit norm: ``(voice, frame)``."""
    length = max(1, round(ENVELOPE_SECONDS * sample_rate))
    padded = np.pad(voices, ((0, 0), (0, -voices.shape[1] % length)))
    level = np.sqrt(np.mean(padded.reshape(len(voices), -1, length) ** 2, axis=2))
    level -= level.mean(axis=1, keepdims=True)
    return level / np.maximum(np.linalg.norm(level, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def open_separator(model: str | os.PathLike[str] = SEPARATES, *, n_threads: int = 1) -> NetworkSeparator:
    """Return what separates: ``separate``, which ships, an ``.onnx``, or a network's folder, which needs torch.

    ``n_threads`` is what onnxruntime uses: `n_cores` where one recording is separated at a time.  Raises `ModelError`.
    """
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"{one_line(model)}: is no model; give {SEPARATES}, or a path")
    word = os.fspath(model)
    if word == "classic" or (word in (*RESTORING, REPAIRS) and is_shipped(word)):
        raise ModelError(f"{word}: gives one source; use it with 'resound restore', or give one that separates")
    return NetworkSeparator(open_network(word, (SEPARATES,), n_threads), word)


@dataclass
class SeparationReport:
    """What happened while a recording was separated, summed while it runs."""

    energy_in: float = 0.0
    energy_rest: float = 0.0
    n_chunks: int = 0
    n_reordered: int = 0  # chunks whose voices came in another order
    unsure_seconds: list[float] = field(default_factory=list)  # where nothing told the voices apart
    agreement: Agreement = field(default_factory=Agreement)  # of voices that were separated again
    agreements_db: list[tuple[float, float]] = field(default_factory=list)  # of each chunk that sounds, from its second

    def add_agreement(self, found: Agreement, start_seconds: float) -> None:
        """Note that of a chunk."""
        self.agreement += found
        if found.ratio_db is not None:
            self.agreements_db.append((round(start_seconds, 2), round(found.ratio_db, 1)))

    @property
    def rest_db(self) -> float | None:
        """Energy of what is in no voice relative to the mixture, in dB; None where there is none."""
        if self.energy_rest <= 0 or self.energy_in <= 0:
            return None
        return float(10 * np.log10(self.energy_rest / self.energy_in))


def separate_blocks(
    blocks: Iterable[Samples],
    separator: Separator,
    *,
    sample_rate: int,
    chunk_seconds: float = CHUNK_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    rest_apart: bool = False,
    check: bool = False,
    report: SeparationReport | None = None,
) -> Iterator[tuple[Samples, Voices]]:
    """Yield the mixture ``(channel, time)`` and its voices ``(voice, channel, time)``, as many samples as came in.

    ``blocks`` are ``(channel, time)`` at ``sample_rate``.  The voices add up to the mixture, unless ``rest_apart``:
    then what the separator leaves out, and what lies above its own rate, is in none of them.  With ``check`` the report
    tells how far the voices agree with themselves when they are separated again.
    """
    report = SeparationReport() if report is None else report
    lengths = {"chunk_seconds": chunk_seconds, "overlap_seconds": overlap_seconds}
    look_back = LOOK_BACK_SECONDS * chunk_seconds / CHUNK_SECONDS
    earlier: Heard | None = None
    levels = Levels()
    fading: Samples | None = None
    for chunk in chunks_of(blocks, separator, sample_rate=sample_rate, look_back_seconds=look_back, **lengths):
        heard, is_sure = continued(chunk, separator, sample_rate, earlier)
        report.n_chunks += 1
        report.n_reordered += int(heard.is_reordered)
        if not is_sure:
            report.unsure_seconds.append(round(chunk.start / sample_rate, 2))
        mixture = chunk.samples[:, chunk.inside]
        inside = heard.between(chunk.start, chunk.stop)
        gains = levels.fit(inside, mixture)[..., None]
        voices = gains * inside
        if check:
            where = slice(chunk.start - heard.first, chunk.stop - heard.first)
            found = agreement(gains * heard.voices, lambda block: separated(block, separator, sample_rate), where)
            report.add_agreement(found, chunk.start / sample_rate)
        rest = mixture - voices.sum(axis=0)
        if not rest_apart:
            around = heard.shares(gains, sample_rate)
            voices += around[..., chunk.start - heard.first : chunk.stop - heard.first] * rest
        report.energy_in += float(np.sum(np.square(mixture[:, : chunk.n_done])))
        report.energy_rest += float(np.sum(np.square(rest[:, : chunk.n_done])))
        rows = cross_fade(fading, voices.reshape(-1, voices.shape[-1]))
        fading = rows[:, chunk.n_done :].copy()
        mixture, voices = mixture[:, : chunk.n_done], rows[:, : chunk.n_done].reshape(*voices.shape[:2], -1)
        earlier = heard
        yield mixture, voices


@dataclass
class Heard:
    """The voices of a chunk with all its context, as the network gave them but in order: ``(voice, channel, time)``."""

    voices: Voices
    first: int  # position of the first sample
    is_reordered: bool = False

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.first + self.voices.shape[-1]

    def between(self, start: int, stop: int) -> Voices:
        """Return the samples from ``start`` to ``stop``, both inside."""
        return self.voices[..., start - self.first : stop - self.first]

    def shares(self, gains: NDArray, sample_rate: int) -> Voices:
        """Return each voice's part of the power at every moment, ``(voice, channel, time)``; where all rest, as much.

        ``gains`` are those that the voices get, ``(voice, channel, 1)``.
        """
        length = max(1, round(SHARE_SECONDS * sample_rate))
        power = scipy.ndimage.uniform_filter1d(np.square(gains * self.voices), length, axis=-1).clip(min=0)
        power += np.finfo(np.float64).tiny
        return power / power.sum(axis=0)


def continued(chunk: Chunk, separator: Separator, sample_rate: int, earlier: Heard | None) -> tuple[Heard, bool]:
    """Return the voices of a chunk in the order of those before, and whether that order is beyond doubt."""
    if earlier is None:
        return Heard(separated(chunk.samples, separator, sample_rate), chunk.first), True
    first = chunk.first
    while True:
        heard = Heard(separated(chunk.samples, separator, sample_rate), chunk.first)
        order, certainty = matched(earlier, heard)
        heard.voices, heard.is_reordered = heard.voices[order], bool(np.any(order != np.arange(len(order))))
        heard.voices *= level_steps(earlier, heard)[:, None, None]
        if certainty >= SURE:
            return heard, True
        first = max(earlier.first, chunk.start - 2 * max(chunk.start - first, sample_rate))
        longer = chunk.beginning_at(first)
        if longer.first == chunk.first:
            return heard, False
        chunk = longer


def matched(earlier: Heard, later: Heard) -> tuple[NDArray[np.int64], float]:
    """Return the order in which the later voices go on with the earlier ones, and how certain it is, 0 to 1.

    Certainty is by what share of the energies the best order explains more than the next best one; in a pause it is 0.
    """
    one, other = in_common(earlier, later)
    matching = best_matching(one @ other.T)
    energy, energy_other = np.sum(one**2), np.sum(other**2)
    if energy <= PAUSE * np.sum(earlier.voices**2) * one.shape[1] / earlier.voices[0].size or energy_other <= 0:
        return matching.order, 0.0
    return matching.order, float(matching.margin / np.sqrt(energy * energy_other))


def level_steps(earlier: Heard, later: Heard) -> NDArray:
    """Return the gains ``(voice,)`` that bring the later voices to the level of the earlier ones where both are heard.

    A voice that is still there keeps its level.
    """
    one, other = in_common(earlier, later)
    energy = np.sum(other**2, axis=1)
    speaks = energy > PAUSE * np.sum(later.voices**2, axis=(1, 2)) * one.shape[1] / later.voices[0].size
    return np.divide(np.abs(np.sum(one * other, axis=1)), energy, out=np.ones(len(one)), where=speaks & (energy > 0))


def in_common(earlier: Heard, later: Heard) -> tuple[NDArray, NDArray]:
    """Return what both have heard, ``(voice, channel · time)`` each."""
    start, stop = max(earlier.first, later.first), min(earlier.end, later.end)
    one, other = (heard.between(start, stop).reshape(len(heard.voices), -1) for heard in (earlier, later))
    return one, other


def separated(block: Samples, separator: Separator, sample_rate: int) -> Voices:
    """Return ``(voice, channel, time)`` of ``(channel, time)`` at a sample rate which need not be the separator's."""
    if separator.sample_rate == sample_rate:
        return separator.process(block)
    fitted = np.zeros((separator.n_sources, *block.shape))
    inside = resample(block, sample_rate, separator.sample_rate)
    if not inside.size:  # one sample or two are none at a rate so much lower: all of it is rest
        return fitted
    voices = separator.process(inside)
    rows = resample(voices.reshape(-1, voices.shape[-1]), separator.sample_rate, sample_rate)
    n_common = min(rows.shape[1], block.shape[1])
    fitted[..., :n_common] = rows[:, :n_common].reshape(*voices.shape[:2], -1)
    return fitted


class Levels:
    """The gains with which the voices' sum comes nearest to the mixture, in each channel."""

    def __init__(self) -> None:
        self._gains: NDArray | None = None  # (channel, voice) of the chunk before

    def fit(self, voices: Voices, mixture: Samples) -> NDArray:
        """Return the gains for a chunk, ``(voice, channel)``.

        A voice that, at the level it had, is quiet beside the loudest says little of a new one, and keeps it.
        """
        gains = np.ones(voices.shape[1::-1]) if self._gains is None else self._gains
        products = np.einsum("vct,wct->cvw", voices, voices) * gains[:, :, None] * gains[:, None, :]
        with_mixture = np.einsum("vct,ct->cv", voices, mixture) * gains
        loudest = np.einsum("cvv->cv", products).max(axis=1, keepdims=True)
        weight = (FIRST_PRIOR if self._gains is None else PRIOR) * loudest + np.finfo(np.float64).tiny
        matrix = products + weight[..., None] * np.eye(len(voices))
        changes = np.linalg.solve(matrix, (with_mixture + weight)[..., None])[..., 0]  # towards 1: as they were
        self._gains = gains * changes
        return self._gains.T
