"""Times each degradation and each preset chain on three seconds of mono sound at 48 kHz, on one core.

    python benchmarks/degrade_speed.py                     # all
    python benchmarks/degrade_speed.py hiss film-1960s     # these

Times are of the processor, so that other work on the machine counts little: the smallest and the median of some runs,
parameters drawn anew for each, as in training.  For what draws from a bank of recordings, one is made of noise.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import machine, parser_for, print_table

SECONDS, RATE = 3.0, 48000
N_RUNS = 15


def milliseconds(draw: Callable[[int], list], apply: Callable[[list], object]) -> tuple[float, float]:
    """Return the smallest and the median time of a run, in ms, over drawn parameters."""
    times = []
    for seed in range(N_RUNS):
        drawn = draw(seed)
        start = time.process_time()
        apply(drawn)
        times.append(1000 * (time.process_time() - start))
    return min(times), sorted(times)[N_RUNS // 2]


def main() -> None:
    """Print two tables."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="degradations and chains; all where none is given")
    names = parser.parse_args().names

    import numpy as np
    import soundfile

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from resound.degrade.chain import (
        DEGRADATIONS,
        apply_chain,
        chain_names,
        load_chain,
        n_samples_needed,
        read_degradation,
    )
    from signals import speech_like

    voice = speech_like(SECONDS + 1, RATE)[np.newaxis].astype(np.float32)
    n_samples = round(SECONDS * RATE)

    def apply(drawn: list) -> object:
        return apply_chain(voice[:, : n_samples_needed(n_samples, drawn)], RATE, drawn)

    with tempfile.TemporaryDirectory() as bank:
        decay = np.exp(-np.arange(RATE // 2) / RATE * 14)
        noise = np.random.default_rng(0).standard_normal(5 * RATE)
        soundfile.write(Path(bank) / "noise.flac", 0.1 * noise, RATE)
        soundfile.write(Path(bank) / "room.flac", 0.2 * noise[: RATE // 2] * decay, RATE)
        files = {"room": "room.flac", "noise": "noise.flac", "babble": "noise.flac"}
        rows = []
        for name in (item for item in DEGRADATIONS if not names or item in names):
            made = read_degradation(name, {"bank": str(Path(bank) / files[name])} if name in files else None)
            times = milliseconds(lambda seed, m=made, n=name: [{n: m.draw(np.random.default_rng(seed))}], apply)
            rows.append((f"`{name}`", *(f"{value:.2f}" for value in times)))
        if rows:
            print_table(("degradation", "least ms", "median ms"), rows)
        rows = []
        for name in (item for item in chain_names() if not names or item in names):
            chain = load_chain(name)
            times = milliseconds(lambda seed, c=chain: c.draw(np.random.default_rng(seed)), apply)
            rows.append((f"`{name}`", *(f"{value:.1f}" for value in times), f"{1000 / times[1]:.0f}"))
        if rows:
            print_table(("chain", "least ms", "median ms", "a second"), rows)
    print(f"{SECONDS:g} s, {RATE} Hz, mono, one core. {machine()}.")


if __name__ == "__main__":
    main()
