"""``resound export``: a trained network becomes one ONNX file that behaves as it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.export.export import Exported


def command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|RUN", help="A model's folder, one that ships, or a training: its best.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The .onnx file to write.")],
    streaming: Annotated[
        bool | None,
        typer.Option(
            "--streaming/--offline", help="For frames and a state, or for whole recordings. Default: as it can."
        ),
    ] = None,
    frame_samples: Annotated[
        int | None, typer.Option(metavar="N", help="Of a stream, whole hops of the network. Default: about 10 ms.")
    ] = None,
    any_length: Annotated[
        bool, typer.Option("--any-length", help="Let a stream take many frames at once: recordings are quicker.")
    ] = False,
    weights: Annotated[
        str, typer.Option(metavar="TYPE", help="float32, float16 or int8: smaller, and what that costs is told.")
    ] = "float32",
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Compare with torch before it is left.")] = True,
    recording: Annotated[
        Path | None, typer.Option("--with", metavar="WAV", help="A recording to compare on as well.")
    ] = None,
    benchmark: Annotated[bool, typer.Option("--benchmark", help="Tell how fast it runs here, on one thread.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Write a network as one ONNX file, held against torch before it is left: ten seconds, state fed back.

    The file says how to run it: rate, frame, latency, state, licence.

    Example: resound export runs/voice -o voice.onnx --streaming --benchmark
    """
    from resound.errors import ConfigError, did_you_mean, one_line, train_extra

    if output.suffix.lower() != ".onnx":
        raise ConfigError(f"{output}: an exported network is called .onnx; give -o {output.with_suffix('.onnx').name}")
    if weights not in ("float32", "float16", "int8"):
        known = ("float32", "float16", "int8")
        raise ConfigError(f"weights is {weights!r}{did_you_mean(weights, known)}; give {', '.join(known)}")
    with train_extra():
        from resound.checkpoint import found_model
        from resound.export.export import export
    made = export(
        found_model(model),
        output,
        is_streaming=streaming,
        frame_samples=frame_samples,
        is_any_length=any_length,
        weights=weights,  # type: ignore[arg-type]
        is_verified=verify,
        is_timed=benchmark,
        recording=recording,
        overwrite=overwrite,
        tell=lambda line: None if as_json else typer.echo(one_line(line), err=True),
    )
    if as_json:
        import json

        typer.echo(json.dumps(_plain(made), indent=2, ensure_ascii=False))
        return
    for line in _lines(made):
        typer.echo(one_line(line))


def _lines(made: Exported) -> list[str]:
    rate = made.sample_rate
    what = f"{made.path}: {made.form}, {made.size_mb:.2f} MB, {rate:,} Hz"
    if made.frame_samples:
        frame, late = (1000 * n / rate for n in (made.frame_samples, made.latency_samples))
        several = " or any multiple" if made.is_any_length else ""
        what += f", frames of {made.frame_samples} samples ({frame:g} ms){several}, {late:g} ms late"
    lines = [what]
    lines += [f"  {made.agreement}" if made.agreement else "  not compared with torch"]
    lines += [f"  {made.timing}"] if made.timing else []
    lines += [f"  against float32 weights: {made.quality_db:.1f} dB SI-SDR"] if made.quality_db is not None else []
    return lines


def _plain(made: Exported) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(made), "path": str(made.path)}
