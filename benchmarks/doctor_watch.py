"""What doctor's watch costs beside a training: its share of the time of the steps, which is to stay below 1 %.

A training is looked at after each validation, at no other time.  Here the tables of a whole run of a preset's small
form grow as `resound train` writes them, and the watch looks at them as often as the preset validates; the steps beside
it are made with the preset's network, loss and batches.  With one thread these are seconds of the processor, else of
the clock.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/doctor_watch.py data.jsonl
    python benchmarks/doctor_watch.py data.jsonl --presets gatewave,quick --steps 5 --threads 1
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from common import machine, parser_for, print_table
from train_overhead import N_BATCHES, BareLoop, Chosen, batches_of, clock

# isort: split
import numpy as np
import torch

from resound.judging.measures import MEASURES
from resound.training.config import RunConfig
from resound.training.run_folder import RunFolder
from resound.training.watch import Watch

PRESETS = ["gatewave,quick", "convtasnet-student,quick", "film-prototype,quick"]


def step_seconds(config: RunConfig, n_steps: int) -> float:
    """Return the median time of a step."""
    batches, loop = batches_of(config), BareLoop(config)
    taken = [loop.step(batches[number % N_BATCHES]) for number in range(n_steps + 1)]
    return statistics.median(taken[1:])


def watch_seconds(config: RunConfig) -> list[float]:
    """Return the time of each look at a run that is as long as the preset says."""
    rng, training = np.random.default_rng(0), config.training
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name) / "run", config)
        folder.create()
        watch, taken = Watch(folder, config.doctor), []
        for step in range(1, training.steps + 1):
            gained = float(np.log1p(30 * step / training.steps))
            row = {"lr": config.optimiser.lr, "loss": rng.standard_normal() - gained, "grad_norm": rng.uniform(1, 4)}
            folder.log_step(step, row)
            if step % training.validate_every == 0:
                folder.log_validation(step, {metric: gained + 0.1 * rng.standard_normal() for metric in MEASURES})
                began = clock()
                watch(step)
                taken.append(clock() - began)
    return taken


def main() -> None:
    """Print the table."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="speech, music and noise, as 'resound corpus scan' lists them")
    parser.add_argument("--presets", nargs="+", default=PRESETS, metavar="NAME[,quick][:BATCH]")
    parser.add_argument("--steps", type=int, default=20, help="that are timed of each (20)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch (all cores)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for text in arguments.presets:
        config = Chosen.of(text, []).config(arguments.manifest)
        one, looks = step_seconds(config, arguments.steps), watch_seconds(config)
        share = sum(looks) / (one * config.training.steps)
        shown = [f"{1000 * one:.0f}", config.training.steps, len(looks), f"{1000 * statistics.median(looks):.1f}"]
        rows.append([text, *shown, f"{1000 * max(looks):.1f}", f"{100 * share:.3f} %"])
    print(f"{machine()}, torch {torch.__version__}, {arguments.threads} threads, {arguments.steps} steps timed\n")
    print_table(("preset", "step, ms", "steps", "looks", "a look, ms", "the longest, ms", "the watch's share"), rows)


if __name__ == "__main__":
    main()
