"""``resound prepare``: writes a mixed set to disk, which can be stopped, gone on with, and shared between machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resound.mixing.items import Outcome

FORMATS = ("flac", "wav")


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file with settings for mixing.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change, such as seed=3.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where to write.")] = None,
    count: Annotated[
        int, typer.Option(metavar="N", help="How many examples. Default: n_examples of CONFIG.", show_default=False)
    ] = 0,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", help="Processes; 0: one per core.")] = 0,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only every N-th example, from the I-th on.")] = "1/1",
    file_format: Annotated[str, typer.Option("--format", metavar="flac|wav", help="wav: 32-bit float.")] = "flac",
    bits: Annotated[int, typer.Option(metavar="16|24", help="Of FLAC.")] = 24,
    epoch: Annotated[int, typer.Option(metavar="E", help="Another epoch has other examples.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove an older set in DIR first.")] = False,
) -> None:  # fmt: skip
    """Write a mixed set to disk. Stopped at any time, the same command goes on; other machines take other shards.

    Example: resound prepare mix.yaml -o set --count 2000 --shard 1/4
    """
    from resound.errors import ConfigError
    from resound.mixing.plan import load_plan, read_shard
    from resound.mixing.prepare import Preparation

    if output is None:
        raise ConfigError("prepare needs a folder to write to; give -o DIR")
    if file_format not in FORMATS or bits not in (16, 24):
        raise ConfigError(f"--format is {file_format!r}, --bits {bits}; give flac with 16 or 24, or wav")
    plan = load_plan(
        config,
        overrides or (),
        folder=output,
        n_examples=count,
        epoch=epoch,
        kind="wav" if file_format == "wav" else "flac16" if bits == 16 else "flac24",
        shard=read_shard(shard),
    )
    preparation = Preparation(plan, overwrite=overwrite)
    with preparation.begun(jobs) as outcomes:
        typer.echo(preparation.announce())
        n_failed = show_run(outcomes, len(preparation.plan.indices))
    summary = preparation.finish()
    typer.echo("\n".join(summary.lines()))
    if summary.n_missing:
        n_there = summary.n_asked - summary.n_missing
        rest = "run the same command again" if n_failed else "make the other shards, or run without --shard"
        typer.echo(f"{n_there} of {summary.n_asked} examples are there; {rest} to complete the set")
    if n_failed:
        raise typer.Exit(1)


def show_run(outcomes: Iterable[Outcome], total: int) -> int:
    """Make the examples with a bar on a terminal; return how many failed."""
    from contextlib import ExitStack

    from resound.cli.progress import CountBar
    from resound.errors import one_line

    n_done = n_failed = 0
    try:
        with ExitStack() as stack:
            bar = stack.enter_context(CountBar("examples")) if sys.stderr.isatty() else None
            for outcome in outcomes:
                n_done += outcome.error is None
                n_failed += outcome.error is not None
                if bar:
                    bar.advance(n_done + n_failed, total)
                if outcome.error:
                    print(f"resound: example {outcome.index}: {one_line(outcome.error)}", file=sys.stderr)
    except BaseException:
        print(f"resound: {n_done} of {total} examples are whole; the same command goes on from there", file=sys.stderr)
        raise
    return n_failed
