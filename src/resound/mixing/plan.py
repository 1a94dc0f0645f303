"""The plan of a prepared set: what to write, where, and which part of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from resound.errors import ConfigError
from resound.mixing.config import Common, mixing_from, read_settings
from resound.mixing.denoisers import DenoiserConfig, denoisers_from
from resound.mixing.example import shard
from resound.mixing.identity import material_of, settings_of
from resound.mixing.items import ItemSettings, Kind
from resound.shipped import RESTORING, card_of

VERSION = 1  # of the folder's layout


class Shard(NamedTuple):
    """Every ``of``-th example, from the ``number``-th on, counted from 1."""

    number: int = 1
    of: int = 1


WHOLE = Shard()


@dataclass(frozen=True)
class Plan:
    """What to write, and where."""

    mixing: Common
    folder: Path
    denoisers: tuple[DenoiserConfig, ...] = ()  # each example goes through one of them, in turn
    n_examples: int = 0  # 0: as many as an epoch has, which the opened material tells
    epoch: int = 0
    kind: Kind = "flac24"
    shard: Shard = WHOLE

    @property
    def indices(self) -> range:
        """The examples of this shard."""
        return shard(self.n_examples, rank=self.shard.number - 1, n_ranks=self.shard.of)

    @property
    def items(self) -> ItemSettings:
        """How each example is made and written."""
        return ItemSettings(self.mixing, self.denoisers, self.folder, self.epoch, self.n_examples, self.kind)

    def facts(self) -> dict[str, Any]:
        """Return all that decides what is in the files, as plain JSON."""
        settings = settings_of(self.mixing)
        settings.pop("n_examples")  # more can be added later; the first ones stay what they are
        denoiser = self.denoiser_settings
        material = material_of({"config": settings, "denoiser": denoiser})
        ship = [each.with_ for each in self.denoisers if each.with_ in RESTORING]
        material |= {name: card_of(name).files[f"{name}.onnx"] for name in ship}  # by whose weights
        return {
            "format": VERSION,
            "resound": version("resound"),
            "config": settings,
            "denoiser": denoiser,
            "epoch": self.epoch,
            "n_per_epoch": self.mixing.n_examples if self.epoch else None,  # where later epochs begin
            "kind": self.kind,
            "material": material,
        }

    @property
    def denoiser_settings(self) -> Any:
        """The denoisers as plain JSON: none, one, or a list."""
        settings = [settings_of(each) for each in self.denoisers]
        return settings if len(settings) > 1 else next(iter(settings), None)

    @property
    def hours(self) -> float:
        """Length of the whole set, one side."""
        return self.n_examples * self.mixing.segment_seconds / 3600


def load_plan(path: Path, overrides: Sequence[str] = (), **options: Any) -> Plan:
    """Return the plan of a YAML file for mixing that may hold ``denoiser:`` too; ``options`` are fields of `Plan`.

    Raises `ConfigError`.
    """
    values = read_settings(path, overrides)
    denoiser = values.pop("denoiser", None)
    mixing = mixing_from(values, str(path))
    return Plan(mixing, denoisers=denoisers_from(denoiser, f"{path}: denoiser"), **options)


def read_shard(text: str) -> Shard:
    """Return the shard that ``2/8`` names.  Raises `ConfigError`."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    chosen = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= chosen.number <= chosen.of:
        raise ConfigError(f"--shard is {text!r}; write i/n, from 1/n to n/n, such as 2/8")
    return chosen
