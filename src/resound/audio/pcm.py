"""Sound files read and written by libsndfile, in blocks, without changing a bit that need not change.

Facts about libsndfile 1.2.2 that shape this module, each measured:

- Integers pass exactly only as integers: it scales floats by 32767 when it writes, by 32768 when it reads.
- One write of 60 s of stereo Vorbis crashes the process: never more than 65,536 frames at a time.
- A failed write to disk is reported without its reason, or not at all: hence `_Sink`.
- Float files get a PEAK chunk with the time of day, so the same input would not give the same file: that is
  set to 0 in the end (switching the chunk off leaves its bytes behind the sound of short AIFF files).
- Padding is counted as samples in 8-bit AIFF and in Wave64: the header's own count is taken.
- MP3 at constant bit rates below 64 kbit/s has no room for the header that says how much padding the encoder
  added, and comes back 1,105 samples late.  From 64 kbit/s up, length and delay are exact at all nine rates.
- An MP3 without that header is cut or stretched to a length guessed from its first frame: left to PyAV.
- MP3 ``compression_level`` maps 0..1 to the highest..lowest bit rate of the sample rate; Opus maps it to
  256..6 kbit/s per channel; Vorbis to quality 10..0.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from resound.audio import atomic, containers, tags
from resound.audio.formats import BITS, Format, Quantiser, Reader, Samples, Storage, lossy_warning
from resound.errors import InputError, OutputError
from resound.interruption import uninterrupted

# Lossless codings and the narrowest type that holds what they decode to; every other coding is lossy.
LOSSLESS: dict[str, Storage] = {
    "PCM_S8": "int8",
    "PCM_U8": "int8",
    "PCM_16": "int16",
    "PCM_24": "int24",
    "PCM_32": "int32",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "DWVW_12": "int16",
    "DWVW_16": "int16",
    "DWVW_24": "int24",
    "DPCM_8": "int8",
    "DPCM_16": "int16",
    "ALAC_16": "int16",
    "ALAC_20": "int24",
    "ALAC_24": "int24",
    "ALAC_32": "int32",
}
TRANSFORM_CODECS = {"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}  # decode to floats

# What each suffix is written as.  MAT and SDS are left out: their headers carry the date, or lose samples.
CONTAINERS: dict[str, str] = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".bwf": "WAV",
    ".rf64": "RF64",
    ".w64": "W64",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF",
    ".au": "AU",
    ".snd": "AU",
    ".caf": "CAF",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".avr": "AVR",
    ".nist": "NIST",
    ".sph": "NIST",
    ".paf": "PAF",
    ".pvf": "PVF",
    ".sf": "IRCAM",
    ".voc": "VOC",
}
FOUR_GIGABYTE_CONTAINERS = ("AIFF", "AU", "VOC", "AVR", "PAF", "IRCAM", "NIST", "PVF")
RIFF_CONTAINERS = ("WAV", "WAVEX", "RF64")
BIT_RATES_KBPS = {  # MPEG layer III, by the lowest sample rate they serve
    32000: (64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    16000: (64, 80, 96, 112, 128, 144, 160),
    8000: (64,),
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
ALAC_16_BIT = b"\x00\x00\x00\x01"
MAX_FRAMES_PER_WRITE = 65_536
DAMAGE_STEP_SAMPLES = 256
MAX_DAMAGE_SAMPLES = 131_072  # a longer gap in a FLAC file is its end


class NotASoundFile(InputError):
    """libsndfile does not know this format, or must not be asked to open it."""


class PcmReader:
    """A sound file opened by libsndfile; see `resound.audio.formats.Reader`."""

    def __init__(self, path: Path, *, start_seconds: float = 0.0, duration_seconds: float | None = None) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._file = _open(path)
        try:
            self.endian: str = self._file.endian
            self._header = containers.sound_header(path, self._file.format)
            self.format, self.start_sample = self._describe(start_seconds, duration_seconds)
        except BaseException:
            self._file.close()
            raise
        self._quantiser = Quantiser(self.format.storage)
        self._position = self.start_sample  # in the file
        self._end_sample = self.start_sample + (self.format.n_samples or 0)
        # Small pieces in FLAC: what stood before a damaged frame in the same piece is lost with it.
        self._piece_samples = 1024 if self.format.container == "FLAC" else MAX_FRAMES_PER_WRITE
        self._silence_due = self._n_silent = self._first_silent = 0
        self._n_not_finite = 0
        self._first_not_finite = 0

    def _describe(self, start_seconds: float, duration_seconds: float | None) -> tuple[Format, int]:
        """Return the format of the excerpt and its first sample, having moved there."""
        file = self._file
        rate = file.samplerate
        n_frames = file.frames
        if self._header.n_frames and file.subtype in LOSSLESS:
            n_frames = min(n_frames, self._header.n_frames)
        if n_frames <= 0 and self._header.audio_bytes > 0 and file.format in RIFF_CONTAINERS:
            raise NotASoundFile(f"{self.path}: its header was never completed")  # PyAV reads on to the end
        if n_frames <= 0:
            raise InputError(_no_samples(self.path, self._header.missing_bytes))
        start = round(start_seconds * rate)
        if start >= n_frames:
            length = n_frames / rate
            raise InputError(
                f"{self.path}: is {length:.3f} s long, cannot be read from {start_seconds:g} s; start earlier"
            )
        n_samples = n_frames - start
        if duration_seconds is not None:
            n_samples = min(n_samples, max(1, round(duration_seconds * rate)))
        if file.format == "FLAC" and not _can_read_first(file):
            raise NotASoundFile(f"{self.path}: is damaged, or cut off before its first sample")
        if start:
            file.seek(start)
        if self._header.missing_bytes and file.format != "MP3":  # there, what can be decoded tells
            missing = self._header.missing_bytes / self._header.bytes_per_second
            self.warnings.append(f"{self.path}: cut off; {missing:.2f} s that its header promises are missing")
        lossy = file.subtype not in LOSSLESS
        lossy_storage: Storage = "float32" if file.subtype in TRANSFORM_CODECS else "int16"
        bit_rate = None
        if lossy:
            measured = round(self._header.audio_bytes * 8 * rate / n_frames)
            bit_rate = max(measured, self._header.nominal_bit_rate)
        described = Format(
            container=file.format,
            codec=file.subtype,
            sample_rate=rate,
            n_channels=file.channels,
            n_samples=n_samples,
            storage=LOSSLESS.get(file.subtype, lossy_storage),
            lossless=not lossy,
            bit_rate=bit_rate,
        )
        return described, start

    def blocks(self, block_samples: int) -> Iterator[Samples]:
        """Yield ``(channel, time)`` blocks of ``block_samples``, the last one shorter."""
        wanted = self.format.n_samples or 0
        position = 0
        while position < wanted:
            block = self._fill(min(block_samples, wanted - position))
            n_read = block.shape[1]
            if n_read:
                yield self._cleaned(block, position)
            position += n_read
            if n_read < min(block_samples, wanted - position + n_read):
                break
        self._conclude(position, wanted)

    def _fill(self, n_samples: int) -> Samples:
        """Return the next ``n_samples``, fewer only where the file ends or is damaged beyond reading."""
        buffer = np.zeros((n_samples, self.format.n_channels))
        n_read = 0
        while n_read < n_samples:
            if self._silence_due:
                n_new = min(self._silence_due, n_samples - n_read)
                self._silence_due -= n_new
            else:
                n_new = self._read_into(buffer[n_read : n_read + self._piece_samples])
            if n_new == 0:
                break
            n_read += n_new
            self._position += n_new
        return np.ascontiguousarray(buffer[:n_read].T)

    def _read_into(self, buffer: NDArray[np.float64]) -> int:
        """Fill ``(time, channel)`` with sound, or silence where it is damaged; say how much, 0 at end."""
        try:
            return _read_on(self._file, buffer)
        except soundfile.LibsndfileError:
            buffer[:] = 0.0
            gap = self._gap_to_sound() if self.format.container == "FLAC" else 0
            if gap and not self._n_silent:
                self._first_silent = self._position
            self._n_silent += gap
            self._silence_due = max(0, gap - len(buffer))
            return min(gap, len(buffer))

    def _gap_to_sound(self) -> int:
        """Return after how many samples FLAC can be read again, and move there; 0 when it cannot.

        A decoder that met a damaged frame is of no more use: hence the new ones.
        """
        for gap in range(DAMAGE_STEP_SAMPLES, MAX_DAMAGE_SAMPLES, DAMAGE_STEP_SAMPLES):
            if self._position + gap >= self._end_sample:
                return 0
            self._file.close()
            self._file = _open(self.path)
            with suppress(soundfile.LibsndfileError):
                self._file.seek(self._position + gap)
                if _read_on(self._file, np.empty((self._piece_samples, self.format.n_channels))):
                    self._file.seek(self._position + gap)
                    return gap
        return 0

    def _cleaned(self, block: Samples, position: int) -> Samples:
        """Return the block with samples that are not finite set to 0 and counted."""
        if self.format.storage.startswith("float"):
            bad = ~np.isfinite(block)
            if bad.any():
                if not self._n_not_finite:
                    self._first_not_finite = self.start_sample + position + int(bad.any(axis=0).argmax())
                self._n_not_finite += int(bad.sum())
                block[bad] = 0.0
        self._quantiser.quantise(block)
        return block

    def _conclude(self, n_read: int, n_wanted: int) -> None:
        """Add the warnings that only reading could tell."""
        rate = self.format.sample_rate
        if self._n_not_finite:
            self.warnings.append(
                f"{self.path}: {self._n_not_finite:,} samples are not finite "
                f"(first at {self._first_not_finite / rate:.2f} s); read as 0"
            )
        if n_read == 0:
            raise InputError(_no_samples(self.path, 1))
        if self._n_silent:
            self.warnings.append(
                f"{self.path}: damaged at {self._first_silent / rate:.2f} s; "
                f"{self._n_silent / rate:.2f} s could not be decoded and are silent"
            )
        if self._header.lacks_end and self._end_sample == self._file.frames:
            self.warnings.append(f"{self.path}: does not end as its format asks; its end may be missing")
        if n_read < n_wanted:
            self.warnings.append(
                f"{self.path}: cut off or damaged at {(self.start_sample + n_read) / rate:.2f} s; "
                f"{(n_wanted - n_read) / rate:.2f} s could not be read"
            )
        elif (
            self._header.audio_md5
            and not self._n_silent
            and not self._n_silent
            and n_read == self._file.frames
            and self.audio_md5 != self._header.audio_md5
        ):
            self.warnings.append(f"{self.path}: its sound does not match its own checksum; the file is damaged")

    @property
    def audio_md5(self) -> str:
        """MD5 of the samples read so far, interleaved little-endian in their storage type."""
        return self._quantiser.md5

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def __enter__(self) -> PcmReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _open(path: Path) -> soundfile.SoundFile:
    """Return the opened file, or raise `NotASoundFile`."""
    with open(path, "rb") as handle:
        start = handle.read(65536)
    is_alac = start[:4] == b"caff" and start[8:12] == b"desc" and start[28:32] == b"alac"
    if is_alac and start[32:36] != ALAC_16_BIT:  # 24 and 32 bit may end the whole process
        raise NotASoundFile(f"{path}: holds Apple Lossless in CAF, which could not be decoded")
    if containers.is_mpeg_without_length(path):
        raise NotASoundFile(f"{path}: MP3 does not say how long it is")
    if start[:4] == b"OggS" and containers.is_chained(path):
        raise InputError(f"{path}: is several Ogg recordings joined into one; split them and restore each")
    try:
        # By descriptor, so that the content alone decides and not the suffix.  libsndfile then owns it.
        file = soundfile.SoundFile(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        if file.format == "OGG" and file.frames == 0:
            file = _without_comments(path) or file
        return file
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        reason = one_line(error)
        if "not recognised" in reason or "possibly a pipe" in reason:
            raise NotASoundFile(f"{path}: is not a sound file of a known kind") from None
        raise NotASoundFile(f"{path}: is damaged ({reason})") from None


def _read_on(file: soundfile.SoundFile, buffer: NDArray[np.float64]) -> int:
    """Fill C-contiguous ``(time, channel)`` from where the file stands; return how many samples there were.

    `soundfile.SoundFile.read` seeks after each read, which makes Opus and MP3 start their decoders anew: the
    sound would depend on the block size (by 0.3 of full scale in Opus), hence libsndfile directly.
    """
    pointer = soundfile._ffi.from_buffer("double[]", buffer)
    n_read: int = soundfile._snd.sf_readf_double(file._file, pointer, len(buffer))
    error = soundfile._snd.sf_error(file._file)
    if error:
        raise soundfile.LibsndfileError(error)
    return n_read


def _without_comments(path: Path) -> soundfile.SoundFile | None:
    """Return an Ogg file opened as if it had no comments: libvorbis gives up where those are damaged."""
    with tempfile.TemporaryFile() as repaired:
        try:
            for piece in tags.ogg_with_comments(path, tags.NO_COMMENTS):
                repaired.write(piece)
        except ValueError:
            return None
        repaired.flush()
        repaired.seek(0)
        return soundfile.SoundFile(os.dup(repaired.fileno()))


def _can_read_first(file: soundfile.SoundFile) -> bool:
    """Return whether FLAC decodes at all: libsndfile opens it also where libFLAC gives up on its metadata."""
    with suppress(soundfile.LibsndfileError):
        n_read = _read_on(file, np.empty((1, file.channels)))
        file.seek(0)
        return n_read == 1
    return False


def _no_samples(path: Path, missing_bytes: int) -> str:
    if missing_bytes:
        return f"{path}: is cut off before its first sample; get a complete copy"
    return f"{path}: holds no samples; record or copy it again"


def one_line(error: BaseException) -> str:
    """Return a library's message as one line, without the file name it repeats."""
    text = str(error).split(": ", 1)[-1] if isinstance(error, soundfile.LibsndfileError) else str(error)
    return " ".join(text.split()).rstrip(".")


