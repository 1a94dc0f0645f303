"""``resound degrade``: spoils a recording as age, rooms or codecs do, for hearing and for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="The recording to spoil; it is never changed.")],
    chain: Annotated[str, typer.Option(metavar="NAME|FILE", help="A chain by name, or a YAML file.")] = "film-1960s",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT", help="Where to write it.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Another number draws other parameters.")] = 0,
    params: Annotated[Path | None, typer.Option(metavar="JSON", help="Write the drawn parameters here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT and JSON.")] = False,
) -> None:  # fmt: skip
    """Spoil a recording by a chain of degradations; the same seed gives the same samples."""
