"""Whether two sounds are the same recording, and by how much one is later: robust, and with a known chance of error.

Both are whitened by their own smoothed spectra (SCOT: Carter, Nuttall and Cable, "The smoothed coherence transform",
1973), so that no steady pitch or colour looks like a likeness; then what stands out in time is limited, so that no
click or crackle does.  Of what is left, the cross-correlation of unrelated recordings is close to Gaussian at every
lag whatever they hold, and its peak in units of its own deviation has nearly the same distribution for speech, music
and noise: that is the ``strength``.  A waveform that was made anew (a vocoder, a denoiser of magnitudes) has lost what
this sees; the changes of its band levels have not, and are correlated beside it: the ``envelope``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from resound.dsp.alignment import vertex
from resound.dsp.spectral import hann

MAX_SHIFT_SECONDS = 1.0
SHORTEST_SECONDS = 0.05  # what is shorter says nothing
N_SMOOTHED = 65  # bins of the spectra that whiten
FLOOR = 1e-8  # of the strongest power: below it nothing is whitened
LIMIT = 3.0  # times the level of a usual frame
LIMIT_FRAME_SECONDS = 0.02
LOBE_SECONDS = 0.005  # around a peak that belong to it
NEAR_SECONDS = 0.002  # around no shift at all
HOP_SECONDS = 0.01
N_BANDS = 20
BAND_RANGE_HZ = (100.0, 7000.0)
CHANGE_FRAMES = 3  # over which a band's change of level is taken
ACTIVE_DB = 40.0  # below its loudest frame a recording says nothing
GAIN_EDGES_HZ = (200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)


@dataclass(frozen=True)
class Likeness:
    """What two sounds have in common."""

    strength: float  # of the highest peak of the correlation, in its deviations: about 4.5 by chance, seldom above 7
    lag_seconds: float  # of that peak: by how much the second is later
    at_zero: float  # of the highest peak within 2 ms of no shift: about 2.5 by chance, seldom above 4.5
    is_inverted: bool
    envelope: float  # correlation of band levels times the root of the length in seconds: seldom above 0.4 by chance
    envelope_lag_seconds: float
    active_seconds: float  # in which the first sounds
    n_degrees: float  # how many independent frequencies the first has
    curve: NDArray[np.float32]  # the highest strength in each ms of shift, from the most negative


@dataclass(frozen=True)
class Gain:
    """The second against the first, once they lie on each other."""

    gain_db: float  # of the part that they have in common
    bands_db: tuple[float, ...]  # the same between `GAIN_EDGES_HZ`; NaN where there is nothing to tell it by
    snr_db: float  # of that part against all else in the second


class Side:
    """One of two sounds with what is needed more than once."""

    def __init__(self, samples: NDArray, sample_rate: int) -> None:
        """Prepare ``(time,)``."""
        self.sample_rate = sample_rate
        self.samples = samples - samples.mean() if len(samples) else samples
        self.n_fft = scipy.fft.next_fast_len(len(samples) + round(MAX_SHIFT_SECONDS * sample_rate), real=True)
        self.spectrum = scipy.fft.rfft(self.samples, self.n_fft)
        self.flattened = scipy.fft.rfft(self._limited(self._white()), self.n_fft)
        self.changes = self._level_changes()

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.samples) / self.sample_rate

    def _white(self) -> NDArray:
        """Return ``(time,)`` with all frequencies equally strong."""
        power = _smoothed(np.square(self.spectrum.real) + np.square(self.spectrum.imag))
        floor = FLOOR * power.max() + np.finfo(np.float64).tiny
        return scipy.fft.irfft(self.spectrum / np.sqrt(np.maximum(power, floor)), self.n_fft)[: len(self.samples)]

    def _limited(self, white: NDArray) -> NDArray:
        """Return ``(time,)`` in which nothing stands out of the level of a usual frame."""
        length = max(1, round(LIMIT_FRAME_SECONDS * self.sample_rate))
        frames = white[: len(white) // length * length].reshape(-1, length)
        if not len(frames):
            return white
        usual = np.median(np.sqrt(np.mean(np.square(frames), axis=1)))
        most = LIMIT * max(usual, 0.3 * np.sqrt(np.mean(np.square(white))))
        return np.clip(white, -most, most)

    def _level_changes(self) -> NDArray:
        """Return how the level of each band changes, ``(frame, band)``, each band about as strong."""
        hop = round(HOP_SECONDS * self.sample_rate)
        length = 2 * round(0.016 * self.sample_rate)
        padded = np.pad(self.samples, length // 2)
        frames = sliding_window_view(padded, length)[::hop]
        spectra = scipy.fft.rfft(frames * hann(length), axis=1)
        power = np.square(spectra.real) + np.square(spectra.imag)
        edges = _band_edges(self.sample_rate, length)
        bands = np.add.reduceat(power, edges[:-1], axis=1)
        levels = np.log(bands + 1e-6 * bands.max() + 1e-30)
        changes = levels[CHANGE_FRAMES:] - levels[:-CHANGE_FRAMES]
        if not len(changes):
            return np.zeros((0, len(edges) - 1))
        changes -= changes.mean(axis=0)
        spread = changes.std(axis=0) + 1e-6
        return changes / np.maximum(spread, 0.3 * np.median(spread))

    def active_seconds(self) -> float:
        """Return for how long this sounds: frames of 20 ms within 40 dB of the loudest."""
        length = max(1, round(LIMIT_FRAME_SECONDS * self.sample_rate))
        frames = self.samples[: len(self.samples) // length * length].reshape(-1, length)
        power = np.mean(np.square(frames), axis=1)
        if not len(power) or power.max() <= 0:
            return 0.0
        return float(np.count_nonzero(power > power.max() * 10 ** (-ACTIVE_DB / 10)) * LIMIT_FRAME_SECONDS)

    def n_degrees(self) -> float:
        """Return how many independent frequencies there are: few for a steady tone, which is alike at many shifts."""
        power = np.square(self.spectrum.real) + np.square(self.spectrum.imag)
        magnitude = np.sqrt(power)
        return float(
            magnitude.sum() ** 2 / max(power.sum(), np.finfo(np.float64).tiny) * len(self.samples) / self.n_fft
        )


def likeness(clean: Side, degraded: Side) -> Likeness | None:
    """Return what two sounds of one rate have in common; None where they are too short or one is silent.

    Shifts of up to a second are looked for, and of no more than half of the shorter sound.
    """
    rate = clean.sample_rate
    shortest = min(clean.seconds, degraded.seconds)
    if shortest < SHORTEST_SECONDS or not (clean.samples.any() and degraded.samples.any()):
        return None
    furthest = round(min(MAX_SHIFT_SECONDS, shortest / 2) * rate)
    strengths = _strengths(clean, degraded, furthest)
    magnitude = np.abs(strengths)
    peak = int(magnitude.argmax())
    is_inside = 0 < peak < len(magnitude) - 1
    fraction = vertex(magnitude[peak - 1 : peak + 2]) if is_inside else 0.0
    near = round(NEAR_SECONDS * rate)
    envelope, envelope_lag = _envelope_likeness(clean, degraded, furthest)
    return Likeness(
        strength=float(magnitude[peak]),
        lag_seconds=(peak - furthest + fraction) / rate,
        at_zero=float(magnitude[furthest - near : furthest + near + 1].max()),
        is_inverted=bool(strengths[peak] < 0),
        envelope=envelope * float(np.sqrt(shortest)),
        envelope_lag_seconds=envelope_lag,
        active_seconds=clean.active_seconds(),
        n_degrees=clean.n_degrees(),
        curve=_highest_per_ms(magnitude, rate),
    )


def strength_between(one: Side, other: Side) -> float:
    """Return the highest peak of the correlation alone, at any shift up to a second."""
    shortest = min(one.seconds, other.seconds)
    if shortest < SHORTEST_SECONDS or not (one.samples.any() and other.samples.any()):
        return 0.0
    furthest = round(min(MAX_SHIFT_SECONDS, shortest / 2) * one.sample_rate)
    return float(np.abs(_strengths(one, other, furthest)).max())


def gain_between(clean: Side, degraded: Side, lag_seconds: float) -> Gain:
    """Return how the second's part that is the first compares with it, after moving it earlier by a lag."""
    n_fft = max(clean.n_fft, degraded.n_fft)
    one = clean.spectrum if clean.n_fft == n_fft else scipy.fft.rfft(clean.samples, n_fft)
    two = degraded.spectrum if degraded.n_fft == n_fft else scipy.fft.rfft(degraded.samples, n_fft)
    frequencies = np.arange(len(one)) * (clean.sample_rate / n_fft)
    cross = (one.conj() * two * np.exp(2j * np.pi * frequencies * lag_seconds)).real
    power = np.square(one.real) + np.square(one.imag)
    tiny = np.finfo(np.float64).tiny
    bands = []
    for low, high in pairwise(GAIN_EDGES_HZ):
        inside = (frequencies >= low) & (frequencies < high)
        is_there = inside.any() and power[inside].sum() > 1e-4 * power.sum()
        bands.append(_db(abs(cross[inside].sum()) / (power[inside].sum() + tiny)) if is_there else float("nan"))
    gain = abs(cross.sum()) / (power.sum() + tiny)
    all_of_it = np.sum(np.square(two.real) + np.square(two.imag))
    common = gain**2 * power.sum()
    return Gain(_db(gain), tuple(bands), _db(np.sqrt(common / max(all_of_it - common, 1e-12 * all_of_it + tiny))))


