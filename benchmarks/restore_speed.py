"""How fast the default restoration is on one core, by stage and beside others; how fast it starts; how it scales.

Times are medians of several runs, taken in turn (ours, theirs, ours, ...), so that what else the machine does falls on
all.  "of real time": seconds of processor time (which other programs hardly disturb) per second of sound; 0.10 is ten
times as fast as it plays.  Starting and ``--jobs`` are wall time: judge them on a machine that does nothing else.  The
sound is made here: speech-like bursts over hiss with clicks and hum, so that every stage has work.

    python benchmarks/restore_speed.py
    python benchmarks/restore_speed.py --seconds 120 --runs 5
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import (
    ffmpeg_method,
    machine,
    noisereduce_method,
    parser_for,
    print_table,
    processor_seconds,
    resound_classic,
)  # keeps numpy to one thread: first

# isort: split
import numpy as np
from numpy.typing import NDArray

FORBIDDEN = ("torch", "scipy.signal", "av", "onnxruntime")
LEAST_SCALING, MOST_OF_REAL_TIME, MOST_HELP_SECONDS, MOST_IMPORT_SECONDS = 1.7, 0.10, 0.4, 0.5


def worn_sound(seconds: float, sample_rate: int, *, n_channels: int = 1, seed: int = 78) -> NDArray:
    """Return sound with bursts, pauses, hiss, hum and 10 clicks a second, ``(channel, time)``."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * sample_rate)
    time_seconds = np.arange(n_samples) / sample_rate
    pitch_hz = 120 + 30 * np.sin(2 * np.pi * 0.3 * time_seconds)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate
    voice = sum(np.sin(n * phase) / n for n in range(1, 20)) * (np.sin(2 * np.pi * 0.7 * time_seconds) > -0.3)
    hum = sum(np.sin(2 * np.pi * 50 * n * time_seconds) / n for n in (1, 2, 3, 4))
    channels = []
    for _ in range(n_channels):
        samples = 0.1 * voice + 0.01 * hum + 0.005 * rng.standard_normal(n_samples)
        for start in rng.integers(0, n_samples - 50, round(10 * seconds)):
            samples[start : start + 20] += rng.uniform(0.1, 0.4) * rng.standard_normal(20)
        channels.append(samples)
    return np.stack(channels)


