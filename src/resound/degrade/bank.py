"""Banks of recordings to draw from: a folder, a manifest, or one file; and a stretch out of one of them.

A bank is names alone, read once in each process, and cheap to send to a worker.  To draw opens no file; to read a
stretch opens one.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import Field

from resound.audio.files import AUDIO_SUFFIXES, open_reader
from resound.audio.segments import read_excerpt, read_segment, resample
from resound.corpora.manifest import Manifest, read_manifest, split_lines
from resound.degrade.cache import ArrayCache
from resound.degrade.degradation import Audio, Degradation, Params
from resound.errors import InputError

Pick = Literal["file", "duration"]
SHORTEST_LOOP_SECONDS = 0.1  # what is shorter is a buzz when repeated, no noise
CROSSFADE_SECONDS = 0.05
DRAWS_FOR_A_SPEAKER = 20  # until it is taken that there are no more
LONGEST_HELD = 60 * 48000  # samples per channel
_HELD = ArrayCache(64 << 20)  # whole recordings of small banks, at their own rates
_DECODED = ArrayCache(32 << 20)  # whole short recordings, which are looped


@dataclass(frozen=True, eq=False)
class Bank:
    """Recordings, in the order of their names."""

    source: str
    files: tuple[str, ...]
    speakers: tuple[str | None, ...] = ()  # of each file, where a manifest tells
    known_seconds: tuple[float, ...] = ()  # of each file, where a manifest tells

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """Length of each file; opens every one once where no manifest tells."""
        if self.known_seconds:
            return np.array(self.known_seconds)
        return np.array([length / rate for length, rate in map(length_and_rate, self.files)])

    @cached_property
    def _seconds_until(self) -> NDArray[np.float64]:
        return np.cumsum(self.seconds)

    def draw(self, rng: np.random.Generator, pick: Pick = "file") -> str:
        """Return a file: each as likely, or as likely as it is long."""
        if pick == "file":
            return self.files[int(rng.integers(len(self.files)))]
        until = self._seconds_until
        return self.files[int(np.searchsorted(until[:-1], rng.random() * until[-1], "right"))]

    def draw_speakers(self, rng: np.random.Generator, n: int) -> list[str]:
        """Return files of ``n`` different speakers, of different files where no speaker is known.

        Where there are fewer, some come again.
        """
        found: dict[str, str] = {}
        for _ in range(DRAWS_FOR_A_SPEAKER * n):
            index = int(rng.integers(len(self.files)))
            speaker = self.speakers[index] if self.speakers else None
            found.setdefault(speaker or self.files[index], self.files[index])
            if len(found) == n:
                break
        files = list(found.values())
        return [files[index % len(files)] for index in range(n)]


class FromBank(Degradation):
    """A degradation that takes recordings out of a bank."""

    usual_domains: ClassVar[tuple[str, ...]]  # of a manifest, where no domain is asked for
    bank: str = Field(description="folder, manifest (.jsonl) or file")
    split: str | None = Field(None, description="take this split of a manifest only")
    domain: str | None = Field(None, description="take this domain of a manifest instead of the usual ones")

    def open(self) -> Bank:
        """Return the bank, read once in each process.  Raises `InputError`."""
        return open_bank(self.bank, self.split, (self.domain,) if self.domain else (*self.usual_domains, ""))

    def draw(self, rng: np.random.Generator) -> Params:
        """Return parameters for one recording without those of the bank, in whose place a subclass puts files."""
        params = super().draw(rng)
        return {name: params[name] for name in params if name not in FromBank.model_fields}


def open_bank(source: str | os.PathLike[str], split: str | None = None, domains: tuple[str, ...] = ()) -> Bank:
    """Return the bank of a folder (its recordings at any depth), a manifest (``.jsonl``) or one file.

    ``split`` takes one split of a manifest, ``domains`` what is of one of these (``""``: of none): rooms and speech are
    no noise.  Raises `InputError` where nothing is there.
    """
    path = Path(source)
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError:
        raise InputError(f"{source}: no such folder, manifest or recording; give the path of a bank") from None
    return _open_bank(str(source), split, domains, modified_ns)


@lru_cache(maxsize=64)
def _open_bank(source: str, split: str | None, domains: tuple[str, ...], modified_ns: int) -> Bank:
    path = Path(source)
    if path.suffix == ".jsonl":
        return _bank_of_manifest(path, split, domains)
    if split is not None:
        raise InputError(f"{source}: has no splits, so no {split!r}; give a manifest, or leave out the split")
    if path.is_file():
        return Bank(source, (source,))
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names if _is_audio(name)]
    if not found:
        raise InputError(f"{source}: holds no recordings; give a folder with WAV, FLAC, MP3, Ogg or M4A files")
    return Bank(source, tuple(sorted(found)))


def _is_audio(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


def _bank_of_manifest(path: Path, split: str | None, domains: tuple[str, ...]) -> Bank:
    manifest = read_manifest(path)
    of_domains = [recording for recording in manifest.recordings if not domains or recording.domain in domains]
    if manifest.recordings and not of_domains:
        asked = " or ".join(filter(None, domains))
        raise InputError(
            f"{path}: has no recordings of {asked} (there are {domains_in(manifest)}); "
            "give another bank, or ask for one of these by 'domain: ...'"
        )
    recordings = sorted(split_lines(of_domains, split), key=lambda recording: recording.path)
    if not recordings:
        there = ", ".join(sorted({str(recording.split) for recording in of_domains})) or "no recordings at all"
        asked = f"no recordings of split {split!r}" if split else "no recordings"
        raise InputError(f"{path}: has {asked} (there are {there}); scan the corpus again or ask for another split")
    return Bank(
        str(path),
        tuple(str(manifest.path_of(recording)) for recording in recordings),
        tuple(recording.speaker for recording in recordings),
        tuple(recording.seconds for recording in recordings),
    )


def domains_in(manifest: Manifest) -> str:
    """Return the domains of a manifest's recordings in words."""
    return ", ".join(sorted({recording.domain or "none" for recording in manifest.recordings}))


