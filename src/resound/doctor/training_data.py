"""The evidence in what a training reads: drawn examples, the recordings they are made of, how much there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resound.corpora.manifest import read_manifest
from resound.doctor.data_evidence import (
    Amount,
    DataEvidence,
    PairFacts,
    Progress,
    Shares,
    Validation,
    above_band_db,
    compare,
    evidence_of_pairs,
    own_snr_db,
    unrelated_in,
)
from resound.doctor.likeness import Likeness
from resound.doctor.pair_lists import Pair, PairList, pairs_between
from resound.doctor.settings import DoctorSettings
from resound.doctor.sounds import Audio, FileFacts, look_at_file
from resound.doctor.splits import Splits, splits_of
from resound.errors import InputError, counted
from resound.inference.workers import count_of_jobs, map_in_order
from resound.mixing.config import Common, EnhancementConfig, Material, PairsConfig, SeparationConfig
from resound.mixing.enhancement import Enhancement
from resound.mixing.example import Examples
from resound.mixing.items import only_noise_of
from resound.mixing.set_folder import EXAMPLES
from resound.mixing.stream import open_examples

if TYPE_CHECKING:
    from resound.models.presets import Published  # it loads torch

N_FOR_TARGET = 20  # examples whose noise is set against the user's recordings
N_SHARED = 1000  # examples whose domain is looked at, without making them


@dataclass(frozen=True)
class TrainingData:
    """What a training reads, and what its plan says about it."""

    training: Common
    validation: Common | None = None
    n_parameters: int | None = None
    published: Published | None = None
    is_repeated: bool = False  # the same examples in every epoch
    left_out: Sequence[str] = ()
    judged: Validation | None = None
    targets: Sequence[Path] = ()  # the user's own recordings


def evidence_of_training(
    data: TrainingData, settings: DoctorSettings, *, n_jobs: int = 0, progress: Progress | None = None
) -> DataEvidence:
    """Return what a training's data hold.  Raises `InputError`."""
    config = data.training
    jobs = count_of_jobs(n_jobs)
    examples = open_examples(config)
    degraded: list[Audio] = []
    if isinstance(config, PairsConfig):
        listed = with_asked(pairs_of_config(config), config)
        evidence = evidence_of_pairs(listed, settings, n_jobs=n_jobs, progress=progress)
        evidence = replace(evidence, wanted_rate=config.sample_rate)
    else:
        evidence, degraded = _evidence_of_examples(examples, config, settings, jobs, progress)
    evidence = replace(
        evidence,
        amount=amount_of(examples, data),
        shares=shares_of(examples, data.left_out),
        validation=data.judged,
        splits=_splits(examples, data, settings, jobs),
    )
    if data.targets:
        from resound.doctor.resemblance import resemblance_of

        if not degraded:
            degraded = [examples.example(0, index).degraded for index in range(min(N_FOR_TARGET, examples.n_examples))]
        snrs = [pair.gain.snr_db for pair in evidence.pairs if pair.gain is not None]
        found = resemblance_of(data.targets, degraded, config.sample_rate)
        evidence = replace(evidence, resemblance=replace(found, snr_db=float(np.median(snrs)) if snrs else None))
    return evidence


def pairs_of_config(config: PairsConfig) -> PairList:
    """Return the pairs on disk that a config names."""
    if config.clean is not None and config.degraded is not None:
        return pairs_between(config.clean, config.degraded)
    pairs, alone = [], 0
    for path in config.pairs:
        manifest = read_manifest(path)
        groups: dict[str, dict[str, Path]] = {}
        for item in manifest.recordings:
            if config.split in (None, item.split) or item.split is None:
                groups.setdefault(item.group or item.path, {})[item.role or ""] = manifest.path_of(item)
        whole = {name: sides for name, sides in groups.items() if {"clean", config.inputs[0]} <= sides.keys()}
        pairs += [Pair(name, sides["clean"], sides[config.inputs[0]]) for name, sides in whole.items()]
        alone += len(groups) - len(whole)
    return PairList(pairs, [f"{counted(alone, 'recording')} without a partner, left out"] if alone else [])


