"""One example for training or judging, and what every source of examples offers."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Task = Literal["enhance", "separate", "regenerate"]


@dataclass
class Example:
    """What a network is given and what it is asked for; float32, full scale ±1.

    ``recipe`` is plain JSON: everything that was drawn, so that the example can be explained and made again.
    """

    degraded: Audio  # (channel, time); to regenerate the denoiser's output, then what it was given
    clean: Audio  # (channel, time), or (source, time) to separate
    sample_rate: int
    bandwidth_hz: float  # of the clean part: above it there is nothing to learn, so losses look away there
    domain: str
    recipe: dict[str, Any] = field(default_factory=dict)
    task: Task = "enhance"  # what the rows of both sides are, which their numbers cannot tell


class Examples(Protocol):
    """A seeded source of examples: item ``index`` of epoch ``epoch`` is the same wherever and whenever it is made."""

    sample_rate: int
    n_examples: int  # per epoch
    skipped: Counter[str]  # what could not be used, by reason, in this process

    def example(self, epoch: int, index: int) -> Example:
        """Return one example.  Raises `InputError` where none can be made, `IndexError` for one that there is not."""
        ...

    def files(self) -> list[Path]:
        """Return the clean recordings; of examples from a cache none."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what there is to learn from: recordings, hours, speakers, distinct mixtures; plain JSON."""
        ...


def place_of(epoch: int, index: int, n_examples: int) -> tuple[int, int]:
    """Return epoch and index as plain integers.  Raises `IndexError` outside an epoch, `TypeError` for no integer."""
    try:
        epoch, index = operator.index(epoch), operator.index(index)
    except TypeError:
        raise TypeError(f"epoch and index are whole numbers, not {epoch!r} and {index!r}") from None
    if epoch < 0 or not 0 <= index < n_examples:
        raise IndexError(
            f"there is no example {index} of epoch {epoch}; epochs count from 0, examples from 0 to {n_examples - 1}"
        )
    return epoch, index


def shard(
    n_examples: int, *, rank: int = 0, n_ranks: int = 1, worker: int = 0, n_workers: int = 1, start: int = 0
) -> range:
    """Return the indices of one epoch that a worker of a rank makes, from ``start`` on after a resume.

    Rank r has every ``n_ranks``-th example, and its workers share those in turn: with one batch from each worker in
    turn the order within a rank is that of one worker alone.
    """
    return range(start + rank + worker * n_ranks, n_examples, n_ranks * n_workers)


def in_order(examples: Examples, epoch: int, indices: range) -> Iterator[Example]:
    """Yield the examples of one epoch at ``indices``."""
    return (examples.example(epoch, index) for index in indices)
