"""Examples per second of whole `resound prepare` commands, with one process and with two; and of checking a set again.

Segments of 3 s at 48 kHz through the whole `film-1960s` chain, clean and degraded side written as 24-bit FLAC, the
start of the program and the lists at the end included.  Runs with one and two processes take turns, the best of each
counts: whatever else the machine does makes a run slower, never faster.  CPU seconds are those of all processes of a
run; what two processes spend more than one is what they lose, on however busy a machine.

    python benchmarks/prepare_speed.py
    python benchmarks/prepare_speed.py --examples 200 --repeats 1        # sooner done
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from common import machine, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import soundfile
from restore_memory import SAMPLE_RATE, second_of_sound

from resound.corpora.manifest import Manifest, Recording, write_manifest

WANTED = 1.8  # times one process, by two on two cores
RECORDINGS, SECONDS = 8, 30
SETTINGS = """
sample_rate: 48000
segment_seconds: 3
clean: {{corpus: {corpus}}}
chain: film-1960s
"""


def write_corpus(folder: Path) -> Path:
    """Write recordings and their manifest, and return its path."""
    recordings = []
    for number in range(RECORDINGS):
        path = folder / f"{number}.flac"
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16") as handle:
            for second in range(SECONDS):
                handle.write(second_of_sound(SECONDS * number + second)[:, :1] // 2)
        about = {"domain": "speech", "split": "train", "bandwidth_hz": 2000.0}
        recordings.append(Recording(path.name, SECONDS * SAMPLE_RATE, SAMPLE_RATE, 1, **about))
    write_manifest(folder / "corpus.jsonl", Manifest(folder, recordings))
    return folder / "corpus.jsonl"


class Took(NamedTuple):
    """What a command took."""

    seconds: float
    cpu_seconds: float


def run(folder: Path, name: str, n_examples: int, n_jobs: int) -> Took:
    """Run one command to its end."""
    program = [sys.executable, "-c", "from resound.cli.main import main; main()"]
    words = ["prepare", str(folder / "mix.yaml"), "-o", str(folder / name), "--count", str(n_examples)]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*program, *words, "--jobs", str(n_jobs)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.perf_counter() - start, cpu_seconds)


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--examples", type=int, default=1000, help="how many examples to write (1000)")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each kind (2)")
    arguments = parser.parse_args()
    n_examples = arguments.examples
    runs: dict[str, list[Took]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "mix.yaml").write_text(SETTINGS.format(corpus=write_corpus(folder)))
        for repeat in range(arguments.repeats):
            for what, name, n_jobs in (
                ("1 job", f"one{repeat}", 1),
                ("2 jobs", f"two{repeat}", 2),
                ("2 jobs, all there already: checked", f"two{repeat}", 2),
            ):
                runs.setdefault(what, []).append(run(folder, name, n_examples, n_jobs))
                print(f"{what}: {runs[what][-1]}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    best = {what: Took(*map(min, zip(*took, strict=True))) for what, took in runs.items()}
    print(f"{machine()}.  {n_examples} examples, best of {arguments.repeats}.\n")
    print(f"Wanted: two processes at least {WANTED} times as fast as one.\n")
    one = best["1 job"].seconds
    rows = [
        (
            what,
            f"{took.seconds:.1f}",
            f"{took.cpu_seconds:.1f}",
            f"{n_examples / took.seconds:.1f}",
            f"{one / took.seconds:.2f}",
        )
        for what, took in best.items()
    ]
    print_table(["run", "seconds", "CPU seconds", "examples a second", "times one process"], rows)


if __name__ == "__main__":
    main()
