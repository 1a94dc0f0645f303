"""What was done to a recording, as numbers: pure functions of ``(time,)`` at one rate, aligned to the sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.doctor.sounds import pause_snr_db
from resound.dsp.bandwidth import BAND_HZ
from resound.dsp.spectral import hann
from resound.metrics import frame_powers, noise_and_active_change_db, si_sdr, speech_level_change_db

Samples = NDArray[np.float64]

LEAST_ALIKE_DB = 3.0  # SI-SDR of output against input, below which the loudest frames may have been noise
LOUD_SHARE = 0.1  # of the frames, where there are no pauses to tell the noise by
SPECTRUM_FRAMES = 400
SPECTRUM_SECONDS = 0.032
LOUD = 0.95  # quantile over frames
RANGE_DB = 60.0  # below the strongest band: what lies deeper is no loss
CLIFF_BANDS = 4  # of 125 Hz, within which a filter's edge falls
FRAME_SECONDS = 0.03
ACTIVE_DB = 15.0  # below the loudest frame of the clean side: there the change of level must be even
MOST_FALL_DB = 60.0


@dataclass(frozen=True)
class Change:
    """What became of one recording; None where it cannot be told."""

    removed_db: float  # energy of the difference against the input's, gains aside
    level_db: float | None  # by how much louder what is wanted came out
    spread_db: float | None  # of that change over the loud frames: a gain has none, what removes at random much
    noise_fall_db: float | None  # in pauses
    input_pause_db: float | None  # active level of the input above its pauses
    input_dbfs: float
    si_sdr_db: tuple[float, float] | None = None  # of input and output against the clean side


def change_between(degraded: Samples, enhanced: Samples, clean: Samples | None, sample_rate: int) -> Change:
    """Return what became of a recording."""
    apart = noise_and_active_change_db(degraded, enhanced, sample_rate)
    likeness_db = float(si_sdr(enhanced, degraded)) if enhanced.any() and degraded.any() else -np.inf
    return Change(
        removed_db=-likeness_db,
        level_db=level_change_db(degraded, enhanced, clean, sample_rate),
        spread_db=level_spread_db(degraded, enhanced, clean, sample_rate),
        noise_fall_db=apart[0] if apart else None,
        input_pause_db=pause_snr_db(degraded.astype(np.float32), sample_rate),
        input_dbfs=power_db(float(np.mean(np.square(degraded)))) if len(degraded) else -np.inf,
        si_sdr_db=scores(degraded, enhanced, clean) if clean is not None and clean.any() else None,
    )


def scores(degraded: Samples, enhanced: Samples, clean: Samples) -> tuple[float, float]:
    """Return the SI-SDR in dB of input and output, within -100 to 100."""
    values = [float(np.clip(si_sdr(side, clean), -100, 100)) if side.any() else -100.0 for side in (degraded, enhanced)]
    return values[0], values[1]


def level_change_db(degraded: Samples, enhanced: Samples, clean: Samples | None, sample_rate: int) -> float | None:
    """Return by how many dB what is wanted came out louder (negative: quieter); None where it cannot be told.

    With a clean side: by its share of the output against its share of the input.  Without: what is active, the noise
    of the pauses taken off; where there are no pauses, the loudest tenth of the input, unless so much was removed that
    it may have been noise.
    """
    if not degraded.any():
        return None
    if clean is not None and clean.any():
        after, before = (speech_level_change_db(side, clean, sample_rate) for side in (enhanced, degraded))
        return float(np.clip(after - before, -100, 100))
    apart = noise_and_active_change_db(degraded, enhanced, sample_rate)
    if apart:
        return float(np.clip(apart[1], -100, 100))
    powers = [frame_powers(side, sample_rate) for side in (degraded, enhanced)]
    if not len(powers[0]) or si_sdr(enhanced, degraded) < LEAST_ALIKE_DB:
        return None
    loud = powers[0] >= np.quantile(powers[0], 1 - LOUD_SHARE)
    before_db, after_db = (power_db(float(power[loud].mean())) for power in powers)
    return float(np.clip(after_db - before_db, -100, 100))


def level_spread_db(degraded: Samples, enhanced: Samples, clean: Samples | None, sample_rate: int) -> float | None:
    """Return how unevenly loud frames became louder or quieter, from the 10th to the 90th percentile, in dB.

    With a clean side by its share in each frame, which noise does not touch; else by the power of the loudest tenth.
    """
    length = max(1, round(FRAME_SECONDS * sample_rate))
    n_frames = len(degraded) // length
    if not n_frames or not degraded.any():
        return None
    before, after = (side[: n_frames * length].reshape(n_frames, length) for side in (degraded, enhanced))
    if clean is not None and clean.any():
        wanted = clean[: n_frames * length].reshape(n_frames, length)
        power = np.mean(np.square(wanted), axis=1)
        loud = power > power.max() * 10 ** (-ACTIVE_DB / 10)
        shares = [np.abs(np.sum(side[loud] * wanted[loud], axis=1)) for side in (before, after)]
    else:
        power = np.mean(np.square(before), axis=1)
        loud = power >= np.quantile(power, 1 - LOUD_SHARE)
        shares = [np.sqrt(np.sum(np.square(side[loud]), axis=1)) for side in (before, after)]
    least = 10 ** (-MOST_FALL_DB / 20)
    changes_db = 20 * np.log10(np.maximum(shares[1] / np.maximum(shares[0], 1e-20), least))
    low, high = np.quantile(changes_db, [0.1, 0.9])
    return float(high - low)


def power_db(power: float) -> float:
    """Return a power in dB, -200 for none."""
    return float(10 * np.log10(max(power, 1e-20)))


def loud_spectrum_db(samples: Samples, sample_rate: int) -> NDArray:
    """Return the level of bands of 125 Hz in their loud frames, in dB, ``(band,)``."""
    length = 2 * round(SPECTRUM_SECONDS * sample_rate / 2)
    window = hann(length, np.float64)
    if len(samples) < length:
        samples = np.pad(samples, (0, length - len(samples)))
    frames = sliding_window_view(samples, length)
    frames = frames[np.unique(np.linspace(0, len(frames) - 1, SPECTRUM_FRAMES).astype(int))]
    spectra = scipy.fft.rfft(frames * window, axis=1)
    power = (np.square(spectra.real) + np.square(spectra.imag)) / (np.sum(np.square(window)) * sample_rate)
    n_bands = max(1, int(sample_rate / 2 / BAND_HZ))
    edges = np.ceil(np.arange(n_bands) * (BAND_HZ * length / sample_rate)).astype(int)
    n_bins = np.diff(edges, append=length // 2 + 1).clip(1)
    bands = np.add.reduceat(power, np.minimum(edges, length // 2), axis=1) / n_bins
    return 10 * np.log10(np.quantile(bands, LOUD, axis=0) + 1e-20)


def lost_above_hz(reference_db: NDArray, enhanced_db: NDArray, lost_db: float) -> float | None:
    """Return the frequency above which all that the clean side's loud frames hold is weaker by ``lost_db``.

    Both are spectra of `loud_spectrum_db`; the output's may end earlier.  None where nothing is lost.
    """
    after = np.full(len(reference_db), -200.0)
    after[: len(enhanced_db)] = enhanced_db[: len(after)]
    holds = reference_db > reference_db.max() - RANGE_DB
    kept = holds & (after > reference_db - lost_db)
    if not kept.any() or not holds.any():
        return None
    last_kept, last_held = int(np.flatnonzero(kept)[-1]), int(np.flatnonzero(holds)[-1])
    return (last_kept + 1) * BAND_HZ if last_kept < last_held else None


def cliff_hz(degraded_db: NDArray, enhanced_db: NDArray, cliff_db: float) -> float | None:
    """Return where the output falls off a cliff that the input has not, for ever; None where there is none.

    Noise that is taken away leaves a slope, a filter or a lower sample rate leaves an edge.
    """
    after = np.full(len(degraded_db), -200.0)
    after[: len(enhanced_db)] = enhanced_db[: len(after)]
    after, before = (np.maximum(side, side.max() - RANGE_DB - cliff_db) for side in (after, degraded_db))
    if len(after) <= 2 * CLIFF_BANDS:
        return None
    falls = [side[:-CLIFF_BANDS] - side[CLIFF_BANDS:] for side in (after, before)]
    for band in np.flatnonzero((falls[0] > cliff_db) & (falls[0] - falls[1] > cliff_db)):
        above = after[band + CLIFF_BANDS :]
        is_for_ever = (above < after[band] - cliff_db).all()
        if is_for_ever and before[band + CLIFF_BANDS :].max() > before.max() - RANGE_DB:
            return float(band + CLIFF_BANDS / 2) * BAND_HZ
    return None
