"""A model beside the baselines: a table for a terminal or for Markdown, and one line that says it in words."""

from __future__ import annotations

import math

from resound.errors import counted
from resound.judging.baselines import CEILINGS
from resound.judging.measures import ALL
from resound.judging.summary import Statistics, Summary, paired_difference

COMPARED = {"unprocessed": "the unprocessed input", "fixed_filter": "a fixed filter", "classic": "the classic chain"}
AFTER_A_DENOISER = {"unprocessed": "the denoiser's output", "noisy": "the noisy input"}
NO_VALUE = "–"
NEGLIGIBLE_DB = 0.05
Columns = dict[str, dict[str, float]]  # means by measure and estimate


def text_table(summaries: dict[str, Summary], domain: str | None = None) -> str:
    """Return means as aligned text: a line per estimate, a column per measure, over all or over one domain.

    The best of each column is starred; what knows the target does not compete.
    """
    table = [["", "", *map(_spoken, summaries)]]
    for name, column in _columns(summaries, domain).items():
        best = _best(name, column)
        cells = [_number(value, ALL[name].digits) + ("*" if who in best else " ") for who, value in column.items()]
        table.append([ALL[name].title + " ", ALL[name].unit + " ", *cells])
    widths = [max(map(len, column)) for column in table]
    lines = []
    for who, *cells in zip(*table, strict=True):
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append(" ".join([who.ljust(widths[0]), *aligned]).rstrip())
    return "\n".join([*lines, *_notes(summaries, domain, "*")])


def markdown_table(summaries: dict[str, Summary], domain: str | None = None) -> str:
    """Return what `text_table` does as Markdown, the best in bold."""
    columns = _columns(summaries, domain)
    headings = [f"{ALL[name].title} ({ALL[name].unit})" if ALL[name].unit else ALL[name].title for name in columns]
    best = {name: _best(name, column) for name, column in columns.items()}
    lines = [_row(["", *headings]), _row(["---", *["---:"] * len(columns)])]
    for who in summaries:
        numbers = {name: _number(column[who], ALL[name].digits) for name, column in columns.items()}
        cells = [f"**{number}**" if who in best[name] else number for name, number in numbers.items()]
        lines.append(_row([_spoken(who), *cells]))
    return "\n".join([*lines, "", "; ".join(_notes(summaries, domain, "bold"))])


def interval_table(summaries: dict[str, Summary]) -> str:
    """Return means with their 95 % intervals as Markdown: a line per measure, a column per estimate."""
    names = [name for name in ALL if any(name in summary.overall for summary in summaries.values())]
    lines = [_row(["", *map(_spoken, summaries)]), _row(["---", *["---:"] * len(summaries)])]
    for name in names:
        title = f"{ALL[name].title} ({ALL[name].unit})" if ALL[name].unit else ALL[name].title
        lines.append(_row([title, *(_interval(summary.overall.get(name), name) for summary in summaries.values())]))
    return "\n".join(lines)


def verdict(model: Summary, baselines: dict[str, Summary], name: str = "si_sdr") -> str:
    """Return in words whether a model beats the input, a fixed filter and the classic chain, by paired differences.

    Where a denoiser went before, its output and what it was given take their places.

    ``name`` is a measure of which more, or less, is better.  Told apart is only what differs with 95 % confidence.
    """
    phrases: list[str] = []
    verb_before = ""
    compared = AFTER_A_DENOISER if "noisy" in baselines else COMPARED
    for baseline in (baseline for baseline in compared if baseline in baselines):
        difference = paired_difference(model, baselines[baseline], name)
        verb, amount = _comparison(difference, name, names_measure=not phrases)
        phrases.append(" ".join([*([] if verb == verb_before else [verb]), compared[baseline], amount]))
        verb_before = verb
    return "; ".join([", ".join(phrases) or "no baseline to compare with", *_level(model)])


def _interval(statistics: Statistics | None, name: str) -> str:
    if statistics is None or math.isnan(statistics.mean):
        return NO_VALUE
    digits = ALL[name].digits + 1
    mean, low, high = (_number(value, digits) for value in (statistics.mean, statistics.low, statistics.high))
    return f"{mean} ({low} to {high})"


