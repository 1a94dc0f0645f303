"""A few recordings that exist clean and degraded, made by anybody."""

from __future__ import annotations

import os
from pathlib import Path

from resound.audio.segments import header_of
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.errors import InputError, counted
from resound.mixing.config import mixing_from
from resound.mixing.pairs import files_by_name
from resound.mixing.stream import open_examples
from resound.training.material.material import PARTS, SEGMENT_SECONDS, Material, Say, part_of

FEWEST_PAIRS = 3  # one for each part
FEWEST_SEGMENTS = 2  # of each part: one decides nothing
USES = {"train": "learn from", "valid": "choose by", "test": "decide by"}
LR = 3e-5  # little is known, so little is changed


def from_pairs(clean: Path, degraded: Path, folder: Path, say: Say) -> Material:
    """Return the pairs of two folders, each pair in one part alone.

    Raises `InputError` for fewer than `FEWEST_PAIRS`, and for what `resound.mixing.pairs` refuses.
    """
    sides = {"clean": files_by_name(clean), "degraded": files_by_name(degraded)}
    names = sorted(sides["clean"].keys() & sides["degraded"].keys())
    if len(names) < FEWEST_PAIRS:
        raise InputError(
            f"{clean} and {degraded}: have {counted(len(names), 'name')} in common; give at least {FEWEST_PAIRS} "
            "pairs: to learn from, to choose by, to decide by"
        )
    root = Path(os.path.commonpath([clean.absolute(), degraded.absolute()]))
    lines = [
        line_of(path[name], root, name, role, part_of(index))
        for index, name in enumerate(names)
        for role, path in sides.items()
    ]
    manifest = folder / "pairs.jsonl"
    write_manifest(manifest, Manifest(root, lines, {"corpus": "adapt", "domain": "pairs"}))
    data = {"task": "pairs", "pairs": str(manifest.absolute()), "segment_seconds": SEGMENT_SECONDS}
    counts = {part: open_examples(mixing_from({**data, "split": part}, "pairs")).n_examples for part in PARTS}
    short = [part for part in PARTS if counts[part] < FEWEST_SEGMENTS]
    if short:
        raise InputError(
            f"{clean} and {degraded}: the part to {USES[short[0]]} is shorter than {FEWEST_SEGMENTS} segments of "
            f"{SEGMENT_SECONDS:g} s; give more pairs, or longer ones"
        )
    n_files = {part: sum(part_of(index) == part for index in range(len(names))) for part in PARTS}
    say("pairs: " + ", ".join(f"{n_files[part]} to {USES[part]}" for part in PARTS))
    return Material(
        about=f"adapted to {counted(len(names), 'pair')}",
        data={**data, "augment": [{"gain": {"gain_db": [-12, 6]}}]},
        choosing={"split": "valid", "augment": []},
        deciding={"split": "test"},
        recordings=tuple(sides["degraded"][name] for index, name in enumerate(names) if part_of(index) == "test"),
        lr=LR,
        n_choosing=counts["valid"],
        n_deciding=counts["test"],
    )


def line_of(path: Path, root: Path, name: str, role: str, part: str) -> Recording:
    """Return a file as a line of the manifest."""
    rate, n_samples, n_channels = header_of(path)
    place = os.path.relpath(path.absolute(), root)
    return Recording(place, n_samples, rate, n_channels, domain="pairs", split=part, group=name, role=role)
