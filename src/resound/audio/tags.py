"""Metadata carried from a recording to its restored copy: byte for byte within a family, common texts across.

=========  ====================================================  ==========================================
family     carried byte for byte                                 left out, because it describes other bytes
=========  ====================================================  ==========================================
RIFF       every chunk (bext, iXML, LIST, cue, smpl, id3, ...),  fmt, fact, data, ds64, PEAK, levl, MD5 and
           in order, on the side of the sound it was on;         fillers
           the speaker mask
Wave64     every chunk                                           the same
AIFF       every chunk (NAME, AUTH, ANNO, COMT, MARK, ID3, ...)  COMM, SSND, FVER, PEAK, fillers
FLAC       comments, pictures, cue sheet, application blocks     STREAMINFO, SEEKTABLE, PADDING
MP3        ID3v2 before, APEv2 and ID3v1 after the sound         the Xing header
Ogg        the comment packet (pictures are in it)               everything else
=========  ====================================================  ==========================================

Between FLAC and Ogg the comments and pictures go over whole.  Between any other two families the texts of
`NAMES` do, and one warning names what does not; they also come out of MP4, Matroska, ASF, WavPack and CAF.  No
metadata goes into CAF, AU and the rarer formats.

Two fields are added to, when a history line is given and the field's chunk exists: CodingHistory of bext (EBU
Tech 3285) and BWF_CODING_HISTORY of iXML.  The loudness fields of bext are kept as they are, with a warning
where they are set, since they were measured on the source.  Damaged blocks become a warning, never an error.
"""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.etree import ElementTree

from resound.audio import containers
from resound.audio.containers import OggPage, read_at

if TYPE_CHECKING:
    from av.container import InputContainer

