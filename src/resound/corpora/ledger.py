"""The ledger of a scan: how many recordings there ought to be, were found, can be used, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resound.errors import InputError, counted, one_line

LEAST_USABLE = 0.9
N_NAMED = 3  # files that are named for each reason


@dataclass(frozen=True, slots=True)
class Unusable:
    """A recording that cannot be used; with size and time, so that a rescan need not open it again."""

    path: str
    why: str
    size_bytes: int = 0
    modified_ns: int = 0


@dataclass(frozen=True)
class Ledger:
    """What a scan found."""

    n_found: int
    n_usable: int
    expected: int | None = None  # as published or listed; None: nobody knows
    unusable: Sequence[Unusable] = ()
    outside: Sequence[str] = ()  # recordings in the folder that are not of the corpus; they do not count
    dc: Sequence[str] = ()  # usable, but their mean is more than 1 % of full scale away from 0

    @property
    def share(self) -> float:
        """Usable recordings among those that ought to be there."""
        return self.n_usable / max(self.expected or 0, self.n_found, 1)

    @property
    def reasons(self) -> Counter[str]:
        """How many recordings cannot be used, for each reason."""
        return Counter(item.why for item in self.unusable)

    def check(self, folder: Path) -> None:
        """Raise `InputError` where too few recordings can be used."""
        if self.n_usable and self.share >= LEAST_USABLE:
            return
        of = max(self.expected or 0, self.n_found)
        first = self.unusable[0] if self.unusable else None
        named = f" ({first.path}: {first.why}{', ...' if len(self.unusable) > 1 else ''})" if first else ""
        remedy = "mend or complete the corpus" + (", or use --allow-partial" if self.n_usable else "")
        raise InputError(f"{folder}: {self.n_usable} of {counted(of, 'recording')} can be used{named}; {remedy}")

    def as_dict(self) -> dict[str, Any]:
        """Return the ledger as JSON."""
        return {
            "expected": self.expected,
            "found": self.n_found,
            "usable": self.n_usable,
            "reasons": dict(self.reasons),
            "unusable": [[item.path, item.why, item.size_bytes, item.modified_ns] for item in self.unusable],
            "outside": len(self.outside),
            "dc": list(self.dc),
        }

    def table(self) -> str:
        """Return the ledger as a small table that names the first bad files."""
        rows = [("expected", "unknown" if self.expected is None else f"{self.expected}", "")]
        rows += [("found", f"{self.n_found}", ""), ("usable", f"{self.n_usable}", f"{100 * self.share:.1f} %")]
        for why, count in self.reasons.most_common():
            rows.append((f"  {why}", f"{count}", _named([item.path for item in self.unusable if item.why == why])))
        if self.outside:
            rows.append(("left out", f"{len(self.outside)}", f"not of this layout: {_named(self.outside)}"))
        if self.dc:
            rows.append(("with DC", f"{len(self.dc)}", f"usable all the same: {_named(self.dc)}"))
        width = max(len(name) for name, _, _ in rows)
        digits = max(len(count) for _, count, _ in rows)
        return "\n".join(f"{name:<{width}}  {count:>{digits}}  {note}".rstrip() for name, count, note in rows)


def unusable_of(about: dict[str, Any]) -> dict[str, Unusable]:
    """Return what a manifest's first line says could not be used, by path; nothing where it is not as we write it."""
    found = [Unusable(*item) for item in _part_of(about, "unusable") if isinstance(item, list) and len(item) == 4]
    # What was missing has no time, and may have come.
    return {str(item.path): item for item in found if item.modified_ns}


def dc_of(about: dict[str, Any]) -> frozenset[str]:
    """Return the paths of recordings with DC that a manifest's first line names."""
    return frozenset(path for path in _part_of(about, "dc") if isinstance(path, str))


def _part_of(about: dict[str, Any], name: str) -> list[Any]:
    ledger = about.get("ledger")
    part = ledger.get(name) if isinstance(ledger, dict) else None
    return part if isinstance(part, list) else []


def _named(paths: Sequence[str]) -> str:
    return one_line(", ".join(paths[:N_NAMED]) + (", ..." if len(paths) > N_NAMED else ""))