# Writing


@dataclass(frozen=True)
class Encoding:
    """How a file is written, in libsndfile's terms."""

    container: str
    subtype: str
    storage: Storage
    endian: str = "FILE"
    compression_level: float | None = None
    bitrate_mode: str | None = None


class PcmWriter:
    """A sound file being written by libsndfile; see `resound.audio.formats.Writer`."""

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        *,
        sample_rate: int,
        n_channels: int,
        overwrite: bool,
        metadata: tags.Metadata | None = None,
        may_grow: bool = False,
    ) -> None:
        """``may_grow``: of unknown length; a WAV that passes 4 GB becomes RF64 in the end."""
        self.path = path
        self.warnings: list[str] = []
        self._encoding = encoding
        self._overwrite = overwrite
        self._metadata = metadata or tags.Metadata()
        self._may_grow = may_grow
        self._quantiser = Quantiser(encoding.storage)
        self._temporary = atomic.reserve(path, overwrite=overwrite)
        self._sink: _Sink | None = None
        self._file: soundfile.SoundFile | None = None
        self._n_samples = 0
        self.n_clipped = 0
        self.format = Format(
            container=encoding.container,
            codec=encoding.subtype,
            sample_rate=sample_rate,
            n_channels=n_channels,
            n_samples=None,
            storage=encoding.storage,
            lossless=encoding.subtype in LOSSLESS,
        )

    def __enter__(self) -> PcmWriter:
        try:
            with self._failures():
                split, inserted = tags.prologue(self._metadata, self._encoding.container, may_grow=self._may_grow)
                self._sink = _Sink(self._temporary, split=split, inserted=inserted)
                self._file = self._open_encoder(self._sink)
        except BaseException:
            self._discard()
            raise
        return self

    def _open_encoder(self, sink: _Sink) -> soundfile.SoundFile:
        encoding = self._encoding
        return soundfile.SoundFile(
            sink,
            "w",
            samplerate=self.format.sample_rate,
            channels=self.format.n_channels,
            subtype=encoding.subtype,
            endian=encoding.endian,
            format=encoding.container,
            compression_level=encoding.compression_level,
            bitrate_mode=encoding.bitrate_mode,
        )

    @property
    def audio_md5(self) -> str:
        """MD5 of the samples handed to the encoder so far, interleaved little-endian as stored."""
        return self._quantiser.md5

    def write(self, block: Samples) -> Samples:
        """Append ``(channel, time)``; return the samples as stored (rounded to the storage type, clipped)."""
        if self._file is None or self._sink is None:
            raise ValueError("a PcmWriter is written to inside its with-block")
        if not np.isfinite(block).all():
            at_seconds = self._n_samples / self.format.sample_rate
            raise OutputError(f"{self.path}: the result near {at_seconds:.2f} s is not finite; use another model")
        values, stored = self._quantiser.quantise(block)
        self.n_clipped = self._quantiser.n_clipped
        frames: NDArray[Any] = np.ascontiguousarray(values.T)
        if self._encoding.storage.startswith("int"):
            frames = frames << (32 - BITS[self._encoding.storage])  # libsndfile takes integers in the highest bits
        with self._failures():
            for first in range(0, len(frames), MAX_FRAMES_PER_WRITE):
                self._file.write(frames[first : first + MAX_FRAMES_PER_WRITE])
        self._n_samples += len(frames)
        self._check_countable(self._sink.length)
        return stored

    def _check_countable(self, n_bytes: int) -> None:
        """Refuse to go on where the header could no longer count what was written."""
        container = self._encoding.container
        if container in FOUR_GIGABYTE_CONTAINERS and n_bytes > containers.FOUR_GIGABYTES:
            raise OutputError(f"{self.path}: {container} holds at most 4 GB, and this takes more; write a .wav")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn whatever goes wrong while encoding into one line; re-raise what the sink had to keep."""
        try:
            try:
                with uninterrupted():  # libsndfile calls the sink
                    yield
            except soundfile.LibsndfileError as error:
                if self._sink is None or self._sink.failure is None:
                    raise OutputError(self._refusal(one_line(error))) from None
            if self._sink is not None and self._sink.failure is not None:
                raise self._sink.failure
        except OSError as error:
            raise atomic.write_failure(self.path, error) from None

    def _refusal(self, reason: str) -> str:
        form = self.format
        return (
            f"{self.path}: {form.container} cannot hold {form.n_channels} channels at {form.sample_rate} Hz "
            f"as {form.codec} ({reason}); write a .wav or .flac instead"
        )

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        try:
            if exc_type is None:
                self.finish()
                atomic.commit(self._temporary, self.path, overwrite=self._overwrite)
        finally:
            self._discard()

    def finish(self) -> None:
        """Close the encoder and put the metadata in: the file is complete, but for its name."""
        if self._file is None or self._sink is None:
            return
        with self._failures():
            self._file.close()
            self._sink.finish()
            container = self._encoding.container
            tags.finish(self._temporary, self._metadata, container, n_samples=self._n_samples)
            atomic.flush(self._temporary)
        self.format = replace(self.format, n_samples=self._n_samples)
        self._file = None

    def _discard(self) -> None:
        """Close whatever is open and remove the temporary file; nothing to do after a commit."""
        with uninterrupted():
            with suppress(soundfile.LibsndfileError, OSError):
                if self._file is not None:
                    self._file.close()
            if self._sink is not None:
                self._sink.close()
            self._file = None
            atomic.discard(self._temporary)


class _Sink:
    """The file that libsndfile writes into, with room for metadata inserted after its first ``split`` bytes.

    libsndfile calls it from C, where an exception would only be printed: the first is kept in ``failure``,
    and from then on all is accepted and nothing written.  Where Python itself answers Ctrl-C, that
    may arrive there, too: hence BaseException.
    """

    def __init__(self, path: Path, *, split: int, inserted: bytes) -> None:
        self.failure: BaseException | None = None
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by finish or close
        self._split = split
        self._inserted = inserted
        self._position = 0
        self.length = 0  # in bytes, as libsndfile counts: without what is inserted

    def write(self, data: bytes) -> int:
        """Write at the current position, as libsndfile counts it; always claims success."""
        try:
            if self.failure is None:
                head = max(0, self._split - self._position) if self._inserted else 0
                self._write_at(self._position, data[:head])
                self._write_at(self._position + min(head, len(data)), data[head:])
        except BaseException as failure:
            self.failure = failure
        self._position += len(data)
        self.length = max(self.length, self._position)
        return len(data)

    def _write_at(self, position: int, data: bytes) -> None:
        if data:
            self._file.seek(position + (len(self._inserted) if position >= self._split else 0))
            _write_all(self._file, data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move as libsndfile counts: the inserted bytes do not exist for it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.length}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position as libsndfile counts it."""
        return self._position

    def finish(self) -> None:
        """Write the inserted bytes and close."""
        if self.failure is None and self._inserted:
            self._file.seek(self._split)
            _write_all(self._file, self._inserted)
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()


