"""``resound degrade``: spoils a recording as age, rooms or codecs do, for hearing and for tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.degrade.recording import Degraded, Draft

DEFAULT_CHAIN = "film-1960s"


def command(
    recording: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The recording to spoil, or a video; it is never changed.")
    ] = None,
    chain: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help=f"A chain by name, or a YAML file. Default {DEFAULT_CHAIN}.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Where to. Default: <stem>.<chain>.<ext> beside FILE."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Another number draws other parameters.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of a step, such as hiss.snr_db=20. Repeatable."),
    ] = None,
    params: Annotated[Path | None, typer.Option(metavar="JSON", help="Write the drawn parameters here.")] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Take the parameters from here; nothing is drawn.")
    ] = None,
    audio_track: Annotated[
        int | None, typer.Option(metavar="N", help="Which sound track of a video, counted from 1.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT and JSON. FILE is never replaced.")
    ] = False,
    show: Annotated[
        bool,
        typer.Option("--list", help="Print all chains and degradations; with a name for FILE, that one's settings."),
    ] = False,
) -> None:
    """Spoil a recording by a chain of degradations; the same seed gives the same samples.

    Example: resound degrade voice.flac --chain film-1960s --seed 3 --params drawn.json
    """
    if show:
        typer.echo(listed(str(recording) if recording else None))
        return
    if recording is None:
        raise typer.BadParameter("give a recording, or --list to see what there is", param_hint="FILE")
    from resound.degrade.recording import degrade_recording, output_name

    draft = draft_for(chain, seed, settings or [], replay)
    target = output or recording.parent / output_name(recording, draft)
    result = degrade_recording(recording, target, draft, params=params, audio_track=audio_track, overwrite=overwrite)
    for warning in result.warnings:
        print(f"resound: warning: {warning}", file=sys.stderr)
    typer.echo(told(draft, result))


def draft_for(chain: str | None, seed: int | None, settings: list[str], replay: Path | None) -> Draft:
    """Return what is to be done, drawn from a chain or read from a file."""
    from resound.degrade.chain import load_chain
    from resound.degrade.recording import draw_draft, read_draft
    from resound.errors import ConfigError

    if replay is None:
        name = chain or DEFAULT_CHAIN
        return draw_draft(load_chain(name, settings), name, seed or 0)
    given = {"--chain": chain is not None, "--seed": seed is not None, "--set": bool(settings)}
    if any(given.values()):
        flags = ", ".join(flag for flag, is_given in given.items() if is_given)
        raise ConfigError(f"{flags}: means nothing with --replay, which says it all; leave it out")
    return read_draft(replay)


def listed(name: str | None) -> str:
    """Return the table of all, or what is known about one."""
    from resound.degrade.catalogue import details_text, overview_text

    return details_text(name) if name else overview_text()


def told(draft: Draft, result: Degraded) -> str:
    """Return what was done, one line for each step."""
    from resound.cli.restore import clock

    seed = "" if draft.seed is None else f", seed {draft.seed}"
    lines = [f"{result.output}  {clock(result.seconds)}  {draft.chain}{seed}"]
    steps = [(next(key for key in step if key != "target"), step) for step in draft.steps]
    width = max((len(name) for name, _ in steps), default=0)
    for name, step in steps:
        params = {key: value for key, value in step[name].items() if key != "seed" and value not in (None, [])}
        shown = ", ".join(f"{key} {short(value)}" for key, value in params.items())
        lines.append(f"  {name:<{width}}  {shown}".rstrip())
    return "\n".join(lines)


def short(value: Any) -> str:
    """Return a value as it is written, a number to 4 digits, cut where it is long."""
    from resound.degrade.catalogue import written

    text = f"{value:.4g}" if isinstance(value, float) else written(value)
    return text if len(text) <= 60 else text[:57] + "..."
