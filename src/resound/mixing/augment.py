"""Augmentations: changes to a pair of clean and degraded sound that leave the task the same, each drawn then applied.

Unlike a degradation, an augmentation knows both sides.  `remix` works on a whole batch.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from resound.audio.segments import resample
from resound.degrade.spread import Spread, spread, within

Audio = NDArray[np.float32]
FADE_SECONDS = 0.002  # of a masked stretch: a hard edge would be a click


class Sides(NamedTuple):
    """Both sides of an example, ``(channel or source, time)``."""

    degraded: Audio
    clean: Audio


class Augmentation(BaseModel):
    """Ranges of one augmentation; `draw` gives plain JSON that `apply` replays."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    probability: float = Field(1.0, ge=0, le=1)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Return the parameters for one example."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name != "probability"}
        return {name: value.draw(rng) if isinstance(value, Spread) else value for name, value in values.items()}

    def n_samples_needed(self, n_samples: int, sample_rate: int, **params: Any) -> int:
        """Return how long an example to put in for ``n_samples`` to come out."""
        return n_samples

    @staticmethod
    def apply(sides: Sides, sample_rate: int, **params: Any) -> Sides:
        """Return both sides changed, their input untouched."""
        raise NotImplementedError


class Gain(Augmentation):
    """Another level, the same on both sides."""

    gain_db: Spread = spread(-6, 4)

    @staticmethod
    def apply(sides: Sides, sample_rate: int, *, gain_db: float) -> Sides:  # type: ignore[override]
        """Return both sides scaled."""
        gain = np.float32(10 ** (gain_db / 20))
        return Sides(gain * sides.degraded, gain * sides.clean)


class Polarity(Augmentation):
    """Both sides upside down; microphones and amplifiers differ in sign."""

    probability: float = Field(0.5, ge=0, le=1)

    @staticmethod
    def apply(sides: Sides, sample_rate: int) -> Sides:  # type: ignore[override]
        """Return both sides negated."""
        return Sides(-sides.degraded, -sides.clean)


class Shift(Augmentation):
    """Both sides begin later by the same amount: strides and frames must not be learnt by heart (Défossez 2020)."""

    shift_seconds: Annotated[Spread, within(0, 10)] = spread(0, 0.5)

    def n_samples_needed(self, n_samples: int, sample_rate: int, **params: Any) -> int:
        """Return the length and the shift together."""
        return n_samples + round(params["shift_seconds"] * sample_rate)

    @staticmethod
    def apply(sides: Sides, sample_rate: int, *, shift_seconds: float) -> Sides:  # type: ignore[override]
        """Return both sides without their first samples."""
        shift = round(shift_seconds * sample_rate)
        return Sides(sides.degraded[:, shift:], sides.clean[:, shift:])


