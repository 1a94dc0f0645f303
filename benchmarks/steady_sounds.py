"""What a network for films takes of sounds that are meant: rain, wind and machines, which resemble a medium's noise.

The noises of a manifest, as they are, by how far they stand above their own floor (`scripts/list_effects.py`): those of
12 dB and more are effects, and of them those of split ``train`` are left out, for the network learnt from them.  Told
is how much quieter they come out, in the median and where most is taken.

    resound corpus scan ../shared/data -o data.jsonl
    python benchmarks/steady_sounds.py data.jsonl --model film.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import parser_for, print_table, read_mono, resound_method  # keeps numpy to one thread: first

# isort: split
import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))
from list_effects import ABOVE_FLOOR_DB, above_floor_db

from resound.corpora.manifest import Recording, read_manifest

SECONDS = 20  # of a recording at most
EDGES_DB = (-np.inf, 3.0, 6.0, 9.0, ABOVE_FLOOR_DB, np.inf)


def main() -> None:
    """Restore all and print the table."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("manifest", type=Path, help="what 'resound corpus scan' listed")
    parser.add_argument("--model", required=True, help="what restores")
    arguments = parser.parse_args()
    manifest, restore = read_manifest(arguments.manifest), resound_method(arguments.model)
    found: dict[int, list[tuple[float, str]]] = {}
    for recording in manifest.recordings:
        if recording.domain != "noise":
            continue
        samples, sample_rate = read_mono(manifest.path_of(recording))
        part = samples[: SECONDS * sample_rate]
        above_db = above_floor_db(samples, sample_rate)
        if not is_tried(recording, above_db) or not part.any():
            continue
        taken_db = 10 * np.log10(np.mean(part**2) / max(np.mean(restore(part, sample_rate) ** 2), 1e-20))
        found.setdefault(int(np.searchsorted(EDGES_DB, above_db, "right")), []).append((taken_db, recording.path))
    rows = []
    for group, sounds in sorted(found.items()):
        low, high = EDGES_DB[group - 1], EDGES_DB[group]
        name = (
            f"{low:g} dB and more: effects"
            if np.isinf(high)
            else f"{'0' if np.isinf(low) else f'{low:g}'} to {high:g} dB"
        )
        taken_db = np.array([each for each, _ in sounds])
        worst = ", ".join(f"{Path(path).stem} {each:.1f}" for each, path in sorted(sounds, reverse=True)[:4])
        rows.append((name, len(sounds), f"{np.median(taken_db):.1f}", f"{np.quantile(taken_db, 0.9):.1f}", worst))
    print_table(("above its own floor", "sounds", "quieter by, dB", "in a tenth by more than", "most"), rows)


def is_tried(recording: Recording, above_db: float) -> bool:
    """Tell whether no network can have learnt from a sound: it is steady, or of another split."""
    return not np.isnan(above_db) and (above_db < ABOVE_FLOOR_DB or recording.split != "train")


if __name__ == "__main__":
    main()
