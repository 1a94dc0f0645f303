"""How long `resound evaluate` takes beside the metric libraries themselves, and how much memory many files need.

100 files of 4 s at 16 kHz, cut from the published pairs and made again with other gains of the noise where these end.
Both sides compute SI-SDR, PESQ and STOI of the output and of the unprocessed input, in two processes: the libraries by
a pool that reads, computes and returns; the command with all it does besides (doctor's look at references and outputs,
rows on disk, sums, intervals, pictures, page).  ``figures`` is the command's time until the last figure is on disk.

With ``--memory`` as many short files are judged by SI-SDR, and the memory of the main process is told at each tenth.

    python benchmarks/evaluate_speed.py --data ../shared/data
    python benchmarks/evaluate_speed.py --memory 10000
"""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, need_folder, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import numpy as np
import soundfile

RATE, SECONDS = 16_000, 4.0
METRICS = "si_sdr,pesq,stoi"


def write_from_pairs(folder: Path, data: Path, n_files: int) -> None:
    """Write clean, degraded and enhanced folders of files of 4 s."""
    sounds = []
    for path in sorted((need_folder(data) / "pairs/valentini/clean").iterdir()):
        clean, degraded = (soundfile.read(path.parent.parent / side / path.name)[0] for side in ("clean", "noisy"))
        sounds.append((clean, degraded - clean))
    length = round(SECONDS * RATE)
    for number in range(n_files):
        clean, noise = (np.resize(side, length) for side in sounds[number % len(sounds)])
        noise = noise * 0.8 ** (number // len(sounds))
        write(folder, number, {"clean": clean, "degraded": clean + noise, "enhanced": clean + 0.5 * noise}, RATE)


def write(folder: Path, number: int, sides: dict[str, np.ndarray], rate: int) -> None:
    for side, samples in sides.items():
        (folder / side).mkdir(exist_ok=True)
        soundfile.write(folder / side / f"{number:05d}.wav", samples, rate, subtype="PCM_16")


def by_libraries(name: str) -> list[float]:
    """Return the figures of output and input, as a script of one's own would compute them."""
    import pesq
    import pystoi

    folder, file = name.split("|")
    clean, *estimates = (
        soundfile.read(Path(folder) / side / file, dtype="float32")[0] for side in ("clean", "enhanced", "degraded")
    )
    figures = []
    for estimate in estimates:
        scale = np.dot(estimate, clean) / np.dot(clean, clean)
        distortion = estimate - scale * clean
        figures.append(10 * np.log10(np.sum((scale * clean) ** 2) / np.sum(distortion**2)))
        figures += [pesq.pesq(RATE, clean, estimate, "wb"), pystoi.stoi(clean, estimate, RATE)]
    return [float(figure) for figure in figures]


def seconds_of_libraries(folder: Path, jobs: int) -> float:
    names = [f"{folder}|{path.name}" for path in sorted((folder / "clean").iterdir())]
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(by_libraries, names, chunksize=1)
    return time.perf_counter() - start


def evaluated(folder: Path, out: Path, jobs: int, *words: str) -> tuple[float, float]:
    """Return seconds until the last figure, and until the end."""
    command = [sys.executable, "-c", "from resound.cli.main import main; main()", "evaluate", "-o", str(out)]
    for side in ("clean", "degraded", "enhanced"):
        command += [f"--{side}", str(folder / side)]
    start, began = time.perf_counter(), time.time()
    subprocess.run([*command, "-j", str(jobs), *words], capture_output=True, check=True)
    return (out / "rows.jsonl").stat().st_mtime - began, time.perf_counter() - start


def tell_speed(data: Path, n_files: int, jobs: int, n_runs: int) -> None:
    libraries, figures, whole = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_from_pairs(folder, data, n_files)
        for run in range(n_runs):  # in turn, so that what else the machine does hits both
            libraries.append(seconds_of_libraries(folder, jobs))
            words = ("--metrics", METRICS, "--baselines", "unprocessed")
            until, end = evaluated(folder, folder / f"out{run}", jobs, *words)
            figures.append(until)
            whole.append(end)
    base = float(np.median(libraries))
    rows = [
        [what, f"{np.median(each):.1f}", f"{np.median(each) / base:.2f}"]
        for what, each in (("the libraries", libraries), ("figures", figures), ("the whole command", whole))
    ]
    print(f"{machine()}  {n_files} files of {SECONDS:g} s, {jobs} processes, median of {n_runs}.\n")
    print_table(["", "seconds", "of the libraries'"], rows)


def tell_memory(n_files: int, jobs: int) -> None:
    from resound.evaluation.evaluate import Asked, evaluate
    from resound.evaluation.writing import write_results

    rows: list[list[str]] = []
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(n_files):
            clean = 0.1 * rng.standard_normal(2000)
            noise = 0.05 * rng.standard_normal(2000)
            write(folder, number, {"clean": clean, "degraded": clean + noise, "enhanced": clean + 0.5 * noise}, 8000)
        asked = Asked(
            folder / "degraded", (folder / "enhanced",), (folder / "clean",), metrics=("si_sdr,lsd",),
            baselines=("unprocessed",), looks=False,
        )  # fmt: skip

        def progress(done: int, in_all: int) -> None:
            if done % max(1, in_all // 10) == 0:
                rows.append([f"{done:,}", f"{peak_mb():.0f}"])

        start = time.perf_counter()
        result = evaluate(asked, folder / "out", n_jobs=jobs, progress=progress).result
        write_results(result, folder / "out")
        rows.append(["sums and tables written", f"{peak_mb():.0f}"])
        seconds = time.perf_counter() - start
    print(f"{machine()}  {n_files:,} files of 0.25 s, SI-SDR and LSD, {seconds:.0f} s.\n")
    print_table(["recordings judged", "peak memory of the main process, MB"], rows)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="N", help="judge N short files instead")
    asked = parser.parse_args()
    if asked.memory:
        tell_memory(asked.memory, asked.jobs)
    else:
        tell_speed(asked.data, asked.files, asked.jobs, asked.runs)


if __name__ == "__main__":
    main()
