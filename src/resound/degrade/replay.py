"""Drawn steps: plain JSON, checked, and applied to the same samples each time."""

from __future__ import annotations

import inspect
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from resound.config import explain
from resound.degrade.degradation import Audio, Degradation, Params
from resound.degrade.registry import DEGRADATIONS
from resound.degrade.spread import Spread
from resound.errors import ConfigError, did_you_mean

TARGETS = ("auto", "same", "clean")
Drawn = list[dict[str, Any]]  # [{"hiss": {...}, "target": "clean"}, ...]


class Pair(NamedTuple):
    """What a network is given, and what it is asked for, both ``(channel, time)``."""

    degraded: Audio
    target: Audio


def apply_chain(audio: Audio, sample_rate: int, drawn: Drawn) -> Audio:
    """Return ``audio`` ``(channel, time)`` after each drawn step in turn.  Raises `ConfigError` for unknown ones."""
    for name, params, _ in read_drawn(drawn):
        audio = DEGRADATIONS[name].apply(audio, sample_rate, **params)
    return audio


def apply_chain_to_pair(clean: Audio, sample_rate: int, drawn: Drawn) -> Pair:
    """Return the degraded recording and its target, which has what moves samples and the steps of ``target: same``."""
    degraded = target = clean
    for name, params, wish in read_drawn(drawn):
        kind = DEGRADATIONS[name]
        on_target = {"auto": kind.apply_to_target, "same": kind.apply, "clean": None}[wish]
        degraded = kind.apply(degraded, sample_rate, **params)
        target = on_target(target, sample_rate, **params) if on_target else target
    return Pair(degraded, target)


def n_samples_needed(n_samples: int, drawn: Drawn) -> int:
    """Return how many samples to put into drawn steps for ``n_samples`` to come out."""
    for name, params, _ in reversed(read_drawn(drawn)):
        n_samples = DEGRADATIONS[name].n_samples_needed(n_samples, **params)
    return n_samples


class DrawnStep(NamedTuple):
    """One drawn line, checked."""

    name: str
    params: Params
    target: str


def read_drawn(drawn: Any) -> list[DrawnStep]:
    """Return drawn steps, which may come from a user's file, checked.  Raises `ConfigError` with the step's number."""
    if not isinstance(drawn, list):
        raise ConfigError(f"drawn steps: {drawn!r:.60} is no list of steps; draw them again")
    steps = []
    for number, line in enumerate(drawn, 1):
        try:
            steps.append(_read_line(line))
        except ValueError as error:
            raise ConfigError(f"drawn step {number}: {error}") from None
    return steps


def _read_line(line: Any) -> DrawnStep:
    names = [key for key in line if key != "target"] if isinstance(line, dict) else []
    if len(names) != 1 or not isinstance(line[names[0]], dict):
        raise ValueError(f"{line!r:.60} is no drawn step; write one degradation with its parameters")
    name, wish = names[0], line.get("target", "auto")
    if name not in DEGRADATIONS:
        raise ValueError(f"{name!r} is no degradation{did_you_mean(str(name), DEGRADATIONS)}")
    if wish not in TARGETS:
        raise ValueError(f"{name}: target is one of {', '.join(TARGETS)}, not {wish!r}")
    model = _params_model(DEGRADATIONS[name])
    try:
        read = model.model_validate(line[name])
    except ValidationError as error:
        faults = "; ".join(explain(fault, model) for fault in error.errors())
        raise ValueError(f"{name}: {faults}; draw the parameters again") from None
    return DrawnStep(name, {key: getattr(read, key) for key in line[name]}, wish)


def _check_name(file: str) -> str:
    if "\0" in file:
        raise ValueError("no file has a NUL in its name")
    return file


FileName = Annotated[str, AfterValidator(_check_name)]
COMMON: dict[str, Any] = {  # what is drawn for many a degradation, and is no field of any
    "seed": Annotated[int, Field(ge=0, lt=2**64, strict=True)],
    "file": FileName,
    "files": list[FileName],
}


@lru_cache(maxsize=256)
def _params_model(kind: type[Degradation]) -> type[BaseModel]:
    """Return the keyword arguments that ``kind.apply`` takes after audio and sample rate, within its limits.

    Types and limits are those of the field of that name; what no field has is as ``apply`` itself says.
    """
    of_fields = get_type_hints(kind, include_extras=True)
    hints = get_type_hints(kind.apply, include_extras=True) | COMMON
    hints |= {name: _drawn_type(of_fields[name]) for name in kind.model_fields}
    parameters = list(inspect.signature(kind.apply).parameters.values())[2:]
    fields: dict[str, Any] = {
        item.name: (hints[item.name], ... if item.default is item.empty else item.default) for item in parameters
    }
    return create_model(kind.__name__, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)


def _drawn_type(hint: Any) -> Any:
    """Return the type of what is drawn from a field of a degradation: a number for a `Spread`, with its limits."""
    if hint is Spread:
        return float
    if get_origin(hint) is Annotated:
        base, *limits = get_args(hint)
        return Annotated[(_drawn_type(base), *limits)]
    if get_origin(hint) in (Union, UnionType):
        return reduce(or_, map(_drawn_type, get_args(hint)))
    return hint
