"""``resound train``: a network learns from the user's own recordings, and the run says what came of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resound.training.config import RunConfig
    from resound.training.fit import Check


def command(
    config: Annotated[
        str,
        typer.Argument(metavar="PRESET|CONFIG|RUN", help="A preset, a YAML file of your own, or a run to --resume."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change: training.steps=5000.")
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST", help="Speech, noise ... as 'resound corpus scan' lists them. Repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN", help="The run's folder. Default: runs/PRESET-N.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The preset's small form, for minutes on a CPU.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run from its last checkpoint.")] = False,
    listen: Annotated[
        list[Path] | None,
        typer.Option(metavar="RECORDING", help="Restore 10 s of it at every validation: sound or video. Repeatable."),
    ] = None,
    force: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Train although a check says this. Repeatable.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the resolved settings and stop.")] = False,
) -> None:
    """Train a network. Ctrl-C stops it with a checkpoint (status 130); RUN --resume goes on as if nothing had happened.

    Example: resound train film-prototype --quick --corpus data.jsonl --listen film.wav
    """
    from resound.errors import train_extra

    with train_extra():
        from resound.training.config import load_run_config
        from resound.training.fit import train
        from resound.training.processes import Processes, with_companions
    words = [*(overrides or []), *([f"listen={json.dumps([*map(str, listen)], ensure_ascii=False)}"] if listen else [])]
    if resume:
        config, output = run_to_go_on_with(config, output)
    run_config = load_run_config(config, words, corpora=corpus or (), quick=quick)
    if show:
        typer.echo(settings_text(run_config), nl=False)
        return
    folder = output or next_folder(run_config.preset or Path(config).stem)
    with with_companions(run_config.training.n_devices, sys.argv[1:]), shown_on_terminal() as shown:
        outcome = train(
            run_config,
            folder,
            shown,
            resume=resume,
            force=force or (),
            checks=checks_before_training(),
            command=sys.argv,
        )
    if Processes.of_environment().is_first:
        go_on = "" if outcome.is_finished else f"; to go on: resound train {folder} --resume"
        typer.echo(f"{folder}  {outcome.n_steps} steps, {outcome.minutes:.1f} min{go_on}")
    if outcome.is_interrupted:
        raise typer.Exit(130)


def checks_before_training() -> list[Check]:
    """Return what looks over data and plan before the first step, of `resound train`, `adapt` and `reproduce`."""
    from resound.doctor.before_training import data_check
    from resound.training.examine import plan_findings

    return [plan_findings, data_check]


def run_to_go_on_with(config: str, output: Path | None) -> tuple[str, Path]:
    """Return the config and the folder of ``--resume``: a run's folder is enough.  Raises `TrainingError`."""
    from resound.errors import TrainingError

    if Path(config).is_dir() and output in (None, Path(config)):
        if not (Path(config) / "config.yaml").exists():
            raise TrainingError(f"{config}: holds no run to go on with; give the folder of one")
        return str(Path(config) / "config.yaml"), Path(config)
    if output is None:
        raise TrainingError(
            f"{config}: is no run's folder; give one, or its folder with -o: resound train RUN --resume"
        )
    return config, output


def settings_text(config: RunConfig) -> str:
    """Return resolved settings as YAML, in which a training can be begun again."""
    import yaml

    from resound.mixing.identity import settings_of

    return yaml.safe_dump(settings_of(config), sort_keys=False, allow_unicode=True)


def next_folder(name: str) -> Path:
    """Return the first folder ``runs/NAME-N`` that there is not."""
    number = 1
    while Path(f"runs/{name}-{number}").exists():
        number += 1
    return Path(f"runs/{name}-{number}")


class Lines:
    """Tells a pipe or a log how a run goes: what is told once, and a line of progress now and then."""

    SECONDS = 30.0  # between two lines of progress

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def line(self, text: str) -> None:
        """Tell something once."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        """Tell how far the run is, if that was not told for a while."""
        if time.monotonic() - self._told >= self.SECONDS:
            self._told = time.monotonic()
            self.line(progress_text(step, n_steps, seconds_left, measured))


class Bar(Lines):
    """A bar on a terminal, with lines above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            BarColumn(bar_width=24), TextColumn("{task.description}"), console=Console(stderr=True), transient=True
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def line(self, text: str) -> None:
        """Tell something once, above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        """Move the bar."""
        told = progress_text(step, n_steps, seconds_left, measured)
        self._progress.update(self._task, completed=step, total=n_steps, description=told)


def progress_text(step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> str:
    """Return where a run is, in one line."""
    from resound.training.session import duration

    left = "" if seconds_left is None else f"  {duration(seconds_left)} left"
    loss, norm = measured.get("loss", float("nan")), measured.get("grad_norm", float("nan"))
    return f"step {step:,} of {n_steps:,}{left}  loss {loss:.4g}  gradient {norm:.3g}  rate {measured.get('lr', 0):.2g}"


def shown_on_terminal() -> Lines:
    """Return what tells the user how a run goes."""
    return Bar() if sys.stderr.isatty() else Lines()
