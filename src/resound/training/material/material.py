"""The data of a fine-tuning, in three parts that never meet, by the split of their manifests.

``train`` is learnt from, ``valid`` chooses the checkpoint, ``test`` decides whether it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PARTS = ("train", "valid", "test")
EVERY = 5  # of five pieces or pairs one chooses and one decides
SEGMENT_SECONDS = 3.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """What `resound.training.config.RunConfig` needs to know of it, and what comes after the training."""

    about: str
    data: dict[str, Any]
    choosing: dict[str, Any] = field(default_factory=dict)  # what differs where the checkpoint is chosen
    deciding: dict[str, Any] = field(default_factory=dict)  # ... and where it is decided
    recordings: tuple[Path, ...] = ()  # to hear the result on
    metric: str = "si_sdr_i"  # that chooses
    lr: float = 1e-4
    is_noisy: bool = False  # the targets are, too
    n_choosing: int | None = None  # examples there are; None: drawn anew, as many as wanted
    n_deciding: int | None = None


def part_of(index: int) -> str:
    """Return which part the n-th piece of material belongs to; of three, one each."""
    return {1: "valid", 2: "test"}.get(index % EVERY, "train")
