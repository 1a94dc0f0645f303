"""The room: a sound heard with the reflections of walls, by a measured or simulated response or by a synthetic one.

The direct sound keeps its time and its level, so that a dry target stays aligned: what a room adds comes after it.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import scipy
from pydantic import Field

from resound.audio.segments import read_segment, resample
from resound.degrade.bank import FromBank
from resound.degrade.cache import ArrayCache
from resound.degrade.degradation import Audio, Degradation, Params
from resound.degrade.spread import Spread, spread, within
from resound.dsp.convolution import blocks_for, filtered, spectrum_of
from resound.dsp.reverberation import DIRECT_SECONDS, direct_sample
from resound.errors import InputError

Part = Literal["dry", "direct", "early", "reverberant"]
# How long each part lasts after the direct sound's peak and how long it fades; early: what helps to understand speech
# (ISO 3382-1, clarity C50).
PARTS_SECONDS = {"direct": (DIRECT_SECONDS, 0.001), "early": (0.05, 0.005)}
LEAD_SECONDS = 0.001  # kept before the direct sound's peak: a band-limited response rises towards it
MIXING_SECONDS = 0.05  # from here on reflections are dense
DULL_ABOVE_HZ = 2000.0
CACHE = ArrayCache(128 << 20)


class Response(NamedTuple):
    """A room response made ready: the direct sound has an energy of 1, on average over channels."""

    samples: Audio  # (channel, time)
    lead: int  # samples before the direct sound's peak
    key: Hashable  # the same for the same samples; None: will not come again


def through_room(audio: Audio, response: Response) -> Audio:
    """Return ``(channel, time)`` as heard through a response, at its own length and with the direct sound in place.

    Channel i goes through the response's channel i, through the only one where there is one.
    """
    n_samples = audio.shape[1]
    if n_samples == 0:
        return audio.copy()
    samples = response.samples[:, : response.lead + n_samples]  # what arrives after the end is not heard
    if len(samples) > 1:
        samples = samples[np.arange(len(audio)) % len(samples)]
    blocks = blocks_for(n_samples + response.lead, samples.shape[1])
    if response.key is None:
        spectrum = spectrum_of(samples, blocks)
    else:
        key = ("spectrum", response.key, samples.shape, blocks)
        spectrum = CACHE.get(key, lambda: spectrum_of(samples, blocks))
    heard = filtered(np.pad(audio, ((0, 0), (0, response.lead))), spectrum, blocks)
    return np.ascontiguousarray(heard[:, response.lead :])


def part_of(response: Response, sample_rate: int, part: Part) -> Response:
    """Return what of a response is asked for as a target: up to its direct sound, its early part, or all of it."""
    if part not in PARTS_SECONDS:
        return response
    seconds, fade_seconds = PARTS_SECONDS[part]
    kept = response.lead + round(seconds * sample_rate)
    n_fade = max(1, round(fade_seconds * sample_rate))
    samples = response.samples[:, : kept + n_fade].copy()
    fade = 0.5 + 0.5 * np.cos(np.pi * (np.arange(n_fade) + 1) / (n_fade + 1))
    samples[:, kept:] *= fade[: max(0, samples.shape[1] - kept)].astype(np.float32)
    return Response(samples, response.lead, response.key and (response.key, part))


def ready_response(recorded: Audio, sample_rate: int, direct: int, key: Hashable = None) -> Response:
    """Return a response ``(channel, time)`` from just before its direct sound on, whose energy becomes 1."""
    half, lead = round(DIRECT_SECONDS * sample_rate), round(LEAD_SECONDS * sample_rate)
    around = recorded[:, max(0, direct - half) : direct + half]
    energy = float(np.square(around, dtype=np.float64).sum()) / len(recorded)
    padded = np.pad(recorded, ((0, 0), (max(0, lead - direct), 0)))[:, max(0, direct - lead) :]
    return Response(padded * np.float32(energy**-0.5), lead, key)


def read_response(file: str, sample_rate: int) -> Response:
    """Return the response in a file at a sample rate.  Raises `InputError` where it cannot be read or is silent."""
    try:
        modified_ns = os.stat(file).st_mtime_ns
    except OSError:
        raise InputError(f"{file}: no such room response; put it back, or draw the parameters again") from None
    key = ("response", file, modified_ns, sample_rate)
    samples = CACHE.get(key, lambda: _read_response(file, sample_rate).samples)
    return Response(samples, round(LEAD_SECONDS * sample_rate), key)


def _read_response(file: str, sample_rate: int) -> Response:
    recorded, recorded_rate = read_segment(Path(file))
    if not recorded.any():
        raise InputError(f"{file}: is silent, no room response; take it out of the bank")
    recorded = resample(recorded, recorded_rate, sample_rate)
    return ready_response(recorded, sample_rate, direct_sample(recorded, sample_rate))


@lru_cache(maxsize=2)  # the degraded sound and its target go through the same one
def synthetic_response(
    n_channels: int,
    sample_rate: int,
    *,
    rt60_seconds: float,
    high_rt60_ratio: float,
    pre_delay_ms: float,
    direct_to_reverberant_db: float,
    seed: int,
) -> Response:
    """Return a response ``(channel, time)`` of noise that decays by 60 dB within ``rt60_seconds`` (Polack 1988).

    Reflections begin after ``pre_delay_ms``, sparse at first, and grow denser with the square of time (Kuttruff, Room
    Acoustics, chapter 4).  Above 2 kHz they decay within ``high_rt60_ratio`` of the time: walls and air take treble.
    """
    n_samples = max(1, round(rt60_seconds * sample_rate))
    seconds = np.arange(n_samples) / sample_rate
    rng = np.random.default_rng(seed)
    tail = rng.standard_normal((n_channels, n_samples), dtype=np.float32)
    density = np.clip((seconds / MIXING_SECONDS) ** 2, 0.01, 1.0)
    n_sparse = min(n_samples, round(MIXING_SECONDS * sample_rate))
    sounding = rng.random((n_channels, n_sparse)) < density[:n_sparse]
    tail[:, :n_sparse] *= (sounding / np.sqrt(density[:n_sparse])).astype(np.float32)
    tail = _decaying(tail, seconds, sample_rate, rt60_seconds, high_rt60_ratio)
    tail[:, : round(pre_delay_ms / 1000 * sample_rate)] = 0
    energy = float(np.square(tail, dtype=np.float64).sum()) / n_channels
    samples = tail * np.float32(np.sqrt(10 ** (-direct_to_reverberant_db / 10) / energy)) if energy else tail
    samples[:, 0] = 1
    return Response(samples, 0, None)


def _decaying(tail: Audio, seconds: np.ndarray, sample_rate: int, rt60_seconds: float, high_ratio: float) -> Audio:
    """Return noise with an exponential decay, a faster one above `DULL_ABOVE_HZ`."""
    decay = np.exp(-seconds * (np.log(1000) / rt60_seconds))
    if high_ratio == 1:
        return tail * decay.astype(np.float32)
    low_pass = scipy.signal.butter(2, DULL_ABOVE_HZ, fs=sample_rate, output="sos").astype(np.float32)
    low = scipy.signal.sosfilt(low_pass, tail, axis=1)
    return low * decay.astype(np.float32) + (tail - low) * (decay ** (1 / high_ratio)).astype(np.float32)


def add_synthetic_room(
    audio: Audio,
    sample_rate: int,
    *,
    rt60_seconds: float,
    high_rt60_ratio: float,
    pre_delay_ms: float,
    direct_to_reverberant_db: float,
    target: Part,
    seed: int,
) -> Audio:
    """Return ``audio`` in a room that `synthetic_response` makes; the channels' reflections differ."""
    response = synthetic_response(
        len(audio),
        sample_rate,
        rt60_seconds=rt60_seconds,
        high_rt60_ratio=high_rt60_ratio,
        pre_delay_ms=pre_delay_ms,
        direct_to_reverberant_db=direct_to_reverberant_db,
        seed=seed,
    )
    return through_room(audio, response)


