"""Which audio codec a container gets: what it can hold, what FFmpeg here encodes, how each stores samples.

Small tables on purpose.  Whether a sample rate or channel layout fits is not tabled: the encoder is opened
and asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from resound.audio.formats import BITS, Format, Storage
from resound.errors import OutputError

Kind = Literal["video", "audio", "single"]  # holds pictures too / several audio tracks and a cover / one track only
MINIMUM_BIT_RATE = 64_000  # per channel: below it a second lossy generation is heard
FROM_LOSSLESS_BIT_RATE = 128_000  # per channel, where a lossless source becomes lossy


@dataclass(frozen=True)
class Container:
    """A file format that can be written."""

    muxer: str  # FFmpeg's name
    kind: Kind
    codecs: tuple[str, ...]  # audio codecs it can hold and FFmpeg can encode
    if_lossy: tuple[str, ...]  # tried in turn where the source's own codec cannot be written
    if_lossless: tuple[str, ...]
    # Where the encoder's delay is told: "edits" (MP4 edit list), "delay" (Matroska CodecDelay and padding)
    # or None: the container cannot tell, so the stream itself must start on the first sample.
    priming: Literal["edits", "delay"] | None
    starts_at_zero: bool = False  # cannot say that a track starts later

    @property
    def allows_equal_times(self) -> bool:
        """Whether two packets of a track may have the same decoding time."""
        return self.muxer in ("matroska", "webm", "asf", "flv")


PCM = ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le")
PCM_BIG = ("pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be")
_MP4 = Container(
    muxer="mp4",
    kind="video",
    codecs=("aac", "flac", "alac", "ac3", "eac3", "opus", "mp3", "mp2"),
    if_lossy=("flac", "aac"),
    if_lossless=("flac", "alac", "aac"),
    priming="edits",
)
_MOV = Container(
    muxer="mov",
    kind="video",
    codecs=("aac", "alac", "ac3", "eac3", "mp3", *PCM, *PCM_BIG),
    if_lossy=("aac", "pcm_s24le"),
    if_lossless=("alac", "pcm_s24le"),
    priming="edits",
)
_M4A = Container("mp4", "audio", ("aac", "alac", "ac3"), ("aac", "alac"), ("alac", "aac"), "edits")
_MKV = Container(
    muxer="matroska",
    kind="video",
    codecs=("flac", "aac", "opus", "mp3", "mp2", "ac3", "eac3", "alac", *PCM, *PCM_BIG[:2]),
    if_lossy=("flac", "pcm_s24le"),
    if_lossless=("flac", "pcm_s32le"),
    priming="delay",
)
_WEBM = Container("webm", "video", ("opus",), ("opus",), ("opus",), "delay")
_AVI = Container(
    muxer="avi",
    kind="video",
    codecs=("mp3", "mp2", "ac3", *PCM[:5]),
    if_lossy=("pcm_s24le",),
    if_lossless=("pcm_s24le", "pcm_s32le"),
    priming=None,
    starts_at_zero=True,
)
_TS = Container("mpegts", "video", ("aac", "ac3", "eac3", "mp2", "mp3"), ("aac", "mp2"), ("aac",), None)
_PS = Container("vob", "video", ("mp2", "ac3", "mp3"), ("mp2", "ac3"), ("mp2", "ac3"), None)
_FLV = Container("flv", "video", ("aac", "mp3"), ("aac",), ("aac",), None)
_ASF = Container("asf", "video", ("mp3", "aac", "pcm_s16le", "pcm_s24le"), ("mp3", "aac"), ("pcm_s24le",), None)
_OGG = Container("ogg", "audio", ("opus", "flac"), ("opus", "flac"), ("flac",), "delay")

CONTAINERS: dict[str, Container] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".qt": _MOV,
    ".mkv": _MKV,
    ".webm": _WEBM,
    ".avi": _AVI,
    ".ts": _TS,
    ".m2ts": _TS,
    ".mts": _TS,
    ".mpg": _PS,
    ".mpeg": _PS,
    ".vob": _PS,
    ".flv": _FLV,
    ".wmv": _ASF,
    ".asf": _ASF,
    ".m4a": _M4A,
    ".m4b": _M4A,
    ".mka": replace(_MKV, kind="audio"),
    ".weba": replace(_WEBM, kind="audio"),
    ".wma": replace(_ASF, kind="audio"),
    ".opus": replace(_OGG, codecs=("opus",), if_lossy=("opus",), if_lossless=("opus",)),
    ".oga": _OGG,
    ".aac": Container("adts", "single", ("aac",), ("aac",), ("aac",), None, starts_at_zero=True),
    ".ac3": Container("ac3", "single", ("ac3",), ("ac3",), ("ac3",), None, starts_at_zero=True),
    ".eac3": Container("eac3", "single", ("eac3",), ("eac3",), ("eac3",), None, starts_at_zero=True),
    ".mp2": Container("mp2", "single", ("mp2",), ("mp2",), ("mp2",), None, starts_at_zero=True),
}

# codec -> (encoder, [(storage, sample format handed to the encoder)], narrowest first).
ENCODERS: dict[str, tuple[str, tuple[tuple[Storage, str], ...]]] = {
    "aac": ("aac", (("float32", "fltp"),)),
    "opus": ("libopus", (("float32", "flt"),)),
    "mp3": ("libmp3lame", (("float32", "fltp"),)),
    "mp2": ("mp2", (("int16", "s16"),)),
    "ac3": ("ac3", (("float32", "fltp"),)),
    "eac3": ("eac3", (("float32", "fltp"),)),
    "flac": ("flac", (("int16", "s16"), ("int24", "s32"), ("int32", "s32"))),
    "alac": ("alac", (("int16", "s16p"), ("int24", "s32p"))),
    "pcm_u8": ("pcm_u8", (("int8", "u8"),)),
    "pcm_s16le": ("pcm_s16le", (("int16", "s16"),)),
    "pcm_s16be": ("pcm_s16be", (("int16", "s16"),)),
    "pcm_s24le": ("pcm_s24le", (("int24", "s32"),)),
    "pcm_s24be": ("pcm_s24be", (("int24", "s32"),)),
    "pcm_s32le": ("pcm_s32le", (("int32", "s32"),)),
    "pcm_s32be": ("pcm_s32be", (("int32", "s32"),)),
    "pcm_f32le": ("pcm_f32le", (("float32", "flt"),)),
    "pcm_f32be": ("pcm_f32be", (("float32", "flt"),)),
    "pcm_f64le": ("pcm_f64le", (("float64", "dbl"),)),
    "pcm_f64be": ("pcm_f64be", (("float64", "dbl"),)),
}
LOSSY = ("aac", "opus", "mp3", "mp2", "ac3", "eac3")
PCM_BY_STORAGE: dict[Storage, str] = {
    "int8": "pcm_u8",
    "int16": "pcm_s16le",
    "int24": "pcm_s24le",
    "int32": "pcm_s32le",
    "float32": "pcm_f32le",
    "float64": "pcm_f64le",
}

# kb/s that the format itself allows; an encoder asked for another one refuses or rounds down.
_AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_MP2_RATES = (64, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MP3_RATES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_RATES = (64, 80, 96, 112, 128, 144, 160)  # MPEG-2 audio, below 32 kHz
_DEFAULT_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True)
class Encoding:
    """One way to store an audio track, known to work: the encoder was opened with it."""

    codec: str
    encoder: str
    storage: Storage
    sample_format: str
    sample_rate: int
    layout: str
    bit_rate: int  # 0 for lossless codecs
    options: tuple[tuple[str, str], ...]

    @property
    def lossy(self) -> bool:
        """Whether decoding gives other samples than were encoded."""
        return self.codec in LOSSY


def container_for(path: Path) -> Container:
    """Return the container that a file name asks for; `OutputError` names the known ones."""
    if (container := CONTAINERS.get(path.suffix.lower())) is None:
        known = " ".join(CONTAINERS)
        raise OutputError(f"{path}: cannot write files ending in {path.suffix or 'nothing'!r}; use one of {known}")
    return container


def default_layout(n_channels: int) -> str:
    """Return FFmpeg's name of the usual layout of so many channels."""
    return _DEFAULT_LAYOUTS[n_channels - 1] if n_channels <= len(_DEFAULT_LAYOUTS) else f"{n_channels}c"


