"""How often OUT05 sees seams where there are none, and how small a seam it finds.

Real recordings (speech, music, old ones; up to a minute each), with white noise on half of them, are denoised by the
classic chain and by noisereduce: neither leaves seams, so each period found is a false alarm.  Then the same outputs
are cut in chunks of a length drawn from 0.5 to 8 s, of which each gets a gain of its own, as where each is normalised
by itself; the gains of neighbours differ by the step on average.  Judged are single recordings and sets of four.

* right period: of what was found, the length of a chunk to 2 %, or a whole multiple of it.

    python benchmarks/doctor_seams.py --data ../shared/data
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common import machine, manifest, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import noisereduce
import numpy as np
from numpy.typing import NDArray

from resound import restore
from resound.audio.segments import read_excerpt
from resound.doctor.output_settings import OutputThresholds
from resound.doctor.seams import Jumps, Seams, find_seams, jumps_of

RATE, LONGEST_SECONDS, SHORTEST_SECONDS = 16_000, 60.0, 8.0
FOLDERS = ("speech", "music", "vintage")
STEPS_DB = (1.0, 2.0, 3.0, 6.0)
SIZES = (1, 4)


class Restored(NamedTuple):
    """A recording and what a tool made of it, ``(time,)`` each."""

    degraded: NDArray
    enhanced: NDArray


def restored(data: Path, n: int, rng: np.random.Generator) -> Iterator[Restored]:
    """Yield so many recordings, drawn from each folder in turn, by turns restored by one tool and the other."""
    rows = manifest(data)
    by_folder = {name: [row["path"] for row in rows if row["path"].startswith(f"{name}/")] for name in FOLDERS}
    made = 0
    while made < n:
        paths = by_folder[FOLDERS[made % len(FOLDERS)]]
        samples = read_excerpt(data / paths[rng.integers(len(paths))], RATE, n_samples=round(LONGEST_SECONDS * RATE))
        samples = samples.mean(axis=0).astype(float)
        if len(samples) < SHORTEST_SECONDS * RATE or not samples.any():
            continue
        if rng.random() < 0.5:
            noise_db = rng.uniform(0, 20)
            samples += rng.standard_normal(len(samples)) * samples.std() * 10 ** (-noise_db / 20)
        yield Restored(samples, _denoised(samples, made // len(FOLDERS) % 2 == 0))
        made += 1


def _denoised(samples: NDArray, by_classic: bool) -> NDArray:
    if by_classic:
        return np.asarray(restore(samples, RATE), float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(noisereduce.reduce_noise(y=samples, sr=RATE), float)


def in_chunks(samples: NDArray, chunk_seconds: float, step_db: float, rng: np.random.Generator) -> NDArray:
    """Return the samples with a gain of its own for each chunk; neighbours differ by ``step_db`` on average."""
    length = round(chunk_seconds * RATE)
    # Two values drawn from a normal distribution differ by 2 / sqrt(pi) deviations on average.
    gains_db = rng.normal(0, step_db * np.sqrt(np.pi) / 2, -(-len(samples) // length))
    return samples * 10 ** (np.repeat(gains_db, length)[: len(samples)] / 20)


def is_told(found: Seams | None) -> bool:
    """Return whether OUT05 would be said of it."""
    limits = OutputThresholds()
    return found is not None and found.strength >= limits.seam_strength and found.jump_db >= limits.seam_jump_db


def is_right(found: Seams, chunk_seconds: float) -> bool:
    """Return whether the period is the chunk's, or a whole multiple of it."""
    times = found.period_seconds / chunk_seconds
    return round(times) >= 1 and abs(times / round(times) - 1) < 0.02


def row_of(step_db: float, size: int, recordings: list[Restored], rng: np.random.Generator) -> list[str]:
    """Return a row of the table: sets of ``size`` recordings with one chunk length each."""
    groups = [recordings[start : start + size] for start in range(0, len(recordings) - size + 1, size)]
    told, right = 0, 0
    for group in groups:
        chunk_seconds = float(rng.uniform(0.5, min(8.0, min(len(each.degraded) for each in group) / RATE / 4)))
        found = find_seams([_jumps(each, chunk_seconds, step_db, rng) for each in group])
        if is_told(found):
            assert found is not None
            told += 1
            right += is_right(found, chunk_seconds)
    share = f"{told} of {len(groups)}"
    return [
        f"{step_db:g} dB" if step_db else "none",
        str(size),
        share,
        f"{right} of {told}" if step_db and told else "",
    ]


def _jumps(each: Restored, chunk_seconds: float, step_db: float, rng: np.random.Generator) -> Jumps:
    enhanced = in_chunks(each.enhanced, chunk_seconds, step_db, rng) if step_db else each.enhanced
    return jumps_of(each.degraded, enhanced, RATE)


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--recordings", type=int, default=120)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    recordings = list(restored(arguments.data, arguments.recordings, rng))
    rows = [row_of(step_db, size, recordings, rng) for step_db in (0.0, *STEPS_DB) for size in SIZES]
    print(f"{machine()}; {len(recordings)} recordings\n")
    print_table(["step between chunks", "recordings", "seams told", "right period"], rows)


if __name__ == "__main__":
    main()
