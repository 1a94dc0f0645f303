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
from resound.dsp.bandwidth import bandwidth_hz
from resound.dsp.levels import LevelMeter
from resound.errors import InputError
from resound.inference.offline import SAMPLE_RATES
from resound.metrics import frame_powers

BLOCK_SECONDS = 20.0
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
        self._bandwidths_hz: list[float] = []  # of each block, 0 where it is silent
        self._declick = Declick(form.sample_rate)
        self._n_clicks = 0
        self._combs: list[tuple[float, tuple[int, ...]] | None] = []

    def add(self, block: NDArray) -> None:
        """Measure the next ``(channel, time)`` block."""
        self.meter.add(block)
        mono = block.mean(axis=0) if len(block) > 1 else block[0]
        self._powers.append(frame_powers(mono, self.form.sample_rate))
        self._bandwidths_hz.append(bandwidth_hz(block, self.form.sample_rate))
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
        """Bandwidth of the widest tenth of the blocks: a song between speeches counts, a splice does not."""
        heard = [found for found in self._bandwidths_hz if found > 0]
        return round(float(np.quantile(heard, 0.9, method="higher"))) if heard else None

    def _hum(self) -> tuple[float, tuple[int, ...]] | None:
        """Hum found in at least half of the blocks: its median frequency, and the harmonics of the block nearest it."""
        found = [comb for comb in self._combs if comb is not None]
        if not found or 2 * len(found) < len(self._combs):
            return None
        middle = float(np.median([frequency for frequency, _ in found]))
        return min(found, key=lambda comb: abs(comb[0] - middle))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
