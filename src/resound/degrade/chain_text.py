"""Writes a chain as YAML, in the notation in which people write it."""

from __future__ import annotations

from typing import Any

import yaml

from resound.degrade.chain import GROUPS, Chain


def chain_text(chain: Chain) -> str:
    """Return a chain as YAML, which `load_chain` reads as the same chain."""
    written = {"about": chain.about} if chain.about else {}
    return yaml.dump(
        {**written, "steps": [_in_flow(step.model_dump()) for step in chain.steps]},
        Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True,
    )  # fmt: skip


class _Flow(dict):
    """A mapping to be written on one line."""


class _Dumper(yaml.SafeDumper):
    """Indents the steps below their key, and writes settings on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


_Dumper.add_representer(_Flow, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value, True))


def _in_flow(step: dict[str, Any]) -> dict[str, Any]:
    """Return a written step whose settings are marked to be on one line, whole numbers without a point."""
    return {
        key: [_in_flow(below) for below in value] if key in GROUPS else _short(value) for key, value in step.items()
    }


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return _Flow({key: _short(part) for key, part in value.items()})
    if isinstance(value, list | tuple):
        return [_short(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