def _comparison(difference: Statistics, name: str, *, names_measure: bool) -> tuple[str, str]:
    """Return a verb and an amount for a paired difference, as in "beats", "by 1.1 dB (95 % 0.7 to 1.5)"."""
    measure = ALL[name]
    assert measure.better != "near 0", name
    if not difference.n:
        return "cannot be compared with", f"(no example has {measure.title} of both)"
    gain, low, high = difference.mean, difference.low, difference.high
    if measure.better == "lower":
        gain, low, high = -gain, -high, -low
    verb = "beats" if low > 0 else "is worse than" if high < 0 else "cannot be told from"
    if verb == "is worse than":
        gain, low, high = -gain, -high, -low
    unit = " ".join(word for word in (measure.unit, measure.title if names_measure else "") if word)
    gain_text, low_text, high_text = (_number(value, measure.digits) for value in (gain, low, high))
    spread = "one example" if difference.n == 1 else f"95 % {low_text} to {high_text}"
    if difference.n_nan:
        spread += f", {difference.n} of {counted(difference.n + difference.n_nan, 'example')}"
    if verb == "cannot be told from":
        return verb, f"({gain_text} {unit}".rstrip() + f", {spread})"
    return verb, f"by {gain_text} {unit}".rstrip() + f" ({spread})"


def _level(model: Summary) -> list[str]:
    """Return how far the level is off, if that is known."""
    level = model.overall.get("level_db")
    if level is None or math.isnan(level.mean):
        return []
    if abs(level.mean) < NEGLIGIBLE_DB:
        return ["level right"]
    return [f"level {abs(level.mean):.1f} dB {'low' if level.mean < 0 else 'high'}"]


def _columns(summaries: dict[str, Summary], domain: str | None) -> Columns:
    """Return the means, NaN for what was not measured, of the measures that any of the estimates has."""
    statistics = {who: _statistics(summary, domain) for who, summary in summaries.items()}
    names = [name for name in ALL if any(name in one for one in statistics.values())]
    return {
        name: {who: one[name].mean if name in one else math.nan for who, one in statistics.items()} for name in names
    }


def _statistics(summary: Summary, domain: str | None) -> dict[str, Statistics]:
    return summary.overall if domain is None else summary.domains.get(domain, {})


def _best(name: str, column: dict[str, float]) -> set[str]:
    """Return the estimates with the best value, as far as the table shows it."""
    digits = ALL[name].digits
    badness = {
        who: ALL[name].badness(round(value, digits))
        for who, value in column.items()
        if who not in CEILINGS and not math.isnan(value)
    }
    return {who for who, value in badness.items() if value == min(badness.values())}


def _notes(summaries: dict[str, Summary], domain: str | None, mark: str) -> list[str]:
    """Return what must be known to read the table: how many examples, what has no value and why."""
    chosen = {who: _statistics(summary, domain) for who, summary in summaries.items()}
    n_examples = max(
        (sum(domain in (None, row.domain) for row in summary.rows) for summary in summaries.values()), default=0
    )
    notes = [f"means of {counted(n_examples, 'example')}; {mark}: best, what knows the target left aside"]
    n_measured = {name: max(one[name].n + one[name].n_nan for one in chosen.values() if name in one)
                  for name in _columns(summaries, domain)}  # fmt: skip
    fewer = [f"{ALL[name].title} {n}" for name, n in n_measured.items() if n < n_examples]
    if fewer:
        notes.append(f"measured on fewer: {', '.join(fewer)}")
    without = [
        f"{_spoken(who)} {ALL[name].title} {statistics.n_nan}"
        for who, one in chosen.items()
        for name, statistics in one.items()
        if statistics.n and statistics.n_nan  # where none has one the table says so
    ]
    if without:
        notes.append(f"examples without a value: {', '.join(without)}")
    absent = {name: why for summary in summaries.values() for name, why in summary.left_out.items()}
    return notes + [f"{ALL[name].title} left out: {why}" for name, why in absent.items()]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float, digits: int) -> str:
    """Return a number as the table shows it, without a minus before zero."""
    return NO_VALUE if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
