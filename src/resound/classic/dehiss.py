"""Broadband noise: log-spectral-amplitude estimation, with noise tracked through speech and music.

Gain: log-MMSE with a decision-directed a-priori SNR (Ephraim & Malah 1984, 1985).  Noise: minimum statistics (Martin
2001), refined by speech-presence probabilities (Gerkmann & Hendriks 2012).  A file can be read in both directions, and
so three things differ from the textbook:

- the minimum is taken behind and ahead, and the larger one counts: noise is known at once on either side of a cut;
- the decision-directed SNR runs forward and backward, and the larger one counts: onsets are not dulled;
- before the minimum is believed, it must look like noise.  A pause is broadband: when low, middle and high bands rest
  on their floors together, the floor is noise.  Where they do not (dense music), only what lies *between* the partials
  counts, seen through a longer window.  That keeps clean music clean, at the price of gentler action on noisy music.

Nothing depends on absolute level: scaling the input scales the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from resound.dsp.signal import (
    minimum_ahead,
    minimum_behind,
    quantile_across,
    ramp,
    resample_grid,
    smooth,
)
from resound.dsp.spectral import frame_centres, frame_length_for, hann, istft, stft

# What the two floor estimates must be multiplied by to give the mean power of white noise, for the smoothing and the
# windows below; `tests/classic/test_dehiss.py` measures them again.
MINIMUM_BIAS = 2.19
VALLEY_BIAS = 4.56

SMOOTHING_SECONDS = 0.09  # of the periodogram under the minimum
VALLEY_FRAME_SECONDS = 0.2  # resolves partials 20 Hz apart
VALLEY_SMOOTHING_SECONDS = 0.2
VALLEY_QUANTILE = 0.15
VALLEY_WIDTH_HZ = (
    (200.0, 30.0),
    (600.0, 60.0),
    (np.inf, 150.0),
)  # (up to this frequency, this neighbourhood)
TONAL_EXCESS = 3.0  # the pause floor may be this much above the valley floor: more is a held note
REFINE_SECONDS = 0.8
CERTAINTY = 1.5  # noise that is known is subtracted with so much to spare (over-subtraction, Berouti et al. 1979)
PRESENCE_SNR = 10.0**1.5  # a-priori SNR when speech is present, 15 dB (Gerkmann & Hendriks 2012)
DIRECTED = 0.98  # decision-directed weight of the past (Ephraim & Malah 1984)
SMALLEST_SNR = 10.0**-2.5  # a-priori SNR floor, -25 dB (Cappe 1994: keeps residual noise free of tones)
LARGEST_POSTERIOR = 1e4
DIGITAL_SILENCE = 1e-9  # relative to the mean power: such frames say nothing about the noise
ENOUGH_REST = (0.04, 0.08)  # share of the time at which the floor begins to be, and is, believed
SHARED_REST = (0.15, 0.35)  # a band is believed when so much of its rest is shared by all
SWELL_SECONDS = 0.4
SWELLS_DB = (4.0, 5.5)  # from the quietest to the loudest tenth of the time: less is a medium's noise, more an effect
STANDS_OUT_DB = (8.0, 10.0)  # above the noise: a recording begins to, and does
PAUSE_BANDS_HZ = (80.0, 500.0, 2000.0, 6000.0)


class DehissConfig(BaseModel):
    """Settings of `Dehiss`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="reduce broadband noise")
    max_reduction_db: float = Field(12.0, ge=0, le=60, description="never lower the noise by more than this")
    frame_seconds: float = Field(0.04, ge=0.01, le=0.2, description="length of an analysis frame")
    floor_seconds: float = Field(4.0, ge=0.5, le=10, description="noise is the quietest of so long a stretch")
    spare_effects: bool = Field(
        False,
        description="leave alone what is like noise itself, and swells: thunder, surf; voices deep in noise, too",
    )