def _write_all(file: io.FileIO, data: bytes) -> None:
    """Write everything: one unbuffered write may stop half-way where the disk becomes full."""
    view = memoryview(data)
    while len(view):
        n_written = file.write(view)
        view = view[n_written or 0 :]


# What to write


def encoding_like(path: Path, source: Format, *, endian: str = "FILE") -> tuple[Encoding, list[str]]:
    """Return the way to write ``source`` to ``path`` that loses least, and warnings for what it does lose."""
    wanted = CONTAINERS[path.suffix.lower()]
    container = _container_like(wanted, source)
    if container in ("MP3", "OGG"):
        encoding = _lossy_encoding(path, container, source)
        codec = {"MPEG_LAYER_III": "MP3"}.get(encoding.subtype, encoding.subtype.title())
        return encoding, [lossy_warning(path, codec, keeping=".wav or .flac")] if source.lossless else []
    keeps_subtype = container == source.container and source.codec in LOSSLESS
    offered = soundfile.available_subtypes(container)
    if keeps_subtype and source.codec in offered and not source.codec.startswith(("DWVW", "DPCM", "ALAC")):
        return Encoding(container, source.codec, source.storage, endian), []
    subtype, warnings = _narrowest_subtype(path, container, source.storage)
    same_kind = container == source.container
    return Encoding(container, subtype, LOSSLESS[subtype], endian if same_kind else "FILE"), warnings


