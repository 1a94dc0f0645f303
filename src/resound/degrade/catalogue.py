"""What degradations and chains there are, and what their settings mean: for people, from the classes themselves."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from resound.degrade.chain import CHAINS, chain_names, load_chain
from resound.degrade.registry import DEGRADATIONS
from resound.degrade.spread import Spread, Within
from resound.errors import ConfigError, did_you_mean

# What a setting means wherever its name appears; a field's own description goes before.
MEANINGS = {
    "bank": "folder, manifest (.jsonl) or file of recordings to draw from",
    "split": "take this split of a manifest only",
    "snr_db": "power of the signal over that of what is added",
    "level_dbfs": "RMS of what is added; where it is given, it holds instead of the SNR",
    "reference": "the signal's power: of all of it, or of its active speech (ITU-T P.56)",
    "db_per_octave": "slope of the spectrum",
}


class Setting(NamedTuple):
    """One setting of a degradation, in words."""

    name: str
    default: str  # as it is written in a chain; "needed" where there is none
    limits: str  # "0 to 10", "at least 0", "one of a, b", or empty
    meaning: str


def about(name: str) -> str:
    """Return the first paragraph of a degradation's docstring, in one line."""
    paragraph = inspect.cleandoc(DEGRADATIONS[name].__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.replace("``", "`").split())


def summary(name: str) -> str:
    """Return what a degradation is, in a sentence."""
    return about(name).split(". ")[0].rstrip(".")


def settings_of(name: str) -> list[Setting]:
    """Return the settings of a degradation."""
    return [
        Setting(key, _default(field), _limits(field), field.description or MEANINGS.get(key, ""))
        for key, field in DEGRADATIONS[name].model_fields.items()
    ]


def find(name: str) -> Literal["chain", "degradation"]:
    """Tell which of the two a name means.  Raises `ConfigError` for neither."""
    if name in DEGRADATIONS:
        return "degradation"
    if name in chain_names():
        return "chain"
    names = [*DEGRADATIONS, *chain_names()]
    hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
    raise ConfigError(f"{name}: is neither a degradation nor a chain{hint}")


def overview_text() -> str:
    """Return all chains and degradations as two tables."""
    chains = [(name, load_chain(name).about) for name in chain_names()]
    degradations = [(name, summary(name)) for name in DEGRADATIONS]
    return f"chains\n{_table(chains)}\n\ndegradations\n{_table(degradations)}"


def details_text(name: str) -> str:
    """Return a degradation with its settings as a table, or a chain as it is written.  Raises `ConfigError`."""
    if find(name) == "chain":
        return (CHAINS / f"{name}.yaml").read_text(encoding="utf-8").rstrip()
    rows = [(setting.name, setting.default, setting.limits, setting.meaning) for setting in settings_of(name)]
    settings = _table([("setting", "default", "range", "meaning"), *rows]) if rows else "  no settings"
    return f"{name}: {about(name)}\n\n{settings}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join("  " + line.rstrip() for line in lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    return written(field.default)


def written(value: Any) -> str:
    """Return a setting as it is written in a chain."""
    if value is None:
        return "none"
    if isinstance(value, Spread):
        value = value.model_dump()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _limits(field: FieldInfo) -> str:
    checks = [item.func for item in field.metadata if isinstance(getattr(item, "func", None), Within)]
    if checks:
        low, high = checks[0].low, checks[0].high
        return f"{low:g} to {high:g}" if low is not None and high is not None else _one_end(low, high)
    choices = _choices(field.annotation)
    return "one of " + ", ".join(choices) if choices else ""


def _one_end(low: float | None, high: float | None) -> str:
    return f"at least {low:g}" if low is not None else f"at most {high:g}"


def _choices(annotation: Any) -> list[str]:
    """Return the values of a `Literal`, also within a union."""
    if get_origin(annotation) is Literal:
        return [written(choice) for choice in get_args(annotation)]
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) in (Union, types.UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    return []
