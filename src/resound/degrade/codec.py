"""Lossy codecs, as FFmpeg has them: coded and decoded in memory, the delay taken out to the sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from resound.audio.segments import resample
from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.errors import ConfigError

if TYPE_CHECKING:  # FFmpeg is loaded where a codec is used
    from av import AudioCodecContext, AudioFrame

CodecName = Literal[
    "mp3", "aac", "opus", "ac3", "sbc",
    "amr-nb", "amr-wb", "gsm", "g711-alaw", "g711-ulaw", "g722", "g723.1", "adpcm",
]  # fmt: skip
PROBE_SECONDS = 0.5  # of the noise that finds a codec's delay
LONGEST_DELAY_SECONDS = 0.25


@dataclass(frozen=True)
class Codec:
    """How FFmpeg calls a codec, and what it takes."""

    encoder: str
    decoder: str
    sample_format: str
    rates: tuple[int, ...]  # in Hz: a recording is given the lowest that holds its band, else the highest
    kbps: tuple[float, ...]  # the bit rates there are; with `any_kbps` the lowest and the highest
    any_kbps: bool = False
    stereo: bool = False  # whether two channels make one stream
    wander_samples: int = 0  # by how much the delay depends on the sound: on the coder's mode, on its own high-pass


WIDE = (16000, 22050, 24000, 32000, 44100, 48000)
AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AMR_NB_KBPS = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)
AMR_WB_KBPS = (6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)
CODECS: dict[str, Codec] = {
    "mp3": Codec("libmp3lame", "mp3float", "fltp", WIDE, (16, 320), any_kbps=True, stereo=True),
    "aac": Codec("aac", "aac", "fltp", WIDE, (16, 320), any_kbps=True, stereo=True),
    "opus": Codec("libopus", "libopus", "flt", (48000,), (6, 256), any_kbps=True, stereo=True, wander_samples=8),
    "ac3": Codec("ac3", "ac3", "fltp", (32000, 44100, 48000), AC3_KBPS, stereo=True),
    "sbc": Codec("sbc", "sbc", "s16", (32000, 44100, 48000), (127, 229), stereo=True),  # Bluetooth
    "amr-nb": Codec("libopencore_amrnb", "amrnb", "s16", (8000,), AMR_NB_KBPS, wander_samples=2),
    "amr-wb": Codec("libvo_amrwbenc", "amrwb", "s16", (16000,), AMR_WB_KBPS, wander_samples=2),
    "gsm": Codec("libgsm", "gsm", "s16", (8000,), (13,)),
    "g711-alaw": Codec("pcm_alaw", "pcm_alaw", "s16", (8000,), (64,)),
    "g711-ulaw": Codec("pcm_mulaw", "pcm_mulaw", "s16", (8000,), (64,)),
    "g722": Codec("g722", "g722", "s16", (16000,), (64,)),
    "g723.1": Codec("g723_1", "g723_1", "s16", (8000,), (6.3,)),
    "adpcm": Codec("adpcm_ima_ws", "adpcm_ima_ws", "s16", (8000, *WIDE), (4,)),  # 4 bits a sample, at any rate
}


def transcode(audio: Audio, sample_rate: int, *, codec: CodecName, bit_rate_kbps: float) -> Audio:
    """Return ``audio`` coded and decoded, at the nearest bit rate there is.

    Two channels are coded together where the codec knows stereo, else each is a stream of that bit rate.  What the
    codec's sample rate does not hold is lost.  Levels stay, but for what the coder itself does: LAME lowers by up to
    0.45 dB below 128 kbit/s, and codecs of 16-bit input clip at full scale.  Raises `ConfigError` where this FFmpeg
    lacks the codec.
    """
    kind = _codec(codec)
    if not audio.size:
        return audio.copy()
    rate = next((rate for rate in kind.rates if rate >= sample_rate), kind.rates[-1])
    kbps = _kbps(kind, bit_rate_kbps)
    delay = _delay_samples(codec, rate)
    at_rate = resample(audio, sample_rate, rate)
    streams = [at_rate] if len(audio) == 2 and kind.stereo else [at_rate[i : i + 1] for i in range(len(at_rate))]
    decoded = np.concatenate([_without_delay(stream, rate, codec, kbps, delay) for stream in streams])
    n_samples = audio.shape[1]
    back = resample(decoded, rate, sample_rate)[:, :n_samples]
    return np.pad(back, ((0, 0), (0, n_samples - back.shape[1])))


def available_codecs() -> list[str]:
    """Return the names of the codecs that this FFmpeg both codes and decodes."""
    return [name for name, kind in CODECS.items() if _is_there(kind)]


def _codec(name: str) -> Codec:
    if name not in CODECS or not _is_there(CODECS[name]):
        raise ConfigError(f"codec: {name!r} is not in this FFmpeg; there are {', '.join(available_codecs())}")
    return CODECS[name]


@lru_cache(maxsize=64)
def _is_there(kind: Codec) -> bool:
    from av.codec import Codec as Known
    from av.codec.codec import UnknownCodecError

    try:
        return Known(kind.encoder, "w").is_encoder and Known(kind.decoder, "r").is_decoder
    except UnknownCodecError:
        return False


def _kbps(kind: Codec, wanted: float) -> float:
    if kind.any_kbps:
        return min(max(wanted, kind.kbps[0]), kind.kbps[-1])
    return min(kind.kbps, key=lambda kbps: abs(kbps - wanted))


@lru_cache(maxsize=64)
def _delay_samples(name: str, rate: int) -> int:
    """Return by how many samples coding and decoding delay, measured on noise at the highest bit rate."""
    n_samples, longest = round(PROBE_SECONDS * rate), round(LONGEST_DELAY_SECONDS * rate)
    white = np.random.default_rng(0).standard_normal(n_samples)
    # Mostly below 2 kHz, which even the narrowest speech codec follows, and it swells and falls.
    probe = scipy.signal.lfilter([1], [1, -0.8], white) * np.hanning(n_samples)
    probe = (0.5 * probe / np.abs(probe).max()).astype(np.float32)
    decoded = _decoded(np.pad(probe, (0, longest))[np.newaxis], rate, name, CODECS[name].kbps[-1])[0]
    likeness = scipy.signal.correlate(decoded, probe, mode="full", method="fft")[n_samples - 1 :]
    return int(np.argmax(likeness[:longest]))


def _without_delay(samples: Audio, rate: int, name: str, kbps: float, delay: int) -> Audio:
    """Return ``(channel, time)`` decoded, on ``samples`` to the sample and as long."""
    n_samples, wander = samples.shape[1], CODECS[name].wander_samples
    decoded = _decoded(np.pad(samples, ((0, 0), (0, delay + wander))), rate, name, kbps)
    around = np.pad(decoded, ((0, 0), (wander, wander)))[:, delay : delay + n_samples + 2 * wander]
    likeness = [
        np.einsum("ct,ct->", samples, around[:, lag : lag + n_samples], dtype=np.float64)
        for lag in range(2 * wander + 1)
    ]
    lag = int(np.argmax(likeness)) if likeness[wander] > 0 else wander
    return around[:, lag : lag + n_samples]


def _decoded(samples: Audio, rate: int, name: str, kbps: float) -> Audio:
    """Return ``(channel, time)`` through encoder and decoder, at least as long as it was, with their delay."""
    import av

    try:
        encoder, decoder = _contexts(CODECS[name], len(samples), rate, kbps)
        n_frame = encoder.frame_size or 1024  # 0: any
        n_frames = -(-samples.shape[1] // n_frame) + 1
        padded = np.pad(samples, ((0, 0), (0, n_frames * n_frame - samples.shape[1])))
        decoded = []
        for begin in range(0, padded.shape[1], n_frame):
            frame = _frame(padded[:, begin : begin + n_frame], encoder, begin)
            decoded += [_samples(out) for packet in encoder.encode(frame) for out in decoder.decode(packet)]
        decoded += [_samples(out) for packet in encoder.encode(None) for out in decoder.decode(packet)]
        decoded += [_samples(out) for out in decoder.decode(None)]
    except (av.FFmpegError, ValueError, OSError) as error:
        raise ConfigError(
            f"codec: {name} at {rate} Hz and {kbps:g} kbit/s is refused by FFmpeg ({error}); give another bit rate"
        ) from None
    whole = np.concatenate(decoded, axis=1)
    return np.pad(whole, ((0, 0), (0, max(0, samples.shape[1] - whole.shape[1]))))


def _contexts(kind: Codec, n_channels: int, rate: int, kbps: float) -> tuple[AudioCodecContext, AudioCodecContext]:
    from av import AudioCodecContext, CodecContext

    encoder, decoder = CodecContext.create(kind.encoder, "w"), CodecContext.create(kind.decoder, "r")
    assert isinstance(encoder, AudioCodecContext) and isinstance(decoder, AudioCodecContext)
    for context in (encoder, decoder):
        context.sample_rate = rate
        context.layout = "stereo" if n_channels == 2 else "mono"
        context.thread_count = 1
    encoder.format = kind.sample_format
    encoder.bit_rate = round(1000 * kbps)
    encoder.open()
    decoder.extradata = encoder.extradata
    return encoder, decoder


def _frame(samples: Audio, encoder: AudioCodecContext, begin: int) -> AudioFrame:
    from av import AudioFrame

    values: NDArray[Any] = samples
    if encoder.format.name.startswith("s16"):
        values = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    values = np.ascontiguousarray(values if encoder.format.is_planar else values.T.reshape(1, -1))
    frame = AudioFrame.from_ndarray(values, format=encoder.format.name, layout=encoder.layout.name)
    frame.sample_rate = encoder.sample_rate
    frame.pts = begin
    return frame


def _samples(frame: AudioFrame) -> Audio:
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    samples = values.astype(np.float32)
    return samples / np.float32(32768) if values.dtype == np.int16 else samples


class CodecLoss(Degradation):
    """A lossy codec; not on the target.

    ``mp3``, ``aac``, ``opus``, ``ac3`` for music and film, ``sbc`` of Bluetooth, the rest of telephones: ``amr-nb``,
    ``amr-wb``, ``gsm``, ``g711-alaw``, ``g711-ulaw``, ``g722``, ``g723.1``, ``adpcm``, as far as this FFmpeg has them.
    """

    apply: ClassVar = staticmethod(transcode)
    codec: CodecName = Field("mp3", description="as far as this FFmpeg has it")
    bit_rate_kbps: Annotated[Spread, within(1, 1000)] = Field(
        spread(24, 128, form="log"), description="the nearest there is"
    )
