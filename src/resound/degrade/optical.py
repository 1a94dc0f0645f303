"""Noise of an optical sound track: what light, film and the machine that moves it add to the sound.

After J. G. Frayne & H. Wolfe, *Elements of Sound Recording* (1949): the track is scanned by a slit of light, so that
grain and dust in its clear part are heard.  Noise reduction by a bias line closes the clear part in pauses, and opens
it ahead of the sound: the noise rises and falls with the programme.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import scipy
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.hiss import shaped_noise
from resound.degrade.hum import drifting_phase, n_harmonics, read_table
from resound.degrade.noise import LevelDbfs, SnrDb, add_at_level, add_at_snr
from resound.degrade.slow import Slow, draw_out, n_points, slow_noise, step_samples
from resound.degrade.spread import Spread, spread, within

BIAS_POINTS_PER_SECOND = 500
BIAS_HOLD_SECONDS = 0.06  # the track stays open as long
BIAS_SMOOTH_SECONDS = 0.03
FLUTTER_POINTS_PER_CYCLE = 16
PERFORATIONS_PER_FRAME = 4
MAX_SPROCKET_HARMONICS = 12
MODULATION_POINTS_PER_SECOND = 8000  # 96 Hz along straight lines, to 60 dB


def add_optical_noise(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float | None,
    level_dbfs: float | None,
    rise_db: float,
    db_per_octave: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with the hiss of photocell and film, which is ``rise_db`` louder at the peaks than in pauses."""
    step = step_samples(sample_rate, BIAS_POINTS_PER_SECOND)
    gain = 1 + (10 ** (rise_db / 20) - 1) * bias_line(audio, sample_rate, step)
    noise = shaped_noise(audio.shape, sample_rate, spectrum="optical", db_per_octave=db_per_octave, seed=seed)
    noise *= draw_out(gain, step, audio.shape[1])
    return add_at_level(audio, noise, sample_rate, snr_db=snr_db, level_dbfs=level_dbfs)


def bias_line(audio: Audio, sample_rate: int, step: int) -> Slow:
    """Return how far the track is open at every ``step`` samples, from 0 in silence to 1 where it is widest.

    It follows the largest sample around, held and smoothed both ways in time: the track opens ahead of the sound.
    """
    n = n_points(audio.shape[1], step)
    peaks = np.zeros((len(audio), n * step), np.float32)
    np.abs(audio, out=peaks[:, : audio.shape[1]])
    envelope = peaks.reshape(-1, n, step).max(axis=(0, 2), initial=0.0).astype(np.float64)
    rate = sample_rate / step
    held = scipy.ndimage.maximum_filter1d(envelope, 1 + 2 * round(BIAS_HOLD_SECONDS / 2 * rate), mode="nearest")
    opened = scipy.ndimage.uniform_filter1d(held, 1 + 2 * round(BIAS_SMOOTH_SECONDS / 2 * rate), mode="nearest")
    return opened / max(float(opened.max(initial=0.0)), 1e-30)


def add_density_flutter(audio: Audio, sample_rate: int, *, depth_db: float, rate_hz: float, seed: int) -> Audio:
    """Return ``audio`` whose level sways slowly by ``depth_db`` RMS: uneven development, base and lamp."""
    if depth_db == 0 or not audio.size:
        return audio.copy()
    step = step_samples(sample_rate, FLUTTER_POINTS_PER_CYCLE * rate_hz)
    n = n_points(audio.shape[1], step)
    rng = np.random.default_rng(seed)
    level_db = depth_db * slow_noise(rng, n, cutoff_hz=rate_hz, points_per_second=sample_rate / step)
    return audio * draw_out(10 ** (level_db / 20), step, audio.shape[1])


def add_sprocket(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float,
    frame_hz: float,
    frame_db: float,
    roll_off_db_per_octave: float,
    depth_percent: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with what sprocket holes do: a tone of four times ``frame_hz``, and the level swings with it.

    The tone has harmonics; ``frame_db`` is the level of the line at ``frame_hz`` itself relative to it.  Raises
    `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    perforation_hz = frame_hz * PERFORATIONS_PER_FRAME
    modulated = audio * _swing(audio.shape[1], sample_rate, perforation_hz, depth_percent / 100, rng.random())
    harmonics = np.zeros(n_harmonics(frame_hz, sample_rate / 2, MAX_SPROCKET_HARMONICS), np.complex128)
    of_perforations = harmonics[PERFORATIONS_PER_FRAME - 1 :: PERFORATIONS_PER_FRAME]
    of_perforations[:] = 10 ** (-roll_off_db_per_octave * np.log2(np.arange(1, 1 + len(of_perforations))) / 20)
    harmonics[0] = 10 ** (frame_db / 20)
    harmonics *= np.exp(2j * np.pi * rng.random(len(harmonics)))
    phase = drifting_phase(audio.shape[1], sample_rate, frame_hz, 0.0, rng)
    return add_at_snr(modulated, read_table(harmonics, phase, audio.shape[1]), sample_rate, snr_db=snr_db)


def _swing(n_samples: int, sample_rate: int, frequency_hz: float, depth: float, turn: float) -> Audio:
    """Return ``(time,)``: 1 plus a sine of amplitude ``depth`` that starts at ``turn`` of its period."""
    step = step_samples(sample_rate, MODULATION_POINTS_PER_SECOND)
    seconds = np.arange(n_points(n_samples, step)) * (step / sample_rate)
    return draw_out(1 + depth * np.sin(2 * np.pi * (frequency_hz * seconds + turn)), step, n_samples)


class OpticalNoise(Degradation):
    """Hiss of photocell and film grain, which rises with the programme as the bias line opens the track."""

    apply: ClassVar = staticmethod(add_optical_noise)
    seeded: ClassVar = True
    snr_db: SnrDb | None = spread(15, 35)
    level_dbfs: LevelDbfs | None = None
    rise_db: Annotated[Spread, within(0, 40)] = Field(
        spread(3, 10), description="by how much it is louder at the peaks than in pauses"
    )
    db_per_octave: Annotated[Spread, within(-12, 12)] = Field(
        spread(-1, 1), description="slope on top of the optical spectrum"
    )


class DensityFlutter(Degradation):
    """Slow flutter of the level, from uneven processing of the film."""

    apply: ClassVar = staticmethod(add_density_flutter)
    seeded: ClassVar = True
    depth_db: Annotated[Spread, within(0, 12)] = Field(spread(0.1, 0.6), description="RMS of the level's sway")
    rate_hz: Annotated[Spread, within(0.05, 50)] = Field(spread(0.3, 3, form="log"), description="it sways no faster")


class Sprocket(Degradation):
    """Noise of the perforations, 96 Hz, and of the frames, 24 Hz: where the film's holes pull at it or are scanned.

    In a film of 1968 the line at 96 Hz stood 5 to 11 dB above what lay around it, in 12 of 15 excerpts.
    """

    apply: ClassVar = staticmethod(add_sprocket)
    seeded: ClassVar = True
    snr_db: SnrDb = Field(spread(25, 50), description="power of the signal over all lines together")
    frame_hz: Annotated[Spread, within(8, 60)] = Field(spread(24), description="frames a second")
    frame_db: Annotated[Spread, within(-80, 40)] = Field(
        spread(-20, 0), description="the frames' line over that of the perforations"
    )
    roll_off_db_per_octave: Annotated[Spread, within(0, 60)] = Field(
        spread(6, 18), description="by how much the harmonics of the perforations fall"
    )
    depth_percent: Annotated[Spread, within(0, 100)] = Field(
        spread(0, 2), description="how deep the perforations modulate the level"
    )
