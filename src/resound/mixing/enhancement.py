"""Examples to enhance: clean recordings of several kinds, in exact shares, each after a drawn chain."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from resound.degrade.chain import apply_chain_to_pair, n_samples_needed
from resound.mixing.augment import Sides, draw_augmentations, samples_to_make
from resound.mixing.config import EnhancementConfig
from resound.mixing.example import Example, place_of
from resound.mixing.finish import describe_banks, finish, make, open_banks, with_split, with_target
from resound.mixing.pool import Pool, load_pool
from resound.mixing.shares import Schedule


class Enhancement:
    """A seeded stream of clean and degraded excerpts; see `Examples`."""

    def __init__(self, config: EnhancementConfig) -> None:
        self.config = config
        self.sample_rate = config.sample_rate
        self.skipped: Counter[str] = Counter()
        self._chain = with_target(with_split(config.chain, config.split), config.same_on_target)
        open_banks(self._chain)
        self._pools = [
            load_pool([item], split=config.split, segment_seconds=config.segment_seconds, seed=config.seed + kind)
            for kind, item in enumerate(config.clean)
        ]
        self.n_examples = config.n_examples or sum(pool.n_slots for pool in self._pools)
        self._schedule = Schedule([item.share for item in config.clean], config.seed)

    def example(self, epoch: int, index: int) -> Example:
        """Return one example.  Raises `InputError` where none can be made."""
        epoch, index = place_of(epoch, index, self.n_examples)
        kind, nth = self._schedule.at(epoch * self.n_examples + index)
        pool = self._pools[kind]

        def attempt(rng: np.random.Generator, number: int) -> Example:
            position = nth if number == 0 else int(rng.integers(pool.n_slots))
            return self._make(pool, position, rng, {"epoch": epoch, "index": index})

        return make(attempt, (self.config.seed, epoch, index), self.skipped)

    def _make(self, pool: Pool, position: int, rng: np.random.Generator, recipe: dict[str, Any]) -> Example:
        config = self.config
        drawn = self._chain.draw(rng)
        augmentations = draw_augmentations(config.augment, rng)
        n_samples = samples_to_make(config.segment_samples, config.sample_rate, augmentations)
        recording, slot = pool.pick(position)
        excerpt = pool.excerpt(
            recording,
            slot,
            sample_rate=config.sample_rate,
            n_samples=n_samples_needed(n_samples, drawn),
            n_channels=config.n_channels,
            rng=rng,
        )
        pair = apply_chain_to_pair(excerpt.audio, config.sample_rate, drawn)
        sides, done = finish(Sides(pair.degraded, pair.target), config, augmentations, rng)
        bandwidth_hz = config.sample_rate / 2
        if not config.whole_band:
            bandwidth_hz = min(bandwidth_hz, pool.bandwidth_hz(recording, measure=config.measure_bandwidth))
        return Example(
            degraded=sides.degraded,
            clean=sides.clean,
            sample_rate=config.sample_rate,
            bandwidth_hz=bandwidth_hz,
            domain=pool.domains[recording],
            recipe=recipe | {"clean": excerpt.place, "chain": drawn} | done,
        )

    def files(self) -> list[Path]:
        """Return the clean recordings."""
        return [Path(path) for pool in self._pools for path in pool.paths]

    def domains(self, n_examples: int) -> Counter[str]:
        """Return of which domains the first examples are, without making them."""
        drawn: Counter[str] = Counter()
        for position in range(n_examples):
            kind, nth = self._schedule.at(position)
            pool = self._pools[kind]
            drawn[pool.domains[pool.pick(nth)[0]]] += 1
        return drawn

    def describe(self) -> dict[str, Any]:
        """Return what there is to learn from: recordings, hours and speakers by kind, banks, distinct mixtures."""
        kinds = []
        for item, pool, count in zip(self.config.clean, self._pools, self._schedule.counts, strict=True):
            kinds.append(
                {
                    "corpus": [str(path) for path in item.corpus],
                    "domains": sorted(set(pool.domains)),
                    "share": float(count) / self._schedule.block,
                    "recordings": len(pool),
                    "hours": round(float(pool.seconds.sum()) / 3600, 3),
                    "speakers": len({name for name in pool.speakers if name}),
                    "segments": pool.n_slots,
                }
            )
        banks = describe_banks(self._chain.steps, self.config.segment_seconds)
        segments = sum(pool.n_slots for pool in self._pools)
        # Of stretches alone: the parameters of the chain, drawn anew for each example, come on top.
        distinct = segments * math.prod(bank["segments"] for bank in banks)
        return {
            "kinds": kinds,
            "banks": banks,
            "segments": segments,
            "distinct_mixtures": distinct,
            "mixing": "dynamic",
        }