def synthetic_room_target(audio: Audio, sample_rate: int, *, target: Part, **params: Any) -> Audio:
    """Return what is asked for where ``audio`` was put into a synthetic room."""
    if target == "dry":
        return audio
    response = synthetic_response(len(audio), sample_rate, **params)
    return through_room(audio, part_of(response, sample_rate, target))


def add_room(audio: Audio, sample_rate: int, *, file: str, target: Part) -> Audio:
    """Return ``audio`` through the response in a file.  Raises `InputError` for a file that is gone or silent."""
    return through_room(audio, read_response(file, sample_rate))


def room_target(audio: Audio, sample_rate: int, *, file: str, target: Part) -> Audio:
    """Return what is asked for where ``audio`` was put into a room."""
    if target == "dry":
        return audio
    return through_room(audio, part_of(read_response(file, sample_rate), sample_rate, target))


TARGET = "what to ask for: the dry sound, its direct or early part (50 ms) in this room, or all of it"


class SyntheticRoom(Degradation):
    """A room without walls to measure: direct sound, sparse reflections, and noise that decays."""

    apply: ClassVar = staticmethod(add_synthetic_room)
    apply_to_target: ClassVar = staticmethod(synthetic_room_target)
    seeded: ClassVar = True
    rt60_seconds: Annotated[Spread, within(0.02, 20)] = Field(
        spread(0.15, 1.2, form="log"), description="time in which the reverberation falls by 60 dB"
    )
    high_rt60_ratio: Annotated[Spread, within(0.1, 1)] = Field(
        spread(0.4, 0.9), description="reverberation time above 2 kHz, relative to the one below"
    )
    pre_delay_ms: Annotated[Spread, within(0, 200)] = Field(
        spread(2, 15), description="from the direct sound to the first reflection"
    )
    direct_to_reverberant_db: Annotated[Spread, within(-30, 60)] = Field(
        spread(-3, 12), description="energy of the direct sound over that of all reflections; falls with distance"
    )
    target: Part = Field("dry", description=TARGET)


class Room(FromBank):
    """A measured or simulated room: a response out of a bank, which ``resound rooms`` makes too."""

    apply: ClassVar = staticmethod(add_room)
    apply_to_target: ClassVar = staticmethod(room_target)
    usual_domains: ClassVar = ("room",)
    bank: str = Field(description="folder, manifest (.jsonl) or file of room responses")
    target: Part = Field("dry", description=TARGET)

    def draw(self, rng: np.random.Generator) -> Params:
        """Return parameters for one recording, with the file that was drawn in place of the bank."""
        return {"file": self.open().draw(rng), "target": self.target}
