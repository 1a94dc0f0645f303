"""Sound in containers: everything that FFmpeg opens and soundfile does not, from m4a to film.

Decoded samples are placed by their time stamps, so that length and sync hold: gaps become silence, overlaps
are trimmed.  Encoder priming and padding are removed where the container tells (MP4, MOV, Matroska, WebM,
Ogg); raw AAC, AC-3, AVI, MPEG-TS and FLV do not tell, and there every decoded sample counts as sound.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from numpy.typing import NDArray

from resound.audio.formats import Format, Quantiser, Reader, Samples, Storage
from resound.errors import InputError

if TYPE_CHECKING:
    from resound.audio.container_writer import ContainerWriter

TOLERANCE_SECONDS = 0.05  # time stamps this far off are jitter; beyond it, sound is missing or doubled
LONGEST_OVERLAP_SECONDS = 10  # a jump further back is a clock that was reset, not an overlap
MOST_DEAD_PACKETS_IN_A_ROW = 1000
BIT_RATE_PROBE_PACKETS = 200
_EDIT_ROUNDING = Fraction(2, 1000)

_STORAGE: dict[str, Storage] = {
    "u8": "int8",
    "s16": "int16",
    "s32": "int32",
    "flt": "float32",
    "dbl": "float64",
}
_LOSSLESS = (
    "flac",
    "alac",
    "wavpack",
    "tta",
    "ape",
    "tak",
    "truehd",
    "mlp",
    "shorten",
    "wmalossless",
    "ralf",
)
_AT_MOST_24_BITS = ("truehd", "mlp", "pcm_bluray", "pcm_dvd", "s302m")
_NOT_LINEAR = ("pcm_mulaw", "pcm_alaw", "pcm_vidc", "pcm_dvd_nonlinear")


def open_container_reader(
    path: Path | str,
    *,
    audio_track: int | None = None,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
) -> ContainerReader:
    """Open one audio track of a media file.

    ``audio_track`` counts from 1; None takes the default one.  ``start_seconds`` and ``duration_seconds``
    count from the track's first sample.  Raises `InputError` where there is no such track, or nothing here
    can decode it.
    """
    return ContainerReader(
        Path(path), audio_track=audio_track, start_seconds=start_seconds, duration_seconds=duration_seconds
    )


def open_container_writer(
    path: Path | str, source: Reader, *, audio_codec: str | None = None, overwrite: bool = False
) -> ContainerWriter:
    """Open a file for the restored track of ``source``; everything else in the source is copied untouched.

    Raises `OutputError` where the container cannot hold the track, or a stream that would have to be left
    behind.
    """
    from resound.audio.container_writer import ContainerWriter

    return ContainerWriter(Path(path), source, audio_codec=audio_codec, overwrite=overwrite)


def open_input(path: Path) -> InputContainer:
    """Open a media file for reading; `InputError` where FFmpeg cannot."""
    try:
        # "file:" keeps FFmpeg from taking a name with a colon for a network address.  Tags in old encodings
        # go through as surrogates and are written back byte for byte.
        return av.open(f"file:{path}", "r", metadata_errors="surrogateescape")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; give a file in it") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read (permission denied); change its permissions") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path}: cannot be read as audio or video ({reason}); check that it plays in another program"
        ) from None


def packets_past_damage(
    container: InputContainer,
    streams: Sequence[Stream],
    on_damage: Callable[[av.FFmpegError], None] = lambda error: None,
) -> Iterator[av.Packet]:
    """Yield packets of these streams; reading goes on behind damage, until nothing comes any more."""
    failures = 0
    while failures < 10:
        try:
            for packet in container.demux(list(streams)):
                failures = 0
                yield packet
            return
        except av.FFmpegError as error:
            failures += 1
            on_damage(error)


def is_picture_track(stream: Stream) -> bool:
    """Whether a stream is moving picture (a cover is not)."""
    return stream.type == "video" and not stream.disposition & Disposition.attached_pic


class ContainerReader:
    """One audio track of a media file, as a `Reader`."""

    def __init__(
        self, path: Path, *, audio_track: int | None, start_seconds: float, duration_seconds: float | None
    ) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.is_excerpt = start_seconds > 0 or duration_seconds is not None
        self._n_corrupt = self._n_not_finite = 0
        self._gap_seconds = self._overlap_seconds = 0.0
        self._clock_was_reset = self._just_lost_a_packet = False
        self._packets_start: Fraction | None = None  # where the first packet, priming included, says that it starts
        self._first_packet = b""
        self._packets_end: Fraction | None = None  # where the last packet says that it ends
        self._last_frame: av.AudioFrame | None = None  # known once everything is decoded
        self._container = open_input(path)
        try:
            self._stream = self._choose_track(audio_track)
            self.has_pictures = any(is_picture_track(stream) for stream in self._container.streams)
            self._frames = self._decode()
            self._first_frame = self._decode_first()
            self.format = self._describe()
        except BaseException:
            self._container.close()
            raise
        self.layout = _layout_name(self._first_frame)
        self.stream_index = self._stream.index
        self.start_seconds = _time(self._first_frame) or Fraction(
            0
        )  # of the first sample, on the container's own clock
        container_start = Fraction(self._container.start_time or 0, av.time_base)
        self.start_offset_seconds = float(self.start_seconds - container_start)
        rate = self.format.sample_rate
        self._skip_samples = round(start_seconds * rate)
        self._wanted_samples = None if duration_seconds is None else round(duration_seconds * rate)
        self.estimated_n_samples = self._estimate()
        self._quantiser = Quantiser(self.format.storage)

    # -- opening --

    def _choose_track(self, audio_track: int | None) -> AudioStream:
        """Return the wanted audio stream, with a word on which it is where there are several."""
        tracks = self._container.streams.audio
        if not tracks:
            what = "has no audio track (video only)" if self._container.streams.video else "has no audio track"
            raise InputError(f"{self.path}: {what}; give a file with sound")
        if audio_track is None:
            marked = (n for n, track in enumerate(tracks, 1) if track.disposition & Disposition.default)
            number = next(marked, 1)
        elif 1 <= audio_track <= len(tracks):
            number = audio_track
        else:
            only = "1 audio track" if len(tracks) == 1 else f"{len(tracks)} audio tracks"
            raise InputError(f"{self.path}: has {only}, not track {audio_track}; use --audio-track 1 to {len(tracks)}")
        track = tracks[number - 1]
        if track.codec_context is None:
            raise InputError(
                f"{self.path}: audio track {number} is in a codec that cannot be decoded here (unknown or "
                "encrypted); convert it to FLAC with the program that plays it"
            )
        if len(tracks) > 1 and audio_track is None:
            language = f" ({track.language})" if track.language else ""
            self.warnings.append(
                f"{len(tracks)} audio tracks; restoring track {number}{language}; choose with --audio-track"
            )
        if track.codec_context.name in ("ac3", "eac3"):
            track.codec_context.options = {"drc_scale": "0"}  # the sound itself, without the night mode
        return track

    def _decode_first(self) -> av.AudioFrame:
        try:
            return next(self._frames)
        except StopIteration:
            codec = self._stream.codec_context.codec.canonical_name
            raise InputError(
                f"{self.path}: nothing in its {codec} track can be decoded (damaged, encrypted or empty); "
                "check that it plays in another program"
            ) from None

    def _describe(self) -> Format:
        context = self._stream.codec_context
        codec = context.codec.canonical_name
        if codec in ("mp2", "mp3"):
            codec = _mpeg_layer(self._first_packet) or codec
        lossless = codec in _LOSSLESS or (codec.startswith("pcm_") and codec not in _NOT_LINEAR)
        frame = self._first_frame
        return Format(
            container=self._container.format.name,
            codec=codec,
            sample_rate=frame.sample_rate,
            n_channels=frame.layout.nb_channels,
            n_samples=None,
            storage=_storage(codec, frame.format.name, context.extradata or b""),
            lossless=lossless,
            bit_rate=None if lossless else self._bit_rate(),
        )

    def _bit_rate(self) -> int | None:
        """Return the track's bits per second, measured where the container does not say."""
        if self._stream.codec_context.bit_rate:
            return self._stream.codec_context.bit_rate
        n_bytes, times = 0, []
        with suppress(InputError, av.FFmpegError), open_input(self.path) as probe:
            stream = probe.streams[self._stream.index]
            for packet in probe.demux(stream):
                n_bytes += packet.size
                if packet.pts is not None:
                    times.append(packet.pts * packet.time_base)
                if len(times) == BIT_RATE_PROBE_PACKETS:
                    break
        if len(times) < 2:
            return None
        seconds = (times[-1] - times[0]) * Fraction(len(times), len(times) - 1)
        return round(8 * n_bytes / seconds) if seconds else None

    def _estimate(self) -> int | None:
        """Return about how many samples `blocks` will give, for a progress bar."""
        if self._stream.duration and self._stream.time_base:
            total = self._stream.duration * self._stream.time_base
        elif self._container.duration:
            total = Fraction(self._container.duration, av.time_base) - Fraction(self.start_offset_seconds)
        else:
            return self._wanted_samples
        rest = max(round(total * self.format.sample_rate) - self._skip_samples, 0)
        return rest if self._wanted_samples is None else min(rest, self._wanted_samples)

    # -- decoding --

    def _decode(self) -> Iterator[av.AudioFrame]:
        """Yield decoded frames that hold samples; packets that cannot be decoded are counted and skipped."""
        dead = 0
        last: av.AudioFrame | None = None
        end: Fraction | None = None
        for packet in packets_past_damage(self._container, [self._stream], self._damaged):
            if packet.size and packet.duration and packet.pts is not None:
                end = (packet.pts + packet.duration) * packet.time_base
                if self._packets_start is None:
                    self._first_packet = bytes(packet)[:4] if self._stream.name in ("mp2float", "mp3float") else b""
                    self._packets_start = packet.pts * packet.time_base
            try:
                frames = self._stream.decode(packet)
            except (av.FFmpegError, ValueError):
                self._n_corrupt += 1
                self._just_lost_a_packet = True
                dead += 1
                if dead > MOST_DEAD_PACKETS_IN_A_ROW and last is None:
                    return
                continue
            for frame in frames:
                if frame.samples:
                    if last is not None:
                        yield last
                    last = frame
        if last is not None:
            self._packets_end = end
            self._last_frame = last
            yield last

    def _damaged(self, error: av.FFmpegError) -> None:
        """Count damage in the container; a disk that cannot be read is another matter."""
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            raise InputError(f"{self.path}: cannot be read to its end ({error.strerror}); copy it anew") from None
        self._n_corrupt += 1

    def _padding(self, frame: av.AudioFrame) -> int:
        """Return how many samples at the last frame's end are encoder padding, as an MP4 file tells it."""
        if frame is not self._last_frame or "mp4" not in self._container.format.name:
            return 0
        if (frame_start := _time(frame)) is None:
            return 0
        rate = frame.sample_rate
        frame_end = frame_start + Fraction(frame.samples, rate)
        for sound_end, tolerance in self._ends_told(rate):
            if frame_start < sound_end < frame_end - tolerance:
                return round((frame_end - sound_end) * rate)
        return 0

    def _ends_told(self, rate: int) -> Iterator[tuple[Fraction, Fraction]]:
        """Yield where the file says that the sound ends, and how far off that may be, in seconds.

        The last packet's own duration is exact, but some codecs' parsers overwrite it with a whole frame, and
        some encoders never set it.  Then the track's length tells.  It counts from the first packet, priming
        included; where that lies before zero it comes from an edit list, counts from zero, and is often
        rounded to 1/600 s or milliseconds.
        """
        half_sample = Fraction(1, 2 * rate)
        if self._packets_end is not None:
            yield self._packets_end, half_sample
        if self._stream.duration and self._stream.time_base:
            length = self._stream.duration * self._stream.time_base
            from_edit_list = self._packets_start is not None and self._packets_start < 0
            rounded = from_edit_list and 1 in ((length * 1000).denominator, (length * 600).denominator)
            start = max(self._packets_start or Fraction(0), Fraction(0))
            yield start + length, _EDIT_ROUNDING if rounded else half_sample

    def _uniform(self) -> Iterator[tuple[av.AudioFrame, NDArray[np.float64]]]:
        """Yield frames with their samples, all in the first frame's rate and channels."""
        first = self._first_frame
        resampler = None
        for frame in itertools.chain((first,), self._frames):
            if (frame.sample_rate, frame.layout.nb_channels) == (first.sample_rate, first.layout.nb_channels):
                samples = _to_float(frame)
                yield frame, samples[:, : samples.shape[1] - self._padding(frame)]
                continue
            if resampler is None:
                self.warnings.append(
                    f"the track changes to {frame.sample_rate} Hz, {frame.layout.name} midway; "
                    f"converted to {first.sample_rate} Hz, {first.layout.name}"
                )
                resampler = av.AudioResampler(first.format.name, first.layout.name, first.sample_rate)
            for converted in resampler.resample(frame):
                yield converted, _to_float(converted)

    def _placed(self) -> Iterator[Samples]:
        """Yield samples ``(channel, time)`` where their time stamps put them, with silence in gaps."""
        rate, channels = self.format.sample_rate, self.format.n_channels
        clock = self.start_seconds
        position = 0  # samples yielded so far
        for frame, samples in self._uniform():
            if (time := _time(frame)) is not None:
                expected = math.floor((time - clock) * rate + Fraction(1, 2))
                missing = expected - position
                # After a lost packet the hole is known to be real, however short.
                tolerance = 0.003 if self._just_lost_a_packet else TOLERANCE_SECONDS
                tolerance += float(frame.time_base or 0)
                if abs(missing) > tolerance * rate:
                    if self._is_reset(missing, position):
                        clock += Fraction(missing, rate)
                        self._clock_was_reset = True
                    elif missing > 0:
                        self._gap_seconds += missing / rate
                        yield from _silence(channels, missing, rate)
                        position += missing
                    else:
                        dropped = min(-missing, samples.shape[1])
                        self._overlap_seconds += dropped / rate
                        samples = samples[:, dropped:]
            self._just_lost_a_packet = False
            position += samples.shape[1]
            yield samples

    def _is_reset(self, missing: int, position: int) -> bool:
        """Whether a jump of ``missing`` samples is a fault of the clock and no hole in the sound."""
        rate = self.format.sample_rate
        if missing < 0:
            return -missing > LONGEST_OVERLAP_SECONDS * rate
        if self._container.duration is None:
            return missing > 3600 * rate
        return (position + missing) / rate > self._container.duration / av.time_base + LONGEST_OVERLAP_SECONDS

    def _excerpt(self) -> Iterator[Samples]:
        """Yield the samples of the chosen part of the track."""
        skip, wanted = self._skip_samples, self._wanted_samples
        for samples in self._placed():
            if skip:
                cut = min(skip, samples.shape[1])
                samples, skip = samples[:, cut:], skip - cut
            if wanted is not None:
                samples = samples[:, :wanted]
                wanted -= samples.shape[1]
            if samples.shape[1]:
                yield samples
            if wanted == 0:
                return

    def blocks(self, block_samples: int) -> Iterator[Samples]:
        """Yield ``(channel, time)`` float64 blocks of ``block_samples``, the last one shorter.  Once only."""
        held: list[Samples] = []
        n_held = 0
        for samples in self._excerpt():
            held.append(samples)
            n_held += samples.shape[1]
            if n_held < block_samples:
                continue
            joined = np.concatenate(held, axis=1)
            whole = n_held - n_held % block_samples
            for start in range(0, whole, block_samples):
                yield self._finite(joined[:, start : start + block_samples].copy())
            held, n_held = [joined[:, whole:]], n_held - whole
        if n_held:
            yield self._finite(np.concatenate(held, axis=1))
        self._report()

    def _finite(self, block: Samples) -> Samples:
        """Return the block with NaN and infinite samples as 0, counted, and add it to the checksum."""
        if not np.isfinite(block).all():
            bad = ~np.isfinite(block)
            self._n_not_finite += int(np.count_nonzero(bad))
            block[bad] = 0.0
        self._quantiser.quantise(block)
        return block

    def _report(self) -> None:
        """Add the warnings that only a whole pass can give."""
        said = (
            (self._n_corrupt, f"{self._n_corrupt} damaged packets skipped"),
            (self._n_not_finite, f"{self._n_not_finite} samples were not finite and were set to 0"),
            (self._gap_seconds, f"gaps in the time stamps filled with {self._gap_seconds:.3f} s of silence"),
            (self._overlap_seconds, f"overlapping sound trimmed by {self._overlap_seconds:.3f} s"),
            (self._clock_was_reset, "the time stamps jump; the sound was joined without a gap there"),
        )
        self.warnings.extend(text for happened, text in said if happened)

    # -- the protocol's rest --

    @property
    def audio_md5(self) -> str:
        """MD5 of the samples read so far, interleaved little-endian in their storage type."""
        return self._quantiser.md5

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def __enter__(self) -> ContainerReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _mpeg_layer(header: bytes) -> str | None:
    """Return "mp2" or "mp3" as an MPEG audio frame says it, None for anything else; demuxers mix them up."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    return {2: "mp2", 1: "mp3"}.get(header[1] >> 1 & 3)


def _time(frame: av.AudioFrame) -> Fraction | None:
    """Return the time of a frame's first sample in seconds, None where it has no time stamp."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def _to_float(frame: av.AudioFrame) -> NDArray[np.float64]:
    """Return a frame as ``(channel, time)`` float64, full scale ±1; integers are exact."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    samples = array.astype(np.float64)
    match array.dtype.str[1:]:
        case "u1":
            return (samples - 128.0) / 128.0
        case "i2":
            return samples / 2.0**15
        case "i4":
            return samples / 2.0**31
    return samples


def _layout_name(frame: av.AudioFrame) -> str:
    """Return FFmpeg's name of the channel layout; the usual one where the file only counts its channels."""
    from resound.audio.container_codecs import default_layout

    name = frame.layout.name
    return default_layout(frame.layout.nb_channels) if name.endswith("channels") else name


