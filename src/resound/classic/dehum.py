"""Mains hum and its harmonics: found as a comb of steady lines, tracked in frequency, and subtracted.

Hum is what music is not: a comb on a mains frequency (or on one that a wrong film speed made of it) that stands for
most of a long block.  Each harmonic's complex amplitude is demodulated along the tracked fundamental and its running
*median* over seconds is subtracted, so that a bass note on the same frequency, which comes and goes, stays.  No notch:
nothing beside the lines is touched, and where there is no comb, the samples come back bit for bit.

Median-averaged spectra: Allen et al. 2012 (FINDCHIRP, appendix B), here so that a line must be there most of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

MAINS_HZ = (50.0, 60.0)
# 24 frames a second shown at 25, or 25 at 24, moves the mains too.
FILM_SPEEDS = (1.0, 25 / 24, 24 / 25)
LINE_SECONDS = 4.0  # of one spectrum: lines 0.5 Hz wide
WORKING_RATE = 6000
ENVELOPE_SECONDS = 0.5
ENVELOPE_HOP_SECONDS = 0.125
MEDIAN_SECONDS = 4.0
CONTEXT_SECONDS = 4.0
STEADINESS = 0.4
OVERTONE_STEADINESS = 0.15


class DehumConfig(BaseModel):
    """Settings of `Dehum`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="remove mains hum and its harmonics")
    fundamental_hz: float | None = Field(
        None, ge=20, le=500, description="where to look; none: 50 and 60 Hz at right and wrong film speeds"
    )
    tolerance_hz: float = Field(0.6, gt=0, le=5, description="how far from there the fundamental may be")
    max_harmonics: int = Field(32, ge=1, le=100, description="how many multiples are removed")
    prominence_db: float = Field(8.0, ge=3, le=40, description="a line stands this far above its surroundings")


class Dehum:
    """Subtracts mains hum.  A restorer: see `resound.inference.offline`."""

    name = "dehum"

    def __init__(self, sample_rate: int, config: DehumConfig | None = None) -> None:
        self.sample_rate = sample_rate
        self.config = config or DehumConfig()
        self.context = round(CONTEXT_SECONDS * sample_rate)

    def process(self, block: NDArray) -> NDArray:
        """Return the block without hum, ``(channel, time)`` -> ``(channel, time)``."""
        if block.shape[-1] < 1.5 * LINE_SECONDS * self.sample_rate or not np.any(block):
            return block  # too short to tell hum from a note
        rate = min(WORKING_RATE, self.sample_rate)
        slow = soxr.resample(block.T.astype(np.float64), self.sample_rate, rate, quality="HQ").T
        comb = find_comb(slow, rate, self.config)
        comb = comb and held_lines(slow, comb, rate)
        if comb is None:
            return block
        hum = np.stack([comb_signal(channel, comb, rate) for channel in slow])
        full = soxr.resample(hum.T, rate, self.sample_rate, quality="HQ").T
        fitted = np.zeros_like(block, dtype=np.float64)
        n_common = min(full.shape[-1], block.shape[-1])
        fitted[:, :n_common] = full[:, :n_common]
        return (block - fitted).astype(block.dtype)


@dataclass(frozen=True)
class Comb:
    """A fundamental and which of its multiples are lines."""

    fundamental_hz: float
    harmonics: tuple[int, ...]  # 1 is the fundamental itself
    prominence_db: tuple[float, ...]  # of each


