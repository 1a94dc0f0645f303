"""What the tests of added noise share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.degrade.degradation import Degradation

RATE = 48000


def tone(seconds: float = 3, rate: int = RATE, n_channels: int = 1, level: float = 0.1) -> NDArray[np.float32]:
    """A steady signal, RMS ``level``, for noise to be measured against: ``(channel, time)``."""
    sound = level * np.sqrt(2) * np.sin(2 * np.pi * 997 * np.arange(round(seconds * rate)) / rate)
    return np.tile(sound.astype(np.float32), (n_channels, 1))


def added_by(kind: type[Degradation], clean: NDArray, rate: int = RATE, *, seed: int = 0, **ranges: Any) -> NDArray:
    """Return what a degradation adds, ``(channel, time)`` float64; its input must be left as it was."""
    before = clean.copy()
    noisy = kind.apply(clean, rate, **kind(**ranges).draw(np.random.default_rng(seed)))
    np.testing.assert_array_equal(clean, before)
    assert noisy.dtype == np.float32 and noisy.shape == clean.shape and not np.shares_memory(noisy, clean)
    return noisy.astype(np.float64) - clean


def snr_db(clean: NDArray, added: NDArray) -> float:
    """Return the ratio of mean powers."""
    return float(10 * np.log10(np.mean(np.square(clean, dtype=np.float64)) / np.mean(added**2)))


def density_db(samples: NDArray, rate: int, at_hz: list[float]) -> NDArray[np.float64]:
    """Return the power density of ``(time,)`` in bands half an octave wide, in dB."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    bands = [(frequencies >= hz / 2**0.25) & (frequencies < hz * 2**0.25) for hz in at_hz]
    return 10 * np.log10([power[band].mean() for band in bands])


def bursts(samples: NDArray, threshold: float, apart: int) -> NDArray[np.int64]:
    """Return where ``(time,)`` first passes a threshold after having been below it for ``apart`` samples."""
    loud = np.flatnonzero(np.abs(samples) > threshold)
    return loud[np.diff(loud, prepend=-apart - 1) > apart]
