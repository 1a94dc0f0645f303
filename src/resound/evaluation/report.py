"""All that an evaluation leaves in its folder: rows, sums, highlights, pictures, and one page that shows them."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resound.errors import counted
from resound.evaluation.curves import curves_of_run
from resound.evaluation.evaluate import Evaluated
from resound.evaluation.highlights import Highlight, as_markdown, chosen, with_sounds
from resound.evaluation.measures import METRICS, title_of
from resound.evaluation.pages import escaped, facts, findings_of, notes_of, page, section, table
from resound.evaluation.pictures import for_page, size_of
from resound.evaluation.result import UNPROCESSED, Evaluation
from resound.evaluation.scoring import ENHANCED
from resound.evaluation.sounds import for_player
from resound.evaluation.words import interval_text, kinds_of, left_out_notes, missing_notes, number, signed
from resound.evaluation.writing import write_results, write_text
from resound.judging.summary import Statistics

PAGE, HIGHLIGHTS, PICTURES = "report.html", "highlights.md", "pictures"
SCRIPTS = ("players.js", "charts.js", "table.js", "report.js")
MOST_POINTS = 2000  # of a chart: more are one blot


@dataclass(frozen=True)
class Written:
    """Where it lies."""

    page: Path
    results: Path
    rows: Path


def write_all(evaluated: Evaluated, folder: Path, tell: Callable[[str], None]) -> Written:
    """Write everything.  Raises `OutputError`."""
    result = evaluated.result
    rows, results = write_results(result, folder)
    highlights = with_sounds(chosen(result), evaluated, folder / PICTURES, tell)
    write_text(folder / HIGHLIGHTS, as_markdown(result, highlights, PICTURES))
    model = result.settings.get("model")
    curves = curves_of_run(Path(model)) if model else []
    write_text(folder / PAGE, report_page(result, highlights, curves))
    return Written(folder / PAGE, results, rows)


def report_page(result: Evaluation, highlights: Sequence[Highlight], curves: Sequence[dict[str, Any]] = ()) -> str:
    """Return the page."""
    takes = [for_player(each.take, f"take-{n}") for n, each in enumerate(highlights) if each.take]
    data = {
        "takes": takes,
        "charts": {metric: _charts(result, metric) for metric in charted(result)},
        "table": rows_table(result),
        "curves": list(curves),
    }
    body = "".join(
        [
            f"<h1>resound evaluate: {escaped(result.title)}</h1>",
            _verdict(result),
            facts(_facts(result)),
            section("Beside the baselines", _means(result)),
            section("Every recording at a glance", _chart_places(result)),
            section("Best and worst: listen", _takes(highlights)),
            section("All recordings", "<div class='panel' id='recordings'></div>"),
            section("The training", "<div class='charts' id='curves'></div>" if curves else ""),
            section("What doctor finds", findings_of(result.findings) or _nothing_found(result)),
            section("What to know", _notes(result)),
        ]
    )
    return page(f"{result.title}: {counted(len(result.names), 'recording')}", body, data, SCRIPTS)


def _verdict(result: Evaluation) -> str:
    parts = result.verdict.split("; ")
    first, rest = "; ".join(parts[:2]), "; ".join(parts[2:])
    kind = "good" if first.startswith("better") else "bad" if first.startswith(("worse", "no verdict")) else ""
    told = first[0].upper() + first[1:]
    spoken = [escaped(text).replace("95 %", "95&nbsp;%") for text in (told, rest)]
    return f"<p class='verdict {kind}'>{spoken[0]}<small>{spoken[1]}</small></p>"


def _facts(result: Evaluation) -> dict[str, str]:
    measure = METRICS[result.main].measure
    told = {"recordings": str(len(result.names)), "minutes": f"{np.nansum(result.seconds) / 60:.1f}"}
    if UNPROCESSED in result.scores:
        gain = result.improvement(result.main)
        told[f"{measure.title} over the input"] = f"{signed(gain.mean, measure.digits)} {measure.unit}"
        if gain.n > 1:
            told["95 % interval"] = interval_text(gain, measure.digits)
        gains = result.improvements(result.main)
        told[f"{kinds_of(result.main)[0]} than the input"] = (
            f"{int((gains > 0).sum())} of {int((~np.isnan(gains)).sum())}"
        )
    if result.cost:
        told["seconds of work per second"] = f"{result.cost.real_time_factor:.3g}"
        if result.cost.peak_memory_mb:
            told["peak memory"] = f"{result.cost.peak_memory_mb:.0f} MB"
    if result.n_failed:
        told["could not be judged"] = str(result.n_failed)
    return told


def _means(result: Evaluation) -> str:
    """Return means with their intervals: a row for each metric, a column for each estimate."""
    has_gain = UNPROCESSED in result.scores
    estimates = [escaped(who.replace("_", " ")) for who in result.scores]
    rows = []
    for metric in result.metrics:
        best = result.best(metric)
        means = {who: result.statistics(who, metric) for who in result.scores}
        cells = [escaped(title_of(metric))]
        cells += [("*" if who in best else "") + _with_spread(told, metric) for who, told in means.items()]
        if has_gain:
            gain = result.improvement(metric)
            known = gain.n and METRICS[metric].measure.better != "near 0"
            cells.append(_with_spread(gain, metric, is_signed=True) if known else "")
        rows.append(cells)
    headings = ["mean, 95 % interval", *estimates, *(["improvement"] if has_gain else [])]
    told_of = "The best of each row is bold; the oracle mask knows the reference and does not compete. "
    return table(headings, rows) + notes_of([told_of + "An improvement is positive where the output is better."])


def _with_spread(told: Statistics, metric: str, *, is_signed: bool = False) -> str:
    digits = METRICS[metric].measure.digits
    spread = f"<span class='spread'>{interval_text(told, digits)}</span>" if told.n > 1 else ""
    return (signed if is_signed else number)(told.mean, digits) + spread


def charted(result: Evaluation) -> list[str]:
    """Return the metrics of which there are charts, the one that is spoken of first."""
    known = [name for name in result.metrics if result.statistics(ENHANCED, name).n]
    return sorted(known, key=lambda name: name != result.main)


def _chart_places(result: Evaluation) -> str:
    names = charted(result)
    if not names:
        return ""
    options = "".join(f"<option value='{name}'>{escaped(title_of(name))}</option>" for name in names)
    tools = f"<div class='tools'><label>Metric <select id='metric'>{options}</select></label></div>"
    return f"{tools}<div class='charts' id='charts'></div>"


def _charts(result: Evaluation, metric: str) -> dict[str, Any]:
    """Return what the charts of a metric show: improvement against input, and means by band of input SNR."""
    told: dict[str, Any] = {"title": title_of(metric)}
    gains, before = result.improvements(metric), result.column(UNPROCESSED, metric)
    known = np.flatnonzero(~np.isnan(gains))
    if len(known) and METRICS[metric].measure.better != "near 0":
        drawn = known[np.linspace(0, len(known) - 1, min(len(known), MOST_POINTS)).astype(int)]
        told["points"] = [
            {"name": result.names[i], "x": round(float(before[i]), 4), "y": round(float(gains[i]), 4)} for i in drawn
        ]
        of = f", {len(drawn)} of {len(known)} drawn" if len(drawn) < len(known) else ""
        told["caption"] = f"Each point a recording{of}; below the dashed line it got worse. A click leads to it."
    bands = result.groups("snr_band")
    if len(bands) > 1:
        told["bands"] = {
            "labels": list(bands),
            "axis": "SNR of the input",
            "caption": "Means by the SNR of the input, with 95 % intervals.",
            "series": [_band_series(result, who, metric, list(bands.values())) for who in result.scores],
        }
    return told


def _band_series(result: Evaluation, who: str, metric: str, bands: Sequence[np.ndarray]) -> dict[str, Any]:
    each = [result.statistics(who, metric, chosen_) for chosen_ in bands]
    return {
        "name": who.replace("_", " "),
        "x": list(range(len(each))),
        "y": [_rounded(one.mean) for one in each],
        "low": [_rounded(one.low) for one in each],
        "high": [_rounded(one.high) for one in each],
        "n": [one.n for one in each],
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _takes(highlights: Sequence[Highlight]) -> str:
    if not any(each.take for each in highlights):
        return ""
    tools = (
        "<div class='tools'><label><input type='checkbox' id='loudness' checked> all versions at one loudness"
        "</label><span>Keys 1 to 4 switch while a player has the focus; the position stays. Sound is lossless, 16 bit."
        "</span></div>"
    )
    blocks = []
    for position, each in enumerate(highlights):
        if each.take is None:
            continue
        start, seconds = each.take.start_seconds, each.take.seconds
        cut = f" · {start:.1f} to {start + seconds:.1f} s" if start else ""
        picture = ""
        if each.png:
            source = base64.b64encode(for_page(each.png)).decode()
            alt = f"Waveforms and spectrograms of {each.name}"
            width, height = size_of(each.png)
            picture = (
                f"<img alt='{escaped(alt)}' width='{width}' height='{height}' src='data:image/webp;base64,{source}'>"
            )
        blocks.append(
            f"<article class='panel take'><header><h3>{each.kind}: {escaped(each.name)}{cut}</h3>"
            f"<span>{escaped(each.told)}</span></header>"
            f"<div class='controls' id='take-{position}'></div>{picture}</article>"
        )
    return tools + "".join(blocks)


def rows_table(result: Evaluation) -> dict[str, Any]:
    """Return all recordings as the page's table has them."""
    columns: list[dict[str, Any]] = [{"title": "recording", "digits": 0}]
    values: list[np.ndarray] = []
    for metric in result.metrics:
        digits = METRICS[metric].measure.digits
        columns.append({"title": METRICS[metric].measure.title, "digits": digits})
        values.append(result.column(ENHANCED, metric))
        if UNPROCESSED in result.scores and METRICS[metric].measure.better != "near 0":
            columns.append({"title": f"Δ {METRICS[metric].measure.title}", "digits": digits, "signed": True})
            values.append(result.improvements(metric))
    labels = {kind: texts for kind, texts in result.labels.items() if kind != "snr_band"}
    columns += [{"title": kind, "digits": 0} for kind in labels]
    rows = [
        [name, *(_rounded(float(column[i])) for column in values), *(texts[i] or None for texts in labels.values())]
        for i, name in enumerate(result.names)
    ]
    return {"columns": columns, "rows": rows}


def _nothing_found(result: Evaluation) -> str:
    if not result.n_looked_at:
        return ""
    return notes_of([f"Nothing, in {counted(result.n_looked_at, 'output')}."])


def _notes(result: Evaluation) -> str:
    failed = [f"{name}: {why}" for name, why in result.errors.items()]
    lines = [*result.notes, *left_out_notes(result.left_out), *missing_notes(result)]
    if result.cost:
        lines.append(f"Real-time factor and memory: {result.cost.about}.")
    spoken = {key: ", ".join(value) if isinstance(value, list) else value for key, value in result.settings.items()}
    settings = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in spoken.items())
    errors = f"<details><summary>{counted(len(failed), 'recording')} not judged</summary>{notes_of(failed)}</details>"
    return notes_of(lines) + (errors if failed else "") + notes_of([f"Settings: {settings}."])