class Speed(Augmentation):
    """Both sides faster or slower, pitch with it."""

    speed_percent: Annotated[Spread, within(50, 200)] = spread(95, 105)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Return a speed in steps of half a percent."""
        return {"speed_percent": round_speed(self.speed_percent.draw(rng))}

    def n_samples_needed(self, n_samples: int, sample_rate: int, **params: Any) -> int:
        """Return a length that still fills the example at that speed."""
        return int(np.ceil(n_samples * params["speed_percent"] / 100)) + 1

    @staticmethod
    def apply(sides: Sides, sample_rate: int, *, speed_percent: float) -> Sides:  # type: ignore[override]
        """Return both sides resampled; longer where slower."""
        return Sides(*(resample(side, speed_percent, 100) for side in sides))


class BandMask(Augmentation):
    """A band of frequencies taken out of both sides: what is missing in the input is not asked for (Défossez 2020)."""

    width: Annotated[Spread, within(0, 0.9)] = spread(0, 0.2)  # of the mel scale
    place: Annotated[Spread, within(0, 1)] = spread(0, 1)  # where it begins, in what is left of the scale

    @staticmethod
    def apply(sides: Sides, sample_rate: int, *, width: float, place: float) -> Sides:  # type: ignore[override]
        """Return both sides without the band."""
        low, high = _mel_band(width, place, sample_rate)
        return Sides(*(_without_band(side, sample_rate, low, high) for side in sides))


class FrequencyMask(Augmentation):
    """A band taken out of the degraded side alone, to be filled in (SpecAugment, Park et al. 2019)."""

    width: Annotated[Spread, within(0, 0.9)] = spread(0, 0.1)
    place: Annotated[Spread, within(0, 1)] = spread(0, 1)

    @staticmethod
    def apply(sides: Sides, sample_rate: int, *, width: float, place: float) -> Sides:  # type: ignore[override]
        """Return the degraded side without the band."""
        low, high = _mel_band(width, place, sample_rate)
        return Sides(_without_band(sides.degraded, sample_rate, low, high), sides.clean)


class TimeMask(Augmentation):
    """A stretch of the degraded side silenced, to be filled in (SpecAugment, Park et al. 2019)."""

    duration_seconds: Annotated[Spread, within(0, 10)] = spread(0, 0.05)
    place: Annotated[Spread, within(0, 1)] = spread(0, 1)

    @staticmethod
    def apply(sides: Sides, sample_rate: int, *, duration_seconds: float, place: float) -> Sides:  # type: ignore[override]
        """Return the degraded side with the stretch at zero, its edges faded."""
        n_samples = sides.degraded.shape[1]
        n_masked = min(round(duration_seconds * sample_rate), n_samples)
        start = round(place * (n_samples - n_masked))
        n_fade = min(round(FADE_SECONDS * sample_rate), n_masked // 2)
        window = np.zeros(n_masked)
        slope = 0.5 + 0.5 * np.cos(np.pi * (np.arange(n_fade) + 0.5) / max(1, n_fade))
        window[:n_fade], window[n_masked - n_fade :] = slope, slope[::-1]
        degraded = sides.degraded.copy()
        degraded[:, start : start + n_masked] *= window.astype(np.float32)
        return Sides(degraded, sides.clean)


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "gain": Gain,
    "polarity": Polarity,
    "shift": Shift,
    "speed": Speed,
    "band_mask": BandMask,
    "frequency_mask": FrequencyMask,
    "time_mask": TimeMask,
}
NAMES = {kind: name for name, kind in AUGMENTATIONS.items()}


def draw_augmentations(augmentations: tuple[Augmentation, ...], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return what the augmentations come to for one example, plain JSON."""
    return [
        {NAMES[type(item)]: item.draw(rng)}
        for item in augmentations
        if item.probability == 1 or rng.random() < item.probability
    ]


def samples_to_make(n_samples: int, sample_rate: int, drawn: list[dict[str, Any]]) -> int:
    """Return how long an example to make for ``n_samples`` to be left after the drawn augmentations."""
    for line in reversed(drawn):
        for name, params in line.items():
            n_samples = AUGMENTATIONS[name]().n_samples_needed(n_samples, sample_rate, **params)
    return n_samples


def apply_augmentations(sides: Sides, sample_rate: int, drawn: list[dict[str, Any]]) -> Sides:
    """Return both sides after each drawn augmentation in turn."""
    for line in drawn:
        for name, params in line.items():
            sides = AUGMENTATIONS[name].apply(sides, sample_rate, **params)
    return sides


def round_speed(speed_percent: float) -> float:
    """Return a speed to half a percent: resampling by such a ratio takes a third of the time of any other."""
    return round(2 * speed_percent) / 2


def remix(degraded: Audio, clean: Audio, rng: np.random.Generator) -> tuple[Audio, list[int]]:
    """Return a batch whose noises have changed places, and from which example each came.

    ``(batch, channel, time)`` twice; the noise is what clean and degraded differ by (Défossez et al. 2020).
    """
    order = rng.permutation(len(clean))
    return clean + (degraded - clean)[order], order.tolist()


def _mel_band(width: float, place: float, sample_rate: int) -> tuple[float, float]:
    """Return the ends in Hz of a band that takes ``width`` of the mel scale up to Nyquist."""
    top = np.log1p(sample_rate / 2 / 700)
    low = place * (1 - width) * top
    return float(700 * np.expm1(low)), float(700 * np.expm1(low + width * top))


def _without_band(audio: Audio, sample_rate: int, low_hz: float, high_hz: float) -> Audio:
    """Return ``(channel, time)`` without a band; its edges are 30 Hz wide, so that they do not ring for long."""
    n_samples = audio.shape[1]
    if high_hz <= low_hz or not n_samples:
        return audio
    n_fft = scipy.fft.next_fast_len(n_samples + round(sample_rate / 30), real=True)
    spectrum = scipy.fft.rfft(audio, n_fft, axis=1)
    frequencies_hz = np.arange(spectrum.shape[1]) * (sample_rate / n_fft)
    distance_hz = np.maximum(low_hz - frequencies_hz, frequencies_hz - high_hz)  # below 0 inside the band
    spectrum *= np.clip(distance_hz / 30 + 0.5, 0, 1).astype(np.float32)
    return scipy.fft.irfft(spectrum, n_fft, axis=1)[:, :n_samples]
