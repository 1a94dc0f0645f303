"""The examples of a config as a torch dataset: the same batches for any number of workers, and after a resume.

>>> dataset = ExampleDataset(load_mixing(Path("mix.yaml")))                               # doctest: +SKIP
>>> sampler = ExampleSampler(len(dataset), epoch=3, start=1200)                           # doctest: +SKIP
>>> loader = DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=2)            # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from resound.mixing.config import Common
from resound.mixing.example import Examples, shard
from resound.mixing.stream import open_examples

Key = tuple[int, int]  # epoch and index


class ExampleDataset(Dataset[dict[str, Any]]):
    """Example (epoch, index) as tensors: degraded (channel, time), clean (channel or source, time), bandwidth_hz."""

    def __init__(self, config: Common) -> None:
        self.config = config
        self._examples: Examples = open_examples(config)  # here, so that what is wrong is told before workers start

    def __len__(self) -> int:
        return self._examples.n_examples

    def __getitem__(self, key: Key) -> dict[str, Any]:
        if not isinstance(key, tuple) or len(key) != 2:
            raise TypeError(f"a key is (epoch, index), not {key!r}; take the keys from ExampleSampler")
        epoch, index = key
        example = self._examples.example(epoch, index)
        return {
            "degraded": torch.from_numpy(example.degraded),
            "clean": torch.from_numpy(example.clean),
            "bandwidth_hz": torch.tensor(example.bandwidth_hz),
            "domain": example.domain,
            "epoch": epoch,
            "index": index,
        }


class ExampleSampler(Sampler[Key]):
    """Keys of one epoch in order, from ``start`` on; rank r of n has every n-th.

    The epoch travels with each key, so that workers which live through many epochs need not be told of a new one.
    One batch of n ranks has the examples that one rank has in a batch n times as large.
    """

    def __init__(self, n_examples: int, *, epoch: int = 0, start: int = 0, rank: int = 0, n_ranks: int = 1) -> None:
        self.n_examples, self.rank, self.n_ranks = n_examples, rank, n_ranks
        self.set_epoch(epoch, start)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Go on with another epoch, the first ``start`` examples of which are done."""
        if epoch < 0 or start < 0:
            raise ValueError(f"epoch is {epoch}, start {start}; both count from 0")
        self.epoch, self.start = epoch, start

    @property
    def _indices(self) -> range:
        return shard(self.n_examples, rank=self.rank, n_ranks=self.n_ranks, start=self.start)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Key]:
        return ((self.epoch, index) for index in self._indices)


class RunSampler(Sampler[Key]):
    """Keys of a whole run from example ``start`` on, epoch after epoch: what a run resumed there still has to see.

    Rank r of n has every n-th, as in `ExampleSampler`.  With ``same_every_epoch`` all epochs have the examples of the
    first, as a set on disk has.
    """

    def __init__(
        self,
        n_examples: int,
        n_in_all: int,
        *,
        start: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
        same_every_epoch: bool = False,
    ) -> None:
        self.n_examples, self.same_every_epoch = n_examples, same_every_epoch  # of an epoch
        self._positions = range(start + rank, n_in_all, n_ranks)

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Key]:
        for position in self._positions:
            epoch, index = divmod(position, self.n_examples)
            yield (0 if self.same_every_epoch else epoch), index
