"""What is looked at in data, gathered once for all checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileFacts:
    """What is known of one file."""

    path: Path
    fault: str | None = None  # why it cannot be used: "is empty (0 bytes)"


@dataclass(frozen=True)
class DataEvidence:
    """All that the checks of data look at."""

    files: list[FileFacts]
    where_files: str  # "400 of 2000 files, drawn with seed 0"