def _strengths(clean: Side, degraded: Side, furthest: int) -> NDArray:
    """Return the correlation at lags ``-furthest`` to ``furthest`` in units of its own deviation away from its peak."""
    n_fft = max(clean.n_fft, degraded.n_fft)
    one, two = (
        side.flattened if side.n_fft == n_fft else scipy.fft.rfft(scipy.fft.irfft(side.flattened, side.n_fft), n_fft)
        for side in (clean, degraded)
    )
    correlation = scipy.fft.irfft(one.conj() * two, n_fft)
    correlation = np.concatenate([correlation[-furthest:] if furthest else [], correlation[: furthest + 1]])
    lobe = round(LOBE_SECONDS * clean.sample_rate)
    away = np.abs(np.arange(len(correlation)) - np.abs(correlation).argmax()) > lobe
    deviation = np.sqrt(np.mean(np.square(correlation[away]))) if away.any() else np.inf
    return correlation / max(deviation, np.finfo(np.float64).tiny)


def _envelope_likeness(clean: Side, degraded: Side, furthest: int) -> tuple[float, float]:
    """Return the highest correlation of the changes of level, and its lag in seconds."""
    n_frames = min(len(clean.changes), len(degraded.changes))
    if n_frames < 2:
        return 0.0, 0.0
    one, two = clean.changes[:n_frames], degraded.changes[:n_frames]
    most = min(round(furthest / clean.sample_rate / HOP_SECONDS), n_frames - 1)
    n_fft = scipy.fft.next_fast_len(n_frames + most + 1, real=True)
    spectra = [scipy.fft.rfft(side, n_fft, axis=0) for side in (one, two)]
    products = scipy.fft.irfft((spectra[0].conj() * spectra[1]).sum(axis=1), n_fft)
    products = np.concatenate([products[-most:] if most else [], products[: most + 1]])
    lags = np.arange(-most, most + 1)
    # Divided by the energies of what overlaps, and weighted by how much does.
    first, last = np.maximum(0, -lags), n_frames - np.maximum(0, lags)
    energies = [np.concatenate([[0], np.cumsum(np.square(side).sum(axis=1))]) for side in (one, two)]
    both = (energies[0][last] - energies[0][first]) * (energies[1][last + lags] - energies[1][first + lags])
    correlation = products / (np.sqrt(np.maximum(both, 0)) + 1e-9) * np.sqrt((last - first) / n_frames)
    peak = int(correlation.argmax())
    return float(correlation[peak]), float(lags[peak] * HOP_SECONDS)


