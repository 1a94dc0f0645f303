"""``resound harvest``: noise banks and noise profiles out of real recordings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.harvest.cut import Harvest, Heard, Source
    from resound.harvest.profile import NoiseProfile
    from resound.harvest.stretches import HarvestConfig


def command(
    inputs: Annotated[
        list[str], typer.Argument(metavar="RECORDING...", help="Recordings, videos, folders or patterns.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder for the noise, manifest and report.")
    ] = None,
    min_seconds: Annotated[float, typer.Option(metavar="S", help="Leave out shorter stretches.")] = 0.5,
    max_seconds: Annotated[float | None, typer.Option(metavar="S", help="Cut longer ones into pieces.")] = None,
    start: Annotated[float, typer.Option(metavar="S", help="Look only from here on, in seconds.")] = 0.0,
    duration: Annotated[float | None, typer.Option(metavar="S", help="... and for so long.")] = None,
    audio_track: Annotated[int | None, typer.Option(metavar="N", help="Which sound track of a video.")] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Write the noise profile of the one recording.")
    ] = None,
    fit: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Write a chain that resembles the one recording.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A limit, such as pitch=0.2. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be cut out; write nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier harvest wrote.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Cut noise-only stretches out of recordings, or measure a recording's noise.

    Examples: resound harvest film.mkv -o noise/        resound harvest film.mkv -o noise/ --fit film.yaml
    """
    from resound.config import load_config
    from resound.errors import ConfigError
    from resound.harvest.cut import Source, report_of
    from resound.harvest.profile import measure_profile
    from resound.harvest.stretches import HarvestConfig
    from resound.inference.naming import expand

    own = [f"min_seconds={min_seconds}", f"max_seconds={'null' if max_seconds is None else max_seconds}"]
    config = load_config(HarvestConfig, overrides=[*own, *(settings or ())])
    paths = list(dict.fromkeys(path for word in inputs for path, _ in expand(word)))
    sources = [Source(path, start, duration, audio_track) for path in paths]
    wanted = [path for path in (profile, fit) if path is not None]
    if wanted and len(sources) != 1:
        raise ConfigError(f"--profile and --fit are for one recording, not {len(sources)}; run them for each by itself")
    if output is None and not wanted and not dry_run:
        raise ConfigError("no folder to write to; give one with -o, or --dry-run to see what there is")
    if not dry_run:
        check_outputs(output, wanted, overwrite=overwrite)
    heard: dict[Source, Heard] = {}
    found, harvests = None, []
    if wanted:
        heard[sources[0]] = listen_aloud(sources[0])
        found = measure_profile(sources[0], config, heard[sources[0]])
        if not dry_run:
            write_measured(found, profile, fit, overwrite=overwrite)
        if not as_json:
            typer.echo(found.describe())
    if output is not None or not wanted:
        folder = None if dry_run else output
        harvests = cut_all(sources, config, folder, heard, overwrite=overwrite, is_quiet=as_json)
    if as_json:
        typer.echo(json_text(as_one(found, report_of(harvests, config) if harvests else None)))
    conclude(harvests, is_quiet=as_json)


def check_outputs(folder: Path | None, files: Sequence[Path], *, overwrite: bool) -> None:
    """Raise `OutputError` where something is in the way, before hours of listening."""
    from resound.audio.atomic import check_free
    from resound.harvest.cut import check_folder

    if folder is not None:
        check_folder(folder, overwrite=overwrite)
    for path in files:
        check_free(path, overwrite=overwrite)


def listen_aloud(source: Source) -> Heard:
    """Return the evidence in a recording, having printed what is wrong with it."""
    from resound.harvest.cut import listen

    heard = listen(source)
    warn(heard.warnings)
    return heard


def cut_all(
    sources: list[Source],
    config: HarvestConfig,
    folder: Path | None,
    heard: dict[Source, Heard],
    *,
    overwrite: bool,
    is_quiet: bool,
) -> list[Harvest]:
    """Cut the noise out of each recording and tell what came of it; whatever ends this, what was cut is listed."""
    from resound.errors import one_line
    from resound.harvest.cut import harvest, write_report

    harvests: list[Harvest] = []
    try:
        for result in harvest(sources, folder, config, heard=heard, overwrite=overwrite):
            harvests.append(result)
            if result.source not in heard:
                warn(result.warnings)
            if result.error:
                print(f"resound: {one_line(result.error)}", file=sys.stderr)
            elif not is_quiet:
                typer.echo(describe(result))
    finally:
        if folder is not None and any(result.files for result in harvests):
            write_report(folder, harvests, config, overwrite=overwrite)
    return harvests


