"""Sound files through libsndfile: nothing is lost, nothing is late, nothing stays behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resound.audio import containers, pcm, tags
from resound.audio.files import open_plain_writer, open_reader, open_writer
from resound.audio.formats import Format, Reader, Samples, Writer
from resound.errors import InputError, OutputError

LOSSLESS_PAIRS = [
    (suffix, container, subtype)
    for suffix, container in pcm.CONTAINERS.items()
    if suffix not in (".mp3", ".ogg", ".oga", ".opus", ".wave", ".bwf", ".aif", ".snd", ".sph")
    for subtype in soundfile.available_subtypes(container)
    if subtype in pcm.LOSSLESS
    and not subtype.startswith(("ALAC", "DWVW"))
    and (container, subtype) != ("PAF", "PCM_24")
] + [(".wav", "WAVEX", "PCM_24"), (".wav", "WAVEX", "DOUBLE"), (".wav", "RF64", "PCM_16")]


def write(path: Path, samples: NDArray, rate: int, container: str, subtype: str, endian: str = "FILE") -> None:
    """Write ``(time, channel)`` as libsndfile does, in the blocks it survives."""
    n_channels = samples.shape[1]
    with soundfile.SoundFile(path, "w", rate, n_channels, subtype, endian, container) as file:
        for first in range(0, len(samples), 65536):
            file.write(samples[first : first + 65536])
    if container == "AIFF":  # libsndfile alone counts the pad byte of an odd number of 8-bit samples as one more
        tags.finish(path, tags.Metadata(), container, n_samples=len(samples))


def random_samples(n_samples: int, n_channels: int, subtype: str, seed: int = 0) -> NDArray:
    """Return ``(time, channel)`` samples that use every bit of a subtype, extremes included."""
    rng = np.random.default_rng(seed)
    if subtype in ("FLOAT", "DOUBLE"):
        samples = 2 * rng.standard_normal((n_samples, n_channels))
        return samples.astype("float32") if subtype == "FLOAT" else samples
    bits = {"int8": 8, "int16": 16, "int24": 24, "int32": 32}[pcm.LOSSLESS[subtype]]
    integers = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (n_samples, n_channels))
    integers[0, 0] = -(2 ** (bits - 1))
    integers[-1, -1] = 2 ** (bits - 1) - 1
    return (integers << (32 - bits)).astype(np.int32)


def as_floats(samples: NDArray) -> NDArray:
    return samples / 2.0**31 if samples.dtype == np.int32 else samples.astype(np.float64)


def copy_through(source: Path, target: Path, *, block_samples: int = 400) -> tuple[Reader, Writer, Samples]:
    """Copy a recording as a restoration of strength 0 would."""
    with open_reader(source) as reader, open_writer(target, reader, overwrite=True) as writer:
        blocks = list(reader.blocks(block_samples))
        for block in blocks:
            writer.write(block)
    return reader, writer, np.concatenate(blocks, axis=1)


def tone_burst(n_samples: int, n_channels: int, seed: int = 0) -> NDArray:
    """Return ``(time, channel)`` of low noise, which lossy codecs keep well enough to measure a delay."""
    noise = np.random.default_rng(seed).standard_normal((n_samples + 50, n_channels))
    smooth = np.apply_along_axis(lambda channel: np.convolve(channel, np.ones(8) / 8, "same"), 0, noise)
    return 0.2 * smooth[:n_samples]


def delay_samples(before: NDArray, after: NDArray) -> int:
    """Return by how many samples ``after`` lags ``before``, by cross-correlation."""
    size = 4 * len(before)
    product = np.fft.rfft(after, size) * np.conj(np.fft.rfft(before, size))
    lag = int(np.argmax(np.fft.irfft(product)))
    return lag if lag < size // 2 else lag - size


# Nothing is lost


@pytest.mark.parametrize(("suffix", "container", "subtype"), LOSSLESS_PAIRS)
def test_a_copy_holds_the_same_samples_in_the_same_kind_of_file(tmp_path, suffix, container, subtype):
    for n_channels in (1, 2, 8):
        for n_samples in (1, 2, 1001):
            if container in ("VOC", "AVR") and n_channels > 2:
                continue
            samples = random_samples(n_samples, n_channels, subtype)
            source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
            write(source, samples, 48000, container, subtype)
            reader, writer, read = copy_through(source, target)
            np.testing.assert_array_equal(read.T, as_floats(samples))
            with open_reader(target) as again:
                np.testing.assert_array_equal(np.concatenate(list(again.blocks(999)), axis=1), read)
                assert (again.format.container, again.format.codec) == (container, subtype)
                assert again.audio_md5 == reader.audio_md5 == writer.audio_md5
            assert reader.warnings == writer.warnings == []
            assert writer.n_clipped == 0


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize(("suffix", "container"), [(".wav", "WAV"), (".aifc", "AIFF"), (".au", "AU"), (".caf", "CAF")])
def test_byte_order_is_kept(tmp_path, suffix, container, endian):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write(source, random_samples(100, 2, "PCM_16"), 44100, container, "PCM_16", endian)
    _, _, read = copy_through(source, target)
    assert soundfile.info(target).endian == soundfile.info(source).endian
    np.testing.assert_array_equal(soundfile.read(target)[0].T, read)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000, 384000])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".w64", ".caf"])
def test_every_sample_rate_is_kept(tmp_path, suffix, rate):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write(source, random_samples(100, 1, "PCM_24"), rate, pcm.CONTAINERS[suffix], "PCM_24")
    copy_through(source, target)
    assert soundfile.info(target).samplerate == rate


@given(
    pair=st.sampled_from(LOSSLESS_PAIRS),
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000, 192000]),
    n_channels=st.integers(1, 8),
    n_samples=st.integers(1, 3000),
    block_samples=st.integers(1, 3001),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_lossless_reads_back_identical(tmp_path, pair, rate, n_channels, n_samples, block_samples, seed):
    suffix, container, subtype = pair
    n_channels = min(n_channels, 2) if container in ("VOC", "AVR") else n_channels
    rate = min(rate, 48000) if container in ("VOC", "AVR") else rate
    samples = random_samples(n_samples, n_channels, subtype, seed)
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write(source, samples, rate, container, subtype)
    copy_through(source, target, block_samples=max(block_samples, n_samples // 20 + 1))
    with open_reader(target) as again:
        assert again.format.n_samples == n_samples
        np.testing.assert_array_equal(next(again.blocks(n_samples)).T, as_floats(samples))


def test_the_checksum_is_of_interleaved_little_endian_samples(tmp_path):
    samples = random_samples(100, 2, "PCM_16")
    write(tmp_path / "in.wav", samples, 8000, "WAV", "PCM_16")
    with open_reader(tmp_path / "in.wav") as reader:
        list(reader.blocks(33))
    assert reader.audio_md5 == hashlib.md5((samples >> 16).astype("<i2").tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("subtype", "suffix", "expected", "warned"),
    [
        ("PCM_U8", ".flac", "PCM_S8", False),
        ("PCM_16", ".flac", "PCM_16", False),
        ("PCM_24", ".flac", "PCM_24", False),
        ("PCM_32", ".flac", "PCM_24", True),
        ("FLOAT", ".flac", "PCM_24", True),
        ("DOUBLE", ".flac", "PCM_24", True),
        ("DOUBLE", ".aiff", "DOUBLE", False),
        ("PCM_24", ".voc", "PCM_16", True),
        ("ULAW", ".wav", "PCM_16", False),
        ("MS_ADPCM", ".wav", "PCM_16", False),
        ("GSM610", ".wav", "PCM_16", False),
    ],
)
def test_another_kind_of_file_gets_the_narrowest_type_that_loses_nothing(tmp_path, subtype, suffix, expected, warned):
    write(tmp_path / "in.wav", tone_burst(4000, 1), 8000, "WAV", subtype)
    _, writer, read = copy_through(tmp_path / "in.wav", tmp_path / f"out{suffix}")
    assert soundfile.info(tmp_path / f"out{suffix}").subtype == expected
    assert any("rounded" in warning for warning in writer.warnings) == warned
    if not warned:
        np.testing.assert_array_equal(soundfile.read(tmp_path / f"out{suffix}")[0], read[0])


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path):
    with open_plain_writer(tmp_path / "a.wav", sample_rate=8000, n_channels=1, storage="int16") as writer:
        stored = writer.write(np.array([[0.5, 1.5, -1.5, 1.0]]))
    np.testing.assert_array_equal(stored, [[0.5, 32767 / 32768, -1.0, 32767 / 32768]])
    assert writer.n_clipped == 3
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav")[0], stored[0])


def test_float_files_keep_what_is_beyond_full_scale(tmp_path):
    loud = np.array([[0.5, 1.5, -3.0]])
    for storage in ("float32", "float64"):
        path = tmp_path / f"{storage}.wav"
        with open_plain_writer(path, sample_rate=8000, n_channels=1, storage=storage) as writer:
            writer.write(loud)
        np.testing.assert_array_equal(soundfile.read(path)[0], loud[0])
        assert soundfile.info(path).subtype == {"float32": "FLOAT", "float64": "DOUBLE"}[storage]


# Lossy formats


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "rate"),
    [(".mp3", rate) for rate in pcm.MP3_RATES]
    + [(".opus", rate) for rate in pcm.OPUS_RATES]
    + [(".ogg", rate) for rate in (8000, 16000, 22050, 44100, 48000, 96000)],
)
def test_lossy_files_are_neither_late_nor_longer_over_two_generations(tmp_path, suffix, rate, n_channels):
    for n_samples in (1, 1000, rate // 4 + 77):
        sound = tone_burst(n_samples, n_channels)
        write(tmp_path / "in.wav", sound, rate, "WAV", "PCM_16")
        copy_through(tmp_path / "in.wav", tmp_path / f"first{suffix}")
        copy_through(tmp_path / f"first{suffix}", tmp_path / f"second{suffix}")
        for generation in ("first", "second"):
            decoded, decoded_rate = soundfile.read(tmp_path / f"{generation}{suffix}", always_2d=True)
            assert (decoded.shape, decoded_rate) == (sound.shape, rate)
            if n_samples > 1000:
                assert delay_samples(sound[:, 0], decoded[:, 0]) == 0


@pytest.mark.parametrize("kbps", [64, 96, 128, 192, 256, 320])
def test_mp3_is_written_at_the_bit_rate_of_its_source(tmp_path, kbps):
    level = (320 - kbps) / (320 - 32)
    path = tmp_path / "in.mp3"
    with soundfile.SoundFile(
        path, "w", 44100, 2, "MPEG_LAYER_III", format="MP3", compression_level=level, bitrate_mode="CONSTANT"
    ) as file:
        file.write(tone_burst(5 * 44100, 2))
    copy_through(path, tmp_path / "out.mp3", block_samples=65536)
    assert (tmp_path / "out.mp3").stat().st_size == pytest.approx(path.stat().st_size, rel=0.01)


@pytest.mark.parametrize("level", [0.2, 0.5, 0.8])
def test_vorbis_is_written_at_no_less_than_the_nominal_bit_rate_of_its_source(tmp_path, level):
    path = tmp_path / "in.ogg"
    with soundfile.SoundFile(path, "w", 44100, 2, "VORBIS", format="OGG", compression_level=level) as file:
        file.write(tone_burst(44100, 2))
    copy_through(path, tmp_path / "out.ogg")
    before, after = (containers.sound_header(tmp_path / name, "OGG") for name in ("in.ogg", "out.ogg"))
    assert after.nominal_bit_rate >= before.nominal_bit_rate > 0


@pytest.mark.parametrize(
    ("suffix", "rate", "n_channels", "words"),
    [
        (".mp3", 96000, 1, "MP3 cannot hold"),
        (".mp3", 44100, 3, "MP3 cannot hold 3 channels"),
        (".opus", 44100, 1, "Opus cannot hold 44100 Hz"),
        (".voc", 44100, 3, "VOC cannot hold 3 channels"),
        (".flac", 44100, 9, "FLAC cannot hold 9 channels"),
    ],
)
def test_a_format_that_cannot_hold_the_sound_is_refused_in_one_line(tmp_path, suffix, rate, n_channels, words):
    write(tmp_path / "in.wav", tone_burst(100, n_channels), rate, "WAV", "PCM_16")
    with pytest.raises(OutputError, match=words) as caught:
        copy_through(tmp_path / "in.wav", tmp_path / f"out{suffix}")
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["in.wav"]


# Reading


@pytest.mark.parametrize(
    ("suffix", "container", "subtype"),
    [
        (".wav", "WAV", "PCM_24"),
        (".flac", "FLAC", "PCM_16"),
        (".ogg", "OGG", "VORBIS"),
        (".opus", "OGG", "OPUS"),
        (".mp3", "MP3", "MPEG_LAYER_III"),
    ],
)
def test_an_excerpt_equals_a_slice_of_the_whole(tmp_path, suffix, container, subtype):
    path = tmp_path / f"in{suffix}"
    write(path, tone_burst(48000, 2), 48000, container, subtype)
    with open_reader(path) as reader:
        whole = np.concatenate(list(reader.blocks(5000)), axis=1)
    with open_reader(path, start_seconds=0.3, duration_seconds=0.25) as reader:
        assert reader.format.n_samples == 12000
        excerpt = np.concatenate(list(reader.blocks(5000)), axis=1)
    # A decoder that starts in the middle of a lossy stream has not heard what came before.
    tolerance = 0 if reader.format.lossless else 1e-6
    np.testing.assert_allclose(excerpt, whole[:, 14400:26400], atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_24")],
)
def test_what_is_read_does_not_depend_on_the_block_size(tmp_path, container, subtype):
    path = tmp_path / "in"
    write(path, tone_burst(40000, 2), 48000, container, subtype)
    whole = soundfile.read(path)[0].T
    for block_samples in (77, 999, 4096, 40000):
        with open_reader(path) as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks(block_samples)), axis=1), whole)


def test_samples_that_are_not_finite_are_read_as_zero_and_counted(tmp_path):
    samples = np.full((4000, 2), 0.25, "float32")
    samples[1500, 0], samples[1600, 1] = np.nan, np.inf
    write(tmp_path / "in.wav", samples, 1000, "WAV", "FLOAT")
    with open_reader(tmp_path / "in.wav") as reader:
        read = np.concatenate(list(reader.blocks(999)), axis=1)
    assert read[0, 1500] == read[1, 1600] == 0.0
    assert np.count_nonzero(read) == 7998
    [warning] = reader.warnings
    assert "2 samples are not finite (first at 1.50 s)" in warning


def test_a_damaged_flac_frame_becomes_silence_and_the_rest_stays_in_time(tmp_path):
    path = tmp_path / "in.flac"
    samples = random_samples(60000, 1, "PCM_16")
    write(path, samples, 8000, "FLAC", "PCM_16")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with open_reader(path) as reader:
        read = np.concatenate(list(reader.blocks(7000)), axis=1)[0]
    wrong = np.flatnonzero(read != as_floats(samples)[:, 0])
    assert len(read) == 60000
    assert 0 < len(wrong) < 6000
    assert not read[wrong].any()
    [warning] = reader.warnings
    assert "could not be decoded and are silent" in warning


def test_flac_that_does_not_match_its_own_checksum_is_reported(tmp_path):
    path = tmp_path / "in.flac"
    write(path, random_samples(1000, 2, "PCM_16"), 8000, "FLAC", "PCM_16")
    content = bytearray(path.read_bytes())
    content[4 + 4 + 20] ^= 1  # within the checksum in STREAMINFO
    path.write_bytes(content)
    with open_reader(path) as reader:
        list(reader.blocks(1000))
    assert "does not match its own checksum" in reader.warnings[0]


@pytest.mark.parametrize(
    ("suffix", "container", "subtype"),
    [
        (".wav", "WAV", "PCM_16"),
        (".wav", "WAV", "FLOAT"),
        (".wav", "RF64", "PCM_24"),
        (".w64", "W64", "PCM_16"),
        (".aiff", "AIFF", "PCM_16"),
        (".au", "AU", "PCM_16"),
        (".caf", "CAF", "PCM_16"),
        (".flac", "FLAC", "PCM_16"),
        (".mp3", "MP3", "MPEG_LAYER_III"),
    ],
)
def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes_with_a_warning(tmp_path, suffix, container, subtype):
    path = tmp_path / f"in{suffix}"
    write(path, tone_burst(40000, 1), 8000, container, subtype)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with open_reader(path) as reader:
        n_read = sum(block.shape[1] for block in reader.blocks(1000))
    assert 20000 <= n_read <= 26000
    [warning] = reader.warnings
    seconds = float(warning.split(" s ")[-2].split()[-1])
    assert seconds == pytest.approx((40000 - n_read) / 8000, abs=0.5)


@pytest.mark.parametrize(("container", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_an_ogg_stream_without_its_last_page_is_reported(tmp_path, container, subtype):
    path = tmp_path / "in.ogg"
    write(path, tone_burst(80000, 1), 8000, container, subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    with open_reader(path) as reader:
        list(reader.blocks(1000))
    assert "its end may be missing" in reader.warnings[0]


def test_a_wav_whose_recorder_never_wrote_the_sizes_is_read_whole(tmp_path):
    for size in (0, 0xFFFFFFFF):
        path = tmp_path / "in.wav"
        samples = random_samples(1000, 1, "PCM_16")
        write(path, samples, 8000, "WAV", "PCM_16")
        content = bytearray(path.read_bytes())
        content[40:44] = size.to_bytes(4, "little")
        path.write_bytes(content)
        with open_reader(path) as reader:
            np.testing.assert_array_equal(next(reader.blocks(2000)).T, as_floats(samples))
        assert reader.warnings == []


def test_an_excerpt_beyond_the_end_is_refused(tmp_path):
    write(tmp_path / "in.wav", tone_burst(800, 1), 8000, "WAV", "PCM_16")
    with pytest.raises(InputError, match=r"0\.100 s long"):
        open_reader(tmp_path / "in.wav", start_seconds=1)


# Writing


def test_the_same_input_gives_the_same_file(tmp_path):
    write(tmp_path / "in.wav", tone_burst(5000, 2), 48000, "WAV", "FLOAT")
    for suffix in (".wav", ".aiff", ".caf", ".flac", ".ogg", ".opus", ".mp3"):
        copies = []
        for name in ("a", "b"):
            copy_through(tmp_path / "in.wav", tmp_path / f"{name}{suffix}")
            content = bytearray((tmp_path / f"{name}{suffix}").read_bytes())
            copies.append(content)
        assert copies[0] == copies[1], suffix


def test_the_time_of_day_is_not_in_the_file(tmp_path, monkeypatch):
    with open_plain_writer(tmp_path / "a.wav", sample_rate=8000, n_channels=1, storage="float32") as writer:
        writer.write(np.full((1, 10), 0.5))
    with open(tmp_path / "a.wav", "rb") as handle:
        peak = next(chunk for chunk in containers.chunks(handle) if chunk.name == b"PEAK")
        assert containers.read_at(handle, peak.offset + 4, 4) == bytes(4)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_no_file_behind(tmp_path, failure):
    target = tmp_path / "out" / "a.flac"
    with (
        pytest.raises(failure),
        open_plain_writer(target, sample_rate=8000, n_channels=1, storage="int16") as writer,
    ):
        writer.write(np.zeros((1, 100)))
        raise failure
    assert os.listdir(target.parent) == []


def test_ctrl_c_while_libsndfile_calls_back_is_not_swallowed(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        open_plain_writer(tmp_path / "a.wav", sample_rate=8000, n_channels=1, storage="int16") as writer,
    ):
        monkeypatch.setattr(pcm, "_write_all", interrupted)
        writer.write(np.zeros((1, 100_000)))
    assert os.listdir(tmp_path) == []


def test_a_result_that_is_not_finite_is_refused(tmp_path):
    with (
        pytest.raises(OutputError, match="not finite"),
        open_plain_writer(tmp_path / "a.wav", sample_rate=8000, n_channels=1, storage="int16") as writer,
    ):
        writer.write(np.full((1, 10), np.nan))
    assert os.listdir(tmp_path) == []


def test_a_wav_of_unknown_length_that_outgrows_its_header_becomes_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "FOUR_GIGABYTES", 5000)
    samples = random_samples(4000, 1, "PCM_16")
    for n_samples, container in ((1000, "WAV"), (4000, "RF64")):
        path = tmp_path / f"{n_samples}.wav"
        with open_plain_writer(path, sample_rate=8000, n_channels=1, storage="int16") as writer:
            writer.write(as_floats(samples[:n_samples]).T)
        assert soundfile.info(path).format == container
        np.testing.assert_array_equal(soundfile.read(path, always_2d=True)[0], as_floats(samples[:n_samples]))


def test_a_wav_known_to_pass_4_gb_is_written_as_rf64_and_an_aiff_refused(tmp_path):
    long = Format("WAV", "PCM_24", 96000, 8, 2_000_000_000, "int24", lossless=True)
    encoding, _ = pcm.encoding_like(tmp_path / "a.wav", long)
    assert (encoding.container, encoding.subtype) == ("RF64", "PCM_24")
    with pytest.raises(OutputError, match="at most 4 GB"):
        pcm.open_writer_of(tmp_path / "a.aiff", long, overwrite=False)


def test_an_aiff_of_unknown_length_stops_where_its_header_cannot_count(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "FOUR_GIGABYTES", 5000)
    with (
        pytest.raises(OutputError, match="AIFF holds at most 4 GB"),
        open_plain_writer(tmp_path / "a.aiff", sample_rate=8000, n_channels=1, storage="int16") as writer,
    ):
        writer.write(np.zeros((1, 4000)))
    assert os.listdir(tmp_path) == []


FILL_THE_DISK = """
    import resource, signal, sys
    import numpy as np
    from resound.audio.files import open_plain_writer
    from resound.errors import OutputError

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if sys.argv[2] == "limited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 48000))
    try:
        with open_plain_writer(sys.argv[1], sample_rate=48000, n_channels=1, storage="int16") as writer:
            for _ in range(int(sys.argv[3])):
                writer.write(noise)
    except OutputError as error:
        print(error)
