"""Copying streams from one container to another, packet for packet, in decoding order."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from resound.audio.container_codecs import Container
from resound.audio.matroska_shape import set_pixel_shapes, widened_title
from resound.audio.video import ContainerReader, is_picture_track, open_input, packets_past_damage
from resound.errors import OutputError

MP4_MUXERS = ("mp4", "mov")
REORDER_SECONDS = 1
COVER_TYPES = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif"}
_STALE_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")  # written anew by the muxer
_DEMUXERS = {
    "mp4": "mov",
    "matroska": "matroska",
    "webm": "matroska",
    "vob": "mpeg",
}  # where the names differ


class StreamCopier:
    """The streams of a source that go into an output as they are."""

    def __init__(self, path: Path, kind: Container, reader: ContainerReader, warnings: list[str]) -> None:
        self.path = path
        self.source = open_input(reader.path)
        self.warnings = warnings
        self._kind = kind
        self._source_path = reader.path
        self._restored = reader.stream_index
        self._copied: dict[int, Stream] = {}  # index in the source -> output stream
        self._pixel_shapes: dict[int, Fraction] = {}  # per output stream, where the muxer must be helped
        self._newest_dts: dict[int, int] = {}  # per output stream, in its clock
        self._n_moved = 0
        self._pending: av.Packet | None = None
        self._packets = self._in_order()
        self.shift = self._clock_shift()

    # -- setting up --

    def add_streams(self, output: OutputContainer, add_audio: Callable[[Stream], None]) -> None:
        """Add the source's streams in their order; ``add_audio`` is called for the restored one."""
        self.copy_metadata(output)
        output.set_chapters(self.source.chapters())
        for stream in self.source.streams:
            if stream.index == self._restored:
                add_audio(stream)
                stream.discard = Discard.all
            else:
                self._copy_stream(output, stream)

    def copy_metadata(self, output: OutputContainer) -> None:
        """Copy the tags of the whole file."""
        tags = self.source.metadata.items()
        output.metadata.update({key: value for key, value in tags if key.lower() not in _STALE_TAGS})

    def tags(self, stream: Stream) -> dict[str, str]:
        """Return a track's tags; MP4's track name is read as "name" but written from "title"."""
        tags = dict(stream.metadata)
        if self._kind.muxer in MP4_MUXERS and "name" in tags:
            tags.setdefault("title", tags["name"])
        return tags

    def _copy_stream(self, output: OutputContainer, stream: Stream) -> None:
        """Add an output stream for one that is copied, where the container can hold it."""
        if self._is_made_by_muxer(stream):
            stream.discard = Discard.all
            return
        if stream.disposition & Disposition.attached_pic and self._kind.muxer == "matroska":
            self._attach_cover(output, stream)
            stream.discard = Discard.all
            return
        try:
            copy = output.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError):
            self._leave_out(stream)
            return
        copy.metadata.update(self.tags(stream))
        copy.disposition = stream.disposition
        if stream.codec_context is not None and self._same_family:
            copy.codec_context.codec_tag = stream.codec_context.codec_tag
        if isinstance(copy, VideoStream) and isinstance(stream, VideoStream):
            self._copy_picture_shape(copy, stream)
        if self._kind.muxer in MP4_MUXERS and stream.type == "subtitle":
            _help_mp4_subtitles(copy, stream)
        if self._kind.muxer == "mpegts":
            copy.id = stream.id
        if stream.type != "attachment":
            self._copied[stream.index] = copy

    def _copy_picture_shape(self, copy: VideoStream, stream: VideoStream) -> None:
        """Carry over what the container, not the codec, says of the pictures: their rate and pixel shape."""
        if stream.average_rate:
            copy.codec_context.framerate = stream.average_rate  # Matroska's frame duration comes from it
            if self._kind.muxer == "avi":
                copy.time_base = 1 / stream.average_rate
        if stream.sample_aspect_ratio:
            copy.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
            if self._kind.muxer in ("matroska", "webm") and stream.sample_aspect_ratio != 1:
                copy.metadata["title"] = widened_title(copy.metadata.get("title", ""))
                self._pixel_shapes[copy.index] = stream.sample_aspect_ratio

    @property
    def _same_family(self) -> bool:
        """Whether source and output are of one kind, so that codec tags mean the same."""
        muxer = self._kind.muxer
        return _DEMUXERS.get(muxer, muxer) in self.source.format.name.split(",")

    def _is_made_by_muxer(self, stream: Stream) -> bool:
        """Whether the MP4 muxer writes this stream itself: chapter titles, and the time code from its tag."""
        if stream.type != "data" or self._kind.muxer not in MP4_MUXERS:
            return False
        return stream.discard == Discard.all or "timecode" in stream.metadata

    def _attach_cover(self, output: OutputContainer, stream: Stream) -> None:
        """Store a cover as Matroska does, as an attachment."""
        codec = stream.codec_context.name
        name = stream.metadata.get("filename", f"cover.{ {'mjpeg': 'jpg'}.get(codec, codec) }")
        kind = stream.metadata.get("mimetype", COVER_TYPES.get(codec, "application/octet-stream"))
        with open_input(self._source_path) as source:
            packet = next(p for p in source.demux(source.streams[stream.index]) if p.size)
            attachment = output.add_attachment(name, kind, bytes(packet))
        tags = {k: v for k, v in stream.metadata.items() if k not in ("filename", "mimetype")}
        attachment.metadata.update({"filename": name, "mimetype": kind, **tags})

    def _leave_out(self, stream: Stream) -> None:
        """Refuse to lose a track; let go, with a warning, of what only the source's container can hold."""
        context = stream.codec_context
        name = context.codec.canonical_name if context else getattr(stream, "name", None) or "unknown"
        what = f"{stream.type} track {stream.index} ({name})"
        if stream.type in ("audio", "subtitle") or is_picture_track(stream):
            source_suffix = self._source_path.suffix
            better = source_suffix if source_suffix.lower() != self.path.suffix.lower() else ".mkv"
            raise OutputError(f"{self.path}: {self.path.suffix} cannot hold its {what}; give a name ending in {better}")
        self.warnings.append(f"{what} left out; {self.path.suffix} cannot hold it")
        stream.discard = Discard.all

    def _clock_shift(self) -> Fraction:
        """Return the seconds added to copied time stamps: not 0 where a broadcast clock changes format."""
        if self._same_family:
            return Fraction(0)
        if self.source.format.name in ("mpegts", "mpeg", "asf"):
            return -Fraction(self.source.start_time or 0, av.time_base)
        return Fraction(0)

    # -- copying --

    def _in_order(self) -> Iterator[av.Packet]:
        """Yield the packets to copy, in decoding order.

        Files are in that order only roughly; packets up to `REORDER_SECONDS` late get back to their place.
        """
        if not self._copied:
            return
        waiting: list[tuple[Fraction, int, av.Packet]] = []
        newest: dict[int, Fraction] = {}
        wanted = [self.source.streams[index] for index in self._copied]
        for number, packet in enumerate(packets_past_damage(self.source, wanted)):
            if not packet.size:  # the empty ones at the end only flush decoders
                continue
            stamp = packet.pts if packet.dts is None else packet.dts
            last = newest.get(packet.stream_index)
            time = last or Fraction(0) if stamp is None else stamp * packet.time_base
            time = time if last is None else max(time, last)  # never change the order within a stream
            newest[packet.stream_index] = time
            heapq.heappush(waiting, (time, number, packet))
            while time - waiting[0][0] > REORDER_SECONDS:
                yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def copy_until(self, output: OutputContainer, seconds: Fraction | None) -> None:
        """Copy the packets that are decoded before ``seconds``; all that is left for None."""
        while True:
            if self._pending is None:
                self._pending = next(self._packets, None)
            packet = self._pending
            if packet is None:
                return
            stamp = packet.pts if packet.dts is None else packet.dts
            if seconds is not None and stamp is not None and stamp * packet.time_base + self.shift > seconds:
                return
            self._pending = None
            self._copy(output, packet)

    def _copy(self, output: OutputContainer, packet: av.Packet) -> None:
        stream = self._copied[packet.stream_index]
        if self.shift:
            ticks = round_ticks(self.shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        self._keep_order(packet, stream)
        packet.stream = stream
        output.mux_one(packet)

    def _keep_order(self, packet: av.Packet, stream: Stream) -> None:
        """Move a packet that is not later than the one before it: muxers refuse it."""
        if packet.dts is None or stream.time_base is None:
            return
        decoded_at = round_ticks(packet.dts * packet.time_base / stream.time_base)
        earliest = self._newest_dts.get(stream.index, decoded_at - 1) + (not self._kind.allows_equal_times)
        if decoded_at < earliest:
            self._n_moved += 1
            shown_at = (
                decoded_at if packet.pts is None else round_ticks(packet.pts * packet.time_base / stream.time_base)
            )
            packet.duration = round_ticks((packet.duration or 0) * packet.time_base / stream.time_base)
            packet.time_base = stream.time_base
            packet.dts, packet.pts = earliest, max(shown_at, earliest)
            decoded_at = earliest
        self._newest_dts[stream.index] = decoded_at

    def finish(self, output: OutputContainer) -> None:
        """Copy what is left."""
        self.copy_until(output, None)
        if self._n_moved:
            self.warnings.append(f"{self._n_moved} copied packets had time stamps out of order; moved by a tick")
        tracks = [stream.index for stream in output.streams if stream.type != "attachment"]
        self._pixel_shapes = {tracks.index(index): shape for index, shape in self._pixel_shapes.items()}

    def amend(self, written: Path) -> None:
        """Put into the finished file what could not be told to the muxer."""
        if self._pixel_shapes:
            set_pixel_shapes(written, self._pixel_shapes)


def round_ticks(value: Fraction) -> int:
    """Round half away from zero, as FFmpeg rounds time stamps."""
    return math.floor(value + Fraction(1, 2)) if value >= 0 else -math.floor(-value + Fraction(1, 2))


def _help_mp4_subtitles(copy: Stream, stream: Stream) -> None:
    """Keep FFmpeg's MP4 muxer from adding to subtitles what they have already.

    It compares the raw ticks of different tracks, and ends a text that a coarse clock makes look over.
    And it appends a bit rate box to the sample description even if there is one.
    """
    if stream.time_base:
        scale = stream.time_base.denominator
        copy.time_base = Fraction(1, scale * math.ceil(1_000_000 / scale))
    if stream.codec_context is not None and (stream.codec_context.extradata or b"")[-16:-12] == b"btrt":
        copy.codec_context.extradata = (stream.codec_context.extradata or b"")[:-20]
