"""What the benchmarks share: the machine's name, Markdown tables, the data folder, and the programs compared with.

Shows nothing by itself; the others import it.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # one core each, before numpy is imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

Method = Callable[[NDArray, int], NDArray]  # (samples (time,), sample rate) -> (time,)
DEFAULT_DATA = Path("../shared/data")
MAX_LAG_SECONDS = 0.1


def parser_for(docstring: str | None, *, data: bool = True) -> argparse.ArgumentParser:
    """Return a parser whose help is the file's docstring, with ``--data`` where recordings are needed."""
    parser = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help=f"folder of recordings ({DEFAULT_DATA})")
    return parser


def need_folder(path: Path) -> Path:
    """Return the folder; end with one line where it is absent."""
    if not path.is_dir():
        sys.exit(f"{path}: no such folder; give the folder of recordings with --data")
    return path


def manifest(data: Path) -> list[dict[str, str]]:
    """Return the rows of ``manifest.csv``; end with one line where it is absent."""
    path = need_folder(data) / "manifest.csv"
    if not path.is_file():
        sys.exit(f"{path}: no such file; give the folder that holds it with --data")
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def machine() -> str:
    """Return one line that names the processor, its cores and the versions that matter."""
    packages = []
    for name in ("resound", "numpy", "scipy", "soxr", "soundfile", "noisereduce"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if shutil.which("ffmpeg"):
        words = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False).stdout.split()
        packages.append(f"ffmpeg {words[2].partition('-')[0]}")
    return f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {', '.join(packages)}"


def processor() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            names = [line.partition(":")[2].strip() for line in handle if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table, numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    print("| " + " | ".join(header) + " |")
    print("|" + "|".join(" --- " if i == 0 else " ---: " for i in range(len(header))) + "|")
    for row in texts:
        print("| " + " | ".join(row) + " |")
    print()


def read_recording(path: Path) -> tuple[NDArray, int]:
    """Return a whole recording as ``(channel, time)`` float64, and its sample rate."""
    from resound.audio.files import open_reader

    with open_reader(path) as reader:
        return np.concatenate(list(reader.blocks(reader.format.sample_rate)), axis=1), reader.format.sample_rate


def read_mono(path: Path) -> tuple[NDArray, int]:
    """Return a whole recording as ``(time,)`` float64, channels averaged, and its sample rate."""
    samples, sample_rate = read_recording(path)
    return samples.mean(axis=0), sample_rate


def resound_classic(samples: NDArray, sample_rate: int) -> NDArray:
    """Restore by the classic chain with its defaults."""
    return resound_method("classic")(samples, sample_rate)


def resound_method(model: str) -> Method:
    """Return resound with a model: a name, or an exported file."""

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        import resound

        return np.asarray(resound.restore(samples, sample_rate, model=model))

    return run


def rnnoise_method() -> Method:
    """Return RNNoise (Valin 2018) as pyrnnoise carries it: 48 kHz, 16 bits, a state from the beginning."""

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        import soxr
        from pyrnnoise import rnnoise

        wide = soxr.resample(samples, sample_rate, rnnoise.SAMPLE_RATE)
        n_frames = -(-len(wide) // rnnoise.FRAME_SIZE) + 2  # and what it holds back
        frames = np.zeros(n_frames * rnnoise.FRAME_SIZE)
        frames[: len(wide)] = wide
        pcm = np.round(np.clip(frames, -1, 1) * 32767).astype(np.int16).reshape(n_frames, -1)
        state = rnnoise.create()
        made = np.concatenate([rnnoise.process_mono_frame(state, frame)[0] for frame in pcm]) / 32767
        rnnoise.destroy(state)
        return aligned(soxr.resample(made, rnnoise.SAMPLE_RATE, sample_rate), samples, sample_rate)

    return run


def noisereduce_method(*, stationary: bool, kept_db: float | None = None) -> Method:
    """Return noisereduce in one of its modes: as it comes, or holding on to noise so many dB down."""

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        import noisereduce

        share = 1.0 if kept_db is None else 1 - 10 ** (-kept_db / 20)
        return np.asarray(
            noisereduce.reduce_noise(y=samples, sr=sample_rate, stationary=stationary, prop_decrease=share)
        )

    return run


def ffmpeg_method(filters: str) -> Method:
    """Return ffmpeg with a chain of filters, its delay taken out."""

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        form = ["-f", "f32le", "-ar", str(sample_rate), "-ac", "1"]
        command = ["ffmpeg", "-v", "error", "-threads", "1", *form, "-i", "-", "-af", filters, *form, "-"]
        sound = subprocess.run(command, input=samples.astype("<f4").tobytes(), capture_output=True, check=True).stdout
        return aligned(np.frombuffer(sound, "<f4").astype(np.float64), samples, sample_rate)

    return run


def aligned(late: NDArray, reference: NDArray, sample_rate: int) -> NDArray:
    """Return ``(time,)`` moved by the whole samples at which it resembles the reference most, at its length."""
    n_samples = len(reference)
    padded = np.zeros(n_samples)
    padded[: min(len(late), n_samples)] = late[:n_samples]
    n_fft = 1 << (2 * n_samples - 1).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(padded, n_fft) * np.fft.rfft(reference, n_fft).conj(), n_fft)
    reach = round(MAX_LAG_SECONDS * sample_rate)
    lag = int(np.argmax(np.concatenate([likeness[-reach:], likeness[: reach + 1]]))) - reach
    moved = np.zeros(n_samples)
    source = np.pad(late, (max(0, -lag), n_samples))[max(0, lag) :]
    moved[:] = source[:n_samples]
    return moved


def competitors() -> dict[str, Method]:
    """Return what can be compared with here, by name; says on stderr what is not installed."""
    methods: dict[str, Method] = {}
    try:
        version("noisereduce")
        methods["noisereduce, stationary"] = noisereduce_method(stationary=True)
        methods["noisereduce, non-stationary"] = noisereduce_method(stationary=False)
        methods["noisereduce, stationary, 12 dB"] = noisereduce_method(stationary=True, kept_db=12)
        methods["noisereduce, non-stationary, 12 dB"] = noisereduce_method(stationary=False, kept_db=12)
    except PackageNotFoundError:
        print("noisereduce is not installed and left out; pip install '.[bench]'", file=sys.stderr)
    if shutil.which("ffmpeg"):
        methods["ffmpeg adeclick, afftdn"] = ffmpeg_method("adeclick,afftdn")
        methods["ffmpeg adeclick, afftdn=tn=1"] = ffmpeg_method("adeclick,afftdn=tn=1")
    else:
        print("ffmpeg is not on PATH and left out", file=sys.stderr)
    return methods


def processor_seconds() -> float:
    """Return the processor time of this process and of the children it waited for."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(method: Method, samples: NDArray, sample_rate: int) -> tuple[NDArray, float]:
    """Return what a method makes of the samples, and how many seconds of processor time it took."""
    start = processor_seconds()
    result = method(samples, sample_rate)
    return result, processor_seconds() - start