def _container_like(wanted: str, source: Format) -> str:
    """Return the container: a WAV stays the kind of WAV it was; one that would pass 4 GB becomes RF64."""
    n_bytes = (source.n_samples or 0) * source.n_channels * BITS[source.storage] // 8
    if wanted == "WAV":
        if n_bytes > containers.FOUR_GIGABYTES:
            return "RF64"
        if source.container in RIFF_CONTAINERS:
            return source.container
        return "WAVEX" if source.n_channels > 2 else "WAV"  # the WAV specification asks for it
    return wanted


def _narrowest_subtype(path: Path, container: str, storage: Storage) -> tuple[str, list[str]]:
    """Return the narrowest subtype that loses nothing, else the best there is with a warning."""
    exact = {
        "int8": ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"),
        "int16": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
        "int24": ("PCM_24", "PCM_32", "FLOAT"),
        "int32": ("PCM_32", "DOUBLE"),
        "float32": ("FLOAT", "DOUBLE"),
        "float64": ("DOUBLE",),
    }[storage]
    offered = set(soundfile.available_subtypes(container))
    if "PCM_S8" in offered:
        offered.discard("PCM_U8")  # AIFF holds it only in a way that few programs read
    if container == "PAF":
        offered.discard("PCM_24")  # libsndfile pads it to whole groups of ten samples
    for subtype in exact:
        if subtype in offered:
            return subtype, []
    rounded = next(subtype for subtype in ("FLOAT", "PCM_32", "PCM_24", "PCM_16", "PCM_S8") if subtype in offered)
    if storage == "int32" and "PCM_24" in offered:
        rounded = "PCM_24"
    bits = BITS[LOSSLESS[rounded]]
    return rounded, [f"{path}: {container} holds at most {bits} bit; {storage} samples are rounded (a .wav keeps them)"]


