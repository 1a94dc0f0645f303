"""How long the networks that ship take, beside the peers: seconds of one core for a second of sound at 48 kHz.

A minute of noise at 48 kHz, whole and mono; processor time, the median of five runs after one that does not count, in
turn.  "whole restoration" is `resound.restore`, with what runs before the network; "network alone" is its file run by
onnxruntime, frames and all, as a stream that gets half a second at a time; "frame by frame" is a stream of 10 ms.

    python benchmarks/shipped_speed.py
"""

from __future__ import annotations

from common import (
    Method,
    machine,
    noisereduce_method,
    parser_for,
    print_table,
    resound_method,
    rnnoise_method,
    timed,
)  # keeps numpy to one thread: first

# isort: split
import numpy as np
from numpy.typing import NDArray

from resound.shipped import RESTORING, file_of

RATE, SECONDS, RUNS = 48000, 60, 5


def stream_method(model: str, block_samples: int | None) -> Method:
    """Return a stream of blocks, or the network over half seconds."""

    from resound.inference.frames import GraphFrames
    from resound.inference.frames_restorer import AT_ONCE_SECONDS
    from resound.inference.streaming import Stream

    frames = GraphFrames(file_of(model), at_once_seconds=AT_ONCE_SECONDS if block_samples is None else 0.0)
    size = block_samples or frames.frame_samples

    def run(samples: NDArray, sample_rate: int) -> NDArray:
        stream = Stream(frames, sample_rate=sample_rate, channels=1, block_samples=size)
        whole = samples[: len(samples) // size * size]
        return np.concatenate([stream.process(block) for block in whole.reshape(-1, size)])

    return run


def main() -> None:
    """Time all in turn and print the table."""
    parser_for(__doc__, data=False).parse_args()
    methods = {
        **{f"{name}, whole restoration": resound_method(name) for name in RESTORING},
        **{f"{name}, network alone": stream_method(name, None) for name in RESTORING},
        **{f"{name}, frame by frame": stream_method(name, RATE // 100) for name in RESTORING},
        "classic chain": resound_method("classic"),
        "RNNoise (pyrnnoise)": rnnoise_method(),
        "noisereduce": noisereduce_method(stationary=False),
    }
    minute = np.random.default_rng(0).standard_normal(SECONDS * RATE) * 0.05
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(RUNS + 1):
        for name, method in methods.items():
            taken[name].append(timed(method, minute, RATE)[1] / SECONDS)
    print(f"{machine()}\n")
    middle = {name: float(np.median(seconds[1:])) for name, seconds in taken.items()}
    peer = middle["RNNoise (pyrnnoise)"]
    rows = [(name, f"{seconds:.4f}", f"{seconds / peer:.2f}") for name, seconds in middle.items()]
    print_table(("", "seconds for a second", "of RNNoise's"), rows)


if __name__ == "__main__":
    main()