def choose_encoding(path: Path, container: Container, source: Format, *, layout: str, wanted: str | None) -> Encoding:
    """Return the encoding for ``source``: in the wanted codec, else the source's own, else the nearest."""
    if wanted == "pcm":
        wanted = PCM_BY_STORAGE[source.storage]
    if wanted is not None and wanted not in container.codecs:
        holds = ", ".join(container.codecs)
        raise OutputError(f"{path}: {path.suffix} cannot hold {wanted} audio; it can hold {holds}")
    fallbacks = container.if_lossless if source.lossless else container.if_lossy
    own = (source.codec,) if source.codec in container.codecs else ()
    for codec in (wanted,) if wanted else (*own, *fallbacks):
        encoding = _encoding(codec, source, layout)
        if opens(encoding):
            return encoding
    tried = wanted or ", ".join(dict.fromkeys((*own, *fallbacks)))
    raise OutputError(
        f"{path}: {source.sample_rate} Hz with layout {layout} cannot be written here ({tried} refused); "
        "give a name ending in .mkv, or another codec with --audio-codec"
    )


def _encoding(codec: str, source: Format, layout: str) -> Encoding:
    """Return how ``codec`` would store the source: as narrow as loses nothing, else as wide as it can."""
    encoder, choices = ENCODERS[codec]
    # What a lossy or floating-point source holds beyond 24 bits is far below any noise.
    needed = 24 if source.storage.startswith("float") else BITS[source.storage]
    storage, sample_format = next((c for c in choices if BITS[c[0]] >= needed), choices[-1])
    options: tuple[tuple[str, str], ...] = ()
    if codec == "flac" and storage != "int16":
        options = (
            ("bits_per_raw_sample", str(BITS[storage])),
            ("strict", "-2"),
        )  # 32 bits counts as experimental
    if codec == "mp3":
        options = (("reservoir", "0"),)  # every packet decodes alone, so that the priming packets may be dropped
    if codec == "opus":
        options = (("vbr", "off"),)  # a variable rate would go below the source's
    return Encoding(
        codec,
        encoder,
        storage,
        sample_format,
        source.sample_rate,
        layout,
        _bit_rate(codec, source) if codec in LOSSY else 0,
        options,
    )


