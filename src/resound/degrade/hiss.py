"""Stationary noise of a stated spectrum: of tape, of amplifiers, of photocells.

The noise is made in the frequency domain: independent Gaussian bins times the spectrum's shape are Gaussian noise of
exactly that spectrum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import LOWEST_HZ, LevelDbfs, SnrDb, add_at_level
from resound.degrade.spread import Spread, spread, within

Spectrum = Literal["white", "pink", "tape", "optical"]
Points = Sequence[Sequence[float]]  # [[frequency_hz, density_db], ...]
N_FREQUENCIES = 400  # on which a shape is worked out; between them it is a straight line
SHORTEST_TRANSFORM = 256


def shaped_noise(
    shape: tuple[int, ...],
    sample_rate: float,
    *,
    spectrum: Spectrum = "white",
    db_per_octave: float = 0.0,
    points_db: Points | None = None,
    seed: int | np.random.Generator,
) -> Audio:
    """Return Gaussian noise ``(channel, time)`` float32 of any level, its spectrum as `shape_db` says."""
    rng = np.random.default_rng(seed)
    n_channels, n_samples = shape
    n_fft = scipy.fft.next_fast_len(max(n_samples, SHORTEST_TRANSFORM), real=True)
    bins = rng.standard_normal((n_channels, 2 * (n_fft // 2 + 1)), dtype=np.float32).view(np.complex64)
    bins[:, 0] = 0  # no mean
    if spectrum != "white" or db_per_octave or points_db:
        highest_hz = max(sample_rate / 2, 2 * LOWEST_HZ)
        grid_hz = np.geomspace(LOWEST_HZ, highest_hz, N_FREQUENCIES)
        density_db = shape_db(grid_hz, spectrum=spectrum, db_per_octave=db_per_octave, points_db=points_db)
        amplitude = 10 ** ((density_db - density_db.max()) / 20)
        bins *= np.interp(np.arange(bins.shape[1]) * (sample_rate / n_fft), grid_hz, amplitude).astype(np.float32)
    return scipy.fft.irfft(bins, n_fft, axis=1, overwrite_x=True)[:, :n_samples]


def shape_db(
    frequencies_hz: NDArray[np.float64],
    *,
    spectrum: Spectrum = "white",
    db_per_octave: float = 0.0,
    points_db: Points | None = None,
) -> NDArray[np.float64]:
    """Return the power density in dB at each frequency: a named spectrum, plus a slope, plus the line through points.

    Between points the line is straight over the logarithm of frequency, beyond them it is flat.
    """
    octaves = np.log2(frequencies_hz / 1000)
    density_db = DENSITIES_DB[spectrum](frequencies_hz) + db_per_octave * octaves
    if points_db:
        at_hz, level_db = np.array(sorted(map(tuple, points_db)), dtype=np.float64).T
        density_db = density_db + np.interp(octaves, np.log2(at_hz / 1000), level_db)
    return density_db


def white_db(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a flat density."""
    return np.zeros_like(frequencies_hz)


def pink_db(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a density of 1/f: 3.01 dB less an octave."""
    return -10 * np.log10(frequencies_hz / 1000)


def tape_db(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density of tape noise after replay equalisation.

    The flux of an unrecorded tape is about white; the amplifier that makes a recording flat again raises what lies
    above 3.2 kHz and lowers what lies below 50 Hz: time constants 50 and 3180 µs (IEC 60094-1; NAB, 15 and 7.5 in/s).
    Short waves are weaker on the tape (spacing, coating thickness): one more pole at 12 kHz, a fit by ear and eye.
    """
    return (
        corner_db(frequencies_hz, 1 / (2 * math.pi * 50e-6))
        - corner_db(1 / frequencies_hz, 2 * math.pi * 3180e-6)
        - corner_db(frequencies_hz, 12000)
    )


def optical_db(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density of an optical track's noise.

    A fit, within 1 dB from 90 Hz to 8 kHz, to the mean of two films in half octaves, lines of hum left out: 35-mm film
    without programme (20 s), which is level up to 1 kHz, and the pauses in seven excerpts of a film of 1968, which fall
    from the lowest frequency on.  Above 1 kHz both fall (slit and lens), to a floor above 9 kHz (noise behind the
    photocell).
    """
    return (
        corner_db(1 / frequencies_hz, 1 / 220)
        - corner_db(1 / frequencies_hz, 1 / 40)
        - 2 * corner_db(frequencies_hz, 2400)
        + 2 * corner_db(frequencies_hz, 9400)
    )


def corner_db(frequencies_hz: NDArray[np.float64], corner_hz: float) -> NDArray[np.float64]:
    """Return the gain of a first-order zero: 0 dB below its corner, rising by 6 dB an octave above."""
    return 10 * np.log10(1 + (frequencies_hz / corner_hz) ** 2)


DENSITIES_DB = {"white": white_db, "pink": pink_db, "tape": tape_db, "optical": optical_db}


def add_hiss(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float | None = None,
    level_dbfs: float | None = None,
    spectrum: Spectrum = "white",
    db_per_octave: float = 0.0,
    points_db: Points | None = None,
    seed: int,
) -> Audio:
    """Return ``audio`` with stationary Gaussian noise, each channel its own.  Raises `InputError` for silence."""
    noise = shaped_noise(
        audio.shape, sample_rate, spectrum=spectrum, db_per_octave=db_per_octave, points_db=points_db, seed=seed
    )
    return add_at_level(audio, noise, sample_rate, snr_db=snr_db, level_dbfs=level_dbfs)


def _check_points(points_db: Any) -> Any:
    for point in points_db or []:
        if len(point) != 2 or point[0] <= 0:
            raise ValueError(f"{list(point)!r} is no point of a spectrum; write [frequency_hz, db]")
    return points_db


class Hiss(Degradation):
    """Stationary noise of tape, amplifiers and photocells: white to pink by its slope, or as measured by its points."""

    apply: ClassVar = staticmethod(add_hiss)
    seeded: ClassVar = True
    snr_db: SnrDb | None = spread(15, 40)
    level_dbfs: LevelDbfs | None = None
    spectrum: Spectrum = Field("white", description="of the noise as it is heard")
    db_per_octave: Annotated[Spread, within(-12, 12)] = Field(spread(-3, 0), description="slope on top of the spectrum")
    points_db: Annotated[list[list[float]] | None, AfterValidator(_check_points)] = Field(
        None, description="a measured spectrum on top of both, such as [[100, 12], [1000, 0], [8000, -9]]: Hz, dB"
    )