def _lossy_encoding(path: Path, container: str, source: Format) -> Encoding:
    """Return an encoding of at least the source's bit rate, or of the best quality for a lossless source."""
    rate, n_channels = source.sample_rate, source.n_channels
    bit_rate = None if source.lossless else source.bit_rate
    if container == "MP3":
        if rate not in MP3_RATES or n_channels > 2:
            raise OutputError(
                f"{path}: MP3 cannot hold {n_channels} channels at {rate} Hz (at most 2 channels, 48000 Hz); "
                "write a .flac instead"
            )
        level = mp3_level(bit_rate, sample_rate=rate)
        return Encoding("MP3", "MPEG_LAYER_III", "float32", "FILE", level, "CONSTANT")
    source_is_opus = source.codec.upper() == "OPUS" and path.suffix.lower() != ".opus"
    if path.suffix.lower() == ".opus" or source_is_opus:
        if rate not in OPUS_RATES:
            raise OutputError(
                f"{path}: Opus cannot hold {rate} Hz (only 8000, 12000, 16000, 24000 and 48000); "
                "write a .ogg or .flac instead"
            )
        return Encoding("OGG", "OPUS", "float32", "FILE", opus_level(bit_rate, n_channels=n_channels))
    level = vorbis_level(bit_rate, sample_rate=rate, n_channels=n_channels)
    return Encoding("OGG", "VORBIS", "float32", "FILE", level)


