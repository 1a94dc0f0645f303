"""How fast an exported file runs here, in a process of its own: one thread, without torch, as it will be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.errors import ModelError, one_line
from resound.inference.frames import GraphFrames
from resound.inference.frames_restorer import AT_ONCE_SECONDS
from resound.inference.graph_file import GraphFile
from resound.inference.memory import peak_memory_mb
from resound.inference.workers import THREAD_VARIABLES

SECONDS = 10.0
WARM_UP_FRAMES = 50
N_WHOLE = 3  # times that an offline graph runs


@dataclass(frozen=True)
class Timing:
    """What a file costs on one thread."""

    real_time_factor: float  # seconds of work for a second of sound
    memory_mb: float  # the most that the process held, the interpreter included
    frame_ms: float | None = None  # streaming: how long a frame lasts ...
    median_ms: float | None = None  # ... and how long it takes
    p95_ms: float | None = None
    p99_ms: float | None = None
    many_at_once: float | None = None  # the real-time factor where a file takes many frames at once

    def __str__(self) -> str:
        whole = f"{self.real_time_factor:.4f} x real time on one thread, {self.memory_mb:.0f} MB"
        if self.frame_ms is None:
            return whole
        many = "" if self.many_at_once is None else f"; recordings, many frames at once: {self.many_at_once:.4f}"
        return (
            f"a frame of {self.frame_ms:g} ms takes {self.median_ms:.3f} ms (median; 95 %: {self.p95_ms:.3f}, "
            f"99 %: {self.p99_ms:.3f}); {whole}{many}"
        )


def time_file(path: Path) -> Timing:
    """Return how fast a file runs on noise.  Raises `ModelError`."""
    command = [sys.executable, "-m", "resound.inference.timing", str(path)]
    environment = {**os.environ, **{name: "1" for name in THREAD_VARIABLES}}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        raise ModelError(f"{path}: cannot be timed ({one_line(lines[-1])})")
    return Timing(**json.loads(done.stdout))


def _streaming(path: Path) -> Timing:
    frames, many = GraphFrames(path), GraphFrames(path, at_once_seconds=AT_ONCE_SECONDS)
    taken = _frame_ms(frames, WARM_UP_FRAMES)
    frame_ms = 1000 * frames.frame_samples / frames.sample_rate
    median, p95, p99 = np.percentile(taken, [50, 95, 99])
    memory_mb, at_once = peak_memory_mb(), None
    if many.frame_samples != frames.frame_samples:
        at_once = float(_frame_ms(many, 1).mean()) * many.sample_rate / many.frame_samples / 1000
    return Timing(float(taken.mean()) / frame_ms, memory_mb, frame_ms, float(median), float(p95), float(p99), at_once)


def _frame_ms(frames: GraphFrames, n_warm_up: int) -> NDArray[np.float64]:
    """Return how many milliseconds each frame of some seconds took."""
    stream, size = frames.begin(), frames.frame_samples
    noise = np.random.default_rng(0).standard_normal((frames.n_channels, size)).astype(np.float32) / 10
    seconds = []
    for _ in range(n_warm_up + round(SECONDS * frames.sample_rate / size)):
        start = time.perf_counter()
        stream.step(noise)
        seconds.append(time.perf_counter() - start)
    return 1000 * np.array(seconds[n_warm_up:])


def _offline(path: Path) -> Timing:
    file = GraphFile(path)
    n_channels = file.whole("n_channels", least=1, default=1)
    size = round(SECONDS * file.sample_rate)
    noise = np.random.default_rng(0).standard_normal((1, n_channels, size)).astype(np.float32) / 10
    feed, seconds = {file.session.get_inputs()[0].name: noise}, []
    for _ in range(N_WHOLE):
        start = time.perf_counter()
        file.session.run(None, feed)
        seconds.append(time.perf_counter() - start)
    return Timing(min(seconds) / SECONDS, peak_memory_mb())


if __name__ == "__main__":
    file = Path(sys.argv[1])
    print(json.dumps(asdict(_streaming(file) if GraphFile(file).is_streaming else _offline(file))))
