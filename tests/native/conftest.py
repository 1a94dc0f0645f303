"""What the tests of ``native/`` share: it is built once, and runs networks that are made here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from conftest import Ended

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
PAGE = ROOT / "docs" / "native.md"
C_FLAGS = ["-std=c89", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
LIBRARIES = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))

# Networks that cost next to nothing, by their names in tests/contracts.
TINY = {"one": "band_rnn", "two to one": "timbre"}


def needs(program: str, *, why: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; {why}")
    return found


def compiled(output: Path, sources: list[Path], *more: str) -> Path:
    """Compile C89 without a warning."""
    command = [needs("gcc", why="it compiles the C parts"), *C_FLAGS, "-o", output, *sources, *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def library() -> Path:
    if not LIBRARIES:
        pytest.skip("this onnxruntime has no libonnxruntime.so.* beside it; it is what the native parts load")
    return LIBRARIES[0]


@pytest.fixture(scope="session")
def environment(library: Path, tmp_path_factory) -> dict[str, str]:
    """Return the variables under which all runs: one place for all workers of pytest-xdist, which cargo locks."""
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "native_target"
    told = {name: value for name, value in os.environ.items() if not name.startswith("RESOUND_")}
    return {**told, "CARGO_TARGET_DIR": str(target), "RESOUND_ONNXRUNTIME": str(library)}


@pytest.fixture(scope="session")
def built(environment: dict[str, str]) -> Path:
    """Return the folder with the program and the libraries."""
    command = [needs("cargo", why="it builds native/"), "build", "--offline", "--locked"]
    done = subprocess.run(command, cwd=NATIVE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(environment["CARGO_TARGET_DIR"]) / "debug"


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Callable[..., Path]:
    """Return a function that exports a network of `TINY`, once each."""
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from contracts.test_networks import TINY as networks
    from resound.checkpoint import save_model
    from resound.export.export import export
    from resound.models import build

    folder = tmp_path_factory.mktemp("exported")

    def make(name: str) -> Path:
        path = folder / f"{name.replace(' ', '_')}.onnx"
        if not path.exists():
            network, config = networks[TINY[name]]
            torch.manual_seed(0)
            save_model(path.with_suffix(""), build(network, **config).eval())
            export(path.with_suffix(""), path, is_streaming=True, is_verified=False)
        return path

    return make


@pytest.fixture
def program(built: Path, environment: dict[str, str]) -> Callable[..., Ended]:
    """Return a function that runs ``resound-native ARGUMENTS``."""

    def run(*arguments: object, **variables: str) -> Ended:
        command = [built / "resound-native", *map(str, arguments)]
        done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def in_python(model: Path, sound: NDArray) -> NDArray:
    """Return what Python makes of ``(channel, time)``: as long, in time with it."""
    from resound.inference.frames import GraphFrames

    frames = GraphFrames(model)
    size, late, width = frames.frame_samples, frames.latency_samples, frames.n_channels
    n_samples = sound.shape[1]
    padded = np.pad(sound, ((0, 0), (0, late + -(n_samples + late) % size))).astype(np.float32)
    made = []
    for first in range(0, len(sound), width):
        stream = frames.begin()
        starts = range(0, padded.shape[1], size)
        steps = [stream.step(padded[first : first + width, start : start + size]).copy() for start in starts]
        made.append(np.concatenate(steps, axis=1))
    return np.concatenate(made)[:, late : late + n_samples]


def noise(n_channels: int, n_samples: int) -> NDArray:
    """Return ``(channel, time)`` that swells and fades."""
    rng = np.random.default_rng(5)
    swell = np.sin(np.linspace(0, 9, n_samples)) ** 2
    return (0.1 * rng.standard_normal((n_channels, n_samples)) * swell).astype(np.float32)
