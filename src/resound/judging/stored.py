"""Scores of baselines, kept in the folder of the examples that they are of.

::

    FOLDER/baselines-<key>.json    {"unprocessed": [[index, domain, {"si_sdr": 6.1, ...}], ...], ...}; NaN is null

The key is a hash of what is asked for, of this package's own code, and of the versions of what computes.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from resound.audio.atomic import atomic_file
from resound.errors import OutputError
from resound.judging.measures import Asked
from resound.judging.perceptual import PACKAGES
from resound.judging.scores import Judged
from resound.judging.summary import finite
from resound.mixing.identity import code_of, hash_of

SOURCES = ("audio", "classic", "dsp", "inference", "judging", "metrics.py")  # parts that decide the scores
Rows = dict[str, list[Judged]]  # by baseline


def rows_path(folder: Path, asked: Asked) -> Path:
    """Return where the scores lie that are asked for."""
    packages = ["numpy", "scipy", "soxr", *sorted({PACKAGES[name] for name in asked.perceptual})]
    facts = {
        "asked": [sorted(asked.perceptual), asked.most_examples if asked.perceptual else 0],
        "code": code_of(SOURCES),
        "versions": [_version_of(package) for package in packages],
    }
    return folder / f"baselines-{hash_of(facts)[:32]}.json"


def read_rows(path: Path, n_examples: int) -> Rows | None:
    """Return what was stored; None where there is nothing, or nothing whole."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows = {name: [_row(*row) for row in judged] for name, judged in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return rows if rows and all(len(judged) == n_examples for judged in rows.values()) else None


def write_rows(path: Path, rows: Rows) -> None:
    """Store rows.  Where the folder cannot be written nothing is lost but the time to make them again."""
    plain = {
        name: [[row.index, row.domain, {key: finite(value) for key, value in row.scores.items()}] for row in judged]
        for name, judged in rows.items()
    }
    with suppress(OutputError), atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(plain), encoding="utf-8")


def _row(index: int, domain: str, scores: dict[str, float | None]) -> Judged:
    return Judged(index, domain, {key: math.nan if value is None else value for key, value in scores.items()})


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
