"""How long `resound doctor data` and `doctor output` take for 2,000 pairs of 4 s at 16 kHz, and where all are decoded.

The files are made here: 40 speech-like recordings, each cut at places of its own, with white noise, as 16-bit WAV; the
outputs have less of the noise.  Processor time is that of all processes; what else the machine does makes the time on
the clock longer, not that.  What the goal of 60 s on two cores is held against is the clock where the machine is idle,
half of the processor time where it is not.

    python benchmarks/doctor_speed.py
    python benchmarks/doctor_speed.py --pairs 500 --jobs 1
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import numpy as np
import soundfile
from restore_speed import worn_sound

RATE, SECONDS, N_SOUNDS = 16_000, 4.0, 40


def write_pairs(folder: Path, n_pairs: int) -> None:
    """Write three folders of files."""
    length = round(SECONDS * RATE)
    whole = np.concatenate([worn_sound(12.0, RATE, seed=seed)[0] for seed in range(N_SOUNDS)])
    rng = np.random.default_rng(0)
    for side in ("clean", "noisy", "restored"):
        (folder / side).mkdir()
    for number in range(n_pairs):
        start = int(rng.integers(0, len(whole) - length))
        clean = 0.2 * whole[start : start + length] / np.abs(whole).max()
        noise = 0.01 * rng.standard_normal(length)
        for side, samples in (("clean", clean), ("noisy", clean + noise), ("restored", clean + 0.3 * noise)):
            soundfile.write(folder / side / f"{number:05d}.wav", samples, RATE, subtype="PCM_16")


def timed(folder: Path, jobs: int, subject: str, *words: str) -> tuple[float, float, str]:
    """Return seconds on the clock and of processors, and the last line that was said."""
    command = [sys.executable, "-c", "from resound.cli.main import main; main()", "doctor", subject]
    command += ["--enhanced", str(folder / "restored")] if subject == "output" else []
    command += ["--clean", str(folder / "clean"), "--degraded", str(folder / "noisy"), "-j", str(jobs), *words]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used, told.strip().splitlines()[-1]


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder, arguments.pairs)
        all_of_them = ("--set", f"n_files={arguments.pairs}")
        choices = {"a sample (the default)": (), "every pair": all_of_them}
        for subject, (what, words) in itertools.product(("data", "output"), choices.items()):
            clock, used, told = timed(folder, arguments.jobs, subject, *words)
            rows.append([subject, what, f"{clock:.1f} s", f"{used:.1f} s", told])
    print(f"{machine()}; {arguments.pairs} pairs of {SECONDS:g} s at {RATE} Hz, {arguments.jobs} processes\n")
    print_table(["doctor", "decoded", "clock", "processors", "said"], rows)


if __name__ == "__main__":
    main()
