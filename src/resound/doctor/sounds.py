"""What one file holds, measured once: the facts that the checks of files look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.audio.files import open_reader
from resound.audio.segments import resample
from resound.dsp.active import active_speech_power
from resound.dsp.bandwidth import bandwidth_hz
from resound.errors import InputError
from resound.metrics import frame_powers, pause_frames

Audio = NDArray[np.float32]
READ_SECONDS = 20.0  # at most, out of the middle
ANALYSIS_HZ = 16_000  # to which what is faster is brought for comparing
NEAR_PEAK = 0.9995  # of the highest sample: what stays up there for several samples was cut off
FLAT_SAMPLES = 3
PAUSE_FRAMES = 12  # of 25 ms, in all
FAR_TOO_LOUD = 1000.0  # times full scale: whole numbers written as floats, or no sound at all


@dataclass(frozen=True)
class Measured:
    """What decoding tells."""

    rms_dbfs: float
    dc: float  # the mean, of full scale; of the channel with the largest
    flat_share: float  # of the samples that lie on a cut-off top
    n_dead_channels: int
    are_identical: bool  # all channels, where there are several
    bandwidth_hz: float
    pause_snr_db: float | None  # active level against the pauses'; None where there is no pause


@dataclass(frozen=True)
class FileFacts:
    """What is known of one file."""

    path: Path
    side: str  # clean or degraded
    fault: str | None = None  # why it cannot be used: "is empty (0 bytes)"
    sample_rate: int = 0
    n_samples: int = 0
    n_channels: int = 0
    measured: Measured | None = None  # of those that were decoded

    @property
    def seconds(self) -> float:
        """Length."""
        return self.n_samples / self.sample_rate if self.sample_rate else 0.0


def look_at_header(path: Path, side: str) -> FileFacts:
    """Return what a file's header says."""
    try:
        with open_reader(path) as reader:
            form, fault = reader.format, _fault(reader.warnings, path)
    except InputError as error:
        return FileFacts(path, side, _fault([str(error)], path))
    return FileFacts(path, side, fault, form.sample_rate, form.n_samples or 0, form.n_channels)


def look_at_file(
    path: Path, side: str, *, start_seconds: float | None = None, most_seconds: float = READ_SECONDS
) -> tuple[FileFacts, Audio]:
    """Return what a file holds, and some of it, ``(channel, time)``, out of the middle unless said where."""
    empty = np.zeros((1, 0), np.float32)
    header = look_at_header(path, side)
    if not header.n_samples and header.fault:
        return header, empty
    start = max(0.0, (header.seconds - most_seconds) / 2) if start_seconds is None else start_seconds
    try:
        with open_reader(path, start_seconds=start, duration_seconds=most_seconds) as reader:
            blocks = list(reader.blocks(1 << 18))
            fault = _fault(reader.warnings, path)
    except InputError as error:
        return FileFacts(path, side, _fault([str(error)], path), header.sample_rate), empty
    audio = np.concatenate(blocks, axis=1).astype(np.float32) if blocks else empty
    n_samples = header.n_samples or audio.shape[1]
    peak = float(np.abs(audio).max(initial=0.0))
    if peak > FAR_TOO_LOUD:
        fault = f"reaches {peak:.2g} times full scale (divide whole numbers by theirs)"
        return FileFacts(path, side, fault, header.sample_rate, n_samples, len(audio)), empty
    measured = measure(audio, header.sample_rate) if audio.shape[1] else None
    return FileFacts(path, side, fault, header.sample_rate, n_samples, len(audio), measured), audio


def measure(audio: Audio, sample_rate: int) -> Measured:
    """Return what ``(channel, time)`` is like."""
    power = np.mean(np.square(audio, dtype=np.float64), axis=1)
    peaks = np.abs(audio).max(axis=1)
    return Measured(
        rms_dbfs=10 * float(np.log10(power.mean() + 1e-20)),
        dc=float(np.abs(audio.mean(axis=1, dtype=np.float64)).max()),
        flat_share=max(flat_share(channel) for channel in audio),
        n_dead_channels=int(np.count_nonzero(peaks <= 1e-4 * peaks.max())) if peaks.max() > 0 else 0,
        are_identical=len(audio) > 1 and bool(np.all(audio == audio[:1])),
        bandwidth_hz=bandwidth_hz(audio, sample_rate),
        pause_snr_db=pause_snr_db(mono(audio), sample_rate),
    )


def flat_share(samples: NDArray) -> float:
    """Return the share of ``(time,)`` that lies on tops which were cut off: several samples in a row at the peak."""
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    if peak <= 0:
        return 0.0
    is_high = np.abs(samples) >= NEAR_PEAK * peak
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_high.astype(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= FLAT_SAMPLES].sum() / len(samples))


def pause_snr_db(samples: NDArray, sample_rate: int) -> float | None:
    """Return the active level of ``(time,)`` (P.56) above that of its pauses; None where there is none."""
    quiet, active = pause_frames(samples, sample_rate)
    if quiet.sum() < PAUSE_FRAMES or not active.any():
        return None
    floor = float(frame_powers(samples, sample_rate)[quiet].mean())
    level = active_speech_power(samples, sample_rate)
    return float(10 * np.log10(max(level - floor, 1e-20) / max(floor, 1e-20)))


def mono(audio: Audio) -> NDArray[np.float32]:
    """Return ``(time,)``: the mean of the channels, or the first where they cancel each other."""
    if len(audio) == 1:
        return audio[0]
    mixed = audio.mean(axis=0)
    return audio[0] if np.mean(np.square(mixed)) < 0.01 * np.mean(np.square(audio)) else mixed


def for_comparing(audio: Audio, sample_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Return ``(time,)`` at the rate at which two sides are compared."""
    return resample(mono(audio)[None], sample_rate, to_rate)[0]


def _fault(warnings: list[str], path: Path) -> str | None:
    return warnings[0].removeprefix(f"{path}: ").partition("; ")[0] if warnings else None
