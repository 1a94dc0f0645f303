"""Whether a network of 48 kHz knows noise by what lies above the speech: recordings of 16 kHz, and the same ones with
faint noise above 8 kHz.

The set is that of ``benchmarks/quality.py voice``.  White noise above 8 kHz is added, 10 dB below the noise that is
there; judged is the error below 8 kHz alone, by how many dB it is lower than before, in the mean over the recordings.
A network that has learnt from both takes away as much in both.

    python benchmarks/quality.py voice data.jsonl --model voice=voice --work quality
    python benchmarks/noise_above.py quality --model voice
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import machine, parser_for, print_table, read_mono, resound_method  # keeps numpy to one thread: first

# isort: split
import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import resample

RATE, NETWORK_RATE = 16000, 48000
EDGE_HZ = 8400  # clear of what resampling to 16 kHz lets through
BELOW_NOISE_DB = 10.0
Samples = NDArray[np.float32]


def noise_above(like: Samples, seed: int) -> Samples:
    """Return white noise at 48 kHz above 8 kHz alone, `BELOW_NOISE_DB` below the power of what is given."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(like)))
    spectrum[: round(len(spectrum) * 2 * EDGE_HZ / NETWORK_RATE)] = 0
    noise = np.fft.irfft(spectrum, len(like))
    power = np.mean(like**2) * 10 ** (-BELOW_NOISE_DB / 10)
    return (noise * np.sqrt(power / np.mean(noise**2))).astype(np.float32)


def lowered_db(clean: Samples, degraded: Samples, restored: Samples) -> float:
    """Return by how much the error is lower, all at 16 kHz."""
    n = min(map(len, (clean, degraded, restored)))
    before, after = (np.sum((side[:n] - clean[:n]) ** 2) for side in (degraded, restored))
    return float(10 * np.log10(before / after))


def at(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Return the same at another rate."""
    return resample(samples[np.newaxis].astype(np.float32), from_rate, to_rate)[0]


def main() -> None:
    """Print the table."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("work", type=Path, help="the folder of benchmarks/quality.py")
    parser.add_argument("--model", nargs="+", default=["voice"], help="names, .onnx files or folders (voice)")
    arguments = parser.parse_args()
    paths = sorted((arguments.work / "voice" / "set" / "degraded").glob("*.wav"))
    if not paths:
        sys.exit(f"{arguments.work}: holds no set; run benchmarks/quality.py voice with --work first")
    rows = []
    for model in arguments.model:
        method = resound_method(model)
        found: list[tuple[float, float]] = []
        for seed, path in enumerate(paths):
            degraded, rate = read_mono(path)
            clean, _ = read_mono(path.parent.parent / "clean" / path.name)
            assert rate == RATE and len(clean) == len(degraded)
            wide, wide_clean = (at(side, RATE, NETWORK_RATE) for side in (degraded, clean))
            both = (wide, wide + noise_above(wide - wide_clean, seed))
            restored = [at(np.asarray(method(each, NETWORK_RATE)), NETWORK_RATE, RATE) for each in both]
            narrow, open_ = (lowered_db(clean, degraded, each) for each in restored)
            found.append((narrow, open_))
        rows.append([model, *(f"{value:.1f}" for value in np.mean(found, axis=0))])
    print(f"{machine()}; {len(paths)} recordings\n")
    print_table(["", "nothing above 8 kHz, dB", "noise above 8 kHz, dB"], rows)


if __name__ == "__main__":
    main()