def length_and_rate(file: str) -> tuple[int, int]:
    """Return length in samples and sample rate, from the header where it tells.  Raises `InputError`."""
    return _length_and_rate(file, _modified_ns(file))


def _modified_ns(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        raise InputError(f"{file}: no such recording; put it back, or scan the bank again") from None


@lru_cache(maxsize=1 << 16)
def _length_and_rate(file: str, modified_ns: int) -> tuple[int, int]:
    try:
        header = soundfile.info(file)
        if header.frames > 0:
            return int(header.frames), int(header.samplerate)
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        pass  # M4A, the sound of a video, a damaged header: the reader knows, or says what is wrong
    with open_reader(file) as reader:
        if reader.format.n_samples is not None:
            return reader.format.n_samples, reader.format.sample_rate
        return sum(block.shape[1] for block in reader.blocks(1 << 20)), reader.format.sample_rate


def read_stretch(file: str, sample_rate: int, n_samples: int, *, position: float) -> Audio:
    """Return ``(channel, n_samples)`` of a recording at ``sample_rate``.

    ``position`` from 0 to 1 says which of the stretches that fit: the first to the last.  A recording that is shorter
    is looped, beginning there.  Raises `InputError`.
    """
    length, native_rate = length_and_rate(file)
    n_native = -(-n_samples * native_rate // sample_rate)
    if length >= n_native:
        start = round(position * (length - n_native))
        audio = resample(_native_stretch(file, start, n_native, length), native_rate, sample_rate)
        if audio.shape[1] >= n_samples:
            return audio[:, :n_samples]
    audio = _DECODED.get((file, sample_rate, _modified_ns(file)), lambda: read_excerpt(Path(file), sample_rate))
    if audio.shape[1] >= n_samples:  # by a sample of rounding
        return audio[:, :n_samples]
    if audio.shape[1] < SHORTEST_LOOP_SECONDS * sample_rate:
        raise InputError(
            f"{file}: {audio.shape[1]} samples are too short to loop; give at least {SHORTEST_LOOP_SECONDS:g} s"
        )
    skipped = round(position * audio.shape[1])
    looped = loop_to_length(audio, skipped + n_samples, round(CROSSFADE_SECONDS * sample_rate))
    return looped[:, skipped:]


def _native_stretch(file: str, start: int, n_samples: int, length: int) -> Audio:
    """Return ``(channel, n_samples)`` of a recording at its own rate.

    To decode is a third of the work of an example.  A bank of a few FLAC files, such as the noise of one's own film,
    stays decoded; of a large one the same file hardly ever comes twice among so many.  Lossy files are not held: some
    decoders give other last bits after a seek, and the samples must not depend on what came before.
    """
    often = _RECENT.seen(file)
    if not (often and file.lower().endswith(".flac") and length <= LONGEST_HELD):
        return read_segment(Path(file), start_samples=start, n_samples=n_samples)[0]
    whole = _HELD.get((file, _modified_ns(file)), lambda: read_segment(Path(file))[0])
    return whole[:, start : start + n_samples]


class _Recent:
    """The names that came last."""

    def __init__(self, n_names: int) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()
        self._n_names = n_names

    def seen(self, name: str) -> bool:
        """Return whether a name is among the last ones, and put it to their front."""
        is_there = name in self._names
        self._names[name] = None
        self._names.move_to_end(name)
        if len(self._names) > self._n_names:
            self._names.popitem(last=False)
        return is_there


_RECENT = _Recent(32)


def loop_to_length(noise: Audio, n_samples: int, crossfade_samples: int) -> Audio:
    """Return ``(channel, time)`` noise repeated to ``n_samples``, each end faded into the next beginning.

    The fades keep the power of noise, whose end and beginning have nothing in common (sine and cosine); they last
    half of the noise at most.  Raises `InputError` for noise without samples.
    """
    length = noise.shape[1]
    if length == 0:
        raise InputError("the noise holds no samples, so it cannot be looped; leave it out")
    if length >= n_samples:
        return noise[:, :n_samples]
    fade = min(crossfade_samples, length // 2)
    angle = np.pi / 2 * (np.arange(fade) + 0.5) / max(1, fade)
    rising, falling = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
    seam = noise[:, :fade] * rising + noise[:, length - fade :] * falling
    round_ = np.concatenate([seam, noise[:, fade : length - fade]], axis=1)  # what is heard again and again
    n_rounds = -(-(n_samples - (length - fade)) // round_.shape[1])
    return np.concatenate([noise[:, : length - fade], np.tile(round_, n_rounds)], axis=1)[:, :n_samples]


def with_channels(audio: Audio, n_channels: int) -> Audio:
    """Return ``(n_channels, time)``: as it is where the number fits, else the mean of all channels in each."""
    if len(audio) == n_channels:
        return audio
    mono = audio.mean(axis=0, keepdims=True, dtype=np.float32)
    return mono if n_channels == 1 else np.repeat(mono, n_channels, axis=0)
