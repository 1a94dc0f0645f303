"""Time of every network against a plain reading of its paper, both on the same weights.

A case is a network at one size; each file in ``benchmarks/peers`` brings its own with ``cases()``.  Measured are the
whole recording at once, the time of one streamed frame, one training step (forward, backward, Adam) and the memory that
such a step adds.  Ours and the peer take turns, so that another load on the machine meets both; the ratio is the median
over the turns of peer / ours.  With one thread the time is that of the processor, with two that of the clock.

    python benchmarks/models_speed.py --case conv-tasnet --threads 1 2 --rounds 5
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, parser_for

sys.path.insert(0, str(Path(__file__).parent))

import torch
from peers.case import Case
from torch import Tensor, nn


def cases_of(peer: str) -> list[Case]:
    """Return the cases in a file of ``peers``; one that needs what is not installed is named and left out."""
    try:
        return importlib.import_module(f"peers.{peer}").cases()
    except ImportError as error:
        print(f"peers/{peer}.py is left out: {error}", file=sys.stderr)
        return []


PEERS = sorted(
    path.stem for path in (Path(__file__).parent / "peers").glob("*.py") if path.stem not in ("__init__", "case")
)
CASES: list[Case] = [case for peer in PEERS for case in cases_of(peer)]
MEASURES = ("offline", "streaming", "training", "memory")
N_FRAMES = 40  # of a stream, after as many that warm up


def noise(network: Any, batch_size: int, n_samples: int) -> Tensor:
    """Return ``(batch, channel, time)``, the same at every call."""
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(batch_size, network.config.n_channels, n_samples, generator=generator)


def take_turns(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Return the median seconds of both and the median ratio peer / ours."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    taken = np.empty((rounds + 1, 2))
    for turn in range(rounds + 1):
        for column, run in enumerate((ours, peer) if turn % 2 else (peer, ours)):
            start = clock()
            run()
            taken[turn, column if turn % 2 else 1 - column] = clock() - start
    taken = taken[1:]  # the first warms up
    return float(np.median(taken[:, 0])), float(np.median(taken[:, 1])), float(np.median(taken[:, 1] / taken[:, 0]))


def difference(ours: Tensor, peer: Tensor) -> str:
    """Return the relative difference of two outputs."""
    return f"{float((ours - peer).norm() / peer.norm()):.0e}"


def offline(case: Case, rounds: int) -> list[str]:
    """Time a whole recording: real-time factors, ratio, difference of the outputs."""
    ours, peer = case.build()
    x = noise(ours, 1, round(case.seconds * ours.sample_rate))
    with torch.inference_mode():
        differ = difference(ours(x), peer(x))
        mine, theirs, ratio = take_turns(lambda: ours(x), lambda: peer(x), rounds)
    return [*(f"{seconds / case.seconds:.4f} × real time" for seconds in (mine, theirs)), f"{ratio:.2f}", differ]


def streaming(case: Case, rounds: int) -> list[str] | None:
    """Time one frame of a stream."""
    if case.frame_samples is None:
        return None
    ours, peer = case.build()
    frames = noise(ours, 1, N_FRAMES * case.frame_samples).split(case.frame_samples, dim=-1)

    def runner(network: Any) -> Callable[[], Tensor]:
        state = network.init_state(1)

        def run() -> Tensor:
            nonlocal state
            parts = []
            for frame in frames:
                out, state = network.step(frame, state)
                parts.append(out)
            return torch.cat(parts, dim=-1)

        return run

    with torch.inference_mode():
        differ = difference(runner(ours)(), runner(peer)())
        mine, theirs, ratio = take_turns(runner(ours), runner(peer), rounds)
    length = 1000 * case.frame_samples / ours.sample_rate
    times = (f"{1000 * seconds / N_FRAMES:.2f} ms a frame of {length:.0f} ms" for seconds in (mine, theirs))
    return [*times, f"{ratio:.2f}", differ]


def stepper(case: Case, network: nn.Module, x: Tensor) -> Callable[[], float]:
    """Return one training step, which gives the loss."""
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    loss_of = case.loss or (lambda out: out.square().mean())

    def run() -> float:
        optimiser.zero_grad()
        loss = loss_of(network(x))
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return run


def training(case: Case, rounds: int) -> list[str] | None:
    """Time a training step; the difference is that of the losses after one step."""
    if case.training is None:
        return None
    batch_size, seconds = case.training
    ours, peer = case.build()
    x = noise(ours, batch_size, round(seconds * ours.sample_rate))
    mine, theirs = stepper(case, ours, x), stepper(case, peer, x)
    mine(), theirs()
    differ = difference(torch.tensor(mine()), torch.tensor(theirs()))
    ours_s, peer_s, ratio = take_turns(mine, theirs, max(1, rounds // 2))
    return [
        *(f"{taken:.2f} s a step of {batch_size} × {seconds:g} s" for taken in (ours_s, peer_s)),
        f"{ratio:.2f}",
        differ,
    ]


def memory(case: Case, rounds: int) -> list[str] | None:
    """Measure the peak that the second training step adds, each in a process of its own."""
    if case.training is None:
        return None
    sizes = []
    for who in ("ours", "peer"):
        command = [sys.executable, __file__, "--case", case.name, "--peak-of", who]
        sizes.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return [*(f"{size:.0f} MB a step" for size in sizes), f"{sizes[1] / sizes[0]:.2f}", ""]


def peak_megabytes(case: Case, who: str) -> float:
    """Return by how much the first training step raises the memory of this process (Linux)."""
    ours, peer = case.build()
    batch_size, seconds = case.training or (1, 1.0)
    x = noise(ours, batch_size, round(seconds * ours.sample_rate))
    step = stepper(case, ours if who == "ours" else peer, x)
    stepper(case, ours if who == "ours" else peer, x[..., :2000])()  # what is made once: gradients, moments, kernels
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    step()
    return status("VmHWM") - before


def status(key: str) -> float:
    """Return a line of this process's status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))


def rows(arguments: argparse.Namespace, cases: list[Case]) -> Iterator[list[str]]:
    """Yield the rows of the table, each measured when it is asked for."""
    for case in cases:
        for name in arguments.measures:
            for threads in arguments.threads if name != "memory" else [1]:
                torch.set_num_threads(threads)
                cells = globals()[name](case, arguments.rounds)
                if cells is not None:
                    yield [case.name, name, str(threads), *cells]


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--case", default="", help="only cases with this in their name")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak-of", choices=("ours", "peer"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.case.lower() in case.name.lower()]
    if not cases:
        sys.exit(f"--case {arguments.case}: no such case; there are {', '.join(case.name for case in CASES)}")
    if arguments.peak_of:
        torch.set_num_threads(1)
        case = next((case for case in cases if case.name == arguments.case), cases[0])
        print(peak_megabytes(case, arguments.peak_of))
        return
    print(f"{machine()}, torch {torch.__version__}\n")
    print("| network | measure | threads | ours | peer | ratio | difference |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows(arguments, cases):  # each as soon as it is known: all of them take minutes
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
