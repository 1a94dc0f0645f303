"""Writing a container: one audio track is encoded anew, everything else is copied packet for packet.

The source is demuxed a second time, in lock-step with the blocks that come in: before an audio packet goes to
the muxer, every copied packet that comes earlier has gone there.  So the muxer's queue, and memory, never
grow.
"""

from __future__ import annotations

import math
import struct
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream
from numpy.typing import NDArray

from resound.audio import atomic, tags
from resound.audio.container_codecs import (
    ENCODERS,
    Encoding,
    audio_frame,
    choose_encoding,
    chunks,
    configure,
    container_for,
    default_layout,
    delay_samples,
)
from resound.audio.container_copy import MP4_MUXERS, StreamCopier, round_ticks
from resound.audio.edit_list import set_audio_edit
from resound.audio.formats import Format, Quantiser, Reader, Samples, lossy_warning
from resound.audio.video import ContainerReader
from resound.errors import OutputError

PACKET_SAMPLES = 1024  # of codecs without a frame size of their own (PCM)
# No longer true of the new track.
_STALE_TRACK_TAGS = ("encoder", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "DURATION", "_STATISTICS")


class ContainerWriter:
    """The restored track in its container, as a `Writer`."""

    def __init__(self, path: Path, source: Reader, *, audio_codec: str | None, overwrite: bool) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._overwrite = overwrite
        self._container_kind = container_for(path)
        self._source_path = source.path
        self._reader = source if isinstance(source, ContainerReader) else None
        self._check_codec_name(audio_codec)
        self._whole = self._check_excerpt()
        self._encoding = self._choose_encoding(source, audio_codec)
        self.format = self._describe(source)
        self._quantiser = Quantiser(self._encoding.storage)
        self._held: av.Packet | None = None  # the newest audio packet: the last one is cut to length
        self._end: int | None = None  # number of samples, once known: packets behind it are dropped
        self._n_fed = self._n_written = 0
        self._copier: StreamCopier | None = None
        self._output: OutputContainer | None = None
        self._temporary = atomic.reserve(path, overwrite=overwrite)
        with ExitStack() as undo:
            undo.callback(self._abort)
            self._open()
            undo.pop_all()

    # -- deciding --

    def _check_codec_name(self, audio_codec: str | None) -> None:
        if audio_codec is not None and audio_codec != "pcm" and audio_codec not in ENCODERS:
            holds = ", ".join(self._container_kind.codecs)
            raise OutputError(
                f"{self.path}: {audio_codec!r} audio cannot be written; {self.path.suffix} can hold {holds}"
            )

    def _check_excerpt(self) -> bool:
        """Return whether the other streams are copied too; `OutputError` for a film's excerpt as a film."""
        reader, kind = self._reader, self._container_kind.kind
        if reader is None:
            return False
        if reader.is_excerpt:
            if kind == "video" and reader.has_pictures:
                raise OutputError(
                    f"{self.path}: an excerpt cannot go back into a video; give the name of an audio file "
                    f"({self.path.stem}.flac), or leave out --start and --duration"
                )
            return False
        if reader.has_pictures and kind != "video":
            self.warnings.append(f"only the restored track is written; {self.path.suffix} files hold no picture")
            return False
        return kind != "single"

    def _choose_encoding(self, source: Reader, audio_codec: str | None) -> Encoding:
        layout = self._reader.layout if self._reader else default_layout(source.format.n_channels)
        encoding = choose_encoding(self.path, self._container_kind, source.format, layout=layout, wanted=audio_codec)
        if self._reader and audio_codec is None and encoding.codec != source.format.codec:
            self.warnings.append(
                f"{source.format.codec} cannot be written to {self.path.suffix}; the track is "
                f"{encoding.codec.upper()} now"
            )
        if source.format.lossless and encoding.lossy and audio_codec is None:
            keeping = ".mkv" if self._whole and self._container_kind.kind == "video" else ".wav or .flac"
            self.warnings.append(lossy_warning(self.path, encoding.codec.upper(), keeping=keeping))
        return encoding

    def _describe(self, source: Reader) -> Format:
        encoding = self._encoding
        return Format(
            container=self._container_kind.muxer,
            codec=encoding.codec,
            sample_rate=encoding.sample_rate,
            n_channels=source.format.n_channels,
            n_samples=None,
            storage=encoding.storage,
            lossless=not encoding.lossy,
            bit_rate=encoding.bit_rate or None,
        )

    # -- opening --

    def _open(self) -> None:
        """Open the muxer, set up its streams, and write the header."""
        self._copier = (
            StreamCopier(self.path, self._container_kind, self._reader, self.warnings) if self._reader else None
        )
        try:
            self._output = av.open(
                f"file:{self._temporary}",
                "w",
                format=self._container_kind.muxer,
                metadata_errors="surrogateescape",
                container_options=self._muxer_options(),
            )
            self._add_streams(self._output)
            self._output.start_encoding()
            self._plan_start()
        except (av.FFmpegError, ValueError) as error:
            raise self._failed(error) from None

    def _muxer_options(self) -> dict[str, str]:
        """Return options for an exact and repeatable file."""
        options = {"fflags": "+bitexact"}  # no random identifiers, no date of today
        muxer = self._container_kind.muxer
        if muxer in MP4_MUXERS:
            # Edit lists count in this clock: in its default milliseconds a track starts up to 1 ms off.
            options["movie_timescale"] = str(self._movie_timescale())
            if self._container_kind.kind == "audio":
                options["brand"] = "M4A "  # FFmpeg's own M4A muxer takes no cover from us
            if self._copier and any(key.startswith("com.apple.") for key in self._copier.source.metadata):
                options["movflags"] = "use_metadata_tags"
        if muxer == "mpegts":
            options["mpegts_copyts"] = "1"
        if muxer == "vob":
            options["preload"] = "0"
        return options

    def _movie_timescale(self) -> int:
        """Return a clock in which the audio, and where it stays in 31 bits the pictures too, are exact."""
        rate = self._encoding.sample_rate
        if self._copier is None:
            return rate
        source = self._copier.source
        both = math.lcm(rate, *(stream.time_base.denominator for stream in source.streams if stream.time_base))
        return both if both * ((source.duration or 0) / av.time_base + 1) < 2**31 else rate

    def _add_streams(self, output: OutputContainer) -> None:
        if self._copier is None or self._reader is None:
            self._add_texts(output)
            self._audio = self._add_audio(output)
        elif self._whole:
            self._copier.add_streams(output, self._add_restored)
        else:
            self._copier.copy_metadata(output)
            self._add_restored(self._copier.source.streams[self._reader.stream_index])

    def _add_texts(self, output: OutputContainer) -> None:
        """Add the common texts of a sound file, and say what else of it does not go over."""
        metadata, warnings = tags.read_metadata(self._source_path)
        names = {"TRACKNUMBER": "track"}
        output.metadata.update({names.get(key, key.lower()): text for key, text in metadata.texts.items()})
        lost = tags.names_of_lost(metadata, carried=set(metadata.texts))
        if lost:
            warnings.append(f"{self.path}: metadata not carried: {', '.join(lost)}")
        self.warnings += warnings

    def _add_restored(self, template: Stream) -> None:
        """Add the encoded stream with the tags of the one it replaces."""
        assert self._output is not None and self._copier is not None
        self._audio = self._add_audio(self._output)
        kept = self._copier.tags(template).items()
        self._audio.metadata.update({k: v for k, v in kept if not k.startswith(_STALE_TRACK_TAGS)})
        self._audio.disposition = template.disposition

    def _add_audio(self, output: OutputContainer) -> AudioStream:
        self._audio_track = sum(stream.type == "audio" for stream in output.streams)
        stream = output.add_stream(self._encoding.encoder, rate=self._encoding.sample_rate)
        assert isinstance(stream, AudioStream)
        configure(stream.codec_context, self._encoding)
        return stream

    def _plan_start(self) -> None:
        """Decide where the track starts, and how many samples go before the sound.

        Where the container cannot tell the encoder's delay, silence rounds it up to whole packets, which are
        then left out: the first sample decoded is the first sample written.
        """
        self._start = Fraction(0)
        if self._reader and self._copier and self._whole:
            self._start = self._reader.start_seconds + self._copier.shift
        rate = self._encoding.sample_rate
        self._delay = delay_samples(self._encoding)
        self._frame_samples = self._audio.codec_context.frame_size or PACKET_SAMPLES
        self._lead = 0
        if self._container_kind.priming is None and self._delay:
            self._lead = -self._delay % self._frame_samples
        self._silence = 0
        if self._container_kind.starts_at_zero and self._start > 0:
            self._silence = round(self._start * rate)
            self._start = Fraction(0)
        if self._lead + self._silence:
            self._feed(np.zeros((self.format.n_channels, self._lead + self._silence), dtype=np.int32))

    # -- writing --

    def write(self, block: Samples) -> Samples:
        """Append ``(channel, time)``; return the samples as handed to the encoder (rounded, clipped)."""
        values, stored = self._quantiser.quantise(block)
        self._n_written += block.shape[1]
        try:
            self._feed(values)
        except (av.FFmpegError, ValueError) as error:
            raise self._failed(error) from None
        return stored

    @property
    def n_clipped(self) -> int:
        """Samples that the storage type could not hold, so far."""
        return self._quantiser.n_clipped

    @property
    def audio_md5(self) -> str:
        """MD5 of the samples given to the encoder so far, interleaved little-endian in their storage type."""
        return self._quantiser.md5

    def _feed(self, values: NDArray[np.generic]) -> None:
        for piece in chunks(values, self._frame_samples):
            frame = audio_frame(piece, self._encoding, position=self._n_fed)
            self._n_fed += piece.shape[1]
            self._encoded(self._audio.encode(frame))

    def _encoded(self, packets: list[av.Packet]) -> None:
        """Take packets from the encoder; hold the newest back, because the last one is cut to length."""
        for packet in packets:
            first = self._first_sample(packet)
            if not packet.size or first < -self._delay_told() or (self._end is not None and first >= self._end):
                continue
            if self._held is not None:
                self._mux_audio(self._held)
            self._held = packet

    def _first_sample(self, packet: av.Packet) -> int:
        """Return the number of an encoded packet's first sample; priming has negative numbers."""
        return (packet.pts or 0) - self._lead

    def _delay_told(self) -> int:
        """Return the priming samples that stay in the file because the container says so."""
        return self._delay if self._container_kind.priming else 0

    def _mux_audio(self, packet: av.Packet) -> None:
        """Place an audio packet on the output's clock, after every copied packet that comes before it."""
        assert self._output is not None
        packet.stream = self._audio
        time_base = self._audio.time_base
        assert time_base is not None
        rate = self._encoding.sample_rate
        time = self._start + Fraction(self._first_sample(packet), rate)
        ticks = round_ticks(time / time_base)
        if self._container_kind.muxer in ("matroska", "webm"):
            # Muxer, demuxer and decoder each round the delay to milliseconds by itself; so must we.
            delay = Fraction(self._delay, rate)
            ticks = round_ticks((time + delay) / time_base) - round_ticks(delay / time_base)
        duration = packet.duration or self._frame_samples
        packet.pts = packet.dts = ticks
        packet.duration = max(round_ticks(Fraction(duration, rate) / time_base), 1)
        packet.time_base = time_base
        if self._copier:
            self._copier.copy_until(self._output, ticks * time_base)
        self._output.mux_one(packet)

    def _finish_audio(self) -> None:
        """Flush the encoder, drop what lies wholly behind the last sample, cut the last packet to length."""
        if not self._n_fed:
            return
        self._end = self._n_written + self._silence
        # AC-3's encoder keeps its delay for itself, and its last samples with it, unless it is fed on.
        tail = self._lead + self._end + self._delay - self._n_fed
        if tail > 0:
            self._feed(np.zeros((self.format.n_channels, tail), dtype=np.int32))
        self._encoded(self._audio.encode(None))
        if (last := self._held) is not None:
            kept = min(last.duration or self._frame_samples, self._end - self._first_sample(last))
            if kept < self._frame_samples and self._encoding.lossy:
                _set_end_padding(last, self._frame_samples - kept)
            last.duration = kept
            self._mux_audio(last)

    # -- closing --

    def __enter__(self) -> ContainerWriter:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        with ExitStack() as undo:
            undo.callback(self._abort)
            if exc_type is not None:
                return
            self.finish()
            atomic.commit(self._temporary, self.path, overwrite=self._overwrite)

    def finish(self) -> None:
        """Flush the encoder, copy what is left, and close: the file is complete, but for its name."""
        if self._output is None:
            return
        try:
            self._finish()
            atomic.flush(self._temporary)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise self._failed(error) from None

    def _finish(self) -> None:
        assert self._output is not None
        self._finish_audio()
        if self._copier:
            self._copier.finish(self._output)
        self._output.close()
        self._output = None
        if self._copier:
            self._copier.amend(self._temporary)
        if self._container_kind.priming == "edits" and self._delay and self._start > 0:
            set_audio_edit(
                self._temporary,
                audio_track=self._audio_track,
                start=self._start,
                priming=Fraction(self._delay, self._encoding.sample_rate),
                length=Fraction(self._n_written, self._encoding.sample_rate),
            )

    def _abort(self) -> None:
        """Close both files, whatever state they are in, and remove the unfinished one."""
        for container in (self._output, self._copier.source if self._copier else None):
            if container is not None:
                with suppress(av.FFmpegError, OSError, ValueError):
                    container.close()
        self._output = None
        atomic.discard(self._temporary)

    def _failed(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            return atomic.write_failure(self.path, error)
        remedy = "give a name ending in .mkv"
        if self._reader and self._reader.path.suffix.lower() != self.path.suffix.lower():
            remedy = f"give a name ending in {self._reader.path.suffix}, as the source has"
        return OutputError(f"{self.path}: {self.path.suffix} does not take what is to be copied ({reason}); {remedy}")


def _set_end_padding(packet: av.Packet, n_samples: int) -> None:
    """Tell the muxer (Matroska, Ogg) that the packet's last samples are padding."""
    kind = packet_sidedata_type_from_literal("skip_samples")
    side_data = PacketSideData(kind, 10)  # type: ignore[call-arg]  # the stub lacks its constructor
    side_data.update(struct.pack("<IIBB", 0, n_samples, 0, 0))
    packet.set_sidedata(side_data)
