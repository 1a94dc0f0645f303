"""Healthy sets, and faults to put into them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from resound.doctor.catalogue import run_checks
from resound.doctor.data_evidence import DataEvidence, evidence_of_pairs
from resound.doctor.finding import Finding
from resound.doctor.pair_lists import pairs_between
from resound.doctor.settings import DoctorSettings
from signals import music_like, noise, speech_like

RATE = 16000


def clean_sounds(n: int, seconds: float = 2.0, rate: int = RATE) -> list[np.ndarray]:
    """Return speech of ``n`` kinds, ``(time,)`` each, with breath up to the end of the band and little noise."""
    return [_speech(seconds, rate, seed) for seed in range(n)]


@lru_cache(maxsize=64)
def _speech(seconds: float, rate: int, seed: int) -> np.ndarray:
    voice = speech_like(seconds, rate, seed)
    sound = voice + 0.1 * np.abs(voice) * noise(seconds, rate, 1.0, seed + 50) + noise(seconds, rate, 1e-4, seed + 100)
    sound.flags.writeable = False
    return sound


def music_sounds(n: int, seconds: float = 2.0, rate: int = RATE) -> list[np.ndarray]:
    return [music_like(seconds, rate, seed) for seed in range(n)]


def with_noise(sounds: Sequence[np.ndarray], snr_db: float) -> list[np.ndarray]:
    """Return each with white noise of its own at an SNR."""
    noisy = []
    for seed, sound in enumerate(sounds):
        level = np.sqrt(np.mean(sound**2)) * 10 ** (-snr_db / 20)
        noisy.append(sound + level * np.random.default_rng(seed + 500).standard_normal(len(sound)))
    return noisy


def write_pairs(
    folder: Path, clean: Sequence[np.ndarray], degraded: Sequence[np.ndarray], rate: int | tuple[int, int] = RATE
) -> tuple[Path, Path]:
    """Write two folders of float WAVs, and return them."""
    rates = rate if isinstance(rate, tuple) else (rate, rate)
    for side, sounds, own in zip(("clean", "degraded"), (clean, degraded), rates, strict=True):
        (folder / side).mkdir(parents=True, exist_ok=True)
        for number, sound in enumerate(sounds):
            soundfile.write(folder / side / f"pair{number}.wav", np.asarray(sound).T, own, subtype="FLOAT")
    return folder / "clean", folder / "degraded"


def evidence_in(folder: Path, **settings) -> DataEvidence:
    listed = pairs_between(folder / "clean", folder / "degraded")
    return evidence_of_pairs(listed, DoctorSettings(**settings), n_jobs=1)


def findings_in(folder: Path, **settings) -> list[Finding]:
    """Return what the checks of data say of a folder written by `write_pairs`."""
    return run_checks("data", evidence_in(folder, **settings), DoctorSettings(**settings))


def codes(findings: Sequence[Finding], severity: str | None = None) -> list[str]:
    return [finding.code for finding in findings if severity in (None, finding.severity)]
