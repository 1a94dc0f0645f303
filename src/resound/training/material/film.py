"""A recording's own noise over clean corpora: real stretches of it, and a chain fitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from resound.audio.atomic import atomic_file
from resound.corpora.manifest import Manifest, read_manifest, write_manifest
from resound.errors import ConfigError, InputError, counted, one_line
from resound.harvest.cut import Harvest, Heard, Source, harvest, listen, recording_of, write_report
from resound.harvest.fit import fitted_chain_text, full_snr_db
from resound.harvest.profile import measure_profile
from resound.harvest.stretches import HarvestConfig
from resound.training.material.material import PARTS, SEGMENT_SECONDS, Material, Say, part_of

SHARES = {"speech": 0.6, "effects": 0.2, "music": 0.2}  # of what a film holds
PIECE_SECONDS = 1.5  # stretches of noise are cut into such, so that there are some for each part
FEWEST_PIECES = 3
REAL_WEIGHT = 2.0  # of the noise that was cut out, where the fitted chain has 1
ROOM_DB = 2.0  # around the measured ratio


@dataclass(frozen=True)
class Noise:
    """The noise of one recording: a harvest, and the manifest of its pieces for each part (none: too few)."""

    heard: Heard
    harvest: Harvest
    banks: dict[str, Path]


def from_recordings(recordings: Sequence[Path], corpora: Sequence[Path], folder: Path, say: Say) -> Material:
    """Return clean corpora with the noise of recordings; what is made of it lies in ``folder``.

    Raises `ConfigError`, `InputError` and `OutputError`.
    """
    clean = clean_of(corpora)
    noises = cut_noise(recordings, folder / "noise", say)
    chains = {part: chain_of(noises, part) for part in PARTS}
    with atomic_file(folder / "chain.yaml", overwrite=False) as temporary:
        temporary.write_text(yaml.safe_dump(chains["train"], sort_keys=False, allow_unicode=True), encoding="utf-8")
    return Material(
        about="adapted to " + ", ".join(one_line(path.name) for path in recordings),
        data={
            "clean": clean,
            "chain": chains["train"],
            # What ends at 5 kHz in the film ends there in the target: the network takes noise away, it invents nothing.
            "same_on_target": ["band_limit"],
            "segment_seconds": SEGMENT_SECONDS,
            "augment": [{"gain": {"gain_db": [-12, 6]}}],
            "n_examples": 20_000,
        },
        # Chosen by noise of another part over the voices that are learnt from, in mixtures of their own; ...
        choosing={"split": "train", "seed": 1, "chain": chains["valid"]},
        # ... decided by noise and voices of which neither was ever heard.
        deciding={"split": "valid", "seed": 2, "chain": chains["test"]},
        recordings=tuple(recordings),
    )


def clean_of(corpora: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the clean material of manifests, in the shares of films.  Raises `ConfigError` where there is none."""
    found: dict[str, list[str]] = {}
    for path in corpora:
        for domain in dict.fromkeys(recording.domain for recording in read_manifest(path).recordings):
            if domain in SHARES:
                found.setdefault(domain, []).append(str(path.absolute()))
    if not found:
        names = ", ".join(str(path) for path in corpora)
        raise ConfigError(f"{names}: holds no speech, effects or music; give clean ones ('resound corpus scan FOLDER')")
    return [{"corpus": found[domain], "domain": domain, "share": SHARES[domain]} for domain in found]


def cut_noise(recordings: Sequence[Path], folder: Path, say: Say) -> list[Noise]:
    """Write the stretches in which recordings are noise alone.  Raises `InputError` for one that cannot be read."""
    sources = [Source(path) for path in dict.fromkeys(recordings)]
    heard = {source: listen(source) for source in sources}
    config = HarvestConfig(max_seconds=PIECE_SECONDS)
    harvests = list(harvest(sources, folder, config, heard=heard))
    for result in harvests:
        if result.error:
            raise InputError(result.error)
        pieces = counted(len(result.files), "piece")
        say(f"{one_line(result.source.path.name)}: {result.kept_seconds:.1f} s of noise alone, in {pieces}")
    if any(result.files for result in harvests):
        write_report(folder, harvests, config, overwrite=False)
    return [Noise(heard[result.source], result, banks_of(result, folder)) for result in harvests]


def banks_of(result: Harvest, folder: Path) -> dict[str, Path]:
    """Write a manifest of a recording's noise for each part, and return them; none for fewer than `FEWEST_PIECES`."""
    if len(result.files) < FEWEST_PIECES:
        return {}
    lines = [
        recording_of(folder, file, stretch, result)
        for file, stretch in zip(result.files, result.verdict.stretches, strict=True)
    ]
    banks = {part: folder / f"{result.name}-{part}.jsonl" for part in PARTS}
    for part, path in banks.items():
        chosen = [line for index, line in enumerate(lines) if part_of(index) == part]
        write_manifest(path, Manifest(folder, chosen, {"corpus": "adapt", "domain": "noise"}))
    return banks


def chain_of(noises: Sequence[Noise], part: str) -> dict[str, Any]:
    """Return a chain that makes clean sound like one of the recordings.

    Fitted noise helps to learn from; where there is real noise, choosing and deciding is done by that alone.
    """
    ways: list[dict[str, Any]] = []
    for noise in noises:
        profile = measure_profile(noise.harvest.source, heard=noise.heard)
        fitted = yaml.safe_load(fitted_chain_text(profile))["steps"]
        if noise.banks:
            snr_db = full_snr_db(profile)[0]
            real = {"bank": str(noise.banks[part].absolute()), "snr_db": [snr_db - ROOM_DB, snr_db + ROOM_DB]}
            band = [step for step in fitted if "band_limit" in step]
            ways.append({"chain": [*band, {"noise": real}], "weight": REAL_WEIGHT})
        if part == "train" or not noise.banks:
            ways.append({"chain": fitted})
    return {"about": "noise like that of the recordings", "steps": [{"one_of": ways}]}
