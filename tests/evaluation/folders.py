"""Folders of recordings to judge: clean, degraded, enhanced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from signals import speech_like

RATE = 16000
SIDES = ("--clean", "clean", "--degraded", "degraded", "--enhanced", "enhanced", "-o", "out", "-j", "1")


def recordings(n: int = 4, seconds: float = 1.5, rate: int = RATE) -> dict[str, list[np.ndarray]]:
    """Return speech-like sounds, noise over them, and half of the noise over them."""
    clean = [speech_like(seconds, rate, seed=number) for number in range(n)]
    rng = np.random.default_rng(0)
    noises = [0.02 * (1 + number) * rng.standard_normal(len(sound)) for number, sound in enumerate(clean)]
    pairs = list(zip(clean, noises, strict=True))
    return {
        "clean": clean,
        "degraded": [sound + noise for sound, noise in pairs],
        "enhanced": [sound + noise / 2 for sound, noise in pairs],
    }


def write_folders(sides: dict[str, list[np.ndarray]], rate: int = RATE, where: Path = Path()) -> None:
    for side, sounds in sides.items():
        (where / side).mkdir(parents=True, exist_ok=True)
        for number, sound in enumerate(sounds):
            soundfile.write(where / side / f"take{number}.wav", sound, rate, subtype="FLOAT")


def changed(path: str, change: Callable[[np.ndarray], np.ndarray], rate: int | None = None) -> None:
    """Write a file again, changed."""
    sound, own = soundfile.read(path)
    soundfile.write(path, change(sound), rate or own, subtype="FLOAT")
