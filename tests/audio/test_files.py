"""The front door: what opens, what is refused, and that every refusal is one line that says what to do."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from resound.audio import container_codecs, containers, files, pcm, tags
from resound.audio.files import open_plain_writer, open_reader, open_writer
from resound.errors import InputError, OutputError

SOUND = np.linspace(-0.5, 0.5, 8000)


def write_container(path: Path, codec: str, *, rate: int = 8000, n_samples: int = 8000, **options: str) -> None:
    """Write a sine tone by PyAV."""
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(n_samples) / rate)
    muxer_options = {name: options.pop(name) for name in list(options) if name == "write_xing"}
    with av.open(str(path), "w", options=muxer_options) as container:
        container.metadata.update(options)
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((tone * 32767).astype("int16")[None], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, stream.layout, rate, stream.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux([packet for packet in stream.encode(None) if packet.size])


def assert_refused(error: type[Exception], words: str, action) -> None:
    with pytest.raises(error, match=re.escape(words)) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message or "(did you mean" in message  # what is wrong; what to do


# What is opened


def test_the_content_decides_and_not_the_suffix(tmp_path):
    soundfile.write(tmp_path / "a.flac", SOUND, 8000)
    os.rename(tmp_path / "a.flac", tmp_path / "a.mp4")
    with open_reader(tmp_path / "a.mp4") as reader:
        assert reader.format.container == "FLAC"


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.wav", "aac"), ("a.mka", "pcm_s16le"), ("a.caf", "alac")]
)
def test_what_libsndfile_does_not_open_goes_to_pyav(tmp_path, name, codec):
    kind = {"a.wav": "a.m4a"}.get(name, name)
    write_container(tmp_path / kind, codec, n_samples=8192)  # whole packets: FFmpeg's CAF writer drops the rest
    os.rename(tmp_path / kind, tmp_path / name)
    with open_reader(tmp_path / name) as reader:
        n_read = sum(block.shape[1] for block in reader.blocks(1000))
    assert n_read == pytest.approx(8192, abs=1100 if codec == "aac" else 0)


def test_apple_lossless_of_24_bit_in_caf_is_never_given_to_libsndfile(tmp_path):
    write_container(tmp_path / "a.caf", "alac")
    content = bytearray((tmp_path / "a.caf").read_bytes())
    content[32:36] = b"\0\0\0\3"
    (tmp_path / "a.caf").write_bytes(content)
    with pytest.raises(pcm.NotASoundFile):
        pcm.PcmReader(tmp_path / "a.caf")


def test_an_mp3_that_does_not_say_how_long_it_is_is_read_to_its_end(tmp_path):
    write_container(tmp_path / "a.mp3", "mp3", rate=44100, n_samples=100_000, write_xing="0")
    with pytest.raises(pcm.NotASoundFile):
        pcm.PcmReader(tmp_path / "a.mp3")
    with open_reader(tmp_path / "a.mp3") as reader:
        assert sum(block.shape[1] for block in reader.blocks(4096)) >= 100_000


def test_joined_mp3s_are_read_to_the_end_of_the_last(tmp_path):
    soundfile.write(tmp_path / "one.mp3", np.tile(SOUND, 10), 8000)
    joined = tmp_path / "a.mp3"
    joined.write_bytes((tmp_path / "one.mp3").read_bytes() * 2)
    with open_reader(joined) as reader:
        assert sum(block.shape[1] for block in reader.blocks(4096)) >= 160_000


def test_joined_ogg_recordings_are_refused_rather_than_read_in_part(tmp_path):
    for name, serial in (("one.ogg", 1), ("two.ogg", 2)):
        soundfile.write(tmp_path / name, np.tile(SOUND, 10), 44100)
        with open(tmp_path / name, "rb") as handle:
            pages = list(containers.ogg_pages(handle))
        content = b"".join(replace(page, serial=serial).to_bytes() for page in pages)
        with open(tmp_path / "a.ogg", "ab") as joined:
            joined.write(content)
    assert_refused(InputError, "several Ogg recordings", lambda: open_reader(tmp_path / "a.ogg"))


def test_an_mp3_behind_junk_is_read(tmp_path):
    soundfile.write(tmp_path / "one.mp3", np.tile(SOUND, 10), 8000)
    junk = tmp_path / "a.mp3"
    junk.write_bytes(bytes(3000) + (tmp_path / "one.mp3").read_bytes())
    with open_reader(junk) as reader:
        assert sum(block.shape[1] for block in reader.blocks(4096)) >= 80_000


def test_the_first_track_of_a_sound_file_is_the_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", SOUND, 8000)
    with open_reader(tmp_path / "a.wav", audio_track=1) as reader:
        assert reader.format.container == "WAV"
    assert_refused(InputError, "not track 2", lambda: open_reader(tmp_path / "a.wav", audio_track=2))


def test_names_beyond_ascii_are_opened(tmp_path):
    path = tmp_path / "Ünïcode 音 'quoted'\n.wav"
    soundfile.write(path, SOUND, 8000)
    with open_reader(path) as reader, open_writer(path.with_suffix(".flac"), reader) as writer:
        for block in reader.blocks(1000):
            writer.write(block)
    assert soundfile.info(path.with_suffix(".flac")).frames == 8000


# What is refused


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    soundfile.write(tmp_path / "record.wav", SOUND, 8000)
    assert_refused(
        InputError, "does not exist (did you mean 'record.wav'?)", lambda: open_reader(tmp_path / "rekord.wav")
    )
    assert_refused(
        InputError, "does not exist (did you mean 'record.wav'?)", lambda: open_reader(tmp_path / "record.mp3")
    )
    assert_refused(InputError, "r.wav: does not exist; check the name", lambda: open_reader(tmp_path / "r.wav"))
    assert_refused(InputError, "nor does the folder", lambda: open_reader(tmp_path / "none" / "a.wav"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"Dear Sir,\nplease find enclosed a record.\n" * 20, "is text, not sound (begins with 'Dear Sir,"),
        (np.random.default_rng(0).bytes(5000), "is not a sound file of a known kind"),
        (bytes(5000), "is not a sound file of a known kind"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "is damaged"),
        (b"fLaC" + bytes(50), "is damaged"),
        (b"OggS" + bytes(50), "is damaged"),
        (b"ID3\x04\0\0\0\0\0\x05hello", "is not a sound file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a sound file"),
        (b"PK\x03\x04" + bytes(100), "is not a sound file"),
    ],
    ids=["empty", "text", "noise", "zeros", "RIFF", "FLAC", "Ogg", "ID3", "PNG", "zip"],
)
def test_what_is_no_recording_is_refused_in_one_line(tmp_path, content, words):
    for suffix in (".wav", ".mp3", ".flac"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        assert_refused(InputError, words, lambda path=path: open_reader(path))


def test_a_folder_and_a_device_are_refused(tmp_path):
    assert_refused(InputError, "is a folder", lambda: open_reader(tmp_path))
    assert_refused(InputError, "is not a regular file", lambda: open_reader("/dev/null"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", SOUND, 8000)
    (tmp_path / "a.wav").chmod(0)
    assert_refused(InputError, "no permission to read it", lambda: open_reader(tmp_path / "a.wav"))


def test_permission_is_reported_as_such(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", SOUND, 8000)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "open", denied, raising=False)
    assert_refused(InputError, "no permission to read it", lambda: open_reader(tmp_path / "a.wav"))


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".w64", ".ogg", ".caf"])
def test_a_file_without_samples_is_refused(tmp_path, suffix):
    with soundfile.SoundFile(tmp_path / f"a{suffix}", "w", 8000, 1):
        pass
    assert_refused(InputError, "no samples", lambda: open_reader(tmp_path / f"a{suffix}"))


def test_a_link_to_itself_is_not_told_to_be_itself(tmp_path):
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    assert_refused(InputError, "loop.wav: does not exist; check the name", lambda: open_reader(tmp_path / "loop.wav"))


@pytest.mark.parametrize(
    ("excerpt", "words"),
    [
        ({"start_seconds": -1.0}, "cannot read it from -1 s"),
        ({"start_seconds": math.nan}, "cannot read it from nan s"),
        ({"start_seconds": math.inf}, "cannot read it from inf s"),
        ({"duration_seconds": 0}, "cannot read 0 s from 0 s"),
        ({"duration_seconds": math.nan}, "cannot read nan s from 0 s"),
        ({"duration_seconds": math.inf}, "cannot read inf s from 0 s"),
    ],
)
def test_an_impossible_excerpt_is_said_as_it_was_asked_for(tmp_path, excerpt, words):
    soundfile.write(tmp_path / "a.wav", SOUND, 8000)
    assert_refused(InputError, words, lambda: open_reader(tmp_path / "a.wav", **excerpt))


@pytest.mark.parametrize("excerpt", [{"start_seconds": -1.0}, {"duration_seconds": 0.0}, {"duration_seconds": -2.0}])
def test_an_impossible_excerpt_is_refused(tmp_path, excerpt):
    soundfile.write(tmp_path / "a.wav", SOUND, 8000)
    assert_refused(InputError, "give a start of at least 0", lambda: open_reader(tmp_path / "a.wav", **excerpt))


# Writing


def enter(writer) -> None:
    with writer:
        writer.write(np.zeros((1, 10)))


@pytest.mark.parametrize("link", ["same", "dotted", "symbolic", "hard"])
def test_the_input_is_never_the_output(tmp_path, link):
    source = tmp_path / "a.wav"
    soundfile.write(source, SOUND, 8000)
    before = source.read_bytes()
    target = {"same": source, "dotted": tmp_path / "x" / ".." / "a.wav"}.get(link, tmp_path / "b.wav")
    (tmp_path / "x").mkdir()
    if link == "symbolic":
        target.symlink_to(source)
    if link == "hard":
        os.link(source, target)
    with open_reader(source) as reader:
        assert_refused(OutputError, "never overwritten", lambda: enter(open_writer(target, reader, overwrite=True)))
    assert source.read_bytes() == before


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"precious")

    def write(overwrite: bool) -> None:
        enter(open_plain_writer(path, sample_rate=8000, n_channels=1, storage="int16", overwrite=overwrite))

    assert_refused(OutputError, "exists already", lambda: write(False))
    assert path.read_bytes() == b"precious"
    write(True)
    assert soundfile.info(path).frames == 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.wva", "did you mean '.wav'"),
        ("a.xyz", "cannot write .xyz files; use .wav"),
        ("a", "has no suffix"),
    ],
)
def test_an_unknown_suffix_is_refused_with_a_suggestion(tmp_path, name, words):
    soundfile.write(tmp_path / "in.wav", SOUND, 8000)
    with open_reader(tmp_path / "in.wav") as reader:
        assert_refused(OutputError, words, lambda: open_writer(tmp_path / name, reader))


def test_a_codec_cannot_be_chosen_for_a_sound_file(tmp_path):
    soundfile.write(tmp_path / "in.wav", SOUND, 8000)
    with open_reader(tmp_path / "in.wav") as reader:
        assert_refused(
            OutputError,
            "'aac' cannot be had",
            lambda: open_writer(tmp_path / "a.flac", reader, audio_codec="aac"),
        )


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".w64", ".rf64", ".caf", ".au"])
@pytest.mark.parametrize("storage", ["int16", "int24", "float32", "float64"])
def test_a_plain_file_holds_its_storage_exactly_where_its_kind_can(tmp_path, suffix, storage):
    rng = np.random.default_rng(0)
    path = tmp_path / f"removed{suffix}"
    with open_plain_writer(path, sample_rate=44100, n_channels=2, storage=storage) as writer:
        stored = writer.write(rng.uniform(-1, 1, (2, 999)))
    np.testing.assert_array_equal(soundfile.read(path)[0].T, stored)
    if suffix != ".flac":
        assert writer.warnings == []
        assert writer.format.storage == storage


def test_the_title_of_an_m4a_comes_through(tmp_path):
    write_container(tmp_path / "in.m4a", "aac", title="Ein Lied", artist="Émile", track="3")
    with open_reader(tmp_path / "in.m4a") as reader, open_writer(tmp_path / "out.flac", reader) as writer:
        for block in reader.blocks(999):
            writer.write(block)
    texts = tags.read_metadata(tmp_path / "out.flac")[0].texts
    assert texts == {"TITLE": "Ein Lied", "ARTIST": "Émile", "TRACKNUMBER": "3"}


def copy(source: Path, target: Path) -> list[str]:
    """Copy a recording and return the warnings."""
    with open_reader(source) as reader, open_writer(target, reader) as writer:
        for block in reader.blocks(999):
            writer.write(block)
    return writer.warnings


def test_what_an_m4a_loses_is_named(tmp_path):
    write_container(tmp_path / "plain.m4a", "alac", title="Ein Lied", composer="Someone")
    with av.open(str(tmp_path / "plain.m4a")) as source, av.open(str(tmp_path / "in.m4a"), "w", format="mp4") as target:
        target.metadata.update(source.metadata)
        stream = target.add_stream_from_template(source.streams[0])
        cover = target.add_stream("mjpeg", rate=1, width=16, height=16, pix_fmt="yuvj420p")
        cover.disposition = av.stream.Disposition.attached_pic
        packets = [packet for packet in source.demux() if packet.size]
        for packet in packets:
            packet.stream = stream
            target.mux(packet)
        target.mux([*cover.encode(av.VideoFrame(16, 16, "yuvj420p")), *cover.encode(None)])
    [warning] = [text for text in copy(tmp_path / "in.m4a", tmp_path / "out.wav") if "metadata" in text]
    assert warning.endswith("out.wav: metadata not carried to WAV: COMPOSER, pictures")


def test_the_picture_of_an_avi_does_not_go_into_a_wav(tmp_path):
    write_container(tmp_path / "in.avi", "pcm_s16le", title="Film")
    copy(tmp_path / "in.avi", tmp_path / "out.wav")
    assert (tmp_path / "out.wav").stat().st_size < 16_000 + 200
    assert tags.read_metadata(tmp_path / "out.wav")[0].texts == {"TITLE": "Film"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.mp3", "is written as MP3, which is lossy; give a name ending in .wav or .flac to lose nothing"),
        ("out.ogg", "is written as Vorbis, which is lossy; give"),
        ("out.webm", "is written as OPUS, which is lossy; give"),
        ("out.flac", None),
        ("out.m4a", None),
    ],
)
def test_a_lossless_source_becomes_lossy_only_with_a_warning(tmp_path, name, words):
    soundfile.write(tmp_path / "in.mp3", SOUND, 8000, format="WAV")
    warnings = copy(tmp_path / "in.mp3", tmp_path / name)
    assert [text.split(": ")[1][: len(words or "")] for text in warnings] == ([words] if words else [])


def test_a_kind_that_stands_in_for_another_is_said(tmp_path):
    write_container(tmp_path / "in.tta", "tta")
    warned = f"{tmp_path / 'out.wav'}: is written as .wav; .tta files can be read but not written"
    assert warned in copy(tmp_path / "in.tta", tmp_path / "out.wav")
    assert copy(tmp_path / "in.tta", tmp_path / "out.flac") == []


@pytest.mark.parametrize("address", ["http://x.y/a.wav", "https://x.y/a.wav"])
def test_an_address_is_refused_as_such(address):
    assert_refused(InputError, f"{address}: is an address, not a file; download it", lambda: open_reader(address))


def test_a_pipe_is_never_replaced_and_a_file_is_no_folder(tmp_path):
    os.mkfifo(tmp_path / "p.wav")
    (tmp_path / "a").write_bytes(b"")

    def write(name: str) -> None:
        enter(open_plain_writer(name, sample_rate=8000, n_channels=1, storage="int16", overwrite=True))

    assert_refused(OutputError, "p.wav: is a device or pipe, not a regular file", lambda: write(tmp_path / "p.wav"))
    assert_refused(
        OutputError, "a: cannot make this folder (a file has that name)", lambda: write(tmp_path / "a/b.wav")
    )
    assert_refused(OutputError, "/dev/null: cannot make this folder (it is a device", lambda: write("/dev/null/b.wav"))


def test_sound_from_a_video_container_is_written_as_a_plain_wav(tmp_path):
    write_container(tmp_path / "in.mka", "pcm_s16le")
    with open_reader(tmp_path / "in.mka") as reader, open_writer(tmp_path / "out.wav", reader) as writer:
        for block in reader.blocks(999):
            writer.write(block)
    assert soundfile.info(tmp_path / "out.wav").format == "WAV"
    assert soundfile.info(tmp_path / "out.wav").frames == 8000


def test_no_suffix_is_written_by_both_libraries():
    assert not set(pcm.CONTAINERS) & files.CONTAINER_SUFFIXES
    assert set(container_codecs.CONTAINERS) >= files.CONTAINER_SUFFIXES  # what is said to be written is written
    assert not files.AUDIO_SUFFIXES & files.VIDEO_SUFFIXES
    assert all(suffix == suffix.lower() for suffix in files.AUDIO_SUFFIXES | files.VIDEO_SUFFIXES)
