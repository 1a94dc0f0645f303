"""Healthy outputs of an enhancement, and faults to put into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

from doctor.sets import RATE, clean_sounds, music_sounds, with_noise
from resound.doctor.finding import Finding
from resound.doctor.output_evidence import OutputEvidence, evidence_of_outputs
from resound.doctor.output_lists import outputs_between
from resound.doctor.output_report import report_of
from resound.doctor.settings import DoctorSettings
from resound.dsp.spectral import frame_length_for, hann, istft, stft

Sounds = list[np.ndarray]


@dataclass(frozen=True)
class Three:
    """The three sides of some recordings, ``(time,)`` each."""

    clean: Sounds
    degraded: Sounds
    enhanced: Sounds
    rate: int = RATE

    def with_output(self, change: Callable[[np.ndarray], np.ndarray], n_changed: int | None = None) -> Three:
        """Return them with outputs that are changed, the first ones or all."""
        n = len(self.enhanced) if n_changed is None else n_changed
        return replace(self, enhanced=[*map(change, self.enhanced[:n]), *self.enhanced[n:]])

    def evidence(self, folder: Path, *, has_clean: bool = True, **settings) -> OutputEvidence:
        """Write them, and return what doctor sees."""
        write_three(folder, self)
        return evidence_in(folder, has_clean=has_clean, **settings)


def evidence_in(folder: Path, *, has_clean: bool = True, **settings) -> OutputEvidence:
    """Return what doctor sees of three folders."""
    sides = [folder / side for side in ("degraded", "enhanced", "clean")[: 2 + has_clean]]
    return evidence_of_outputs(outputs_between(*sides), DoctorSettings(**settings), n_jobs=1)


def findings_of(evidence: OutputEvidence, **settings) -> dict[str, Finding]:
    """Return what is found, by code."""
    return {finding.code: finding for finding in report_of(evidence, DoctorSettings(**settings)).findings}


def write_three(folder: Path, three: Three) -> None:
    for side in ("clean", "degraded", "enhanced"):
        (folder / side).mkdir(parents=True, exist_ok=True)
        for number, sound in enumerate(getattr(three, side)):
            soundfile.write(folder / side / f"take{number}.wav", sound, three.rate, subtype="FLOAT")


def masked(degraded: np.ndarray, clean: np.ndarray, rate: int) -> np.ndarray:
    """Return the input times the Wiener mask of what is known: as good as any mask can be."""
    length = frame_length_for(rate, 0.032)
    window = np.sqrt(hann(length, np.float64))
    wanted, noise = (np.square(np.abs(stft(side, length, length // 4, window))) for side in (clean, degraded - clean))
    mask = np.maximum(wanted / (wanted + noise + 1e-20), 0.03)
    return istft(mask * stft(degraded, length, length // 4, window), length, length // 4, window, len(degraded))


def healthy(clean: Sequence[np.ndarray], snr_db: float = 5.0, rate: int = RATE) -> Three:
    degraded = with_noise(clean, snr_db)
    return Three(list(clean), degraded, [masked(d, c, rate) for d, c in zip(degraded, clean, strict=True)], rate)


@lru_cache(maxsize=8)
def speech(n: int = 3, seconds: float = 2.5, snr_db: float = 5.0) -> Three:
    return healthy(clean_sounds(n, seconds), snr_db)


@lru_cache(maxsize=8)
def music(n: int = 4, seconds: float = 4.0, snr_db: float = 5.0) -> Three:
    return healthy(music_sounds(n, seconds), snr_db)


def moved(sound: np.ndarray, n_samples: int) -> np.ndarray:
    """Return ``(time,)`` later by ``n_samples``, of the same length."""
    padded = np.pad(sound, abs(n_samples))
    return padded[abs(n_samples) - n_samples :][: len(sound)]


def syllables_lost(sound, share, seed=0):
    """Return speech in which a share of all stretches of 0.1 s is 30 dB quieter."""
    n = RATE // 10
    gains = np.where(np.random.default_rng(seed).random(len(sound) // n + 1) < share, 0.03, 1.0)
    return np.repeat(gains, n)[: len(sound)] * sound


def stepped(sound, seconds, deviation_db, seed=5):
    """Return sound in chunks, each at a level of its own."""
    number = (np.arange(len(sound)) / RATE // seconds).astype(int)
    steps_db = (
        deviation_db * np.random.default_rng(seed).choice([-1, 1], number.max() + 1).cumsum() % (4 * deviation_db)
    )
    return 10 ** ((steps_db[number] - steps_db.mean()) / 20) * sound


def clipped_at(sound, below_db):
    """Return sound clipped so far below its peak."""
    limit = np.abs(sound).max() * 10 ** (-below_db / 20)
    return np.clip(sound, -limit, limit)


def low_passed(sound, cutoff_hz):
    """Return sound without what lies above."""
    sections = scipy.signal.ellip(12, 0.1, 80, cutoff_hz, fs=RATE, output="sos")
    return scipy.signal.sosfiltfilt(sections, sound)
