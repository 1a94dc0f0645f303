"""Noise that is added at a stated level: what all of them share, and noise out of a bank of recordings."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy
from pydantic import Field

from resound.degrade.bank import FromBank, Pick, read_stretch, with_channels
from resound.degrade.degradation import Audio, Params
from resound.degrade.spread import Spread, spread, within
from resound.dsp.active import active_speech_power
from resound.errors import InputError

Reference = Literal["full", "active"]
# Beyond these, float32 holds neither the one nor the other.
SnrDb = Annotated[Spread, within(-150, 150)]
LevelDbfs = Annotated[Spread, within(-150, 50)]  # RMS; 1.0 is 0 dBFS
PeakDb = Annotated[Spread, within(-150, 100)]  # above the RMS of the signal
LOWEST_HZ = 20.0  # below it a slope is flat: a rising one would end in a wandering mean


def power_of(audio: Audio, sample_rate: int, reference: Reference = "full") -> float:
    """Return the mean power over channels of ``(channel, time)``: of all of it, or while speech is active (P.56)."""
    if not audio.size:
        return 0.0
    if reference == "active":
        return active_speech_power(audio, sample_rate)
    return float(np.einsum("ct,ct->", audio, audio, dtype=np.float64)) / audio.size


def rms_of_signal(audio: Audio, sample_rate: int) -> float:
    """Return the level that ticks, thumps and bumps are set against.  Raises `InputError` for silence."""
    power = power_of(audio, sample_rate)
    if power <= 0 and audio.size:
        raise InputError("the signal is silent, so a level relative to it means nothing; leave it out")
    return math.sqrt(power)


def add_at_snr(audio: Audio, noise: Audio, sample_rate: int, *, snr_db: float, reference: Reference = "full") -> Audio:
    """Return ``audio`` plus ``noise``, both ``(channel, time)``, the noise scaled to the ratio of mean powers.

    With ``reference="active"`` the signal's power is that of its active speech (ITU-T P.56), the noise's that of all
    of it.  Raises `InputError` where one of them is silent.
    """
    if not audio.size:
        return audio.copy()
    signal_power, noise_power = power_of(audio, sample_rate, reference), power_of(noise, sample_rate)
    if signal_power <= 0 or noise_power <= 0:
        silent = "the signal" if signal_power <= 0 else "the noise"
        raise InputError(f"{silent} is silent, so a signal-to-noise ratio means nothing; leave it out")
    return add_scaled(audio, noise, math.sqrt(signal_power / noise_power) * 10 ** (-snr_db / 20))


def add_at_level(
    audio: Audio, noise: Audio, sample_rate: int, *, snr_db: float | None, level_dbfs: float | None
) -> Audio:
    """Return ``audio`` plus ``noise`` at an RMS of ``level_dbfs`` (1.0 is 0 dBFS), or where that is None at an SNR."""
    if level_dbfs is None:
        if snr_db is None:
            raise InputError("the noise has no level; give snr_db or level_dbfs")
        return add_at_snr(audio, noise, sample_rate, snr_db=snr_db)
    noise_power = power_of(noise, sample_rate)
    if noise_power <= 0:
        return audio.copy()
    return add_scaled(audio, noise, 10 ** (level_dbfs / 20) / math.sqrt(noise_power))


def add_scaled(audio: Audio, noise: Audio, gain: float) -> Audio:
    """Return ``audio + gain * noise``, ``(channel, time)`` float32; noise of one channel goes to all."""
    return audio + np.multiply(noise, noise.dtype.type(gain)).astype(np.float32, copy=False)


def add_recorded_noise(
    audio: Audio,
    sample_rate: int,
    *,
    file: str,
    position: float,
    snr_db: float,
    reference: Reference = "full",
    speed_percent: float = 100.0,
    db_per_octave: float = 0.0,
) -> Audio:
    """Return ``audio`` with a stretch of a recording; see `resound.degrade.bank.read_stretch`.  Raises `InputError`.

    Few recordings become many by being played at another speed, pitch with it, and with a slope on their spectrum.
    """
    if not audio.size:
        return audio.copy()
    played_hz = round(sample_rate * 100 / speed_percent)  # read at this rate and taken for the other
    noise = with_channels(read_stretch(file, played_hz, audio.shape[1], position=position), len(audio))
    if not noise.any():
        raise InputError(f"{file}: is silent in places; take it out of the bank, or give another one")
    if db_per_octave:
        noise = tilted(noise, sample_rate, db_per_octave)
    return add_at_snr(audio, noise, sample_rate, snr_db=snr_db, reference=reference)


def tilted(audio: Audio, sample_rate: int, db_per_octave: float) -> Audio:
    """Return ``(channel, time)`` with a slope on its spectrum, without delay; what is at 1 kHz stays as it is."""
    n_samples = audio.shape[1]
    n_fft = scipy.fft.next_fast_len(n_samples, real=True)
    frequencies_hz = np.maximum(scipy.fft.rfftfreq(n_fft, 1 / sample_rate), LOWEST_HZ)
    gain = (10 ** (db_per_octave / 20 * np.log2(frequencies_hz / 1000))).astype(np.float32)
    return scipy.fft.irfft(scipy.fft.rfft(audio, n_fft) * gain, n_fft)[:, :n_samples]


class RecordedNoise(FromBank):
    """Recorded noise out of a bank: a room, a street, the run-in groove of a disc, film without programme."""

    apply: ClassVar = staticmethod(add_recorded_noise)
    usual_domains: ClassVar = ("noise", "effects")
    bank: str = Field(description="folder, manifest (.jsonl) or file of noise")
    pick: Pick = Field("file", description="each file as likely, or as likely as it is long")
    position: Annotated[Spread, within(0, 1)] = Field(
        spread(0, 1), description="where in the file, from the first stretch that fits to the last"
    )
    snr_db: SnrDb = spread(0, 30)
    reference: Reference = "full"
    speed_percent: Annotated[Spread, within(25, 400)] = Field(spread(100), description="of its own, pitch with it")
    db_per_octave: Annotated[Spread, within(-12, 12)] = Field(spread(0), description="slope put on its spectrum")

    def draw(self, rng: np.random.Generator) -> Params:
        """Return parameters for one recording, with the file that was drawn in place of the bank."""
        params = super().draw(rng)
        file = self.open().draw(rng, params.pop("pick"))
        return {"file": file, **params}
