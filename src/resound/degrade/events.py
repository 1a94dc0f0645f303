"""Sounds that come and go beside a voice: what calls, what is struck, what rushes.  Made by rule, never the same twice.

A denoiser learns noise from recordings of it, and recordings are few: what it was not taught it keeps.  Within one
recording it is one source that is heard again and again, as a bird, a clock or a door is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

import numpy as np
import scipy
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.hum import n_harmonics
from resound.degrade.noise import LOWEST_HZ, SnrDb, add_at_snr
from resound.degrade.pulses import Numbers, log_normal_db
from resound.degrade.slow import slow_noise
from resound.degrade.spread import Spread, spread, within

MAX_HARMONICS, TABLE_POINTS = 40, 4096
N_RESONANCES, RESONANCE_DB, RESONANCE_OCTAVES = 3, (6.0, 24.0), (0.15, 0.6)  # of what calls: a throat, a beak, a horn
PITCH_SPREAD_OCTAVES = 0.08  # from one call to the next
VIBRATO_HZ, ROUGHNESS_HZ = (4.0, 30.0), 60.0
HIGHEST_RATIO = 12.0  # of a mode over the first of what is struck
MODES_SPREAD_DB = 6.0
KNOCK_DECAYS = 0.1  # the knock's decay over the lowest mode's
HEARD_DECAYS = 7.0  # time constants until a mode is cut off, 60 dB down
LOUDNESS_SPREAD_DB = 3.0  # from one event to the next
# Processors raise to a power each with another last bit, and a phase adds them up: rounded, all have the same samples.
FREQUENCY_DIGITS = 9
SILENCE = 1e-9  # of the peak


def event_seconds(rng: np.random.Generator, rate_per_second: float, regularity: float, seconds: float) -> Numbers:
    """Return when events begin, in order, one at least.

    With a ``regularity`` of 0 they know nothing of each other, with 1 they come as a clock ticks.
    """
    most = 10 + int(2 * rate_per_second * seconds)  # more than fit
    gaps = regularity + (1 - regularity) * rng.standard_exponential(most)
    times = (np.cumsum(gaps) - rng.random()) / rate_per_second
    times = times[(times >= 0) & (times < seconds)]
    return times if len(times) else rng.uniform(0, seconds, 1)


def add_calls(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float,
    rate_per_second: float,
    regularity: float,
    length_ms: float,
    pitch_hz: float,
    glide_octaves: float,
    vibrato_octaves: float,
    roll_off_db_per_octave: float,
    roughness: float,
    breath_db: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with calls in all channels: harmonics of a pitch that glides, through resonances that stay.

    The pitch ends ``glide_octaves`` above where it began, or bends up and back, as a source does.  ``roughness`` is how
    deep chance modulates the level; ``breath_db`` the level of noise with it.  Raises `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    if not n_samples:
        return audio.copy()
    voice = _Voice(rng, pitch_hz, glide_octaves, vibrato_octaves, roll_off_db_per_octave, sample_rate)
    swell = _Swell(rng)
    calls = np.zeros(n_samples)
    for first, length in _events(rng, sample_rate, n_samples, rate_per_second, regularity, length_ms):
        call = voice.call(rng, length)
        breath = 10 ** (breath_db / 20) * _rms(call) * rng.standard_normal(length)
        calls[first : first + length] += ((call + breath) * swell.draw(rng, length))[: n_samples - first]
    calls *= 1 + roughness * slow_noise(rng, n_samples, cutoff_hz=ROUGHNESS_HZ, points_per_second=sample_rate)
    return _added(audio, _resonating(rng, calls, sample_rate, pitch_hz), sample_rate, snr_db)


def add_strikes(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float,
    rate_per_second: float,
    regularity: float,
    decay_ms: float,
    pitch_hz: float,
    n_modes: float,
    damping: float,
    knock_db: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with strikes in all channels: modes without harmony that ring out, and the knock itself.

    The lowest mode, at ``pitch_hz``, falls by 8.7 dB in ``decay_ms``; one ``r`` times as high in ``r ** damping`` times
    less.  ``knock_db`` is the level of a short noise beside the modes.  Raises `InputError` for silence.
    """
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    if not n_samples:
        return audio.copy()
    longest = min(n_samples, 1 + int(HEARD_DECAYS * decay_ms / 1000 * sample_rate))
    ring = _ringing(rng, longest, sample_rate, decay_ms / 1000, pitch_hz, round(n_modes), damping)
    knock = rng.standard_normal(longest) * np.exp(-np.arange(longest) / (KNOCK_DECAYS * decay_ms / 1000 * sample_rate))
    ring += knock * 10 ** (knock_db / 20) * _rms(ring) / _rms(knock) if ring.any() else knock
    starts = event_seconds(rng, rate_per_second, regularity, n_samples / sample_rate)
    blows = log_normal_db(rng, len(starts), median_db=0, spread_db=LOUDNESS_SPREAD_DB)
    strikes = np.zeros(n_samples)
    for first, blow in zip((starts * sample_rate).astype(int), blows, strict=True):
        strikes[first : first + longest] += blow * ring[: n_samples - first]
    return _added(audio, strikes, sample_rate, snr_db)


