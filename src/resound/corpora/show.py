"""What is in a corpus: hours, speakers, sample rates and bandwidths, languages and licences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resound.corpora.manifest import Manifest, Recording
from resound.corpora.measure import measure
from resound.errors import ConfigError, InputError

N_SAMPLED = 20  # recordings of each domain that are decoded where the manifest has no bandwidths
SECONDS_SAMPLED = 5.0
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """The recordings of one domain and split."""

    domain: str
    split: str
    n_files: int
    hours: float
    n_speakers: int
    sample_rates: list[int]


@dataclass(frozen=True)
class Bandwidths:
    """Bandwidths of a domain: the tenth, the middle and the ninetieth of a hundred recordings."""

    domain: str
    low_hz: float
    median_hz: float
    high_hz: float
    n_measured: int
    n_files: int


@dataclass(frozen=True)
class Summary:
    """What is in one corpus or in several together."""

    rows: list[Row]
    total: Row
    bandwidths: list[Bandwidths]
    language_hours: dict[str, float]
    licence_hours: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        return {
            "rows": [vars(row) for row in self.rows],
            "total": vars(self.total),
            "bandwidths": [vars(item) for item in self.bandwidths],
            "language_hours": self.language_hours,
            "licence_hours": self.licence_hours,
        }


def summarise(manifests: Sequence[Manifest], *, seed: int = 0) -> Summary:
    """Return what is in the manifests together.

    Bandwidths are those of the manifests, where they have any for a domain, else measured on a seeded sample.
    Raises `ConfigError` for a seed that is none.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; give 0 or more")
    recordings = [item for manifest in manifests for item in manifest.recordings]
    by_part: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for item in recordings:
        by_part[item.domain or UNKNOWN, item.split or "-"].append(item)
    order = {"train": 0, "valid": 1, "test": 2}
    parts = sorted(by_part, key=lambda part: (part[0], order.get(part[1], 3), part[1]))
    domains = sorted({domain for domain, _ in parts})
    return Summary(
        rows=[_row(domain, split, by_part[domain, split]) for domain, split in parts],
        total=_row("total", "", recordings),
        bandwidths=[found for domain in domains if (found := _bandwidths(domain, manifests, seed)) is not None],
        language_hours=_hours_by((item.language, item) for item in recordings if item.language or _is_spoken(item)),
        licence_hours=_hours_by((item.licence, item) for item in recordings),
    )


def _row(domain: str, split: str, recordings: Sequence[Recording]) -> Row:
    return Row(
        domain=domain,
        split=split,
        n_files=len(recordings),
        hours=round(_hours(recordings), 3),
        n_speakers=len({item.speaker for item in recordings if item.speaker}),
        sample_rates=sorted({item.sample_rate for item in recordings}),
    )


def _hours(recordings: Iterable[Recording]) -> float:
    return sum(item.seconds for item in recordings) / 3600


def _hours_by(keyed: Iterable[tuple[str | None, Recording]]) -> dict[str, float]:
    """Return the hours of each key, the most first."""
    hours: dict[str, float] = defaultdict(float)
    for key, item in keyed:
        hours[key or UNKNOWN] += item.seconds / 3600
    return {key: round(hours[key], 3) for key in sorted(hours, key=lambda key: -hours[key])}


def _is_spoken(item: Recording) -> bool:
    return item.domain in ("speech", "pairs")


def _bandwidths(domain: str, manifests: Sequence[Manifest], seed: int) -> Bandwidths | None:
    pairs = ((manifest, item) for manifest in manifests for item in manifest.recordings)
    own = [(manifest, item) for manifest, item in pairs if (item.domain or UNKNOWN) == domain]
    known = [item.bandwidth_hz for _, item in own if item.bandwidth_hz is not None]
    found = np.array(known or [value for value in _sampled(own, seed) if value > 0])
    if not len(found):
        return None
    low, middle, high = np.quantile(found, [0.1, 0.5, 0.9])
    return Bandwidths(domain, round(low), round(middle), round(high), len(found), len(own))


def _sampled(own: Sequence[tuple[Manifest, Recording]], seed: int) -> list[float]:
    """Return the bandwidths of a sample; what is not there any more is left out (``corpus check`` tells)."""
    chosen = np.random.default_rng(seed).choice(len(own), min(N_SAMPLED, len(own)), replace=False)
    bandwidths = []
    for manifest, item in (own[index] for index in sorted(chosen)):
        try:
            path = manifest.path_of(item)
            bandwidths.append(measure(path, item.n_samples, item.sample_rate, seconds=SECONDS_SAMPLED).bandwidth_hz)
        except InputError:
            continue
    return bandwidths
