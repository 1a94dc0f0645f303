"""``resound restore``: recordings, videos and folders in, restored ones out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.inference.batch import Batch, Outcome


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Recordings, videos, folders or patterns.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE|DIR", help="Where to. Default: <stem>_restored.<ext> beside the input."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="auto (film), classic, film, voice, a folder, or .onnx.")
    ] = "auto",
    then: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Then give a voice back what was taken of it: timbre, or a network of your own."
        ),
    ] = None,
    strength: Annotated[float, typer.Option(metavar="0..1", help="How much of the restoration to take.")] = 1.0,
    max_reduction: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            help="Never lower the noise by more; of a network, all it removes. Default: 12 for classic, else none.",
        ),
    ] = None,
    removed: Annotated[
        Path | None, typer.Option(metavar="FILE|DIR", help="Also write what was removed: input minus output.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="PNG|DIR", help="Also draw the spectrograms before, after, and removed."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE", help="Of the classic chain, only this stage: declick, dehum, dehiss. Repeatable."
        ),
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Leave this stage out. Repeatable.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the chain, such as dehiss.max_reduction_db=18. Repeatable.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="YAML", help="Settings of the chain from a file.")] = None,
    start: Annotated[
        float, typer.Option(metavar="S", help="Restore only an excerpt: where it starts, in seconds.")
    ] = 0.0,
    duration: Annotated[float | None, typer.Option(metavar="S", help="... and how long it is.")] = None,
    audio_track: Annotated[
        int | None, typer.Option(metavar="N", help="Which sound track of a video, counted from 1.")
    ] = None,
    audio_codec: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Codec of the restored track in a video. Default: the original's."),
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", help="Recordings at a time; 0: one per core.")] = 1,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out what has a result already.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results. Inputs are never replaced.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Restore recordings: clicks, hum and noise go; picture, tags, length and level stay.

    Example: resound restore film.mkv --strength 0.8 --removed noise.wav
    """
    from resound.classic.chain import ClassicConfig
    from resound.config import load_config
    from resound.inference.batch import Batch, run_batch
    from resound.inference.naming import plan_tasks
    from resound.inference.pipeline import Options

    chain = load_config(ClassicConfig, config, settings or ()).with_stages(only=only or (), skip=skip or ())
    options = Options(
        model=model,
        strength=strength,
        max_reduction_db=max_reduction,
        then=then,
        config=chain,
        start_seconds=start,
        duration_seconds=duration,
        audio_track=audio_track,
        audio_codec=audio_codec,
        overwrite=overwrite,
    )
    # an unknown or broken model is one error, not one for each recording
    options.find_model()
    tasks = plan_tasks(inputs, output, strength=strength, start_seconds=start, duration_seconds=duration)
    batch = Batch(tasks, options, removed, picture, skip_existing, jobs)
    outcomes = show_batch(batch, run_batch, quiet=as_json)
    if as_json:
        typer.echo(as_json_text(outcomes))
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def show_batch(batch: Batch, run: Any, *, quiet: bool) -> list[Outcome]:
    """Run the batch with a bar on a terminal, plain lines in a pipe; return all outcomes."""
    outcomes: list[Outcome] = []
    try:
        _show_each(batch, run, outcomes, quiet=quiet)
    finally:  # after Ctrl-C, too: what is done is done
        if len(batch.tasks) > 1 and outcomes and not quiet:
            typer.echo(summary(outcomes))
    return outcomes


def _show_each(batch: Batch, run: Any, outcomes: list[Outcome], *, quiet: bool) -> None:
    """Run the batch, telling and collecting each outcome as it comes."""
    from contextlib import closing

    if sys.stderr.isatty():
        from resound.cli.progress import RestoreBars

        # closing: an interrupt while we print must stop the workers, too
        with RestoreBars(len(batch.tasks)) as bars, closing(run(batch, bars.advance)) as running:
            for outcome in running:
                outcomes.append(outcome)
                bars.finish(outcome.task)
                say(outcome, bars.print, quiet=quiet)
    else:
        with closing(run(batch, None)) as running:
            for outcome in running:
                outcomes.append(outcome)
                say(outcome, typer.echo, quiet=quiet)


def say(outcome: Outcome, echo: Any, *, quiet: bool) -> None:
    """Tell how one recording fared: results to stdout, faults and warnings to stderr."""
    from resound.errors import one_line

    if outcome.error:
        print(f"resound: {one_line(outcome.error)}", file=sys.stderr)
    elif outcome.report:
        for warning in outcome.report.warnings:
            print(f"resound: warning: {one_line(warning)}", file=sys.stderr)
        if not quiet:
            echo(describe(outcome))
    elif not quiet:
        echo(f"{outcome.task.output}  exists, skipped")


def describe(outcome: Outcome) -> str:
    """Return one line about a restored recording."""
    report = outcome.report
    assert report is not None
    stages = ", ".join(f"{name} {'nothing' if db is None else f'{db:.1f} dB'}" for name, db in report.stages.items())
    then = "nothing" if report.then_changed_db is None else f"{report.then_changed_db:.1f} dB"
    repaired = f"; then {report.then} changed {then}" if report.then else ""
    return f"{report.output}  {clock(report.duration_seconds)}  removed: {stages}{repaired}"


def summary(outcomes: list[Outcome]) -> str:
    """Return the last line about a batch."""
    counts = {
        status: sum(outcome.status == status for outcome in outcomes) for status in ("restored", "skipped", "failed")
    }
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def as_json_text(outcomes: list[Outcome]) -> str:
    """Return all outcomes as a JSON list."""
    import json
    from dataclasses import asdict

    return json.dumps(
        [
            {
                "status": outcome.status,
                "input": str(outcome.task.source),
                "output": str(outcome.task.output),
                "error": outcome.error,
                "report": asdict(outcome.report) if outcome.report else None,
            }
            for outcome in outcomes
        ],
        indent=2,
        ensure_ascii=False,
    )


def clock(seconds: float) -> str:
    """Return seconds as ``1:02:03`` or ``2:03.4``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:02.0f}" if hours else f"{minutes}:{rest:04.1f}"