def mp3_level(bit_rate: int | None, *, sample_rate: int) -> float:
    """Return the compression level of the lowest MP3 bit rate not below ``bit_rate`` (None: the highest)."""
    floor = next(rate for rate in BIT_RATES_KBPS if sample_rate >= rate)
    rates = BIT_RATES_KBPS[floor]
    # 2 % of slack: a file is measured with its headers, and should not move up a step at each generation
    wanted = math.inf if bit_rate is None else bit_rate / 1000 / 1.02
    chosen = next((rate for rate in rates if rate >= wanted), rates[-1])
    lowest = 32 if sample_rate >= 32000 else 8
    level = (rates[-1] - chosen) / (rates[-1] - lowest)
    return max(0.0, level - 1e-6)  # libsndfile truncates the bit rate that it computes from the level


def opus_level(bit_rate: int | None, *, n_channels: int) -> float:
    """Return the compression level of 10 % above ``bit_rate`` (None: 192 kbit/s a channel)."""
    kbps = 192.0 if bit_rate is None else 1.1 * bit_rate / 1000 / n_channels
    return float(np.clip(1 - (kbps - 6) / 250, 0.0, 0.97))


def vorbis_level(bit_rate: int | None, *, sample_rate: int, n_channels: int) -> float:
    """Return the compression level whose nominal rate is not below ``bit_rate`` (None: quality 9 of 10).

    What a quality nominally costs depends on rate and channels by tables in libvorbis: empty files tell.
    """
    if bit_rate is None:
        return 0.1
    for tenths in range(9, 0, -1):
        trial = io.BytesIO()
        with uninterrupted():
            soundfile.SoundFile(
                trial, "w", sample_rate, n_channels, "VORBIS", format="OGG", compression_level=tenths / 10
            ).close()
        trial.seek(0)
        identification = containers.ogg_packets(containers.ogg_pages(trial), 1)[0]
        if containers.nominal_bit_rate(identification) >= bit_rate:
            return tenths / 10
    return 0.0


