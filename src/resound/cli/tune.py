"""``resound tune``: many short trainings find out which settings do best, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[str, typer.Argument(metavar="PRESET|CONFIG", help="A preset, or a YAML file of your own.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="What all trials have: training.steps=5000.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="How many in all, those of earlier sessions included.")] = 20,
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="What is varied: waveform-loss, optimiser, or YAML. Default: preset's."),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST", help="Speech, noise ... as 'resound corpus scan' lists them. Repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="STUDY", help="Default: studies/PRESET..., the same for the same command."
        ),
    ] = None,
    force: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Train although a check says this. Repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The preset's small form, for minutes on a CPU.")] = False,
    jobs: Annotated[int, typer.Option(help="Trials side by side, each with its share of the cores.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the search; training.seed is that of each training.")] = 0,
) -> None:
    """Search for the settings that train best. Ctrl-C stops it; the same command goes on.

    Example: resound tune gatewave --quick --trials 20 --corpus data.jsonl
    """
    from resound.errors import train_extra, tune_extra

    with train_extra(), tune_extra():
        from resound.training.findings import write_findings
        from resound.training.fit import refuse_broken
        from resound.training.search import load_plan
        from resound.training.tune import tune
    from resound.cli.train import checks_before_training, shown_on_terminal
    from resound.inference.workers import count_of_jobs

    plan = load_plan(config, overrides or (), space=space, corpora=corpus or (), quick=quick)
    as_it_is = plan.config({})
    refuse_broken([finding for check in checks_before_training() for finding in check(as_it_is)], force or ())
    folder = output or default_folder(config, space, quick=quick)
    with shown_on_terminal() as shown:
        study = tune(plan, folder, shown, n_trials=trials, n_jobs=count_of_jobs(jobs), seed=seed)
        if len(study.begun) < trials or any(not trial.state.is_finished() for trial in study.begun):
            shown.line("stopped before all trials were made; the same command goes on")
    for line in write_findings(study):
        typer.echo(line)
    if study.best is not None:
        typer.echo(f"{folder}/report.html shows it; resound train {folder}/best.yaml trains with the best settings")


def default_folder(config: str, space: str | None, *, quick: bool) -> Path:
    """Return where a search lies that was given no folder: the same for the same command, which so goes on."""
    parts = [Path(config).stem, *([Path(space).stem] if space else []), *(["quick"] if quick else [])]
    return Path("studies") / "-".join(parts)
