#!/usr/bin/env python3
"""Put the best checkpoint of a training into the package, with its card.

The card's ``about`` and ``limits`` are written by hand and kept; all else is read from the run, from the manifests of
what it learnt from, and from the table that ``benchmarks/quality.py`` left.

    python scripts/ship_network.py runs/voice voice --told "6,000 steps of 16 mixtures of 2 s, 53 h in all; ..." \\
        --settings data.segment_seconds=2 training.batch_size=16 training.steps=6000
    python benchmarks/quality.py voice data.jsonl --model voice=voice --work quality
    python scripts/ship_network.py runs/voice voice ... --figures quality/voice/figures.json
"""

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from resound.checkpoint import load, model_folder, read_about, save_model
from resound.corpora.manifest import read_manifest
from resound.export.export import export
from resound.models.presets import load_preset
from resound.shipped import CARD, FOLDER, VERSION

LICENCE = "MIT"
UNFIT = re.compile(r"UNVERIFIED|\bNC\b|non-?commercial|^not stated$", re.IGNORECASE)


def learnt_from(manifests: list[Path], domains: list[str]) -> list[dict[str, Any]]:
    """Return a row for each source of recordings; end where a licence does not allow it."""
    files, seconds = Counter(), Counter()
    for path in manifests:
        for item in read_manifest(path).recordings:
            if item.split != "train" or item.domain not in domains:
                continue
            licence = item.licence or "not stated"
            if UNFIT.search(licence):
                sys.exit(f"{item.path}: licence is {licence!r}; what ships may not learn from it")
            key = item.domain, Path(item.path).parts[1], licence
            files[key] += 1
            seconds[key] += item.n_samples / item.sample_rate
    return [
        {
            "domain": domain,
            "source": source,
            "files": files[key],
            "minutes": round(seconds[key] / 60, 1),
            "licence": licence,
        }
        for key in sorted(files, key=lambda key: (domains.index(key[0]), -seconds[key]))
        for domain, source, licence in [key]
    ]


def main() -> None:
    """Write the folder of a network that ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a training's run")
    parser.add_argument("name", help="what it is called: a preset, too")
    parser.add_argument("--told", required=True, help="how it was trained, in words")
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="what differs from the preset")
    parser.add_argument("--domains", nargs="+", default=["speech", "noise", "room"], help="of its recordings")
    parser.add_argument("--figures", type=Path, help="the table of benchmarks/quality.py")
    arguments = parser.parse_args()
    folder, name = FOLDER / arguments.name, arguments.name
    before = yaml.safe_load((folder / CARD).read_text(encoding="utf-8"))
    config = yaml.safe_load((arguments.run / "config.yaml").read_text(encoding="utf-8"))
    manifests = sorted({Path(path) for domain in arguments.domains for path in config["corpora"][domain]})

    network, told = load(arguments.run), read_about(model_folder(arguments.run))
    kept = {key: told[key] for key in ("title", "step", "metrics")}
    (folder / "model.json").unlink(missing_ok=True)
    staged = folder.with_name(f".{name}.staged")
    save_model(staged, network, **kept, source=f"resound {version('resound')}", licence=LICENCE)
    for file in ("model.json", "weights.safetensors"):
        (staged / file).replace(folder / file)
    staged.rmdir()
    made = export(folder, folder / f"{name}.onnx", is_any_length=network.is_causal, overwrite=True)
    files = [f"{name}.onnx", "model.json", "weights.safetensors"]

    figures = before.get("figures")
    if arguments.figures is not None:
        table = json.loads(arguments.figures.read_text(encoding="utf-8"))
        figures = {
            "told": f"{table['count']} recordings of speakers and noises that it never heard; in brackets the 95 % "
            "interval of the mean; time is seconds for a second of sound on one core",
            "columns": table["columns"],
            "rows": table["rows"],
            "command": f"python benchmarks/quality.py {name} data.jsonl --model {name}={name}",
        }
    card = {
        "card": VERSION,
        "name": name,
        "about": before["about"],
        "licence": LICENCE,
        "made": datetime.now(UTC).date().isoformat(),
        "resound": version("resound"),
        "network": {
            "name": told["name"],
            "task": load_preset(name).task,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "sample_rate": network.sample_rate,
            "latency_ms": 1000 * network.latency_samples / network.sample_rate,
            "hop_ms": 1000 * network.grid_samples / network.sample_rate,
        },
        "data": learnt_from(manifests, arguments.domains),
        "training": {
            "told": arguments.told,
            "command": " ".join(["resound train", name, "--corpus data.jsonl", *arguments.settings]),
        },
        "figures": figures,
        "limits": before["limits"],
        "files": {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files},
    }
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120)
    (folder / CARD).write_text(text, encoding="utf-8")
    print(f"{folder}: step {told['step']}, {made.size_mb:.2f} MB, {made.agreement}")


if __name__ == "__main__":
    main()
