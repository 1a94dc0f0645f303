"""The folder of a prepared set: whose it is, how it begins, and the lists that end it."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from resound.audio.atomic import atomic_file
from resound.corpora.manifest import Manifest, Recording, read_manifest, write_manifest
from resound.errors import OutputError
from resound.mixing.config import Common, EnhancementConfig, PairsConfig
from resound.mixing.identity import differences
from resound.mixing.items import Record
from resound.mixing.journal import FOLDER, Records
from resound.mixing.plan import Plan

SETTINGS, EXAMPLES, MANIFEST = "prepare.json", "examples.jsonl", "manifest.jsonl"
ROLES = {"mix": "mixture"} | {f"s{number}": f"source{number}" for number in (1, 2, 3)}
OWN_FILE = re.compile(r"\.?(\d{6,})\.(flac|wav)(\.[0-9a-f]{8}\.partial)?")


def check_folder(folder: Path, facts: dict[str, Any], *, overwrite: bool) -> None:
    """Raise `OutputError` where the folder holds anything but a set made from the same."""
    there = _nearest_there(folder)
    if not there.is_dir():
        raise OutputError(f"{there}: is a file; give a folder with -o")
    if there != folder.absolute():
        return
    settings = folder / SETTINGS
    if not settings.exists():
        foreign = sorted(path.name for path in folder.iterdir() if not path.name.endswith(f".partial{settings.suffix}"))
        if foreign:
            raise OutputError(f"{folder}: holds something else ({foreign[0]}); choose an empty folder with -o")
        return
    if overwrite:
        return
    try:
        before = json.loads(settings.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError):
        raise OutputError(f"{settings}: cannot be read; use --overwrite to start anew") from None
    found = differences(before, facts)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise OutputError(
            f"{folder}: its examples were made from something else ({'; '.join(found[:3])}{more}); "
            "choose another folder with -o, or --overwrite to start anew"
        )


def begin(plan: Plan, facts: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folders and say what the set is made from, after removing an older set where that is asked for."""
    settings = plan.folder / SETTINGS
    if overwrite and settings.exists():
        _clear(plan.folder)
    if not settings.exists():
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        with atomic_file(settings, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    for side in plan.items.sides:
        (plan.folder / side).mkdir(exist_ok=True)


def _clear(folder: Path) -> None:
    """Remove a set, and nothing that is none of it: first what says that examples are whole, last what it is."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    for name in (EXAMPLES, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    for side in ("clean", "degraded", "denoised", *ROLES):
        for path in (folder / side).glob("*") if (folder / side).is_dir() else ():
            if OWN_FILE.fullmatch(path.name):
                path.unlink()
        with suppress(OSError):  # not there, or not empty
            (folder / side).rmdir()
    (folder / SETTINGS).unlink()


def remove_partial(plan: Plan) -> None:
    """Remove what killed runs of this shard left half-written."""
    for side in plan.items.sides:
        for entry in os.scandir(plan.folder / side):
            found = OWN_FILE.fullmatch(entry.name)
            if found and found[3] and int(found[1]) in plan.indices:
                Path(entry.path).unlink(missing_ok=True)


def is_there(folder: Path, record: Record | None) -> bool:
    """Return whether the files of a record have their sizes; the run that recorded them saw their checksums."""
    if record is None:
        return False
    try:
        return all(os.path.getsize(folder / file["path"]) == file["size_bytes"] for file in record["files"].values())
    except OSError:
        return False


def write_lists(plan: Plan, records: Records) -> None:
    """Write the list of examples and the manifest, in the order of the numbers, and remove the journals."""
    if hasattr(os, "sync"):
        os.sync()  # the lists say that the files are whole: those have to be on the disk first
    labels = _labels(plan.mixing)
    recordings = []
    with atomic_file(plan.folder / EXAMPLES, overwrite=True) as temporary, open(temporary, "wb") as out:
        for index in range(plan.n_examples):
            record = records.get(index)
            assert record is not None
            line = json.dumps(record, ensure_ascii=False)
            out.write(line.encode("utf-8", "surrogateescape") + b"\n")
            recordings += _recordings(record, plan.mixing, labels)
    about = {"corpus": "resound prepare", "domain": "pairs"}
    write_manifest(plan.folder / MANIFEST, Manifest(plan.folder, recordings, about), overwrite=True)
    shutil.rmtree(plan.folder / FOLDER, ignore_errors=True)


def _recordings(record: Record, mixing: Common, labels: dict[str, Recording]) -> list[Recording]:
    """Return the lines of the manifest about one example.

    A denoised side whose delay is not sure has none: whoever wants it finds it in the list of examples.
    """
    recipe = record["recipe"]
    source = labels.get(recipe["clean"]["file"]) if "clean" in recipe else None
    speakers = {f"s{number}": place["speaker"] for number, place in enumerate(recipe.get("sources", []), 1)}
    return [
        Recording(
            file["path"],
            record["n_samples"],
            record["sample_rate"],
            1 if side in speakers else mixing.n_channels,
            domain=record["domain"],
            speaker=speakers.get(side) or (source.speaker if source else None),
            language=source.language if source else None,
            licence=source.licence if source else None,
            split=mixing.split,
            bandwidth_hz=record["bandwidth_hz"],
            group=f"{record['index']:06}",
            role=ROLES.get(side, side),
            size_bytes=file["size_bytes"],
        )
        for side, file in record["files"].items()
        if side != "denoised" or record["denoiser"]["sure"]
    ]


def _labels(mixing: Common) -> dict[str, Recording]:
    """Return what the manifests of the clean material say about each file."""
    paths: set[Path] = set()
    if isinstance(mixing, EnhancementConfig):
        paths = {path for material in mixing.clean for path in material.corpus}
    elif isinstance(mixing, PairsConfig):
        paths = set(mixing.pairs)
    labels: dict[str, Recording] = {}
    for path in sorted(paths):
        manifest = read_manifest(path)
        labels |= {str(manifest.path_of(item)): item for item in manifest.recordings}
    return labels


def free_bytes(folder: Path) -> int:
    """Return the free space where the folder is or will be."""
    return shutil.disk_usage(_nearest_there(folder)).free


def _nearest_there(folder: Path) -> Path:
    """Return the folder, or the nearest above it that there is."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
