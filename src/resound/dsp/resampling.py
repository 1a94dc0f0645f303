"""Resampling of what is still arriving, with as little delay as a linear-phase filter allows.

soxr, which resamples whole recordings here, works on blocks of a Fourier transform and holds 40 to 300 ms back; a
stream has no time for that.  This is a polyphase filter (Crochiere & Rabiner 1983, ch. 3) designed by Kaiser's method:
flat to 0.91 of the band, 100 dB down where it ends, 1.6 ms behind at 44.1 kHz.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.errors import ConfigError

STOP_DB = 100.0
TRANSITION = 0.09  # of the lower band, below its end
GATHERED = 2**20  # values looked at together
MOST_TAPS = 2**25  # of 8 bytes; two rates that have next to nothing in common would need more


@dataclass(frozen=True)
class Conversion:
    """How many samples of one rate are known when so many of another have arrived."""

    up: int  # steps of an input sample ...
    down: int  # ... and of an output sample
    centre: int  # steps by which the filter looks ahead

    @classmethod
    def of(cls, rate_in: int, rate_out: int) -> Conversion:
        """Return that of `StreamResampler`; of equal rates, which need no filter, that of handing through."""
        common = math.gcd(rate_in, rate_out)
        up, down = rate_out // common, rate_in // common
        return cls(up, down, 0 if up == down else n_taps_of(max(up, down)) // 2)

    def n_after(self, n_in: int | NDArray) -> NDArray:
        """Return how many samples have come out when so many have gone in."""
        steps = np.asarray(n_in) * self.up - self.centre  # outputs whose newest input is among them
        return np.maximum(-(-steps // self.down), 0)


class StreamResampler:
    """Resamples ``(channel, time)`` block by block; its first output is of the time of the first input."""

    def __init__(self, rate_in: int, rate_out: int, n_channels: int) -> None:
        """Design the filter.  Raises `ConfigError` for rates with too little in common."""
        self.conversion = Conversion.of(rate_in, rate_out)
        self._up, self._down, self._centre = self.conversion.up, self.conversion.down, self.conversion.centre
        if 2 * self._centre > MOST_TAPS:
            raise ConfigError(
                f"between {rate_in} and {rate_out} Hz no stream is resampled, for they have too little in common; "
                "resample it first (ffmpeg ... -ar 48000)"
            )
        taps = lowpass(self._up, self._down)
        n_taps = -(-len(taps) // self._up)  # that an output sample is made of
        by_phase = np.zeros((n_taps, self._up))
        by_phase.ravel()[: len(taps)] = taps
        self._by_phase = np.ascontiguousarray(by_phase.T[:, ::-1])  # (phase, tap), the oldest input first
        self._heard = np.zeros((n_channels, n_taps - 1))  # the last of the input, zeros before the first
        self._n_in = self._n_out = 0

    def process(self, block: NDArray) -> NDArray:
        """Return the samples that are known now, ``(channel, time)``."""
        if not block.shape[1]:
            return block
        n_taps, first = self._by_phase.shape[1], self._n_in
        heard = np.concatenate([self._heard, block], axis=1)  # from input sample `first` - n_taps + 1 on
        self._n_in += block.shape[1]
        stop = int(self.conversion.n_after(self._n_in))
        windows, parts = sliding_window_view(heard, n_taps, axis=1), []
        step = max(1, GATHERED // (n_taps * len(heard)))
        for start in range(self._n_out, stop, step):
            place = np.arange(start, min(start + step, stop)) * self._down + self._centre
            newest, phase = np.divmod(place, self._up)  # input sample that an output needs, and the filter's phase
            parts.append(np.einsum("cnt,nt->cn", windows[:, newest - first], self._by_phase[phase]))
        self._n_out, self._heard = stop, heard[:, block.shape[1] :]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(heard), 0))


def n_taps_of(slowest: int) -> int:
    """Return the odd number of taps of a filter whose band ends at 1 / ``slowest`` of the rate that both have."""
    n_taps, _ = scipy.signal.kaiserord(STOP_DB, TRANSITION / slowest)
    return int(n_taps) | 1


def lowpass(up: int, down: int) -> NDArray[np.float64]:
    """Return an odd number of taps at ``up`` times the rate of the input, with a gain of ``up``."""
    return up * _of_gain_one(max(up, down))


@functools.lru_cache(maxsize=1)  # the way back takes the filter of the way there
def _of_gain_one(slowest: int) -> NDArray[np.float64]:
    window = ("kaiser", scipy.signal.kaiser_beta(STOP_DB))
    taps = scipy.signal.firwin(n_taps_of(slowest), (1 - TRANSITION / 2) / slowest, window=window)
    return np.asarray(taps)
