"""Third-octave spectra, slopes and band limits, from averaged power spectra."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.dsp.spectral import hann
from resound.harvest.evidence import off_hum
from resound.harvest.stretches import decibels

FRAME_SECONDS = 0.2
THIRD_OCTAVES_HZ = tuple(1000 * 10 ** (n / 10) for n in range(-13, 14))  # exact centres, 50 Hz to 20 kHz (IEC 61260-1)
HALF_BAND = 10 ** (1 / 20)
# Long-term average speech, both sexes, dB in third octaves from 63 Hz to 16 kHz (Byrne et al. 1994, "An international
# comparison of long-term average speech spectra", table II).
SPEECH_FROM_HZ = 62.0
SPEECH_DB = (
    38.6, 43.5, 54.4, 57.7, 56.8, 60.2, 60.3, 59.0, 62.1, 62.1, 60.5, 56.8, 53.7, 53.0, 52.0, 48.7, 48.1, 46.8, 45.6,
    44.5, 44.3, 43.7, 43.4, 41.3, 40.7,
)  # fmt: skip
REFERENCE_BAND_HZ = (400.0, 2000.0)  # where a response counts as 0 dB
TILT_BAND_HZ = (200.0, 6300.0)
KNEE_FROM_HZ = 1000.0
KNEE_STEPS_PER_OCTAVE = 12
KNEE_DB_PER_OCTAVE = 18.0  # a band ends where the spectrum begins to fall by so much more than before
KNEE_DROP_DB = 9.0
HEARD_DB = 3.0  # over the noise in its sixth of an octave


class MeanSpectrum:
    """The mean one-sided power spectrum of what is added; its bins add up to the mean square."""

    def __init__(self, sample_rate: int) -> None:
        self.length = 2 * round(FRAME_SECONDS * sample_rate / 2)
        self.hz = sample_rate / self.length
        self._sum = np.zeros(self.length // 2 + 1)
        self._weight = 0.0

    def add(self, samples: NDArray, chosen: NDArray | None = None) -> None:
        """Add ``(time,)`` in frames that overlap by half, or those of them that are chosen ``(frame,)``."""
        length = min(self.length, len(samples) // 2 * 2)
        if length < 16:
            return
        frames = np.lib.stride_tricks.sliding_window_view(samples, length)[:: length // 2]
        if chosen is not None:
            frames = frames[chosen[: len(frames)]]
        window = hann(length, np.float64)
        spectra = np.abs(scipy.fft.rfft(frames * window, self.length, axis=1)) ** 2
        # Each frame's power is spread over the bins of the longer transform; it counts by its length.
        scale = 2 / (np.sum(window**2) * self.length) * length
        self._sum += spectra.sum(axis=0) * scale
        self._weight += length * len(frames)

    @property
    def power(self) -> NDArray:
        """Mean power in each bin, ``(freq,)``."""
        return self._sum / max(self._weight, 1e-30)


def without_hum(power: NDArray, hz: float, hum_hz: float | None) -> NDArray:
    """Return the spectrum ``(freq,)`` in which what lies on multiples of a hum is what lies beside them."""
    keep = off_hum(len(power), hz, hum_hz, 2.1 * hz)
    if keep.all() or not keep.any():
        return power
    bins = np.arange(len(power))
    return 10 ** (np.interp(bins, bins[keep], decibels(power[keep])) / 10)


def third_octaves(power: NDArray, hz: float) -> tuple[NDArray, NDArray]:
    """Return the centres of the bands that fit below the Nyquist frequency, and the power in each."""
    edges_hz = (np.arange(len(power) + 1) - 0.5) * hz
    total = np.concatenate([[0.0], np.cumsum(power)])
    centres_hz = np.array([centre for centre in THIRD_OCTAVES_HZ if centre * HALF_BAND <= edges_hz[-1]])
    upper, lower = (np.interp(centres_hz * side, edges_hz, total) for side in (HALF_BAND, 1 / HALF_BAND))
    return centres_hz, upper - lower


def density_db(centres_hz: NDArray, band_db: NDArray) -> NDArray:
    """Return band levels as densities: levels in 1 Hz."""
    return band_db - 10 * np.log10(centres_hz * (HALF_BAND - 1 / HALF_BAND))


def tilt_db_per_octave(centres_hz: NDArray, band_db: NDArray) -> float:
    """Return the slope of the density between 200 Hz and 6.3 kHz: 0 for white noise."""
    inside = (centres_hz >= TILT_BAND_HZ[0] * 0.98) & (centres_hz <= TILT_BAND_HZ[1] * 1.02) & (band_db > -190)
    if inside.sum() < 2:
        return 0.0
    return float(np.polyfit(np.log2(centres_hz[inside]), density_db(centres_hz, band_db)[inside], 1)[0])


def against_speech(centres_hz: NDArray, band_db: NDArray) -> NDArray:
    """Return band levels relative to long-term average speech, 0 dB in the middle band, NaN where that is not known."""
    first = int(np.argmin(np.abs(np.array(THIRD_OCTAVES_HZ) - SPEECH_FROM_HZ)))
    known = dict(zip(np.round(THIRD_OCTAVES_HZ[first : first + len(SPEECH_DB)], 3), SPEECH_DB, strict=True))
    speech_db = np.array([known.get(round(centre, 3), np.nan) for centre in centres_hz])
    difference_db = band_db - speech_db
    middle = (centres_hz >= REFERENCE_BAND_HZ[0] * 0.98) & (centres_hz <= REFERENCE_BAND_HZ[1] * 1.02)
    return difference_db - difference_db[middle].mean()


def bandwidth_hz(programme: NDArray, noise: NDArray, hz: float) -> float:
    """Return where the programme ends, of its and the noise's spectra ``(freq,)``.

    That is a knee, from which on the spectrum falls by `KNEE_DB_PER_OCTAVE` more than before; where there is none, the
    frequency up to which it is heard over the noise.
    """
    grid_hz, level_db = log_spectrum_db(programme, hz)
    noise_db = log_spectrum_db(noise, hz)[1]
    heard = level_db > np.maximum(noise_db + HEARD_DB, level_db.max() - 90)
    mostly_heard = np.flatnonzero(scipy.ndimage.median_filter(heard, 5, mode="nearest"))
    n_heard = int(mostly_heard[-1]) + 1 if len(mostly_heard) else 1
    octaves, level_db = np.log2(grid_hz[:n_heard]), level_db[:n_heard]
    knee = best_knee(octaves, level_db)
    return float(grid_hz[n_heard - 1] if knee is None else 2**knee)


def log_spectrum_db(power: NDArray, hz: float) -> tuple[NDArray, NDArray]:
    """Return a grid of twelfths of an octave above 1 kHz, and the density in sixths of an octave around, in dB."""
    top_hz = (len(power) - 1) * hz
    n = int(np.log2(0.97 * top_hz / KNEE_FROM_HZ) * KNEE_STEPS_PER_OCTAVE)
    grid_hz = KNEE_FROM_HZ * 2 ** (np.arange(max(n, 1)) / KNEE_STEPS_PER_OCTAVE)
    total = np.concatenate([[0.0], np.cumsum(power)])
    low = np.minimum(np.round(grid_hz * 2 ** (-1 / 12) / hz).astype(int), len(power) - 1)
    high = np.minimum(np.round(grid_hz * 2 ** (1 / 12) / hz).astype(int), len(power) - 1) + 1
    return grid_hz, decibels((total[high] - total[low]) / (high - low))


def best_knee(octaves: NDArray, level_db: NDArray) -> float | None:
    """Return where two straight lines that meet fit best, None where the second does not fall steeply."""
    least, found = np.inf, None
    for knee in octaves[KNEE_STEPS_PER_OCTAVE:-2]:  # an octave of programme before it
        for offset in (0.0, 0.5 / KNEE_STEPS_PER_OCTAVE):
            basis = np.stack([np.ones_like(octaves), octaves, np.maximum(octaves - knee - offset, 0)], axis=1)
            weights, *_ = np.linalg.lstsq(basis, level_db, rcond=None)
            error = float(np.sum((basis @ weights - level_db) ** 2))
            bend, drop_db = weights[2], -(weights[1] + weights[2]) * (octaves[-1] - knee - offset)
            if error < least and bend < -KNEE_DB_PER_OCTAVE and drop_db > KNEE_DROP_DB:
                least, found = error, float(knee + offset)
    return found
