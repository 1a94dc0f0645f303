"""Writes what came of an evaluation: a row per recording, and all that is summed up."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resound.audio.atomic import atomic_file
from resound.evaluation.result import Evaluation

CSV, JSON = "results.csv", "results.json"
AUDIO = "enhanced"  # folder of what a model made, where that is kept


def write_results(result: Evaluation, folder: Path) -> list[Path]:
    """Write ``results.csv`` and ``results.json``.  Raises `OutputError`."""
    write_csv(folder / CSV, result.rows())
    write_text(folder / JSON, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    return [folder / CSV, folder / JSON]


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as they come; numbers with six digits, nothing where there is no value."""
    with (
        atomic_file(path, overwrite=True) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(rows):
            if not number:
                writer.writerow(row)
            writer.writerow([_cell(value) for value in row.values()])


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.  Raises `OutputError`."""
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _cell(value: Any) -> Any:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value
