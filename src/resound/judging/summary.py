"""Many scores in a few numbers: mean, median and the interval in which the mean of all such examples lies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.judging.measures import ALL
from resound.judging.perceptual import left_out
from resound.judging.scores import Judged

N_BOOT = 2000
TAIL = 0.025  # on each side of a 95 % interval
BLOCK = 2**20  # values resampled at once


@dataclass(frozen=True)
class Statistics:
    """One measure over several examples; NaN where nothing can be said."""

    mean: float
    median: float
    low: float  # 95 % interval of the mean
    high: float
    n: int  # examples with a value
    n_nan: int  # examples for which it was asked and has no answer


@dataclass(frozen=True)
class Summary:
    """The judgement of a set of examples."""

    rows: list[Judged]  # by index, each once
    overall: dict[str, Statistics]  # by measure
    domains: dict[str, dict[str, Statistics]]  # by domain and measure
    left_out: dict[str, str]  # measures that were asked for, and what they need

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON without the rows; NaN is null."""
        return {
            "n_examples": len(self.rows),
            "overall": _plain(self.overall),
            "domains": {domain: _plain(statistics) for domain, statistics in self.domains.items()},
            "left_out": self.left_out,
        }


def summarise(rows: Iterable[Judged], extra: Iterable[str] = (), *, n_boot: int = N_BOOT, seed: int = 0) -> Summary:
    """Return the statistics of rows, over all and by domain.

    ``extra`` are the `PERCEPTUAL` measures that were asked for.  Rows may come in any order and, as from the ranks of
    a sampler that fills up, more than once.
    """
    unique = {row.index: row for row in rows}
    ordered = [unique[index] for index in sorted(unique)]
    domains = sorted({row.domain for row in ordered})

    def statistics(chosen: list[Judged]) -> dict[str, Statistics]:
        names = [name for name in ALL if any(name in row.scores for row in chosen)]
        return {name: statistics_of(_values(chosen, name), n_boot=n_boot, seed=seed) for name in names}

    by_domain = {domain: statistics([row for row in ordered if row.domain == domain]) for domain in domains}
    return Summary(ordered, statistics(ordered), by_domain, left_out(extra))


def paired_difference(one: Summary, other: Summary, name: str, *, n_boot: int = N_BOOT, seed: int = 0) -> Statistics:
    """Return by how much one is above the other, example by example: what both find hard does not blur it."""
    before = {row.index: row.scores for row in other.rows}
    pairs = [(row.scores, before.get(row.index, {})) for row in one.rows]
    both = [mine[name] - theirs[name] for mine, theirs in pairs if name in mine and name in theirs]
    return statistics_of(np.array(both), n_boot=n_boot, seed=seed)


def statistics_of(values: NDArray, *, n_boot: int = N_BOOT, seed: int = 0) -> Statistics:
    """Return the statistics of ``(example,)``; NaN among them is counted and left aside."""
    known = values[~np.isnan(values)]
    mean, median = (float(np.mean(known)), float(np.median(known))) if len(known) else (math.nan, math.nan)
    low, high = interval(known, n_boot=n_boot, seed=seed)
    return Statistics(mean, median, low, high, len(known), len(values) - len(known))


def interval(values: NDArray, *, n_boot: int = N_BOOT, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean of ``(example,)`` by the bootstrap; NaN below 2 values.

    On each side the farther of two bounds: the expanded percentile (Hesterberg 2015, "What teachers should know about
    the bootstrap"), which covers too little where values are skewed, and the studentised one (Efron & Tibshirani 1993,
    ch. 12), which covers too little where they have long tails.  Together they hold 94 to 96 % from 8 values on
    (``benchmarks/evaluate_statistics.py``).
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean, spread = values.mean(), values.std()
    means, spreads = _resampled(values, n_boot, np.random.default_rng(seed))
    tail = scipy.special.ndtr(math.sqrt(n / (n - 1)) * scipy.special.stdtrit(n - 1, TAIL))
    low, high = np.quantile(means, [tail, 1 - tail])
    spreads_enough = spreads > 1e-9 * spread  # not the same value drawn n times
    if spreads_enough.any():
        student = (means - mean)[spreads_enough] / spreads[spreads_enough]
        above, below = np.quantile(student, [1 - TAIL, TAIL])
        low, high = min(low, mean - above * spread), max(high, mean - below * spread)
    return float(low), float(high)


def _resampled(values: NDArray, n_boot: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Return means and standard deviations of as many samples drawn with replacement."""
    n = len(values)
    step = max(1, BLOCK // n)
    drawn = (values[rng.integers(n, size=(min(step, n_boot - start), n))] for start in range(0, n_boot, step))
    pairs = [(sample.mean(axis=1), sample.std(axis=1)) for sample in drawn]
    return np.concatenate([means for means, _ in pairs]), np.concatenate([spreads for _, spreads in pairs])


def _values(rows: list[Judged], name: str) -> NDArray:
    return np.array([row.scores[name] for row in rows if name in row.scores])


def _plain(statistics: dict[str, Statistics]) -> dict[str, dict[str, float | None]]:
    return {name: {key: finite(value) for key, value in asdict(one).items()} for name, one in statistics.items()}


def finite(value: float) -> float | None:
    """Return a number as JSON has it: no NaN."""
    return value if math.isfinite(value) else None
