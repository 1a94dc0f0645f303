"""Compares systems that were judged on the same recordings, pair by pair."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.errors import ConfigError, InputError, counted, did_you_mean
from resound.evaluation.measures import METRICS
from resound.evaluation.result import MAIN
from resound.evaluation.statistics import LEAST_FILES, Difference, corrected, paired
from resound.evaluation.words import number, signed
from resound.evaluation.writing import CSV, JSON
from resound.judging.summary import Statistics, finite, statistics_of

SAME_INPUT = 0.01  # of a metric of the input, within which two evaluations had the same input
INPUT_KEYS = ("si_sdr_unprocessed", "snr_unprocessed", "lsd_unprocessed")  # columns by which that is checked


@dataclass(frozen=True)
class System:
    """A judged system: its figures by recording."""

    name: str
    folder: Path
    metrics: tuple[str, ...]
    rows: dict[str, dict[str, float]]  # by recording and column

    def knows(self, key: str) -> bool:
        """Whether any recording has a value in a column."""
        return any(key in row for row in self.rows.values())

    def column(self, key: str, names: Sequence[str]) -> NDArray[np.float64]:
        """Return a column of ``results.csv`` for recordings, NaN where there is no value."""
        return np.array([self.rows[name].get(key, math.nan) for name in names])


@dataclass(frozen=True)
class Pairing:
    """How two systems differ in one metric."""

    metric: str
    first: str
    second: str
    difference: Difference  # positive: the second is better


@dataclass(frozen=True)
class Comparison:
    """Systems beside each other."""

    systems: Sequence[System]
    names: Sequence[str]  # recordings that all of them have
    metrics: Sequence[str]
    pairings: Sequence[Pairing]  # each metric, each pair
    notes: Sequence[str]

    @property
    def main(self) -> str:
        """The metric that is spoken of."""
        return next((name for name in MAIN if name in self.metrics), self.metrics[0])

    @property
    def sentences(self) -> list[str]:
        """Say of each pair which is better, or that they cannot be told apart and what it would take."""
        return [
            sentence(each, len(self.pairings)) + but_worse(each, self.pairings)
            for each in self.pairings
            if each.metric == self.main
        ]

    def values(self, system: System, metric: str) -> NDArray[np.float64]:
        """Return the figures of a system for the recordings of all."""
        return system.column(metric, self.names)

    def statistics(self, name: str, metric: str) -> Statistics:
        """Return mean, median and interval of a system, by its name, over the recordings of all."""
        system = next(system for system in self.systems if system.name == name)
        return statistics_of(self.values(system, metric))

    def to_json(self) -> dict[str, Any]:
        """Return all as plain JSON; NaN is null."""
        return {
            "resound_comparison": 1,
            "n_files": len(self.names),
            "sentences": self.sentences,
            "notes": list(self.notes),
            "systems": {
                system.name: {
                    "folder": str(system.folder),
                    **{metric: _plain(asdict(self.statistics(system.name, metric))) for metric in self.metrics},
                }
                for system in self.systems
            },
            "differences": [
                {
                    "metric": each.metric,
                    "first": each.first,
                    "second": each.second,
                    "is_told_apart": each.difference.is_told_apart,
                    **_plain(asdict(each.difference)),
                }
                for each in self.pairings
            ],
        }


def compare(folders: Sequence[Path], metrics: Sequence[str] = ()) -> Comparison:
    """Return how systems differ, from the folders of their evaluations.

    Raises `ConfigError` and `InputError`, also where they were not judged on the same inputs.
    """
    if len(folders) < 2:
        raise ConfigError(f"{counted(len(folders), 'evaluation')} given; to compare takes two or more")
    systems = _named([read_system(folder) for folder in folders])
    names = [name for name in systems[0].rows if all(name in each.rows for each in systems)]
    if not names:
        raise InputError(
            f"{systems[0].folder} and {systems[1].folder}: have no recording in common; judge them on the same ones"
        )
    _check_same_inputs(systems, names)
    chosen = _metrics(systems, metrics)
    pairs = list(itertools.combinations(systems, 2))
    found = [
        paired(gains(metric, first.column(metric, names), second.column(metric, names)))
        for metric in chosen
        for first, second in pairs
    ]
    keys = [(metric, first.name, second.name) for metric in chosen for first, second in pairs]
    pairings = [Pairing(*key, difference) for key, difference in zip(keys, corrected(found), strict=True)]
    return Comparison(systems, names, chosen, pairings, _notes(systems, names))


def gains(metric: str, first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Return by how much the second is better on each recording."""
    better = METRICS[metric].measure.better
    before, after = ({"higher": -side, "lower": side, "near 0": np.abs(side)}[better] for side in (first, second))
    return before - after


