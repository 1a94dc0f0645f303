"""A stream between two sound devices, with meters, measured delay and counted under-runs (needs the extra `live`)."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resound.errors import ConfigError, InputError, Interrupted
from resound.inference.repaired_stream import RepairedStream
from resound.inference.streaming import Stream

METER_SECONDS = 0.1
SILENT_DB = -120.0


@dataclass
class Meters:
    """What happens, since the meters were last looked at."""

    seconds: float = 0.0  # since the beginning
    in_db: float = SILENT_DB  # RMS, of full scale
    out_db: float = SILENT_DB
    load: float = 0.0  # share of a block's time that its work took
    latency_seconds: float = 0.0  # from device to device: theirs, as they say, and the stream's
    n_underruns: int = 0  # times that the output had nothing to play, or the input was not fetched in time
    n_silenced: int = 0


@dataclass
class _Sums:
    """What the callback adds up; it runs in a thread of the device's."""

    squares_in: float = 0.0
    squares_out: float = 0.0
    n_values_in: int = 0
    n_values_out: int = 0
    busy_seconds: float = 0.0
    sound_seconds: float = 0.0
    n_underruns: int = 0
    error: BaseException | None = None
    meters: Meters = field(default_factory=Meters)


def sound_library() -> Any:
    """Return sounddevice.  Raises `ConfigError` where it, or PortAudio below it, is missing."""
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError:
        raise ConfigError(
            "live sound needs sounddevice, which is not installed; run: pip install 'resound[live]'"
        ) from None
    except OSError as error:  # it is there, PortAudio is not
        raise ConfigError(f"live sound needs PortAudio ({error}); on Debian: apt install libportaudio2") from None


def devices() -> list[str]:
    """Return a line for each sound device.  Raises `ConfigError`."""
    sound = sound_library()
    lines = []
    for index, one in enumerate(sound.query_devices()):
        ways = f"{one['max_input_channels']} in, {one['max_output_channels']} out"
        lines.append(f"{index:3d}  {one['name']}  ({ways}, {one['default_samplerate']:g} Hz)")
    return lines


def device_rate(asked_in: int | str | None, asked_out: int | str | None) -> int:
    """Return the rate that the input device likes.  Raises `ConfigError` for a device that there is not."""
    sound = sound_library()
    for kind, asked in (("input", asked_in), ("output", asked_out)):
        try:
            found = sound.query_devices(asked, kind)
        except (ValueError, sound.PortAudioError) as error:
            what = f"{kind} device {asked!r}" if asked is not None else f"{kind} device"
            raise ConfigError(f"no such {what} ({error}); 'resound stream --list-devices' lists them") from None
        if kind == "input":
            rate = round(found["default_samplerate"])
    return rate


def play(
    stream: Stream | RepairedStream,
    input_device: int | str | None,
    output_device: int | str | None,
    *,
    seconds: float | None = None,
    watch: Callable[[Meters], None] = lambda meters: None,
) -> Meters:
    """Run a stream from one device to the other until Ctrl-C, or for so many seconds; return the last meters.

    ``watch`` is told ten times a second.  Raises `ConfigError` for devices that cannot, `InputError` for one that goes.
    """
    sound, sums, began = sound_library(), _Sums(), time.monotonic()
    try:
        with sound.Stream(
            samplerate=stream.sample_rate,
            blocksize=stream.block_samples,
            device=(input_device, output_device),
            channels=(stream.n_channels, stream.n_channels_out),
            dtype="float32",
            latency="low",
            callback=_callback(stream, sums),
        ) as device:
            theirs = sum(device.latency)
            while seconds is None or time.monotonic() - began < seconds:
                time.sleep(METER_SECONDS)
                _look(sums, stream, time.monotonic() - began, theirs)
                watch(sums.meters)
                if sums.error is not None:
                    raise sums.error
                if not device.active:
                    raise InputError("a sound device has gone, or stopped; connect it and begin again")
    except (Interrupted, KeyboardInterrupt):
        pass  # the usual end
    except sound.PortAudioError as error:
        raise ConfigError(
            f"the devices cannot do that ({error}); choose others (--list-devices), or another --rate"
        ) from None
    return sums.meters


def _callback(stream: Stream | RepairedStream, sums: _Sums) -> Callable[..., None]:
    def more(given: Any, wanted: Any, n_samples: int, times: Any, status: Any) -> None:
        began = time.perf_counter()
        sums.n_underruns += bool(status.output_underflow) + bool(status.input_overflow)
        try:
            restored = stream.process(given.T)
        except BaseException as error:  # told by the thread that watches; nothing may leave a callback
            sums.error = error
            wanted.fill(0)
            return
        wanted[:] = restored.T
        sums.squares_in += float(np.square(given, dtype=np.float64).sum())
        sums.squares_out += float(np.square(restored).sum())
        sums.n_values_in += given.size
        sums.n_values_out += restored.size
        sums.sound_seconds += n_samples / stream.sample_rate
        sums.busy_seconds += time.perf_counter() - began

    return more


def _look(sums: _Sums, stream: Stream | RepairedStream, seconds: float, device_seconds: float) -> None:
    """Put what was added up since the last look into the meters."""
    load = sums.busy_seconds / sums.sound_seconds if sums.sound_seconds else 0.0
    latency = device_seconds + stream.latency_seconds
    in_db, out_db = _db(sums.squares_in, sums.n_values_in), _db(sums.squares_out, sums.n_values_out)
    sums.meters = Meters(seconds, in_db, out_db, load, latency, sums.n_underruns, stream.n_silenced)
    sums.squares_in = sums.squares_out = sums.busy_seconds = sums.sound_seconds = 0.0
    sums.n_values_in = sums.n_values_out = 0


def _db(squares: float, n_values: int) -> float:
    return 10 * float(np.log10(squares / n_values)) if squares > 0 else SILENT_DB
