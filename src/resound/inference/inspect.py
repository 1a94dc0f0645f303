"""What a recording is like: its format, level, noise, bandwidth, hum and clicks, measured in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from resound.audio.files import open_reader
from resound.audio.formats import BITS, Format
from resound.classic.declick import Declick
from resound.classic.dehum import WORKING_RATE, DehumConfig, find_comb, held_lines
from resound.dsp.levels import LevelMeter
from resound.dsp.spectral import frame_length_for, hann, stft
from resound.errors import InputError
from resound.inference.offline import SAMPLE_RATES
from resound.metrics import frame_powers

BLOCK_SECONDS = 20.0
BANDWIDTH_DROP_DB = 70.0  # below the strongest third of an octave
PROGRESS = Callable[[float, "float | None"], None]


@dataclass(frozen=True)
class Inspection:
    """What `inspect_recording` found.  Levels are None for silence."""

    path: str
    container: str
    codec: str
    sample_rate: int
    n_channels: int
    bit_depth: int | None
    bit_rate: int | None
    lossless: bool
    n_samples: int
    duration_seconds: float
    loudness_lufs: float | None
    peak_dbfs: float | None
    rms_dbfs: float | None
    n_full_scale: int
    noise_floor_dbfs: float | None
    bandwidth_hz: int | None
    hum_hz: float | None
    hum_harmonics: list[int]
    clicks_per_second: float
    audio_md5: str
    warnings: list[str]

    def as_dict(self) -> dict[str, object]:
        """Return the findings as a JSON-able mapping."""
        return asdict(self)


def inspect_recording(
    path: str | Path, *, audio_track: int | None = None, progress: PROGRESS | None = None
) -> Inspection:
    """Return what a recording is like.  Raises `InputError`."""
    with open_reader(path, audio_track=audio_track) as reader:
        form = reader.format
        survey = Survey(form)
        expected = form.duration_seconds
        for block in reader.blocks(max(1, round(BLOCK_SECONDS * form.sample_rate))):
            survey.add(block)
            if progress is not None:
                progress(survey.meter.n_samples / form.sample_rate, expected)
        if not survey.meter.n_samples:
            raise InputError(f"{path}: holds no samples; get another copy of the recording")
        return survey.result(Path(path), reader.audio_md5, list(dict.fromkeys(reader.warnings)))


class Survey:
    """Measurements that grow while blocks pass, in memory that hardly does (one number per 25 ms)."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self.meter = LevelMeter(form.sample_rate, form.n_channels)
        self._powers: list[NDArray] = []
        self._length = frame_length_for(form.sample_rate, 0.04)
        self._spectrum = np.zeros(self._length // 2 + 1)
        self._declick = Declick(form.sample_rate)
        self._n_clicks = 0
        self._combs: list[tuple[float, tuple[int, ...]] | None] = []

    def add(self, block: NDArray) -> None:
        """Measure the next ``(channel, time)`` block."""
        self.meter.add(block)
        mono = block.mean(axis=0) if len(block) > 1 else block[0]
        self._powers.append(frame_powers(mono, self.form.sample_rate))
        frames = stft(mono, self._length, self._length // 2, hann(self._length, np.float64))
        # Without those over the block's ends: to cut is to click, on all frequencies.
        n_inside = 2 * (len(mono) // self._length) - 1 if len(mono) >= self._length else 0
        self._spectrum += np.sum(np.abs(frames[1 : 1 + n_inside] if n_inside else frames) ** 2, axis=0)
        if self.form.sample_rate >= SAMPLE_RATES[0]:  # else nothing of what follows could be sound
            self._listen_for_damage(mono)

    def _listen_for_damage(self, mono: NDArray) -> None:
        """Count the clicks in ``(time,)``, and look for hum where it is long enough."""
        self._n_clicks += self._declick.count(mono)
        if len(mono) >= 8 * self.form.sample_rate and np.any(mono):
            rate = min(WORKING_RATE, self.form.sample_rate)
            slow = soxr.resample(mono, self.form.sample_rate, rate)[None]
            comb = find_comb(slow, rate, DehumConfig())
            comb = comb and held_lines(slow, comb, rate)
            self._combs.append((comb.fundamental_hz, comb.harmonics) if comb else None)

    def result(self, path: Path, audio_md5: str, warnings: list[str]) -> Inspection:
        """Return everything measured so far."""
        form, meter = self.form, self.meter
        hum = self._hum()
        seconds = meter.n_samples / form.sample_rate
        return Inspection(
            path=str(path),
            container=form.container,
            codec=form.codec,
            sample_rate=form.sample_rate,
            n_channels=form.n_channels,
            bit_depth=BITS[form.storage] if form.lossless else None,
            bit_rate=form.bit_rate,
            lossless=form.lossless,
            n_samples=meter.n_samples,
            duration_seconds=round(seconds, 6),
            loudness_lufs=_rounded(meter.loudness_lufs),
            peak_dbfs=_rounded(meter.peak_dbfs),
            rms_dbfs=_rounded(meter.rms_dbfs),
            n_full_scale=meter.n_full_scale,
            noise_floor_dbfs=_rounded(self._noise_floor_dbfs()),
            bandwidth_hz=self._bandwidth_hz(),
            hum_hz=round(hum[0], 2) if hum else None,
            hum_harmonics=list(hum[1]) if hum else [],
            clicks_per_second=round(self._n_clicks / seconds, 2),
            audio_md5=audio_md5,
            warnings=warnings,
        )

    def _noise_floor_dbfs(self) -> float | None:
        """Level of the quietest twentieth of the 25-ms frames, digital silence apart."""
        powers = np.concatenate(self._powers)
        powers = powers[powers > 1e-7 * powers.mean()] if powers.any() else powers[:0]
        return float(10 * np.log10(np.quantile(powers, 0.05))) if len(powers) else None

    def _bandwidth_hz(self) -> int | None:
        """Highest frequency whose sixth of an octave lies within `BANDWIDTH_DROP_DB` of the strongest."""
        if not self._spectrum.any():
            return None
        bins = np.arange(len(self._spectrum))
        low, high = np.floor(bins * 2 ** (-1 / 12)).astype(int), np.ceil(bins * 2 ** (1 / 12)).astype(int) + 1
        total = np.concatenate([[0.0], np.cumsum(self._spectrum)])
        high = np.minimum(high, len(bins))
        density = (total[high] - total[low]) / (high - low)
        strong = density > density[1:].max() * 10 ** (-BANDWIDTH_DROP_DB / 10)
        return round(float(np.flatnonzero(strong)[-1] * self.form.sample_rate / self._length))

    def _hum(self) -> tuple[float, tuple[int, ...]] | None:
        """Hum found in at least half of the blocks: its median frequency, and the harmonics of the block nearest it."""
        found = [comb for comb in self._combs if comb is not None]
        if not found or 2 * len(found) < len(self._combs):
            return None
        middle = float(np.median([frequency for frequency, _ in found]))
        return min(found, key=lambda comb: abs(comb[0] - middle))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
