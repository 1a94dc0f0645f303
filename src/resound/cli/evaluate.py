"""``resound evaluate``: what a model, or the outputs of any tool, are worth beside what is trivial."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resound.cli.doctor_options import Jobs, progress_bar

if TYPE_CHECKING:
    from rich.table import Table

    from resound.evaluation.result import Evaluation


def command(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of --config to change.")
    ] = None,
    enhanced: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR|LIST", help="Finished outputs, matched by name or key. Once for each voice."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME|RUN|PATH", help="Instead: a model as 'resound restore' takes it.")
    ] = None,
    degraded: Annotated[
        Path | None, typer.Option(metavar="DIR|LIST", help="What went in: a folder, a CSV or a Kaldi scp list.")
    ] = None,
    clean: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR|LIST", help="The clean side; once for each voice. Without: no-reference metrics."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="MIX.yaml", help="Instead of files: a split mixed so. Default of a RUN: its own."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many examples of a split.")] = None,
    about: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Columns name, speaker, noise, snr_db: what to group by.")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME,...", help="Which: si_sdr, pesq, stoi ..., or all. Default: the usual ones."),
    ] = None,
    baselines: Annotated[
        str, typer.Option(metavar="NAME,...", help="What stands beside it, fixed_filter too; none for speed.")
    ] = "unprocessed,classic,oracle_mask",
    rate: Annotated[
        int | None, typer.Option(metavar="HZ", help="Judge at this rate. Default: the lowest of the sides.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where to. Default: evaluation/NAME.")
    ] = None,
    save_audio: Annotated[
        bool, typer.Option("--save-audio", help="Keep what the model makes in DIR/enhanced.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew what is in DIR.")] = False,
    jobs: Jobs = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
) -> None:
    """Judge a model, or what any tool made of recordings, beside the unprocessed input, the classic chain and an
    ideal mask. The same command goes on where it was stopped.

    Example: resound evaluate --enhanced enhanced/ --clean clean/ --degraded noisy/ -o results/
    """
    from resound.evaluation.evaluate import Asked, evaluate
    from resound.evaluation.report import write_all

    asked = Asked(
        degraded=degraded,
        enhanced=tuple(enhanced or ()),
        clean=tuple(clean or ()),
        about=about,
        model=model,
        config=config,
        overrides=tuple(overrides or ()),
        n_examples=count,
        metrics=tuple(metrics or ()),
        baselines=tuple(name for name in baselines.replace(" ", "").split(",") if name not in ("", "none")),
        rate=rate,
        save_audio=save_audio,
    )
    folder = output or default_folder(asked.model, asked.enhanced)
    with progress_bar("judged") as progress:
        evaluated = evaluate(asked, folder, n_jobs=jobs, overwrite=overwrite, progress=progress, tell=tell)
    written = write_all(evaluated, folder, tell)
    if as_json:
        typer.echo(written.results.read_text(encoding="utf-8"), nl=False)
    else:
        show(evaluated.result)
        typer.echo(f"{written.page}  {written.results}  {written.rows}")
    if evaluated.result.is_faulty:
        raise typer.Exit(1)


def default_folder(model: str | None, enhanced: tuple[Path, ...]) -> Path:
    """Return where results go: into a run itself, else ``evaluation/NAME``."""
    if model and (Path(model) / "config.yaml").is_file():
        return Path(model) / "evaluation"
    name = Path(model).name if model else enhanced[0].name if enhanced else "outputs"
    return Path("evaluation") / (name or "outputs")


def tell(line: str) -> None:
    """Tell what must be known beside the figures."""
    from resound.errors import one_line

    print(f"resound: {one_line(line)}", file=sys.stderr, flush=True)


def show(result: Evaluation) -> None:
    """Print the table, notes, and the verdict."""
    from rich.console import Console

    from resound.errors import one_line
    from resound.evaluation.words import missing_notes

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if result.metrics:
        console.print(table_of(result))
    for line in (*result.notes, *missing_notes(result), *failures(result)):
        console.print(f"note: {one_line(line)}", markup=False, soft_wrap=True, style="dim")
    if result.cost:
        memory = f", peak memory {result.cost.peak_memory_mb:.0f} MB" if result.cost.peak_memory_mb else ""
        console.print(
            f"real-time factor {result.cost.real_time_factor:.3g}{memory} ({result.cost.about})", soft_wrap=True
        )
    console.print(one_line(result.verdict), markup=False, soft_wrap=True)


def table_of(result: Evaluation) -> Table:
    """Return means beside those of the baselines, and the improvement over the input with its interval."""
    from rich import box
    from rich.table import Table

    from resound.evaluation.measures import METRICS, title_of
    from resound.evaluation.result import UNPROCESSED
    from resound.evaluation.words import interval_text, number, signed

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=None)
    table.add_column("mean of " + str(len(result.names) - result.n_failed))
    for who in result.scores:
        table.add_column(who.replace("_", " "), justify="right")
    has_gain = UNPROCESSED in result.scores
    if has_gain:
        table.add_column("improvement", justify="right")
        table.add_column("95 % interval", justify="right")
    for name in result.metrics:
        digits = METRICS[name].measure.digits
        means = {who: result.statistics(who, name).mean for who in result.scores}
        best = result.best(name)
        cells = [
            f"[bold green]{number(value, digits)}[/]" if who in best else number(value, digits)
            for who, value in means.items()
        ]
        if has_gain:
            gain = result.improvement(name)
            known = gain.n and METRICS[name].measure.better != "near 0"
            cells += [
                signed(gain.mean, digits) if known else "",
                interval_text(gain, digits) if known and gain.n > 1 else "",
            ]
        table.add_row(title_of(name), *cells)
    return table


def failures(result: Evaluation) -> list[str]:
    """Return a line for each recording that could not be judged, the first ten of them."""
    lines = [f"{name}: {why}" for name, why in list(result.errors.items())[:10]]
    if len(result.errors) > 10:
        lines.append(f"and {len(result.errors) - 10} more that could not be judged; results.csv names them")
    return lines
