"""Systems beside each other as a page: what differs, how sure that is, and a blind test for the ear."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resound.errors import InputError, counted
from resound.evaluation.cases import HOP_SECONDS
from resound.evaluation.compare import Comparison, System, gains, p_text
from resound.evaluation.journal import ROWS
from resound.evaluation.measures import METRICS, title_of
from resound.evaluation.pages import escaped, notes_of, page, section, table
from resound.evaluation.sounds import Take, for_player, shortened
from resound.evaluation.words import number, signed
from resound.evaluation.writing import AUDIO

SCRIPTS = ("players.js", "charts.js", "abx.js")
N_TAKES = 8  # that are listened to, drawn by the seed
SEED = 0


def comparison_page(comparison: Comparison) -> str:
    """Return the page; the first two systems are those that are listened to."""
    takes = takes_of(comparison)
    title = " and ".join(system.name for system in comparison.systems)
    data = {"title": title, "takes": takes, "scatters": _scatters(comparison)}
    sentences = "".join(
        f"<p class='verdict'>{escaped(each).replace('95 %', '95&nbsp;%')}</p>" for each in comparison.sentences
    )
    body = "".join(
        [
            f"<h1>resound compare: {escaped(title)}, {counted(len(comparison.names), 'recording')}</h1>",
            sentences,
            section("Means", _means(comparison)),
            section("Differences, recording by recording", _differences(comparison)),
            section("Each recording", "<div class='charts' id='charts'></div>" if data["scatters"] else ""),
            section("Listen without knowing", _listening(comparison, takes)),
            section("What to know", notes_of([*comparison.notes, HOW])),
        ]
    )
    return page(f"{title} compared", body, data, SCRIPTS)


HOW = (
    "Differences are of the same recordings, positive where the second system is better. Intervals by the "
    "bootstrap; p by Wilcoxon's signed-rank test, two-sided, corrected by Holm for all tests on this page; "
    "files needed: to find a difference of that size in 4 of 5 experiments, by one test at the 5 % level."
)

NO_SOUND = (
    "There is no sound to compare, or it is no longer where it was: judge finished outputs (--enhanced), or a model "
    "with --save-audio."
)


def _means(comparison: Comparison) -> str:
    rows = []
    for metric in comparison.metrics:
        measure = METRICS[metric].measure
        means = [comparison.statistics(system.name, metric) for system in comparison.systems]
        badness = [measure.badness(round(each.mean, measure.digits)) for each in means]
        known = [value for value in badness if not math.isnan(value)]
        best = min(known) if len(set(known)) > 1 else math.nan
        cells = [
            ("*" if value == best else "")
            + number(each.mean, measure.digits)
            + (f"<span class='spread'>{number(each.low, measure.digits)} to {number(each.high, measure.digits)}</span>")
            for each, value in zip(means, badness, strict=True)
        ]
        rows.append([escaped(title_of(metric)), *cells])
    return table(["mean, 95 % interval", *(escaped(system.name) for system in comparison.systems)], rows)


def _differences(comparison: Comparison) -> str:
    rows = []
    for each in comparison.pairings:
        found, digits = each.difference, METRICS[each.metric].measure.digits + 1
        verdict = "identical" if found.is_identical else "not told apart"
        if found.is_told_apart:
            verdict = each.second if found.mean > 0 else each.first
        rows.append(
            [
                escaped(title_of(each.metric)),
                f"{escaped(each.second)} − {escaped(each.first)}",
                signed(found.mean, digits) if found.n else "–",
                f"{number(found.low, digits)} to {number(found.high, digits)}",
                f"{found.n_better} / {found.n_worse}",
                escaped(p_text(found.p)),
                escaped(p_text(found.p_holm)),
                f"{found.n_needed:,}" if found.n_needed else "–",
                escaped(verdict),
            ]
        )
    headings = [
        "metric",
        "difference",
        "mean",
        "95 % interval",
        "for / against",
        "p",
        "p, Holm",
        "files needed",
        "better",
    ]
    return table(headings, rows)


def _scatters(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a chart of each pair in the metric that is spoken of."""
    metric, found = comparison.main, []
    for index, first in enumerate(comparison.systems):
        for second in comparison.systems[index + 1 :]:
            x, y = comparison.values(first, metric), comparison.values(second, metric)
            differences = gains(metric, x, y)
            known = np.flatnonzero(~np.isnan(differences))
            points = [
                {"name": comparison.names[i], "x": round(float(x[i]), 4), "y": round(float(differences[i]), 4)}
                for i in known[:2000]
            ]
            if points:
                caption = f"Each point a recording; above the dashed line {second.name} is better."
                y_label = f"{second.name} better by"
                found.append(
                    {"points": points, "x": f"{title_of(metric)} of {first.name}", "y": y_label, "caption": caption}
                )
    return found


