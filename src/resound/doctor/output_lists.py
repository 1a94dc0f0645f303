"""What a tool made of recordings, beside what it was given and, where there is one, the clean version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resound.doctor.pair_lists import files_of, without_partner
from resound.errors import InputError


@dataclass(frozen=True)
class Output:
    """One recording: before, after, and as it should be."""

    name: str
    degraded: Path
    enhanced: Path
    clean: Path | None = None


@dataclass(frozen=True)
class OutputList:
    """All of them, and what has no partner."""

    outputs: Sequence[Output]
    notes: Sequence[str]  # a line each


def outputs_between(degraded: Path, enhanced: Path, clean: Path | None = None) -> OutputList:
    """Return the files of the same name in two or three folders, or of the same key in lists (CSV, Kaldi scp, plain).

    Outputs may all have the same mark behind the name: ``a_restored.wav`` beside ``a.wav``.  Raises `InputError` where
    there is none.
    """
    places = {"degraded": degraded, "enhanced": enhanced} | ({"clean": clean} if clean else {})
    sides = {side: files_of(place, side) for side, place in places.items()}
    sides["enhanced"] = without_mark(sides["enhanced"], sides["degraded"])
    names = sorted(set.intersection(*(set(files) for files in sides.values())))
    if not names:
        examples = " and ".join(repr(next(iter(files))) for files in sides.values())
        raise InputError(
            f"{', '.join(map(str, places.values()))}: no name is in all of them ({examples}); give a recording one "
            "name on all sides, or lists (CSV with the columns clean, degraded and enhanced, or Kaldi scp)"
        )
    outputs = [
        Output(name, sides["degraded"][name], sides["enhanced"][name], sides["clean"][name] if clean else None)
        for name in names
    ]
    return OutputList(
        outputs, [note for side, place in places.items() for note in without_partner(sides[side], names, place)]
    )


def without_mark(enhanced: dict[str, Path], degraded: dict[str, Path]) -> dict[str, Path]:
    """Return outputs by the names of their inputs where they have none in common but for what is put behind them."""
    if enhanced.keys() & degraded.keys():
        return enhanced
    marks = (name.removeprefix(own) for name in enhanced for own in degraded if name.startswith(own))
    mark = min(marks, key=len, default="")
    return {name.removesuffix(mark): path for name, path in enhanced.items()} if mark else enhanced
