"""All that an evaluation leaves in its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resound.evaluation.evaluate import Evaluated
from resound.evaluation.writing import write_results


@dataclass(frozen=True)
class Written:
    """Where it lies."""

    page: Path
    results: Path
    rows: Path


def write_all(evaluated: Evaluated, folder: Path, tell: Callable[[str], None]) -> Written:
    """Write the results.  Raises `OutputError`."""
    rows, results = write_results(evaluated.result, folder)
    return Written(folder / "report.html", results, rows)
