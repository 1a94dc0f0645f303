"""``resound info``: what recordings are like, before anything is done to them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resound.inference.inspect import Inspection


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings, videos, folders or patterns.")],
    audio_track: Annotated[int | None, typer.Option(metavar="N", help="Which sound track of a video.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:  # fmt: skip
    """Tell a recording's format, level, noise floor, bandwidth, hum and clicks."""
    from resound.errors import ResoundError, one_line
    from resound.inference.inspect import inspect_recording
    from resound.inference.naming import expand

    paths = [path for word in inputs for path, _ in expand(word)]
    found, failed = [], False
    for path in paths:
        try:
            inspection = inspect_recording(path, audio_track=audio_track)
        except ResoundError as error:
            print(f"resound: {one_line(error)}", file=sys.stderr)
            failed = True
            continue
        found.append(inspection)
        if not as_json:
            typer.echo(describe(inspection) + ("\n" if len(paths) > 1 else ""))
    if as_json:
        import json

        typer.echo(json.dumps([item.as_dict() for item in found], indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(1)


def describe(inspection: Inspection) -> str:
    """Return the findings as a small table."""
    from resound.cli.restore import clock

    channels = {1: "mono", 2: "stereo"}.get(inspection.n_channels, f"{inspection.n_channels} channels")
    depth = f"{inspection.bit_depth} bit" if inspection.bit_depth else ""
    if inspection.bit_rate and not inspection.lossless:
        depth = f"{inspection.bit_rate / 1000:.0f} kbit/s"
    form = [inspection.container, inspection.codec, f"{inspection.sample_rate} Hz", channels, depth]
    hum = "none"
    if inspection.hum_hz:
        multiples = ", ".join(f"{n}" for n in inspection.hum_harmonics[:8])
        hum = f"{inspection.hum_hz:.2f} Hz, harmonics {multiples}"
    rows = {
        "format": ", ".join(part for part in form if part),
        "length": f"{clock(inspection.duration_seconds)} ({inspection.n_samples} samples)",
        "loudness": _loudness(inspection),
        "peak / RMS": f"{_level(inspection.peak_dbfs, 'dBFS')} / {_level(inspection.rms_dbfs, 'dBFS')}",
        "clipping": f"{inspection.n_full_scale} samples at full scale" if inspection.n_full_scale else "none",
        "noise floor": _level(inspection.noise_floor_dbfs, "dBFS"),
        "bandwidth": f"{inspection.bandwidth_hz} Hz" if inspection.bandwidth_hz else "silent",
        "hum": hum,
        "clicks": f"{inspection.clicks_per_second:g} a second" if inspection.clicks_per_second else "none",
    }
    lines = [inspection.path, *(f"  {name:<12} {value}" for name, value in rows.items())]
    return "\n".join(lines + [f"  {'warning':<12} {warning}" for warning in inspection.warnings])


def _loudness(inspection: Inspection) -> str:
    if inspection.loudness_lufs is None and inspection.peak_dbfs is not None:
        return "too quiet" if inspection.duration_seconds >= 0.4 else "too short (loudness takes 0.4 s)"
    return _level(inspection.loudness_lufs, "LUFS")


def _level(value: float | None, unit: str) -> str:
    return "silent" if value is None else f"{value:.1f} {unit}"
