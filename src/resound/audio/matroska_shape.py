"""The pixel shape of a Matroska picture track: PyAV cannot hand it to the muxer, so it is set afterwards.

The track is given a name with room to spare (`widened_title`).  When the file is done, the room goes to the
display size, the name gets its own length back, and what is left becomes a Void element: nothing outside the
track moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_ROOM = "." * 64
_SEGMENT, _TRACKS, _TRACK, _NAME, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x536E, 0xE0
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT, _VOID = 0x54B0, 0x54BA, 0x54B2, 0xEC
_ASPECT_RATIO = 3  # display unit


def widened_title(title: str) -> str:
    """Return a track name with room for `set_pixel_shapes`."""
    return title + _ROOM


def set_pixel_shapes(path: Path, shapes: dict[int, Fraction]) -> None:
    """Give tracks (number in the file, from 0) a sample aspect ratio; their names must have been widened."""
    with open(path, "rb+") as handle:
        found = _find(handle, _SEGMENT, 0)
        found = found and _find(handle, _TRACKS, found[0])
        if not found:
            return
        offset, size = found
        handle.seek(offset)
        data = handle.read(size)
        entries = [(kind, start, end) for kind, _, start, end in _elements(data) if kind == _TRACK]
        for number, shape in shapes.items():
            _, start, end = entries[number]
            handle.seek(offset + start)
            handle.write(_reshaped(data[start:end], shape))


def _reshaped(track: bytes, shape: Fraction) -> bytes:
    """Return a track's content, as long as before, with the display size in and the room out of its name."""
    parts = []
    for kind, begin, start, end in _elements(track):
        content = track[start:end]
        if kind == _NAME and content.endswith(_ROOM.encode()):
            content = content[: -len(_ROOM)]
            if not content:
                continue
        elif kind == _VIDEO:
            content = _with_display_size(content, shape)
        else:
            parts.append(track[begin:end])
            continue
        parts.append(_element(kind, content))
    joined = b"".join(parts)
    spare = len(track) - len(joined)
    return joined + bytes([_VOID, 0x80 | (spare - 2)]) + bytes(spare - 2)


def _with_display_size(video: bytes, shape: Fraction) -> bytes:
    """Return the content of a Video element with its display size set."""
    sizes, kept = {}, []
    for kind, begin, start, end in _elements(video):
        sizes[kind] = int.from_bytes(video[start:end], "big")
        if kind not in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT):
            kept.append(video[begin:end])
    width, height = sizes[_PIXEL_WIDTH] * shape, Fraction(sizes[_PIXEL_HEIGHT])
    if width.denominator == 1 or _DISPLAY_UNIT not in sizes:  # WebM knows pixels only
        display = {_DISPLAY_WIDTH: round(width), _DISPLAY_HEIGHT: round(height)}
    else:
        ratio = width / height
        display = {
            _DISPLAY_WIDTH: ratio.numerator,
            _DISPLAY_HEIGHT: ratio.denominator,
            _DISPLAY_UNIT: _ASPECT_RATIO,
        }
    return b"".join(kept) + b"".join(_element(kind, n.to_bytes(4, "big")) for kind, n in display.items())


def _element(kind: int, content: bytes) -> bytes:
    """Return an EBML element with the shortest size field."""
    length = 1
    while len(content) >= (1 << (7 * length)) - 1:
        length += 1
    size = (len(content) | 1 << (7 * length)).to_bytes(length, "big")
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + size + content


def _header(data: bytes, position: int) -> tuple[int, int, int]:
    """Return (id, size, header length) of the EBML element at ``position``."""
    id_length = 9 - data[position].bit_length()
    kind = int.from_bytes(data[position : position + id_length], "big")
    at = position + id_length
    size_length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + size_length], "big") & ((1 << (7 * size_length)) - 1)
    return kind, size, id_length + size_length


def _elements(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (id, begin, content start, end) of consecutive elements."""
    position = 0
    while position + 2 <= len(data):
        kind, size, header = _header(data, position)
        yield kind, position, position + header, position + header + size
        position += header + size


def _find(handle: BinaryIO, wanted: int, position: int) -> tuple[int, int] | None:
    """Return (content offset, content size) of the first element of this kind from ``position`` on."""
    while True:
        handle.seek(position)
        head = handle.read(12)
        if len(head) < 12:
            return None
        kind, size, header = _header(head, 0)
        if kind == wanted:
            return position + header, size
        position += header + size
