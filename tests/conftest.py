"""What the tests of several folders share: signals, files, and the command run inside this process."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Tests side by side share the cores: threads of theirs would wait for one another.  Set before numpy and torch load.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from resound.corpora.manifest import Manifest, Recording, write_manifest
from signals import music_like, speech_like


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """What a command takes for itself, all cores for torch, is not for the tests after it."""
    yield
    torch = sys.modules.get("torch")
    if torch and "PYTEST_XDIST_WORKER" in os.environ and torch.get_num_threads() > 1:
        torch.set_num_threads(1)


@pytest.fixture
def resound() -> Callable[..., Ended]:
    """Return a function that runs ``resound ARGUMENTS`` as the installed command does, but in this process.

    What is not meant for users (a traceback) is raised, and so fails the test.
    """

    def run(*arguments: object) -> Ended:
        from resound.cli import main

        out, err = io.StringIO(), io.StringIO()
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        handlers = {name: signal.getsignal(getattr(signal, name)) for name in names}
        argv, status = sys.argv, 0
        sys.argv = ["resound", *map(str, arguments)]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            sys.argv = argv
            for name, handler in handlers.items():
                signal.signal(getattr(signal, name), handler)
        return Ended(status, out.getvalue(), err.getvalue())

    return run


def hiss(n_samples: int, n_channels: int = 1, *, seed: int = 0, rms: float = 0.05) -> NDArray:
    """Return ``(channel, time)`` white noise, which every stage but the hum filter works on."""
    return rms * np.random.default_rng(seed).standard_normal((n_channels, n_samples))


def write_wav(
    path: Path, samples: NDArray | None = None, *, rate: int = 8000, subtype: str = "PCM_16", n_samples: int = 4000
) -> Path:
    """Write ``(channel, time)`` (default: hiss) where the suffix says, and return the path."""
    samples = hiss(n_samples) if samples is None else samples
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate, subtype=subtype)
    return path


def read_sound(path: Path) -> NDArray:
    """Return ``(channel, time)`` float64 as our own reader has it; integers are exact."""
    from resound.audio.files import open_reader

    with open_reader(path) as reader:
        return np.concatenate(list(reader.blocks(65536)), axis=1)


def files_below(folder: Path) -> set[str]:
    """Return the names of all files and folders, hidden ones too, relative to ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextlib.contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond ``n_bytes``: to a writer that is as good as a full disk."""
    resource: Any = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """Work in a folder of its own, so that names in messages are as short as a user's."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def write_corpus(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes sounds as a corpus and gives the path of its manifest."""

    def write(name: str, sounds: dict[str, NDArray], *, rate: int = 8000, domain: str = "speech", **labels) -> Path:
        recordings = []
        for key, samples in sounds.items():
            path = tmp_path / name / f"{key}.wav"
            path.parent.mkdir(exist_ok=True)
            samples = np.atleast_2d(samples)
            soundfile.write(path, samples.T, rate, subtype="FLOAT")
            own = {field: value[key] if isinstance(value, dict) else value for field, value in labels.items()}
            form = {"n_samples": samples.shape[1], "sample_rate": rate, "n_channels": len(samples)}
            recordings.append(Recording(f"{name}/{key}.wav", **form, domain=domain, **own))
        write_manifest(tmp_path / f"{name}.jsonl", Manifest(tmp_path, recordings), overwrite=True)
        return tmp_path / f"{name}.jsonl"

    return write


@pytest.fixture
def speech_corpus(write_corpus) -> Path:
    """Four speakers with two recordings of 3 s each, 8 kHz."""
    keys = [f"{speaker}{take}" for speaker in "abcd" for take in (1, 2)]
    sounds = {key: speech_like(3, 8000, seed=number) for number, key in enumerate(keys)}
    return write_corpus("speech", sounds, speaker={key: key[0] for key in keys}, split="train", bandwidth_hz=4000.0)


@pytest.fixture
def music_corpus(write_corpus) -> Path:
    """Two pieces of 5 s, 8 kHz."""
    sounds = {f"m{seed}": music_like(5, 8000, seed=seed) for seed in (1, 2)}
    return write_corpus("music", sounds, domain="music", split="train", bandwidth_hz=3000.0)