"""


def fill_the_disk(path: Path, how: str, n_seconds: int = 10) -> str:
    command = [sys.executable, "-c", textwrap.dedent(FILL_THE_DISK), str(path), how, str(n_seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_a_file_size_limit_is_one_line_and_leaves_no_file(tmp_path, suffix):
    out = fill_the_disk(tmp_path / f"a{suffix}", "limited")
    assert "disk full" in out
    assert out.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def tiny_disk(tmp_path_factory):
    """A file system of 200 kB."""
    folder = tmp_path_factory.mktemp("tiny")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".opus", ".caf"])
def test_a_full_disk_is_one_line_and_leaves_no_file(tiny_disk, suffix):
    out = fill_the_disk(tiny_disk / f"a{suffix}", "as it is")
    assert "disk full" in out
    assert out.count("\n") == 1
    assert os.listdir(tiny_disk) == []


def test_a_disk_that_fills_while_the_tags_are_put_in_leaves_no_file(tiny_disk):
    out = fill_the_disk(tiny_disk / "a.ogg", "as it is", n_seconds=8)  # 150 kB, written twice
    assert "disk full" in out
    assert os.listdir(tiny_disk) == []


def test_metadata_of_a_plain_file_is_none(tmp_path):
    with open_plain_writer(tmp_path / "a.wav", sample_rate=8000, n_channels=1, storage="int16") as writer:
        writer.write(np.zeros((1, 10)))
    assert tags.read_metadata(tmp_path / "a.wav")[0].before == ()
