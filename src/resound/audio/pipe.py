"""Sound through pipes: WAV as it comes from ffmpeg, whose header does not know the length, or bare samples."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from resound.audio.formats import BITS, Quantiser, Samples, Storage, little_endian
from resound.errors import InputError

RAW: dict[str, Storage] = {"s16le": "int16", "s24le": "int24", "s32le": "int32", "f32le": "float32", "f64le": "float64"}
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # format tags (RFC 2361)
ENDLESS = 0xFFFFFFFF  # what a header says that was written before the end was known: ffmpeg this ...
NEAR_2_GB = range(0x7FFFE000, 0x80000001)  # ... arecord and sox about what a signed number can tell
MOST_HEADER_BYTES = 2**20
HEADER_BYTES = 44


@dataclass(frozen=True)
class PipeFormat:
    """What the samples in a pipe are."""

    sample_rate: int
    n_channels: int
    storage: Storage
    is_wav: bool
    n_bytes: int | None = None  # of sound; None: until the end

    @property
    def frame_bytes(self) -> int:
        """Of one sample of all channels."""
        return BITS[self.storage] // 8 * self.n_channels


def read_wav_header(pipe: BinaryIO) -> PipeFormat:
    """Read up to the first sample.  Raises `InputError` for what is no WAV, or of a coding that is no plain samples."""
    head = _exactly(pipe, 12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        raise InputError(
            "stdin: is no WAV; send WAV (ffmpeg ... -f wav -), or say what it is with --raw s16le --rate HZ"
        )
    form: tuple[int, int, Storage] | None = None
    n_read = len(head)
    while n_read < MOST_HEADER_BYTES:
        name, size = struct.unpack("<4sI", _exactly(pipe, 8))
        if name == b"data":
            if form is None:
                raise InputError("stdin: the WAV header has no format before its sound; send another one")
            is_endless = size in (0, ENDLESS) or size in NEAR_2_GB or head[:4] == b"RF64"
            return PipeFormat(*form, is_wav=True, n_bytes=None if is_endless else size)
        if size > MOST_HEADER_BYTES:
            break
        body = _exactly(pipe, size + size % 2)
        n_read += 8 + len(body)
        if name == b"fmt ":
            form = _format(body)
    raise InputError("stdin: the WAV header has no end; send another one")


def _format(body: bytes) -> tuple[int, int, Storage]:
    """Return rate, channels and storage of a format chunk.  Raises `InputError`."""
    if len(body) < 16:
        raise InputError("stdin: the WAV header's format is cut short; send another one")
    tag, n_channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack("<H", body[24:26])
    storages: dict[tuple[int, int], Storage] = {
        (PCM, 16): "int16", (PCM, 24): "int24", (PCM, 32): "int32", (FLOAT, 32): "float32", (FLOAT, 64): "float64",
    }  # fmt: skip
    storage = storages.get((tag, bits))
    if storage is None or not n_channels or not rate:
        raise InputError(
            f"stdin: WAV of {bits} bits, format {tag}, {n_channels} channels, {rate} Hz is not read from a pipe; send "
            "16, 24 or 32 bits, or floats (ffmpeg ... -c:a pcm_s24le -f wav -)"
        )
    return rate, n_channels, storage


def blocks_of(pipe: BinaryIO, form: PipeFormat, block_samples: int) -> Iterator[Samples]:
    """Yield ``(channel, time)`` as it arrives, at most ``block_samples`` at once; a sample cut short is left out."""
    left = form.n_bytes
    rest = b""
    while left is None or left > 0:
        wanted = block_samples * form.frame_bytes - len(rest)
        got = _some(pipe, wanted if left is None else min(wanted, left))
        if not got:
            return
        left = None if left is None else left - len(got)
        rest += got
        n_whole = len(rest) // form.frame_bytes * form.frame_bytes
        if n_whole:
            yield _decoded(rest[:n_whole], form)
            rest = rest[n_whole:]


def _decoded(data: bytes, form: PipeFormat) -> Samples:
    """Return interleaved bytes as ``(channel, time)``, full scale ±1."""
    if form.storage in ("float32", "float64"):
        flat = np.frombuffer(data, dtype="<f4" if form.storage == "float32" else "<f8").astype(np.float64)
    elif form.storage == "int24":
        parts = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        widened = np.zeros((len(parts), 4), dtype=np.uint8)
        widened[:, 1:] = parts
        flat = widened.view("<i4").ravel() / 2.0**31
    else:
        flat = np.frombuffer(data, dtype=f"<i{BITS[form.storage] // 8}") / 2.0 ** (BITS[form.storage] - 1)
    return np.ascontiguousarray(flat.reshape(-1, form.n_channels).T)


class PipeWriter:
    """Writes what it is given at once; a WAV header gets its lengths in the end where the output can go back."""

    def __init__(self, pipe: BinaryIO, form: PipeFormat) -> None:
        self._pipe, self.form, self._quantiser = pipe, form, Quantiser(form.storage)
        self.n_samples = 0
        self._begin = _position(pipe)
        if form.is_wav:
            pipe.write(_header(form, None))
            pipe.flush()

    @property
    def n_clipped(self) -> int:
        """Samples that were beyond full scale."""
        return self._quantiser.n_clipped

    def write(self, block: Samples) -> None:
        """Write ``(channel, time)``."""
        values, _ = self._quantiser.quantise(block)
        if self.form.storage in ("float32", "float64"):
            data = np.ascontiguousarray(values.T, dtype="<f4" if self.form.storage == "float32" else "<f8").tobytes()
        else:
            data = little_endian(values.astype(np.int32), self.form.storage)
        self._pipe.write(data)
        self._pipe.flush()
        self.n_samples += block.shape[1]

    def close(self) -> None:
        """Put the lengths into the header of a file; a pipe keeps those that mean "until the end"."""
        if not self.form.is_wav or self._begin is None:
            return
        if self.n_samples * self.form.frame_bytes % 2:
            self._pipe.write(b"\0")  # chunks have an even length
        self._pipe.seek(self._begin)
        self._pipe.write(_header(self.form, self.n_samples))
        self._pipe.seek(0, io.SEEK_END)
        self._pipe.flush()


def _position(pipe: BinaryIO) -> int | None:
    """Return where a file's header will lie, None for what cannot go back: a pipe, and a file that is appended to."""
    if not pipe.seekable():
        return None
    try:
        import fcntl

        if fcntl.fcntl(pipe.fileno(), fcntl.F_GETFL) & os.O_APPEND:
            return None
    except (ImportError, io.UnsupportedOperation):  # Windows, and what is no file of the system's
        pass
    return pipe.tell()