def _listening(comparison: Comparison, takes: Sequence[dict[str, Any]]) -> str:
    if not takes:
        return notes_of([NO_SOUND])
    names = " and ".join(escaped(system.name) for system in comparison.systems[:2])
    tools = (
        f"<p class='note'>A and B are {names}, in an order that is drawn anew for each trial; X is one of them. "
        "All are equally loud, and switching keeps the position.</p>"
        "<div class='tools'><span id='score'></span>"
        "<button class='button' type='button' id='forget'>forget the score</button></div>"
    )
    blocks = [
        f"<article class='panel take'><header><h3>{escaped(take['name'])}</h3></header>"
        f"<div class='trial' id='{take['id']}'></div></article>"
        for take in takes
    ]
    return tools + "".join(blocks)


def takes_of(comparison: Comparison) -> list[dict[str, Any]]:
    """Return recordings of the first two systems for the players, as many as can be read."""
    first, second = comparison.systems[:2]
    order = np.random.default_rng(SEED).permutation(len(comparison.names))
    wanted = [comparison.names[index] for index in order]
    files = [_outputs(system, set(wanted)) for system in (first, second)]
    found: list[dict[str, Any]] = []
    for name in wanted:
        paths = [own.get(name) for own in files]
        take = _take(name, (first.name, second.name), paths) if all(paths) else None
        if take is not None:
            found.append(for_player(take, f"trial-{len(found)}"))
        if len(found) == N_TAKES:
            break
    return found


def _outputs(system: System, names: set[str]) -> dict[str, Path]:
    """Return the first output of each recording, where there is a file."""
    found: dict[str, Path] = {}
    try:
        with open(system.folder / ROWS, encoding="utf-8", errors="surrogateescape") as lines:
            next(lines)
            for line in lines:
                told = json.loads(line)
                if told["name"] in names and (paths := told.get("files", {}).get("enhanced")):
                    found[told["name"]] = _where_it_is(system.folder, told["name"], Path(paths[0]))
    except (OSError, ValueError, StopIteration, KeyError, TypeError, AttributeError):  # of a journal cut short
        return found
    return found


def _where_it_is(folder: Path, name: str, file: Path) -> Path:
    """Return where an output lies, also where the evaluation that kept it was moved."""
    kept = folder / AUDIO / Path(name).parent / file.name
    return kept if kept.is_file() and not file.is_file() else file


def _take(name: str, systems: tuple[str, str], paths: Sequence[Path | None]) -> Take | None:
    """Return both versions of a recording, None where one cannot be read or they differ in form."""
    from resound.audio.segments import read_segment, resample

    try:
        sounds = [read_segment(path) for path in paths if path is not None]
    except InputError:
        return None
    rate = min(own for _, own in sounds)
    versions = [resample(sound, own, rate) for sound, own in sounds]
    length = min(sound.shape[1] for sound in versions)
    if len({len(sound) for sound in versions}) > 1 or max(s.shape[1] for s in versions) - length > HOP_SECONDS * rate:
        return None
    if not length:
        return None
    return shortened(
        Take(name, rate, {key: sound[:, :length] for key, sound in zip(systems, versions, strict=True)}, 0.0)
    )
