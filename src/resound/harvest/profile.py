"""The noise of a recording in numbers: how loud, of what spectrum, what crackle, what hum, and in what band.

Noise is measured where there is nothing else (`resound.harvest.stretches`); where a recording has no such stretch, in
its quietest moments, into which a programme may still reach: then ``noise_from`` says so, and what is said about the
noise is an upper limit.  Levels are relative to the active level of the programme (ITU-T P.56), the noise taken off.

The recording streams by twice.  What is kept of it is the evidence and at most a minute of noise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.dsp.active import HANGOVER_SECONDS, MARGIN_DB
from resound.errors import InputError, one_line
from resound.harvest.cut import Heard, Source, listen
from resound.harvest.evidence import Evidence
from resound.harvest.hum import HumMeter, HumProfile
from resound.harvest.spectra import (
    MeanSpectrum,
    against_speech,
    bandwidth_hz,
    third_octaves,
    tilt_db_per_octave,
    without_hum,
)
from resound.harvest.stretches import HarvestConfig, Measures, Verdict, decibels, find_stretches, measure, runs_of
from resound.harvest.sway import SPROCKET_HZ, Sway, measure_revolution, measure_sprocket
from resound.harvest.ticks import CrackleProfile, TickCounter

MOST_NOISE_SECONDS = 60.0
ENOUGH_NOISE_SECONDS = 2.0
LEAST_NOISE_SECONDS = 0.3
# Stretches to measure in may be shorter than those to keep, for they are not listened to, and more may happen in them:
# without those that hold a tick, the rate of ticks would come out too low.
SHORTEST_STRETCH_SECONDS, STRETCH_GUARD_SECONDS, MOTION_ROOM = 0.2, 0.05, 2.5
SHORTEST_QUIET_SECONDS = 0.1
LOWEST_HZ = 44.0  # where the lowest third octave begins: what lies below is not heard
HUM_BLOCK_SECONDS = 20.0
LOUD_DB = 8.0  # above the floor: there the programme's spectrum is taken
HEARD_OVER_NOISE = 2.0  # a step is programme where the power is so many times the noise's

Span = tuple[int, int]  # first sample and end


@dataclass(frozen=True)
class NoiseProfile:
    """What `measure_profile` found.  None where there is nothing, or nothing to measure it in."""

    recording: str
    seconds: float
    sample_rate: int
    noise_from: Literal["stretches", "quietest_moments"]
    noise_seconds: float
    programme_dbfs: float | None  # active level, P.56
    noise_dbfs: float  # broadband, without ticks and hum
    snr_db: float | None  # active level of the programme over the noise
    full_snr_db: float | None  # mean power of the programme over the noise
    third_octave_hz: tuple[float, ...]
    noise_db: tuple[float, ...]  # in third octaves, relative to the programme (without one: to the noise)
    programme_db: tuple[float, ...] | None  # while it is active, relative to its active level
    response_db: tuple[float | None, ...] | None  # the programme's spectrum against that of average speech
    tilt_db_per_octave: float  # of the noise, 200 Hz to 6.3 kHz; 0 is white
    bandwidth_hz: float | None  # of the programme
    hum: HumProfile | None
    crackle: CrackleProfile | None
    revolution: Sway | None
    sprocket: tuple[Sway, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as JSON."""
        return asdict(self)

    def describe(self) -> str:
        """Return the profile as a few lines for people."""
        hum, crackle = self.hum, self.crackle
        sways = [sway for sway in (self.revolution, *self.sprocket) if sway]
        rows = {
            "noise": f"{self.noise_dbfs:.1f} dBFS, {self.tilt_db_per_octave:+.1f} dB an octave, measured in "
            f"{self.noise_seconds:.1f} s of {self.noise_from.replace('_', ' ')}",
            "programme": "none"
            if self.programme_dbfs is None
            else f"{self.programme_dbfs:.1f} dBFS while active, {self.snr_db:.1f} dB above the noise",
            "bandwidth": "unknown" if self.bandwidth_hz is None else f"{self.bandwidth_hz:.0f} Hz",
            "hum": "none"
            if hum is None
            else f"{hum.frequency_hz:.2f} Hz, {hum.level_db:.1f} dB, harmonics {', '.join(map(str, hum.harmonics))}",
            "crackle": "none"
            if crackle is None
            else f"{crackle.per_second:g} ticks a second, {crackle.peak_db:+.1f} dB to the noise "
            f"(deviation {crackle.spread_db:.1f} dB), {crackle.length_ms:.2f} ms",
            "sway": ", ".join(f"{sway.depth_percent:g} % at {sway.rate_hz:g} Hz" for sway in sways) or "none",
        }
        return "\n".join([one_line(self.recording), *(f"  {name:<10} {value}" for name, value in rows.items())])