class Dehiss:
    """Lowers broadband noise; one gain for all channels, so that the image stays where it is.

    A restorer: see `resound.inference.offline`.
    """

    name = "dehiss"

    def __init__(self, sample_rate: int, config: DehissConfig | None = None) -> None:
        self.sample_rate = sample_rate
        self.config = config or DehissConfig()
        self.context = round(1.25 * self.config.floor_seconds * sample_rate)

    def process(self, block: NDArray) -> NDArray:
        """Return the block with its noise lowered, ``(channel, time)`` -> ``(channel, time)``."""
        level = float(np.sqrt(np.mean(np.square(block)))) if block.size else 0.0
        if level < np.finfo(np.float32).tiny or self.config.max_reduction_db == 0:
            return block
        # float32 has 24 bits wherever the level is, once the level is 1
        normal = (block / level).astype(np.float32)
        grid = Grid.of(self.sample_rate, self.config.frame_seconds)
        power = mean_power(normal, grid)
        noise = noise_power(normal, power, grid, self.config)
        reduction_db = self.config.max_reduction_db
        if self.config.spare_effects:
            reduction_db *= 1 - likeness_to_effects(power, noise, grid)
            if not reduction_db:
                return block
        gain = noise_gain(power, noise, reduction_db)
        for index, channel in enumerate(normal):
            # the spectrum is taken again: cheaper than holding those of all channels
            spectrum = stft(channel, grid.length, grid.hop, grid.window) * gain
            normal[index] = istft(spectrum, grid.length, grid.hop, grid.window, block.shape[-1])
        return normal.astype(block.dtype) * level