def read_system(folder: Path) -> System:
    """Return what was judged, from a folder of results or from a run that has one.  Raises `InputError`."""
    place = folder / "evaluation" if (folder / "evaluation" / JSON).is_file() else folder
    if not (place / JSON).is_file():
        is_run = (folder / "config.yaml").is_file()
        command = f"resound evaluate --model {folder}" if is_run else "resound evaluate ... -o FOLDER"
        what = "is a run that was not judged so far" if is_run else f"holds no results ({JSON} is missing)"
        raise InputError(f"{folder}: {what}; run '{command}' first")
    try:
        told = json.loads((place / JSON).read_text(encoding="utf-8"))
        with open(place / CSV, encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        rows = {row["name"]: _numbers(row) for row in table if not row.get("error")}
        is_whole = len(table) == told["n_files"]
        metrics = tuple(name for name in told["overall"].get("enhanced", {}) if name in METRICS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
        is_whole = False
    if not is_whole:
        raise InputError(
            f"{place}: {JSON} or {CSV} is missing, broken or of another program; judge it again with 'resound evaluate'"
        )
    if not rows or not metrics:
        raise InputError(f"{place}: no recording there could be judged; look at its results")
    return System(folder.name or str(folder.resolve().name), place, metrics, rows)


def _numbers(row: dict[str, str]) -> dict[str, float]:
    """Return the cells of a row that are numbers."""
    found = {}
    for key, text in row.items():
        with suppress(TypeError, ValueError):
            found[key] = float(text)
    return {key: value for key, value in found.items() if math.isfinite(value)}


def _named(systems: Sequence[System]) -> list[System]:
    """Return systems whose names differ: by as much of their paths as that takes."""
    names = [system.name for system in systems]
    if len(set(names)) == len(names):
        return list(systems)
    shown = [str(system.folder) for system in systems]
    if len(set(shown)) < len(shown):
        shown = [f"{name} ({number})" for number, name in enumerate(shown, 1)]
    return [System(name, each.folder, each.metrics, each.rows) for name, each in zip(shown, systems, strict=True)]


def _metrics(systems: Sequence[System], asked: Sequence[str]) -> list[str]:
    """Return the metrics that all systems have, or those of them that were asked for.  Raises `ConfigError`."""
    common = [name for name in systems[0].metrics if all(name in each.metrics for each in systems)]
    words = list(dict.fromkeys(word.strip().lower() for text in asked for word in text.split(",") if word.strip()))
    unknown = next((word for word in words if word not in common), None)
    if unknown is not None:
        raise ConfigError(
            f"metric {unknown!r} was not measured of all{did_you_mean(unknown, common)}; they have {', '.join(common)}"
        )
    if not common:
        raise InputError(f"{systems[0].folder} and the others: have no metric in common; judge them alike")
    return words or common


def _check_same_inputs(systems: Sequence[System], names: Sequence[str]) -> None:
    """Raise `InputError` where recordings of one name had other inputs: such figures cannot be compared."""
    for first, other in itertools.combinations(systems, 2):
        for key in (key for key in INPUT_KEYS if first.knows(key) and other.knows(key)):
            before, after = first.column(key, names), other.column(key, names)
            apart = np.where(np.isnan(before) != np.isnan(after), np.inf, np.abs(before - after))
            if np.any(apart > SAME_INPUT):
                index = int(np.nanargmax(apart))
                values = [number(float(each[index]), 2) for each in (before, after)]
                raise InputError(
                    f"{first.folder} and {other.folder}: were judged on other inputs ({names[index]}: "
                    f"{METRICS[key.removesuffix('_unprocessed')].measure.title} of the input {values[0]} and "
                    f"{values[1]}); judge them on the same recordings at the same rate"
                )


def _notes(systems: Sequence[System], names: Sequence[str]) -> list[str]:
    notes = [
        f"{system.name}: {counted(len(system.rows) - len(names), 'recording')} that others lack, left out"
        for system in systems
        if len(system.rows) > len(names)
    ]
    notes += [
        f"{system.name}: was judged without the unprocessed input, so nobody has checked that its inputs were the same"
        for system in systems
        if not any(map(system.knows, INPUT_KEYS))
    ]
    if len(names) == 1:
        notes.append("one recording gives no interval and no test")
    elif len(names) < LEAST_FILES:
        notes.append(
            f"{len(names)} recordings can prove nothing at the 5 % level: the test takes {LEAST_FILES} or more"
        )
    return notes


def sentence(pairing: Pairing, n_tests: int) -> str:
    """Return in words which of two systems is better, and how sure that is."""
    measure, found = METRICS[pairing.metric].measure, pairing.difference
    first, second = pairing.first, pairing.second
    if not found.n:
        return f"{first} and {second} cannot be compared: no recording has {measure.title} of both"
    if found.is_identical:
        return f"{first} and {second} are identical in {measure.title} on all {counted(found.n, 'file')}"
    unit = f" {measure.unit}" if measure.unit else ""
    if found.n == 1:
        return f"{second} is {signed(found.mean, measure.digits + 1)}{unit} {measure.title} beside {first} on one file"
    if not found.is_told_apart and max(abs(found.low), abs(found.high)) < 0.05 * 10.0**-measure.digits:
        return f"{first} and {second}: no difference that {measure.title} shows, on {counted(found.n, 'file')}"
    digits = _digits(found, measure.digits)
    spread = f"95 % interval {number(found.low, digits)} to {number(found.high, digits)}"
    told = f"{signed(found.mean, digits)}{unit} {measure.title}, {spread}"
    p = f"p {p_text(found.p_holm)}" + (f" (Holm, {n_tests} tests)" if n_tests > 1 else "")
    if found.is_told_apart:
        better, worse, n = (second, first, found.n_better) if found.mean > 0 else (first, second, found.n_worse)
        if found.mean < 0:
            told = _turned(found, digits, unit, measure.title)
        return f"{better} is better than {worse} on {n} of {counted(found.n, 'file')}: {told}, {p}"
    apart = f"{first} and {second} cannot be told apart with {counted(found.n, 'file')}: {second} {told}, {p}"
    return f"{apart}; {_what_it_takes(found)}"


def but_worse(pairing: Pairing, pairings: Sequence[Pairing]) -> str:
    """Return in which metrics the system that is better in one is worse, where that is as sure; else nothing."""
    found, told = pairing.difference, []
    if not found.is_told_apart:
        return ""
    for each in pairings:
        other, measure = each.difference, METRICS[each.metric].measure
        is_same_pair = (each.first, each.second) == (pairing.first, pairing.second)
        is_opposed = other.is_told_apart and (other.mean > 0) != (found.mean > 0)
        if is_same_pair and is_opposed and measure.better != "near 0":
            unit = f" {measure.unit}" if measure.unit == "dB" else ""
            told.append(f"{measure.title} ({signed(-abs(other.mean), _digits(other, measure.digits))}{unit})")
    return f"; but worse in {', '.join(told)}" if told else ""


def _what_it_takes(found: Difference) -> str:
    """Return in words what would tell systems apart that are not."""
    if found.is_contradictory:
        return (
            f"better on {found.n_better}, worse on {found.n_worse}: a few large differences decide the mean, so the "
            "test and the mean do not agree"
        )
    if not found.n_needed:
        return "no number of files up to a million would tell a difference of that size"
    if replace(found, p_holm=found.p).is_told_apart:
        return f"this test by itself would tell them apart (p {p_text(found.p)}), but it is one of several"
    if found.n_needed <= found.n:
        return "the differences are uneven: more files would tell"
    about = round(found.n_needed, 2 - len(str(found.n_needed)))  # two digits, which is more than is known
    return f"about {about:,} files would be needed to tell a difference of that size by one test at 5 %"


def _turned(found: Difference, digits: int, unit: str, title: str) -> str:
    spread = f"95 % interval {number(-found.high, digits)} to {number(-found.low, digits)}"
    return f"{signed(-found.mean, digits)}{unit} {title}, {spread}"


def _digits(found: Difference, usual: int) -> int:
    """Return so many digits that a small difference is not shown as zero."""
    smallest = min(abs(value) for value in (found.mean, found.low, found.high) if value) if found.mean else 1.0
    return usual if smallest >= 0.5 * 10.0**-usual else usual + 1


def p_text(p: float) -> str:
    """Return a p-value: ``0.03``, ``< 0.0001``."""
    return "–" if math.isnan(p) else "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: finite(value) if isinstance(value, float) else value for key, value in values.items()}
