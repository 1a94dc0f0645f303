"""The result of an evaluation: columns of figures, their statistics, and what they say in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.doctor.finding import Finding
from resound.evaluation.measures import METRICS
from resound.evaluation.scoring import ENHANCED, Row
from resound.evaluation.words import REFERENCES, verdict
from resound.judging.baselines import CEILINGS
from resound.judging.summary import Statistics, finite, statistics_of

UNPROCESSED = "unprocessed"
BAND_DB = 5  # wide, of the input's SNR
MAIN = ("si_sdr", "pesq", "pesq_nb", "stoi", "snr", "noise_fall_db", "dnsmos_ovr")  # the first there is, in words
GROUPS = ("snr_band", "noise", "speaker", "domain")
Column = NDArray[np.float64]


@dataclass(frozen=True)
class Cost:
    """What a model costs here, on one core."""

    real_time_factor: float  # seconds of work for a second of sound
    peak_memory_mb: float | None  # of a process of its own with the longest recording; None: not measured
    about: str  # how it was measured


@dataclass(frozen=True)
class Evaluation:
    """Figures of recordings, by estimate and metric; what was judged is the estimate ``enhanced``."""

    title: str
    names: Sequence[str]
    scores: dict[str, dict[str, Column]]  # by estimate, then metric; NaN: no value
    labels: dict[str, Sequence[str]]  # by kind (snr_band, noise, speaker, domain): the group of each recording
    seconds: Column
    sample_rates: Sequence[int]
    errors: dict[str, str]  # why a recording could not be judged, by name
    missing: dict[str, Counter[str]]  # why outputs have no value, by metric
    notes: Sequence[str]
    left_out: dict[str, str]  # metrics
    findings: Sequence[Finding] = ()  # of doctor
    n_looked_at: int = 0  # outputs that doctor looked at
    cost: Cost | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """The metrics that were measured."""
        return list(self.scores.get(ENHANCED, {}))

    @property
    def main(self) -> str:
        """The metric that is spoken of."""
        return next((name for name in MAIN if name in self.metrics), self.metrics[0])

    @property
    def n_failed(self) -> int:
        """How many recordings could not be judged."""
        return len(self.errors)

    @property
    def is_faulty(self) -> bool:
        """Whether recordings could not be judged, or the references are others."""
        return bool(self.errors) or any(each.code == REFERENCES and each.severity == "error" for each in self.findings)

    def best(self, metric: str) -> set[str]:
        """Return the estimates with the best mean as far as tables show it; none where all are alike.

        What knows the target does not compete.
        """
        measure = METRICS[metric].measure
        means = {who: self.statistics(who, metric).mean for who in self.scores if who not in CEILINGS}
        badness = {
            who: measure.badness(round(mean, measure.digits)) for who, mean in means.items() if math.isfinite(mean)
        }
        best = min(badness.values(), default=math.nan)
        return {who for who, value in badness.items() if value == best} if len(set(badness.values())) > 1 else set()

    def column(self, estimate: str, metric: str) -> Column:
        """Return the figures of all recordings, NaN where there is none."""
        empty = np.full(len(self.names), math.nan)
        return self.scores.get(estimate, {}).get(metric, empty)

    def improvements(self, metric: str, over: str = UNPROCESSED) -> Column:
        """Return by how much each recording is better than a baseline; positive is better, whatever the metric."""
        measure = METRICS[metric].measure
        sides = self.column(over, metric), self.column(ENHANCED, metric)
        before, after = ({"higher": -side, "lower": side, "near 0": np.abs(side)}[measure.better] for side in sides)
        return before - after

    def statistics(self, estimate: str, metric: str, chosen: NDArray[np.bool_] | None = None) -> Statistics:
        """Return mean, median and 95 % interval of a metric, over all recordings or the chosen ones."""
        values = self.column(estimate, metric)
        return statistics_of(values if chosen is None else values[chosen])

    def improvement(self, metric: str, over: str = UNPROCESSED, chosen: NDArray[np.bool_] | None = None) -> Statistics:
        """Return the statistics of the paired improvements."""
        values = self.improvements(metric, over)
        return statistics_of(values if chosen is None else values[chosen])

    def groups(self, kind: str) -> dict[str, NDArray[np.bool_]]:
        """Return which recordings are in each group of a kind, in order."""
        labels = self.labels.get(kind, ())
        names = sorted({label for label in labels if label}, key=_by_number)
        return {name: np.array([label == name for label in labels]) for name in names}

    def rows(self) -> Iterator[dict[str, str | float | None]]:
        """Yield a flat row for each recording, as in ``results.csv``; None where there is no value."""
        columns = self.columns()
        for index, name in enumerate(self.names):
            yield {
                "name": name,
                "seconds": round(float(self.seconds[index]), 3),
                "sample_rate": self.sample_rates[index],
                **{kind: labels[index] or None for kind, labels in self.labels.items()},
                "error": self.errors.get(name),
                **{key: finite(float(values[index])) for key, values in columns.items()},
            }

    def columns(self) -> dict[str, Column]:
        """Return the columns of figures by name: ``pesq``, ``pesq_i``, ``pesq_unprocessed`` ..."""
        found: dict[str, Column] = {}
        for metric in self.metrics:
            found[metric] = self.column(ENHANCED, metric)
            if UNPROCESSED in self.scores and METRICS[metric].measure.better != "near 0" and metric != "noise_fall_db":
                found[f"{metric}_i"] = self.improvements(metric)
            found |= {f"{metric}_{who}": self.column(who, metric) for who in self.scores if who != ENHANCED}
        return found

    @property
    def verdict(self) -> str:
        """Say in words what the figures prove, and how sure that is."""
        return verdict(self)

    def to_json(self) -> dict[str, Any]:
        """Return all that is summed up, as plain JSON; NaN is null."""
        return {
            "resound_results": 1,
            "title": self.title,
            "verdict": self.verdict,
            "n_files": len(self.names),
            "n_failed": self.n_failed,
            "seconds": round(float(np.nansum(self.seconds)), 3),
            "settings": self.settings,
            "notes": list(self.notes),
            "left_out": self.left_out,
            "missing": {metric: dict(reasons) for metric, reasons in self.missing.items()},
            "errors": self.errors,
            "findings": [vars(finding) for finding in self.findings],
            "cost": asdict(self.cost) if self.cost else None,
            "overall": {who: self._told(who) for who in self.scores},
            "improvement": {who: self._gained(who) for who in self.scores if who != ENHANCED},
            "groups": {kind: self._by_group(kind) for kind in GROUPS if len(self.groups(kind)) > 1},
        }

    def _told(self, who: str, chosen: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        return {metric: plain(self.statistics(who, metric, chosen)) for metric in self.scores[who]}

    def _gained(self, over: str, chosen: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        return {metric: plain(self.improvement(metric, over, chosen)) for metric in self.metrics}

    def _by_group(self, kind: str) -> dict[str, Any]:
        return {
            name: {
                "n": int(chosen.sum()),
                "overall": {who: self._told(who, chosen) for who in self.scores},
                "improvement": self._gained(UNPROCESSED, chosen) if UNPROCESSED in self.scores else {},
            }
            for name, chosen in self.groups(kind).items()
        }


def plain(statistics: Statistics) -> dict[str, float | None]:
    """Return statistics as plain JSON."""
    return {name: finite(value) for name, value in asdict(statistics).items()}


class Gathered:
    """Columns that grow row by row: a number for each figure, whatever else a row holds."""

    def __init__(self, n: int) -> None:
        self._n, self._at = n, 0
        self.names: list[str] = []
        self.scores: dict[str, dict[str, Column]] = {}
        self.abouts: dict[str, list[str]] = {}
        self.seconds, self.taken = np.full(n, math.nan), np.full(n, math.nan)
        self.sample_rates: list[int] = []
        self.errors: dict[str, str] = {}
        self.missing: dict[str, Counter[str]] = {}
        self.notes: Counter[str] = Counter()

    def add(self, rows: Iterable[Row]) -> Gathered:
        """Take rows."""
        for row in rows:
            for who, scores in row.scores.items():
                own = self.scores.setdefault(who, {})
                for metric, value in scores.items():
                    own.setdefault(metric, np.full(self._n, math.nan))[self._at] = value
            for kind, text in row.about.items():
                self.abouts.setdefault(kind, [""] * self._n)[self._at] = text
            for metric, reason in row.missing.items():
                self.missing.setdefault(metric, Counter())[reason] += 1
            if row.error:
                self.errors[row.name] = row.error
            self.notes.update(note.partition(" by ")[0] for note in row.notes)
            self.names.append(row.name)
            self.seconds[self._at] = row.seconds or math.nan
            self.taken[self._at] = row.seconds_taken or math.nan
            self.sample_rates.append(row.sample_rate)
            self._at += 1
        return self

    @property
    def labels(self) -> dict[str, Sequence[str]]:
        """The group of each recording: its band of input SNR, and what is known of it."""
        labels: dict[str, Sequence[str]] = {
            kind: texts for kind, texts in self.abouts.items() if kind in GROUPS and any(texts)
        }
        ratios = np.array([_number(text) for text in self.abouts["snr_db"]]) if "snr_db" in self.abouts else None
        if ratios is None:
            ratios = self.scores.get(UNPROCESSED, {}).get("snr", None)
        if ratios is None:
            ratios = self.scores.get(UNPROCESSED, {}).get("si_sdr", None)
        return labels if ratios is None else {"snr_band": [band_of(value) for value in ratios], **labels}


def band_of(ratio_db: float) -> str:
    """Return the band of an SNR in words: ``5 to 10 dB``."""
    if not math.isfinite(ratio_db):
        return ""
    low = max(-20, min(40, math.floor(ratio_db / BAND_DB) * BAND_DB))
    return {-20: "below -15 dB", 40: "40 dB and more"}.get(low, f"{low} to {low + BAND_DB} dB")


def _by_number(label: str) -> tuple[float, str]:
    """Sort bands by where they begin, and names by themselves."""
    word = label.split()[0]
    return (-99.0 if word == "below" else _number(word, 0.0)), label


def _number(text: str, otherwise: float = math.nan) -> float:
    try:
        return float(text)
    except ValueError:
        return otherwise
