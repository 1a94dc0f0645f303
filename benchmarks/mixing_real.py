"""What mixing makes of real recordings: how much there is to learn from, and what 200 examples of each kind are like.

The recordings are those of the data folder, by their own splits; noises and rooms of the chain follow the split.

    python benchmarks/mixing_real.py --data ../shared/data
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from common import need_folder, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import numpy as np

from resound.corpora.manifest import Manifest, write_manifest
from resound.corpora.scan import ScanOptions, scan
from resound.dsp.active import active_speech_power
from resound.mixing.config import EnhancementConfig, PairsConfig, SeparationConfig
from resound.mixing.example import Example, Examples
from resound.mixing.stream import open_examples

N_EXAMPLES = 200


def scanned(data: Path, folder: Path) -> dict[str, str]:
    """Write one manifest for each domain of the data, and return their paths."""
    everything = scan(need_folder(data), ScanOptions()).manifest
    paths = {}
    for domain in ("speech", "music", "noise", "room", "pairs"):
        recordings = [item for item in everything.recordings if item.domain == domain]
        if domain == "pairs":  # both sides of them
            groups = {item.group for item in recordings if item.group}
            recordings = [item for item in everything.recordings if item.group in groups]
        paths[domain] = str(folder / f"{domain}.jsonl")
        write_manifest(Path(paths[domain]), Manifest(everything.root, recordings, {}))
    return paths


def streams(paths: dict[str, str]) -> dict[str, Examples]:
    """Return the streams to look at, by name."""
    noisy: list[dict[str, Any]] = [
        {"room": {"bank": paths["room"], "target": "early"}, "probability": 0.3},
        {"noise": {"bank": paths["noise"], "snr_db": [0, 20]}},
    ]
    mixed = {"clean": [{"corpus": paths["speech"], "share": 0.75}, {"corpus": paths["music"], "share": 0.25}]}
    configs = {
        "noise and rooms, 48 kHz": EnhancementConfig.model_validate(mixed | {"chain": noisy}),
        "film-1960s, 48 kHz": EnhancementConfig.model_validate(mixed | {"chain": "film-1960s"}),
        "two speakers, 8 kHz": SeparationConfig.model_validate({"speech": {"corpus": paths["speech"]}}),
        "three speakers, 8 kHz": SeparationConfig.model_validate(
            {"speech": {"corpus": paths["speech"]}, "n_speakers": 3}
        ),
        "published pairs, 16 kHz": PairsConfig.model_validate(
            {"pairs": paths["pairs"], "sample_rate": 16000, "segment_seconds": 2.0}
        ),
    }
    return {name: open_examples(config) for name, config in configs.items()}


def ratio_db(example: Example) -> float:
    """Return degraded against clean in dB; of a mixture the active level of the first speaker over the second."""
    if len(example.clean) > 1:
        powers = [active_speech_power(source, example.sample_rate) for source in example.clean[:2]]
        return float(10 * np.log10(powers[0] / powers[1]))
    rest = (example.degraded - example.clean).astype(np.float64)
    return float(10 * np.log10(np.mean(example.clean.astype(np.float64) ** 2) / max(np.mean(rest**2), 1e-20)))


def main() -> None:
    data = parser_for(__doc__).parse_args().data
    available, made = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, stream in streams(scanned(data, Path(folder))).items():
            told = stream.describe()
            kinds = told.get("kinds", [told])
            hours, speakers = sum(kind["hours"] for kind in kinds), sum(kind["speakers"] for kind in kinds)
            available.append([name, f"{hours:.2f}", speakers, told["segments"], f"{told['distinct_mixtures']:,}"])
            examples = [stream.example(0, index) for index in range(min(N_EXAMPLES, stream.n_examples))]
            ratios = np.percentile([ratio_db(example) for example in examples], [10, 50, 90])
            bandwidths = np.percentile([example.bandwidth_hz for example in examples], [10, 50, 90]) / 1000
            peaks = max(float(np.abs(example.degraded).max()) for example in examples)
            domains = ", ".join(f"{k} {v}" for k, v in sorted(Counter(e.domain for e in examples).items()))
            made.append([name, domains, *(" / ".join(f"{v:.1f}" for v in p) for p in (ratios, bandwidths))])
            made[-1] += [f"{peaks:.2f}", stream.skipped.total()]
            print(f"{name}: {dict(stream.skipped)}", file=sys.stderr)
    print_table(["training split", "hours", "speakers", "segments", "distinct mixtures of segments"], available)
    print_table(
        [f"up to {N_EXAMPLES} examples", "domains", "ratio, dB", "bandwidth, kHz", "highest peak", "skipped"],
        made,
    )


if __name__ == "__main__":
    main()
