"""Sound through pipes: what goes in comes out bit for bit, and broken headers are told in a line."""

import io
import struct

import numpy as np
import pytest
import soundfile

from resound.audio.pipe import RAW, PipeFormat, PipeWriter, blocks_of, read_wav_header
from resound.errors import InputError

SUBTYPES = {"int16": "PCM_16", "int24": "PCM_24", "int32": "PCM_32", "float32": "FLOAT", "float64": "DOUBLE"}


def wav(subtype, n_channels=2, n_samples=1000):
    """Return the bytes of a WAV as libsndfile writes it, and its samples ``(channel, time)``."""
    sound = np.random.default_rng(0).uniform(-1, 1, (n_samples, n_channels))
    file = io.BytesIO()
    soundfile.write(file, sound, 22050, subtype=subtype, format="WAV")
    file.seek(0)
    stored = soundfile.read(io.BytesIO(file.getvalue()), dtype="float64", always_2d=True)[0]
    return file, stored.T


def through(data, form, block=37):
    """Return what comes out of a writer that is given what a reader gives."""
    out = io.BytesIO()
    writer = PipeWriter(out, form)
    for part in blocks_of(data, form, block):
        writer.write(part)
    writer.close()
    return out


@pytest.mark.parametrize(("storage", "subtype"), SUBTYPES.items())
def test_wav_comes_out_as_it_went_in(storage, subtype):
    file, sound = wav(subtype)
    form = read_wav_header(file)
    assert (form.sample_rate, form.n_channels, form.storage) == (22050, 2, storage)
    out = through(file, form)
    out.seek(0)
    back, rate = soundfile.read(out, dtype="float64", always_2d=True)
    assert rate == 22050
    np.testing.assert_array_equal(back.T, sound)


@pytest.mark.parametrize(("name", "storage"), RAW.items())
def test_bare_samples_come_out_as_they_went_in(name, storage):
    data = np.random.default_rng(1).uniform(-1, 1, 900).astype("<f4" if name.startswith("f") else "<f8").tobytes()
    if storage.startswith("int"):
        data = np.random.default_rng(1).integers(0, 256, 7200, dtype=np.uint8).tobytes()
    form = PipeFormat(48000, 3, storage, is_wav=False)
    assert through(io.BytesIO(data), form).getvalue() == data


def test_a_header_that_does_not_know_the_length_is_read_to_the_end():
    file, sound = wav("PCM_16")
    endless = bytearray(file.getvalue())
    endless[4:8] = endless[40:44] = b"\xff\xff\xff\xff"
    pipe = io.BytesIO(bytes(endless) + b"\x01")  # and a sample cut short
    form = read_wav_header(pipe)
    assert form.n_bytes is None
    np.testing.assert_array_equal(np.concatenate(list(blocks_of(pipe, form, 64)), axis=1), sound)


def test_what_follows_the_sound_is_not_taken_for_sound():
    file, sound = wav("PCM_16")
    pipe = io.BytesIO(file.getvalue() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert sum(block.shape[1] for block in blocks_of(pipe, read_wav_header(pipe), 64)) == sound.shape[1]


class Pipe(io.BytesIO):
    """One that cannot go back."""

    def seekable(self):
        return False


def test_a_pipe_has_a_header_without_an_end_and_a_file_gets_one():
    form = PipeFormat(8000, 1, "int16", is_wav=True)
    for kind, length in ((Pipe, 0xFFFFFFFF), (io.BytesIO, 200)):
        out = kind()
        writer = PipeWriter(out, form)
        writer.write(np.zeros((1, 100)))
        writer.close()
        assert struct.unpack("<I", out.getvalue()[40:44]) == (length,)


def test_samples_beyond_full_scale_are_clipped_and_counted():
    writer = PipeWriter(io.BytesIO(), PipeFormat(8000, 1, "int16", is_wav=False))
    writer.write(np.array([[0.5, 1.5, -1.5]]))
    assert writer.n_clipped == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stdin: is empty"),
        (b"RIFF\x00\x00", "stdin: ends in its header"),
        (b"ID3 is no WAV at all", "stdin: is no WAV; send WAV"),
        (b"RIFF\0\0\0\0WAVEdata\x10\0\0\0", "has no format before its sound"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", "format is cut short"),
        (b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8), "WAV of 8 bits, format 1"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f", "has no end"),
    ],
)
def test_broken_headers_are_told(data, message):
    with pytest.raises(InputError, match=message):
        read_wav_header(io.BytesIO(data))


def test_the_header_is_mended_where_it_lies(tmp_path):
    form = PipeFormat(8000, 1, "int24", is_wav=True)
    with open(tmp_path / "a", "wb") as out:
        out.write(b"before it")
        writer = PipeWriter(out, form)
        writer.write(np.zeros((1, 5)))
        writer.close()
    data = (tmp_path / "a").read_bytes()
    assert data[:9] == b"before it"
    assert struct.unpack("<I", data[9 + 4 : 9 + 8]) == (len(data) - 9 - 8,)
    assert struct.unpack("<I", data[9 + 40 : 9 + 44]) == (15,)
    assert len(data) == 9 + 44 + 16  # chunks have an even length


def test_a_file_that_is_appended_to_cannot_go_back(tmp_path):
    with open(tmp_path / "a", "ab") as out:
        writer = PipeWriter(out, PipeFormat(8000, 1, "int16", is_wav=True))
        writer.write(np.zeros((1, 5)))
        writer.close()
    assert (tmp_path / "a").stat().st_size == 44 + 10


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0x7FFFEFDC])
def test_lengths_of_programs_that_do_not_know_it_are_none(size):
    data = bytearray(wav("PCM_16")[0].getvalue()[:44])
    data[40:44] = struct.pack("<I", size)
    assert read_wav_header(io.BytesIO(bytes(data))).n_bytes is None
