"""Every network whose original implementation is public, beside that original, on the same weights and input.

A case is a folder: ``about.json`` (configuration, parameters), ``weights.npz`` under the original's names, an input,
and what the original gave for it.  The weights go through the importer, as a published checkpoint does; the error is
||ours - theirs|| / ||theirs||, without gradients and with them (which other code makes), and at most 1e-4 is wanted.

    python benchmarks/models_parity.py --data ../shared/parity
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from common import need_folder, parser_for, print_table
from torch import Tensor

from resound.models.importers import import_weights
from resound.models.network import Network, n_parameters

DEFAULT_PARITY = Path("../shared/parity")
WANTED = 1e-4
# Which importer reads a case, by how its name begins; the page; the implementation.
ORIGINALS = {
    "conv_tasnet": ("asteroid", "conv_tasnet", "asteroid, ConvTasNet"),
    "tf_gridnet": ("espnet", "tf_gridnet", "ESPnet, TFGridNetV2"),
    "two_stage_unet": ("two-stage-unet", "two_stage_unet", "its authors', TensorFlow"),
    "demucs": ("denoiser", "demucs", "its authors' (denoiser)"),
}
# Said of a case beside its name.
FORMS = {
    "conv_tasnet_causal": ", causal",
    "demucs_causal": ", causal",
    "demucs_bidirectional": ", both ways",
}


def read(folder: Path, *names: str) -> Tensor:
    """Return the first of some arrays that a case has, ``(batch, channel, time)``."""
    path = next(path for path in (folder / f"{name}.npy" for name in names) if path.is_file())
    waveform = torch.from_numpy(np.load(path))
    return waveform if waveform.ndim == 3 else waveform.unsqueeze(1)


def imported(folder: Path, origin: str) -> Network:
    """Return the network of a case, from its weights by the importer."""
    config = json.loads((folder / "about.json").read_text(encoding="utf-8"))["config"]
    config.pop("source", None)
    words = [f"{key}={json.dumps(value)}" for key, value in config.items()]
    network, _ = import_weights(folder / "weights.npz", origin, words)
    return network


def error(ours: Tensor, theirs: Tensor) -> str:
    """Return the relative error; end where it is not what is wanted."""
    relative = float((ours - theirs).norm() / theirs.norm())
    if not relative <= WANTED:
        sys.exit(f"relative error {relative:.1e}, at most {WANTED:.0e} is wanted")
    return f"{relative:.1e}"


def rows(data: Path) -> Iterator[list[str]]:
    """Yield a row for each case, in the order of `ORIGINALS`."""
    for begin, (origin, page, implementation) in ORIGINALS.items():
        for folder in sorted(need_folder(data).glob(f"{begin}*/")):
            network = imported(folder, origin)
            x, theirs = read(folder, "input", "input_waveform"), read(folder, "output", "output_waveform")
            with torch.no_grad():
                errors = [error(network(x), theirs)]
            errors.append(error(network(x).detach(), theirs))
            name = f"[{page}](networks/{page}.md){FORMS.get(folder.name, '')}"
            published = json.loads((folder / "about.json").read_text(encoding="utf-8"))["parameters"]
            yield [name, implementation, f"{published:,}", f"{n_parameters(network):,}", *errors]


def main() -> None:
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--data", type=Path, default=DEFAULT_PARITY, help=f"folder of the cases ({DEFAULT_PARITY})")
    torch.set_num_threads(1)
    header = ["network", "original", "its parameters", "ours", "relative error", "with gradients"]
    print_table(header, rows(parser.parse_args().data))


if __name__ == "__main__":
    main()
