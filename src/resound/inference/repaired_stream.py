"""A stream whose voice gets back, while it arrives, what a denoiser took: as `resound.inference.repair` for recordings.

::

    in ─┬─ Stream ── denoised ─┬─ Stream of two channels, a network that repairs ── repaired ─┬─ by strength ── out
        └─ as late ─── noisy ──┴─ as late ────────────────────────────────────────── noisy ───┘

The second network hears the recording's first sample first, not the silence that is given out before it: where its
frames begin is part of what it makes of them.
"""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

from resound.inference.frames import FrameMaker
from resound.inference.repair import repairs_nothing
from resound.inference.streaming import Ramp, Running, Samples, Stream, open_frames
from resound.shipped import REPAIRS


class RepairedStream(Running):
    """A stream and, after it, a network that takes what it gives and what it heard; used like a `Stream`.

    >>> stream = RepairedStream(Stream("voice", sample_rate=48000), "timbre.onnx")            # doctest: +SKIP
    """

    def __init__(self, stream: Stream, then: str | os.PathLike[str] | FrameMaker) -> None:
        """Take a stream, which begins anew, and what repairs: a streaming form, or the folder of a causal network.

        The stream's strength becomes that of both together.  Raises `ModelError` for a network that repairs nothing.
        """
        frames = open_repairing(then)
        self._stream, self._strength = stream, stream.strength
        stream.strength = 1.0
        self.sample_rate, self.block_samples = stream.sample_rate, stream.block_samples
        self.n_channels, self.n_channels_out = stream.n_channels, stream.n_channels_out
        block_samples = math.gcd(stream.block_samples, stream.latency_samples)  # what arrives behind it
        self._repairs = [
            Stream(frames, sample_rate=stream.sample_rate, channels=2, block_samples=block_samples)
            for _ in range(stream.n_channels_out)
        ]
        self.latency_samples = stream.latency_samples + self._repairs[0].latency_samples
        self._ramp = Ramp(stream.sample_rate, self._strength)
        self.reset()

    @property
    def max_reduction_db(self) -> float | None:
        """The most by which anything falls before it is repaired, in dB; may be set while the stream runs."""
        return self._stream.max_reduction_db

    @max_reduction_db.setter
    def max_reduction_db(self, max_reduction_db: float | None) -> None:
        self._stream.max_reduction_db = max_reduction_db

    @property
    def n_silenced(self) -> int:
        """Samples that came in and were no sound."""
        return self._stream.n_silenced

    @property
    def n_restarts(self) -> int:
        """Times that a network lost itself and began anew."""
        return self._stream.n_restarts + sum(repair.n_restarts for repair in self._repairs)

    def reset(self) -> None:
        """Begin anew, as before the first sample."""
        for stream in (self._stream, *self._repairs):
            stream.reset()
        self._noisy = np.zeros((self.n_channels_out, 0))  # of what denoised has yet to come
        self._waiting = np.zeros((self.n_channels_out, self._repairs[0].latency_samples))  # ... and repaired
        self._n_early = self._stream.latency_samples  # denoised samples still to come that are of nothing
        self._ramp.jump(self._strength)

    def process(self, samples: NDArray) -> Samples:
        """Return as many samples as came in, ``(channel, time)`` or ``(time,)`` both.  Raises `ConfigError`."""
        denoised = self._stream.process(samples)
        heard = np.concatenate([self._noisy, self._stream.as_sound(samples)[: self.n_channels_out]], axis=1)
        n_early = min(self._n_early, denoised.shape[-1])
        self._n_early -= n_early
        ready = np.atleast_2d(denoised)[:, n_early:]
        noisy, self._noisy = np.split(heard, [ready.shape[1]], axis=1)
        out = np.concatenate([np.zeros((self.n_channels_out, n_early)), self._repaired(ready, noisy)], axis=1)
        return out[0] if denoised.ndim == 1 else out

    def _repaired(self, denoised: Samples, noisy: Samples) -> Samples:
        """Return as many samples ``(channel, time)`` as there are of both, of the same moments."""
        both = zip(denoised, noisy, self._repairs, strict=True)
        repaired = np.concatenate([repair.process(np.stack([one, other])) for one, other, repair in both])
        self._waiting = np.concatenate([self._waiting, noisy], axis=1)
        return self._mixed(repaired)

    def _mixed(self, repaired: Samples) -> Samples:
        """Return what was repaired by strength over what came in."""
        n_samples = repaired.shape[1]
        before, self._waiting = np.split(self._waiting, [n_samples], axis=1)
        return before + self._ramp.gains(self._strength, n_samples) * (repaired - before)

    def flush(self) -> Samples:
        """Return the last `latency_samples`, and begin anew."""
        n_early = self._n_early
        denoised = self._stream.flush()[:, n_early:]
        # Behind the end what repairs hears nothing, as of a recording: not what the denoiser makes of silence.
        tail = self._repaired(denoised, self._noisy)
        last = self._mixed(np.concatenate([repair.flush() for repair in self._repairs]))
        self.reset()
        return np.concatenate([np.zeros((self.n_channels_out, n_early)), tail, last], axis=1)


def open_repairing(then: str | os.PathLike[str] | FrameMaker) -> FrameMaker:
    """Return what makes the frames of a network that repairs.  Raises `ModelError` for one that does not."""
    frames = open_frames(then, (REPAIRS,))
    if (frames.n_channels, frames.n_sources) != (2, 1):
        raise repairs_nothing(os.fspath(then) if isinstance(then, str | os.PathLike) else frames.name)
    return frames
