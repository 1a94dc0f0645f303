"""``resound rooms``: makes a bank of simulated room responses, once, for chains to draw from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to put the responses.")],
    count: Annotated[int, typer.Option(metavar="N", help="How many rooms.")] = 200,
    seed: Annotated[int, typer.Option(metavar="N", help="Another number draws other rooms.")] = 0,
    sample_rate: Annotated[int, typer.Option(metavar="HZ", help="Of the responses.")] = 48000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier bank.")] = False,
) -> None:  # fmt: skip
    """Simulate rooms (needs the extra 'sim') and write their responses, a manifest and what each room is like.

    Example: resound rooms -o rooms --count 200; then a chain has 'room: {bank: rooms/rooms.jsonl}'
    """
    from resound.degrade.rooms import DETAILS, make_rooms

    def tell(n_done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{n_done} of {count} rooms", end="" if n_done < count else "\n", file=sys.stderr, flush=True)

    manifest = make_rooms(folder, count, seed=seed, sample_rate=sample_rate, overwrite=overwrite, progress=tell)
    seconds = sum(recording.seconds for recording in manifest.recordings)
    typer.echo(
        f"{folder / 'rooms.jsonl'}  {count} rooms, {seconds:.1f} s of responses; {folder / DETAILS} tells of each"
    )
