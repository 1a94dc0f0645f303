"""How close an estimate is to a target, as pure functions of arrays ``(..., time)``."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.dsp.spectral import frame_length_for, hann, stft

STFT_RESOLUTIONS = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))  # FFT, hop, window in samples
STFT_FLOOR = 1e-7  # of power


def si_sdr(estimate: NDArray, target: NDArray) -> NDArray:
    """Return the scale-invariant signal-to-distortion ratio in dB, ``(..., time)`` -> ``(...)``.

    Le Roux et al. 2019, "SDR: half-baked or well done?", eq. 5, means removed.  Blind to gain: look at the level too.
    """
    estimate = estimate - estimate.mean(axis=-1, keepdims=True)
    target = target - target.mean(axis=-1, keepdims=True)
    tiny = np.finfo(np.float64).tiny
    scale = np.sum(estimate * target, axis=-1, keepdims=True) / (np.sum(target**2, axis=-1, keepdims=True) + tiny)
    wanted = scale * target
    signal = np.sum(wanted**2, axis=-1) + tiny
    distortion = np.sum((estimate - wanted) ** 2, axis=-1) + tiny
    return np.asarray(10 * (np.log10(signal) - np.log10(distortion)))


def log_spectral_distance(
    estimate: NDArray, target: NDArray, sample_rate: int, floor_db: float = 80.0, *, from_hz: float = 0.0
) -> float:
    """Return the mean over 32-ms frames of the RMS difference of log power spectra in dB; ``(time,)`` each.

    Both spectra are floored ``floor_db`` below the target's strongest bin: what nobody hears does not count.
    ``from_hz``: of the bins from there on alone.
    """
    length = frame_length_for(sample_rate, 0.032)
    powers = [np.abs(stft(signal, length, length // 4, hann(length))) ** 2 for signal in (estimate, target)]
    floor = powers[1].max() * 10 ** (-floor_db / 10) + np.finfo(np.float64).tiny
    first = int(np.ceil(from_hz * length / sample_rate))
    difference_db = 10 * np.log10((powers[0] + floor) / (powers[1] + floor))[:, first:]
    return float(np.mean(np.sqrt(np.mean(difference_db**2, axis=1))))


def multi_resolution_stft_distance(estimate: NDArray, target: NDArray) -> float:
    """Return spectral convergence plus the mean difference of log magnitudes, the mean over three resolutions.

    ``(time,)`` each.  Yamamoto et al. 2020 (Parallel WaveGAN, arXiv 1910.11480), frames, windows and floor as theirs.
    """
    parts = []
    for n_fft, hop, window in STFT_RESOLUTIONS:
        powers = [_centred_powers(signal, n_fft, hop, window) + STFT_FLOOR for signal in (estimate, target)]
        ours, theirs = np.sqrt(powers)
        convergence = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        parts.append(convergence + np.mean(np.abs(np.log(powers[0]) - np.log(powers[1]))) / 2)
    return float(np.mean(parts))


def _centred_powers(samples: NDArray, n_fft: int, hop: int, window: int) -> NDArray:
    """Return the power of frames ``(frame, freq)`` centred on multiples of the hop, with zeros outside."""
    padded = np.pad(samples, n_fft // 2)
    start = (n_fft - window) // 2
    frames = sliding_window_view(padded[start:], window)[: len(samples) + 1 : hop]
    spectrum = scipy.fft.rfft(frames * hann(window), n_fft, axis=-1)
    return np.asarray(spectrum.real**2 + spectrum.imag**2)


def speech_level_change_db(estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    """Return by how much the target's share of the estimate is louder or quieter where the target is active, in dB.

    ``(time,)`` each.  Active are 30-ms frames within 30 dB of the loudest; the share is the projection on the target,
    so that noise left over does not hide a loss.
    """
    length = max(1, round(0.03 * sample_rate))
    n_frames = len(target) // length
    frames = target[: n_frames * length].reshape(n_frames, length)
    power = np.mean(frames**2, axis=1)
    active = power > power.max() * 1e-3
    estimated = estimate[: n_frames * length].reshape(n_frames, length)[active]
    gain = np.sum(estimated * frames[active]) / np.sum(frames[active] ** 2)
    return float(20 * np.log10(max(abs(gain), np.finfo(np.float64).tiny)))


def pause_frames(samples: NDArray, sample_rate: int, least_seconds: float = 0.2) -> tuple[NDArray, NDArray]:
    """Return which 25-ms frames of ``(time,)`` are pauses and which are active, ``(frame,)`` of bool each.

    A pause stays within 4 dB of the floor (5th percentile) for ``least_seconds``; active is 8 dB above the floor.
    Frames of digital silence are neither.
    """
    level_db, sounding = frame_levels_db(samples, sample_rate)
    if not sounding.any():
        return sounding, sounding
    floor_db = np.quantile(level_db[sounding], 0.05)
    quiet = sounding & (level_db < floor_db + 4)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if (stop - start) * 0.025 < least_seconds:
            quiet[start:stop] = False
    return quiet, sounding & (level_db >= floor_db + 8)


def frame_levels_db(samples: NDArray, sample_rate: int) -> tuple[NDArray, NDArray]:
    """Return the level of 25-ms frames, averaged over three, in dB, and which of them are not digital silence."""
    power = frame_powers(samples, sample_rate)
    smoothed = np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, "valid") if len(power) else power
    return 10 * np.log10(smoothed + 1e-30), power > 1e-7 * power.mean() if len(power) else power > 0


def frame_powers(samples: NDArray, sample_rate: int) -> NDArray:
    """Return the mean square of 25-ms frames of ``(time,)``, ``(frame,)``."""
    length = max(1, round(0.025 * sample_rate))
    n_frames = len(samples) // length
    return np.mean(samples[: n_frames * length].reshape(n_frames, length) ** 2, axis=1)


def noise_and_active_change_db(degraded: NDArray, enhanced: NDArray, sample_rate: int) -> tuple[float, float] | None:
    """Return by how many dB the noise in pauses fell, and by how many the active level changed, without a reference.

    ``(time,)`` each.  The noise power of each version is subtracted from its active power first.  None where there is
    no pause of 0.5 s in all, or nothing active.
    """
    quiet, active = pause_frames(degraded, sample_rate)
    if quiet.sum() < 20 or not active.any():
        return None
    before, after = frame_powers(degraded, sample_rate), frame_powers(enhanced, sample_rate)
    noise_before, noise_after = before[quiet].mean(), after[quiet].mean()
    tiny = np.finfo(np.float64).tiny
    fall_db = 10 * np.log10((noise_before + tiny) / (noise_after + tiny))
    kept = max(after[active].mean() - noise_after, tiny) / max(before[active].mean() - noise_before, tiny)
    return float(fall_db), float(10 * np.log10(kept))