def _header(form: PipeFormat, n_samples: int | None) -> bytes:
    """Return the 44 bytes before the sound of a WAV file."""
    n_bytes = ENDLESS if n_samples is None else min(n_samples * form.frame_bytes, ENDLESS)
    tag = FLOAT if form.storage.startswith("float") else PCM
    rate, bits = form.sample_rate, BITS[form.storage]
    riff = struct.pack("<4sI4s", b"RIFF", min(n_bytes + n_bytes % 2 + HEADER_BYTES - 8, ENDLESS), b"WAVE")
    own = (tag, form.n_channels, rate, rate * form.frame_bytes, form.frame_bytes, bits)
    return riff + struct.pack("<4sIHHIIHH", b"fmt ", 16, *own) + struct.pack("<4sI", b"data", n_bytes)


def _exactly(pipe: BinaryIO, n_bytes: int) -> bytes:
    """Return so many bytes.  Raises `InputError` where the pipe ends before."""
    parts = b""
    while len(parts) < n_bytes:
        part = pipe.read(n_bytes - len(parts))
        if not part:
            what = "is empty" if not parts else "ends in its header"
            raise InputError(f"stdin: {what}; send sound: ffmpeg -i FILE -f wav - | resound stream ...")
        parts += part
    return parts


def _some(pipe: BinaryIO, n_bytes: int) -> bytes:
    """Return what has arrived, at most so many bytes; nothing at the end."""
    if isinstance(pipe, io.BufferedReader):
        return pipe.read1(n_bytes)
    return pipe.read(n_bytes)
