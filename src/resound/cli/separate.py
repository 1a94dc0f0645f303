"""``resound separate``: a recording of several voices in, one recording for each voice out."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.inference.separate_file import VoiceFiles


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Recordings, videos, folders or patterns.")],
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE|FOLDER", help="What separates: separate, an .onnx, a network's folder.")
    ] = "separate",
    speakers: Annotated[
        int | None, typer.Option(metavar="N", help="How many voices. Default: as many as the model gives.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where to. Default: beside the input.")
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Write what is in no voice by itself; else the louder voice has it.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Separate the voices once more, to tell how sure they are.")
    ] = True,
    start: Annotated[
        float, typer.Option(metavar="S", help="Separate only an excerpt: where it starts, in seconds.")
    ] = 0.0,
    duration: Annotated[float | None, typer.Option(metavar="S", help="... and how long it is.")] = None,
    audio_track: Annotated[
        int | None, typer.Option(metavar="N", help="Which sound track of a video, counted from 1.")
    ] = None,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave out what has results already.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results. Inputs are never replaced.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Separate voices that speak at the same time: meeting.wav becomes meeting_1.wav and meeting_2.wav.

    Each has the rate, channels and length of the input. Together they are the input, with --rest but for that.
    How far the voices agree with themselves when separated once more is told; --no-check saves half the time.

    Example: resound separate meeting.wav -o voices
    """
    from resound.cli.progress import bars
    from resound.cores import n_cores
    from resound.errors import ConfigError
    from resound.inference.separate_file import Excerpt, plan_voices, separate_file
    from resound.inference.separation import open_separator

    separator = open_separator(model, n_threads=n_cores())  # one recording after the other, each on all cores
    if "torch" in separator.packages:
        from resound.checkpoint import use_all_cores

        use_all_cores()
    if speakers is not None and speakers != separator.n_sources:
        raise ConfigError(
            f"speakers is {speakers}, {model} gives {separator.n_sources} voices; use a model for as many"
        )
    excerpt = Excerpt(start, duration, audio_track)
    plans = plan_voices(inputs, output, n_voices=separator.n_sources, with_rest=rest, excerpt=excerpt)
    separate = partial(separate_file, separator=separator, excerpt=excerpt, check=check, overwrite=overwrite)
    outcomes: list[dict[str, Any]] = []
    with bars(len(plans)) as shown:
        for plan in plans:
            outcomes.append(outcome_of(plan, separate, shown.advance, skip_existing=skip_existing))
            shown.finish(plan)
            tell(outcomes[-1], shown.print, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(outcomes, indent=2, ensure_ascii=False))
    elif len(outcomes) > 1:
        counts = Counter(outcome["status"] for outcome in outcomes)
        typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
    if any(outcome["error"] for outcome in outcomes):
        raise typer.Exit(1)


def outcome_of(plan: VoiceFiles, separate: Any, advance: Any, *, skip_existing: bool) -> dict[str, Any]:
    """Separate one recording and return how it fared: a bad one is told, and the rest goes on."""
    from resound.errors import ResoundError

    told: dict[str, Any] = {"status": "separated", "input": str(plan.source), "error": None, "report": None}
    if skip_existing and plan.is_done:
        return told | {"status": "skipped"}
    again = {"overwrite": True} if skip_existing and plan.is_begun else {}  # an earlier run ended between two names
    try:
        report = separate(plan, progress=lambda done, in_all: advance(plan, done, in_all), **again)
    except ResoundError as error:
        return told | {"status": "failed", "error": str(error)}
    return told | {"report": asdict(report)}


def tell(outcome: dict[str, Any], echo: Any, *, quiet: bool) -> None:
    """Tell how one recording fared: results to stdout, faults and warnings to stderr."""
    from resound.cli.restore import clock
    from resound.errors import counted, one_line

    report = outcome["report"]
    for warning in report["warnings"] if report else ():
        print(f"resound: warning: {one_line(warning)}", file=sys.stderr)
    if outcome["error"]:
        print(f"resound: {one_line(outcome['error'])}", file=sys.stderr)
    elif not quiet and report:
        rest = "nothing" if report["rest_db"] is None else f"{report['rest_db']:.1f} dB"
        sure_db = report["agreement_db"]
        sure = "" if sure_db is None else f"; agree to {sure_db:.1f} dB when separated again"
        to = "in none of them" if report["rest"] else "left over, and given to the louder"
        echo(
            f"{', '.join(map(one_line, report['outputs']))}  {clock(report['duration_seconds'])}  "
            f"{counted(len(report['outputs']), 'voice')}; {to}: {rest}{sure}"
        )
    elif not quiet:
        echo(f"{one_line(outcome['input'])}  has results, skipped")
