"""What a too eager denoiser leaves: holes, musical noise, gated tails, dull consonants.

Denoisers multiply a short-time spectrum by gains; so do these, on the frames that speech denoisers use (32 ms, half
overlapping, square-root Hann twice), whose unchanged spectrum gives the signal back.  Gains are real: nothing moves in
time.  Channels share one gain, as in a careful denoiser, so that a stereo image stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.noise import add_at_snr
from resound.degrade.spread import Spread, spread, within
from resound.dsp.spectral import frame_length_for, hann, istft, stft

FRAME_SECONDS = 0.032


class Frames:
    """The grid of short-time spectra: ``frame_length``, ``hop`` and window, all even."""

    def __init__(self, sample_rate: int) -> None:
        self.length = frame_length_for(sample_rate, FRAME_SECONDS)
        self.hop = self.length // 2
        self.window = np.sqrt(hann(self.length, np.float64)).astype(np.float32)
        self.frames_per_second = sample_rate / self.hop
        self.frequencies_hz = np.arange(self.length // 2 + 1) * (sample_rate / self.length)

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames cover ``n_samples``."""
        return -(-(n_samples + self.length - self.hop) // self.hop)

    def spectra(self, audio: Audio) -> NDArray[np.complex64]:
        """Return ``(channel, frame, freq)`` of ``(channel, time)``."""
        return np.stack([stft(channel, self.length, self.hop, self.window) for channel in audio])

    def audio(self, spectra: NDArray, n_samples: int) -> Audio:
        """Return ``(channel, time)`` of ``(channel, frame, freq)``."""
        return np.stack([istft(one, self.length, self.hop, self.window, n_samples) for one in spectra])


def with_gains(audio: Audio, sample_rate: int, gains_of: Callable[[NDArray, Frames], NDArray]) -> Audio:
    """Return ``(channel, time)`` whose spectrum is multiplied by gains ``(frame, freq)``.

    ``gains_of`` is given the power ``(frame, freq)``, the mean over channels, and the frames.
    """
    frames = Frames(sample_rate)
    spectra = frames.spectra(audio)
    power = sum(np.square(one.real) + np.square(one.imag) for one in spectra) / np.float32(len(spectra))
    spectra *= gains_of(power, frames).astype(np.float32)
    return frames.audio(spectra, audio.shape[1])


def cut_holes(
    audio: Audio,
    sample_rate: int,
    *,
    holes_per_second: float,
    length_ms: float,
    width_octaves: float,
    depth_db: float,
    seed: int,
) -> Audio:
    """Return ``audio`` with patches of its spectrogram lowered by ``depth_db``, at random times and pitches.

    Their lengths and widths scatter by a factor of about two around the given ones; centres lie from 150 Hz up to
    Nyquist, evenly over octaves.
    """
    rng = np.random.default_rng(seed)

    def gains_of(power: NDArray, frames: Frames) -> NDArray:
        n_holes = rng.poisson(holes_per_second * audio.shape[1] / sample_rate)
        centre_hz = 150 * (sample_rate / 300) ** rng.random(n_holes)
        half_width = 2 ** (width_octaves / 2 * 2 ** rng.uniform(-1, 1, n_holes))
        lengths = np.maximum(1, length_ms / 1000 * frames.frames_per_second * 2 ** rng.uniform(-1, 1, n_holes))
        first = np.floor(rng.random(n_holes) * (len(power) + lengths) - lengths).astype(int)
        bins = np.searchsorted(frames.frequencies_hz, [centre_hz / half_width, centre_hz * half_width])
        gains = np.ones(power.shape, np.float32)
        for start, end, low, high in zip(first, np.rint(first + lengths).astype(int), *bins, strict=True):
            gains[max(0, start) : max(0, end), low:high] = 10 ** (-depth_db / 20)
        return gains

    return with_gains(audio, sample_rate, gains_of)


def add_musical_noise(
    audio: Audio, sample_rate: int, *, snr_db: float, density: float, db_per_octave: float, seed: int
) -> Audio:
    """Return ``audio`` plus isolated tones of a frame's length: the peaks of a noise that a gate let through.

    Of noise with power ``p`` in a bin, exponentially distributed, the share ``density`` lies above a threshold; what
    stands out of it is exponential again (Berouti, Schwartz, Makhoul 1979; Cappé 1994).  Raises `InputError` for
    silence.
    """
    frames = Frames(sample_rate)
    n_frames, n_bins = frames.n_frames(audio.shape[1]), len(frames.frequencies_hz)
    rng = np.random.default_rng(seed)
    places = np.flatnonzero(rng.random(n_frames * n_bins, dtype=np.float32) < density)
    if not len(places) or not audio.shape[1]:
        return audio.copy()
    colour = (np.maximum(frames.frequencies_hz, 50.0) / 1000) ** (db_per_octave / (20 * np.log10(2)))
    magnitude = np.sqrt(rng.standard_exponential(len(places)) - np.log(density)) * colour[places % n_bins]
    phase = rng.uniform(0, 2 * np.pi, len(places))
    spectrum = np.zeros(n_frames * n_bins, np.complex64)
    spectrum[places] = magnitude * np.cos(phase) + 1j * (magnitude * np.sin(phase))
    noise = frames.audio(spectrum.reshape(1, n_frames, n_bins), audio.shape[1])
    if not noise.any():  # all of it fell outside of a very short signal
        return audio.copy()
    return add_at_snr(audio, np.repeat(noise, len(audio), axis=0), sample_rate, snr_db=snr_db)


def over_gate(audio: Audio, sample_rate: int, *, threshold_db: float, reduction_db: float, release_ms: float) -> Audio:
    """Return ``audio`` through a spectral gate whose threshold is far too high.

    The threshold of a frequency is its mean power over the recording plus ``threshold_db``.  What stays below is
    lowered by ``reduction_db``, after a release in which the gain falls evenly.
    """

    def gains_of(power: NDArray, frames: Frames) -> NDArray:
        threshold = power.mean(axis=0) * np.float32(10 ** (threshold_db / 10))
        fall_db = reduction_db / max(1.0, release_ms / 1000 * frames.frames_per_second)
        level_db = np.full(power.shape[1], -reduction_db)
        levels_db = np.empty(power.shape, np.float32)
        for frame, is_open in enumerate(power > threshold):
            level_db = np.where(is_open, 0.0, np.maximum(level_db - fall_db, -reduction_db))
            levels_db[frame] = level_db
        return 10 ** (levels_db.astype(np.float64) / 20)

    return with_gains(audio, sample_rate, gains_of)


def dull(
    audio: Audio, sample_rate: int, *, cutoff_hz: float, db_per_octave: float, consonants_above_hz: float, ratio: float
) -> Audio:
    """Return ``audio`` with its treble rolled off, and weak consonants weaker still.

    Above ``cutoff_hz`` (-3 dB) the level falls by ``db_per_octave``.  Frames whose band above ``consonants_above_hz``
    is below its mean power are expanded there: ``ratio`` dB down for each dB they lie under it.
    """

    def gains_of(power: NDArray, frames: Frames) -> NDArray:
        band = frames.frequencies_hz >= consonants_above_hz
        level = power[:, band].sum(axis=1, dtype=np.float64)
        mean = level.mean()
        weakness = np.clip(level / mean, 1e-6, 1.0) if mean > 0 else np.ones(len(level))
        expansion = weakness ** ((ratio - 1) / 2)
        # Butterworth magnitude: 6 dB an octave for each order, -3 dB at the cut-off
        order = db_per_octave / (20 * np.log10(2))
        roll_off = 1 / np.sqrt(1 + (frames.frequencies_hz / cutoff_hz) ** (2 * order))
        return np.where(band, expansion[:, np.newaxis], 1.0) * roll_off

    return with_gains(audio, sample_rate, gains_of)


class Holes(Degradation):
    """Patches of the spectrogram that a denoiser took for noise and removed."""

    apply: ClassVar = staticmethod(cut_holes)
    seeded: ClassVar = True
    holes_per_second: Annotated[Spread, within(0, 1000)] = Field(spread(2, 20), description="how many, on average")
    length_ms: Annotated[Spread, within(0, 5000)] = Field(spread(40, 200), description="typical length")
    width_octaves: Annotated[Spread, within(0, 10)] = Field(spread(0.2, 1), description="typical width")
    depth_db: Annotated[Spread, within(0, 120)] = Field(spread(15, 60), description="by how much they are lowered")


class MusicalNoise(Degradation):
    """Isolated tones that come and go: what is left of noise after spectral subtraction."""

    apply: ClassVar = staticmethod(add_musical_noise)
    seeded: ClassVar = True
    snr_db: Annotated[Spread, within(-100, 100)] = Field(spread(20, 40), description="signal over the tones")
    density: Annotated[Spread, within(1e-5, 1)] = Field(
        spread(0.002, 0.02, form="log"), description="share of the spectrogram's cells that hold a tone"
    )
    db_per_octave: Annotated[Spread, within(-12, 12)] = Field(spread(-6, 0), description="slope of their spectrum")


class OverGate(Degradation):
    """A spectral gate set too high: weak harmonics, tails and room are cut away."""

    apply: ClassVar = staticmethod(over_gate)
    threshold_db: Annotated[Spread, within(-60, 40)] = Field(
        spread(-25, -8), description="threshold over the mean power of each frequency"
    )
    reduction_db: Annotated[Spread, within(0, 120)] = Field(spread(12, 40), description="how far a closed gate lowers")
    release_ms: Annotated[Spread, within(0, 2000)] = Field(spread(0, 80), description="time that closing takes")


class Dull(Degradation):
    """Over-suppressed treble: consonants and breath are lost before the vowels suffer."""

    apply: ClassVar = staticmethod(dull)
    cutoff_hz: Annotated[Spread, within(500, 24000)] = Field(
        spread(3000, 8000, form="log"), description="-3 dB point of the low-pass"
    )
    db_per_octave: Annotated[Spread, within(0, 96)] = Field(spread(6, 36), description="slope beyond it")
    consonants_above_hz: Annotated[Spread, within(500, 24000)] = Field(
        spread(2000, 4000), description="from here on weak frames are weakened"
    )
    ratio: Annotated[Spread, within(1, 5)] = Field(
        spread(1.2, 2.5), description="expansion of what is below the band's mean; 1: none"
    )
