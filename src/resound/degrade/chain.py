"""Degradations in a row, written in YAML by name: which, how likely, in which order.

::

    about: one line for people
    steps:
      - wow_flutter: {wow_percent: [0.1, 0.4]}
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
      - chain: film-1960s                 # all steps of another chain (or a list of steps), in their order

A chain draws a list of steps with their parameters (`Chain.draw`), which is plain JSON, and which `apply_chain`
replays to the same samples.

Each step draws from a generator of its own, which its name chooses (and its count, where a name comes twice): to
change a step, to add or to remove one, leaves what the others draw as it was.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from resound.config import TOO_DEEP, explain, read_yaml, set_dotted
from resound.degrade.degradation import Degradation
from resound.degrade.registry import DEGRADATIONS, read_degradation
from resound.degrade.replay import Drawn, Pair, apply_chain, apply_chain_to_pair, n_samples_needed, read_drawn
from resound.errors import ConfigError, did_you_mean

CHAINS = Path(__file__).parent.parent / "presets" / "chains"
OWN_KEYS = ("probability", "weight", "target")  # of a step, beside its degradation or group
GROUPS = ("one_of", "any_order", "chain")


class Step(BaseModel):
    """One line of a chain: a degradation, or a group of steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    degradation: Degradation | None = None
    one_of: tuple[Step, ...] = ()
    any_order: tuple[Step, ...] = ()
    chain: tuple[Step, ...] = ()
    name: str  # of the degradation or of the kind of group
    probability: float = Field(1.0, ge=0, le=1)
    weight: float = Field(1.0, gt=0)
    target: Literal["auto", "same", "clean"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: Any) -> Any:
        if isinstance(written, Step):
            return written
        if not isinstance(written, dict):
            raise ValueError("a step is written as 'hiss: {snr_db: 20}'" + _got(written))
        names = [str(key) for key in written if key not in OWN_KEYS]
        if len(names) != 1:
            raise ValueError(_no_single_name(names))
        values = {str(key): value for key, value in written.items()} | {"name": names[0]}
        if names[0] in GROUPS:
            if names[0] == "chain" and isinstance(values["chain"], str):
                values["chain"] = _steps_of(values["chain"])
            if not isinstance(values[names[0]], list | tuple) or not values[names[0]]:
                raise ValueError(
                    "a group is a list of steps, each a line that starts with '- '" + _got(values[names[0]])
                )
            if "target" in values:
                raise ValueError("target belongs to the steps of a group, not to the group; write it there")
            return values
        values["degradation"] = read_degradation(names[0], values.pop(names[0]))
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_no_weights(self.any_order + self.chain)
        return self

    @property
    def parts(self) -> tuple[Step, ...]:
        """The steps of a group; none of a degradation."""
        return self.one_of + self.any_order + self.chain

    @model_serializer
    def _write(self) -> dict[str, Any]:
        """Return the step in the notation of a chain, with what was set."""
        own = {key: getattr(self, key) for key in OWN_KEYS if key in self.model_fields_set}
        if self.degradation is not None:
            return {self.name: self.degradation.model_dump(exclude_unset=True), **own}
        return {self.name: [step.model_dump() for step in self.parts], **own}

    def draw(self, root: int, key: tuple[int, ...]) -> Drawn:
        """Return what this step comes to for one recording: no line, one, or those of its group.

        ``root`` is the recording's seed, ``key`` the step's place in the chain.
        """
        rng = np.random.default_rng(np.random.SeedSequence(root, spawn_key=key))
        # Drawn even where the step is certain: then another probability leaves the parameters as they were.
        if rng.random() >= self.probability:
            return []
        if self.degradation is not None:
            line: dict[str, Any] = {self.name: self.degradation.draw(rng)}
            return [line | ({"target": self.target} if self.target != "auto" else {})]
        chosen = list(_with_keys(self.parts, key))
        if self.one_of:
            weights = np.array([step.weight for step in self.one_of])
            chosen = [chosen[int(rng.choice(len(weights), p=weights / weights.sum()))]]
        elif self.any_order:
            chosen = [chosen[index] for index in rng.permutation(len(chosen))]
        return [line for step, own_key in chosen for line in step.draw(root, own_key)]


class Chain(BaseModel):
    """Degradations in a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    about: str = ""
    steps: tuple[Step, ...]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: Any) -> Any:
        if isinstance(written, dict) and not isinstance(written.get("steps", []), list | tuple):
            raise ValueError("steps: is a list, each step a line that starts with '- '" + _got(written["steps"]))
        return written

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.steps:
            raise ValueError("a chain needs at least one step")
        _check_no_weights(self.steps)
        return self

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Return the steps with their parameters for one recording, plain JSON."""
        root = int(rng.integers(2**63))
        return [line for step, key in _with_keys(self.steps, ()) for line in step.draw(root, key)]


def load_chain(name: str | Path, overrides: Sequence[str] = ()) -> Chain:
    """Return a chain by the name of a preset (``film-1960s``) or from a YAML file.

    ``overrides`` are words such as ``hiss.snr_db=20`` or ``hiss.probability=0.5``, which hold for each step of that
    name.  Raises `ConfigError`.
    """
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        path = CHAINS / f"{name}.yaml"
        if name not in chain_names():
            hint = did_you_mean(str(name), chain_names()) or f"; there are {', '.join(chain_names())}, or a .yaml file"
            raise ConfigError(f"{name}: no such chain{hint}")
    modified_ns = path.stat().st_mtime_ns if path.is_file() else 0
    return _load_chain(path, modified_ns, tuple(overrides))