def line_spectrum(samples: NDArray, sample_rate: int) -> tuple[NDArray, float]:
    """Return how far each bin stands above its surroundings in dB, ``(freq,)``, and the bins' spacing in Hz.

    The median over time of spectra of `LINE_SECONDS`, the mean over channels ``(channel, time)``: what is there less
    than half of the time does not show.
    """
    length = round(LINE_SECONDS * sample_rate)
    window = np.hanning(length)
    n_fft = 1 << (2 * length - 1).bit_length()  # zero padding: a line is met within a tenth of a dB
    spectra = []
    for channel in samples:
        frames = sliding_window_view(channel, length)[:: length // 4]
        spectra.append(np.median([np.abs(scipy.fft.rfft(frame * window, n_fft)) ** 2 for frame in frames], axis=0))
    hz = sample_rate / n_fft
    level_db = 10 * np.log10(np.mean(spectra, axis=0) + np.finfo(np.float64).tiny)
    surroundings = scipy.ndimage.median_filter(level_db[::4], size=int(12 / (4 * hz)) | 1, mode="nearest")
    return level_db - np.interp(np.arange(len(level_db)), np.arange(0, len(level_db), 4), surroundings), hz


def candidate_fundamentals(config: DehumConfig) -> NDArray:
    """Return the frequencies to try, in steps of 0.01 Hz."""
    centres = [config.fundamental_hz] if config.fundamental_hz else [m * s for m in MAINS_HZ for s in FILM_SPEEDS]
    return np.unique(
        np.concatenate([np.arange(c - config.tolerance_hz, c + config.tolerance_hz, 0.01) for c in centres])
    )


def find_comb(samples: NDArray, sample_rate: int, config: DehumConfig) -> Comb | None:
    """Return the strongest comb of ``(channel, time)`` samples, None where there is none.

    At least three lines, one of them the fundamental or its double (a lamp fed with AC flickers at twice the mains),
    or one line 10 dB clearer.
    """
    prominence_db, hz = line_spectrum(samples, sample_rate)
    fundamentals = candidate_fundamentals(config)
    numbers = np.arange(1, config.max_harmonics + 1)
    numbers = numbers[numbers * fundamentals.max() < 0.45 * sample_rate]
    bins = np.round(numbers[None, :] * fundamentals[:, None] / hz).astype(int)
    heights = prominence_db[bins]  # (candidate, harmonic)
    # low harmonics vouch for hum, high ones pin its frequency
    score = np.clip(heights - config.prominence_db, 0, 20).sum(axis=1)
    best = int(np.argmax(score))
    lines = heights[best] >= config.prominence_db
    heard = lines[: min(2, len(lines))].any()
    clear = heights[best][:2].max() >= config.prominence_db + 10
    if not heard or (lines.sum() < 3 and not clear):
        return None
    chosen = numbers[lines]
    return Comb(
        float(fundamentals[best]),
        tuple(int(n) for n in chosen),
        tuple(float(h) for h in heights[best][lines]),
    )


def held_lines(samples: NDArray, comb: Comb, sample_rate: int) -> Comb | None:
    """Return the comb's lines that are held like hum in ``(channel, time)`` samples, None if the lowest is not.

    Speech and music add to a line here and there, but nothing takes it away: the lower quantile of its amplitude stays
    near its median.  Measured on the lowest line: 0.45 to 0.77 for hum in 17 films, discs and speeches, 0.06 and 0.31
    for bass loops on 60 and 48 Hz.  Higher lines lie under more of the programme and are asked for less.
    """
    mix = samples.mean(axis=0) if len(samples) > 1 else samples[0]
    phase = track_phase(mix, comb, sample_rate)
    held = []
    for number, prominence_db in zip(comb.harmonics, comb.prominence_db, strict=True):
        amplitude = np.abs(demodulate(mix, np.exp(1j * number * phase), sample_rate)[1])
        least = STEADINESS if number == comb.harmonics[0] else OVERTONE_STEADINESS
        if np.quantile(amplitude, 0.15) > least * np.median(amplitude):
            held.append((number, prominence_db))
        elif number == comb.harmonics[0]:
            return None
    numbers, prominences = zip(*held, strict=True)
    return Comb(comb.fundamental_hz, numbers, prominences)


def comb_signal(samples: NDArray, comb: Comb, sample_rate: int) -> NDArray:
    """Return the hum in ``(time,)`` samples."""
    phase = track_phase(samples, comb, sample_rate)
    hum = np.zeros(len(samples))
    for number in comb.harmonics:
        carrier = np.exp(1j * number * phase)
        times, envelope = demodulate(samples, carrier, sample_rate)
        n_median = round(MEDIAN_SECONDS / ENVELOPE_HOP_SECONDS) | 1
        real, imaginary = (
            scipy.ndimage.gaussian_filter1d(
                scipy.ndimage.median_filter(part, n_median, mode="nearest"), 4.0, mode="nearest"
            )
            for part in (envelope.real, envelope.imag)
        )
        moment = np.arange(len(samples))
        hum += 2 * (np.interp(moment, times, real) * carrier.real - np.interp(moment, times, imaginary) * carrier.imag)
    return hum


def demodulate(samples: NDArray, carrier: NDArray, sample_rate: int) -> tuple[NDArray, NDArray]:
    """Return the sample positions and complex amplitudes, ``(frame,)`` each, of ``(time,)`` along a unit carrier."""
    length = round(ENVELOPE_SECONDS * sample_rate)
    hop = round(ENVELOPE_HOP_SECONDS * sample_rate)
    window = np.hanning(length + 2)[1:-1]
    baseband = samples * carrier.conj()
    frames = sliding_window_view(baseband, length)[::hop]
    return np.arange(len(frames)) * hop + length / 2, frames @ (window / window.sum())


def track_phase(samples: NDArray, comb: Comb, sample_rate: int) -> NDArray:
    """Return the fundamental's phase in radians at each sample, ``(time,)``.

    From the phase advance of all lines between frames, weighted by what each says about the fundamental (amplitude
    times number), then a median over seconds.
    """
    nominal = 2 * np.pi * comb.fundamental_hz / sample_rate * np.arange(len(samples))
    advance, times = np.zeros(0, dtype=complex), np.zeros(0)
    slopes, weights = [], []
    for number in comb.harmonics[:8]:
        times, envelope = demodulate(samples, np.exp(1j * number * nominal), sample_rate)
        advance = envelope[1:] * envelope[:-1].conj()
        slopes.append(np.angle(advance) / number)
        weights.append(np.abs(advance) * number**2)
    if len(times) < 2:
        return nominal
    slope = np.average(slopes, axis=0, weights=np.asarray(weights) + np.finfo(np.float64).tiny)
    slope = scipy.ndimage.median_filter(slope, round(MEDIAN_SECONDS / ENVELOPE_HOP_SECONDS) | 1, mode="nearest")
    hop = times[1] - times[0]
    per_sample = np.interp(np.arange(len(samples)), times[:-1] + hop / 2, slope / hop)
    return nominal + np.cumsum(per_sample)
