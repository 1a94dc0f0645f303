"""``resound doctor``: what is wrong with data, plans, runs and results, before they cost days."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resound.cli import doctor_output
from resound.cli.doctor_options import (
    AsJson,
    Html,
    Ignore,
    Jobs,
    Select,
    Set,
    Verbose,
    check_page,
    conclude,
    progress_bar,
    recordings_in,
    settings_from,
    status_2,
)

if TYPE_CHECKING:
    from resound.doctor.data_evidence import DataEvidence
    from resound.doctor.report import Picture
    from resound.doctor.settings import DoctorSettings
    from resound.doctor.training_data import TrainingData

app = typer.Typer(
    help="Name what is wrong with data, plans, runs and results. Exit status 0: no error, 1: errors, 2: could not run.",
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def explain(
    context: typer.Context,
    code: Annotated[
        str | None, typer.Option("--explain", metavar="CODE", help="Say what a code means, and what to do.")
    ] = None,
) -> None:
    """Take what belongs to no single moment."""
    if code is not None:
        from resound.doctor.catalogue import explained

        with status_2():
            typer.echo(explained(code))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("plan")
def plan_command(
    config: Annotated[str, typer.Argument(metavar="PRESET|CONFIG", help="A preset, or a YAML file of your own.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change: training.steps=5000.")
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST", help="Speech, noise ... as 'resound corpus scan' lists them. Repeatable."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The preset's small form.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Try the network on a few examples, for a minute or two.")
    ] = False,
    select: Select = None,
    ignore: Ignore = None,
    words: Set = None,
    as_json: AsJson = False,
    page: Html = None,
    is_verbose: Verbose = False,
) -> None:
    """Look at a training before it begins: its settings, and facts of its network.

    Example: resound doctor plan gatewave training.steps=5000
    """
    with status_2():
        check_page(page)
        from resound.errors import train_extra

        with train_extra():
            from resound.training.config import load_run_config
            from resound.training.examine import plan_evidence
        from resound.doctor.catalogue import count_of, run_checks
        from resound.doctor.finding import worst_first
        from resound.doctor.report import Report

        plan = load_run_config(config, overrides or (), corpora=corpus or (), quick=quick)
        settings = settings_from(select, ignore, words, plan.doctor.model_dump(exclude_defaults=True))
        evidence = plan_evidence(plan)
        found, n_checks = [], count_of("plan", settings)
        if probe:
            from resound.training.probe import probe_evidence, with_probes

            evidence = with_probes(evidence, plan)
            found, n_checks = (
                run_checks("probe", probe_evidence(plan), settings),
                n_checks + count_of("probe", settings),
            )
        report = Report(evidence.where, worst_first([*run_checks("plan", evidence, settings), *found]), n_checks)
        conclude(report, as_json=as_json, is_verbose=is_verbose, page=page)


@app.command("run")
def run_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training, over or under way.")],
    select: Select = None,
    ignore: Ignore = None,
    words: Set = None,
    as_json: AsJson = False,
    page: Html = None,
    is_verbose: Verbose = False,
) -> None:
    """Look at a training: whether it still learns, and what its output is worth.

    Example: resound doctor run runs/gatewave-1
    """
    with status_2():
        check_page(page)
        from resound.doctor.catalogue import count_of, run_checks
        from resound.doctor.report import Report
        from resound.doctor.run_evidence import read_run
        from resound.doctor.run_pictures import run_pictures

        evidence = read_run(folder)
        settings = settings_from(select, ignore, words, evidence.setting("doctor"))
        report = Report(
            evidence.where, run_checks("run", evidence, settings), count_of("run", settings), evidence.notes
        )
        draw = partial(run_pictures, evidence, report.findings)
        conclude(report, as_json=as_json, is_verbose=is_verbose, page=page, draw=draw)


@app.command("data")
def data_command(
    config: Annotated[
        str | None,
        typer.Argument(metavar="[PRESET|CONFIG]", help="A training as 'resound train' takes it, or a YAML for mixing."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the training to change.")
    ] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(metavar="MANIFEST", help="Speech, noise ... of the training. Repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The preset's small form.")] = False,
    target: Annotated[
        Path | None, typer.Option(metavar="DIR|FILE", help="Recordings of your own that the model is meant for.")
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(metavar="DIR|LIST", help="The clean side: a folder, a CSV or a Kaldi scp list.")
    ] = None,
    degraded: Annotated[
        Path | None, typer.Option(metavar="DIR|LIST", help="The degraded side, matched by name or key.")
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR|LIST", help="Instead of --clean: each source of the mixtures in --degraded."),
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    words: Set = None,
    as_json: AsJson = False,
    page: Html = None,
    is_verbose: Verbose = False,
    jobs: Jobs = 0,
) -> None:
    """Look at the data of a training, or at pairs of files, whoever made them.

    resound doctor data --clean clean/ --degraded noisy/
    """
    with status_2():
        check_page(page)
        from resound.doctor.catalogue import count_of, run_checks
        from resound.doctor.report import Report
        from resound.doctor.training_data import evidence_of_training
        from resound.errors import ConfigError

        files, training = (clean, degraded, *(sources or ())), (*(corpus or ()), target)
        if any(training if config is None else files):
            raise ConfigError(
                "a training and files were given; --corpus and --target belong to a training, --clean, --degraded and "
                "--sources to files: leave out either"
            )
        if config is not None:
            data, own = training_to_look_at(config, overrides or (), corpus or (), quick, target)
            settings = settings_from(select, ignore, words, own)
            with progress_bar("looked at") as progress:
                evidence = evidence_of_training(data, settings, n_jobs=jobs, progress=progress)
        else:
            settings = settings_from(select, ignore, words)
            evidence = evidence_of_files(clean, degraded, sources or (), settings, jobs)
        findings = run_checks("data", evidence, settings)
        report = Report(evidence.where_pairs, findings, count_of("data", settings), evidence.notes)

        def draw() -> Sequence[Picture]:
            from resound.doctor.pictures import pictures_of

            return pictures_of(evidence, findings)

        conclude(report, as_json=as_json, is_verbose=is_verbose, page=page, draw=draw)


def evidence_of_files(
    clean: Path | None, degraded: Path | None, sources: Sequence[Path], settings: DoctorSettings, jobs: int
) -> DataEvidence:
    """Return what pairs hold, or mixtures and their sources.  Raises `ConfigError` and `InputError`."""
    from resound.doctor.data_evidence import evidence_of_pairs
    from resound.doctor.pair_lists import pairs_between
    from resound.doctor.training_data import evidence_of_sums
    from resound.errors import ConfigError

    if sources and degraded and not clean:
        return evidence_of_sums(degraded, sources, settings)
    if clean and degraded and not sources:
        with progress_bar("pairs") as progress:
            return evidence_of_pairs(pairs_between(clean, degraded), settings, n_jobs=jobs, progress=progress)
    raise ConfigError(
        "nothing to look at; give a training, or --clean DIR --degraded DIR, or --degraded DIR with --sources DIR for "
        "each source"
    )


def training_to_look_at(
    config: str, overrides: Sequence[str], corpora: Sequence[Path], quick: bool, target: Path | None
) -> tuple[TrainingData, dict[str, Any]]:
    """Return what a training reads, and its own settings for doctor.  Raises `ConfigError` and `InputError`."""
    from resound.config import read_yaml
    from resound.doctor.training_data import TrainingData
    from resound.errors import train_extra
    from resound.mixing.config import mixing_from, read_settings

    targets = recordings_in(target) if target else []
    path = Path(config)
    is_file = path.suffix.lower() in (".yaml", ".yml")
    if is_file and not read_yaml(path).keys() & {
        "preset",
        "network",
    }:  # examples alone, as 'resound prepare' takes them
        values = read_settings(path, overrides)
        own = values.pop("doctor", {})
        values.pop("denoiser", None)
        return TrainingData(mixing_from(values, str(path)), targets=targets), own
    with train_extra():
        from resound.doctor.before_training import data_of
        from resound.training.config import load_run_config

        run_config = load_run_config(config, overrides, corpora=corpora, quick=quick)
        return data_of(run_config, targets), run_config.doctor.model_dump(exclude_unset=True)


app.command("output")(doctor_output.output_command)
app.command("model")(doctor_output.model_command)
