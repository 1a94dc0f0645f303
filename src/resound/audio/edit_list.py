"""Correcting one MP4 edit list: where an audio track starts, and how much of it is encoder priming.

FFmpeg's muxer writes either a delay or a priming cut, never both: a track that starts late plays its priming
as sound.  The box is small and at the end of the file, so it is replaced after muxing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO


def set_audio_edit(path: Path, *, audio_track: int, start: Fraction, priming: Fraction, length: Fraction) -> bool:
    """Make an audio track (number from 0) start at ``start``, skip ``priming``, last ``length`` (seconds).

    Return whether it was done; False where the file does not end in its ``moov`` box or has no such track.
    """
    with open(path, "rb+") as handle:
        found = _last_box(handle)
        if found is None or found[0] != b"moov":
            return False
        _, offset, size = found
        handle.seek(offset)
        moov = handle.read(size)
        edited = _edit_moov(moov, audio_track, start, priming, length)
        if edited is None:
            return False
        handle.seek(offset)
        handle.write(edited)
        handle.truncate()
    return True


def _last_box(handle: BinaryIO) -> tuple[bytes, int, int] | None:
    """Return (type, offset, size) of the file's last top-level box."""
    offset, last = 0, None
    while True:
        handle.seek(offset)
        header = handle.read(16)
        if len(header) < 8:
            return last
        size, kind = struct.unpack(">I4s", header[:8])
        if size == 1:
            size = struct.unpack(">Q", header[8:16])[0]
        if size < 8:
            return None
        last = (kind, offset, size)
        offset += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, payload) of consecutive boxes."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size < 8:
            return
        yield kind, data[position + 8 : position + size]
        position += size


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", len(payload) + 8, kind) + payload


def _child(data: bytes, kind: bytes) -> bytes:
    """Return the payload of the first box of this type, empty where there is none."""
    return next((payload for name, payload in _boxes(data) if name == kind), b"")


def _timescale(header: bytes) -> int:
    """Return the timescale in an ``mvhd`` or ``mdhd`` payload."""
    return int(struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0])


def _edit_moov(moov: bytes, audio_track: int, start: Fraction, priming: Fraction, length: Fraction) -> bytes | None:
    """Return the ``moov`` box with one audio track's edit list replaced, None where the track is missing."""
    movie_scale = _timescale(_child(moov[8:], b"mvhd"))
    parts, n_audio, done = [], 0, False
    for kind, payload in _boxes(moov[8:]):
        if kind == b"trak" and _child(_child(payload, b"mdia"), b"hdlr")[8:12] == b"soun":
            if n_audio == audio_track:
                payload, done = _edit_track(payload, movie_scale, start, priming, length), True
            n_audio += 1
        parts.append(_box(kind, payload))
    return _box(b"moov", b"".join(parts)) if done else None


def _edit_track(track: bytes, movie_scale: int, start: Fraction, priming: Fraction, length: Fraction) -> bytes:
    """Return a ``trak`` payload with a fresh edit list: empty until ``start``, then sound after priming."""
    scale = _timescale(_child(_child(track, b"mdia"), b"mdhd"))
    edits = [(round(length * movie_scale), round(priming * scale))]
    if start > 0:
        edits.insert(0, (round(start * movie_scale), -1))
    entries = b"".join(struct.pack(">Qqi", duration, media_time, 0x10000) for duration, media_time in edits)
    fresh = _box(b"edts", _box(b"elst", struct.pack(">II", 1 << 24, len(edits)) + entries))
    parts = []
    for kind, payload in _boxes(track):
        if kind == b"edts":
            continue
        parts.append(_box(kind, payload))
        if kind == b"tkhd":  # the edit list belongs right after the track header
            parts.append(fresh)
    return b"".join(parts)