def _storage(codec: str, sample_format: str, extradata: bytes) -> Storage:
    """Return the narrowest type that holds every decoded sample; 24 bits arrive in 32, left-justified."""
    storage = _STORAGE[sample_format.removesuffix("p")]
    if storage == "int32" and _bits_in_32(codec, extradata) <= 24:
        return "int24"
    return storage


def _bits_in_32(codec: str, extradata: bytes) -> int:
    """Return how many bits of 32-bit samples are used, 32 where the codec's header does not tell."""
    if codec.startswith(("pcm_s24", "pcm_s20")) or codec in _AT_MOST_24_BITS:
        return 24
    if codec == "flac" and len(extradata) >= 18:
        start = 8 if extradata[:4] == b"fLaC" else 0
        return ((struct.unpack_from(">H", extradata, start + 12)[0] >> 4) & 31) + 1
    if codec == "alac" and len(extradata) >= 24:
        return extradata[17]
    if codec == "tta" and len(extradata) >= 10:
        return int(struct.unpack_from("<H", extradata, 8)[0])
    return 32


def _silence(n_channels: int, n_samples: int, chunk: int) -> Iterator[Samples]:
    """Yield zeros in chunks, so that a long gap takes no memory."""
    for start in range(0, n_samples, chunk):
        yield np.zeros((n_channels, min(chunk, n_samples - start)))