def open_writer_like(path: Path, source: Reader, *, overwrite: bool, history: str | None) -> PcmWriter:
    """Return a writer for ``path`` with the source's rate, channels, storage and metadata."""
    endian = source.endian if isinstance(source, PcmReader) else "FILE"
    encoding, warnings = encoding_like(path, source.format, endian=endian)
    metadata, tag_warnings = tags.read_metadata(source.path)
    metadata, fit_warnings = tags.fit(
        metadata, encoding.container, history=history, big_endian=encoding.endian == "BIG"
    )
    writer = _new_writer(path, source.format, encoding, metadata=metadata, overwrite=overwrite)
    writer.warnings += warnings + tag_warnings + [f"{path}: {warning}" for warning in fit_warnings]
    if isinstance(source, PcmReader) and source.start_sample and tags.has_time_marks(metadata):
        writer.warnings.append(f"{path}: an excerpt; its time marks still count from the start of {source.path}")
    return writer


def open_writer_of(path: Path, form: Format, *, overwrite: bool) -> PcmWriter:
    """Return a writer for ``path`` with a format's rate, channels and storage, and no metadata."""
    encoding, warnings = encoding_like(path, form)
    writer = _new_writer(path, form, encoding, metadata=None, overwrite=overwrite)
    writer.warnings += warnings
    return writer


def _new_writer(
    path: Path, source: Format, encoding: Encoding, *, metadata: tags.Metadata | None, overwrite: bool
) -> PcmWriter:
    """Return the writer."""
    _check_size(path, encoding, source)
    return PcmWriter(
        path,
        encoding,
        sample_rate=source.sample_rate,
        n_channels=source.n_channels,
        overwrite=overwrite,
        metadata=metadata,
        may_grow=source.n_samples is None,
    )


def _check_size(path: Path, encoding: Encoding, source: Format) -> None:
    """Refuse what a header with 32-bit sizes is known not to count."""
    n_bytes = (source.n_samples or 0) * source.n_channels * BITS[encoding.storage] // 8
    if encoding.container in FOUR_GIGABYTE_CONTAINERS and n_bytes > containers.FOUR_GIGABYTES:
        size = f"{n_bytes / 2**30:.1f}"
        raise OutputError(f"{path}: {encoding.container} holds at most 4 GB, this takes {size}; write a .wav")