def measure_profile(source: Source, config: HarvestConfig | None = None, heard: Heard | None = None) -> NoiseProfile:
    """Return the noise profile of a recording, which was perhaps listened to before.

    Raises `InputError`, also where there is no moment of noise in it.
    """
    config = config or HarvestConfig()
    heard = heard or listen(source)
    evidence, form = heard.evidence, heard.form
    verdict = find_stretches(evidence, form.sample_rate, to_measure_in(config))
    measures = measure(evidence, config)
    spans, noise_from = noise_spans(evidence, measures, verdict, form.sample_rate, config)
    if sum(end - first for first, end in spans) < LEAST_NOISE_SECONDS * form.sample_rate:
        seconds = evidence.n_samples / form.sample_rate
        raise InputError(
            f"{source.path}: has no moment of noise alone in its {seconds:.1f} s; give a recording with pauses of "
            f"{LEAST_NOISE_SECONDS} s and more in all"
        )
    loud = measures.above_floor_db > LOUD_DB
    ear = Ear(form.sample_rate, spans, loud, evidence.step_seconds)
    for _, block in source.blocks():
        ear.add(block)
    ear.finish()
    is_noise = steps_of(spans, evidence, form.sample_rate)
    programme = None if verdict.programme_dbfs is None else programme_powers(evidence, ear.noise_power())
    sways = [measure_sprocket(ear.pieces, form.sample_rate, rate_hz) for rate_hz in SPROCKET_HZ]
    slow_db = decibels(evidence.bands[:, evidence.bands.shape[1] // 2 :]).mean(axis=1)
    return summarise(
        source,
        ear,
        programme,
        evidence=evidence,
        noise_from=noise_from,
        revolution=measure_revolution(slow_db, is_noise, evidence.step_seconds),
        sprocket=tuple(sway for sway in sways if sway),
    )


def to_measure_in(config: HarvestConfig) -> HarvestConfig:
    """Return the limits for noise that is measured, not kept."""
    room = {
        "min_seconds": SHORTEST_STRETCH_SECONDS,
        "max_seconds": None,
        "guard_seconds": STRETCH_GUARD_SECONDS,
        "modulation_db": MOTION_ROOM * config.modulation_db,
        "modulation_band_db": MOTION_ROOM * config.modulation_band_db,
    }
    return config.model_copy(update=room)


def noise_spans(
    evidence: Evidence, measures: Measures, verdict: Verdict, sample_rate: int, config: HarvestConfig
) -> tuple[list[Span], Literal["stretches", "quietest_moments"]]:
    """Return where the noise is to be measured."""
    spans = [(stretch.start_samples, stretch.start_samples + stretch.n_samples) for stretch in verdict.stretches]
    if sum(end - first for first, end in spans) >= ENOUGH_NOISE_SECONDS * sample_rate:
        return spans, "stretches"
    quiet = (measures.above_floor_db <= config.floor_db) & (measures.level_dbfs >= config.least_dbfs)
    per_step = evidence.step_seconds * sample_rate
    least = SHORTEST_QUIET_SECONDS / evidence.step_seconds
    runs = [(round(first * per_step), round(end * per_step)) for first, end in runs_of(quiet) if end - first >= least]
    return runs, "quietest_moments"


def steps_of(spans: list[Span], evidence: Evidence, sample_rate: int) -> NDArray:
    """Return which steps lie in the spans, ``(step,)`` of bool."""
    inside = np.zeros(evidence.n_steps, dtype=bool)
    for first, end in spans:
        inside[
            round(first / sample_rate / evidence.step_seconds) : round(end / sample_rate / evidence.step_seconds)
        ] = 1
    return inside


class Ear:
    """Gathers spectra, hum and pieces of noise while a recording streams by."""

    def __init__(self, sample_rate: int, spans: list[Span], loud: NDArray, step_seconds: float) -> None:
        self.sample_rate = sample_rate
        self.loud_spectrum, self.noise_spectrum = MeanSpectrum(sample_rate), MeanSpectrum(sample_rate)
        self.ticks, self.hum = TickCounter(sample_rate), HumMeter(sample_rate)
        self.pieces: list[NDArray] = []  # (time,) of noise without ticks
        self._spans = longest_first(spans, round(MOST_NOISE_SECONDS * sample_rate))
        self._loud, self._per_step = loud, step_seconds * sample_rate
        self._position = 0
        self._open: NDArray | None = None  # what of a span came in earlier blocks
        self._for_hum: list[NDArray] = []

    def add(self, block: NDArray) -> None:
        """Listen to the next ``(channel, time)`` block."""
        self._add_loud(block)
        for first, end in self._spans:
            piece = block[:, max(0, first - self._position) : max(0, end - self._position)]
            if piece.shape[1]:
                self._open = piece if self._open is None else np.concatenate([self._open, piece], axis=1)
            if self._open is not None and self._position < end <= self._position + block.shape[1]:
                self._add_noise(self._open)
                self._open = None
        self._position += block.shape[1]
        self._for_hum.append(block.mean(axis=0))
        if sum(map(len, self._for_hum)) >= HUM_BLOCK_SECONDS * self.sample_rate:
            self._add_hum()

    def finish(self) -> None:
        """Take what is left."""
        if self._open is not None:
            self._add_noise(self._open)
        self._add_hum()

    def noise_power(self) -> float:
        """Return the mean square of the noise, hum included, ticks not."""
        return float(np.sum(self.noise_spectrum.power))

    def _add_loud(self, block: NDArray) -> None:
        hop = self.loud_spectrum.length // 2
        centres = self._position + hop * (1 + np.arange(block.shape[1] // hop))
        steps = np.minimum((centres / self._per_step).astype(int), len(self._loud) - 1)
        for channel in block:
            self.loud_spectrum.add(channel, self._loud[steps])

    def _add_noise(self, piece: NDArray) -> None:
        for channel in piece:
            calm = self.ticks.take(channel)
            self.noise_spectrum.add(calm)
            self.pieces.append(calm)

    def _add_hum(self) -> None:
        if self._for_hum:
            self.hum.add(np.concatenate(self._for_hum))
            self._for_hum = []


def longest_first(spans: list[Span], most_samples: int) -> list[Span]:
    """Return the longest spans, no more than ``most_samples`` in all, in the order in which they come."""
    chosen, left = [], most_samples
    for first, end in sorted(spans, key=lambda span: span[0] - span[1]):
        if left <= 0:
            break
        chosen.append((first, min(end, first + left)))
        left -= end - first
    return sorted(chosen)


@dataclass(frozen=True)
class ProgrammePowers:
    """How loud the programme is without the noise."""

    active: float  # while it is active, P.56
    full: float  # over the whole recording


def programme_powers(evidence: Evidence, noise_power: float) -> ProgrammePowers | None:
    """Return the programme's powers from the recording's power in steps, the noise taken off each.

    The search of P.56 on 25-ms powers: active is what lies above a threshold, and 0.2 s after; the threshold is the one
    that lies 15.9 dB below the level of what is active.  (`resound.dsp.active` does it on samples, which noise would
    keep active.)
    """
    power = np.where(evidence.power > HEARD_OVER_NOISE * noise_power, evidence.power - noise_power, 0.0)
    energy = float(power.sum())
    if energy <= 0:
        return None
    held_steps = round(HANGOVER_SECONDS / evidence.step_seconds)
    held = scipy.ndimage.maximum_filter1d(power, held_steps, origin=(held_steps - 1) // 2, mode="constant")
    active = energy / np.count_nonzero(power)
    # Thresholds rise in steps of a fifth of a dB, and the margins above them fall: the first that is too small is it.
    for threshold in float(power.max()) * 10 ** (np.arange(-80, 0, 0.2) / 10):
        active = energy / np.count_nonzero(held >= threshold)
        if active / threshold < 10 ** (MARGIN_DB / 10):
            break
    return ProgrammePowers(active, energy / len(power))


def summarise(
    source: Source,
    heard: Ear,
    programme: ProgrammePowers | None,
    *,
    evidence: Evidence,
    noise_from: Literal["stretches", "quietest_moments"],
    revolution: Sway | None,
    sprocket: tuple[Sway, ...],
) -> NoiseProfile:
    """Return what was heard as a profile."""
    hz = heard.noise_spectrum.hz
    hum = heard.hum.result(programme.active if programme else heard.noise_power())
    noise = without_hum(heard.noise_spectrum.power, hz, hum.frequency_hz if hum else None)
    centres_hz, noise_bands = third_octaves(noise, hz)
    noise_power = float(noise[int(LOWEST_HZ / hz) :].sum())
    reference = programme.active if programme else noise_power
    loud = np.maximum(heard.loud_spectrum.power - heard.noise_spectrum.power, 0)
    loud_bands = third_octaves(loud, hz)[1]
    programme_db = decibels(loud_bands / max(float(loud.sum()), 1e-30))
    band_db = decibels(noise_bands / reference)
    response_db = against_speech(centres_hz, programme_db)
    return NoiseProfile(
        recording=str(source.path),
        seconds=round(evidence.n_samples / heard.sample_rate, 3),
        sample_rate=heard.sample_rate,
        noise_from=noise_from,
        noise_seconds=round(sum(map(len, heard.pieces)) / heard.sample_rate, 2),
        programme_dbfs=_rounded(decibels(programme.active)) if programme else None,
        noise_dbfs=round(float(decibels(noise_power)), 1),
        snr_db=_rounded(decibels(programme.active / noise_power)) if programme else None,
        full_snr_db=_rounded(decibels(programme.full / noise_power)) if programme else None,
        third_octave_hz=tuple(round(float(centre), 1) for centre in centres_hz),
        noise_db=tuple(map(_rounded, band_db)),
        programme_db=tuple(map(_rounded, programme_db)) if programme else None,
        response_db=tuple(None if np.isnan(db) else _rounded(db) for db in response_db) if programme else None,
        tilt_db_per_octave=_rounded(tilt_db_per_octave(centres_hz, band_db)),
        bandwidth_hz=round(bandwidth_hz(loud, noise, hz)) if programme else None,
        hum=hum,
        crackle=heard.ticks.result(noise_power),
        revolution=revolution,
        sprocket=sprocket,
    )


def _rounded(value: float | NDArray) -> float:
    return round(float(value), 1)