def _bit_rate(codec: str, source: Format) -> int:
    """Return bits per second: at least the source's and `MINIMUM_BIT_RATE` per channel, if the codec can."""
    floor = source.n_channels * (FROM_LOSSLESS_BIT_RATE if source.lossless else MINIMUM_BIT_RATE)
    rate = max(floor, 0 if source.lossless else source.bit_rate or 0)
    if codec == "aac":
        return min(rate, 6 * source.sample_rate * source.n_channels)  # 6144 bits per channel and 1024 samples
    if codec == "opus":
        return min(rate, 256_000 * source.n_channels)
    if codec == "eac3":
        return min(rate, 6_144_000)
    table = {"ac3": _AC3_RATES, "mp2": _MP2_RATES, "mp3": _MP3_RATES}[codec]
    if codec != "ac3" and source.sample_rate < 32_000:
        table = _LOW_RATES
    if codec == "mp2" and source.n_channels == 1:
        table = tuple(r for r in table if r <= 192)  # MPEG-1 layer II forbids more for mono
    return 1000 * next((r for r in table if 1000 * r >= rate), table[-1])


def create_encoder(encoding: Encoding) -> AudioCodecContext:
    """Return an encoder set up but not opened."""
    context = av.CodecContext.create(encoding.encoder, "w")
    assert isinstance(context, AudioCodecContext)
    configure(context, encoding)
    return context


def configure(context: AudioCodecContext, encoding: Encoding) -> None:
    """Set format, layout, rate, clock and options on an encoder that is not open yet."""
    context.sample_rate = encoding.sample_rate
    context.format = encoding.sample_format
    context.layout = encoding.layout
    context.time_base = Fraction(1, encoding.sample_rate)
    if encoding.bit_rate:
        context.bit_rate = encoding.bit_rate
    context.options = dict(encoding.options)


def opens(encoding: Encoding) -> bool:
    """Whether the encoder accepts this rate, layout and bit rate."""
    try:
        create_encoder(encoding).open()
    except (av.FFmpegError, ValueError):
        return False
    return True


@cache
def delay_samples(encoding: Encoding) -> int:
    """Return by how many samples the encoder's output starts before its input (its priming)."""
    if not encoding.lossy:
        return 0
    encoder = create_encoder(encoding)
    encoder.open()
    channels = encoder.layout.nb_channels
    silence = np.zeros((channels, 4 * encoder.frame_size), dtype=np.int32)
    frame = audio_frame(silence, encoding, position=0)
    packet = next(packet for packet in (*encoder.encode(frame), *encoder.encode(None)) if packet.size)
    return -(packet.pts or 0)


def audio_frame(stored: NDArray[np.generic], encoding: Encoding, *, position: int) -> av.AudioFrame:
    """Return ``(channel, time)`` storage values as a frame whose first sample has number ``position``."""
    shift = {"int24": 8}.get(encoding.storage, 0)  # 24-bit samples sit in the upper bits of s32
    values = np.left_shift(stored.astype(np.int32), shift) if shift else stored
    if encoding.sample_format == "u8":
        values = values.astype(np.int16) + 128
    name = encoding.sample_format
    kind = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}[name.removesuffix("p")]
    planar = name.endswith("p")
    plane = values.astype(kind) if planar else values.T.astype(kind).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(plane), format=name, layout=encoding.layout)
    frame.sample_rate = encoding.sample_rate
    frame.time_base = Fraction(1, encoding.sample_rate)
    frame.pts = position
    return frame


def chunks(block: NDArray[np.generic], samples: int) -> Iterator[NDArray[np.generic]]:
    """Yield ``(channel, time)`` in pieces of at most ``samples``."""
    for start in range(0, block.shape[1], samples):
        yield block[:, start : start + samples]
