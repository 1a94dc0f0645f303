"""How fast every preset trains on a GPU: examples and sound a second, memory, and how busy the GPU is.

Each preset trains as `resound train` does, with its own trainer, loss, optimiser, batch size and length of examples; a
voice is given back with its discriminators taking part.  The batches are noise that lies on the device, so nothing
waits for a loader.  A few steps warm up; then it goes on for ``--steps`` steps and ``--least`` seconds, whichever ends
later, and ``--most`` seconds at most.  Where memory runs out the batch is halved.  Memory is the peak of what tensors
held during the steps measured; how busy the GPU is, NVML says (the share of the time that any kernel ran).

Precision 32 is that of the trainer; bf16 is autocast; tf32 is 32 with products of matrices in TensorFloat-32.

    python benchmarks/train_gpu.py --out gpu.json
    python benchmarks/train_gpu.py --presets gatewave demucs48 --precisions 32 tf32 bf16
    python benchmarks/train_gpu.py --device cpu --batch 1 --seconds 0.5 --steps 2 --least 0
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import statistics
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import machine, parser_for, print_table

# isort: split
import lightning
import torch
from torch import Tensor

from resound.models.presets import load_preset, preset_names
from resound.training import fit
from resound.training.config import RunConfig, load_run_config
from resound.training.memory import is_out_of_memory
from resound.training.processes import Processes
from resound.training.regenerate import Regenerate
from resound.training.tasks import task_of

WARM_UP = 3  # steps that are not counted: kernels are chosen, and memory is taken
SAMPLED_EVERY = 0.1  # seconds
PRECISIONS = ("32", "tf32", "bf16")
HEADER = (
    *("preset", "precision", "batch", "segment, s", "step, ms", "examples/s", "sound, s/s", "peak, GiB", "GPU busy"),
    "remark",
)


@dataclass(frozen=True)
class Measured:
    """What one preset did in one precision."""

    preset: str
    precision: str
    batch: int  # examples
    segment_seconds: float
    n_steps: int
    seconds: float
    peak_bytes: int | None  # of tensors; None: not on a GPU
    reserved_bytes: int | None  # with what torch keeps at hand
    utilisation: float | None  # 0 to 1; None: NVML says nothing
    remark: str

    @property
    def examples_per_second(self) -> float:
        """How many examples are learnt from."""
        return self.batch * self.n_steps / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Return the raw numbers."""
        return {**asdict(self), "examples_per_second": self.examples_per_second}

    def row(self) -> list[str]:
        """Return the row of the table."""
        peak = "" if self.peak_bytes is None else f"{self.peak_bytes / 2**30:.2f}"
        return [
            *(self.preset, self.precision, str(self.batch), f"{self.segment_seconds:g}"),
            f"{1000 * self.seconds / self.n_steps:.1f}",
            f"{self.examples_per_second:.1f}",
            f"{self.examples_per_second * self.segment_seconds:.0f}",
            peak,
            "" if self.utilisation is None else f"{self.utilisation:.0%}",
            self.remark,
        ]