Block = tuple[bytes, bytes]  # name, payload
MAX_BLOCK_BYTES = 256 * 2**20
COPY_BYTES = 2**20
FAMILIES = {
    "WAV": "RIFF",
    "WAVEX": "RIFF",
    "RF64": "RIFF",
    "W64": "Wave64",
    "AIFF": "AIFF",
    "FLAC": "FLAC",
    "OGG": "Ogg",
    "MP3": "MP3",
}
# The texts that families share, by their Vorbis names, and what each calls them (the first is written).
NAMES: dict[str, dict[str, tuple[bytes, ...]]] = {
    "TITLE": {"RIFF": (b"INAM",), "AIFF": (b"NAME",), "MP3": (b"TIT2", b"TT2")},
    "ARTIST": {"RIFF": (b"IART",), "AIFF": (b"AUTH",), "MP3": (b"TPE1", b"TP1")},
    "ALBUM": {"RIFF": (b"IPRD",), "MP3": (b"TALB", b"TAL")},
    "DATE": {"RIFF": (b"ICRD",), "MP3": (b"TDRC", b"TYER", b"TYE")},
    "GENRE": {"RIFF": (b"IGNR",), "MP3": (b"TCON", b"TCO")},
    "TRACKNUMBER": {"RIFF": (b"ITRK", b"IPRT"), "MP3": (b"TRCK", b"TRK")},
    "COPYRIGHT": {"RIFF": (b"ICOP",), "AIFF": (b"(c) ",), "MP3": (b"TCOP", b"TCR")},
    "COMMENT": {"RIFF": (b"ICMT",), "AIFF": (b"ANNO",), "MP3": (b"COMM", b"COM")},
}
NOT_COPIED = {
    *(b"fmt ", b"fact", b"data", b"ds64", b"PEAK", b"levl", b"MD5 ", b"wavl", b"slnt"),
    *(b"COMM", b"SSND", b"FVER"),
    *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"filr", b"FILR"),
}
NOT_COPIED_W64 = {b"fmt ", b"fact", b"data", b"levl", b"junk"}
STREAMINFO, PADDING, SEEKTABLE, VORBIS_COMMENT, CUESHEET, PICTURE = 0, 1, 3, 4, 5, 6
NO_COMMENTS = struct.pack("<I", 7) + b"resound" + struct.pack("<I", 0)
# Magics of what only PyAV reads, besides MP4's: Matroska, ASF, WavPack, Monkey's Audio, True Audio, DSF, DSDIFF
CONTAINER_MAGICS = (b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75", b"wvpk", b"MAC ", b"TTA1", b"DSD ", b"FRM8")
CONTAINER_NAMES = {"TRACK": "TRACKNUMBER", "YEAR": "DATE"}
# Tags that describe the old bytes.
CONTAINER_TECHNICAL = {
    *("MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "ENCODER", "ENCODER_OPTIONS", "DURATION", "ITUNSMPB"),
    *("WMFSDKVERSION", "WMFSDKNEEDED", "WM/ENCODINGSETTINGS", "ISVBR", "DEVICECONFORMANCETEMPLATE"),
}
ID3_TECHNICAL = {b"TSSE", b"TLEN", b"TSIZ", b"MLLT", b"SEEK", b"ASPI", b"TSS", b"TLE", b"TSI", b"MLL"}
ID3_FRIENDLY = {
    **dict.fromkeys((b"APIC", b"PIC"), "pictures"),
    **dict.fromkeys((b"USLT", b"ULT", b"SYLT", b"SLT"), "lyrics"),
    **dict.fromkeys((b"CHAP", b"CTOC"), "chapters"),
}
CAF_NAMES = {
    **{name.lower(): name for name in NAMES},
    **{"comments": "COMMENT", "recorded date": "DATE", "year": "DATE", "track number": "TRACKNUMBER"},
}
CAF_TECHNICAL = {"encoding application", "approximate duration in seconds", "nominal bit rate", "channel layout"}
CAF_NOT_METADATA = {b"desc", b"data", b"chan", b"free", b"pakt", b"kuki", b"peak", b"ovvw", b"info"}
DS64_BYTES = 28  # without a table
BEXT_HISTORY_OFFSET = 602
BEXT_LOUDNESS = slice(412, 422)
BEXT_NO_LOUDNESS = (b"\xff\x7f" * 5, bytes(10))


@dataclass(frozen=True)
class Metadata:
    """What a file holds besides its sound."""

    family: str = ""
    before: tuple[Block, ...] = ()  # what stands before the sound; FLAC: one-byte block types
    after: tuple[Block, ...] = ()
    comments: bytes = b""  # a Vorbis comment block, without Ogg's packet framing
    pictures: tuple[bytes, ...] = ()  # FLAC picture blocks
    texts: dict[str, str] = field(default_factory=dict)  # by Vorbis name
    channel_mask: bytes = b""  # of WAVE_FORMAT_EXTENSIBLE
    others: tuple[str, ...] = ()  # names of what is neither blocks nor comments nor texts, and is never carried


# Reading


def read_metadata(path: Path) -> tuple[Metadata, list[str]]:
    """Return what a file holds besides its sound, and warnings for what could not be read of it."""
    readers = {
        **dict.fromkeys(containers.RIFF_MAGICS, _read_riff),
        b"riff": _read_w64,
        b"FORM": _read_aiff,
        b"fLaC": _read_flac,
        b"OggS": _read_ogg,
        b"caff": _read_caf,
        b".snd": _read_au,
    }
    try:
        with open(path, "rb") as handle:
            magic = read_at(handle, 0, 4)
            if magic == b"FORM" and read_at(handle, 8, 4) not in (b"AIFF", b"AIFC"):
                return Metadata(), []  # Amiga's kin
            if magic == b"RIFF" and read_at(handle, 8, 4) == b"AVI ":
                return _read_container(path)  # its chunks are a film's
            if magic[:3] == b"ID3" and read_at(handle, containers.id3v2_size(handle), 4) == b"fLaC":
                magic = b"fLaC"
            is_mpeg = magic[:3] == b"ID3" or (magic[:1] == b"\xff" and magic[1:2] >= b"\xe0")
            reader = readers.get(magic) or (_read_mpeg if is_mpeg else None)
            if reader:
                return reader(handle)
        return _read_container(path) if _is_container(path) else (Metadata(), [])
    except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
        reason = " ".join(str(error).split())
        return Metadata(), [f"{path}: its metadata is damaged ({reason}) and is not carried over"]


def _is_container(path: Path) -> bool:
    """Return whether this is one of the families that only PyAV reads: MP4 and M4A, Matroska, ASF, WavPack, ..."""
    with open(path, "rb") as handle:
        start = handle.read(12)
    return start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") or start[:4] in CONTAINER_MAGICS


def _read_container(path: Path) -> tuple[Metadata, list[str]]:
    """Return the common texts of a file that PyAV reads."""
    import av  # takes 50 ms: only where it is needed

    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            named = {name.upper(): text for name, text in container.metadata.items()}
            others = _attached(container)
    except av.FFmpegError as error:
        raise ValueError(str(error)) from None
    named = {CONTAINER_NAMES.get(name, name): text for name, text in named.items()}
    texts = {name: text for name, text in named.items() if name in NAMES and text}
    others += [name for name, text in named.items() if text and name not in NAMES and name not in CONTAINER_TECHNICAL]
    return Metadata(family="container", texts=texts, others=tuple(others)), []


def _attached(container: InputContainer) -> list[str]:
    """Return what hangs on to the sound: covers, other attachments, chapters."""
    from av.stream import Disposition

    kinds = {"video": "pictures", "attachment": "attachments"}
    found = [
        "pictures" if stream.metadata.get("mimetype", "").startswith("image/") else kinds[stream.type]
        for stream in container.streams
        if stream.type == "attachment" or (stream.type == "video" and stream.disposition & Disposition.attached_pic)
    ]
    return sorted(set(found)) + (["chapters"] if container.chapters() else [])


def _payload(handle: BinaryIO, chunk: containers.Chunk, warnings: list[str]) -> bytes | None:
    """Return a chunk's bytes, or None with a warning where they are not all there."""
    name = chunk.name[:4].decode("latin-1").strip()
    if chunk.size > MAX_BLOCK_BYTES:
        warnings.append(f"{handle.name}: chunk {name!r} of {chunk.size:,} bytes is too large to carry over")
        return None
    payload = read_at(handle, chunk.offset, chunk.size)
    if len(payload) < chunk.size:
        warnings.append(f"{handle.name}: chunk {name!r} is cut off and is not carried over")
        return None
    return payload


def _read_iff(
    handle: BinaryIO, *, family: str, audio: bytes, skipped: Iterable[bytes], short_names: bool = False
) -> tuple[Metadata, list[str]]:
    """Return the chunks on both sides of the sound."""
    warnings: list[str] = []
    before: list[Block] = []
    after: list[Block] = []
    side = before
    for chunk in containers.chunks(handle):
        name = chunk.name[:4] if short_names else chunk.name
        if name == audio:
            side = after
        if name in skipped:
            continue
        payload = _payload(handle, chunk, warnings)
        if payload is not None:
            side.append((chunk.name, payload))
    return Metadata(family=family, before=tuple(before), after=tuple(after)), warnings


def _read_riff(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    big_endian = read_at(handle, 0, 4) == b"RIFX"
    family = "RIFX" if big_endian else "RIFF"
    metadata, warnings = _read_iff(handle, family=family, audio=b"data", skipped=NOT_COPIED)
    mask = b""
    for chunk in containers.chunks(handle):
        if chunk.name == b"fmt " and chunk.size >= 40:
            mask = read_at(handle, chunk.offset + 20, 4)
    blocks = (*metadata.before, *metadata.after)
    texts = {} if big_endian else dict(_info_texts(blocks))
    return replace(metadata, channel_mask=mask, texts=texts), warnings


def _info_texts(blocks: Iterable[Block]) -> Iterator[tuple[str, str]]:
    """Yield the texts of LIST-INFO chunks by their Vorbis names."""
    names = {name: key for key, known in NAMES.items() for name in known.get("RIFF", ())}
    for block_name, payload in blocks:
        if block_name != b"LIST" or payload[:4] != b"INFO":
            continue
        offset = 4
        while offset + 8 <= len(payload):
            name, size = (
                payload[offset : offset + 4],
                int.from_bytes(payload[offset + 4 : offset + 8], "little"),
            )
            text = _text(payload[offset + 8 : offset + 8 + size])
            if name in names and text:
                yield names[name], text
            offset += 8 + size + size % 2


def _text(raw: bytes) -> str:
    """Return bytes of unsaid encoding as text: UTF-8 where it is that, else Windows' Latin."""
    raw = raw.split(b"\0")[0]
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace").strip()


def _read_w64(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    return _read_iff(handle, family="Wave64", audio=b"data", skipped=NOT_COPIED_W64, short_names=True)


def _read_aiff(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    metadata, warnings = _read_iff(handle, family="AIFF", audio=b"SSND", skipped=NOT_COPIED)
    names = {name: key for key, known in NAMES.items() for name in known.get("AIFF", ())}
    blocks = (*metadata.before, *metadata.after)
    texts = {names[name]: _text(payload) for name, payload in blocks if name in names}
    return replace(metadata, texts=texts), warnings


def _read_flac(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    blocks = containers.flac_blocks(handle).blocks
    warnings = []
    comments = next((payload for kind, payload in blocks if kind == VORBIS_COMMENT), b"")
    left_out = {STREAMINFO, PADDING, SEEKTABLE}
    try:
        texts = _comment_texts(comments)
    except ValueError as error:
        warnings.append(f"{handle.name}: {error}; they are not carried over")
        comments, texts = b"", {}
        left_out.add(VORBIS_COMMENT)
    return Metadata(
        family="FLAC",
        before=tuple((bytes([kind]), payload) for kind, payload in blocks if kind not in left_out),
        comments=comments,
        pictures=tuple(payload for kind, payload in blocks if kind == PICTURE),
        texts=texts,
    ), warnings


def _read_ogg(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    packets = containers.ogg_header_packets(handle)
    packet = packets[1]
    if packet.startswith(b"\x03vorbis"):
        comments = packet[7:-1]
    elif packet.startswith(b"OpusTags"):
        comments = packet[8:]
    else:  # Ogg FLAC: a FLAC block with its header
        comments = packet[4:]
    return Metadata(family="Ogg", comments=comments, texts=_comment_texts(comments)), []


def _read_caf(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    """Return the texts of the info chunk, and the names of what else describes the recording."""
    end, offset = containers.file_size(handle), 8
    texts: dict[str, str] = {}
    others = []
    while offset + 12 <= end:
        name, size = struct.unpack(">4sq", read_at(handle, offset, 12))
        if name == b"info" and size <= MAX_BLOCK_BYTES:
            entries = read_at(handle, offset + 16, size - 4).decode("utf-8", "replace").split("\0")
            told = {key.lower(): text for key, text in zip(entries[::2], entries[1::2], strict=False) if text}
            texts = {CAF_NAMES[key]: text for key, text in told.items() if key in CAF_NAMES}
            others += [key for key in told if key not in CAF_NAMES and key not in CAF_TECHNICAL]
        elif name not in CAF_NOT_METADATA:
            others.append(name.decode("latin-1").strip())
        if size < 0:  # the sound, up to the end
            break
        offset += 12 + size
    return Metadata(family="CAF", texts=texts, others=tuple(others)), []


def _read_au(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    """Return whether there is an annotation between the header and the sound."""
    (offset,) = struct.unpack(">I", read_at(handle, 4, 4))
    annotation = read_at(handle, 24, min(max(0, offset - 24), MAX_BLOCK_BYTES)).strip(b"\0 ")
    return Metadata(family="AU", others=("annotation",) if annotation else ()), []


def _comment_texts(comments: bytes) -> dict[str, str]:
    """Return the first text of each known name in a Vorbis comment block."""
    texts: dict[str, str] = {}
    for entry in _comment_entries(comments):
        name, _, text = entry.decode("utf-8", "replace").partition("=")
        name = {"DESCRIPTION": "COMMENT"}.get(name.upper(), name.upper())
        if name in NAMES:
            texts.setdefault(name, text)
    return texts


def _comment_entries(comments: bytes) -> list[bytes]:
    """Return the ``NAME=text`` entries of a Vorbis comment block; ValueError where it is damaged."""
    if not comments:
        return []
    try:
        offset = 4 + struct.unpack_from("<I", comments)[0]
        (n_entries,) = struct.unpack_from("<I", comments, offset)
        offset += 4
        entries = []
        for _ in range(n_entries):
            (size,) = struct.unpack_from("<I", comments, offset)
            entries.append(comments[offset + 4 : offset + 4 + size])
            offset += 4 + size
    except struct.error:
        raise ValueError("the comments are damaged") from None
    if offset > len(comments):
        raise ValueError("the comments are damaged")
    return entries


def _read_mpeg(handle: BinaryIO) -> tuple[Metadata, list[str]]:
    prefix = read_at(handle, 0, containers.id3v2_size(handle))
    tail = containers.mpeg_tail_size(handle)
    suffix = read_at(handle, containers.file_size(handle) - tail, tail)
    before = ((b"ID3", prefix),) if prefix else ()
    after = ((b"TAG", suffix),) if suffix else ()
    texts = {**_id3v1_texts(suffix), **_id3_texts(prefix)}
    others = dict.fromkeys([*_id3_others(prefix), *_ape_others(suffix)])
    return Metadata(family="MP3", before=before, after=after, texts=texts, others=tuple(others)), []


def _id3v1_texts(tail: bytes) -> dict[str, str]:
    """Return the texts of an ID3v1 tag at the end."""
    tag = tail[-128:]
    if len(tag) < 128 or not tag.startswith(b"TAG"):
        return {}
    places = {"TITLE": (3, 33), "ARTIST": (33, 63), "ALBUM": (63, 93), "DATE": (93, 97), "COMMENT": (97, 125)}
    texts = {name: tag[start:end].split(b"\0")[0].decode("latin-1").strip() for name, (start, end) in places.items()}
    texts["TRACKNUMBER"] = str(tag[126]) if not tag[125] and tag[126] else ""
    return {name: text for name, text in texts.items() if text}


def _id3_others(tag: bytes) -> list[str]:
    """Return names for the frames of an ID3v2 tag that are none of the known texts and say something lasting."""
    if len(tag) >= 10 and tag[5] & 0xC0:
        return ["an ID3v2 tag of rare make"]
    known = {name for names in NAMES.values() for name in names.get("MP3", ())}
    frames = (name for name, payload in _id3_frames(tag) if payload and name not in known | ID3_TECHNICAL)
    return [ID3_FRIENDLY.get(name, name.decode("latin-1")) for name in frames]


def _ape_others(tail: bytes) -> list[str]:
    """Return that there is an APEv2 tag: its names are free."""
    return ["an APEv2 tag"] if b"APETAGEX" in tail else []


def _id3_texts(tag: bytes) -> dict[str, str]:
    """Return the known texts of an ID3v2.2, 2.3 or 2.4 tag; unsynchronised and encrypted ones are skipped."""
    names = {name: key for key, known in NAMES.items() for name in known.get("MP3", ())}
    texts: dict[str, str] = {}
    if len(tag) < 10 or tag[5] & 0xC0:
        return texts
    for name, payload in _id3_frames(tag):
        if name in names and payload:
            skipped = 4 if name in (b"COMM", b"COM") else 1  # encoding, and the language of comments
            text = _id3_text(payload[0], payload[skipped:], has_description=skipped == 4)
            if text:
                texts.setdefault(names[name], text)
    return texts


def _id3_frames(tag: bytes) -> Iterator[Block]:
    """Yield the frames of an ID3v2 tag without header flags."""
    version = tag[3] if tag else 0
    name_size, header_size = (3, 6) if version == 2 else (4, 10)
    offset = 10
    while offset + header_size < len(tag) and tag[offset]:
        name = tag[offset : offset + name_size]
        raw_size = tag[offset + name_size : offset + name_size + (3 if version == 2 else 4)]
        base = 7 if version == 4 else 8
        size = sum(byte << base * place for place, byte in enumerate(reversed(raw_size)))
        yield name, tag[offset + header_size : offset + header_size + size]
        offset += header_size + size


def _id3_text(encoding: int, raw: bytes, *, has_description: bool) -> str:
    codec = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}.get(encoding, "latin-1")
    if not has_description:
        return raw.decode(codec, "replace").split("\0")[0].strip()
    if codec in ("latin-1", "utf-8"):
        return raw.partition(b"\0")[2].decode(codec, "replace").strip("\0 ")
    boundary = next((i for i in range(0, len(raw) - 1, 2) if raw[i : i + 2] == b"\0\0"), 0)
    return raw[boundary + 2 :].decode(codec, "replace").strip("\0 ")


# Fitting to the file that is written


def fit(
    metadata: Metadata, container: str, *, history: str | None, big_endian: bool = False
) -> tuple[Metadata, list[str]]:
    """Return the metadata as a file of kind ``container`` can hold it, and a warning for what it cannot."""
    family = FAMILIES.get(container, "")
    if big_endian and family == "RIFF":
        family = "RIFX"
    if not metadata.family or metadata == Metadata(family=metadata.family):
        return Metadata(), []
    if family == metadata.family:
        return _with_history(metadata, history)
    if family in ("FLAC", "Ogg") and metadata.comments:
        return _comments_between(metadata, family)
    fitted = _from_texts(metadata.texts, family)
    carried = {key for key in metadata.texts if fitted.family in ("FLAC", "Ogg") or fitted.family in NAMES[key]}
    lost = names_of_lost(metadata, carried=carried)
    where = f"to {container}" if metadata.family == "container" else f"from {metadata.family} to {container}"
    return fitted, [f"metadata not carried {where}: {', '.join(lost)}"] if lost else []


def has_time_marks(metadata: Metadata) -> bool:
    """Return whether there is metadata that points at samples: cue points, loops, time stamps."""
    marks = {b"bext", b"cue ", b"smpl", b"MARK", bytes([CUESHEET])}
    return any(name[:4] in marks for name, _ in (*metadata.before, *metadata.after))


def names_of_lost(metadata: Metadata, *, carried: set[str]) -> list[str]:
    """Return the names of the blocks and texts that do not go over to another family."""
    own_names = {name for key in carried for name in NAMES[key].get(metadata.family, ())}
    lost = [*metadata.others]
    if metadata.family in ("MP3", "CAF", "container"):
        lost += [key for key in metadata.texts if key not in carried]
    for name, payload in (*metadata.before, *metadata.after):
        if metadata.family == "FLAC":
            named = {PICTURE: ["pictures"], VORBIS_COMMENT: [], CUESHEET: ["cue sheet"]}
            lost += named.get(name[0], [f"block {name[0]}"])
        else:
            is_text = name == b"LIST" and payload[:4] == b"INFO" and carried
            if is_text or name in own_names or name in (b"ID3", b"TAG"):
                continue
            lost.append(name[:4].decode("latin-1").strip())
    entries = (
        entry.partition(b"=")[0].decode("utf-8", "replace").upper() for entry in _comment_entries(metadata.comments)
    )
    lost += [entry for entry in entries if entry not in carried and entry not in ("ENCODER", "DESCRIPTION")]
    return sorted({{"METADATA_BLOCK_PICTURE": "pictures"}.get(name, name) for name in lost})


def _comments_between(metadata: Metadata, family: str) -> tuple[Metadata, list[str]]:
    """Return FLAC's comments and pictures for Ogg, or Ogg's for FLAC."""
    comments = metadata.comments
    if family == "Ogg" and metadata.pictures:
        added = [b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture) for picture in metadata.pictures]
        comments = _with_entries(comments, [*_comment_entries(comments), *added])
    before = ((bytes([VORBIS_COMMENT]), comments),)
    return Metadata(family=family, before=before, comments=comments), []


def _with_entries(comments: bytes, entries: list[bytes]) -> bytes:
    """Return a Vorbis comment block with the same vendor and other entries."""
    vendor = comments[: 4 + struct.unpack_from("<I", comments)[0]]
    return vendor + struct.pack("<I", len(entries)) + b"".join(struct.pack("<I", len(e)) + e for e in entries)


def _from_texts(texts: dict[str, str], family: str) -> Metadata:
    """Return metadata of a family that says the texts; empty where the family has none or there are none."""
    own = {key: NAMES[key][family][0] for key in texts if family in NAMES[key]}
    if family in ("FLAC", "Ogg") and texts:
        vendor = struct.pack("<I", 7) + b"resound"
        comments = _with_entries(vendor, [f"{key}={text}".encode() for key, text in texts.items()])
        return Metadata(family=family, before=((bytes([VORBIS_COMMENT]), comments),), comments=comments)
    if family == "RIFF" and own:
        entries = b"".join(_iff_block(name, texts[key].encode() + b"\0", "<I") for key, name in own.items())
        return Metadata(family=family, before=((b"LIST", b"INFO" + entries),))
    if family == "AIFF" and own:
        return Metadata(family=family, before=tuple((name, texts[key].encode()) for key, name in own.items()))
    if family == "MP3" and own:
        frames = b"".join(_id3_frame(name, texts[key]) for key, name in own.items())
        return Metadata(family=family, before=((b"ID3", b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames),))
    return Metadata()


def _iff_block(name: bytes, payload: bytes, size_format: str) -> bytes:
    return name + struct.pack(size_format, len(payload)) + payload + b"\0" * (len(payload) % 2)


def _id3_frame(name: bytes, text: str) -> bytes:
    payload = b"\x03" + (b"und\0" if name == b"COMM" else b"") + text.encode()
    return name + _synchsafe(len(payload)) + b"\0\0" + payload


def _synchsafe(number: int) -> bytes:
    """Return a number as the four bytes of seven bits that ID3v2 counts with."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


# History


def _with_history(metadata: Metadata, history: str | None) -> tuple[Metadata, list[str]]:
    """Return the metadata with the line added to bext and iXML, where those exist."""
    warnings: list[str] = []
    sides = []
    for side in (metadata.before, metadata.after):
        blocks = []
        for name, payload in side:
            if name[:4] == b"bext":
                payload, notes = _bext_with_history(payload, history)
                warnings += notes
            elif name == b"iXML" and history:
                payload = _ixml_with_history(payload, history)
            blocks.append((name, payload))
        sides.append(tuple(blocks))
    return replace(metadata, before=sides[0], after=sides[1]), warnings


def _bext_with_history(payload: bytes, history: str | None) -> tuple[bytes, list[str]]:
    """Return a bext chunk with a line more in CodingHistory; its lines end with CR LF (EBU Tech 3285)."""
    if len(payload) < BEXT_HISTORY_OFFSET:
        return payload, ["the bext chunk is shorter than its standard asks; carried over as it is"]
    warnings = []
    has_loudness = int.from_bytes(payload[346:348], "little") >= 2
    if has_loudness and payload[BEXT_LOUDNESS] not in BEXT_NO_LOUDNESS:
        warnings.append("the loudness values in bext were measured on the source and are kept as they were")
    if not history:
        return payload, warnings
    lines = payload[BEXT_HISTORY_OFFSET:].rstrip(b"\0")
    if lines and not lines.endswith(b"\r\n"):
        lines = lines.rstrip(b"\r\n") + b"\r\n"
    added = " ".join(history.split()).encode("ascii", "replace") + b"\r\n"
    return payload[:BEXT_HISTORY_OFFSET] + lines + added, warnings


def _ixml_with_history(payload: bytes, history: str) -> bytes:
    """Return iXML with a line more in BEXT/BWF_CODING_HISTORY; unchanged where it is not well-formed."""
    line = " ".join(history.split())
    escaped = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode("utf-8")
    existing = rb"(<BWF_CODING_HISTORY>)(.*?)(\s*)(</BWF_CODING_HISTORY>)"
    element = b"<BWF_CODING_HISTORY>" + escaped + b"</BWF_CODING_HISTORY>"
    for pattern, added in (
        (existing, lambda m: m[1] + m[2] + (b"\r\n" if m[2] else b"") + escaped + m[3] + m[4]),
        (rb"<BWF_CODING_HISTORY\s*/>", lambda m: element),
        (rb"</BEXT>", lambda m: element + m[0]),
        (rb"</BWFXML>", lambda m: b"<BEXT>" + element + b"</BEXT>" + m[0]),
    ):
        changed, n_changes = re.subn(pattern, added, payload, count=1, flags=re.DOTALL)
        if n_changes:
            return changed if _is_well_formed(payload) and _is_well_formed(changed) else payload
    return payload


def _is_well_formed(payload: bytes) -> bool:
    if b"<!" in payload.replace(b"<!--", b"").replace(b"<![CDATA[", b""):  # no entities: they may expand for ever
        return False
    try:
        ElementTree.fromstring(payload.rstrip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return False
    return True


# Writing


def prologue(metadata: Metadata, container: str, *, may_grow: bool = False) -> tuple[int, bytes]:
    """Return where metadata is inserted before the sound, and the bytes; the encoder never knows of them.

    ``may_grow`` leaves room in a WAV for what makes it RF64 when it passes 4 GB (EBU Tech 3306).
    """
    if FAMILIES.get(container) == "RIFF":
        order = ">I" if metadata.family == "RIFX" else "<I"
        split = 12 + 8 + DS64_BYTES if container == "RF64" else 12  # ds64 must stay first
        room = _iff_block(b"JUNK", bytes(DS64_BYTES), order) if may_grow and container != "RF64" else b""
        return split, room + b"".join(_iff_block(name, payload, order) for name, payload in metadata.before)
    if metadata.family == "Wave64":
        # All before the sound: libsndfile takes up to 7 bytes of what follows it for sound.
        return 40, b"".join(_w64_block(name, payload) for name, payload in (*metadata.before, *metadata.after))
    if metadata.family == "AIFF":
        return 12, b"".join(_iff_block(name, payload, ">I") for name, payload in metadata.before)
    if metadata.family == "MP3":
        return 0, b"".join(payload for _, payload in metadata.before)
    return 0, b""


def _w64_block(name: bytes, payload: bytes) -> bytes:
    size = 24 + len(payload)
    return name + struct.pack("<Q", size) + payload + bytes(-size % 8)


def finish(path: Path, metadata: Metadata, container: str, *, n_samples: int) -> None:
    """Complete a file that libsndfile has closed: what stands after the sound, and the header's sizes."""
    family = FAMILIES.get(container, "")
    if family == "FLAC":
        if metadata.before:
            _rewrite(path, _flac_with(path, metadata))
    elif family == "Ogg":
        _rewrite(path, ogg_with_comments(path, metadata.comments))
    elif family == "MP3":
        with open(path, "ab") as handle:
            handle.write(b"".join(payload for _, payload in metadata.after))
    elif family:
        with open(path, "r+b") as handle:
            if family == "AIFF":
                _restore_odd_length(handle, n_samples)
            if family in ("RIFF", "AIFF"):
                _clear_peak_time(handle)
            _append_chunks(handle, metadata, n_samples)
            if metadata.channel_mask:
                _set_channel_mask(handle, metadata.channel_mask)


def _append_chunks(handle: BinaryIO, metadata: Metadata, n_samples: int) -> None:
    """Append the chunks that stood after the sound and make the outermost size right."""
    magic = read_at(handle, 0, 4)
    order = ">I" if magic in (b"RIFX", b"FORM") else "<I"
    handle.seek(0, os.SEEK_END)
    if magic != b"riff":
        handle.write(bytes(handle.tell() % 2))
        handle.write(b"".join(_iff_block(name, payload, order) for name, payload in metadata.after))
    size = handle.tell()
    if magic == b"riff":
        _patch(handle, 16, struct.pack("<Q", size))
    elif magic == b"RF64":
        _patch(handle, 20, struct.pack("<Q", size - 8))
    elif magic == b"RIFF" and size > containers.FOUR_GIGABYTES:
        _become_rf64(handle, size, n_samples)
    else:
        _patch(handle, 4, struct.pack(order, size - 8))


def _become_rf64(handle: BinaryIO, size: int, n_samples: int) -> None:
    """Make a WAV that has grown past 4 GB an RF64, in the room that was left for it."""
    found = {chunk.name: chunk for chunk in containers.chunks(handle)}
    (bytes_per_frame,) = struct.unpack("<H", read_at(handle, found[b"fmt "].offset + 12, 2))
    _patch(handle, found[b"data"].offset - 4, b"\xff" * 4)
    sizes = struct.pack("<QQQI", size - 8, n_samples * bytes_per_frame, n_samples, 0)
    _patch(handle, 12, b"ds64" + struct.pack("<I", DS64_BYTES) + sizes)
    _patch(handle, 0, b"RF64" + b"\xff" * 4)


def _patch(handle: BinaryIO, offset: int, data: bytes) -> None:
    handle.seek(offset)
    handle.write(data)


def _set_channel_mask(handle: BinaryIO, mask: bytes) -> None:
    """Give WAVE_FORMAT_EXTENSIBLE the source's speakers: libsndfile guesses them from the channel count."""
    found = next(chunk for chunk in containers.chunks(handle) if chunk.name == b"fmt ")
    if found.size >= 40:
        _patch(handle, found.offset + 20, mask)


def _clear_peak_time(handle: BinaryIO) -> None:
    """Set the time of day in libsndfile's PEAK chunk to 0, so that the same input gives the same file."""
    for chunk in containers.chunks(handle):
        if chunk.name == b"PEAK":
            _patch(handle, chunk.offset + 4, bytes(4))


def _restore_odd_length(handle: BinaryIO, n_samples: int) -> None:
    """Undo libsndfile's counting of the pad byte of 8-bit AIFF as one more sample."""
    found = {chunk.name: chunk for chunk in containers.chunks(handle)}
    common, sound = found[b"COMM"], found[b"SSND"]
    n_channels, n_frames, bits = struct.unpack(">HIH", read_at(handle, common.offset, 8))
    if bits == 8 and n_frames == n_samples + 1:
        _patch(handle, common.offset + 2, struct.pack(">I", n_samples))
        _patch(handle, sound.offset - 4, struct.pack(">I", 8 + n_samples * n_channels))


def _rewrite(path: Path, pieces: Iterator[bytes]) -> None:
    """Replace a file by what is made of it piece by piece."""
    other = path.with_name(path.name + ".tagged")
    try:
        with open(other, "wb") as target:
            for piece in pieces:
                target.write(piece)
        os.replace(other, path)
    finally:
        other.unlink(missing_ok=True)


def _flac_with(path: Path, metadata: Metadata) -> Iterator[bytes]:
    """Yield a FLAC file with other metadata blocks; STREAMINFO and the sound stay."""
    with open(path, "rb") as handle:
        found = containers.flac_blocks(handle)
        kept = [(name[0], payload) for name, payload in metadata.before]
        if not any(kind == VORBIS_COMMENT for kind, _ in kept):
            kept = [block for block in found.blocks if block[0] == VORBIS_COMMENT] + kept
        blocks = [found.blocks[0], *kept]
        yield b"fLaC"
        for index, (kind, payload) in enumerate(blocks):
            is_last = index == len(blocks) - 1
            yield bytes([kind | 0x80 * is_last]) + len(payload).to_bytes(3, "big") + payload
        handle.seek(found.audio_offset)
        while piece := handle.read(COPY_BYTES):
            yield piece


def ogg_with_comments(path: Path, comments: bytes) -> Iterator[bytes]:
    """Yield an Ogg file with another comment packet (none: its own), and always the same serial number.

    libsndfile draws the serial number from the clock, so that the same input would not give the same file.
    """
    serial = 1
    with open(path, "rb") as handle:
        packets = containers.ogg_header_packets(handle)
        if comments:
            packets[1] = _ogg_comment_packet(packets[0], comments)
        sequence = 0
        for page in _ogg_header_pages(packets, serial):
            sequence = page.sequence + 1
            yield page.to_bytes()
        handle.seek(0)
        n_headers = 0
        for page in containers.ogg_pages(handle):
            if n_headers < len(packets):  # whole pages: sound begins on a page of its own
                n_headers += sum(size < 255 for size in page.segments)
                continue
            yield replace(page, serial=serial, sequence=sequence).to_bytes()
            sequence += 1


def _ogg_comment_packet(identification: bytes, comments: bytes) -> bytes:
    if identification.startswith(b"OpusHead"):
        return b"OpusTags" + comments
    return b"\x03vorbis" + comments + b"\x01"


def _ogg_header_pages(packets: list[bytes], serial: int) -> Iterator[OggPage]:
    """Yield the header packets in pages: the first alone on the first, the others packed after it."""
    yield OggPage(2, 0, serial, 0, bytes([len(packets[0])]), packets[0])
    segments = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets[1:])
    body = b"".join(packets[1:])
    sequence, offset, continued = 1, 0, 0
    for first in range(0, len(segments), 255):
        part = segments[first : first + 255]
        ends_packet = any(size < 255 for size in part)
        granule = 0 if ends_packet else -1  # -1: no packet ends on this page
        yield OggPage(continued, granule, serial, sequence, part, body[offset : offset + sum(part)])
        continued = 1 if part[-1] == 255 else 0
        sequence, offset = sequence + 1, offset + sum(part)
