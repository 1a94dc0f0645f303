"""Containers in, containers out: sync, length, and everything that is copied."""

from __future__ import annotations

import resource
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from resound.audio.container_codecs import CONTAINERS
from resound.audio.formats import Format, Quantiser
from resound.audio.matroska_shape import set_pixel_shapes, widened_title
from resound.audio.video import open_container_reader, open_container_writer
from resound.errors import InputError, OutputError

BLOCK = 5000
ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname\r\n"
    b"Style: Default,Arial\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Style, Text\r\n"
)
FONT = b"\0\1\0\0" + bytes(range(256)) * 3
TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}


# -- making films --


def noise(n_samples: int, seed: int = 0, channels: int = 2) -> np.ndarray:
    """Low-passed noise with some tone, ``(channel, time)``: a clear correlation peak, and codecs like it."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((channels, n_samples + 63))
    kernel = np.hanning(64) / np.hanning(64).sum()
    low = np.stack([np.convolve(row, kernel, "valid") for row in white])
    return 0.2 * low / np.std(low)


def encode(stream, samples: np.ndarray, start_seconds: float = 0.0, bits: int = 0) -> Iterator[av.Packet]:
    """Encode ``(channel, time)`` samples from ``start_seconds`` on."""
    context = stream.codec_context
    name, rate = context.format.name, context.sample_rate
    kind = TYPES[name.removesuffix("p")]
    values = samples
    if kind[0] == "i":
        width = bits or 8 * int(kind[1])
        values = np.round(samples * 2.0 ** (width - 1)) * 2.0 ** (8 * int(kind[1]) - width)
    values = values.astype(kind)
    size = context.frame_size or 1024
    for start in range(0, values.shape[1], size):
        piece = values[:, start : start + size]
        piece = piece if name.endswith("p") else piece.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format=name, layout=context.layout.name)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = start + round(start_seconds * rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def pictures(stream, n_frames: int) -> Iterator[av.Packet]:
    for number in range(n_frames):
        image = np.full((72, 64), 3 * number % 250, np.uint8)
        image[:40, number % 60 : number % 60 + 4] = 255
        frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def subtitles(stream, codec: str) -> Iterator[av.Packet]:
    for number in range(2):
        text = b"line %d" % number
        payload = {
            "mov_text": struct.pack(">H", len(text)) + text,
            "ass": b"%d,0,Default,%b" % (number, text),
            "srt": text,
        }[codec]
        packet = av.Packet(payload)
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = 300 + 700 * number
        packet.duration = 500
        packet.is_keyframe = True
        packet.stream = stream
        yield packet


@dataclass
class Film:
    """What to put into a test film."""

    muxer: str
    video: str | None = "libx264"
    audio: str = "aac"
    rate: int = 48_000
    n_samples: int = 60_001
    start_seconds: float = 0.0
    n_tracks: int = 1
    subtitle: str | None = None
    extras: bool = False  # chapters, attachment, tags
    cover: bool = False
    rotated: bool = False
    options: tuple[tuple[str, str], ...] = ()
    layout: str = "stereo"
    bits: int = 0
    title: str = "the picture"


def add_video(container, film: Film):
    stream = container.add_stream(film.video, rate=25, width=64, height=48, pix_fmt="yuv420p")
    if film.video == "libx264":
        stream.options = {"preset": "ultrafast", "x264-params": "bframes=2:b-adapt=0:keyint=12"}
    if film.video == "mpeg4":
        stream.codec_context.max_b_frames = 2
    if film.rotated:
        stream.set_display_rotation(90)
    stream.metadata["title"] = film.title
    return stream


def add_audio(container, film: Film, number: int):
    stream = container.add_stream(film.audio, rate=film.rate, layout=film.layout, options=dict(film.options))
    stream.codec_context.time_base = Fraction(1, film.rate)
    if film.audio in ("aac", "libopus", "libmp3lame", "ac3", "eac3", "mp2", "wmav2"):
        stream.codec_context.bit_rate = 192_000
    stream.metadata["language"] = ("deu", "eng", "fra")[number]
    stream.disposition = Disposition.default if number == 0 else Disposition(0)
    return stream


def make_film(path: Path, film: Film) -> Path:
    """Write a test film; the audio tracks hold `noise` with seeds 0, 1, ..."""
    with av.open(str(path), "w", format=film.muxer) as container:
        sources: list[Iterator[av.Packet]] = []
        if film.video:
            sources.append(pictures(add_video(container, film), int(25 * film.n_samples / film.rate) + 4))
        channels = av.AudioLayout(film.layout).nb_channels
        for number in range(film.n_tracks):
            stream = add_audio(container, film, number)
            start = film.start_seconds if number == 0 else 0.0
            sources.append(encode(stream, noise(film.n_samples, number, channels), start, film.bits))
        if film.subtitle:
            stream = container.add_stream(film.subtitle)
            stream.codec_context.subtitle_header = ASS_HEADER
            stream.codec_context.time_base = Fraction(1, 1000)
            stream.metadata["language"] = "ita"
            if film.subtitle == "ass":
                stream.codec_context.extradata = ASS_HEADER
            sources.append(subtitles(stream, film.subtitle))
        if film.extras:
            add_extras(container, film)
        first: list[av.Packet] = []
        if film.cover:
            stream = container.add_stream("png", rate=1, width=16, height=16, pix_fmt="rgb24")
            stream.disposition = Disposition.attached_pic
            image = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 99, np.uint8), format="rgb24")
            first = [*stream.encode(image), *stream.encode(None)]
        container.start_encoding()
        packets = [packet for source in sources for packet in source]
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        container.mux(first + packets)
    return path


def add_extras(container, film: Film) -> None:
    container.metadata.update(title="Film", artist="Somebody", comment="très bien", date="1931")
    scale = Fraction(1, 1000)
    container.set_chapters(
        [
            {"id": 1, "start": 0, "end": 500, "time_base": scale, "metadata": {"title": "one"}},
            {"id": 2, "start": 500, "end": 1200, "time_base": scale, "metadata": {"title": "two"}},
        ]
    )
    if film.muxer == "matroska":
        container.add_attachment("font.ttf", "font/ttf", FONT)


def restore(source: Path, target: Path, **options) -> SimpleNamespace:
    """Copy a film through reader and writer with strength 0."""
    reading = {key: options.pop(key) for key in ("audio_track", "start_seconds", "duration_seconds") if key in options}
    with (
        open_container_reader(source, **reading) as reader,
        open_container_writer(target, reader, **options) as writer,
    ):
        for block in reader.blocks(BLOCK):
            stored = writer.write(block)
            assert stored.shape == block.shape
    return SimpleNamespace(reader=reader, writer=writer, warnings=reader.warnings + writer.warnings)


def decode(path: Path, **options) -> SimpleNamespace:
    with open_container_reader(path, **options) as reader:
        samples = np.concatenate(list(reader.blocks(BLOCK)), axis=1)
    return SimpleNamespace(samples=samples, reader=reader, warnings=reader.warnings)


def lag(reference: np.ndarray, other: np.ndarray) -> int:
    """Return where the cross-correlation of two signals has its peak, in samples."""
    size = 1 << (len(reference) + len(other)).bit_length()
    spectrum = np.fft.rfft(other, size) * np.conj(np.fft.rfft(reference, size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size


@dataclass(frozen=True)
class Copied:
    """What of a packet must survive."""

    data: bytes
    pts: Fraction | None
    dts: Fraction | None
    duration: Fraction
    keyframe: bool
    side_data: tuple[tuple[str, bytes], ...]


def packets_of(path: Path, *, but_not: int) -> dict[int, list[Copied]]:
    """Return every stream's packets, apart from one stream's."""
    found: dict[int, list[Copied]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.stream_index != but_not:
                base = packet.time_base
                copied = Copied(
                    bytes(packet),
                    None if packet.pts is None else packet.pts * base,
                    None if packet.dts is None else packet.dts * base,
                    (packet.duration or 0) * base,
                    packet.is_keyframe,
                    tuple((data.data_type, bytes(data)) for data in packet.iter_sidedata()),
                )
                found.setdefault(packet.stream_index, []).append(copied)
    return found


# -- reading --

PRIMING_IS_TOLD = [
    (".mp4", Film("mp4")),
    (".m4a", Film("ipod", video=None)),
    (".mkv", Film("matroska", audio="libopus")),
    (".webm", Film("webm", video="libvpx", audio="libopus")),
    (".mp4", Film("mp4", audio="libopus")),
    (".mkv", Film("matroska", audio="libmp3lame", rate=44_100)),
    (".m4a", Film("ipod", video=None, audio="alac")),
    (".mkv", Film("matroska", audio="flac")),
    (".mp4", Film("mp4", audio="flac")),
    (".mov", Film("mov", audio="pcm_s16le")),
    (".avi", Film("avi", video="mpeg4", audio="pcm_s24le")),
]


@pytest.mark.parametrize(("suffix", "film"), PRIMING_IS_TOLD, ids=lambda value: getattr(value, "audio", value))
def test_decoded_length_and_place_equal_what_was_encoded(tmp_path: Path, suffix: str, film: Film) -> None:
    decoded = decode(make_film(tmp_path / f"film{suffix}", film))
    original = noise(film.n_samples)
    assert decoded.samples.shape == original.shape
    assert lag(original[0], decoded.samples[0]) == 0
    assert decoded.warnings == []


@pytest.mark.parametrize(
    ("codec", "muxer", "suffix", "storage", "bits"),
    [
        ("pcm_u8", "avi", ".avi", "int8", 8),
        ("pcm_s16le", "mov", ".mov", "int16", 16),
        ("pcm_s24le", "matroska", ".mkv", "int24", 24),
        ("pcm_s32le", "mov", ".mov", "int32", 32),
        ("pcm_f32le", "matroska", ".mkv", "float32", 0),
        ("flac", "matroska", ".mkv", "int16", 16),
    ],
)
def test_sample_formats_arrive_exactly(tmp_path, codec, muxer, suffix, storage, bits) -> None:
    if codec == "pcm_u8":
        samples = np.round(noise(9000) * 128) / 128
        with av.open(str(tmp_path / "film.avi"), "w", format="avi") as container:
            stream = container.add_stream(codec, rate=48_000, layout="stereo")
            frame = av.AudioFrame.from_ndarray(
                (samples * 128 + 128).T.reshape(1, -1).astype("u1").copy(), format="u8", layout="stereo"
            )
            frame.sample_rate = 48_000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    else:
        film = Film(muxer, video=None, audio=codec, n_samples=9000, bits=bits)
        make_film(tmp_path / f"film{suffix}", film)
        samples = noise(9000)
    decoded = decode(tmp_path / f"film{suffix}")
    expected = samples.astype("f4").astype("f8") if storage == "float32" else np.round(samples * 2.0 ** (bits - 1))
    if storage != "float32":
        expected = expected / 2.0 ** (bits - 1)
    assert decoded.reader.format.storage == storage
    np.testing.assert_array_equal(decoded.samples, expected)


def test_a_late_track_says_when_it_starts(tmp_path: Path) -> None:
    film = Film("mov", audio="pcm_s16le", start_seconds=0.3, n_samples=20_000)
    decoded = decode(make_film(tmp_path / "film.mov", film))
    assert decoded.reader.start_offset_seconds == pytest.approx(0.3, abs=1e-3)  # FFmpeg writes milliseconds
    assert decoded.samples.shape[1] == 20_000


def test_the_default_track_is_taken_and_others_on_request(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", Film("matroska", audio="flac", n_tracks=2, n_samples=9000))
    first, second = decode(film), decode(film, audio_track=2)
    assert first.warnings == ["2 audio tracks; restoring track 1 (deu); choose with --audio-track"]
    assert second.warnings == []
    assert lag(noise(9000, 1)[0], second.samples[0]) == 0
    assert not np.array_equal(first.samples, second.samples)


def test_an_excerpt_equals_the_slice(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", Film("matroska", n_samples=30_000))
    whole, part = decode(film), decode(film, start_seconds=0.1, duration_seconds=0.25)
    np.testing.assert_array_equal(part.samples, whole.samples[:, 4800 : 4800 + 12_000])
    assert part.reader.estimated_n_samples == 12_000


def shifted(source: Path, target: Path, seconds: float, *, after: float) -> Path:
    """Copy a file, moving the time stamps behind ``after`` by ``seconds``."""
    with av.open(str(source)) as old, av.open(str(target), "w", format="matroska") as new:
        stream = new.add_stream_from_template(old.streams.audio[0], opaque=True)
        for packet in old.demux(old.streams.audio[0]):
            if not packet.size:
                continue
            if packet.pts * packet.time_base > after:
                packet.pts += round(seconds / packet.time_base)
                packet.dts = packet.pts
            packet.stream = stream
            new.mux(packet)
    return target


def test_a_gap_in_the_time_stamps_becomes_silence(tmp_path: Path) -> None:
    make_film(tmp_path / "a.mkv", Film("matroska", video=None, audio="pcm_s16le", n_samples=48_000))
    decoded = decode(shifted(tmp_path / "a.mkv", tmp_path / "gap.mkv", 0.2, after=0.5))
    assert decoded.samples.shape[1] == pytest.approx(48_000 + 9600, abs=48)  # Matroska counts milliseconds
    assert decoded.warnings == ["gaps in the time stamps filled with 0.200 s of silence"]
    np.testing.assert_array_equal(decoded.samples[:, -4800:], decode(tmp_path / "a.mkv").samples[:, -4800:])


def test_jitter_in_the_time_stamps_changes_nothing(tmp_path: Path) -> None:
    make_film(tmp_path / "a.mkv", Film("matroska", video=None, audio="pcm_s16le", n_samples=48_000))
    decoded = decode(shifted(tmp_path / "a.mkv", tmp_path / "jitter.mkv", 0.03, after=0.5))
    np.testing.assert_array_equal(decoded.samples, decode(tmp_path / "a.mkv").samples)
    assert decoded.warnings == []


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    source = make_film(tmp_path / "film.mkv", Film("matroska", audio="flac", n_samples=96_000))
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "bad.mkv").write_bytes(data)
    decoded = decode(tmp_path / "bad.mkv")
    assert any("damaged packets skipped" in text or "silence" in text for text in decoded.warnings)
    assert decoded.samples.shape[1] == pytest.approx(96_000, abs=5000)  # at most the last frame is missing


def test_not_finite_samples_become_zero_and_are_counted(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "nan.mkv"), "w", format="matroska") as container:
        stream = container.add_stream("pcm_f32le", rate=48_000, layout="mono")
        samples = np.full((1, 4000), 0.25, "f4")
        samples[0, 10:13] = (np.nan, np.inf, -np.inf)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = 48_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    decoded = decode(tmp_path / "nan.mkv")
    assert decoded.samples[0, 9:14].tolist() == [0.25, 0.0, 0.0, 0.0, 0.25]
    assert decoded.warnings == ["3 samples were not finite and were set to 0"]


def test_the_checksum_is_of_the_stored_integers(tmp_path: Path) -> None:
    film = Film("mov", video=None, audio="pcm_s16le", n_samples=7000, bits=16)
    decoded = decode(make_film(tmp_path / "film.mov", film))
    quantiser = Quantiser("int16")
    quantiser.quantise(np.round(noise(7000) * 32768) / 32768)
    assert decoded.reader.audio_md5 == quantiser.md5


def test_errors_name_the_file_and_what_to_do(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mkv"
    with av.open(str(silent), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        container.mux(list(pictures(stream, 5)))
    (tmp_path / "text.mkv").write_text("no film\n" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    make_film(tmp_path / "film.mkv", Film("matroska", audio="flac", n_tracks=2, n_samples=5000))
    cases = [
        ("missing.mkv", {}, "no such file"),
        ("text.mkv", {}, "cannot be read as audio or video"),
        ("empty.mp4", {}, "cannot be read as audio or video"),
        ("silent.mkv", {}, r"has no audio track \(video only\)"),
        ("film.mkv", {"audio_track": 3}, "has 2 audio tracks, not track 3; use --audio-track 1 to 2"),
        ("film.mkv", {"audio_track": 0}, "has 2 audio tracks, not track 0"),
    ]
    for name, options, words in cases:
        with pytest.raises(InputError, match=words) as caught:
            open_container_reader(tmp_path / name, **options)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
        assert "; " in str(caught.value)


# -- sync and length of what is written --

SAME_CODEC = [
    (".mp4", Film("mp4")),
    (".m4a", Film("ipod", video=None)),
    (".mkv", Film("matroska", rate=44_100)),
    (".mov", Film("mov")),
    (".webm", Film("webm", video="libvpx", audio="libopus")),
    (".mkv", Film("matroska", audio="libopus")),
    (".mp4", Film("mp4", audio="libopus")),
    (".mkv", Film("matroska", audio="libmp3lame")),
    (".mp4", Film("mp4", audio="libmp3lame")),
    (".avi", Film("avi", video="mpeg4", audio="libmp3lame", rate=44_100)),
    (".mkv", Film("matroska", audio="ac3")),
    (".mp4", Film("mp4", audio="ac3")),
    (".avi", Film("avi", video="mpeg4", audio="ac3")),
    (".mp4", Film("mp4", audio="eac3")),
    (".ts", Film("mpegts", audio="mp2")),
    (".ts", Film("mpegts")),
    (".aac", Film("adts", video=None)),
    (".ac3", Film("ac3", video=None, audio="ac3")),
]


@pytest.mark.parametrize("start_seconds", [0.0, 0.3, 0.01])
@pytest.mark.parametrize(("suffix", "film"), SAME_CODEC, ids=lambda value: getattr(value, "audio", value))
def test_lossy_tracks_keep_length_place_and_start(tmp_path, suffix, film, start_seconds) -> None:
    film = Film(**{**film.__dict__, "start_seconds": start_seconds})
    source, target = make_film(tmp_path / f"a{suffix}", film), tmp_path / f"b{suffix}"
    restore(source, target)
    before, after = decode(source), decode(target)
    assert after.reader.format.codec == before.reader.format.codec
    assert after.samples.shape == before.samples.shape
    assert lag(before.samples[0], after.samples[0]) == 0
    assert after.reader.start_offset_seconds == before.reader.start_offset_seconds
    error = (after.samples - before.samples)[:, 2000:-2000]
    assert np.mean(error**2) < np.mean(before.samples**2) / 30  # the codec's own loss at this rate, no more


LOSSLESS = [
    (".mkv", Film("matroska", audio="flac", bits=16), "int16"),
    (".mkv", Film("matroska", audio="flac", bits=24, options=(("bits_per_raw_sample", "24"),)), "int24"),
    (".mp4", Film("mp4", audio="flac", start_seconds=0.25), "int16"),
    (".m4a", Film("ipod", video=None, audio="alac", bits=24), "int24"),
    (".mov", Film("mov", audio="pcm_s16le", start_seconds=0.25), "int16"),
    (".mov", Film("mov", audio="pcm_s24le", layout="5.1"), "int24"),
    (".avi", Film("avi", video="mpeg4", audio="pcm_s16le"), "int16"),
    (".avi", Film("avi", video="mpeg4", audio="pcm_s24le"), "int24"),
    (".mkv", Film("matroska", audio="pcm_f32le"), "float32"),
]


@pytest.mark.parametrize(("suffix", "film", "storage"), LOSSLESS)
def test_lossless_tracks_come_back_bit_for_bit(tmp_path, suffix, film, storage) -> None:
    source, target = make_film(tmp_path / f"a{suffix}", film), tmp_path / f"b{suffix}"
    done = restore(source, target)
    before, after = decode(source), decode(target)
    np.testing.assert_array_equal(after.samples, before.samples)
    assert after.reader.format.codec == before.reader.format.codec
    assert after.reader.layout == before.reader.layout
    assert after.reader.start_offset_seconds == before.reader.start_offset_seconds
    assert done.writer.audio_md5 == done.reader.audio_md5 == after.reader.audio_md5
    if film.audio != "flac" or film.bits != 24:  # this encoder's first choice of format is 16 bits
        assert after.reader.format.storage == done.writer.format.storage


def test_clipped_samples_are_counted_and_returned_as_stored(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", audio="flac", n_samples=4800))
    with open_container_reader(source) as reader, open_container_writer(tmp_path / "b.mkv", reader) as writer:
        for block in reader.blocks(BLOCK):
            block[:, 7] = 1.5
            stored = writer.write(block)
            assert stored[0, 7] == 1 - 2.0**-15
    assert writer.n_clipped == 2


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame", "ac3"])
def test_bit_rate_does_not_sink(tmp_path: Path, codec: str) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", audio=codec))
    done = restore(source, tmp_path / "b.mkv")
    assert done.writer.format.bit_rate >= max(128_000, 0.97 * done.reader.format.bit_rate)


# -- what is copied --

COPIES = [
    (".mp4", Film("mp4", n_tracks=3, subtitle="mov_text", extras=True, rotated=True, start_seconds=0.3)),
    (".mp4", Film("mp4", cover=True, extras=True)),
    (".mkv", Film("matroska", n_tracks=2, subtitle="ass", extras=True, start_seconds=0.3)),
    (".mkv", Film("matroska", audio="flac", subtitle="srt", extras=True, rotated=True)),
    (".mov", Film("mov", audio="pcm_s16le", n_tracks=2, extras=True, rotated=True)),
    (".webm", Film("webm", video="libvpx", audio="libopus", n_tracks=2, extras=True, start_seconds=0.3)),
    (".avi", Film("avi", video="mpeg4", audio="libmp3lame", n_tracks=2)),
    (".ts", Film("mpegts", audio="mp2", n_tracks=2)),
    (".m4a", Film("mp4", video=None, cover=True, extras=True)),
]


@pytest.mark.parametrize(("suffix", "film"), COPIES)
def test_everything_else_is_copied_untouched(tmp_path: Path, suffix: str, film: Film) -> None:
    source, target = make_film(tmp_path / f"a{suffix}", film), tmp_path / f"b{suffix}"
    done = restore(source, target)
    track = done.reader.stream_index
    assert packets_of(target, but_not=track) == packets_of(source, but_not=track)
    with av.open(str(source)) as old, av.open(str(target)) as new:
        stale = ("encoder", "major_brand", "minor_version", "compatible_brands", "software")
        kept = [{key: value for key, value in file.metadata.items() if key.lower() not in stale} for file in (old, new)]
        assert kept[0] == kept[1]
        assert titles(old) == titles(new)
        assert len(old.streams) == len(new.streams)
        for before, after in zip(old.streams, new.streams, strict=True):
            assert described(before, track) == described(after, track)


def titles(container) -> list[tuple[Fraction, Fraction, dict[str, str]]]:
    return [
        (chapter["start"] * chapter["time_base"], chapter["end"] * chapter["time_base"], chapter["metadata"])
        for chapter in container.chapters()
    ]


def described(stream, restored: int) -> dict[str, object]:
    """Return all that a stream says of itself; of the restored one, what is not of its new encoding."""
    tags = {key: value for key, value in stream.metadata.items() if key not in ("DURATION", "encoder", "ENCODER")}
    found: dict[str, object] = {"type": stream.type, "tags": tags, "disposition": stream.disposition}
    if stream.type == "attachment":
        found["data"] = stream.data
    elif stream.codec_context is not None and stream.index != restored:
        found["extradata"] = stream.codec_context.extradata
        found["tag"] = stream.codec_context.codec_tag
        if stream.type == "video":
            found["rates"] = (stream.average_rate, stream.sample_aspect_ratio)
    if stream.type == "video":
        frame = next(stream.container.decode(stream), None)
        found["rotation"] = frame.rotation if frame else None
    return found


def test_a_cover_moves_between_formats(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.m4a", Film("mp4", video=None, cover=True))
    restore(source, tmp_path / "b.mka")
    restore(tmp_path / "b.mka", tmp_path / "c.m4a")
    with av.open(str(source)) as old, av.open(str(tmp_path / "c.m4a")) as new:
        covers = [next(file.demux(file.streams.video[0])) for file in (old, new)]
        assert bytes(covers[0]) == bytes(covers[1])
        assert new.streams.video[0].disposition & Disposition.attached_pic


@pytest.mark.parametrize(("suffix", "muxer"), [(".mkv", "matroska"), (".webm", "webm")])
@pytest.mark.parametrize("title", ["", "the picture"])
@pytest.mark.parametrize("shape", [Fraction(2), Fraction(4, 3)])
def test_pixel_shape_survives(tmp_path: Path, suffix: str, muxer: str, title: str, shape: Fraction) -> None:
    film = Film(muxer, video="libvpx", audio="libopus", n_samples=9600, title=widened_title(title))
    source, target = make_film(tmp_path / f"a{suffix}", film), tmp_path / f"b{suffix}"
    set_pixel_shapes(source, {0: shape})  # PyAV itself cannot make such a file
    restore(source, target)
    with av.open(str(source)) as old, av.open(str(target)) as new:
        tolerance = Fraction(1, 64) if suffix == ".webm" else 0  # WebM knows whole pixels only
        assert abs(old.streams.video[0].sample_aspect_ratio - shape) <= tolerance
        assert new.streams.video[0].sample_aspect_ratio == old.streams.video[0].sample_aspect_ratio
        assert new.streams.video[0].metadata.get("title", "") == title
    assert packets_of(target, but_not=1) == packets_of(source, but_not=1)


def test_another_track_can_be_restored_and_the_first_is_copied(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", audio="flac", n_tracks=2))
    restore(source, tmp_path / "b.mkv", audio_track=2)
    assert packets_of(tmp_path / "b.mkv", but_not=2) == packets_of(source, but_not=2)


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", n_samples=20_000, subtitle="srt", extras=True))
    for name in ("b.mkv", "c.mkv"):
        restore(source, tmp_path / name)
    assert (tmp_path / "b.mkv").read_bytes() == (tmp_path / "c.mkv").read_bytes()


def test_copied_and_new_packets_alternate(tmp_path: Path) -> None:
    """The muxer never has to queue more than it would for the source: a long film takes no memory."""
    source = make_film(tmp_path / "a.mkv", Film("matroska", n_samples=480_000))
    restore(source, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as film:
        times = [p.pts * p.time_base for p in film.demux() if p.size and p.dts is not None]
    latest = 0.0
    for time in times:
        assert time > latest - 0.3  # a few frames are decoded out of order
        latest = max(latest, time)


# -- which codec, which container --


@pytest.mark.parametrize(
    ("film", "suffix", "codec"),
    [
        (Film("asf", video="mpeg4", audio="wmav2"), ".mkv", "flac"),
        (Film("avi", video="mpeg4", audio="pcm_mulaw", rate=8000), ".mkv", "flac"),
        (Film("matroska", audio="flac"), ".mov", "alac"),
        (Film("matroska", audio="libopus"), ".mp4", "opus"),
        (Film("mp4"), ".mkv", "aac"),
        (Film("matroska", video="libvpx", audio="aac"), ".webm", "opus"),
        (Film("matroska", video="mpeg4", audio="flac"), ".mp4", "flac"),
    ],
)
def test_the_codec_is_the_sources_or_the_nearest_that_fits(tmp_path, film, suffix, codec) -> None:
    source = make_film(tmp_path / f"a.{film.muxer}", film)
    done = restore(source, tmp_path / f"b{suffix}")
    before, after = decode(source), decode(tmp_path / f"b{suffix}")
    assert after.reader.format.codec == codec
    changed = f"cannot be written to {suffix}; the track is {codec.upper()} now"
    assert any(changed in text for text in done.warnings) == (before.reader.format.codec != codec)
    assert after.samples.shape == before.samples.shape
    assert lag(before.samples[0], after.samples[0]) == 0


@pytest.mark.parametrize("codec", ["aac", "flac", "alac", "opus", "mp3", "ac3", "pcm", "pcm_s24le"])
def test_a_codec_can_be_asked_for(tmp_path: Path, codec: str) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", audio="flac", n_samples=9600, bits=16))
    restore(source, tmp_path / "b.mkv", audio_codec=codec)
    after = decode(tmp_path / "b.mkv")
    assert after.reader.format.codec == {"pcm": "pcm_s16le"}.get(codec, codec)
    assert after.samples.shape == decode(source).samples.shape


def test_what_a_container_cannot_hold_is_refused_with_what_it_can(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", audio="flac", rate=44_100, n_samples=5000, n_tracks=2))
    texts = make_film(tmp_path / "t.mkv", Film("matroska", n_samples=5000, subtitle="ass"))
    cases = [
        (source, "b.avi", "flac", r"\.avi cannot hold flac audio; it can hold mp3"),
        (source, "b.mkv", "speex", r"'speex' audio cannot be written; \.mkv can hold flac, aac"),
        (source, "b.xyz", None, r"cannot write files ending in '\.xyz'; use one of \.mp4"),
        (
            source,
            "b.webm",
            None,
            r"44100 Hz with layout stereo cannot be written here \(opus refused\); give a name",
        ),
        (
            texts,
            "b.mp4",
            None,
            r"\.mp4 cannot hold its subtitle track 2 \(ass\); give a name ending in \.mkv",
        ),
    ]
    for path, name, codec, words in cases:
        with open_container_reader(path) as reader, pytest.raises(OutputError, match=words) as caught:
            open_container_writer(tmp_path / name, reader, audio_codec=codec)
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "t.mkv"]


def test_an_excerpt_goes_into_an_audio_file_only(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", start_seconds=0.3))
    with (
        open_container_reader(source, duration_seconds=0.5) as reader,
        pytest.raises(OutputError, match=r"an excerpt cannot go back into a video; give the name of an audio file"),
    ):
        open_container_writer(tmp_path / "b.mkv", reader)
    restore(source, tmp_path / "b.m4a", start_seconds=0.2, duration_seconds=0.5)
    assert decode(tmp_path / "b.m4a").samples.shape == (2, 24_000)


def test_sound_without_the_picture_is_said(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", extras=True, start_seconds=0.3))
    done = restore(source, tmp_path / "b.m4a")
    assert done.warnings == ["only the restored track is written; .m4a files hold no picture"]
    with av.open(str(tmp_path / "b.m4a")) as file:
        assert len(file.streams) == 1
        assert file.metadata["title"] == "Film"


def test_every_table_entry_can_be_written(tmp_path: Path) -> None:
    """A source that no container reader opened: its sound alone is written."""
    for suffix, container in CONTAINERS.items():
        for codec in container.codecs:
            path = tmp_path / f"{codec}{suffix}"
            source = SimpleNamespace(path=path, format=Format("WAV", "PCM_16", 48_000, 2, None, "int16", True))
            with open_container_writer(path, source, audio_codec=codec) as writer:
                writer.write(noise(9600))
            decoded = decode(path)
            assert decoded.reader.format.codec == codec, path
            frame = 2 * 1152 if container.priming is None and writer.format.storage == "float32" else 0
            assert 0 <= decoded.samples.shape[1] - 9600 <= frame + (1152 if codec == "mp2" else 0), path
            assert lag(noise(9600)[0], decoded.samples[0]) == 0, path


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 96_000])
@pytest.mark.parametrize("layout", ["mono", "5.1", "5.1(side)", "quad"])
def test_rates_and_layouts_are_kept(tmp_path: Path, rate: int, layout: str) -> None:
    film = Film("matroska", video=None, audio="pcm_s16le", rate=rate, layout="mono", n_samples=4000)
    source = make_film(tmp_path / "a.mka", film)
    with open_container_reader(source) as reader:
        reader.layout = layout
        n_channels = av.AudioLayout(layout).nb_channels
        reader.format = Format("matroska", "dts", rate, n_channels, None, "float32", False)
        with open_container_writer(tmp_path / "b.mka", reader) as writer:
            writer.write(noise(4000, channels=n_channels))
    after = decode(tmp_path / "b.mka").reader
    assert (after.format.sample_rate, after.layout) == (rate, layout)


# -- leaving no trace --


def test_an_existing_file_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    source = make_film(tmp_path / "a.mkv", Film("matroska", n_samples=5000))
    (tmp_path / "b.mkv").write_text("mine")
    with pytest.raises(OutputError, match="exists already; use --overwrite"):
        restore(source, tmp_path / "b.mkv")
    restore(source, tmp_path / "b.mkv", overwrite=True)
    assert decode(tmp_path / "b.mkv").samples.size


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_leaving_by_an_exception_removes_everything(tmp_path, suffix, error) -> None:
    source = make_film(tmp_path / f"a{suffix}", Film({".mkv": "matroska", ".mp4": "mp4"}[suffix]))
    with (
        pytest.raises(error),
        open_container_reader(source) as reader,
        open_container_writer(tmp_path / f"b{suffix}", reader) as writer,
    ):
        writer.write(next(reader.blocks(BLOCK)))
        raise error
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    film = Film({".mkv": "matroska", ".mp4": "mp4", ".avi": "avi"}[suffix], video="mpeg4", audio="libmp3lame")
    source = make_film(tmp_path / f"a{suffix}", film)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # stands in for a disk that fills up
    try:
        with pytest.raises(OutputError, match=r"disk full .*; free some space or choose another folder with -o"):
            restore(source, tmp_path / f"b{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
