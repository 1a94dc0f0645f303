#!/usr/bin/env python3
"""Put the best checkpoint of a training into the package, with its card.

The card's ``about`` and ``limits`` are written by hand and kept; all else is read from the run, from the manifests of
what it learnt from, and from the table that ``benchmarks/quality.py`` left, or ``benchmarks/separation.py``.

    python scripts/ship_network.py runs/voice voice --told "6,000 steps of 16 mixtures of 2 s, 53 h in all; ..." \\
        --settings data.segment_seconds=2 training.batch_size=16 training.steps=6000
    python benchmarks/quality.py voice data.jsonl --model voice=voice --work quality
    python scripts/ship_network.py runs/voice voice ... --figures quality/voice/figures.json
"""

import argparse
import csv
import functools
import hashlib
import json
import re
import sys
import tempfile
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
from resound.shipped import CARD, FOLDER, VERSION, Card
from resound.training.config import load_run_config

LICENCE = "MIT"
# What the weights come of.  The validation only chooses among them: say in --told what differs there.
RECIPE = (
    "task",
    "network",
    "config",
    "initial",
    "after",
    "data",
    "loss",
    "adversarial",
    "optimiser",
    "schedule",
    "ema",
)
RECIPE_OF_STEPS = ("steps", "batch_size", "accumulate", "precision", "seed", "same_every_epoch")
UNFIT = re.compile(r"UNVERIFIED|\bNC\b|non-?commercial|^not stated$", re.IGNORECASE)


def repositories(credits: Path | None) -> dict[str, str]:
    """Return where the recordings of each folder come from."""
    if credits is None:
        return {}
    with open(credits, newline="", encoding="utf-8") as rows:
        return {str(Path(row["path"]).with_suffix("")): row["source_repo"] for row in csv.DictReader(rows)}


def source_of(path: str) -> str:
    """Return the folder of a source, such as speech/librispeech, whatever is below it."""
    folders = Path(path).parts[:-1]
    if not folders or Path(path).is_absolute():
        sys.exit(f"{path}: says no source; the manifest's paths are to be KIND/SOURCE/...")
    return "/".join(folders[:2])


def without_suffixes(path: str) -> Path:
    """Return ``a/b`` of ``a/b.opus``, and of ``a/b.opus.flac``, as `resound corpus dehiss` calls it."""
    return Path(path.removesuffix(".flac")).with_suffix("") if path.endswith(".flac") else Path(path).with_suffix("")


def learnt_from(manifests: list[Path], domains: list[str], credits: dict[str, str]) -> list[dict[str, Any]]:
    """Return a row for each source of recordings; end where a licence does not allow it."""
    files, seconds = Counter(), Counter()
    for path in manifests:
        for item in read_manifest(path).recordings:
            if item.split != "train" or item.domain not in domains:
                continue
            licence = item.licence or "not stated"
            if UNFIT.search(licence):
                sys.exit(f"{item.path}: licence is {licence!r}; what ships may not learn from it")
            source = source_of(item.path)
            key = item.domain, source.rpartition("/")[2], licence, credits.get(str(without_suffixes(item.path)))
            files[key] += 1
            seconds[key] += item.n_samples / item.sample_rate
    return [
        {
            "domain": domain,
            "source": source,
            "files": files[key],
            "minutes": round(seconds[key] / 60, 1),
            "licence": licence,
            **({"repository": repository} if repository else {}),
        }
        for key in sorted(files, key=lambda key: (domains.index(key[0]), -seconds[key]))
        for domain, source, licence, repository in [key]
    ]


def domains_heard(config: dict[str, Any]) -> list[str]:
    """Return the domains of recordings that a run's examples are made of, in the order in which they come."""
    names = re.findall(r"<(\w+)\??>", yaml.safe_dump(config["data"], sort_keys=False))
    return [name for name in dict.fromkeys(names) if name in config["corpora"]]


