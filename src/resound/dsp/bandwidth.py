"""Up to which frequency a recording holds anything but its floor."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.dsp.spectral import hann

FRAME_SECONDS = 0.043
BAND_HZ = 125.0  # resolution of the answer
MAX_FRAMES = 128  # evenly out of a long recording
LOUD, QUIET = 0.95, 0.1  # quantiles over frames: sibilants are loud in a tenth of them, a click in fewer
RANGE_DB = 70.0  # what lies deeper below the strongest band is a filter's or a codec's rest
# What hardly changes with time, far below something that does, is the floor: hiss, dither, the hum of a display.
FLOOR_BELOW_DB = (25.0, 55.0)  # the strongest band; the deeper, the more change is allowed
FLOOR_CHANGE_DB = (7.0, 10.0)  # at those depths, of bands 500 Hz wide; Gaussian noise changes by 4 to 5
PROGRAMME_CHANGE_DB = 10.0  # median of the bands within 20 dB of the strongest
FLOOR_BANDS = 4  # over which change is judged
SHORTEST_SAMPLES = 64


def bandwidth_hz(audio: NDArray, sample_rate: float) -> float:
    """Return the frequency above which ``(channel, time)`` or ``(time,)`` holds nothing but its floor, to 125 Hz.

    Half the sample rate for white noise, 16 kHz for most MP3s, 4 kHz for a telephone's sound at 48 kHz; the
    programme's own upper end where steady hiss goes on above it.  0 for silence and for less than 64 samples.
    """
    powers = _band_powers(np.atleast_2d(audio), sample_rate)
    if not len(powers):
        return 0.0
    loud = np.quantile(powers, LOUD, axis=0)
    if not loud.max():  # a click where the windows are 0
        return 0.0
    depth_db = 10 * np.log10(loud.max() / np.maximum(loud, 1e-30 * loud.max()))
    holds = depth_db < RANGE_DB
    change_db = _change_db(powers)
    if np.median(change_db[depth_db <= 20]) >= PROGRAMME_CHANGE_DB:
        is_steady = change_db < np.interp(depth_db, FLOOR_BELOW_DB, FLOOR_CHANGE_DB)
        holds &= ~((depth_db > FLOOR_BELOW_DB[0]) & is_steady)
    highest = int(np.flatnonzero(holds)[-1])
    return sample_rate / 2 if highest == len(holds) - 1 else (highest + 1) * BAND_HZ


def _band_powers(audio: NDArray, sample_rate: float) -> NDArray:
    """Return the power of bands `BAND_HZ` wide, ``(frame, band)``, without frames of digital silence."""
    n_samples = audio.shape[1]
    if n_samples < SHORTEST_SAMPLES:
        return np.zeros((0, 0))
    half = max(round(FRAME_SECONDS * sample_rate), SHORTEST_SAMPLES) // 2
    length = min(2 * scipy.fft.next_fast_len(half, real=True), n_samples)
    n_frames = min(n_samples // length, MAX_FRAMES)
    starts = np.linspace(0, n_samples - length, n_frames).astype(int)
    frames = np.stack([audio[:, start : start + length] for start in starts]).astype(np.float32, copy=False)
    frames = _without_silence(frames)
    spectrum = scipy.fft.rfft(frames * hann(length), axis=-1)
    powers = (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=1)  # (frame, freq)
    n_bands = max(1, int(sample_rate / 2 / BAND_HZ))  # the last one takes the rest as well
    edges = np.ceil(np.arange(n_bands) * (BAND_HZ * length / sample_rate)).astype(int)
    edges = np.minimum(edges, length // 2)
    return np.add.reduceat(powers, edges, axis=1) / np.diff(edges, append=length // 2 + 1).clip(1)


def _without_silence(frames: NDArray) -> NDArray:
    """Return the ``(frame, channel, time)`` that hold sound, if possible throughout: where it is cut off, it clicks."""
    ends = np.array_split(np.abs(frames).max(axis=1), 8, axis=1)
    begins, goes_on = ends[0].any(axis=1), ends[-1].any(axis=1)
    whole = frames[begins & goes_on]
    return whole if len(whole) else frames[frames.any(axis=(1, 2))]


def _change_db(powers: NDArray) -> NDArray:
    """Return by how much each band changes between the quiet and the loud frames, ``(band,)``."""
    smooth = scipy.ndimage.uniform_filter1d(powers, FLOOR_BANDS, axis=1, mode="reflect")
    low, high = np.quantile(smooth, [QUIET, LOUD], axis=0)
    return 10 * np.log10(np.maximum(high, 1e-30) / np.maximum(low, 1e-30))
