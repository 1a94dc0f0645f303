"""The outer structure of sound files, read just far enough to find metadata and to see what is missing.

Nothing here decodes sound.  All functions read from an open binary file and leave its position anywhere.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

RIFF_MAGICS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
W64_RIFF = b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\x00\x00"
FOUR_GIGABYTES = 2**32 - 2**20  # what a RIFF header can count, less room for metadata
STREAMING_SIZE = 0xFFFFFFF0 - 2**24  # what programs that write to a pipe put where they cannot know the size
BITS_BY_AU_ENCODING = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 27: 8}
MPEG_LAYER_III = 1


@dataclass(frozen=True)
class Chunk:
    """One chunk of an IFF-like file: its payload lies at ``offset``; ``size`` is what its header promises."""

    name: bytes
    offset: int
    size: int


@dataclass(frozen=True)
class SoundHeader:
    """What a file says about its sound, and what libsndfile does not pass on."""

    missing_bytes: int = 0  # promised but not there
    bytes_per_second: float = 1.0
    audio_bytes: int = 0  # without metadata
    nominal_bit_rate: int = 0  # bits per second, 0 where the format states none
    audio_md5: str = ""  # of the samples, empty where the format has none
    lacks_end: bool = False  # an Ogg stream without its last page
    n_frames: int = 0  # where libsndfile would count padding as sound, else 0


def file_size(handle: BinaryIO) -> int:
    """Return the size in bytes."""
    return os.fstat(handle.fileno()).st_size


def read_at(handle: BinaryIO, offset: int, size: int) -> bytes:
    """Return up to ``size`` bytes from ``offset``."""
    handle.seek(offset)
    return handle.read(size)


# RIFF, RF64, Wave64, AIFF


def chunks(handle: BinaryIO) -> list[Chunk]:
    """Return the chunks of a RIFF, RIFX, RF64, Wave64 or AIFF file; stops where something is not a chunk."""
    head = read_at(handle, 0, 12)
    if head[:4] in RIFF_MAGICS:
        return list(_iff_chunks(handle, ">I" if head[:4] == b"RIFX" else "<I"))
    if head[:4] == b"FORM":
        return list(_iff_chunks(handle, ">I"))
    return list(_w64_chunks(handle))


def _iff_chunks(handle: BinaryIO, size_format: str) -> Iterator[Chunk]:
    end = file_size(handle)
    offset = 12
    long_size = 0
    while offset + 8 <= end:
        header = read_at(handle, offset, 8)
        name, size = header[:4], struct.unpack(size_format, header[4:])[0]
        if not all(32 <= byte < 127 for byte in name):
            return
        if name == b"ds64":
            long_size = struct.unpack("<Q", read_at(handle, offset + 16, 8))[0]
        if name == b"data" and size == 0xFFFFFFFF and long_size:
            size = long_size
        yield Chunk(name, offset + 8, size)
        if name == b"data" and size == 0:  # a recorder that was not stopped properly: the rest is sound
            return
        offset += 8 + size + size % 2


def _w64_chunks(handle: BinaryIO) -> Iterator[Chunk]:
    end = file_size(handle)
    offset = 40
    while offset + 24 <= end:
        header = read_at(handle, offset, 24)
        size = struct.unpack("<Q", header[16:])[0]
        if size < 24:
            return
        yield Chunk(header[:16], offset + 24, size - 24)
        offset += -(-size // 8) * 8


def sound_header(path: Path, container: str) -> SoundHeader:
    """Return what the header says; ``container`` in libsndfile's words."""
    with open(path, "rb") as handle:
        try:
            if container in ("WAV", "WAVEX", "RF64", "W64"):
                return _riff_header(handle)
            reading = {"AIFF": _aiff_header, "AU": _au_header, "CAF": _caf_header, "FLAC": _flac_header}
            reading |= {"OGG": _ogg_header, "MP3": _mpeg_header}
            return reading[container](handle)
        except (KeyError, struct.error, ValueError, IndexError, ZeroDivisionError, StopIteration):
            return SoundHeader(audio_bytes=file_size(handle))


def _measured(handle: BinaryIO, offset: int, promised: int, bytes_per_second: float) -> SoundHeader:
    present = file_size(handle) - offset
    streamed = promised >= STREAMING_SIZE and promised < 2**32
    missing = 0 if streamed else max(0, promised - present)
    return SoundHeader(missing, bytes_per_second, min(promised, present) or present)


