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

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    status: int
    stdout: str
    stderr: str


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
