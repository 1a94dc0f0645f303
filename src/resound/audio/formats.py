"""What a recording is, whichever library opened it: its format, and how it is read and written.

Samples travel as float64 arrays of shape ``(channel, time)``, full scale ±1, in blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Storage = Literal["int8", "int16", "int24", "int32", "float32", "float64"]

BITS: dict[Storage, int] = {"int8": 8, "int16": 16, "int24": 24, "int32": 32, "float32": 32, "float64": 64}


@dataclass(frozen=True)
class Format:
    """The format of one audio track."""

    container: str  # as its library names it: "WAV", "FLAC", "matroska,webm"
    codec: str  # "PCM_24", "VORBIS", "aac"
    sample_rate: int
    n_channels: int
    n_samples: int | None  # per channel; None where only decoding can tell
    storage: Storage  # the narrowest type that holds every decoded sample exactly (lossy codecs: float32)
    lossless: bool  # False where encoding again changes the samples
    bit_rate: int | None = None  # of lossy codecs, bits per second

    @property
    def duration_seconds(self) -> float | None:
        """Length in seconds, None where only decoding can tell."""
        return None if self.n_samples is None else self.n_samples / self.sample_rate


class Reader(Protocol):
    """An opened recording.  Errors are `InputError`; a context manager."""

    path: Path
    format: Format
    warnings: list[str]  # what the user should know, complete once the blocks are exhausted

    def blocks(self, block_samples: int) -> Iterator[Samples]:
        """Yield ``(channel, time)`` blocks of ``block_samples``, the last one shorter.  Can be iterated once.

        NaN and infinite samples arrive as 0 and are counted in one warning.
        """
        ...

    @property
    def audio_md5(self) -> str:
        """MD5 of the samples read so far, interleaved little-endian in their storage type."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...

    def __enter__(self) -> Reader: ...
    def __exit__(self, *exc: object) -> None: ...


class Writer(Protocol):
    """A recording being made under a temporary name.

    A context manager: leaving it normally finishes the file and gives it its name; leaving it by any exception
    (Ctrl-C too) removes every trace.  Errors are `OutputError`.
    """

    path: Path
    format: Format
    warnings: list[str]

    @property
    def n_clipped(self) -> int:
        """Samples that the storage type could not hold, so far."""
        ...

    def write(self, block: Samples) -> Samples:
        """Append ``(channel, time)``; return the samples as stored (rounded to the storage type, clipped)."""
        ...

    def finish(self) -> None:
        """Complete the file under its temporary name, on the disk; what is left to do cannot run out of space.

        Leaving the context does it too.  May be called once all is written.
        """
        ...

    @property
    def audio_md5(self) -> str:
        """MD5 of the samples handed to the encoder so far, interleaved little-endian in their storage type."""
        ...

    def __enter__(self) -> Writer: ...
    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None: ...


def lossy_warning(path: Path, codec: str, *, keeping: str) -> str:
    """Return what to say where a lossless source becomes lossy; ``keeping`` names suffixes that lose nothing."""
    return f"{path}: is written as {codec}, which is lossy; give a name ending in {keeping} to lose nothing"


class Quantiser:
    """Rounds blocks to a storage type, counts clipped samples, and keeps the MD5 of what passed.

    Integers are scaled by exactly ``2**(bits - 1)`` both ways, so that samples read from an integer file come back
    bit for bit.  (libsndfile scales by 32767 when it writes floats and by 32768 when it reads them: hence our own.)
    """

    def __init__(self, storage: Storage) -> None:
        self.storage: Storage = storage
        self.n_clipped = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def quantise(self, block: Samples) -> tuple[NDArray[np.int32] | NDArray[np.floating], Samples]:
        """Return the block as stored, twice: as storage values and as float64.

        ``(channel, time)`` -> ``(channel, time)`` int32 holding the integer value (not shifted up) or float32/64.
        """
        if self.storage in ("float32", "float64"):
            stored = block.astype(self.storage)
            interleaved = np.ascontiguousarray(stored.T, dtype="<f4" if self.storage == "float32" else "<f8")
            self._md5.update(interleaved.data)
            return stored, stored.astype(np.float64)
        scale = 2.0 ** (BITS[self.storage] - 1)
        scaled = np.round(block * scale)
        self.n_clipped += int(np.count_nonzero((scaled > scale - 1) | (scaled < -scale)))
        values = np.clip(scaled, -scale, scale - 1)
        integers = values.astype(np.int32)
        self._md5.update(little_endian(integers, self.storage))
        return integers, values / scale

    @property
    def md5(self) -> str:
        """MD5 of everything quantised so far."""
        return self._md5.hexdigest()


def little_endian(integers: NDArray[np.int32], storage: Storage) -> bytes:
    """Return ``(channel, time)`` integers as interleaved little-endian bytes of the storage type."""
    interleaved = np.ascontiguousarray(integers.T)
    if storage == "int24":
        return interleaved.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return interleaved.astype({"int8": "<i1", "int16": "<i2", "int32": "<i4"}[storage]).tobytes()