def _band_edges(sample_rate: int, length: int) -> NDArray[np.int64]:
    """Return the bins between which bands lie, evenly on the mel scale."""
    highest = min(BAND_RANGE_HZ[1], 0.45 * sample_rate)
    low, high = 2595 * np.log10(1 + np.array([BAND_RANGE_HZ[0], highest]) / 700)
    mels = np.linspace(low, high, N_BANDS + 1)
    return np.unique(np.round(700 * (10 ** (mels / 2595) - 1) * length / sample_rate).astype(int))


def _smoothed(power: NDArray) -> NDArray:
    half = N_SMOOTHED // 2
    sums = np.cumsum(np.pad(power, (half + 1, half), mode="edge"))
    return np.maximum(sums[N_SMOOTHED:] - sums[:-N_SMOOTHED], 0) / N_SMOOTHED


def _highest_per_ms(magnitude: NDArray, sample_rate: int) -> NDArray[np.float32]:
    """Return the highest value in each ms, the middle of ``magnitude`` in the middle of a ms."""
    furthest = len(magnitude) // 2
    n_ms = int(furthest / sample_rate * 1000)
    edges = furthest + np.round((np.arange(-n_ms, n_ms + 1) - 0.5) * sample_rate / 1000).astype(int)
    return np.maximum.reduceat(magnitude, np.maximum(edges, 0)).astype(np.float32)


def _db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-10)))