@lru_cache(maxsize=64)
def _load_chain(path: Path, modified_ns: int, overrides: tuple[str, ...]) -> Chain:
    written = read_yaml(path)
    try:
        for word in overrides:
            _override(written, word, str(path))
    except RecursionError:
        raise ConfigError(f"{path}: {TOO_DEEP}") from None
    return read_chain(written, str(path))


def read_chain(written: Any, where: str) -> Chain:
    """Return the chain that a mapping such as YAML holds; ``where`` is its name in errors.  Raises `ConfigError`."""
    try:
        return Chain.model_validate(written)
    except ValidationError as error:
        faults = "; ".join(_explain_in_chain(fault, written) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}") from None
    except RecursionError:
        raise ConfigError(f"{where}: {TOO_DEEP}") from None


def chain_names() -> list[str]:
    """Return the names of the chains that come with the package."""
    return sorted(path.stem for path in CHAINS.glob("*.yaml"))


def _steps_of(name: str) -> tuple[Step, ...]:
    """Return the steps of a chain that another one names.  Raises `ValueError`, as validation wants it."""
    names = (*_names.get(), name)
    if name in names[:-1]:
        raise EndlessChain(f"{' > '.join(names)}: a chain within itself has no end; take it out there")
    token = _names.set(names)
    try:
        return load_chain(name).steps
    except EndlessChain:
        raise
    except ConfigError as error:
        raise ValueError(str(error)) from None
    finally:
        _names.reset(token)


class EndlessChain(ConfigError):
    """A chain is a part of itself; validation lets it through, for each of its rounds would add its place."""


_names: ContextVar[tuple[str, ...]] = ContextVar("names", default=())  # of the chains that are being read


def _with_keys(steps: Iterable[Step], key: tuple[int, ...]) -> Iterable[tuple[Step, tuple[int, ...]]]:
    """Yield each step with its key: that of its group, its name, and how many before it have that name."""
    seen: Counter[str] = Counter()
    for step in steps:
        yield step, (*key, zlib.crc32(step.name.encode()), seen[step.name])
        seen[step.name] += 1


def _check_no_weights(steps: Iterable[Step]) -> None:
    if any("weight" in step.model_fields_set for step in steps):
        raise ValueError("weight has a meaning only within one_of; write probability here")


def _no_single_name(names: list[str]) -> str:
    if not names:
        return "names no degradation; write one, such as 'hiss: {snr_db: 20}'"
    known = [name for name in names if name in DEGRADATIONS or name in GROUPS]
    if len(known) == 1:
        other = next(name for name in names if name not in known)
        return f"{other!r} is no key of a step{did_you_mean(other, OWN_KEYS) or '; there are ' + ', '.join(OWN_KEYS)}"
    return f"a step names one degradation or one group, here {', '.join(names)}; begin each with '- '"


def _got(value: Any) -> str:
    return f", not {value!r:.60}"


def _explain_in_chain(fault: Any, written: Any) -> str:
    """Return one fault with its place in words: ``step 3 (one_of), part 2 (hum): probability: ...``."""
    steps: list[str] = []
    rest: list[str] = []
    for part in fault["loc"]:
        if isinstance(part, int) and not rest:
            written = written[part]
            steps.append(f"{'part' if steps else 'step'} {part + 1} ({_label(written)})")
        elif part == "steps" or part in GROUPS:
            written = written.get(part) if isinstance(written, dict) else None
            rest = [] if isinstance(written, list | tuple) else [part]
        else:
            rest.append(str(part))
    place = ", ".join(steps) + ": " if steps else ""
    if fault["type"] == "value_error":
        return place + fault["msg"].removeprefix("Value error, ")
    return place + explain(fault | {"loc": tuple(rest)}, Chain)


def _label(step: Any) -> str:
    names = [str(key) for key in step if key not in OWN_KEYS] if isinstance(step, dict) else []
    return ", ".join(names) or "no name"


def _override(written: dict[str, Any], word: str, where: str) -> None:
    """Set ``NAME.SETTING=VALUE`` in each step of that name, in groups too."""
    key, equals, _ = word.partition("=")
    name, dot, setting = key.strip().partition(".")
    if not equals or not dot or not setting:
        raise ConfigError(f"{word!r} is not a setting of a step; write step.setting=value, such as hiss.snr_db=20")
    steps = list(_steps_below(written.get("steps")))
    found = [step for step in steps if name in step]
    if not found:
        hint = did_you_mean(name, map(_label, steps)) or "; it has " + ", ".join(dict.fromkeys(map(_label, steps)))
        raise ConfigError(f"{where}: has no step {name!r}{hint}")
    for step in found:
        step[name] = step[name] or {}
        set_dotted(step, word.strip() if setting not in OWN_KEYS else word.strip().partition(".")[2])


def _steps_below(steps: Any) -> Iterable[dict[str, Any]]:
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict):
            yield step
            for group in GROUPS:
                yield from _steps_below(step.get(group))


__all__ = [
    "CHAINS", "DEGRADATIONS", "Chain", "Drawn", "Pair", "Step", "apply_chain", "apply_chain_to_pair", "chain_names",
    "load_chain", "n_samples_needed", "read_chain", "read_degradation", "read_drawn",
]  # fmt: skip
