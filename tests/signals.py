"""Test sounds of our own making."""

import numpy as np


def speech_like(seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Syllables of gliding harmonics through formants, with pauses: ``(time,)``, RMS about 0.1."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * sample_rate))
    position = 0.3
    while position < seconds - 0.5:
        length = rng.uniform(0.15, 0.35)
        n = round(length * sample_rate)
        time = np.arange(n) / sample_rate
        pitch = np.linspace(rng.uniform(100, 180), rng.uniform(90, 170), n)
        phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
        formants = rng.uniform([300, 900, 2200], [800, 2000, 3000])
        harmonics = np.arange(1, int(min(4000, 0.45 * sample_rate) / 180))
        weights = sum(1 / (1 + ((harmonics * 130 - f) / 120) ** 2) for f in formants) + 0.01
        syllable = sum(w * np.sin(h * phase + h) for h, w in zip(harmonics, weights, strict=True))
        syllable *= np.sin(np.pi * time / length) ** 0.7
        start = round(position * sample_rate)
        sound[start : start + n] += syllable[: len(sound) - start]
        position += length + (rng.uniform(0.3, 0.7) if rng.random() < 0.3 else rng.uniform(0.02, 0.1))
    return 0.1 * sound / max(np.sqrt(np.mean(sound**2)), 1e-12)


def music_like(seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """A plucked melody over held chords and a bass, no pauses: ``(time,)``, RMS about 0.1."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sample_rate)
    sound = np.zeros(n)
    for start in np.arange(0, seconds, 0.25):
        time = np.arange(n - round(start * sample_rate)) / sample_rate
        if not len(time):
            continue
        note = 220 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12, 15]) / 12)
        partials = [k for k in range(1, 12) if k * note < 0.45 * sample_rate]
        tone = sum(np.sin(2 * np.pi * note * k * time) * np.exp(-time * (2 + k)) / k for k in partials)
        sound[-len(time) :] += tone * np.minimum(1, time / 0.003)
    for start in np.arange(0, seconds, 2.0):
        time = np.arange(min(n - round(start * sample_rate), 2 * sample_rate)) / sample_rate
        if not len(time):
            continue
        root = 220 * 2 ** (rng.choice([0, 5, 7]) / 12)  # a triad in the middle register over one bass note
        pitches = (root / 4, root, 1.25 * root, 1.5 * root)
        chord = sum(np.sin(2 * np.pi * pitch * k * time + k) / k**1.5 for pitch in pitches for k in (1, 2, 3, 4))
        begin = round(start * sample_rate)
        sound[begin : begin + len(time)] += 0.3 * chord * np.minimum(1, time / 0.02)
    return 0.1 * sound / np.sqrt(np.mean(sound**2))


def noise(seconds: float, sample_rate: int, rms: float = 0.01, seed: int = 1) -> np.ndarray:
    """White Gaussian noise, ``(time,)``."""
    return np.random.default_rng(seed).standard_normal(round(seconds * sample_rate)) * rms


def clicks(n_samples: int, sample_rate: int, per_second: float, peak: float, seed: int = 2) -> np.ndarray:
    """Damped random bursts of 0.05 to 1 ms at Poisson times, ``(time,)``."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(n_samples)
    for _ in range(rng.poisson(per_second * n_samples / sample_rate)):
        length = max(2, round(sample_rate * 10 ** rng.uniform(-4.3, -3.0)))
        start = int(rng.integers(0, n_samples - length))
        burst = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 3))
        sound[start : start + length] += burst / np.abs(burst).max() * peak * rng.uniform(0.5, 2)
    return sound


def hum(seconds: float, sample_rate: int, frequency_hz: float, rms: float, drift_hz: float = 0.0) -> np.ndarray:
    """A mains hum with harmonics 1, 2, 3, 4, 6, its frequency swaying once in 9 s, ``(time,)``."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    frequency = frequency_hz + drift_hz * np.sin(2 * np.pi * time / 9)
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    sound = sum(np.sin(k * phase + k) / k for k in (1, 2, 3, 4, 6))
    return rms * sound / np.sqrt(np.mean(sound**2))
