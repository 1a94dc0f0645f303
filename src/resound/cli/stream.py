"""``resound stream``: sound restored while it arrives, through pipes or between sound devices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.audio.pipe import PipeFormat
    from resound.inference.frames import FrameMaker
    from resound.inference.live import Meters
    from resound.inference.repaired_stream import RepairedStream
    from resound.inference.streaming import Stream

BLOCK_SECONDS = 0.1  # of a pipe, at most: what is there is taken at once
LIVE_BLOCK_SECONDS = 0.01
METER_STEPS = 20


def command(
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="voice, a network exported for streams, or a causal one's folder."),
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Give a voice back what the model took: timbre, or one of your own."),
    ] = None,
    strength: Annotated[float, typer.Option(metavar="0..1", help="How much of what is found to remove.")] = 1.0,
    max_reduction: Annotated[
        float | None, typer.Option(metavar="DB", help="The most by which anything falls. Default: no limit.")
    ] = None,
    raw: Annotated[
        str | None, typer.Option(metavar="TYPE", help="stdin holds bare samples: s16le, s24le, s32le, f32le, f64le.")
    ] = None,
    rate: Annotated[int | None, typer.Option(metavar="HZ", help="... their rate; of live sound: the devices'.")] = None,
    channels: Annotated[int | None, typer.Option(metavar="N", help="... and channels. Default: 1.")] = None,
    keep_delay: Annotated[
        bool, typer.Option("--keep-delay", help="Do not take the delay out: as many samples out as in, at any time.")
    ] = False,
    input_device: Annotated[
        str | None,
        typer.Option("--input", metavar="DEVICE", help="Live, from this device: number or part of its name."),
    ] = None,
    output_device: Annotated[
        str | None, typer.Option("--output", metavar="DEVICE", help="Live, to this device.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Live: stop after so long. Default: at Ctrl-C.")
    ] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="List the sound devices, and stop.")] = False,
) -> None:
    """Restore sound while it arrives: stdin to stdout, or from one sound device to another (--input, --output).

    WAV or bare samples come out as they went in; in a pipe the delay is taken out, so that picture and sound stay
    together.

    Example: ffmpeg -i film.mkv -f wav - | resound stream --model voice | ffmpeg -i - -c:a flac film.flac
    """
    from resound.errors import ConfigError
    from resound.shipped import REPAIRS, is_shipped

    if list_devices:
        from resound.inference.live import devices

        typer.echo("\n".join(devices()) or "no sound device")
        return
    if model is None:
        raise ConfigError(
            "--model is missing: voice, film, a file of 'resound export --streaming', or a causal network's folder"
        )
    if model == REPAIRS and is_shipped(model):  # a stereo sound is no denoised one beside a noisy one
        raise ConfigError(f"--model {model}: repairs what another model makes; give that one, and --then {model}")
    is_live = input_device is not None or output_device is not None
    if is_live and raw is not None:
        raise ConfigError("--raw is for stdin, and live sound is asked for; leave either out")
    if is_live and keep_delay:
        raise ConfigError("--keep-delay is for a pipe, and live sound is always late; leave it out")
    if not is_live and seconds is not None:
        raise ConfigError(
            "--seconds is for live sound (--input, --output); in a pipe leave it out, it ends with its input"
        )
    if is_live:
        ends = _device(input_device), _device(output_device)
        _live(model, then, strength, max_reduction, *ends, rate, channels, seconds)
    else:
        _pipe(model, then, strength, max_reduction, raw, rate, channels, keep_delay=keep_delay)


def _pipe(
    model: str,
    then: str | None,
    strength: float,
    max_reduction: float | None,
    raw: str | None,
    rate: int | None,
    channels: int | None,
    *,
    keep_delay: bool,
) -> None:
    from dataclasses import replace

    from resound.audio.pipe import PipeWriter, blocks_of
    from resound.errors import ConfigError, Interrupted, counted
    from resound.inference.repaired_stream import open_repairing
    from resound.inference.streaming import open_frames

    if sys.stdin is None or sys.stdout is None:
        raise ConfigError("stdin or stdout is closed; pipe sound in and on (... | resound stream ... | ...)")
    frames, repairs = open_frames(model), None if then is None else open_repairing(then)
    if sys.stdin.isatty():
        raise ConfigError(
            "stdin is a terminal; pipe sound in (ffmpeg -i FILE -f wav - | resound stream ...), or --input"
        )
    if sys.stdout.isatty():
        raise ConfigError("stdout is a terminal; pipe the sound on (... | ffmpeg -i - out.flac), or > out.wav")
    form = _format(raw, rate, channels)
    stream = _stream(
        frames,
        repairs,
        sample_rate=form.sample_rate,
        channels=form.n_channels,
        strength=strength,
        max_reduction_db=max_reduction,
    )
    writer = PipeWriter(sys.stdout.buffer, replace(form, n_channels=stream.n_channels_out))
    surplus = 0 if keep_delay else stream.latency_samples
    try:
        for block in blocks_of(sys.stdin.buffer, form, round(BLOCK_SECONDS * form.sample_rate)):
            restored = stream.process(block)
            dropped = min(surplus, restored.shape[1])
            surplus -= dropped
            writer.write(restored[:, dropped:])
        if not keep_delay:
            writer.write(stream.flush()[:, surplus:])
        writer.close()
    except Interrupted:
        writer.close()
        raise Interrupted(f"the {counted(writer.n_samples, 'sample')} before it were written") from None
    late = 1000 * stream.latency_seconds
    told = (
        f"{counted(writer.n_samples, 'sample')}, {form.sample_rate:,} Hz, {counted(stream.n_channels_out, 'channel')}"
    )
    told += f", {late:.1f} ms late" if keep_delay else f"; the delay of {late:.1f} ms is taken out"
    for number, what in (
        (stream.n_silenced, "samples were no sound and are silent"),
        (stream.n_restarts, "times the network lost itself and began anew"),
        (writer.n_clipped, "samples clipped"),
    ):
        told += f"; {number} {what}" if number else ""
    if form.n_bytes is not None and writer.n_samples < form.n_bytes // form.frame_bytes:
        told += "; stdin ended before what its header says"
    typer.echo(told, err=True)


def _stream(frames: FrameMaker, repairs: FrameMaker | None, **options: Any) -> Stream | RepairedStream:
    """Return a stream and, where asked for, what repairs after it."""
    from resound.inference.repaired_stream import RepairedStream
    from resound.inference.streaming import Stream

    stream = Stream(frames, **options)
    return stream if repairs is None else RepairedStream(stream, repairs)


def _format(raw: str | None, rate: int | None, channels: int | None) -> PipeFormat:
    """Return what stdin holds.  Raises `ConfigError` and `InputError`."""
    from resound.audio.pipe import RAW, PipeFormat, read_wav_header
    from resound.errors import ConfigError, did_you_mean

    if raw is None:
        if rate is not None or channels is not None:
            raise ConfigError("--rate and --channels are in a WAV's header; leave them out, or say --raw TYPE")
        return read_wav_header(sys.stdin.buffer)
    if raw not in RAW:
        raise ConfigError(f"raw is {raw!r}{did_you_mean(raw, RAW)}; give {', '.join(RAW)}")
    if rate is None or rate < 1:
        raise ConfigError("bare samples do not say their rate; give --rate HZ")
    if channels is not None and channels < 1:
        raise ConfigError(f"channels is {channels}; give 1 or more")
    return PipeFormat(rate, channels or 1, RAW[raw], is_wav=False)


def _live(
    model: str,
    then: str | None,
    strength: float,
    max_reduction: float | None,
    input_device: int | str | None,
    output_device: int | str | None,
    rate: int | None,
    channels: int | None,
    seconds: float | None,
) -> None:
    from resound.inference.live import device_rate, play
    from resound.inference.repaired_stream import open_repairing
    from resound.inference.streaming import open_frames

    frames, repairs = open_frames(model), None if then is None else open_repairing(then)
    rate = rate or device_rate(input_device, output_device)
    stream = _stream(
        frames,
        repairs,
        sample_rate=rate,
        channels=channels,
        strength=strength,
        max_reduction_db=max_reduction,
        block_samples=round(LIVE_BLOCK_SECONDS * rate),
    )
    typer.echo(f"{rate:,} Hz, {1000 * stream.latency_seconds:.1f} ms late beside the devices; Ctrl-C stops", err=True)
    shows = sys.stderr.isatty()
    try:
        meters = play(
            stream, input_device, output_device, seconds=seconds, watch=_show if shows else lambda meters: None
        )
    finally:
        if shows:
            typer.echo(err=True)
    typer.echo(
        f"{meters.seconds:.1f} s, {1000 * meters.latency_seconds:.1f} ms from device to device, "
        f"{meters.n_underruns} under-runs",
        err=True,
    )


def _show(meters: Meters) -> None:
    """Write the meters over those before."""
    sys.stderr.write(
        f"\rin {_bar(meters.in_db)} {meters.in_db:6.1f} dBFS   out {_bar(meters.out_db)} {meters.out_db:6.1f} dBFS   "
        f"load {100 * meters.load:3.0f} %   {1000 * meters.latency_seconds:.0f} ms   under-runs {meters.n_underruns} "
    )
    sys.stderr.flush()


def _bar(level_db: float) -> str:
    """Return a meter from -60 dBFS to full scale."""
    n_full = round(METER_STEPS * min(max(1 + level_db / 60, 0), 1))
    return "█" * n_full + "░" * (METER_STEPS - n_full)


def _device(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text
