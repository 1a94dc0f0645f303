"""How long a scan of many small files takes, and a scan of the same files again.

Makes 100,000 recordings of a tenth to half a second, WAV and FLAC by turns, in folders of 200 speakers below a
temporary folder (about 1 GB), and scans them as a user would.

    python benchmarks/corpus_scan.py
    python benchmarks/corpus_scan.py --files 10000
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, parser_for, print_table, processor_seconds

N_SPEAKERS = 200
RATE = 16000
COMMAND = [sys.executable, "-c", "from resound.cli.main import main; main()", "corpus", "scan"]


def make_files(folder: Path, n_files: int) -> None:
    """Write so many recordings, each a file of its own."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(RATE)).astype(np.float32)
    for number in range(n_files):
        speaker = folder / f"speaker{number % N_SPEAKERS:03d}"
        speaker.mkdir(parents=True, exist_ok=True)
        n_samples = int(rng.integers(RATE // 10, RATE // 2))
        soundfile.write(speaker / f"{number:06d}{('.wav', '.flac')[number % 2]}", noise[:n_samples], RATE)


def timed_scan(folder: Path, manifest: Path, *options: str) -> tuple[float, float]:
    """Return how many seconds the command takes, start and manifest included, and how many of them it works."""
    start, worked = time.perf_counter(), processor_seconds()
    command = [*COMMAND, str(folder), "--as", "speech", "-o", str(manifest), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start, processor_seconds() - worked


def forget_files() -> bool:
    """Have the system drop what it holds of files in memory, where it lets us; tell whether it did."""
    try:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def main() -> None:
    """Print the table."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--files", type=int, default=100_000, help="how many (100000)")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="corpus_scan_"))
    try:
        folder, manifest = work / "corpus", work / "corpus.jsonl"
        make_files(folder, arguments.files)
        rows: list[tuple[str, ...]] = []

        def run(what: str, *options: str) -> None:
            seconds, worked = timed_scan(folder, manifest, *options)
            rows.append((what, f"{seconds:.1f}", f"{worked:.1f}", f"{arguments.files / seconds:.0f}"))

        cold = "nothing of the files in memory" if forget_files() else "files written just before"
        run(f"scan, {cold}")
        run("scan again, nothing changed")
        for path in sorted(folder.glob("*/*.wav"))[:1000]:
            path.touch()
        run("scan again, 1,000 files touched")
        manifest.unlink()
        run("scan, one job", "--jobs", "1")
        run("scan again, a tenth decoded", "--measure", "10")
    finally:
        shutil.rmtree(work)
    print(f"{machine()}.  {arguments.files} files.\n")
    print_table(["", "seconds", "of the processor", "files a second"], rows)


if __name__ == "__main__":
    main()
