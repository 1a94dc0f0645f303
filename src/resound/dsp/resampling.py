"""Resampling of what is still arriving, with as little delay as a linear-phase filter allows, and of whole recordings.

soxr works on blocks of a Fourier transform and holds 40 to 300 ms back; a stream has no time for that.  This is a
polyphase filter (Crochiere & Rabiner 1983, ch. 3) designed by Kaiser's method, 100 dB down where the band ends.  That
of streams is flat to 0.91 of the band and 1.6 ms behind at 44.1 kHz.  What a network removes goes through it twice, so
that above 0.91 it would be removed in part only: recordings, which can wait, have one that is flat to 0.98.

After `up` outputs, for which `down` inputs are needed, the phases of the filter repeat themselves.  So a stretch of
outputs is a product of a matrix, the same for all stretches, with the inputs around them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import scipy
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.errors import ConfigError

STOP_DB = 100.0
TRANSITION = 0.09  # of the lower band, below its end
SHARP = 0.02  # ... of recordings
REACH = 330  # samples at the lower rate to which a filter so sharp extends on either side; of soxr's -140 dB are left
GATHERED = 2**20  # values looked at together
MOST_TAPS = 2**25  # of 8 bytes; two rates that have next to nothing in common would need more
MOST_WEIGHTS = 2**21  # of a matrix, 16 MB; rates that need more are resampled output by output
MOST_SHARP_TAPS = 2**21  # more take longer to design than many a recording to restore


@dataclass(frozen=True)
class Conversion:
    """How many samples of one rate are known when so many of another have arrived."""

    up: int  # steps of an input sample ...
    down: int  # ... and of an output sample
    centre: int  # steps by which the filter looks ahead

    @classmethod
    def of(cls, rate_in: int, rate_out: int, transition: float = TRANSITION) -> Conversion:
        """Return that of `StreamResampler`; of equal rates, which need no filter, that of handing through."""
        common = math.gcd(rate_in, rate_out)
        up, down = rate_out // common, rate_in // common
        return cls(up, down, 0 if up == down else n_taps_of(max(up, down), transition) // 2)

    def n_after(self, n_in: int | NDArray) -> NDArray:
        """Return how many samples have come out when so many have gone in."""
        steps = np.asarray(n_in) * self.up - self.centre  # outputs whose newest input is among them
        return np.maximum(-(-steps // self.down), 0)


class StreamResampler:
    """Resamples ``(channel, time)`` block by block; its first output is of the time of the first input."""

    def __init__(self, rate_in: int, rate_out: int, n_channels: int, transition: float = TRANSITION) -> None:
        """Design the filter, for two rates.  Raises `ConfigError` where they have too little in common."""
        self.conversion = Conversion.of(rate_in, rate_out, transition)
        self._up, self._down, self._centre = self.conversion.up, self.conversion.down, self.conversion.centre
        if 2 * self._centre > MOST_TAPS:
            raise ConfigError(
                f"between {rate_in} and {rate_out} Hz no stream is resampled, for they have too little in common; "
                "resample it first (ffmpeg ... -ar 48000)"
            )
        self._by_phase = by_phase(self._up, self._down, transition)
        self._n_taps = self._by_phase.shape[1]
        n_rounds = max(1, self._n_taps // 2 // self._down)  # of the phases, in a stretch
        while n_rounds > 1 and (n_rounds * self._down + self._n_taps) * n_rounds * self._up > MOST_WEIGHTS:
            n_rounds //= 2
        self._made, self._taken = n_rounds * self._up, n_rounds * self._down  # samples out of a stretch, and into it
        self._weights = stretch(self._up, self._down, transition, self._made)
        self._n_past = self._n_taps - 1 + self._taken
        self._heard = np.zeros((n_channels, self._n_past))  # the last of the input, zeros before the first
        self._n_in = self._n_out = 0

    def process(self, block: NDArray) -> NDArray:
        """Return the samples that are known now, ``(channel, time)``."""
        if not block.shape[1]:
            return block
        heard = np.concatenate([self._heard, block], axis=1)  # from input sample `first` on
        first = self._n_in - self._n_past
        self._n_in += block.shape[1]
        start, stop = self._n_out, int(self.conversion.n_after(self._n_in))
        made = self._one_by_one if self._weights is None else self._in_stretches
        self._n_out, self._heard = stop, heard[:, block.shape[1] :]
        return made(heard, first, start, stop) if start < stop else np.zeros((len(heard), 0))

    def _in_stretches(self, heard: NDArray, first: int, start: int, stop: int) -> NDArray:
        """Return the outputs from ``start`` to ``stop``; whole stretches are made, and their ends cut off."""
        assert self._weights is not None
        n_seen, begin = len(self._weights), start // self._made
        n = -(-stop // self._made) - begin
        oldest = begin * self._taken + self._centre // self._up - self._n_taps + 1 - first
        n_missing = oldest + (n - 1) * self._taken + n_seen - heard.shape[1]  # only what is cut off needs them
        heard = np.pad(heard, ((0, 0), (0, max(0, n_missing))))
        seen = sliding_window_view(heard, n_seen, axis=1)[:, oldest :: self._taken][:, :n]
        step = max(1, GATHERED // (n_seen * len(heard)))
        parts = [np.ascontiguousarray(seen[:, at : at + step]) @ self._weights for at in range(0, n, step)]
        made = np.concatenate(parts, axis=1).reshape(len(heard), -1)
        return made[:, start - begin * self._made : stop - begin * self._made]

    def _one_by_one(self, heard: NDArray, first: int, start: int, stop: int) -> NDArray:
        """Return the outputs from ``start`` to ``stop``."""
        windows, parts = sliding_window_view(heard, self._n_taps, axis=1), []
        step = max(1, GATHERED // (self._n_taps * len(heard)))
        for at in range(start, stop, step):
            place = np.arange(at, min(at + step, stop)) * self._down + self._centre
            newest, phase = np.divmod(place, self._up)  # input sample that an output needs, and the filter's phase
            oldest = newest - self._n_taps + 1 - first
            parts.append(np.einsum("cnt,nt->cn", windows[:, oldest], self._by_phase[phase]))
        return np.concatenate(parts, axis=1)


def is_long(rate_in: int, rate_out: int) -> bool:
    """Tell whether two rates have so little in common that a `SHARP` filter is more than a moment's work."""
    return n_taps_of(max(rate_in, rate_out) // math.gcd(rate_in, rate_out), SHARP) > MOST_SHARP_TAPS


def n_taps_of(slowest: int, transition: float = TRANSITION) -> int:
    """Return the odd number of taps of a filter whose band ends at 1 / ``slowest`` of the rate that both have."""
    n_taps, _ = scipy.signal.kaiserord(STOP_DB, transition / slowest)
    return int(n_taps) | 1


def lowpass(up: int, down: int, transition: float = TRANSITION) -> NDArray[np.float64]:
    """Return an odd number of taps at ``up`` times the rate of the input, with a gain of ``up``."""
    return up * _of_gain_one(max(up, down), transition)


@functools.lru_cache(maxsize=1)  # the way back takes the filter of the way there
def _of_gain_one(slowest: int, transition: float) -> NDArray[np.float64]:
    window = ("kaiser", scipy.signal.kaiser_beta(STOP_DB))
    taps = scipy.signal.firwin(n_taps_of(slowest, transition), (1 - transition / 2) / slowest, window=window)
    return np.asarray(taps)


@functools.lru_cache(maxsize=2)  # there and back, for every chunk
def by_phase(up: int, down: int, transition: float) -> NDArray[np.float64]:
    """Return the taps of each phase, ``(phase, tap)``, that for the oldest input first."""
    taps = lowpass(up, down, transition)
    phases = np.zeros((-(-len(taps) // up), up))
    phases.ravel()[: len(taps)] = taps
    return np.ascontiguousarray(phases.T[:, ::-1])


@functools.lru_cache(maxsize=2)
def stretch(up: int, down: int, transition: float, n_out: int) -> NDArray[np.float64] | None:
    """Return what makes ``n_out`` outputs of the inputs around them, ``(input, output)``; None: too large."""
    phases, centre = by_phase(up, down, transition), Conversion.of(down, up, transition).centre
    newest, phase = np.divmod(np.arange(n_out) * down + centre, up)
    n_taps = phases.shape[1]
    n_seen = newest[-1] - newest[0] + n_taps
    if n_seen * n_out > MOST_WEIGHTS:
        return None
    weights = np.zeros((n_out, n_seen))
    np.put_along_axis(weights, (newest - newest[0])[:, None] + np.arange(n_taps), phases[phase], axis=1)
    return np.ascontiguousarray(weights.T)


def resample(samples: NDArray, rate_in: int, rate_out: int) -> NDArray[np.float64]:
    """Return ``(channel, time)`` at another rate, without delay, flat to 0.98 of the lower band.

    Rates with little in common take soxr at high quality, which is flat to 0.91.
    """
    if rate_in == rate_out:
        return np.array(samples, np.float64)
    if is_long(rate_in, rate_out):
        return np.ascontiguousarray(soxr.resample(samples.T, rate_in, rate_out, quality="HQ").T)
    resampler = StreamResampler(rate_in, rate_out, len(samples), SHARP)
    up, down, centre = resampler.conversion.up, resampler.conversion.down, resampler.conversion.centre
    made = [resampler.process(samples), resampler.process(np.zeros((len(samples), centre // up + 1)))]
    return np.concatenate(made, axis=1)[:, : -(-samples.shape[1] * up // down)]


def reach(rate_in: int, rate_out: int) -> int:
    """Return how many samples at ``rate_in`` on either side a way there and back by `resample` depends on."""
    lower = min(rate_in, rate_out)
    return -(-2 * REACH * rate_in // lower)
