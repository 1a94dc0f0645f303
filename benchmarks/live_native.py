"""Time of a frame of exported networks in Python, Rust and C, one thread each.

All three run the same onnxruntime; what differs is what is around it.  Ten seconds of noise go through each, in turns,
so that another load on the machine meets all; each figure is the smallest over the rounds.  Without files, the presets
voice, timbre-report and demucs48 are exported with the weights they begin with, which cost as much as any.

    python benchmarks/live_native.py [FILE.onnx ...] --rounds 3
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import soundfile
from common import machine, parser_for, print_table

from resound.export.export import export
from resound.inference.frames import GraphFrames
from resound.inference.timing import time_file

NATIVE = Path(__file__).resolve().parents[1] / "native"
SECONDS = 10
PRESETS = ("voice", "timbre-report", "demucs48")
Times = tuple[float, ...]  # median, 95 %, 99 %, in ms


def exported_preset(name: str, folder: Path) -> Path:
    """Return a preset's network as a file, with the weights that it begins with."""
    from resound.checkpoint import save_model
    from resound.models.presets import load_preset

    save_model(folder / name, load_preset(name).build().eval())
    export(folder / name, folder / f"{name}.onnx", is_streaming=True, is_verified=False)
    return folder / f"{name}.onnx"


def built(folder: Path) -> tuple[Path, Path]:
    """Return the program, and the C one that times frames."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder)}
    subprocess.run(["cargo", "build", "--release", "--offline", "--quiet"], cwd=NATIVE, env=environment, check=True)
    release = folder / "release"
    source, output = Path(__file__).with_suffix(".c"), folder / "live_native"
    flags = [f"-I{NATIVE / 'c'}", f"-L{release}", "-lresound", f"-Wl,-rpath,{release}"]
    subprocess.run(["gcc", "-O2", "-o", output, source, *flags], check=True)
    return release / "resound-native", output


def in_python(model: Path) -> Times:
    timing = time_file(model)
    assert timing.median_ms is not None and timing.p95_ms is not None and timing.p99_ms is not None
    return timing.median_ms, timing.p95_ms, timing.p99_ms


def in_rust(program: Path, model: Path, folder: Path) -> Times:
    frames = GraphFrames(model)
    noise = np.random.default_rng(0).standard_normal((SECONDS * frames.sample_rate, frames.n_channels)) / 10
    soundfile.write(folder / "noise.wav", noise, frames.sample_rate, subtype="FLOAT")
    command = [program, folder / "noise.wav", folder / "out.wav", "--model", model, "--time", "--overwrite"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"takes ([\d.]+) ms \(median; 95 %: ([\d.]+), 99 %: ([\d.]+)\)", said)
    assert found is not None, said
    return tuple(map(float, found.groups()))


def in_c(program: Path, model: Path) -> Times:
    said = subprocess.run([program, model], capture_output=True, text=True, check=True).stdout
    return tuple(map(float, said.split()))


def best(ways: dict[str, Callable[[], Times]], rounds: int) -> dict[str, Times]:
    """Return the smallest of each figure over the rounds, in which the ways take turns: load only adds to them."""
    found = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    return {name: tuple(map(min, *(one[name] for one in found), found[0][name])) for name in ways}


def main() -> None:
    """Print the table."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("files", nargs="*", type=Path, help="exported networks that stream")
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest count")
    arguments = parser.parse_args()
    libraries = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not libraries:
        sys.exit("onnxruntime: has no libonnxruntime.so.* beside it; install the wheel for Linux")
    os.environ["RESOUND_ONNXRUNTIME"] = str(libraries[0])
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        rust, c = built(folder)
        for model in arguments.files or [exported_preset(name, folder) for name in PRESETS]:
            frames = GraphFrames(model)
            ways = {
                "Python": lambda model=model: in_python(model),
                "Rust": lambda model=model: in_rust(rust, model, folder),
                "C": lambda model=model: in_c(c, model),
            }
            for way, times in best(ways, arguments.rounds).items():
                length = f"{1000 * frames.frame_samples / frames.sample_rate:g} ms"
                rows.append([model.stem, length, way, *(f"{one:.3f} ms" for one in times)])
    print(f"{machine()}, onnxruntime {onnxruntime.__version__}\n")
    print_table(["network", "frame", "from", "median", "95 %", "99 %"], rows)


if __name__ == "__main__":
    main()
