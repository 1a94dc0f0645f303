"""``resound demo``: makes a damaged recording, restores it, and says how much better it became."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put the files.")] = Path("resound-demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier demo.")] = False,
) -> None:  # fmt: skip
    """Make a short damaged recording (tune, crackle, hum, hiss), restore it, and measure what was gained."""
    from resound.inference.demo import run_demo

    result = run_demo(folder, overwrite=overwrite)
    typer.echo(f"{result.damaged}  a tune of our own making, with clicks, hum and hiss")
    typer.echo(f"{result.restored}  the same, restored")
    typer.echo(f"{result.removed}  what was removed")
    typer.echo(f"{result.picture}  all three as a picture")
    typer.echo(
        f"SI-SDR against the clean tune: {result.si_sdr_before_db:.1f} dB before, {result.si_sdr_after_db:.1f} dB after"
    )