def check_recipe(name: str, settings: list[str], config: dict[str, Any]) -> None:
    """End where the command that the card shall tell would not train as the run did."""
    corpora = sorted({Path(path) for paths in config["corpora"].values() for path in paths})
    wanted = load_run_config(name, settings, corpora=corpora).model_dump(mode="json")
    keys = [(key,) for key in RECIPE] + [("training", key) for key in RECIPE_OF_STEPS]
    for key in keys:
        planned, had = (functools.reduce(lambda part, name: part.get(name), key, each) for each in (wanted, config))
        if planned != had:
            sys.exit(f"--settings: {'.'.join(key)} would be {planned}, and the run has {had}; name what differs")


def figures_of(table: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what ``benchmarks/quality.py`` or ``benchmarks/separation.py`` found, as the card has it."""
    if "command" in table:
        return table
    return {
        "told": f"{table['count']} recordings, none of which it ever heard; in brackets the 95 % "
        "interval of the mean; time is seconds for a second of sound on one core",
        "columns": table["columns"],
        "rows": table["rows"],
        "command": f"python benchmarks/quality.py {name} data.jsonl --model {name}={name}",
    }


def main() -> None:
    """Write the folder of a network that ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a training's run")
    parser.add_argument("name", help="what it is called: a preset, too")
    parser.add_argument("--told", required=True, help="how it was trained, in words")
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="what differs from the preset")
    parser.add_argument("--corpus", nargs="+", default=["data.jsonl"], help="what the command calls the manifests")
    parser.add_argument("--credits", type=Path, help="CSV with path and source_repo of the recordings")
    parser.add_argument("--figures", type=Path, help="the table of benchmarks/quality.py, of these weights")
    arguments = parser.parse_args()
    folder, name = FOLDER / arguments.name, arguments.name
    if not (folder / CARD).exists():
        sys.exit(f"{folder / CARD}: not there; write one with 'about' and 'limits', which are made by hand")
    before = yaml.safe_load((folder / CARD).read_text(encoding="utf-8"))
    config = yaml.safe_load((arguments.run / "config.yaml").read_text(encoding="utf-8"))
    check_recipe(name, arguments.settings, config)
    domains = domains_heard(config)
    manifests = sorted({Path(path) for domain in domains for path in config["corpora"][domain]})
    if len(arguments.corpus) != len(manifests):
        sys.exit(f"--corpus: {len(arguments.corpus)} names for {', '.join(map(str, manifests))}; give each its name")
    corpora = [f"--corpus {each}" for each in arguments.corpus]
    data = learnt_from(manifests, domains, repositories(arguments.credits))

    network, told = load(arguments.run), read_about(model_folder(arguments.run))
    kept = {key: told[key] for key in ("title", "step", "metrics")}
    after = config.get("after") or {}  # of the classic chain
    after = after if after.get("order") else {}
    kept |= {"after": after} if after else {}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".staged-") as temporary:
        staged = Path(temporary) / name
        save_model(staged, network, **kept, source=f"resound {version('resound')}", licence=LICENCE)
        made = export(staged, staged / f"{name}.onnx", is_any_length=network.is_causal, overwrite=True)
        files = [f"{name}.onnx", "model.json", "weights.safetensors"]
        hashes = {file: hashlib.sha256((staged / file).read_bytes()).hexdigest() for file in files}
        of_same_weights = before.get("files", {}).get(files[-1]) == hashes[files[-1]]
        figures = before.get("figures") if of_same_weights else None
        if arguments.figures is not None:
            figures = figures_of(json.loads(arguments.figures.read_text(encoding="utf-8")), name)
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
                "latency_ms": 1000 * network.latency_samples / network.sample_rate if network.is_causal else None,
                "hop_ms": 1000 * network.grid_samples / network.sample_rate,
                **({"after": after} if after else {}),
            },
            "data": data,
            "training": {
                "told": arguments.told,
                "command": " ".join(["resound train", name, *corpora, *arguments.settings]),
            },
            "figures": figures,
            "limits": before["limits"],
            "files": hashes,
        }
        Card.model_validate(card)
        (staged / CARD).write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120), "utf-8")
        for file in [*files, CARD]:
            (staged / file).replace(folder / file)
    print(f"{folder}: step {told['step']}, {made.size_mb:.2f} MB, {made.agreement}")
    print(f"'about' and 'limits' are kept as they were; read them: {folder / CARD}")


if __name__ == "__main__":
    main()
