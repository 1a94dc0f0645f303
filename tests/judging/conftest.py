from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from resound.mixing.example import Example
from signals import noise, speech_like

RATE = 16000


@pytest.fixture
def noisy() -> Callable[..., Example]:
    """Return a function that makes an example of speech in white noise."""

    def make(seed: int = 0, *, seconds: float = 4.0, rms: float = 0.03, rate: int = RATE) -> Example:
        clean = speech_like(seconds, rate, seed=seed)[None]
        degraded = clean + noise(seconds, rate, rms, seed=1000 + seed)
        return Example(degraded.astype(np.float32), clean.astype(np.float32), rate, rate / 2, "speech")

    return make


@pytest.fixture
def mixture() -> Example:
    """Two voices at once."""
    sources = np.stack([speech_like(4, RATE, seed=1), 0.7 * speech_like(4, RATE, seed=2)]).astype(np.float32)
    return Example(sources.sum(axis=0, keepdims=True), sources, RATE, RATE / 2, "speech", task="separate")


@pytest.fixture
def denoised(noisy) -> Example:
    """Speech in noise beside what a denoiser made of it, which took half of the noise and a little of the voice."""
    example = noisy()
    output = 0.8 * example.clean + 0.5 * (example.degraded - example.clean)
    both = np.concatenate([output, example.degraded])
    return Example(both, example.clean, RATE, RATE / 2, "speech", task="regenerate")
