"""Examples read from disk: recordings that exist both clean and degraded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resound.audio.files import AUDIO_SUFFIXES
from resound.audio.segments import header_of, read_excerpt
from resound.corpora.manifest import Manifest, Recording, read_manifest
from resound.degrade.bank import with_channels
from resound.errors import InputError
from resound.mixing.augment import Sides, draw_augmentations, samples_to_make
from resound.mixing.config import PairsConfig
from resound.mixing.example import Audio, Example, place_of
from resound.mixing.finish import finish, fit_length, make
from resound.mixing.pool import Pool, check_usable

TOLERANCE_SECONDS = 0.1  # by which the two sides of a pair may differ in length


@dataclass(frozen=True)
class PairOfFiles:
    """Where the two sides of a pair lie."""

    clean: str
    inputs: tuple[str, ...]  # what the network is given: the degraded side, what a denoiser made of it, or both


class Pairs:
    """A seeded stream of excerpts from pairs on disk; see `Examples`."""

    def __init__(self, config: PairsConfig) -> None:
        self.config = config
        self.sample_rate = config.sample_rate
        self.skipped: Counter[str] = Counter()
        found = _from_folders(config, self.skipped) if config.clean else _from_manifests(config)
        self._inputs = {pair.clean: pair.inputs for pair, _ in found}
        clean = [(pair.clean, item) for pair, item in found]
        self._pool = Pool(clean, segment_seconds=config.segment_seconds, seed=config.seed)
        self.n_examples = config.n_examples or self._pool.n_slots

    def example(self, epoch: int, index: int) -> Example:
        """Return one example.  Raises `InputError` where none can be made."""
        epoch, index = place_of(epoch, index, self.n_examples)
        nth = epoch * self.n_examples + index

        def attempt(rng: np.random.Generator, number: int) -> Example:
            position = nth if number == 0 else int(rng.integers(self._pool.n_slots))
            return self._make(position, rng, {"epoch": epoch, "index": index})

        return make(attempt, (self.config.seed, epoch, index), self.skipped)

    def _make(self, position: int, rng: np.random.Generator, recipe: dict[str, Any]) -> Example:
        config = self.config
        augmentations = draw_augmentations(config.augment, rng)
        n_samples = samples_to_make(config.segment_samples, config.sample_rate, augmentations)
        recording, slot = self._pool.pick(position)
        excerpt = self._pool.excerpt(
            recording,
            slot,
            sample_rate=config.sample_rate,
            n_samples=n_samples,
            n_channels=config.n_channels,
            rng=rng,
        )
        files = self._inputs[self._pool.paths[recording]]
        degraded = np.concatenate([self._beside(excerpt.place, file, n_samples) for file in files])
        sides, done = finish(Sides(degraded, excerpt.audio), config, augmentations, rng)
        bandwidth_hz = self._pool.bandwidth_hz(recording, measure=config.measure_bandwidth)
        return Example(
            degraded=sides.degraded,
            clean=sides.clean,
            sample_rate=config.sample_rate,
            bandwidth_hz=min(bandwidth_hz, config.sample_rate / 2),
            domain=self._pool.domains[recording] or "pairs",
            recipe=recipe | {"clean": excerpt.place, "inputs": list(files)} | done,
            task="enhance" if len(files) == 1 else "regenerate",
        )

    def _beside(self, place: dict[str, Any], file: str, n_samples: int) -> Audio:
        """Return the same stretch of another side, ``(channel, n_samples)``.  Raises `Unusable` for silence."""
        before = place.get("pad_samples", 0)
        audio = read_excerpt(
            Path(file), self.sample_rate, start_seconds=place["start_seconds"], n_samples=n_samples - before
        )
        audio = with_channels(audio, self.config.n_channels)
        check_usable(audio, file)
        return fit_length(np.pad(audio, ((0, 0), (before, 0))), n_samples)

    def files(self) -> list[Path]:
        """Return the clean files."""
        return [Path(path) for path in self._pool.paths]

    def describe(self) -> dict[str, Any]:
        """Return what there is to learn from: pairs, hours, segments."""
        return {
            "pairs": len(self._pool),
            "hours": round(float(self._pool.seconds.sum()) / 3600, 3),
            "speakers": len({name for name in self._pool.speakers if name}),
            "segments": self._pool.n_slots,
            "distinct_mixtures": self._pool.n_slots,
            "mixing": "fixed",
        }


def _from_manifests(config: PairsConfig) -> list[tuple[PairOfFiles, Recording]]:
    """Return the pairs of manifests: recordings of one group, one clean, one degraded."""
    found = []
    for path in config.pairs:
        manifest = read_manifest(path)
        by_group: dict[str, dict[str, Recording]] = {}
        for item in manifest.recordings:
            if config.split is None or item.split is None or item.split == config.split:
                by_group.setdefault(item.group or item.path, {})[item.role or ""] = item
        wanted = {"clean", *config.inputs}
        found += [_pair(manifest, sides, config.inputs) for sides in by_group.values() if wanted <= sides.keys()]
    if not found:
        names = ", ".join(map(str, config.pairs))
        raise InputError(
            f"{names}: holds no pair in split {config.split!r}; a pair is two recordings with one 'group' and the "
            f"roles {', '.join(['clean', *config.inputs])}"
        )
    return found


def _pair(manifest: Manifest, sides: dict[str, Recording], inputs: Sequence[str]) -> tuple[PairOfFiles, Recording]:
    clean = sides["clean"]
    files = PairOfFiles(str(manifest.path_of(clean)), tuple(str(manifest.path_of(sides[role])) for role in inputs))
    for role, file in zip(inputs, files.inputs, strict=True):
        _check_lengths(files.clean, clean.seconds, file, sides[role].seconds)
    return files, clean


def _from_folders(config: PairsConfig, skipped: Counter[str]) -> list[tuple[PairOfFiles, Recording]]:
    """Return the pairs of two folders: files of the same name, whatever their suffixes."""
    assert config.clean and config.degraded
    clean, degraded = files_by_name(config.clean), files_by_name(config.degraded)
    names = sorted(clean.keys() & degraded.keys())
    if not names:
        example = f"{next(iter(clean))!r} and {next(iter(degraded))!r}"
        raise InputError(
            f"{config.clean} and {config.degraded}: no name is in both ({example}); give both sides of a pair one name"
        )
    skipped.update(f"{path.name}: has no clean side" for name, path in degraded.items() if name not in clean)
    skipped.update(f"{path.name}: has no degraded side" for name, path in clean.items() if name not in degraded)
    found = []
    for name in names:
        files = PairOfFiles(str(clean[name]), (str(degraded[name]),))
        rate, n_samples, n_channels = header_of(clean[name])
        other_rate, other_n_samples, _ = header_of(degraded[name])
        _check_lengths(files.clean, n_samples / rate, files.inputs[0], other_n_samples / other_rate)
        found.append((files, Recording(name, n_samples, rate, n_channels, domain="pairs")))
    return found


def files_by_name(folder: Path) -> dict[str, Path]:
    """Return the recordings of a folder by name without suffix, relative to the folder.

    Raises `InputError`, also for two files of one name (``a.flac``, ``a.wav``): nobody knows which of them is meant.
    """
    found: dict[str, Path] = {}
    for path in recordings_under(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise InputError(
                f"{folder}: holds {found[name].name} and {path.name}, two recordings of one name; move one of them away"
            )
        found[name] = path
    return found


def recordings_under(folder: Path) -> list[Path]:
    """Return all recordings of a folder and its folders.  Raises `InputError` where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give a folder of recordings")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES]
    if not files:
        raise InputError(f"{folder}: holds no recordings; give a folder of recordings")
    return files


def _check_lengths(clean: str, clean_seconds: float, other: str, other_seconds: float) -> None:
    if abs(clean_seconds - other_seconds) > TOLERANCE_SECONDS:
        raise InputError(
            f"{other}: is {other_seconds:.3f} s long, its clean side {clean} {clean_seconds:.3f} s; "
            "cut them together, or leave the pair out"
        )
