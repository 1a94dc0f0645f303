"""Sound restored while it arrives: any number of samples in, as many out, late by what is stated.

::

    in ──┬─ resample ─ frames ─ network ─ what was removed ─ resample ─┐
         └─ delayed by the same ───────────────────────────────────────┴─ minus gain × removed ── out

As in `resound.inference.offline`, what goes through the network is what is *removed*: whatever lies above the network's
own rate is kept, and at strength 0 what comes out is what came in.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.dsp.resampling import SHARP, TRANSITION, Conversion, StreamResampler, is_long
from resound.errors import ConfigError, ModelError, did_you_mean, one_line
from resound.inference.frames import FrameMaker, FrameStream, GraphFrames
from resound.inference.offline import MOST_CHANNELS, SAMPLE_RATES
from resound.inference.pipeline import check_strength
from resound.shipped import AUTO, RESTORING, SEPARATES, file_of, is_shipped

Samples = NDArray[np.float64]
RAMP_SECONDS = 0.02  # in which a gain goes from 0 to 1: no click
LOUDEST = 1e4  # 80 dB above full scale: no sound, and enough to poison a state
MOST_REDUCTION_DB = 60.0
PART_SAMPLES = 2**19  # of all channels, worked on at once: a block of any length needs no more memory
MOST_COUNTED = 2**20  # blocks


class Running:
    """What streams of every kind have: a strength that may be set while they run, and a delay."""

    sample_rate: int
    latency_samples: int
    _strength: float

    @property
    def strength(self) -> float:
        """How much of what it changes is changed, 0 to 1; may be set while the stream runs."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        check_strength(strength)
        self._strength = float(strength)

    @property
    def latency_seconds(self) -> float:
        """By how much what comes out is late."""
        return self.latency_samples / self.sample_rate


