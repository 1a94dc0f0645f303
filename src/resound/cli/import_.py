"""``resound import``: published weights become a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Weights: .pth, .bin, .th, .npz or .safetensors.")
    ],
    origin: Annotated[
        str, typer.Option("--from", metavar="ORIGIN", help="asteroid, denoiser, espnet or two-stage-unet.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="The folder to write.")],
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|KEY=VALUE",
            help="The configuration where the checkpoint has none, in the origin's words. Repeatable.",
        ),
    ] = None,
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="Of the weights; it is kept with the model.")
    ] = "as its source says",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model of that name.")] = False,
) -> None:
    """Turn a published checkpoint into a model; nothing that comes with the file is run.

    Example: resound import dns48.th --from denoiser --config name=dns48 -o dns48
    """
    from resound.errors import one_line, train_extra

    with train_extra():
        from resound.checkpoint import check_free, name_of, save_model
        from resound.models.importers import import_weights
        from resound.models.network import n_parameters

        check_free(output, overwrite=overwrite)
        network, source = import_weights(checkpoint, origin, config or ())
        save_model(output, network, overwrite=overwrite, licence=licence, source=source)
        told = f"{name_of(network)}, {n_parameters(network):,} parameters, {network.sample_rate:,} Hz"
    typer.echo(f"{one_line(output)}  {told}; licence: {one_line(licence)}")
