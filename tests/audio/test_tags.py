"""Metadata comes through byte for byte, and damage to it never stops a restoration."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resound.audio import containers, tags
from resound.audio.files import open_reader, open_writer
from resound.audio.formats import Writer

HISTORY = "A=PCM,F=48000,W=16,M=mono,T=resound"
SOUND = (np.arange(-501, 500) * 7).astype("<i2")  # an odd number of samples
COVER = b"\x89PNG" + bytes(range(256)) * 300  # 77 kB: more than one Ogg page


def bext(history: bytes = b"A=ANALOGUE,M=mono,T=Studer\r\n", *, version: int = 1, loudness: bytes = bytes(10)) -> bytes:
    description = b"A record".ljust(256, b"\0") + b"An archive".ljust(32, b"\0")
    fields = description.ljust(346, b"\0") + struct.pack("<H", version) + bytes(64) + loudness
    return fields.ljust(602, b"\0") + history


def iff_chunk(name: bytes, payload: bytes, order: str = "<") -> bytes:
    return name + struct.pack(order + "I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def info_list(**texts: str) -> bytes:
    return b"INFO" + b"".join(iff_chunk(name.encode(), text.encode() + b"\0") for name, text in texts.items())


def write_wav(path: Path, before: list[tuple[bytes, bytes]], after: list[tuple[bytes, bytes]] = ()) -> None:
    """Write a mono 16-bit WAV by hand, with chunks on both sides of the sound."""
    form = iff_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 48000, 96000, 2, 16))
    body = b"".join(iff_chunk(*chunk) for chunk in before) + form + iff_chunk(b"data", SOUND.tobytes())
    body += b"".join(iff_chunk(*chunk) for chunk in after)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    with open(path, "rb") as handle:
        return [
            (chunk.name, containers.read_at(handle, chunk.offset, chunk.size)) for chunk in containers.chunks(handle)
        ]


def copy_through(source: Path, target: Path, history: str | None = None) -> Writer:
    with (
        open_reader(source) as reader,
        open_writer(target, reader, history=history, overwrite=True) as writer,
    ):
        for block in reader.blocks(300):
            writer.write(block)
    return writer


def assert_same_sound(source: Path, target: Path) -> None:
    before, after = soundfile.read(source)[0], soundfile.read(target)[0]
    np.testing.assert_array_equal(before, after)


# WAV and its kin


RIFF_CHUNKS_BEFORE = [
    (b"bext", bext()),
    (b"iXML", b"<?xml version='1.0'?><BWFXML><NOTE>odd</NOTE></BWFXML>"),
    (b"LIST", info_list(INAM="A song", IART="Someone")),
    (b"cart", bytes(range(200))),
]
RIFF_CHUNKS_AFTER = [
    (b"cue ", struct.pack("<I", 1) + bytes(24)),
    (b"LIST", b"adtllabl" + bytes(13)),
    (b"smpl", bytes(36)),
    (b"id3 ", b"ID3\x04" + bytes(7)),
    (b"abcd", b"unknown to all"),
]


@pytest.mark.parametrize("suffix", [".wav", ".rf64"])
def test_every_chunk_of_a_wav_comes_through_in_order_on_its_side_of_the_sound(tmp_path, suffix):
    source, target = tmp_path / "in.wav", tmp_path / f"out{suffix}"
    write_wav(source, RIFF_CHUNKS_BEFORE, RIFF_CHUNKS_AFTER)
    writer = copy_through(source, target)
    found = chunks_of(target)
    names = [name for name, _ in found]
    kept = [chunk for chunk in found if chunk[0] not in (b"fmt ", b"data", b"ds64", b"fact")]
    assert kept == RIFF_CHUNKS_BEFORE + RIFF_CHUNKS_AFTER
    assert names.index(b"cart") < names.index(b"data") < names.index(b"cue ")
    assert writer.warnings == []
    assert_same_sound(source, target)


@pytest.mark.parametrize("suffix", [".wav", ".rf64"])
def test_the_sizes_in_the_header_count_the_chunks(tmp_path, suffix):
    write_wav(tmp_path / "in.wav", RIFF_CHUNKS_BEFORE, RIFF_CHUNKS_AFTER)
    target = tmp_path / f"out{suffix}"
    copy_through(tmp_path / "in.wav", target)
    content = target.read_bytes()
    if suffix == ".wav":
        assert int.from_bytes(content[4:8], "little") == len(content) - 8
    else:
        assert content[12:16] == b"ds64"
        assert struct.unpack("<QQQ", content[20:44]) == (len(content) - 8, SOUND.nbytes, len(SOUND))


def test_fillers_and_measurements_of_other_bytes_stay_behind(tmp_path):
    peak = struct.pack("<IIfI", 1, 0, 0.5, 0)
    stays = [(b"JUNK", bytes(28)), (b"PEAK", peak), (b"levl", bytes(20)), (b"MD5 ", bytes(16))]
    write_wav(tmp_path / "in.wav", [(b"bext", bext())], stays)
    copy_through(tmp_path / "in.wav", tmp_path / "out.wav")
    assert [name for name, _ in chunks_of(tmp_path / "out.wav")] == [b"bext", b"fmt ", b"data"]


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (b"", b""),
        (b"A=ANALOGUE,T=Studer\r\n", b"A=ANALOGUE,T=Studer\r\n"),
        (b"A=ANALOGUE,T=Studer", b"A=ANALOGUE,T=Studer\r\n"),
        (b"A=ANALOGUE,T=Studer\r\n" + bytes(100), b"A=ANALOGUE,T=Studer\r\n"),
    ],
)
def test_the_history_line_is_added_to_bext_and_nothing_else_there_changes(tmp_path, existing, expected):
    write_wav(tmp_path / "in.wav", [(b"bext", bext(existing))])
    copy_through(tmp_path / "in.wav", tmp_path / "out.wav", HISTORY)
    [payload] = [payload for name, payload in chunks_of(tmp_path / "out.wav") if name == b"bext"]
    assert payload == bext(expected + HISTORY.encode() + b"\r\n")


def test_a_wav_without_bext_gets_none(tmp_path):
    write_wav(tmp_path / "in.wav", [])
    copy_through(tmp_path / "in.wav", tmp_path / "out.wav", HISTORY)
    assert [name for name, _ in chunks_of(tmp_path / "out.wav")] == [b"fmt ", b"data"]


def test_loudness_measured_on_the_source_is_kept_with_a_warning(tmp_path):
    loudness = struct.pack("<5h", -2300, 500, -100, -1800, -2000)
    write_wav(tmp_path / "in.wav", [(b"bext", bext(version=2, loudness=loudness))])
    writer = copy_through(tmp_path / "in.wav", tmp_path / "out.wav", HISTORY)
    [payload] = [payload for name, payload in chunks_of(tmp_path / "out.wav") if name == b"bext"]
    assert payload[412:422] == loudness
    assert "loudness" in writer.warnings[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"<BWFXML><NOTE/></BWFXML>", b"<BWFXML><NOTE/><BEXT>%s</BEXT></BWFXML>"),
        (b"<BWFXML><BEXT><A/></BEXT></BWFXML>", b"<BWFXML><BEXT><A/>%s</BEXT></BWFXML>"),
        (b"<BWFXML><BEXT><BWF_CODING_HISTORY/></BEXT></BWFXML>", b"<BWFXML><BEXT>%s</BEXT></BWFXML>"),
        (b"<BWFXML><BEXT></BWFXML>", b"<BWFXML><BEXT></BWFXML>"),  # not well-formed: as it was
        (b"not XML at all", b"not XML at all"),
        (
            b"<BWFXML><BEXT><BWF_CODING_HISTORY>A=X</BWF_CODING_HISTORY></BEXT></BWFXML>",
            b"<BWFXML><BEXT><BWF_CODING_HISTORY>A=X\r\nT=a &lt; b &amp; c</BWF_CODING_HISTORY></BEXT></BWFXML>",
        ),
    ],
)
def test_the_history_line_is_added_to_ixml_where_that_is_well_formed(tmp_path, source, expected):
    write_wav(tmp_path / "in.wav", [(b"iXML", source)])
    copy_through(tmp_path / "in.wav", tmp_path / "out.wav", "T=a < b & c")
    [payload] = [payload for name, payload in chunks_of(tmp_path / "out.wav") if name == b"iXML"]
    element = b"<BWF_CODING_HISTORY>T=a &lt; b &amp; c</BWF_CODING_HISTORY>"
    assert payload == (expected % element if b"%s" in expected else expected)


def test_the_speakers_of_a_multichannel_wav_are_kept(tmp_path):
    source = tmp_path / "in.wav"
    soundfile.write(source, np.zeros((10, 4)), 48000, subtype="PCM_24", format="WAVEX")
    content = bytearray(source.read_bytes())
    content[40:44] = (0x107).to_bytes(4, "little")  # front left, right, centre and back centre
    source.write_bytes(content)
    copy_through(source, tmp_path / "out.wav")
    assert (tmp_path / "out.wav").read_bytes()[40:44] == (0x107).to_bytes(4, "little")


def test_chunks_of_wave64_come_through(tmp_path):
    source = tmp_path / "in.w64"
    soundfile.write(source, np.linspace(-1, 1, 101), 48000, subtype="PCM_16")
    name = b"bext" + bytes(range(12))
    chunk = name + struct.pack("<Q", 24 + 13) + b"a description" + bytes(3)
    content = source.read_bytes()
    content = content[:40] + chunk + content[40:]
    source.write_bytes(content[:16] + struct.pack("<Q", len(content)) + content[24:])
    copy_through(source, tmp_path / "out.w64")
    assert (name, b"a description") in chunks_of(tmp_path / "out.w64")
    assert_same_sound(source, tmp_path / "out.w64")


def test_chunks_of_aiff_come_through(tmp_path):
    source = tmp_path / "in.aiff"
    soundfile.write(source, np.linspace(-1, 1, 101), 48000, subtype="PCM_16")
    added = [(b"NAME", b"A song!"), (b"AUTH", b"Someone"), (b"(c) ", b"1950"), (b"APPL", b"ablabla")]
    after = [(b"MARK", bytes(8)), (b"ID3 ", b"ID3\x04xyz"), (b"ANNO", b"odd")]
    content = source.read_bytes()
    body = b"".join(iff_chunk(*chunk, ">") for chunk in added) + content[12:]
    body += b"".join(iff_chunk(*chunk, ">") for chunk in after)
    source.write_bytes(b"FORM" + struct.pack(">I", 4 + len(body)) + b"AIFF" + body)
    copy_through(source, tmp_path / "out.aiff")
    found = chunks_of(tmp_path / "out.aiff")
    assert [chunk for chunk in found if chunk[0] not in (b"COMM", b"SSND")] == added + after
    assert (
        int.from_bytes((tmp_path / "out.aiff").read_bytes()[4:8], "big") == (tmp_path / "out.aiff").stat().st_size - 8
    )
    assert_same_sound(source, tmp_path / "out.aiff")


def test_time_marks_in_an_excerpt_are_warned_of(tmp_path):
    write_wav(tmp_path / "in.wav", [(b"cue ", bytes(28))])
    with open_reader(tmp_path / "in.wav", start_seconds=0.01) as reader:
        writer = open_writer(tmp_path / "out.wav", reader)
    assert "time marks still count from the start" in writer.warnings[0]


# FLAC, MP3, Ogg


def comment_block(*entries: str, vendor: bytes = b"someone's encoder") -> bytes:
    raw = [entry.encode() for entry in entries]
    listed = b"".join(struct.pack("<I", len(entry)) + entry for entry in raw)
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(raw)) + listed


def picture_block() -> bytes:
    mime = b"image/png"
    return struct.pack(">II", 3, len(mime)) + mime + struct.pack(">6I", 0, 1, 1, 24, 0, len(COVER)) + COVER


CUE_SHEET = bytes(395) + b"\x01" + struct.pack(">QB", len(SOUND), 255) + bytes(27)  # a lead-out track alone


def write_flac(path: Path, blocks: list[tuple[int, bytes]]) -> None:
    soundfile.write(path, SOUND, 48000)
    with open(path, "rb") as handle:
        found = containers.flac_blocks(handle)
        audio = containers.read_at(handle, found.audio_offset, 10**9)
    blocks = [found.blocks[0], *blocks]
    body = b""
    for index, (kind, payload) in enumerate(blocks):
        body += bytes([kind | 0x80 * (index == len(blocks) - 1)]) + len(payload).to_bytes(3, "big") + payload
    path.write_bytes(b"fLaC" + body + audio)


def test_blocks_of_flac_come_through(tmp_path):
    kept = [
        (2, b"riff" + bytes(40)),
        (4, comment_block("TITLE=Ein Lied", "ARTIST=Émile")),
        (5, CUE_SHEET),
        (6, picture_block()),
    ]
    write_flac(tmp_path / "in.flac", [*kept, (1, bytes(1000)), (3, bytes(18))])
    copy_through(tmp_path / "in.flac", tmp_path / "out.flac")
    with open(tmp_path / "out.flac", "rb") as handle:
        assert containers.flac_blocks(handle).blocks[1:] == kept
    assert_same_sound(tmp_path / "in.flac", tmp_path / "out.flac")


def id3_tag(*frames: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack(">I", len(payload)) + b"\0\0" + payload for name, payload in frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body


def test_tags_before_and_after_an_mp3_come_through(tmp_path):
    source = tmp_path / "in.mp3"
    soundfile.write(source, SOUND.repeat(20), 48000, format="MP3")
    prefix = id3_tag((b"TIT2", b"\x01" + "Ein Lied".encode("utf-16")), (b"APIC", b"\0image/png\0\3\0" + COVER))
    ape_items = struct.pack("<II", 4, 0) + b"Mood\0good"
    footer = b"APETAGEX" + struct.pack("<4I", 2000, len(ape_items) + 32, 1, 0) + bytes(8)
    id3v1 = b"TAG" + b"Ein Lied".ljust(125, b"\0")
    source.write_bytes(prefix + source.read_bytes() + ape_items + footer + id3v1)
    copy_through(source, tmp_path / "out.mp3")
    content = (tmp_path / "out.mp3").read_bytes()
    assert content.startswith(prefix)
    assert content.endswith(ape_items + footer + id3v1)
    assert soundfile.info(tmp_path / "out.mp3").frames == 20 * len(SOUND)


def slow_ogg_checksum(data: bytes) -> int:
    """Return the checksum as the Ogg specification computes it, bit by bit."""
    state = 0
    for byte in data:
        state ^= byte << 24
        for _ in range(8):
            state = (state << 1) ^ 0x04C11DB7 if state & 0x80000000 else state << 1
            state &= 0xFFFFFFFF
    return state


def test_the_fast_ogg_checksum_is_the_one_of_the_specification():
    data = np.random.default_rng(0).bytes(999)
    assert containers.ogg_checksum(data) == slow_ogg_checksum(data)
    assert containers.ogg_checksum(b"123456789") == 0x89A1897F  # CRC-32/MPEG-2 from 0, as other tables list it


@pytest.mark.parametrize(("suffix", "subtype"), [(".ogg", "VORBIS"), (".opus", "OPUS")])
@pytest.mark.parametrize("n_covers", [0, 1])
def test_the_comment_packet_of_ogg_comes_through_on_correct_pages(tmp_path, suffix, subtype, n_covers):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    soundfile.write(source, np.tile(SOUND, 100), 48000, format="OGG", subtype=subtype)
    cover = "METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_block()).decode()
    comments = comment_block("TITLE=Ein Lied", "Title=twice", *[cover] * n_covers)
    tags._rewrite(source, tags.ogg_with_comments(source, comments))
    copy_through(source, target)
    with open(target, "rb") as handle:
        assert comments in containers.ogg_header_packets(handle)[1]
        handle.seek(0)
        pages = list(containers.ogg_pages(handle))
    assert b"".join(page.to_bytes() for page in pages) == target.read_bytes()  # so every checksum is right
    assert [page.sequence for page in pages] == list(range(len(pages)))
    assert {page.serial for page in pages} == {1}
    assert soundfile.info(target).frames == 100 * len(SOUND)


# Between families


def texts_of(path: Path) -> dict[str, str]:
    return tags.read_metadata(path)[0].texts


TEXTS = {
    "TITLE": "Ein Lied",
    "ARTIST": "Émile",
    "ALBUM": "Ein Album",
    "DATE": "1950",
    "GENRE": "Chanson",
    "TRACKNUMBER": "3",
    "COPYRIGHT": "a label",
    "COMMENT": "a note",
}


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_the_common_texts_go_from_flac_to_every_family_and_back(tmp_path, suffix):
    write_flac(tmp_path / "in.flac", [(4, comment_block(*(f"{k}={v}" for k, v in TEXTS.items())))])
    writer = copy_through(tmp_path / "in.flac", tmp_path / f"out{suffix}")
    assert texts_of(tmp_path / f"out{suffix}") == TEXTS
    assert not any("metadata" in warning for warning in writer.warnings)
    copy_through(tmp_path / f"out{suffix}", tmp_path / "back.flac")
    assert texts_of(tmp_path / "back.flac") == TEXTS


def test_aiff_holds_four_of_the_texts(tmp_path):
    write_flac(tmp_path / "in.flac", [(4, comment_block(*(f"{k}={v}" for k, v in TEXTS.items())))])
    writer = copy_through(tmp_path / "in.flac", tmp_path / "out.aiff")
    held = ("TITLE", "ARTIST", "COPYRIGHT", "COMMENT")
    assert texts_of(tmp_path / "out.aiff") == {key: TEXTS[key] for key in held}
    [warning] = writer.warnings
    assert "ALBUM, DATE, GENRE, TRACKNUMBER" in warning


def test_what_another_family_cannot_hold_is_named(tmp_path):
    write_wav(tmp_path / "in.wav", RIFF_CHUNKS_BEFORE, RIFF_CHUNKS_AFTER)
    writer = copy_through(tmp_path / "in.wav", tmp_path / "out.flac")
    [warning] = writer.warnings
    assert "RIFF to FLAC: LIST, abcd, bext, cart, cue, iXML, id3, smpl" in warning
    assert texts_of(tmp_path / "out.flac") == {"TITLE": "A song", "ARTIST": "Someone"}


def test_pictures_go_between_flac_and_ogg(tmp_path):
    write_flac(tmp_path / "in.flac", [(4, comment_block("TITLE=Ein Lied")), (6, picture_block())])
    writer = copy_through(tmp_path / "in.flac", tmp_path / "out.ogg")
    entries = tags._comment_entries(tags.read_metadata(tmp_path / "out.ogg")[0].comments)
    assert entries == [b"TITLE=Ein Lied", b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_block())]
    assert not any("metadata" in warning for warning in writer.warnings)


def write_mp3(path: Path, prefix: bytes, suffix: bytes = b"") -> None:
    soundfile.write(path, SOUND.repeat(20), 48000, format="MP3")
    path.write_bytes(prefix + path.read_bytes() + suffix)


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".mka"])
def test_what_an_mp3_loses_is_named(tmp_path, suffix):
    frames = [(b"TIT2", b"\3Ein Lied"), (b"TCOM", b"\3Someone"), (b"TSSE", b"\3LAME")]
    frames += [(b"APIC", b"\0image/png\0\3\0" + COVER), (b"USLT", b"\3und\0La la")]
    write_mp3(tmp_path / "in.mp3", id3_tag(*frames))
    writer = copy_through(tmp_path / "in.mp3", tmp_path / f"out{suffix}")
    [warning] = [warning for warning in writer.warnings if "metadata not carried" in warning]
    assert warning.endswith(": TCOM, lyrics, pictures")
    assert texts_of(tmp_path / f"out{suffix}") == {"TITLE": "Ein Lied"}


def test_the_short_tag_at_the_end_of_an_mp3_goes_over(tmp_path):
    fields = (b"Ein Lied".ljust(30, b"\0"), b"Someone".ljust(30, b"\0"), bytes(30), b"1950", bytes(29), b"\x03\xff")
    write_mp3(tmp_path / "in.mp3", b"", b"TAG" + b"".join(fields))
    copy_through(tmp_path / "in.mp3", tmp_path / "out.flac")
    told = {"TITLE": "Ein Lied", "ARTIST": "Someone", "DATE": "1950", "TRACKNUMBER": "3"}
    assert texts_of(tmp_path / "out.flac") == told


def test_an_apple_file_has_texts_that_go_over_and_others_that_are_named(tmp_path):
    entries = b"title\0Ein Lied\0composer\0Someone\0encoding application\0x\0"
    info = struct.pack(">4sqI", b"info", 4 + len(entries), 3) + entries
    soundfile.write(tmp_path / "in.caf", SOUND, 48000, "PCM_16")
    content = (tmp_path / "in.caf").read_bytes()
    place = content.index(b"data")
    (tmp_path / "in.caf").write_bytes(content[:place] + info + content[place:])
    writer = copy_through(tmp_path / "in.caf", tmp_path / "out.flac")
    assert texts_of(tmp_path / "out.flac") == {"TITLE": "Ein Lied"}
    assert writer.warnings == [f"{tmp_path / 'out.flac'}: metadata not carried from CAF to FLAC: composer"]


def test_an_annotation_of_au_is_named_where_it_does_not_go_over(tmp_path):
    header = struct.pack(">4s5I", b".snd", 32, 2 * len(SOUND), 3, 48000, 1)
    (tmp_path / "in.au").write_bytes(header + b"a note\0\0" + SOUND.astype(">i2").tobytes())
    writer = copy_through(tmp_path / "in.au", tmp_path / "out.wav")
    assert writer.warnings == [f"{tmp_path / 'out.wav'}: metadata not carried from AU to WAV: annotation"]


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [(0, "Émile".encode("latin-1")), (1, "Émile".encode("utf-16")), (3, "Émile".encode())],
)
def test_id3_texts_are_read_in_their_encodings(encoding, raw):
    assert tags._id3_texts(id3_tag((b"TPE1", bytes([encoding]) + raw))) == {"ARTIST": "Émile"}


# Damage


GOOD_COMMENTS = comment_block("TITLE=Ein Lied", "ARTIST=Someone")
TWO_ENTRIES = struct.pack("<II", 2, 14)


@pytest.mark.parametrize(("suffix", "subtype"), [(".flac", "PCM_16"), (".ogg", "VORBIS"), (".opus", "OPUS")])
@pytest.mark.parametrize(
    "damaged",
    [
        GOOD_COMMENTS.replace(TWO_ENTRIES, struct.pack("<II", 9, 14)),
        GOOD_COMMENTS.replace(TWO_ENTRIES, struct.pack("<II", 2, 10**6)),
        struct.pack("<I", 10**8) + GOOD_COMMENTS[4:],
    ],
    ids=["count", "size of an entry", "size of the vendor"],
)
def test_damaged_comments_become_a_warning(tmp_path, suffix, subtype, damaged):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    if suffix == ".flac":
        write_flac(source, [(4, damaged), (6, picture_block())])
    else:
        soundfile.write(source, SOUND, 48000, format="OGG", subtype=subtype)
        tags._rewrite(source, tags.ogg_with_comments(source, damaged))
    writer = copy_through(source, target)
    assert soundfile.info(target).frames == len(SOUND)
    [warning] = writer.warnings
    assert "damaged" in warning
    if suffix == ".flac":
        assert tags.read_metadata(target)[0].pictures == (picture_block(),)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        (b"bext", b"short"),
        (b"LIST", b"INFOINAM\xff\xff\xff\x7fabc"),
        (b"LIST", b"IN"),
        (b"cue ", b"\xff\xff\xff\xff123"),
        (b"iXML", b"\xff\xfe\0"),
        (b"cart", b""),
        (b"id3 ", b"ID3\4\0\0\x7f\x7f\x7f\x7f"),
    ],
)
def test_nonsense_within_a_chunk_is_carried_as_it_is(tmp_path, name, payload):
    write_wav(tmp_path / "in.wav", [(name, payload)], [(name, payload)])
    copy_through(tmp_path / "in.wav", tmp_path / "out.wav", HISTORY)
    found = chunks_of(tmp_path / "out.wav")
    assert [chunk for chunk in found if chunk[0] == name] == [(name, payload)] * 2
    assert_same_sound(tmp_path / "in.wav", tmp_path / "out.wav")


@pytest.mark.parametrize("size", [bytes(4), b"\x7f\x7f\x7f\x7f", b"\x00\x00\x7f\x00"])
def test_nonsense_within_id3_stops_nothing(tmp_path, size):
    source = tmp_path / "in.mp3"
    soundfile.write(source, SOUND.repeat(20), 48000, format="MP3")
    tag = bytearray(id3_tag((b"TIT2", b"\0Ein Lied"), (b"TPE1", b"\x01odd")))
    tag[14:18] = size
    source.write_bytes(tag + source.read_bytes())
    copy_through(source, tmp_path / "out.mp3")
    assert (tmp_path / "out.mp3").read_bytes().startswith(bytes(tag))
    copy_through(source, tmp_path / "out.wav")
    assert soundfile.info(tmp_path / "out.wav").frames == 20 * len(SOUND)


def test_a_chunk_that_promises_more_than_there_is_becomes_a_warning(tmp_path):
    source = tmp_path / "in.wav"
    write_wav(source, [], [(b"cue ", bytes(10)), (b"bext", bext())])
    content = source.read_bytes()
    position = content.rfind(b"bext")
    source.write_bytes(content[: position + 4] + struct.pack("<I", 10**8) + content[position + 8 :])
    writer = copy_through(source, tmp_path / "out.wav")
    assert [name for name, _ in chunks_of(tmp_path / "out.wav")] == [b"fmt ", b"data", b"cue "]
    assert "'bext' is cut off" in writer.warnings[0]