def with_asked(listed: PairList, config: PairsConfig) -> PairList:
    """Return pairs with the SNR that the records of a prepared set say was asked for."""
    if config.inputs[0] != "degraded":
        return listed  # what a denoiser left has another SNR, as it should
    asked: dict[Path, float] = {}
    for manifest in config.pairs:
        records = manifest.parent / EXAMPLES
        if not records.is_file():
            continue
        for line in records.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            noise = only_noise_of(record.get("recipe", {}))
            if noise is not None and noise.get("reference", "full") == "full" and "clean" in record.get("files", {}):
                asked[manifest.parent / record["files"]["clean"]["path"]] = float(noise["snr_db"])
    return PairList([replace(pair, asked_snr_db=asked.get(pair.clean)) for pair in listed.pairs], listed.notes)


def amount_of(examples: Examples, data: TrainingData) -> Amount:
    """Return how much there is to learn from: the material, or the examples where the same come in every epoch."""
    told = examples.describe()
    kinds = told.get("kinds") or [told]
    speakers = sum(kind["speakers"] for kind in kinds)
    hours = sum(kind["hours"] for kind in kinds)
    n_distinct = told["distinct_mixtures"]
    if data.is_repeated:
        n_distinct = min(n_distinct, examples.n_examples)
        hours = n_distinct * data.training.segment_seconds / 3600
    is_fixed = data.is_repeated or told["mixing"] == "fixed"
    return Amount(hours, speakers or None, n_distinct, is_fixed, data.n_parameters, data.published)


def shares_of(examples: Examples, left_out: Sequence[str]) -> Shares | None:
    """Return the shares of domains; None where nothing asks for any."""
    if not isinstance(examples, Enhancement):
        return None
    materials = examples.config.clean
    whole = sum(item.share for item in materials)
    asked: dict[str, float] = {}
    for item in materials:
        asked[item.domain or ""] = asked.get(item.domain or "", 0.0) + item.share / whole
    n = min(N_SHARED, examples.n_examples)
    drawn = {domain: count / n for domain, count in examples.domains(n).items()}
    return Shares({} if "" in asked else asked, drawn, left_out)


def _splits(examples: Examples, data: TrainingData, settings: DoctorSettings, jobs: int) -> Splits | None:
    if data.validation is None:
        return None
    valid = open_examples(data.validation)
    speakers = (_speakers_of(data.training), _speakers_of(data.validation))
    return splits_of(examples.files(), valid.files(), speakers, settings, jobs)


def _speakers_of(config: Common) -> set[str]:
    """Return the speakers of a config's material, by corpus and name."""
    materials: Sequence[Material] = ()
    if isinstance(config, EnhancementConfig):
        materials = config.clean
    elif isinstance(config, SeparationConfig):
        materials = config.speech
    paths = [path for item in materials for path in item.corpus]
    if isinstance(config, PairsConfig):
        paths = list(config.pairs)
    found = set()
    for path in paths:
        manifest = read_manifest(path)
        corpus = str(manifest.about.get("corpus") or path.stem)
        found |= {
            f"{corpus}/{item.speaker}"
            for item in manifest.recordings
            if item.speaker and (config.split is None or item.split in (None, config.split))
        }
    return found


def _evidence_of_examples(
    examples: Examples, config: Common, settings: DoctorSettings, jobs: int, progress: Progress | None
) -> tuple[DataEvidence, list[Audio]]:
    """Return the evidence in drawn examples and in the recordings they are made of, and some degraded sides."""
    rng = np.random.default_rng(settings.seed)
    n_examples = min(settings.n_examples, examples.n_examples)
    indices = sorted(rng.choice(examples.n_examples, n_examples, replace=False).tolist())
    files = examples.files()
    n_files = min(settings.n_files, len(files))
    chosen = [files[number] for number in sorted(rng.choice(len(files), n_files, replace=False))]
    groups = [indices[start : start + 4] for start in range(0, n_examples, 4)]
    tasks: list[list[int] | Path] = [*groups, *chosen]
    if len(tasks) < 40:  # processes take longer to start
        jobs = 1
    pairs: list[PairFacts] = []
    unrelated: list[Likeness] = []
    others: list[FileFacts] = []
    sums: list[float] = []
    degraded: list[Audio] = []
    for done, found in enumerate(map_in_order(_Start(config), tasks, jobs), 1):
        if isinstance(found, FileFacts):
            others.append(found)
        else:
            pairs += found.pairs
            unrelated += found.unrelated
            sums += found.sums
            degraded += found.degraded
        if progress is not None:
            progress(done, len(tasks))
    evidence = DataEvidence(
        pairs,
        unrelated,
        others,
        wanted_rate=config.sample_rate,
        sums_db=sums,
        where_pairs=f"{counted(n_examples, 'example')} drawn with seed {settings.seed}",
        where_files=f"{n_files} of {counted(len(files), 'recording')}, drawn with seed {settings.seed}",
    )
    return evidence, degraded


