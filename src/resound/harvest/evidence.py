"""What tells noise from speech and music, measured every 25 ms while a recording streams by.

Noise is what has no pitch, no lines, no syllables and no decay, and rests on the recording's own floor.  Ticks are
noise, too: before anything is measured they are clipped to the level around them, so that crackle counts as what lies
under it.  Mains hum belongs to the noise of a film and is looked away from where it is found.

All is measured at 24 kHz or below, on the first difference of the signal (so that rumble hides nothing).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.classic.dehum import LINE_SECONDS, WORKING_RATE, DehumConfig, find_comb, held_lines
from resound.dsp.signal import quantile_across, smooth
from resound.dsp.spectral import hann

STEP_SECONDS = 0.025
HIGHEST_RATE = 24000
RATE_GRID = 400  # so that a step is a whole, even number of samples
BLOCK_SECONDS = 20.0
# Wide enough that noise is steady in them, narrow enough that a cricket is not.
BAND_EDGES_HZ = (
    *(150.0, 300.0, 450.0, 600.0, 800.0, 1000.0, 1300.0, 1700.0, 2200.0, 2800.0, 3500.0, 4300.0, 5200.0, 6300.0),
    *(7500.0, 9000.0, 12000.0),
)
TICK = 3.0  # a sample so many standard deviations from zero is a tick's
PITCH_SECONDS = 0.075
PITCH_HZ = (70.0, 420.0)
PITCH_BAND_HZ = (150.0, 3500.0)
LINE_FRAME_SECONDS = 0.15
LINE_AVERAGE_SECONDS = 0.5
LINE_BAND_HZ = (150.0, 8000.0)
SURROUNDINGS_HZ = 250.0
CONTEXT_STEPS = 16  # on both sides of a block, for what is averaged over time


@dataclass(frozen=True)
class Evidence:
    """One value a step for each measure; powers are of full scale."""

    step_seconds: float
    n_samples: int  # of the recording, at its own rate
    power: NDArray  # (step,), mean square of all that is heard
    bands: NDArray  # (step, band), power of the differenced, tick-free signal
    pitch: NDArray  # (step,), height of the autocorrelation's peak, 0 to 1
    line_db: NDArray  # (step,), by how much the strongest line stands above the spectrum around it
    hum_hz: tuple[float, ...]  # one for each block where mains hum was found

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return len(self.power)


class Listener:
    """Gathers `Evidence` from ``(channel, time)`` blocks, about 20 MB for an hour."""

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        self.sample_rate = sample_rate
        self.rate = max(RATE_GRID, min(HIGHEST_RATE, sample_rate // RATE_GRID * RATE_GRID))
        self.step = round(STEP_SECONDS * self.rate)
        self.n_samples = 0
        self._resampler = soxr.ResampleStream(sample_rate, self.rate, n_channels, dtype="float32", quality="HQ")
        self._waiting = np.zeros((n_channels, CONTEXT_STEPS * self.step), np.float32)
        self._n_waiting_first = CONTEXT_STEPS * self.step
        self._found: list[dict[str, NDArray]] = []
        self._hum_hz: list[float] = []

    def add(self, block: NDArray) -> None:
        """Listen to the next ``(channel, time)`` block."""
        self.n_samples += block.shape[1]
        self._take(self._resampler.resample_chunk(np.ascontiguousarray(block.T, dtype=np.float32), last=False))

    def finish(self) -> Evidence:
        """Return all evidence; nothing can be added any more."""
        n_channels = len(self._waiting)
        self._take(self._resampler.resample_chunk(np.zeros((0, n_channels), np.float32), last=True))
        n_steps = int(self.n_samples / self.sample_rate / STEP_SECONDS)
        n_left = n_steps - sum(len(found["power"]) for found in self._found)
        if n_left > 0:
            end = np.zeros((n_channels, (n_left + 2 * CONTEXT_STEPS) * self.step), np.float32)
            n = min(end.shape[1], self._waiting.shape[1])
            end[:, :n] = self._waiting[:, :n]
            self._measure(end, n_left)
        names = ("power", "bands", "pitch", "line_db")
        n_bands = len(band_edges_hz(self.rate)) - 1
        empty = {"bands": np.zeros((0, n_bands), np.float32)}
        joined = {
            name: np.concatenate([found[name] for found in self._found])
            if self._found
            else empty.get(name, np.zeros(0, np.float32))
            for name in names
        }
        return Evidence(STEP_SECONDS, self.n_samples, hum_hz=tuple(self._hum_hz), **joined)

    def _take(self, samples: NDArray) -> None:
        self._waiting = np.concatenate([self._waiting, samples.T], axis=1)
        n_steps = round(BLOCK_SECONDS / STEP_SECONDS)
        while self._waiting.shape[1] >= (n_steps + 2 * CONTEXT_STEPS) * self.step:
            self._measure(self._waiting[:, : (n_steps + 2 * CONTEXT_STEPS) * self.step], n_steps)
            self._waiting = self._waiting[:, n_steps * self.step :]

    def _measure(self, samples: NDArray, n_steps: int) -> None:
        """Measure ``n_steps`` in the middle of ``(channel, time)`` that has `CONTEXT_STEPS` more on both sides."""
        hum_hz = hum_frequency_hz(samples, self.rate)
        if hum_hz is not None:
            self._hum_hz.append(hum_hz)
        inside = slice(CONTEXT_STEPS, CONTEXT_STEPS + n_steps)
        calm = without_ticks(np.diff(samples, axis=1, prepend=samples[:, :1]), self.step)
        self._found.append(
            {
                "power": step_power(samples, self.step)[inside],
                "bands": band_powers(calm, self.rate, self.step)[inside],
                "pitch": pitch_strength(calm, self.rate, self.step, hum_hz)[inside],
                "line_db": line_prominence_db(calm, self.rate, self.step, hum_hz)[inside],
            }
        )


def band_edges_hz(rate: int) -> NDArray:
    """Return the edges of the bands that lie below 0.48 of the rate."""
    edges = np.array(BAND_EDGES_HZ)
    inside = edges[edges < 0.48 * rate]
    return inside if len(inside) == len(edges) else np.append(inside, 0.48 * rate)


def step_power(samples: NDArray, step: int) -> NDArray:
    """Return the mean square over channels of each step of ``(channel, time)``."""
    return np.mean(np.square(samples.reshape(len(samples), -1, step)), axis=(0, 2))


def without_ticks(samples: NDArray, step: int) -> NDArray:
    """Return ``(channel, time)`` clipped at `TICK` standard deviations of what is around, by medians over 125 ms."""
    calm = np.empty_like(samples)
    for channel, out in zip(samples, calm, strict=True):
        medians = np.median(np.abs(channel.reshape(-1, step)), axis=1)
        deviation = scipy.ndimage.median_filter(medians, 5, mode="nearest") / 0.6745
        limit = np.repeat((TICK * deviation).astype(np.float32), step)
        np.clip(channel, -limit, limit, out=out)
    return calm


def centred_frames(channel: NDArray, length: int, hop: int) -> NDArray:
    """Return frames ``(len / hop, length)`` of ``(time,)``, each centred on its hop; zeros beyond the ends."""
    before = (length - hop) // 2
    padded = np.pad(channel, (before, length - hop - before))
    return sliding_window_view(padded, length)[::hop]


def powers_of(samples: NDArray, length: int, hop: int, n_fft: int) -> NDArray:
    """Return the windowed power spectra ``(frame, freq)``, mean over channels of ``(channel, time)``."""
    window = hann(length) / np.float32(np.sqrt(np.sum(hann(length) ** 2)))
    total: NDArray = np.zeros((1, 1), np.float32)
    for channel in samples:
        spectrum = scipy.fft.rfft(centred_frames(channel, length, hop) * window, n_fft, axis=1)
        total = total + (spectrum.real**2 + spectrum.imag**2)
    return total / np.float32(len(samples))


def band_powers(calm: NDArray, rate: int, step: int) -> NDArray:
    """Return the power in each band at each step, ``(step, band)``, from 50-ms frames."""
    length = 2 * step
    power = powers_of(calm, length, step, length)
    bins = np.ceil(band_edges_hz(rate) * length / rate).astype(int)
    return np.add.reduceat(power, bins[:-1], axis=1) - power[:, bins[-1] :].sum(axis=1, keepdims=True) * (
        np.arange(len(bins) - 1) == len(bins) - 2
    )


def relative_to_surroundings(power: NDArray, hz: float) -> NDArray:
    """Return each bin of ``(frame, freq)`` divided by the median of its surroundings, 1 where there is nothing."""
    width = round(SURROUNDINGS_HZ / hz) | 1
    around = quantile_across(power, 0.5, width) * np.float32(1 / np.log(2))  # median to mean of an exponential
    return power / np.maximum(around, np.float32(1e-6) * power.max(axis=1, keepdims=True) + np.float32(1e-20))


def off_hum(n_bins: int, hz: float, hum_hz: float | None, half_width_hz: float) -> NDArray:
    """Return which bins are no multiple of a hum, ``(freq,)`` of bool."""
    frequencies_hz = np.arange(n_bins) * hz
    if hum_hz is None:
        return np.ones(n_bins, dtype=bool)
    return np.abs(frequencies_hz - np.round(frequencies_hz / hum_hz) * hum_hz) > half_width_hz


def pitch_strength(calm: NDArray, rate: int, step: int, hum_hz: float | None) -> NDArray:
    """Return how periodic each step is, ``(step,)``: the autocorrelation's peak between 70 and 420 Hz.

    Of the whitened spectrum between 150 and 3500 Hz, its peaks limited so that one line does not rule; averaged over
    three frames.
    """
    length, hop = round(PITCH_SECONDS * rate), 2 * step
    n_fft = scipy.fft.next_fast_len(2 * length, real=True)
    power = powers_of(calm, length, hop, n_fft)
    hz = rate / n_fft
    low, high = int(PITCH_BAND_HZ[0] / hz), int(min(PITCH_BAND_HZ[1], 0.45 * rate) / hz)
    white = np.zeros_like(power)
    white[:, low:high] = np.minimum(relative_to_surroundings(power[:, low:high], hz), 8.0)
    white *= off_hum(white.shape[1], hz, hum_hz, 1.0 / PITCH_SECONDS)
    likeness = smooth(scipy.fft.irfft(white, axis=1)[:, :length], 3)
    # The band itself and the window make a triangle around lag 0; periodicity stands above it further out.
    lags = slice(round(rate / PITCH_HZ[1]), min(length, round(rate / PITCH_HZ[0])))
    overlap = 1 - np.arange(length) / length
    peak = (likeness[:, lags] / overlap[lags]).max(axis=1)
    return np.repeat(np.clip(peak / np.maximum(likeness[:, 0], 1e-20), 0, 1), 2)


def line_prominence_db(calm: NDArray, rate: int, step: int, hum_hz: float | None) -> NDArray:
    """Return by how many dB the strongest line stands above the spectrum around it, averaged over 0.5 s, ``(step,)``.

    Averaging is what makes a line of noise: one frame of Gaussian noise has peaks of 10 dB, the mean of half a second
    hardly any of 5.
    """
    length, hop = round(LINE_FRAME_SECONDS * rate), 2 * step
    power = powers_of(calm, length, hop, length)
    hz = rate / length
    low, high = int(LINE_BAND_HZ[0] / hz), int(min(LINE_BAND_HZ[1], 0.45 * rate) / hz)
    mean = smooth(power[:, low:high], round(LINE_AVERAGE_SECONDS / (hop / rate)))
    height = relative_to_surroundings(mean, hz) * off_hum(power.shape[1], hz, hum_hz, 1.6 * hz)[low:high]
    return np.repeat(10 * np.log10(np.maximum(height.max(axis=1), 1e-3)), 2)


def hum_frequency_hz(samples: NDArray, rate: int) -> float | None:
    """Return the fundamental of a mains hum in ``(channel, time)``, None where none is held."""
    if samples.shape[1] < 1.5 * LINE_SECONDS * rate or not np.any(samples):
        return None
    slow_rate = min(WORKING_RATE, rate)
    slow = soxr.resample(samples.mean(axis=0, dtype=np.float64), rate, slow_rate)[None]
    comb = find_comb(slow, slow_rate, DehumConfig())
    comb = comb and held_lines(slow, comb, slow_rate)
    return comb.fundamental_hz if comb else None