def conclude(harvests: list[Harvest], *, is_quiet: bool) -> None:
    """Tell what came of all recordings together, and end with status 1 where one failed or none has noise."""
    from resound.errors import InputError, counted

    kept_seconds = sum(result.kept_seconds for result in harvests)
    if not kept_seconds and not all(result.error for result in harvests):
        raise InputError(no_noise(harvests))
    if len(harvests) > 1 and not is_quiet:
        n_kept = sum(len(result.verdict.stretches) for result in harvests)
        typer.echo(f"{counted(n_kept, 'stretch', 'stretches')}, {kept_seconds:.1f} s of noise")
    if any(result.error for result in harvests):
        raise typer.Exit(1)


def write_measured(found: NoiseProfile, profile: Path | None, fit: Path | None, *, overwrite: bool) -> None:
    """Write the profile, the fitted chain, or both."""
    from resound.audio.atomic import atomic_file
    from resound.harvest.fit import fitted_chain_text

    texts = ((profile, json_text(found.as_dict())), (fit, fitted_chain_text(found)))
    for path, text in texts:
        if path is not None:
            with atomic_file(path, overwrite=overwrite) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def warn(warnings: Sequence[str]) -> None:
    """Print warnings."""
    from resound.errors import one_line

    for warning in warnings:
        print(f"resound: warning: {one_line(warning)}", file=sys.stderr)


def describe(result: Harvest) -> str:
    """Return a line about a recording, and one about each stretch."""
    from resound.cli.restore import clock
    from resound.errors import counted, one_line

    verdict = result.verdict
    left_out = sorted(verdict.rejected_seconds.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{name} {clock(seconds)}" for name, seconds in left_out if seconds >= 0.05)
    kept = counted(len(verdict.stretches), "stretch", "stretches")
    lines = [
        f"{one_line(result.source.path)}  {kept}, {result.kept_seconds:.1f} s of {clock(result.seconds)}; "
        f"left out: {reasons or 'nothing'}"
    ]
    for stretch in verdict.stretches:
        below = "" if stretch.below_programme_db is None else f", {stretch.below_programme_db:.0f} dB below programme"
        lines.append(
            f"  {clock(result.source.start_seconds + stretch.start_seconds):>9}  {stretch.seconds:5.1f} s  "
            f"{stretch.level_dbfs:6.1f} dBFS{below}, floor +{max(0.0, stretch.above_floor_db):.1f} dB, "
            f"lines {stretch.line_db:.1f} dB, pitch {stretch.pitch:.2f}, modulation {stretch.modulation_db:.1f} dB"
        )
    return "\n".join(lines)


def no_noise(harvests: list[Harvest]) -> str:
    """Return what to say where nothing was found at all."""
    heard = [result for result in harvests if not result.error]
    seconds = sum(result.seconds for result in heard)
    reasons: dict[str, float] = {}
    for result in heard:
        for name, value in result.verdict.rejected_seconds.items():
            reasons[name] = reasons.get(name, 0.0) + value
    main = max(reasons, key=lambda name: reasons[name]) if reasons else "too_short"
    where = str(heard[0].source.path) if len(heard) == 1 else f"{len(heard)} recordings"
    return (
        f"{where}: no stretch of noise alone in {seconds:.1f} s (most is {main.replace('_', ' ')}); "
        "give a recording with pauses, or a smaller --min-seconds"
    )


def as_one(found: NoiseProfile | None, report: dict[str, Any] | None) -> dict[str, Any]:
    """Return profile or report, or the report with the profile in it."""
    profile = found.as_dict() if found else {}
    if report is None:
        return profile
    return {**report, "profile": profile} if profile else report


def json_text(values: dict[str, Any]) -> str:
    """Return JSON for people."""
    import json

    return json.dumps(values, indent=2, ensure_ascii=False)