@dataclass(frozen=True)
class Grid:
    """One time-frequency grid: frames of ``length`` samples every ``hop``."""

    sample_rate: int
    length: int
    hop: int
    window: NDArray

    @classmethod
    def of(cls, sample_rate: int, frame_seconds: float) -> Grid:
        """Return the grid with a hop of a quarter frame."""
        length = frame_length_for(sample_rate, frame_seconds)
        return cls(sample_rate, length, length // 4, hann(length))

    @property
    def hz(self) -> float:
        """Spacing of the bins."""
        return self.sample_rate / self.length

    def frames(self, seconds: float) -> int:
        """Number of hops nearest to ``seconds``, at least 1."""
        return max(1, round(seconds * self.sample_rate / self.hop))

    def centres(self, n_frames: int) -> NDArray:
        """Sample at the centre of each frame."""
        return frame_centres(n_frames, self.length, self.hop)


def mean_power(samples: NDArray, grid: Grid) -> NDArray:
    """Return ``(frame, freq)`` power, the mean over channels ``(channel, time)``, per sample of the window's energy."""
    power: NDArray = np.zeros((1, 1), dtype=np.float32)
    for channel in samples:
        spectrum = stft(channel, grid.length, grid.hop, grid.window)
        power = power + (spectrum.real**2 + spectrum.imag**2)
    power /= np.float32(len(samples) * np.sum(grid.window**2))
    return power + np.float32(1e-12) * power.mean()


def noise_power(samples: NDArray, power: NDArray, grid: Grid, config: DehissConfig) -> NDArray:
    """Return the noise's power ``(frame, freq)`` in ``(channel, time)`` samples whose `mean_power` is given."""
    tiny = np.float32(1e-14) * power.mean()
    evidence = FloorEvidence.of(power, grid)
    floor = floor_in_pauses(power, grid, config.floor_seconds)
    valley = np.maximum(floor_between_partials(samples, power, grid, config), tiny)
    floor = np.maximum(floor, mean_at_rest(power, evidence.at_rest, grid, config.floor_seconds))
    floor = np.clip(floor, tiny, TONAL_EXCESS * valley)
    believed = np.exp(np.log(valley) * (1 - evidence.trust) + np.log(floor) * evidence.trust)
    return refine(power, believed, grid, ceiling=8.0**evidence.trust) * CERTAINTY**evidence.trust


@dataclass(frozen=True)
class FloorEvidence:
    """What says that the quietest moments are noise and not music."""

    trust: NDArray  # (freq,), 0 to 1
    at_rest: NDArray  # (frame,), 1 where all bands rest on their floors together, else 0

    @classmethod
    def of(cls, power: NDArray, grid: Grid) -> FloorEvidence:
        """Return the evidence in ``(frame, freq)`` power.

        Measured on real material (20-s blocks): low, middle and high band within 4 dB of their floors together, for 8
        to 40 % of the time in speech over noise, for 0 to 5 % in clean music.  A band that mostly rests while the
        others sound is a held bass, and not believed; but above 2 kHz a floor held for half of the time is hiss.
        """
        level = power.mean(axis=1)
        sounding = level > 1e-7 * level.mean()
        resting = []
        for low_hz, high_hz in pairwise(PAUSE_BANDS_HZ):
            band = power[:, int(low_hz / grid.hz) : int(min(high_hz, 0.45 * grid.sample_rate) / grid.hz) + 1]
            if band.shape[1] < 2:
                continue
            level_db = 10 * np.log10(smooth(band.mean(axis=1), grid.frames(0.1)))
            resting.append(sounding & (level_db < np.quantile(level_db[sounding], 0.03) + 4.0))
        at_rest = np.logical_and.reduce(resting)
        pauses = ramp(at_rest.sum() / sounding.sum(), *ENOUGH_REST)
        by_band = [pauses * ramp(at_rest.sum() / band.sum(), *SHARED_REST) for band in resting]
        by_band[-1] = max(by_band[-1], ramp(resting[-1].sum() / sounding.sum(), 0.20, 0.50))
        centres_hz = [np.sqrt(low_hz * high_hz) for low_hz, high_hz in pairwise(PAUSE_BANDS_HZ)][: len(by_band)]
        octaves = np.log2(np.maximum(np.arange(power.shape[1]) * grid.hz, 1.0))
        trust = np.interp(octaves, np.log2(centres_hz), by_band)
        return cls(trust.astype(np.float32), at_rest.astype(np.float32))


def mean_at_rest(power: NDArray, at_rest: NDArray, grid: Grid, floor_seconds: float) -> NDArray:
    """Return the mean power of the frames at rest within ``floor_seconds`` on both sides, ``(frame, freq)``.

    0 where there is hardly one.  The minimum lies below the mean of a noise that breathes; this does not.
    """
    n_frames = 2 * grid.frames(floor_seconds) + 1
    weight = smooth(at_rest, n_frames)[:, None]
    total = smooth(at_rest[:, None] * power, n_frames)
    return np.where(weight > 0.02, total / np.maximum(weight, 1e-9), np.float32(0))


def silent_frames(power: NDArray) -> NDArray:
    """Return which frames are digital silence, ``(frame,)``."""
    level = power.mean(axis=1)
    return level < DIGITAL_SILENCE * max(float(level.mean()), float(np.finfo(np.float32).tiny))


def two_sided_minimum(values: NDArray, silent: NDArray, length: int, margin: int) -> NDArray:
    """Return the larger of the minima over ``length`` frames behind and ahead, ``(frame, freq)``.

    Frames of digital silence, and ``margin`` frames beside them that smoothing has mixed with it, are cut out first;
    they get the floor of the nearest frame that was heard.  Near the ends the windows stop at the end instead of
    shrinking: the minimum of two frames is the sound.
    """
    sounding = smooth(silent.astype(np.float32), 2 * margin + 1) <= 0
    if not sounding.any():
        return np.zeros_like(values)
    heard = values[sounding]
    length = min(length, len(heard))
    behind, ahead = minimum_behind(heard, length), minimum_ahead(heard, length)
    behind[: length - 1] = behind[length - 1]
    ahead[len(heard) - length + 1 :] = ahead[len(heard) - length]
    floor = np.maximum(behind, ahead)
    return floor[np.clip(np.cumsum(sounding) - 1, 0, None)]


def floor_in_pauses(power: NDArray, grid: Grid, floor_seconds: float) -> NDArray:
    """Return the noise power by minimum statistics, ``(frame, freq)``: right where there are pauses."""
    n_smooth = grid.frames(SMOOTHING_SECONDS)
    smoothed = smooth(smooth(power, n_smooth), 3, axis=1)
    return MINIMUM_BIAS * two_sided_minimum(smoothed, silent_frames(power), grid.frames(floor_seconds), n_smooth + 4)


def floor_between_partials(samples: NDArray, power: NDArray, grid: Grid, config: DehissConfig) -> NDArray:
    """Return the noise power as seen in the spectral valleys of a longer window, on the grid of ``power``.

    A valley is a low quantile over neighbouring bins: partials stand above it, smooth noise lies on it.
    """
    fine = Grid.of(grid.sample_rate, VALLEY_FRAME_SECONDS)
    fine_power = mean_power(samples, fine)
    n_smooth = fine.frames(VALLEY_SMOOTHING_SECONDS)
    smoothed = smooth(fine_power, n_smooth)
    valleys = np.empty_like(smoothed)
    low = 0
    for upper_hz, width_hz in VALLEY_WIDTH_HZ:
        high = min(round(upper_hz / fine.hz) if np.isfinite(upper_hz) else smoothed.shape[1], smoothed.shape[1])
        width = int(width_hz / fine.hz) | 1
        start = max(0, low - width)
        valleys[:, low:high] = quantile_across(smoothed[:, start : high + width], VALLEY_QUANTILE, width)[
            :, low - start : high - start
        ]
        low = high
    floor = two_sided_minimum(valleys, silent_frames(fine_power), fine.frames(config.floor_seconds), n_smooth + 4)
    return VALLEY_BIAS * resample_grid(floor, fine.centres(len(floor)), grid.centres(len(power)), power.shape[1])


def refine(power: NDArray, noise: NDArray, grid: Grid, ceiling: NDArray) -> NDArray:
    """Return the noise power averaged where speech is absent, ``(frame, freq)``, at most ``ceiling`` times the first.

    The minimum gives the place, the average the value: it has a tenth of the minimum's variance and no bias.
    """
    posterior = smooth(smooth(power / noise, 3), 3, axis=1)
    evidence = np.exp(-np.minimum(posterior, 50) * PRESENCE_SNR / (1 + PRESENCE_SNR))
    absence = 1 - 1 / (1 + (1 + PRESENCE_SNR) * evidence)
    n_frames = grid.frames(REFINE_SECONDS) | 1
    weight = smooth(absence, n_frames)
    average = smooth(absence * power, n_frames) / np.maximum(weight, 1e-9)
    share = np.minimum(weight / 0.15, 1)
    return np.minimum(share * average + (1 - share) * noise, ceiling * noise)


def likeness_to_effects(power: NDArray, noise: NDArray, grid: Grid) -> float:
    """Return from 0 to 1 how likely ``(frame, freq)`` power is a sound that is like noise itself, such as thunder.

    Then nearly all of it is believed to be noise, which rises and falls.  The noise of a medium hardly does (film
    static by 2.8 dB, a run-out groove by 3.6; a hiss that fades does), and recordings stand out from it by more.
    Measured on 6 s each of effects of split ``train``: of 19 that stand out by at most 10 dB, 18 swell by 5.5 dB or
    more.  Of 33 old recordings with pauses one does, a voice.
    """
    above_noise_db = 10 * np.log10(power.mean() / noise.mean())
    level_db = 10 * np.log10(smooth(power.mean(axis=1), grid.frames(SWELL_SECONDS)))
    low_db, high_db = np.quantile(level_db, (0.1, 0.9))
    return float((1 - ramp(above_noise_db, *STANDS_OUT_DB)) * ramp(high_db - low_db, *SWELLS_DB))


def log_mmse_gain(prior: NDArray, posterior: NDArray) -> NDArray:
    """Return the gain of Ephraim & Malah 1985, eq. 20, for a-priori and a-posteriori SNR as power ratios."""
    wiener = prior / (1 + prior)
    return wiener * np.exp(0.5 * scipy.special.exp1(np.maximum(wiener * posterior, 1e-4)))


def decision_directed_snr(posterior: NDArray) -> NDArray:
    """Return the a-priori SNR ``(frame, freq)``, each frame told by the one before (Ephraim & Malah 1984, eq. 51)."""
    prior = np.empty_like(posterior)
    past = np.maximum(posterior[0] - 1, 0)
    for frame, now in enumerate(posterior):
        prior[frame] = np.maximum(DIRECTED * past + (1 - DIRECTED) * np.maximum(now - 1, 0), SMALLEST_SNR)
        past = np.minimum(log_mmse_gain(prior[frame], now), 1) ** 2 * now
    return prior


def noise_gain(power: NDArray, noise: NDArray, max_reduction_db: float) -> NDArray:
    """Return the gain ``(frame, freq)`` between ``-max_reduction_db`` and 0 dB."""
    posterior = np.minimum(power / noise, np.float32(LARGEST_POSTERIOR))
    prior = np.maximum(decision_directed_snr(posterior), decision_directed_snr(posterior[::-1])[::-1])
    return np.clip(log_mmse_gain(prior, posterior), np.float32(10 ** (-max_reduction_db / 20)), np.float32(1))
