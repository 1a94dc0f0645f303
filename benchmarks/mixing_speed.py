"""How many training examples a second one process makes, beside audiomentations on the same files; memory over many.

Times are processor time, taken in turn; of each the fastest round counts, for what else the machine does can only make
one slower.  All files are made here: 20 speech-like recordings of 10 s and 10 noises of
30 s, 48 kHz FLAC; 8 exponentially decaying responses of 0.5 s; 40 speakers at 8 kHz.

* noise and room: a 3-s, 48-kHz segment from FLAC, recorded noise at an SNR, a room response.
* film-1960s: the same segment after the whole chain of that preset.
* two speakers: a 4-s, 8-kHz mixture, levels as in wsj0-2mix, speed 95 to 105 %.

audiomentations (AddBackgroundNoise, ApplyImpulseResponse) is given its segment by soundfile.  `pip install
audiomentations` may ask for an older soxr: an environment of its own is best.

    python benchmarks/mixing_speed.py
    python benchmarks/mixing_speed.py --examples 300 --memory-examples 10000
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common import machine, parser_for, print_table, processor_seconds  # keeps numpy to one thread: first

# isort: split
import numpy as np
import soundfile
from numpy.typing import NDArray
from restore_speed import worn_sound

from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.mixing.config import EnhancementConfig, SeparationConfig
from resound.mixing.stream import open_examples

RATE, SECONDS = 48_000, 3.0
WANTED = {"noise and room": 200, "film-1960s": 60, "two speakers": 400}


def write_corpus(folder: Path, name: str, sounds: list[NDArray], rate: int, domain: str) -> Path:
    """Write ``(time,)`` sounds as FLAC with a manifest, and return its path."""
    recordings = []
    for number, samples in enumerate(sounds):
        path = folder / name / f"{number:03d}.flac"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.5 * samples / np.abs(samples).max(), rate, subtype="PCM_16")
        labels = {"domain": domain, "speaker": f"s{number}", "split": "train", "bandwidth_hz": rate / 2}
        recordings.append(Recording(f"{name}/{path.name}", len(samples), rate, **labels))
    write_manifest(folder / f"{name}.jsonl", Manifest(folder, recordings))
    return folder / f"{name}.jsonl"


def make_material(folder: Path) -> None:
    """Write the corpora."""
    rng = np.random.default_rng(0)
    speech = [worn_sound(10, RATE, seed=seed)[0] for seed in range(20)]
    write_corpus(folder, "speech", speech, RATE, "speech")
    noises = [np.cumsum(rng.standard_normal(30 * RATE)) * 0.001 + rng.standard_normal(30 * RATE) for _ in range(10)]
    write_corpus(folder, "noise", noises, RATE, "noise")
    decay = np.exp(-np.arange(RATE // 2) / (0.08 * RATE))
    responses = [np.r_[1.0, 0.3 * rng.standard_normal(RATE // 2 - 1)] * decay for _ in range(8)]
    write_corpus(folder, "rooms", responses, RATE, "room")
    speakers = [worn_sound(12, 8000, seed=100 + seed)[0] for seed in range(40)]
    write_corpus(folder, "speakers", speakers, 8000, "speech")


def our_makers(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return what makes example k, by case."""
    basis = {"clean": {"corpus": folder / "speech.jsonl"}, "sample_rate": RATE, "segment_seconds": SECONDS}
    noisy = [
        {"noise": {"bank": str(folder / "noise.jsonl"), "snr_db": [0, 20]}},
        {"room": {"bank": str(folder / "rooms.jsonl")}},
    ]
    configs = {
        "noise and room": EnhancementConfig.model_validate(basis | {"chain": noisy}),
        "film-1960s": EnhancementConfig.model_validate(basis | {"chain": "film-1960s"}),
        "two speakers": SeparationConfig.model_validate({"speech": {"corpus": folder / "speakers.jsonl"}}),
    }
    streams = {name: open_examples(config) for name, config in configs.items()}
    return {name: lambda k, stream=stream: stream.example(0, k) for name, stream in streams.items()}


def their_maker(folder: Path) -> Callable[[int], object] | None:
    """Return audiomentations for the first case, None where it is not installed."""
    try:
        from audiomentations import AddBackgroundNoise, ApplyImpulseResponse, Compose
    except ImportError:
        print("audiomentations is not installed and left out", file=sys.stderr)
        return None
    spoil = Compose(
        [
            AddBackgroundNoise(folder / "noise", min_snr_db=0, max_snr_db=20, p=1.0),
            ApplyImpulseResponse(folder / "rooms", p=1.0),
        ]
    )
    files = sorted((folder / "speech").iterdir())
    rng = np.random.default_rng(0)

    def make(k: int) -> object:
        with soundfile.SoundFile(files[k % len(files)]) as file:
            file.seek(int(rng.integers(7 * RATE)))
            segment = file.read(round(SECONDS * RATE), dtype="float32")
        return spoil(segment, sample_rate=RATE)

    return make


def examples_a_second(makers: dict[str, Callable[[int], object]], n_examples: int, rounds: int) -> dict[str, float]:
    """Return the speed of the fastest round, makers in turn; caches are filled before."""
    taken: dict[str, list[float]] = {name: [] for name in makers}
    for make in makers.values():
        for k in range(40):
            make(k)
    for number in range(rounds):
        for name, make in makers.items():
            start = processor_seconds()
            for k in range(n_examples):
                make(number * n_examples + k)
            taken[name].append((processor_seconds() - start) / n_examples)
    return {name: 1 / min(times) for name, times in taken.items()}


def show_memory(folder: Path, n_examples: int) -> None:
    """Print the memory of the process after some and after many examples."""
    rows = []
    marks = sorted({n_examples // 10, n_examples // 2, n_examples})
    for name, make in our_makers(folder).items():
        peaks, done = [], 0
        for mark in marks:
            for k in range(done, mark):
                make(k)
            done = mark
            peaks.append(resident_megabytes())
        rows.append([name, *(f"{peak:.0f} MB" for peak in peaks)])
    print_table(["one process after ... examples", *map(str, marks)], rows)


def resident_megabytes() -> float:
    """Return the memory that this process holds now, its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--examples", type=int, default=40, help="per round and case")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--memory-examples", type=int, default=0, help="0: do not measure memory")
    options = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_material(folder)
        makers = our_makers(folder)
        theirs = their_maker(folder)
        everyone = makers | ({"audiomentations": theirs} if theirs else {})
        speeds = examples_a_second(everyone, options.examples, options.rounds)
        rows = [[f"resound, {case}", f"{speeds[case]:.0f}", f"at least {WANTED[case]}"] for case in makers]
        if theirs:
            try:
                label = f"audiomentations {version('audiomentations')}, noise and room"
            except PackageNotFoundError:
                label = "audiomentations, noise and room"
            rows.append([label, f"{speeds['audiomentations']:.0f}", "-"])
        print_table(["examples a second and process", "measured", "wanted"], rows)
        if options.memory_examples:
            show_memory(folder, options.memory_examples)


if __name__ == "__main__":
    main()
