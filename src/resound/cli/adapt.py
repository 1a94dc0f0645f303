"""``resound adapt``: a model that suits certain recordings better, kept only where that is shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resound.models.network import Network
    from resound.training.material.material import Material, Say


def command(
    recordings: Annotated[
        list[Path] | None, typer.Argument(metavar="[RECORDING]...", help="What the model shall suit: sound or video.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m", "--model", metavar="NAME|MODEL|RUN", help="To begin with: film (default), voice, or your own."
        ),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST", help="Clean speech, music ... for the recordings' noise. Repeatable."),
    ] = None,
    clean: Annotated[Path | None, typer.Option(metavar="DIR", help="Or pairs: the clean sides ...")] = None,
    degraded: Annotated[Path | None, typer.Option(metavar="DIR", help="... and the degraded ones, same names.")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, metavar="M", help="About how long to train.")] = 10.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Default: adapted/NAME-N.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As for 'resound train': optimiser.lr=3e-5. Repeatable."),
    ] = None,
    force: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Train although doctor says this. Repeatable.")
    ] = None,
) -> None:
    """Fine-tune a model for recordings, and keep it if what it never saw says that it is better (status 1: it is not).

    With --corpus the recordings' own noise goes over clean sound; with --clean and --degraded it learns from pairs;
    with neither the recordings are made noisier with their own noise.

    Example: resound adapt film.mkv --corpus clean.jsonl --minutes 10
    """
    from resound.cli.train import checks_before_training, shown_on_terminal
    from resound.errors import train_extra

    with train_extra():
        from resound.checkpoint import found_model
        from resound.training.adapt import MODEL, adapt, check_model, nothing_left, run_config
    from resound.shipped import AUTO, explicit, folder_of

    chosen = folder_of(AUTO) if model is None else explicit(model)
    check_asked(recordings, corpus, clean, degraded)
    network, start = check_model(chosen), found_model(chosen)
    folder = output or next_folder(recordings or [clean or Path("pairs")])
    with shown_on_terminal() as shown, nothing_left(folder):
        where = folder / "material"
        material = material_of(recordings or [], corpus or [], clean, degraded, network, where, shown.line)
        config = run_config(start, material, minutes=minutes, settings=settings or ())
        adapted = adapt(
            start,
            material,
            config,
            folder,
            shown,
            checks=checks_before_training(),
            force=force or (),
            command=sys.argv,
        )
    for line in [*adapted.reasons, *map(str, adapted.heard)]:
        typer.echo(line)
    if not adapted.is_kept:
        typer.echo(f"not kept: go on using {model or AUTO}; {folder}/run has what was trained")
        raise typer.Exit(1)
    typer.echo(f"kept: {folder}/{MODEL}; resound restore RECORDING --model {folder}/{MODEL} uses it")


def check_asked(
    recordings: list[Path] | None, corpus: list[Path] | None, clean: Path | None, degraded: Path | None
) -> None:
    """Raise `ConfigError` unless exactly one way to adapt is asked for, `InputError` without recordings."""
    from resound.errors import ConfigError, InputError

    if (clean is None) != (degraded is None):
        raise ConfigError("pairs have two sides; give both --clean DIR and --degraded DIR")
    if clean is not None and (recordings or corpus):
        raise ConfigError(
            "pairs are enough by themselves; leave out recordings and --corpus, or --clean and --degraded"
        )
    if clean is None and not recordings:
        raise ConfigError("nothing to adapt to; give recordings, or pairs with --clean DIR and --degraded DIR")
    for path in recordings or []:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give the recording that the model shall suit")


def material_of(
    recordings: list[Path],
    corpus: list[Path],
    clean: Path | None,
    degraded: Path | None,
    network: Network,
    folder: Path,
    say: Say,
) -> Material:
    """Return what is learnt from, made in a folder."""
    from resound.training.material.film import from_recordings
    from resound.training.material.noisier import from_noisy
    from resound.training.material.pairs import from_pairs

    if clean is not None and degraded is not None:
        return from_pairs(clean, degraded, folder, say)
    if corpus:
        return from_recordings(recordings, corpus, folder, say)
    return from_noisy(recordings, network.sample_rate, folder, say)


def next_folder(about: list[Path]) -> Path:
    """Return the first folder ``adapted/NAME-N`` that there is not."""
    name, number = about[0].stem, 1
    while Path(f"adapted/{name}-{number}").exists():
        number += 1
    return Path(f"adapted/{name}-{number}")
