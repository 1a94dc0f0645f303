"""The story of a training as Markdown with a picture, and as one page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from resound.doctor.catalogue import CHECKS
from resound.doctor.drawing import FIRST, INK, SECOND
from resound.errors import one_line
from resound.evaluation.pages import escaped, facts, findings_of, notes_of, page, section, table
from resound.evaluation.pictures import DPI, write_picture
from resound.evaluation.training_story import Story, Table, story_of
from resound.evaluation.writing import write_text

MARKDOWN, PAGE, CURVES = "report.md", "report.html", "report-curves.png"
COLOURS = (FIRST, "#8a8a99", SECOND, "#00796b", "#b00020")


def write_report(run: Path, folder: Path) -> tuple[Path, Path, Story]:
    """Write the report of a run and return where it lies.  Raises `InputError`, `OutputError`."""
    story = story_of(run)
    if story.curves:
        write_picture(curves_png(story.curves), folder / CURVES)
    write_text(folder / MARKDOWN, as_markdown(story))
    write_text(folder / PAGE, as_page(story))
    return folder / MARKDOWN, folder / PAGE, story


def as_markdown(story: Story) -> str:
    """Return the story as Markdown."""
    lines = [f"# {story.title}", "", _sentence(story.verdict), ""]
    lines += [f"- {name}: {value}" for name, value in story.facts.items()]
    if story.curves:
        lines += ["", f"![Curves of the training]({CURVES})"]
    for each in story.tables:
        lines += ["", f"## {each.title}", "", *_markdown_rows(each)]
        lines += ["", each.note] if each.note else []
    lines += ["", "## What doctor finds", ""]
    lines += [
        f"- **{found.severity} {found.code}**, {CHECKS[found.code].title}: {one_line(found.message)}. "
        f"{one_line(found.remedy)}"
        for found in story.findings
    ] or ["Nothing."]
    return "\n".join([*lines, "", "## All settings", "", "```yaml", story.config.rstrip(), "```"]) + "\n"


def _markdown_rows(each: Table) -> list[str]:
    rows = [list(each.headings), ["---", *["---:"] * (len(each.headings) - 1)], *each.rows]
    return [f"| {' | '.join(one_line(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def as_page(story: Story) -> str:
    """Return the story as a page that needs nothing else."""
    tables = "".join(
        section(
            each.title,
            table(
                [escaped(heading) for heading in each.headings], [[escaped(cell) for cell in row] for row in each.rows]
            )
            + notes_of([each.note] if each.note else []),
        )
        for each in story.tables
    )
    body = "".join(
        [
            f"<h1>resound report: {escaped(story.title)}</h1>",
            f"<p class='verdict'>{escaped(_sentence(story.verdict))}</p>",
            facts(story.facts),
            section("Curves", "<div class='charts' id='curves'></div>" if story.curves else ""),
            tables,
            section("What doctor finds", findings_of(story.findings) or notes_of(["Nothing."])),
            section(
                "All settings", f"<details><summary>config.yaml</summary><pre>{_block(story.config)}</pre></details>"
            ),
        ]
    )
    data: dict[str, Any] = {"takes": [], "charts": {}, "table": None, "curves": list(story.curves)}
    return page(f"{story.title}: report", body, data, ("players.js", "charts.js", "table.js", "report.js"))


def _block(text: str) -> str:
    return "\n".join(escaped(line) for line in text.splitlines())


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def curves_png(curves: Sequence[dict[str, Any]]) -> bytes:
    """Return all curves as one picture, two beside each other."""
    n_rows = -(-len(curves) // 2)
    figure = Figure(figsize=(10, 2.7 * n_rows), dpi=DPI, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(n_rows, 2, squeeze=False).reshape(-1)
    for each, own in zip(curves, axes, strict=False):
        _draw(each, own)
    for spare in axes[len(curves) :]:
        spare.set_visible(False)
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()


def _draw(curve: dict[str, Any], axes: Axes) -> None:
    for colour, series in zip(COLOURS, curve["series"], strict=False):
        values = [float("nan") if value is None else value for value in series["y"]]
        marker = "." if len(values) < 60 else ""
        axes.plot(series["x"], values, color=colour, linewidth=1, marker=marker, label=series["name"])
    for rule in curve.get("rules", ()):
        axes.axhline(rule["y"], color="#888888", linestyle="--", linewidth=0.8)
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "bottom", "ha": "right", "fontsize": 7}
        axes.annotate(rule["name"], (0.99, rule["y"]), color="#555555", **place)
    if curve.get("is_log"):
        axes.set_yscale("log")
    if len(curve["series"]) > 1:
        axes.legend(frameon=False, fontsize=7)
    axes.set(xlabel="step", ylabel=curve["title"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