def _riff_header(handle: BinaryIO) -> SoundHeader:
    found = {chunk.name[:4]: chunk for chunk in chunks(handle)}
    data, format_chunk = found[b"data"], found[b"fmt "]
    order = ">" if read_at(handle, 0, 4) == b"RIFX" else "<"
    fields = read_at(handle, format_chunk.offset + 8, 6)
    bytes_per_second, bytes_per_frame = struct.unpack(order + "IH", fields)
    header = _measured(handle, data.offset, data.size, bytes_per_second)
    is_w64 = len(data.name) == 16
    return replace(header, n_frames=data.size // bytes_per_frame) if is_w64 else header


def _aiff_header(handle: BinaryIO) -> SoundHeader:
    found = {chunk.name: chunk for chunk in chunks(handle)}
    sound, common = found[b"SSND"], read_at(handle, found[b"COMM"].offset, 18)
    (n_frames,) = struct.unpack(">I", common[2:6])
    exponent, mantissa = struct.unpack(">HQ", common[8:18])  # 80-bit extended float
    rate = mantissa * 2.0 ** (exponent - 16383 - 63)
    header = _measured(handle, sound.offset + 8, sound.size - 8, (sound.size - 8) / (n_frames / rate))
    return replace(header, n_frames=n_frames)


def _au_header(handle: BinaryIO) -> SoundHeader:
    head = read_at(handle, 0, 24)
    order = ">" if head[:4] == b".snd" else "<"
    offset, size, encoding, rate, n_channels = struct.unpack(order + "5I", head[4:])
    return _measured(handle, offset, size, rate * n_channels * BITS_BY_AU_ENCODING[encoding] / 8)


def _caf_header(handle: BinaryIO) -> SoundHeader:
    end = file_size(handle)
    offset, bytes_per_second = 8, 0.0
    while offset + 12 <= end:
        name, size = struct.unpack(">4sq", read_at(handle, offset, 12))
        if name == b"desc":
            rate, packet_bytes, packet_frames = struct.unpack(">d8xII", read_at(handle, offset + 12, 24))
            bytes_per_second = rate * packet_bytes / packet_frames
        if name == b"data":
            promised = end - offset - 16 if size < 0 else size - 4
            return _measured(handle, offset + 16, promised, bytes_per_second)
        offset += 12 + size
    raise ValueError("CAF without a data chunk")


# FLAC


@dataclass(frozen=True)
class FlacBlocks:
    """The metadata blocks of a FLAC file: ``(type, payload)`` in order, and where the sound begins."""

    blocks: list[tuple[int, bytes]]
    audio_offset: int


def flac_blocks(handle: BinaryIO) -> FlacBlocks:
    """Return the metadata blocks of a FLAC file, whose magic may stand behind an ID3v2 tag."""
    offset = id3v2_size(handle)
    if read_at(handle, offset, 4) != b"fLaC":
        raise ValueError("not a FLAC file")
    offset += 4
    blocks = []
    last = False
    while not last:
        header = read_at(handle, offset, 4)
        size = int.from_bytes(header[1:4], "big")
        payload = handle.read(size)
        if len(header) < 4 or len(payload) < size:
            raise ValueError("metadata cut off")
        blocks.append((header[0] & 0x7F, payload))
        last = bool(header[0] & 0x80)
        offset += 4 + size
    return FlacBlocks(blocks, offset)


def _flac_header(handle: BinaryIO) -> SoundHeader:
    found = flac_blocks(handle)
    checksum = found.blocks[0][1][18:34]
    return SoundHeader(
        audio_bytes=file_size(handle) - found.audio_offset, audio_md5=checksum.hex() if any(checksum) else ""
    )


# MP3


def id3v2_size(handle: BinaryIO) -> int:
    """Return the size of the ID3v2 tags at the beginning, 0 when there are none."""
    total = 0
    while True:
        head = read_at(handle, total, 10)
        if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
            return total
        size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        total = min(file_size(handle), total + 10 + size + (10 if head[5] & 0x10 else 0))


def mpeg_tail_size(handle: BinaryIO) -> int:
    """Return the size of the ID3v1 and APEv2 tags at the end of a file."""
    end = file_size(handle)
    tail = 128 if end >= 128 and read_at(handle, end - 128, 3) == b"TAG" else 0
    footer = read_at(handle, max(0, end - tail - 32), 32)
    if footer[:8] == b"APETAGEX":
        size, _, flags = struct.unpack("<3I", footer[12:24])
        whole = size + (32 if flags & 0x80000000 else 0)
        if whole <= end - tail:
            tail += whole
    return tail


@dataclass(frozen=True)
class XingHeader:
    """What the first frame of an MP3 says of the others; bytes are 0 where it does not say."""

    n_frames: int
    n_bytes: int
    sample_rate: int
    samples_per_frame: int


def xing_header(frame: bytes) -> XingHeader | None:
    """Return the Xing header in the first frame of an MP3, None when it has none that counts frames."""
    position = max(frame.find(b"Xing"), frame.find(b"Info"))
    rate_index = frame[2] >> 2 & 3
    if position < 0 or rate_index == 3 or len(frame) < position + 16:
        return None
    flags, n_frames, n_bytes = struct.unpack(">3I", frame[position + 4 : position + 16])
    if not flags & 1 or not n_frames:
        return None
    version = frame[1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    rate = (44100, 48000, 32000)[rate_index] // {3: 1, 2: 2}.get(version, 4)
    return XingHeader(n_frames, n_bytes if flags & 2 else 0, rate, 1152 if version == 3 else 576)


def is_mpeg_without_length(path: Path) -> bool:
    """Return whether this is MPEG audio whose length libsndfile would have to guess.

    That is: AAC, layers I and II, and MP3 without a Xing header or with one that counts 1 % more or less than
    there is (joined or cut files; libsndfile also prints about those).
    """
    with open(path, "rb") as handle:
        start = id3v2_size(handle)
        frame = read_at(handle, start, 256)
        if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
            return False
        xing = xing_header(frame) if (frame[1] >> 1) & 3 == MPEG_LAYER_III else None
        if xing is None:
            return True
        present = file_size(handle) - start - mpeg_tail_size(handle)
        return bool(xing.n_bytes) and abs(xing.n_bytes - present) > max(0.01 * xing.n_bytes, 4096)


def _mpeg_header(handle: BinaryIO) -> SoundHeader:
    start = id3v2_size(handle)
    present = file_size(handle) - start - mpeg_tail_size(handle)
    xing = xing_header(read_at(handle, start, 256))
    if xing is None or not xing.n_bytes:
        return SoundHeader(audio_bytes=present)
    duration_seconds = xing.n_frames * xing.samples_per_frame / xing.sample_rate
    return SoundHeader(max(0, xing.n_bytes - present), xing.n_bytes / duration_seconds, present)


# Ogg

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
MAX_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
OGG_FIRST_PAGE = 2
OGG_LAST_PAGE = 4
HEADER_PACKETS = {b"\x01vorbis": 3, b"OpusHead": 2}


def ogg_checksum(page: bytes) -> int:
    """Return the checksum of an Ogg page whose checksum field is zero.

    Ogg's CRC-32 has the usual polynomial with the bits in the other order and starts from 0: so it is zlib's
    over reversed bits, with zlib's inversions undone.
    """
    state = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(state.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


@dataclass(frozen=True)
class OggPage:
    """One page: header fields, the segment table and the body."""

    flags: int
    granule: int
    serial: int
    sequence: int
    segments: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        """Return the page with a correct checksum."""
        head = struct.pack("<4sBBqII", b"OggS", 0, self.flags, self.granule, self.serial, self.sequence)
        rest = bytes([len(self.segments)]) + self.segments + self.body
        return head + struct.pack("<I", ogg_checksum(head + bytes(4) + rest)) + rest


def ogg_pages(handle: BinaryIO) -> Iterator[OggPage]:
    """Yield the pages from the file's position on; stops at what is not a page."""
    while True:
        head = handle.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        _, _, flags, granule, serial, sequence, _, n_segments = struct.unpack("<4sBBqIIIB", head)
        segments = handle.read(n_segments)
        body = handle.read(sum(segments))
        if len(body) < sum(segments):
            return
        yield OggPage(flags, granule, serial, sequence, segments, body)


def ogg_packets(pages: Iterator[OggPage], n_packets: int) -> list[bytes]:
    """Return the first packets of the stream whose page comes first."""
    packets: list[bytes] = []
    part = b""
    serial: int | None = None
    for page in pages:
        serial = page.serial if serial is None else serial
        if page.serial != serial:
            continue
        offset = 0
        for size in page.segments:
            part += page.body[offset : offset + size]
            offset += size
            if size < 255:
                packets.append(part)
                part = b""
        if len(packets) >= n_packets:
            return packets[:n_packets]
    raise ValueError("Ogg headers cut off")


def ogg_header_packets(handle: BinaryIO) -> list[bytes]:
    """Return the header packets of Vorbis, Opus or Ogg FLAC: identification, comment, and Vorbis' setup."""
    handle.seek(0)
    identification = ogg_packets(ogg_pages(handle), 1)[0]
    n_packets = next((n for magic, n in HEADER_PACKETS.items() if identification.startswith(magic)), 2)
    handle.seek(0)
    return ogg_packets(ogg_pages(handle), n_packets)


def nominal_bit_rate(identification: bytes) -> int:
    """Return the nominal bit rate in a Vorbis identification packet, bits per second; 0 when it has none."""
    if not identification.startswith(b"\x01vorbis"):
        return 0
    return max(0, struct.unpack("<i", identification[20:24])[0])


def is_chained(path: Path) -> bool:
    """Return whether an Ogg file ends with another stream than those that it begins with."""
    with open(path, "rb") as handle:
        first_serials = set()
        for page in ogg_pages(handle):
            if not page.flags & OGG_FIRST_PAGE:
                break
            first_serials.add(page.serial)
        last_page = _last_ogg_page(handle)
        if not first_serials or len(last_page) < 27:
            return False
        return int.from_bytes(last_page[14:18], "little") not in first_serials


def _last_ogg_page(handle: BinaryIO) -> bytes:
    tail = read_at(handle, max(0, file_size(handle) - 2 * MAX_OGG_PAGE_BYTES), 2 * MAX_OGG_PAGE_BYTES)
    return tail[tail.rfind(b"OggS") :]


def _ogg_header(handle: BinaryIO) -> SoundHeader:
    packets = ogg_header_packets(handle)
    end = file_size(handle)
    return SoundHeader(
        audio_bytes=end - sum(len(packet) for packet in packets),
        nominal_bit_rate=nominal_bit_rate(packets[0]),
        lacks_end=not _last_ogg_page(handle)[5] & OGG_LAST_PAGE,
    )