class Meter(threading.Thread):
    """Asks every 100 ms how busy the GPU is, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._shares: list[float] = []
        self._over = threading.Event()

    def run(self) -> None:
        """Ask, as long as there is an answer."""
        while not self._over.wait(SAMPLED_EVERY):
            try:
                self._shares.append(torch.cuda.utilization() / 100)
            except Exception:  # no NVML, no Python package for it, or a machine that hides its counters
                return

    def stop(self) -> float | None:
        """Return the mean of what was answered."""
        self._over.set()
        self.join()
        return statistics.mean(self._shares) if self._shares else None


class Timer(lightning.Callback):
    """Times the steps after the first few, and ends the training when there are enough."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.limits, self.is_cuda = arguments, arguments.device == "cuda"
        self.n_steps, self.seconds, self.began = 0, 0.0, 0.0
        self.peak_bytes: int | None = None
        self.reserved_bytes: int | None = None
        self.utilisation: float | None = None

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_index: int) -> None:
        """Look at the clock."""
        self.n_steps = batch_index + 1 - WARM_UP
        if self.n_steps == 0:
            self._begin()
        elif self.n_steps > 0:
            self.seconds = time.perf_counter() - self.began  # the trainer waits for the loss and so for the step
            is_enough = self.n_steps >= self.limits.steps and self.seconds >= self.limits.least
            if is_enough or self.seconds >= self.limits.most:
                self._end()
                trainer.should_stop = True

    def _begin(self) -> None:
        self.meter = Meter()
        if self.is_cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.meter.start()
        self.began = time.perf_counter()

    def _end(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.began
            self.peak_bytes, self.reserved_bytes = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            self.utilisation = self.meter.stop()


def batch_of(config: RunConfig, seconds: float, device: str) -> dict[str, Tensor]:
    """Return noise in the shapes of the preset's batches."""
    network, size = config.network_config, config.training.batch_size
    n_samples = round(seconds * network.sample_rate)
    return {
        "degraded": 0.1 * torch.randn(size, network.n_channels, n_samples, device=device),
        "clean": 0.1 * torch.randn(size, network.n_sources, n_samples, device=device),
        "bandwidth_hz": torch.full((size,), network.sample_rate / 2, device=device),
        "index": torch.arange(size, device=device),
        "epoch": torch.zeros(size, dtype=torch.long, device=device),
    }


def steps_of(config: RunConfig, seconds: float, arguments: argparse.Namespace) -> Timer:
    """Train for as long as asked, and return what was seen."""
    torch.set_float32_matmul_precision("high" if arguments.precision == "tf32" else "highest")
    task = task_of(fit.initial_network(config), config)
    if isinstance(task, Regenerate):
        task.n_steps = task.adversarial.from_step  # the discriminators take part
    batch, timer = batch_of(config, seconds, arguments.device), Timer(arguments)

    def batches() -> Iterator[dict[str, Tensor]]:
        while True:
            yield batch

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what it says of itself is no part of the table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = fit.trainer_of(task, config, Processes(), timer)  # type: ignore[arg-type]
        trainer.fit(task, batches())
    return timer


def measure(name: str, arguments: argparse.Namespace) -> Measured:
    """Train a preset in the precision of the arguments, with half the batch, a quarter ... where memory runs out."""
    precision = "bf16" if arguments.precision == "bf16" else "32"
    words = [f"training.precision={precision}", f"training.device={arguments.device}"]
    size = arguments.batch or load_run_config(name).training.batch_size
    remark = ""
    while True:
        config = load_run_config(name, [*words, f"training.batch_size={size}"])
        seconds = arguments.seconds or float(config.data["segment_seconds"])
        try:
            timer = steps_of(config, seconds, arguments)
            break
        except RuntimeError as error:
            if not is_out_of_memory(error) or size == 1:
                raise
            remark = f"no memory for {size}"
        size //= 2
        forget(arguments.device)
    if config.adversarial is not None:
        remark = ", ".join(filter(None, ["with discriminators", remark]))
    return Measured(
        *(name, arguments.precision, size, seconds, timer.n_steps, timer.seconds),
        *(timer.peak_bytes, timer.reserved_bytes, timer.utilisation, remark),
    )


def forget(device: str) -> None:
    """Give back what the training before held."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def failed(name: str, error: Exception, arguments: argparse.Namespace) -> dict[str, str]:
    """Return what is noted of a preset that did not train; the others go on."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    print(f"{name}, {arguments.precision}: {reason}", flush=True)
    return {"preset": name, "precision": arguments.precision, "error": f"{type(error).__name__}: {reason}"}


def where(device: str) -> str:
    """Return one line that names machine, device and torch."""
    card = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    return f"{machine()}{card}, torch {torch.__version__}"


def asked() -> argparse.Namespace:
    """Return what the command line says."""
    trained = [name for name in preset_names() if load_preset(name).train]
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is for trying")
    parser.add_argument("--presets", nargs="+", default=trained, choices=trained, metavar="NAME", help="(all)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["32", "bf16"], help="(32 bf16)")
    parser.add_argument("--batch", type=int, help="examples (those of the preset)")
    parser.add_argument("--seconds", type=float, help="of an example (those of the preset)")
    parser.add_argument("--steps", type=int, default=10, help="at least (10)")
    parser.add_argument("--least", type=float, default=2.0, help="seconds (2)")
    parser.add_argument("--most", type=float, default=5.0, help="seconds (5)")
    parser.add_argument("--out", type=Path, help="the numbers as JSON, written anew after each preset")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU; give --device cpu to try it")
    return arguments


def main() -> None:
    """Print the table."""
    arguments = asked()
    about, rows = where(arguments.device), []
    numbers: dict[str, Any] = {"machine": about, "rows": [], "failed": []}
    for name, precision in itertools.product(arguments.presets, arguments.precisions):
        arguments.precision = precision
        try:
            measured = measure(name, arguments)
            rows.append(measured.row())
            numbers["rows"].append(measured.as_dict())
            print(*rows[-1], flush=True)
        except Exception as error:  # one that does not train must not hide the others
            numbers["failed"].append(failed(name, error, arguments))
        forget(arguments.device)
        if arguments.out:
            arguments.out.write_text(json.dumps(numbers, indent=1) + "\n")
    print(f"\n{about}\n")
    print_table(HEADER, rows)


if __name__ == "__main__":
    main()
