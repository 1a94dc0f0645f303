"""Degradations in a row, written in YAML by name: which, how likely, in which order.

::

    about: one line for people
    steps:
      - wow: {depth_percent: [0.1, 0.4]}
      - hiss: {snr_db: [15, 35]}
        probability: 0.8                  # else 1
        target: same                      # the clean target gets it too; default: only what moves it in time
      - one_of:                           # one of these, by weight (else 1)
          - hum: {frequency_hz: 50}
            weight: 3
          - hum: {frequency_hz: 60}
      - any_order:                        # all of these, in a drawn order
          - clip: {}
          - codec: {}

A chain draws a list of steps with their parameters (`Chain.draw`), which is plain JSON, and which `apply_chain`
replays to the same samples.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from resound.config import load_config
from resound.degrade.degradation import Audio, Degradation, Params
from resound.degrade.noise import Hiss
from resound.errors import ConfigError, did_you_mean

CHAINS = Path(__file__).parent.parent / "presets" / "chains"
Drawn = list[dict[str, Any]]  # [{"hiss": {...}, "target": "clean"}, ...]

# Every degradation by the name it has in a chain.
DEGRADATIONS: dict[str, type[Degradation]] = {
    "hiss": Hiss,
}


class Step(BaseModel):
    """One line of a chain: a degradation, or a group of steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    degradation: SerializeAsAny[Degradation] | None = None
    name: str = ""
    one_of: tuple[Step, ...] = ()
    any_order: tuple[Step, ...] = ()
    probability: float = Field(1.0, ge=0, le=1)
    weight: float = Field(1.0, gt=0)
    target: Literal["auto", "same", "clean"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            raise ValueError("a step is a line such as 'hiss: {snr_db: 20}'")
        values = dict(written)
        own = {"one_of", "any_order", "probability", "weight", "target"}
        names = [key for key in values if key not in own]
        groups = [key for key in ("one_of", "any_order") if key in values]
        if len(names) + len(groups) != 1:
            found = ", ".join(map(str, names + groups)) or "none"
            raise ValueError(f"a step names one degradation or one group, here {found}")
        if names:
            name = names[0]
            if name not in DEGRADATIONS:
                hint = did_you_mean(str(name), DEGRADATIONS) or "; there are " + ", ".join(DEGRADATIONS)
                raise ValueError(f"{name!r} is no degradation{hint}")
            values["degradation"] = DEGRADATIONS[name].model_validate(values.pop(name) or {})
            values["name"] = name
        return values

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Return what this step comes to for one recording: no line, one, or those of its group."""
        if self.probability < 1 and rng.random() >= self.probability:
            return []
        if self.degradation is not None:
            line: dict[str, Any] = {self.name: self.degradation.draw(rng)}
            return [line | ({"target": self.target} if self.target != "auto" else {})]
        if self.one_of:
            weights = np.array([step.weight for step in self.one_of])
            return self.one_of[int(rng.choice(len(weights), p=weights / weights.sum()))].draw(rng)
        return [line for index in rng.permutation(len(self.any_order)) for line in self.any_order[index].draw(rng)]


class Chain(BaseModel):
    """Degradations in a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    about: str = ""
    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.steps:
            raise ValueError("a chain needs at least one step")
        return self

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Return the steps with their parameters for one recording, plain JSON."""
        return [line for step in self.steps for line in step.draw(rng)]


class Pair(NamedTuple):
    """What a network is given, and what it is asked for, both ``(channel, time)``."""

    degraded: Audio
    target: Audio


def load_chain(name: str | Path, overrides: Sequence[str] = ()) -> Chain:
    """Return a chain by the name of a preset (``film-1960s``) or from a YAML file.  Raises `ConfigError`."""
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        path = CHAINS / f"{name}.yaml"
        if not path.is_file():
            hint = did_you_mean(str(name), chain_names()) or f"; there are {', '.join(chain_names())}, or a .yaml file"
            raise ConfigError(f"{name}: no such chain{hint}")
    return load_config(Chain, path, overrides)


def chain_names() -> list[str]:
    """Return the names of the chains that come with the package."""
    return sorted(path.stem for path in CHAINS.glob("*.yaml"))


def apply_chain(audio: Audio, sample_rate: int, drawn: Drawn) -> Audio:
    """Return ``audio`` ``(channel, time)`` after each drawn step in turn.  Raises `ConfigError` for unknown ones."""
    for name, params, _ in map(_parts, drawn):
        audio = DEGRADATIONS[name].apply(audio, sample_rate, **params)
    return audio


def apply_chain_to_pair(clean: Audio, sample_rate: int, drawn: Drawn) -> Pair:
    """Return the degraded recording and its target, which has what moves samples and the steps of ``target: same``."""
    degraded = target = clean
    for name, params, wish in map(_parts, drawn):
        kind = DEGRADATIONS[name]
        on_target = {"auto": kind.apply_to_target, "same": kind.apply, "clean": None}[wish]
        degraded = kind.apply(degraded, sample_rate, **params)
        target = on_target(target, sample_rate, **params) if on_target else target
    return Pair(degraded, target)


def n_samples_needed(n_samples: int, drawn: Drawn) -> int:
    """Return how many samples to put into drawn steps for ``n_samples`` to come out."""
    for name, params, _ in map(_parts, reversed(drawn)):
        n_samples = DEGRADATIONS[name].n_samples_needed(n_samples, **params)
    return n_samples


def _parts(line: dict[str, Any]) -> tuple[str, Params, str]:
    """Return a drawn line as name, parameters and wish about the target; it may have come from a user's file."""
    names = [key for key in line if key != "target"]
    if len(names) != 1 or not isinstance(line[names[0]], dict):
        raise ConfigError(f"{line!r:.60}: is no drawn step; write one degradation with its parameters")
    name = names[0]
    if name not in DEGRADATIONS:
        raise ConfigError(f"{name!r} is no degradation{did_you_mean(name, DEGRADATIONS)}")
    wish = line.get("target", "auto")
    if wish not in ("auto", "same", "clean"):
        raise ConfigError(f"{name}: target is auto, same or clean, not {wish!r}")
    try:
        inspect.signature(DEGRADATIONS[name].apply).bind(None, 0, **line[name])
    except TypeError as error:
        raise ConfigError(f"{name}: {error}; draw the parameters again") from None
    return name, line[name], wish


__all__ = [
    "CHAINS", "DEGRADATIONS", "Chain", "Pair", "Step", "apply_chain", "apply_chain_to_pair", "chain_names",
    "load_chain", "n_samples_needed",
]  # fmt: skip
