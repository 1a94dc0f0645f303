"""What a network does to a recording of which no clean version exists, against what another one does to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import read_excerpt
from resound.dsp.alignment import find_delay
from resound.errors import one_line
from resound.inference.pipeline import restore
from resound.metrics import noise_and_active_change_db
from resound.models.network import Network

EXCERPT_SECONDS = 60.0
MOST_DELAY_SECONDS = 0.1
SURE = 0.3  # of a delay
MOST_LEVEL_CHANGE_DB = 1.5  # of what is active, in either direction
LEAST_NOISE_FALL_DB = 1.0  # less is as good as nothing
LESS_NOISE_FALL_DB = 1.0  # by which the noise may fall less than before
FULL_SCALE = 1.0


@dataclass(frozen=True)
class Effect:
    """What a network did to a recording; None where there is no pause, or nothing active, to measure it in."""

    noise_fall_db: float | None  # in pauses
    active_change_db: float | None  # of the level of what is active, the noise taken off
    delay_ms: float
    n_clipped: int  # samples at full scale that were not before


@dataclass(frozen=True)
class Heard:
    """A recording, and what both networks did to it."""

    recording: str
    before: Effect
    after: Effect

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Return it as a line."""
        name = one_line(Path(self.recording).name)
        if self.after.noise_fall_db is None or self.before.noise_fall_db is None:
            return f"{name}: has no pauses to measure its noise in"
        return (
            f"{name}: noise in pauses {-self.after.noise_fall_db:+.1f} dB (before {-self.before.noise_fall_db:+.1f}), "
            f"level of the rest {self.after.active_change_db:+.1f} dB (before {self.before.active_change_db:+.1f})"
        )


def hear(path: Path, before: Path, after: Path, network: Network) -> Heard:
    """Return what the models of two folders do to the beginning of a recording; ``network`` is one of them.

    Raises `InputError`.
    """
    rate = network.sample_rate
    samples = read_excerpt(path, rate, n_samples=round(EXCERPT_SECONDS * rate)).mean(axis=0)
    fed = np.repeat(samples[None], network.config.n_channels, axis=0)
    outputs = [restore(fed, rate, str(folder.absolute())).mean(axis=0) for folder in (before, after)]
    return Heard(str(path), *(effect_of(samples, output, rate) for output in outputs))


def effect_of(samples: NDArray, output: NDArray, sample_rate: int) -> Effect:
    """Return what changed between ``(time,)`` recordings."""
    changed = noise_and_active_change_db(samples.astype(np.float64), output.astype(np.float64), sample_rate)
    delay = find_delay(samples, output, round(MOST_DELAY_SECONDS * sample_rate))
    n_clipped = int(np.sum((np.abs(output) >= FULL_SCALE) & (np.abs(samples) < FULL_SCALE)))
    late_ms = 1000 * delay.samples / sample_rate if delay.confidence > SURE else 0.0
    fall_db, change_db = changed or (None, None)
    return Effect(fall_db, change_db, late_ms, n_clipped)


def faults_of(heard: Heard) -> list[str]:
    """Return what speaks against the new network, each as a line; what was as bad before does not."""
    name, before, after = one_line(Path(heard.recording).name), heard.before, heard.after
    faults = []
    if after.delay_ms != before.delay_ms:
        faults.append(f"{name}: comes out {after.delay_ms:.1f} ms late, before {before.delay_ms:.1f}")
    if after.n_clipped > before.n_clipped:
        faults.append(f"{name}: {after.n_clipped} samples clip, before {before.n_clipped}")
    if after.active_change_db is not None and before.active_change_db is not None:
        worst = max(MOST_LEVEL_CHANGE_DB, abs(before.active_change_db))
        if abs(after.active_change_db) > worst:
            faults.append(
                f"{name}: what is no noise changes by {after.active_change_db:+.1f} dB, before "
                f"{before.active_change_db:+.1f}"
            )
    if after.noise_fall_db is not None and before.noise_fall_db is not None:
        least = max(LEAST_NOISE_FALL_DB, before.noise_fall_db - LESS_NOISE_FALL_DB)
        if after.noise_fall_db < least:
            faults.append(
                f"{name}: the noise in pauses falls by {after.noise_fall_db:.1f} dB, before {before.noise_fall_db:.1f}"
            )
    return faults
