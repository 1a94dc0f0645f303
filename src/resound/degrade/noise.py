"""Noise that is added: at a stated signal-to-noise ratio, recorded or made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy.fft

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.dsp.active import active_speech_power
from resound.errors import InputError

Reference = Literal["full", "active"]


def power_of(audio: Audio, sample_rate: int, reference: Reference) -> float:
    """Return the mean power over channels of ``(channel, time)``: of all of it, or while speech is active (P.56)."""
    if reference == "active":
        return active_speech_power(audio, sample_rate)
    return float(np.mean(np.square(audio, dtype=np.float64)))


def add_at_snr(audio: Audio, noise: Audio, sample_rate: int, *, snr_db: float, reference: Reference = "full") -> Audio:
    """Return ``audio`` plus ``noise``, both ``(channel, time)``, the noise scaled to the ratio of mean powers.

    With ``reference="active"`` the signal's power is that of its active speech (ITU-T P.56), the noise's that of all
    of it.  Raises `InputError` where one of them is silent.
    """
    signal_power, noise_power = power_of(audio, sample_rate, reference), power_of(noise, sample_rate, "full")
    if signal_power <= 0 or noise_power <= 0:
        silent = "the signal" if signal_power <= 0 else "the noise"
        raise InputError(f"{silent} is silent, so a signal-to-noise ratio of {snr_db:g} dB means nothing; leave it out")
    gain = np.sqrt(signal_power / noise_power * 10 ** (-snr_db / 10))
    return audio + np.float32(gain) * noise


def shaped_noise(shape: tuple[int, ...], sample_rate: int, *, db_per_octave: float, seed: int) -> Audio:
    """Return Gaussian noise ``(channel, time)`` whose spectrum falls or rises by a straight slope above 20 Hz."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(shape, dtype=np.float32)
    if db_per_octave == 0:
        return white
    n_samples = shape[-1]
    n_fft = scipy.fft.next_fast_len(n_samples, real=True)
    spectrum = scipy.fft.rfft(white, n_fft, axis=1)
    frequencies_hz = np.maximum(np.arange(spectrum.shape[1]) * (sample_rate / n_fft), 20.0)
    spectrum *= (frequencies_hz / 1000) ** (db_per_octave / (20 * np.log10(2)))
    return scipy.fft.irfft(spectrum, n_fft, axis=1)[:, :n_samples].astype(np.float32, copy=False)


def add_hiss(audio: Audio, sample_rate: int, *, snr_db: float, db_per_octave: float, seed: int) -> Audio:
    """Return ``audio`` with stationary Gaussian noise."""
    noise = shaped_noise(audio.shape, sample_rate, db_per_octave=db_per_octave, seed=seed)
    return add_at_snr(audio, noise, sample_rate, snr_db=snr_db)


class Hiss(Degradation):
    """Stationary noise of tape, amplifiers and photocells: white at 0 dB an octave, pink at -3."""

    apply: ClassVar = staticmethod(add_hiss)
    seeded: ClassVar = True
    snr_db: Spread = spread(15, 40)
    db_per_octave: Annotated[Spread, within(-6, 6)] = spread(-3, 0)
