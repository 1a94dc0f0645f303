"""``resound report``: what a training run was, as Markdown and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training, over or under way.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where to. Default: into the run.")
    ] = None,
) -> None:
    """Tell what a training was: curves, phases, best epochs, rate, gradients, waste, memory, speed, findings.

    Example: resound report runs/gatewave-1
    """
    from resound.errors import one_line
    from resound.evaluation.run_report import write_report

    markdown, page, story = write_report(run, output or run)
    typer.echo(one_line(story.verdict))
    for name, value in story.facts.items():
        typer.echo(one_line(f"  {name}: {value}"))
    for finding in story.findings:
        typer.echo(one_line(f"{finding.severity} {finding.code}: {finding.message}"))
    typer.echo(one_line(f"{page}  {markdown}"))
