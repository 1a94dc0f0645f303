"""``resound reproduce``: a preset from recordings to a model that is judged, in one command that can be stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resound.training.milestones import Asked, Milestones

DOMAINS = ("speech", "effects", "music", "noise", "room", "pairs")


def command(
    config: Annotated[str, typer.Argument(metavar="PRESET|CONFIG", help="A preset, or a YAML file of your own.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change: training.seed=1.")
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MANIFEST|FOLDER",
            help="What 'resound corpus scan' lists, or a folder to be scanned; speech=FOLDER says what it holds. "
            "Repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Default: reproductions/PRESET..., the same for the same command."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The preset's small form, for minutes on a CPU.")] = False,
    force: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Train although a check says this. Repeatable.")
    ] = None,
) -> None:
    """Corpus, prepare, doctor, train, evaluate, export: what is whole is skipped, so the same command goes on.

    Example: resound reproduce gatewave --quick --corpus recordings/
    """
    from resound.training.milestones import Milestones

    asked = asked_for(config, overrides or [], corpus or [], quick=quick, force=force or [])
    folder = output or Path("reproductions") / "-".join([Path(config).stem, *(["quick"] if quick else [])])
    milestones = Milestones(folder)
    if not milestones.are_all_whole(asked.hash):
        make(asked, folder)
        milestones = Milestones(folder)
    typer.echo("\n".join(lines_of(milestones)))


def make(asked: Asked, folder: Path) -> None:
    """Make what is missing; ends with status 130 where the user stopped it."""
    from resound.errors import train_extra

    with train_extra():
        from resound.training.reproduce import reproduce
    from resound.cli.train import checks_before_training, shown_on_terminal

    with shown_on_terminal() as shown:
        is_whole = reproduce(asked, folder, shown, checks=checks_before_training())
    if not is_whole:
        typer.echo(f"{folder}: the training was stopped, and has its checkpoint; the same command goes on")
        raise typer.Exit(130)


def asked_for(name: str, words: list[str], corpora: list[str], *, quick: bool, force: list[str]) -> Asked:
    """Return what is asked for; a folder may come with what it holds.  Raises `InputError` for what is not there."""
    from resound.errors import InputError
    from resound.training.milestones import Asked

    manifests: list[Path] = []
    folders: list[tuple[str | None, Path]] = []
    for text in corpora:
        domain, equals, rest = text.partition("=")
        is_told = bool(equals) and domain in DOMAINS and not Path(text).exists()
        path = Path(rest if is_told else text)
        if path.is_dir():
            folders.append((domain if is_told else None, path))
        elif is_told:
            raise InputError(f"{path}: is no folder; give --corpus {domain}=FOLDER, or a manifest without '{domain}='")
        else:
            manifests.append(path)
    return Asked(name, tuple(words), quick, tuple(manifests), tuple(folders), tuple(force))


def lines_of(milestones: Milestones) -> list[str]:
    """Return what came of each step."""
    from resound.errors import one_line
    from resound.training.milestones import STEPS

    steps = [f"{step:<9} {one_line(milestones[step]['told'])}" for step in STEPS]
    return [*steps, f"all six steps are whole: {one_line(milestones.folder)}"]
