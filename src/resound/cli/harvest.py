"""``resound harvest``: noise banks and noise profiles out of real recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.harvest.cut import Harvest, Source
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
        Path | None, typer.Option(metavar="JSON", help="Write the noise profile of one recording instead.")
    ] = None,
    fit: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Write a chain that resembles one recording instead.")
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

    Examples: resound harvest film.mkv -o noise/        resound harvest film.mkv --fit film.yaml
    """
    from resound.config import load_config
    from resound.errors import ConfigError
    from resound.harvest.cut import Source
    from resound.harvest.stretches import HarvestConfig
    from resound.inference.naming import expand

    own = [f"min_seconds={min_seconds}", f"max_seconds={'null' if max_seconds is None else max_seconds}"]
    config = load_config(HarvestConfig, overrides=[*own, *(settings or ())])
    paths = list(dict.fromkeys(path for word in inputs for path, _ in expand(word)))
    sources = [Source(path, start, duration, audio_track) for path in paths]
    if profile is not None or fit is not None:
        if output is not None or len(sources) != 1:
            raise ConfigError("--profile and --fit are for one recording and no folder; run them by themselves")
        measure(sources[0], config, profile, fit, dry_run=dry_run, overwrite=overwrite, as_json=as_json)
    elif output is None and not dry_run:
        raise ConfigError("no folder to write to; give one with -o, or --dry-run to see what there is")
    else:
        cut_all(sources, config, None if dry_run else output, overwrite=overwrite, as_json=as_json)


def cut_all(
    sources: list[Source], config: HarvestConfig, folder: Path | None, *, overwrite: bool, as_json: bool
) -> None:
    """Cut the noise out of each recording and tell what came of it."""
    from resound.errors import InputError, one_line
    from resound.harvest.cut import check_folder, harvest, report_of, write_report

    if folder is not None:
        check_folder(folder, overwrite=overwrite)
    harvests = []
    for result in harvest(sources, folder, config, overwrite=overwrite):
        harvests.append(result)
        if result.error:
            print(f"resound: {one_line(result.error)}", file=sys.stderr)
        elif not as_json:
            typer.echo(describe(result))
    kept_seconds = sum(result.kept_seconds for result in harvests)
    if as_json:
        typer.echo(json_text(report_of(harvests, config)))
    if not kept_seconds and not all(result.error for result in harvests):
        raise InputError(no_noise(harvests))
    if folder is not None and kept_seconds:
        write_report(folder, harvests, config, overwrite=overwrite)
    if len(harvests) > 1 and not as_json:
        typer.echo(f"{sum(len(r.verdict.stretches) for r in harvests)} stretches, {kept_seconds:.1f} s of noise")
    if any(result.error for result in harvests):
        raise typer.Exit(1)


def measure(
    source: Source,
    config: HarvestConfig,
    profile: Path | None,
    fit: Path | None,
    *,
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure a recording's noise, and write the profile, the chain, or both."""
    from resound.audio.atomic import atomic_file, check_free
    from resound.harvest.fit import fitted_chain_text
    from resound.harvest.profile import measure_profile

    wanted = [path for path in (profile, fit) if path is not None]
    for path in wanted:
        check_free(path, overwrite=overwrite or dry_run)
    found = measure_profile(source, config)
    texts = {profile: json_text(found.as_dict()), fit: fitted_chain_text(found)}
    for path in wanted if not dry_run else []:
        with atomic_file(path, overwrite=overwrite) as temporary:
            temporary.write_text(texts[path] + "\n", encoding="utf-8")
    typer.echo(texts[profile] if as_json else found.describe())


def describe(result: Harvest) -> str:
    """Return a line about a recording, and one about each stretch."""
    from resound.cli.restore import clock

    verdict = result.verdict
    left_out = sorted(verdict.rejected_seconds.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{name} {clock(seconds)}" for name, seconds in left_out if seconds >= 0.05)
    n_kept = len(verdict.stretches)
    lines = [
        f"{result.source.path}  {n_kept} {'stretch' if n_kept == 1 else 'stretches'}, {result.kept_seconds:.1f} s "
        f"of {clock(result.seconds)}; left out: {reasons or 'nothing'}"
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


def json_text(values: dict[str, Any]) -> str:
    """Return JSON for people."""
    import json

    return json.dumps(values, indent=2, ensure_ascii=False)