@dataclass(frozen=True)
class _Made:
    pairs: list[PairFacts]
    unrelated: list[Likeness]
    sums: list[float]
    degraded: list[Audio]


class _Maker:
    """Makes and looks at examples, and looks at recordings, in one process."""

    def __init__(self, config: Common) -> None:
        self.config = config
        self.examples = open_examples(config)

    def __call__(self, task: list[int] | Path) -> _Made | FileFacts:
        if isinstance(task, Path):
            return look_at_file(task, "clean")[0]
        made = [self.examples.example(0, index) for index in task]
        pairs, sides, sums = [], [], []
        is_sum = isinstance(self.config, SeparationConfig) and self.config.chain is None
        for index, example in zip(task, made, strict=True):
            clean = example.clean.sum(axis=0, keepdims=True) if example.task == "separate" else example.clean
            found = compare(clean, example.degraded[: len(clean)], (example.sample_rate, example.sample_rate))
            noise = only_noise_of(example.recipe) or {}
            asked = noise.get("snr_db") if noise.get("reference", "full") == "full" else None
            name = f"example {index}"
            facts = [
                FileFacts(Path(name), side, None, example.sample_rate, audio.shape[1], len(audio))
                for side, audio in (("clean", clean), ("degraded", example.degraded))
            ]
            above_db = above_band_db(clean, example.degraded[: len(clean)], example.sample_rate)
            own_db = own_snr_db(found.clean)
            pairs.append(PairFacts(name, facts[0], facts[1], *found.facts, asked, above_db, own_db))
            sides.append(found)
            if is_sum:
                sums.append(residual_db(example.degraded, example.clean))
        kept = [example.degraded for example in made[:2]]
        return _Made(pairs, unrelated_in(sides), sums, kept)


@dataclass(frozen=True)
class _Start:
    """Starts a maker in a process; it travels there by name."""

    config: Common

    def __call__(self) -> _Maker:
        return _Maker(self.config)


def residual_db(mixture: Audio, sources: Audio) -> float:
    """Return what is left of a mixture ``(1, time)`` without its sources ``(source, time)``, against it, in dB."""
    rest = mixture - sources.sum(axis=0, keepdims=True)
    power = float(np.mean(np.square(mixture, dtype=np.float64)))
    return float(10 * np.log10(np.mean(np.square(rest, dtype=np.float64)) / max(power, 1e-20) + 1e-12))


def evidence_of_sums(mixture: Path, sources: Sequence[Path], settings: DoctorSettings) -> DataEvidence:
    """Return by how much mixtures differ from the sum of their sources, folders of the same names.

    Raises `InputError`.
    """
    listed = [pairs_between(source, mixture) for source in sources]
    names = set.intersection(*({pair.name for pair in each.pairs} for each in listed))
    if not names:
        raise InputError(f"{mixture}: no mixture has all its sources; give folders with the same names")
    by_name = [{pair.name: pair for pair in each.pairs} for each in listed]
    chosen = sorted(names)[:: max(1, len(names) // settings.n_files)]
    sums, files = [], []
    for name in chosen:
        mixed, whole = look_at_file(by_name[0][name].degraded, "degraded")
        parts = [look_at_file(side[name].clean, "clean") for side in by_name]
        files += [mixed, *(facts for facts, _ in parts)]
        length = min(whole.shape[1], *(audio.shape[1] for _, audio in parts))
        if length:
            sums.append(residual_db(whole[:1, :length], np.concatenate([audio[:1, :length] for _, audio in parts])))
    where = f"{len(chosen)} of {counted(len(names), 'mixture')}"
    notes = [note for each in listed for note in each.notes]
    return DataEvidence(others=files, sums_db=sums, where_pairs=where, where_files=where, notes=notes)