def add_rushes(
    audio: Audio,
    sample_rate: int,
    *,
    snr_db: float,
    rate_per_second: float,
    regularity: float,
    length_ms: float,
    centre_hz: float,
    width_octaves: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with bursts of noise in all channels, the edges of their band soft.  Raises `InputError`."""
    rng = np.random.default_rng(seed)
    n_samples = audio.shape[1]
    if not n_samples:
        return audio.copy()
    swell = _Swell(rng)
    loudness = np.zeros(n_samples)
    for first, length in _events(rng, sample_rate, n_samples, rate_per_second, regularity, length_ms):
        loudness[first : first + length] += swell.draw(rng, length)[: n_samples - first]

    def gain(frequencies_hz: Numbers) -> Numbers:
        return np.exp(-0.5 * (np.log2(frequencies_hz / centre_hz) / (width_octaves / 2)) ** 2)

    return _added(
        audio, _filtered(rng.standard_normal((n_samples,)), sample_rate, gain) * loudness, sample_rate, snr_db
    )


def _events(
    rng: np.random.Generator,
    sample_rate: int,
    n_samples: int,
    rate_per_second: float,
    regularity: float,
    length_ms: float,
) -> Iterator[tuple[int, int]]:
    """Yield the first sample of each event and how many it has; lengths scatter by half an octave to either side."""
    starts = event_seconds(rng, rate_per_second, regularity, n_samples / sample_rate) * sample_rate
    lengths = length_ms / 1000 * sample_rate * 2 ** rng.uniform(-0.5, 0.5, len(starts))
    yield from zip(starts.astype(int).tolist(), (2 + lengths).astype(int).tolist(), strict=True)


class _Voice:
    """What calls: its timbre, as one period of a wave, and how its pitch bends."""

    def __init__(
        self,
        rng: np.random.Generator,
        pitch_hz: float,
        glide_octaves: float,
        vibrato_octaves: float,
        roll_off_db_per_octave: float,
        sample_rate: int,
    ) -> None:
        self.pitch, self.glide, self.vibrato = pitch_hz / sample_rate, glide_octaves, vibrato_octaves
        self.straight = rng.random()  # how much of the glide is a line; the rest is an arc
        self.trill = rng.uniform(*VIBRATO_HZ) / sample_rate
        highest = self.pitch * 2 ** (abs(glide_octaves) / 2 + vibrato_octaves + 3 * PITCH_SPREAD_OCTAVES)
        k = np.arange(1, 1 + n_harmonics(highest, 0.5, MAX_HARMONICS))  # none lies above half the sample rate
        spectrum = np.zeros(TABLE_POINTS // 2 + 1, np.complex128)
        spectrum[k] = 10 ** (-roll_off_db_per_octave * np.log2(k) / 20) * np.exp(2j * np.pi * rng.random(len(k)))
        self.table = scipy.fft.irfft(spectrum, TABLE_POINTS)
        self.table /= _rms(self.table)

    def call(self, rng: np.random.Generator, n_samples: int) -> Numbers:
        """Return one call, ``(n_samples,)``, of an even level."""
        share = np.linspace(0, 1, n_samples)
        bend = self.straight * (share - 0.5) + (1 - self.straight) * (4 * share * (1 - share) - 0.5)
        trill = np.sin(2 * np.pi * (self.trill * np.arange(n_samples) + rng.random()))
        own = PITCH_SPREAD_OCTAVES * np.clip(rng.standard_normal(), -3, 3)
        turns = np.round(self.pitch * 2 ** (own + self.glide * bend + self.vibrato * trill), FREQUENCY_DIGITS)
        place = np.cumsum(turns) % 1 * TABLE_POINTS
        return np.interp(place, np.arange(TABLE_POINTS + 1), np.append(self.table, self.table[0]))


class _Swell:
    """How a source's events rise and fall: each of them the same way, not each as loud."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.attack, self.power = rng.uniform(0.02, 0.6), rng.uniform(0.5, 3)

    def draw(self, rng: np.random.Generator, n_samples: int) -> Numbers:
        """Return the level along an event, ``(n_samples,)``."""
        share = np.linspace(0, 1, n_samples)
        up = np.sin(np.pi / 2 * np.minimum(share / self.attack, 1)) ** 2
        down = np.minimum((1 - share) / (1 - self.attack), 1) ** self.power
        return log_normal_db(rng, 1, median_db=0, spread_db=LOUDNESS_SPREAD_DB) * up * down


def _ringing(
    rng: np.random.Generator,
    n_samples: int,
    sample_rate: int,
    decay_seconds: float,
    pitch_hz: float,
    n_modes: int,
    damping: float,
) -> Numbers:
    """Return ``(n_samples,)``: modes that ring from the first sample on; none lies above half the sample rate."""
    seconds = np.arange(n_samples) / sample_rate
    ratios = np.concatenate([[1.0], np.round(HIGHEST_RATIO ** rng.random(n_modes - 1), FREQUENCY_DIGITS)])
    ratios = ratios[ratios * pitch_hz < sample_rate / 2]
    loudness = log_normal_db(rng, len(ratios), median_db=0, spread_db=MODES_SPREAD_DB)
    ringing = np.zeros(n_samples)
    for ratio, loud in zip(ratios, loudness, strict=True):
        turns = pitch_hz * ratio * seconds + rng.random()
        ringing += loud * np.exp(-seconds * ratio**damping / decay_seconds) * np.sin(2 * np.pi * turns)
    return ringing


def _resonating(rng: np.random.Generator, sound: Numbers, sample_rate: int, pitch_hz: float) -> Numbers:
    lowest_hz = max(pitch_hz, LOWEST_HZ)
    octaves = np.log2(max(2.0, 0.5 * sample_rate / lowest_hz))
    centres_hz = lowest_hz * 2 ** (octaves * rng.random(N_RESONANCES))
    heights_db = rng.uniform(*RESONANCE_DB, N_RESONANCES)
    widths = rng.uniform(*RESONANCE_OCTAVES, N_RESONANCES)

    def gain(frequencies_hz: Numbers) -> Numbers:
        away = np.log2(frequencies_hz[:, None] / centres_hz) / widths
        return 10 ** ((heights_db * np.exp(-0.5 * away**2)).sum(axis=1) / 20)

    return _filtered(sound, sample_rate, gain)


def _filtered(sound: Numbers, sample_rate: int, gain: Callable[[Numbers], Numbers]) -> Numbers:
    """Return a sound through a filter without delay, whose gain is asked for at frequencies in Hz."""
    n_fft = scipy.fft.next_fast_len(len(sound) + sample_rate // 4, real=True)  # what rings on comes round to nobody
    frequencies_hz = np.maximum(scipy.fft.rfftfreq(n_fft, 1 / sample_rate), LOWEST_HZ)
    return scipy.fft.irfft(scipy.fft.rfft(sound, n_fft) * gain(frequencies_hz), n_fft)[: len(sound)]


def _rms(values: Numbers) -> float:
    return max(float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0, 1e-12)


def _added(audio: Audio, sound: Numbers, sample_rate: int, snr_db: float) -> Audio:
    if not sound.any():  # all of it lies above half the sample rate, or within too few samples
        return audio.copy()
    sound[np.abs(sound) < SILENCE * np.abs(sound).max()] = 0  # a filter's rounding, on each processor another one
    return add_at_snr(audio, sound[None].astype(np.float32), sample_rate, snr_db=snr_db)


RATE = "events, on average"


class Events(Degradation):
    """What all that comes and goes has: how loud it is, how often it comes, and how evenly."""

    seeded: ClassVar = True
    snr_db: SnrDb = spread(0, 20)
    rate_per_second: Annotated[Spread, within(0.01, 50)] = Field(spread(0.3, 8, form="log"), description=RATE)
    regularity: Annotated[Spread, within(0, 1)] = Field(spread(0, 1), description="0: by chance, 1: as a clock ticks")


class Calls(Events):
    """Calls of animals, horns, sirens, squeaks: harmonics of a gliding pitch, heard again and again."""

    apply: ClassVar = staticmethod(add_calls)
    rate_per_second: Annotated[Spread, within(0.01, 50)] = Field(spread(0.3, 6, form="log"), description=RATE)
    length_ms: Annotated[Spread, within(5, 5000)] = Field(spread(40, 1200, form="log"), description="of the middle one")
    pitch_hz: Annotated[Spread, within(20, 16000)] = Field(
        spread(60, 5000, form="log"), description="in the middle of a call"
    )
    glide_octaves: Annotated[Spread, within(-4, 4)] = Field(
        spread(-1, 1), description="how far the pitch goes in a call"
    )
    vibrato_octaves: Annotated[Spread, within(0, 1)] = Field(spread(0, 0.1), description="to either side")
    roll_off_db_per_octave: Annotated[Spread, within(0, 60)] = Field(
        spread(2, 24), description="by how much the harmonics fall"
    )
    roughness: Annotated[Spread, within(0, 1)] = Field(spread(0, 0.6), description="how deep its level shakes")
    breath_db: Annotated[Spread, within(-100, 20)] = Field(spread(-40, 0), description="level of noise within it")


class Strikes(Events):
    """What is struck: ticks, bells, doors, dishes; modes that ring out without harmony, heard again and again."""

    apply: ClassVar = staticmethod(add_strikes)
    rate_per_second: Annotated[Spread, within(0.01, 50)] = Field(spread(0.3, 10, form="log"), description=RATE)
    decay_ms: Annotated[Spread, within(1, 3000)] = Field(
        spread(3, 400, form="log"), description="time in which the lowest mode falls by 8.7 dB"
    )
    pitch_hz: Annotated[Spread, within(20, 16000)] = Field(
        spread(100, 4000, form="log"), description="of the lowest mode"
    )
    n_modes: Annotated[Spread, within(1, 64)] = Field(spread(1, 12), description="how many modes, rounded")
    damping: Annotated[Spread, within(0, 2)] = Field(spread(0, 1), description="how much sooner the higher ones end")
    knock_db: Annotated[Spread, within(-100, 40)] = Field(spread(-20, 10), description="level of the knock beside them")


class Rushes(Events):
    """What rushes and rustles: steps in gravel, a breath, paper, spray; bursts of noise, heard again and again."""

    apply: ClassVar = staticmethod(add_rushes)
    length_ms: Annotated[Spread, within(5, 5000)] = Field(spread(20, 1500, form="log"), description="of the middle one")
    centre_hz: Annotated[Spread, within(20, 20000)] = Field(
        spread(150, 8000, form="log"), description="middle of its band"
    )
    width_octaves: Annotated[Spread, within(0.1, 10)] = Field(spread(0.5, 5), description="of its band")