def median_times(
    works: dict[str, Callable[[], object]], runs: int, clock: Callable[[], float] = processor_seconds
) -> dict[str, float]:
    """Return the median time of each piece of work in seconds, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            start = clock()
            work()
            taken[name].append(clock() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def show_chain(seconds: float, runs: int) -> None:
    """Print the real-time factors of the chain and its stages."""
    import resound
    from resound.classic.chain import ClassicConfig

    rows = []
    for sample_rate, n_channels in ((16_000, 1), (44_100, 1), (48_000, 1), (48_000, 2)):
        sound = worn_sound(seconds, sample_rate, n_channels=n_channels)
        whole = ClassicConfig()
        configs = {"chain": whole} | {name: whole.with_stages(only=[name]) for name in whole.order}
        works = {
            name: lambda config=config, sound=sound, rate=sample_rate: resound.restore(
                sound, rate, "classic", config=config
            )
            for name, config in configs.items()
        }
        times = median_times(works, runs)
        rows.append((f"{sample_rate} Hz, {n_channels} ch.", *(f"{times[name] / seconds:.3f}" for name in configs)))
    print(f"### Time on one core, of real time (at most {MOST_OF_REAL_TIME} is wanted for 48 kHz mono)\n")
    print_table(("sound", "whole chain", "declick", "dehum", "dehiss"), rows)


def show_beside(seconds: float, runs: int) -> None:
    """Print the times of others on the same mono sound at 48 kHz."""
    import shutil

    sound, sample_rate = worn_sound(seconds, 48_000)[0], 48_000
    methods = {
        "resound, whole chain": resound_classic,
        "noisereduce, stationary": noisereduce_method(stationary=True),
        "noisereduce, non-stationary": noisereduce_method(stationary=False),
    }
    if shutil.which("ffmpeg"):
        methods["ffmpeg adeclick"] = ffmpeg_method("adeclick")
        methods["ffmpeg afftdn"] = ffmpeg_method("afftdn")
        methods["ffmpeg adeclick, afftdn"] = ffmpeg_method("adeclick,afftdn")
    works = {}
    for name, method in methods.items():
        try:
            method(sound[:sample_rate], sample_rate)  # imports are no part of the time
        except ImportError as error:
            print(f"{name} left out: {error}; pip install '.[bench]'", file=sys.stderr)
            continue
        works[name] = lambda method=method: method(sound, sample_rate)
    times = median_times(works, runs)
    ours = times["resound, whole chain"]
    print("### Beside others, 48 kHz mono, one core\n")
    print_table(
        ("", "of real time", "times ours"), [(n, f"{t / seconds:.3f}", f"{t / ours:.2f}") for n, t in times.items()]
    )


def show_jobs(seconds: float, n_files: int, runs: int) -> None:
    """Print how much faster two jobs are than one, as whole commands over a folder."""
    import soundfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for number in range(n_files):
            sound = worn_sound(seconds, 48_000, seed=number)
            soundfile.write(folder / f"{number}.wav", sound.T, 48_000, subtype="PCM_16")

        def restore(jobs: int) -> None:
            command = [*RESOUND, "restore", str(folder), "--model", "classic", "-o", f"{name}/out{jobs}"]
            command += ["--jobs", str(jobs), "--overwrite"]
            subprocess.run(command, check=True, capture_output=True)

        times = median_times({"1": lambda: restore(1), "2": lambda: restore(2)}, runs, time.perf_counter)
    print(
        f"### `--jobs` over {n_files} files of {seconds:g} s (at least {LEAST_SCALING} is wanted on two free cores)\n"
    )
    rows = [(jobs, f"{taken:.1f}", f"{times['1'] / taken:.2f}") for jobs, taken in times.items()]
    print_table(("jobs", "seconds", "times faster"), rows)


RESOUND = [sys.executable, "-c", "from resound.cli.main import main; main()"]
LOADED = "import sys, json; {}; print(json.dumps([m for m in {} if m in sys.modules]))"


def show_start(runs: int) -> None:
    """Print how long starting takes, and what it imports that it should not."""
    works: dict[str, list[str]] = {
        "`python -c pass`": [sys.executable, "-c", "pass"],
        "`python -c 'import resound'`": [sys.executable, "-c", "import resound"],
        "`resound --help`": [*RESOUND, "--help"],
        "`resound restore --help`": [*RESOUND, "restore", "--help"],
    }
    times = median_times(
        {name: lambda w=work: subprocess.run(w, check=True, capture_output=True) for name, work in works.items()},
        max(5, runs),
        time.perf_counter,
    )
    loads = {
        "`python -c 'import resound'`": "import resound",
        "`resound --help`": "import resound.cli.main",
        "`resound restore --help`": "import resound.cli.main",
    }
    rows = []
    for name, taken in times.items():
        found = ""
        if name in loads:
            code = LOADED.format(loads[name], FORBIDDEN)
            output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
            found = ", ".join(json.loads(output)) or "none"
        rows.append((name, f"{taken:.2f}", found))
    print(
        f"### Start (at most {MOST_HELP_SECONDS} s for `resound --help`, {MOST_IMPORT_SECONDS} s for `import resound`; "
        f"none of {', '.join(FORBIDDEN)})\n"
    )
    print_table(("", "seconds, Python's own start included", "heavy modules imported"), rows)


def main() -> None:
    """Print the tables."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--seconds", type=float, default=60.0, help="of sound (60)")
    parser.add_argument("--files", type=int, default=8, help="in the folder for --jobs (8)")
    parser.add_argument("--folder-seconds", type=float, default=120.0, help="length of each of those files (120)")
    parser.add_argument("--runs", type=int, default=3, help="of which the median is told (3)")
    arguments = parser.parse_args()
    print(f"{machine()}.  {arguments.seconds:g} s of sound, medians of {arguments.runs} runs.\n")
    show_start(arguments.runs)
    show_chain(arguments.seconds, arguments.runs)
    show_beside(arguments.seconds, arguments.runs)
    show_jobs(arguments.folder_seconds, arguments.files, arguments.runs)


if __name__ == "__main__":
    main()
