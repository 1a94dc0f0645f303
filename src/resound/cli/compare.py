"""``resound compare``: which of several systems is better, or that nobody can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from resound.evaluation.compare import Comparison


def command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="A B [C]...", help="Folders of 'resound evaluate', or runs that have one.")
    ],
    metrics: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Which: si_sdr, pesq ... Default: all that they share.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where to. Default: comparison/A-B.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json instead of the table.")] = False,
) -> None:
    """Compare systems that were judged on the same recordings, pair by pair, and write a page with a blind test.

    Example: resound compare results/mine results/theirs
    """
    from resound.errors import one_line
    from resound.evaluation.compare import compare
    from resound.evaluation.comparison_page import comparison_page
    from resound.evaluation.writing import write_text

    comparison = compare(folders, metrics or ())
    folder = output or Path("comparison") / "-".join(Path(system.name).name for system in comparison.systems)
    text = json.dumps(comparison.to_json(), indent=2, ensure_ascii=False) + "\n"
    write_text(folder / "comparison.json", text)
    write_text(folder / "comparison.html", comparison_page(comparison))
    if as_json:
        typer.echo(text, nl=False)
        return
    show(comparison)
    typer.echo(one_line(f"{folder / 'comparison.html'}  {folder / 'comparison.json'}"))


def show(comparison: Comparison) -> None:
    """Print means, differences and what they say."""
    import sys

    from rich.console import Console

    from resound.errors import one_line

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table_of(comparison))
    for note in comparison.notes:
        console.print(f"note: {one_line(note)}", markup=False, soft_wrap=True, style="dim")
    for sentence in comparison.sentences:
        console.print(one_line(sentence), markup=False, soft_wrap=True)


def table_of(comparison: Comparison) -> Table:
    """Return a row for each metric and pair."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from resound.evaluation.compare import p_text
    from resound.evaluation.measures import METRICS, title_of
    from resound.evaluation.words import number, signed

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"{len(comparison.names)} recordings")
    for heading in ("first", "second", "difference", "95 % interval", "p, Holm"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in comparison.pairings:
        found, digits = each.difference, METRICS[each.metric].measure.digits
        means = [comparison.statistics(name, each.metric).mean for name in (each.first, each.second)]
        verdict = "identical" if found.is_identical else ""
        if found.is_told_apart:
            verdict = f"[bold green]{escape(each.second if found.mean > 0 else each.first)} is better[/]"
        table.add_row(
            title_of(each.metric),
            *(
                f"{escape(name)} {number(mean, digits)}"
                for name, mean in zip((each.first, each.second), means, strict=True)
            ),
            signed(found.mean, digits + 1) if found.n else "–",
            f"{number(found.low, digits + 1)} to {number(found.high, digits + 1)}" if found.n > 1 else "–",
            p_text(found.p_holm),
            verdict or "cannot be told apart",
        )
    return table