class Stream(Running):
    """A recording restored while it arrives.

    >>> stream = Stream("voice.onnx", sample_rate=44100, channels=2)                         # doctest: +SKIP
    >>> for block in blocks:                      # (channel, time), any number of samples   # doctest: +SKIP
    ...     play(stream.process(block))           # as many, `latency_samples` late
    >>> play(stream.flush())                      # the last of them                         # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | FrameMaker,
        *,
        sample_rate: int | None = None,
        channels: int | None = None,
        strength: float = 1.0,
        max_reduction_db: float | None = None,
        block_samples: int = 1,
        whole: bool = False,
    ) -> None:
        """Open a model: a name (``voice``), the streaming form of an exported network, or the folder of a causal one.

        ``sample_rate`` and ``channels`` are those of what arrives (default: the model's).  ``block_samples`` promises
        that only multiples of it arrive, which lowers the delay.  ``whole`` is for recordings, which can wait: of
        other rates than the model's, more of the top of the band is restored, at several times the delay.  Raises
        `ModelError` and `ConfigError`.
        """
        self._frames = frames = open_frames(model)
        self.sample_rate = frames.sample_rate if sample_rate is None else _checked_rate(sample_rate)
        self.n_channels = frames.n_channels if channels is None else channels
        self.n_channels_out = _channels_out(frames, self.n_channels)
        self.block_samples = _checked_block(block_samples)
        self.strength, self.max_reduction_db = strength, max_reduction_db
        is_sharp = whole and not is_long(self.sample_rate, frames.sample_rate)
        self._transition = SHARP if is_sharp else TRANSITION
        self.latency_samples = _latency(frames, self.sample_rate, self.block_samples, self._transition)
        self.n_silenced = 0  # samples that were no sound: NaN, infinite, or 80 dB above full scale
        self.n_restarts = 0  # times that a network lost itself and began anew
        self.reset()

    @property
    def max_reduction_db(self) -> float | None:
        """The most by which anything falls, in dB, None for no limit; may be set while the stream runs."""
        return self._max_reduction_db

    @max_reduction_db.setter
    def max_reduction_db(self, max_reduction_db: float | None) -> None:
        if max_reduction_db is not None and not 0 <= max_reduction_db <= MOST_REDUCTION_DB:
            raise ConfigError(f"max reduction is {max_reduction_db} dB; give 0 to {MOST_REDUCTION_DB:g}")
        self._max_reduction_db = max_reduction_db

    def reset(self) -> None:
        """Begin anew, as before the first sample."""
        self._inner = _Removal(self._frames, self.sample_rate, self.n_channels, self.n_channels_out, self._transition)
        self._heard = np.zeros((self.n_channels_out, 0))
        self._removed = np.zeros((self.n_channels_out, 0))
        self._waiting = self.latency_samples  # zeros still to be given out
        self._ramp = Ramp(self.sample_rate, self._wanted_gain())

    def process(self, samples: NDArray) -> Samples:
        """Return as many samples as came in, ``(channel, time)`` or ``(time,)`` both.  Raises `ConfigError`."""
        array = self._checked(samples)
        out = self._in_parts(np.atleast_2d(array))
        return out[0] if array.ndim == 1 else out

    def flush(self) -> Samples:
        """Return the last `latency_samples`, and begin anew."""
        n_fed = -(-self.latency_samples // self.block_samples) * self.block_samples
        tail = self._in_parts(np.zeros((self.n_channels, n_fed)))[:, : self.latency_samples]
        self.reset()
        return tail

    def as_sound(self, samples: NDArray) -> Samples:
        """Return what `process` hears of samples: ``(channel, time)``, what is no sound at 0."""
        wide = np.atleast_2d(samples)
        return np.where(_is_sound(wide), wide, 0.0).astype(np.float64)

    def _in_parts(self, sound: NDArray) -> Samples:
        size = max(1, PART_SAMPLES // self.n_channels)
        out = np.empty((self.n_channels_out, sound.shape[1]))
        for start in range(0, sound.shape[1], size):
            out[:, start : start + size] = self._next(self._silenced(sound[:, start : start + size]))
        return out

    def _next(self, sound: Samples) -> Samples:
        """Take samples in, and return as many."""
        self._heard = np.concatenate([self._heard, sound[: self.n_channels_out]], axis=1)
        self._removed = np.concatenate([self._removed, self._inner.add(sound)], axis=1)
        self.n_restarts, self._inner.n_restarts = self.n_restarts + self._inner.n_restarts, 0
        n_zeros = min(self._waiting, sound.shape[1])
        self._waiting -= n_zeros
        return np.concatenate([np.zeros((self.n_channels_out, n_zeros)), self._mixed(sound.shape[1] - n_zeros)], axis=1)

    def _mixed(self, n_samples: int) -> Samples:
        """Take the next samples off what was heard and what is to be removed of it."""
        assert n_samples <= self._removed.shape[1], "the stated delay is too short"
        heard, self._heard = self._heard[:, :n_samples], self._heard[:, n_samples:]
        removed, self._removed = self._removed[:, :n_samples], self._removed[:, n_samples:]
        return heard - self._ramp.gains(self._wanted_gain(), n_samples) * removed

    def _wanted_gain(self) -> float:
        kept = 0.0 if self._max_reduction_db is None else 10 ** (-self._max_reduction_db / 20)
        return self._strength * (1 - kept)

    def _checked(self, samples: NDArray) -> NDArray:
        """Return what came as an array of the right type and shape.  Raises `ConfigError`."""
        array = np.asarray(samples)
        if array.dtype not in (np.float32, np.float64):
            raise ConfigError(f"samples are {array.dtype}; convert them to float32 or float64 with full scale at 1")
        is_flat = array.ndim == 1 and self.n_channels == 1
        if not is_flat and (array.ndim != 2 or len(array) != self.n_channels):
            raise ConfigError(f"samples have shape {array.shape}; give ({self.n_channels}, time)")
        if array.shape[-1] % self.block_samples:
            raise ConfigError(
                f"{array.shape[-1]} samples are no multiple of the {self.block_samples} that were promised"
            )
        return array

    def _silenced(self, sound: NDArray) -> Samples:
        """Return a copy with what is no sound at 0, and count it."""
        self.n_silenced += sound.size - int(np.count_nonzero(_is_sound(sound)))
        return self.as_sound(sound)


class Ramp:
    """A gain that goes to the one that is wanted without a click."""

    def __init__(self, sample_rate: int, gain: float) -> None:
        self._step, self._gain = 1 / (RAMP_SECONDS * sample_rate), gain

    def jump(self, gain: float) -> None:
        """Be there at once."""
        self._gain = gain

    def gains(self, wanted: float, n_samples: int) -> float | Samples:
        """Return the gain of each of the next samples, or of all of them."""
        if self._gain == wanted:
            return wanted
        steps = self._gain + np.sign(wanted - self._gain) * self._step * np.arange(1, n_samples + 1)
        gains = np.clip(steps, min(self._gain, wanted), max(self._gain, wanted))
        self._gain = float(gains[-1]) if n_samples else self._gain
        return gains


def _is_sound(samples: NDArray) -> NDArray[np.bool_]:
    return np.abs(samples) < LOUDEST  # NaN is not


class _Removal:
    """What a model removes, at the stream's rate, as soon as it is known; the first sample is the input's first."""

    def __init__(self, frames: FrameMaker, sample_rate: int, n_channels: int, n_out: int, transition: float) -> None:
        self._frames, self._n_out = frames, n_out
        self._down = _resampler(sample_rate, frames.sample_rate, n_channels, transition)
        self._up = _resampler(frames.sample_rate, sample_rate, n_out, transition)
        self._pending = np.zeros((n_channels, 0))  # less than a frame, at the model's rate
        self._dry = np.zeros((n_out, frames.latency_samples))  # what the network's next output is of
        self._n_early = frames.latency_samples  # outputs still to come that are of before the first sample
        self._streams = self._begin()
        self.n_restarts = 0

    def _begin(self) -> list[FrameStream]:
        return [self._frames.begin() for _ in range(len(self._pending) // self._frames.n_channels)]

    def add(self, sound: Samples) -> Samples:
        """Return what more is known to be removed, ``(channel, time)``."""
        self._pending = np.concatenate([self._pending, self._down(sound)], axis=1)
        size, removed = self._frames.frame_samples, []
        n_frames = self._pending.shape[1] // size
        for index in range(n_frames):
            removed.append(self._frame(self._pending[:, index * size : (index + 1) * size]))
        self._pending = self._pending[:, n_frames * size :]
        known = np.concatenate(removed, axis=1) if removed else np.zeros((self._n_out, 0))
        n_early = min(self._n_early, known.shape[1])
        self._n_early -= n_early
        return self._up(known[:, n_early:])

    def _frame(self, frame: Samples) -> Samples:
        """Return what is removed in the frame that comes out when this one goes in."""
        dry = np.concatenate([self._dry, frame[: self._n_out]], axis=1)
        self._dry = dry[:, frame.shape[1] :]
        dry, fed = dry[:, : frame.shape[1]], frame.astype(np.float32)
        width = self._frames.n_channels
        made = [stream.step(fed[index * width : (index + 1) * width]) for index, stream in enumerate(self._streams)]
        restored = np.concatenate(made).astype(np.float64)
        if not np.isfinite(restored).all():  # its state is lost as well
            self._streams, self.n_restarts = self._begin(), self.n_restarts + 1
            return np.zeros_like(dry)
        return dry - restored


def open_frames(model: str | os.PathLike[str] | FrameMaker, names: tuple[str, ...] = RESTORING) -> FrameMaker:
    """Return what makes a model's frames; ``names`` are those that a caller offers.

    Raises `ModelError` for a model that cannot stream, or is none.
    """
    offered = ", ".join(names)
    if not isinstance(model, str | os.PathLike):
        if not hasattr(model, "n_sources"):
            raise ModelError(f"{one_line(model)}: is no model; give {offered}, or a path")
        return model
    if not str(model):
        raise ModelError(f"the model's name is empty; give {offered}, or a path")
    if str(model) == "auto":
        return GraphFrames(file_of(AUTO))
    if str(model) == SEPARATES and is_shipped(model):
        raise ModelError(f"model {str(model)!r} hears all of a recording and cannot stream; 'resound separate' runs it")
    if is_shipped(model):
        return GraphFrames(file_of(str(model)))
    path = Path(model)
    if str(model) == "classic":
        raise ModelError(
            f"model {str(model)!r} looks at seconds of what follows and cannot stream; give {offered}, a "
            "network that is exported with --streaming, or a causal one's folder"
        )
    if path.is_dir():
        from resound.inference.network_frames import NetworkFrames

        return NetworkFrames(path)
    if not path.exists() and path.suffix.lower() != ".onnx":
        raise ModelError(
            f"model {str(model)!r} is not known{did_you_mean(str(model), names)}; give {offered}, an "
            ".onnx file that 'resound export --streaming' made, or a causal network's folder"
        )
    return GraphFrames(path)


def _channels_out(frames: FrameMaker, n_channels: int) -> int:
    """Return how many channels come out.  Raises `ConfigError`."""
    if not isinstance(n_channels, int) or not 1 <= n_channels <= MOST_CHANNELS:
        raise ConfigError(f"channels is {n_channels!r}; give 1 to {MOST_CHANNELS}")
    if frames.n_sources > frames.n_channels:
        raise ConfigError(
            f"model {frames.name!r} separates into {frames.n_sources} voices; a stream restores one sound"
        )
    if frames.n_channels == 1:
        return n_channels
    if frames.n_channels != n_channels:
        raise ConfigError(
            f"model {frames.name!r} takes {frames.n_channels} channels, not {n_channels}; give it as many"
        )
    return frames.n_sources


def _checked_rate(sample_rate: int) -> int:
    lowest, highest = SAMPLE_RATES
    is_rate = isinstance(sample_rate, Real) and not isinstance(sample_rate, bool) and lowest <= sample_rate <= highest
    if not is_rate or sample_rate % 1:
        raise ConfigError(f"sample rate is {sample_rate!r} Hz; give a whole number from {lowest} to {highest}")
    return int(sample_rate)


def _checked_block(block_samples: int) -> int:
    if isinstance(block_samples, bool) or not isinstance(block_samples, int) or block_samples < 1:
        raise ConfigError(f"block_samples is {block_samples!r}; give a whole number of at least 1")
    return block_samples


def _resampler(rate_in: int, rate_out: int, n_channels: int, transition: float) -> Callable[[Samples], Samples]:
    """Return what resamples ``(channel, time)`` block by block."""
    if rate_in == rate_out:
        return lambda block: block
    return StreamResampler(rate_in, rate_out, n_channels, transition).process


def _latency(frames: FrameMaker, sample_rate: int, block_samples: int, transition: float) -> int:
    """Return how many samples behind the input the output is, so that there is always one to give out.

    That is the model's own delay, what is missing of a frame at worst, and what the resamplers hold back: found by
    counting how many samples have come out when so many have gone in, until all begins to repeat itself.
    """
    size, late = frames.frame_samples, frames.latency_samples
    there = Conversion.of(sample_rate, frames.sample_rate, transition)
    back = Conversion.of(frames.sample_rate, sample_rate, transition)
    most = (there.centre + (size - 1 + late) * there.down + back.centre) // there.up  # if the worst came together
    in_frames = size * sample_rate // math.gcd(size * sample_rate, frames.sample_rate)  # samples in whole frames
    n_blocks = in_frames // math.gcd(in_frames, block_samples)  # after which they begin together again
    if n_blocks > MOST_COUNTED:
        return most
    n_in = block_samples * (-(-most // block_samples) + np.arange(n_blocks))  # the beginning is behind
    n_known = np.maximum(there.n_after(n_in) // size * size - late, 0)
    return int(np.max(n_in - back.n_after(n_known)))
