"""What becomes of each preset's network as an ONNX file: size, how far it is from torch, and what a frame takes.

Weights are fresh but for those of networks that ship, which changes neither size nor time.  ``--forms`` may be
``streaming`` (networks that are causal), ``offline``, or both.

    python benchmarks/export_forms.py --presets voice timbre-report --forms streaming --weights float32 float16 int8
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import machine, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import torch

from resound.checkpoint import save_model
from resound.errors import ModelError
from resound.export.export import Exported, export
from resound.models import build
from resound.models.network import n_parameters
from resound.models.presets import load_preset, preset_names
from resound.shipped import SHIPPED, folder_of

HEADER = (
    "",
    "form",
    "parameters",
    "MB",
    "from torch",
    "frame, ms",
    "median, ms",
    "99 %, ms",
    "x real time",
    "dB of float32",
)


def model_of(preset: str, folder: Path) -> tuple[Path, int]:
    """Return the folder of a preset's network, and how many parameters it has."""
    about = load_preset(preset)
    torch.manual_seed(0)
    network = build(about.network, **about.config)
    if preset in SHIPPED:
        return folder_of(preset), n_parameters(network)
    save_model(folder / preset, network, overwrite=True)
    return folder / preset, n_parameters(network)


def row_of(preset: str, n_values: int, made: Exported, weights: str) -> list[str]:
    timing = made.timing
    assert timing is not None
    frame = ["–"] * 3
    if timing.frame_ms is not None:
        frame = [f"{timing.frame_ms:g}", f"{timing.median_ms:.2f}", f"{timing.p99_ms:.2f}"]
    return [
        preset,
        made.form + ("" if weights == "float32" else f", {weights}"),
        f"{n_values:,}",
        f"{made.size_mb:.2f}",
        f"{made.agreement.error:.0e}" if made.agreement else "–",
        *frame,
        f"{timing.real_time_factor:.4f}",
        "–" if made.quality_db is None else f"{made.quality_db:.0f}",
    ]


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--presets", nargs="+", default=preset_names())
    parser.add_argument("--forms", nargs="+", default=["streaming"], choices=["streaming", "offline"])
    parser.add_argument("--weights", nargs="+", default=["float32"], choices=["float32", "float16", "int8"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for preset in asked.presets:
            folder, n_values = model_of(preset, Path(name))
            for form in asked.forms:
                for weights in asked.weights:
                    try:
                        made = export(
                            folder,
                            Path(name) / "made.onnx",
                            is_streaming=form == "streaming",
                            weights=weights,
                            is_verified=weights == "float32",
                            is_timed=True,
                            overwrite=True,
                        )
                    except ModelError as error:
                        print(f"{preset}, {form}, {weights}: {error}", file=sys.stderr)
                        continue
                    rows.append(row_of(preset, n_values, made, weights))
                    print(*rows[-1], file=sys.stderr)
    print(f"{machine()}  One thread, 10 s of sound.\n")
    print_table(list(HEADER), rows)


if __name__ == "__main__":
    main()
