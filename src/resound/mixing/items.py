"""One example as files on disk: made, measured, written whole or not at all, and known again by size and checksum."""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from resound.audio.atomic import write_failure
from resound.degrade.noise import power_of
from resound.errors import InputError, ModelError
from resound.mixing.config import Common, SeparationConfig
from resound.mixing.denoisers import DenoiserConfig, denoise, open_denoiser
from resound.mixing.example import Audio, Example
from resound.mixing.stream import open_epoch

Record = dict[str, Any]  # plain JSON: all about one example
Kind = Literal["flac16", "flac24", "wav"]
BITS: dict[Kind, int] = {"flac16": 16, "flac24": 24, "wav": 32}
HARMLESS = {"gain", "polarity", "shift"}  # augmentations after which a signal-to-noise ratio is what it was
FACTOR = {16: 1 << 16, 24: 1 << 8}  # libsndfile's 32-bit integers hold narrower ones in their upper bits


@dataclass(frozen=True)
class Outcome:
    """What became of one example: its record, or why there is none."""

    index: int
    record: Record | None = None
    error: str | None = None
    was_whole: bool = False  # its files were there already


@dataclass(frozen=True)
class Job:
    """One example to make, unless the files that an earlier run recorded are whole."""

    index: int
    files: dict[str, Any] | None = None


@dataclass(frozen=True)
class ItemSettings:
    """How examples are made and written."""

    mixing: Common
    denoisers: tuple[DenoiserConfig, ...]  # each example goes through one of them, in turn
    folder: Path
    epoch: int
    n_examples: int
    kind: Kind

    @property
    def suffix(self) -> str:
        """Of the files."""
        return ".wav" if self.kind == "wav" else ".flac"

    @property
    def sides(self) -> list[str]:
        """The folders, each with one file of each example."""
        if isinstance(self.mixing, SeparationConfig):
            names = ["mix", *(f"s{number + 1}" for number in range(self.mixing.n_speakers))]
        else:
            names = ["clean", "degraded"]
        return names + (["denoised"] if self.denoisers else [])


class ItemMaker:
    """Makes examples in one process."""

    def __init__(self, settings: ItemSettings) -> None:
        self._settings = settings
        self._examples = open_epoch(settings.mixing, settings.epoch, settings.n_examples)
        self._denoisers = [open_denoiser(each) for each in settings.denoisers]

    def __call__(self, job: Job) -> Outcome:
        """Return what became of an example.  Raises `OutputError` where nothing can be written."""
        if job.files is not None and is_whole(self._settings.folder, job.files):
            return Outcome(job.index, was_whole=True)
        try:
            return Outcome(job.index, self._make(job.index))
        except (InputError, ModelError) as error:
            return Outcome(job.index, error=str(error))

    def _make(self, index: int) -> Record:
        settings = self._settings
        before = self._examples.skipped.copy()
        example = self._examples.example(settings.epoch, index)
        skipped = self._examples.skipped - before
        sides = sides_of(example, settings)
        facts: Record = {}
        if self._denoisers:
            turn = index % len(self._denoisers)
            denoiser, furthest = self._denoisers[turn], settings.denoisers[turn].max_delay_seconds
            done = denoise(denoiser, example.degraded, example.sample_rate, max_delay_seconds=furthest)
            sides["denoised"] = done.audio
            delay = done.delay._asdict() | {"confidence": round(done.delay.confidence, 4)}
            delay["fraction"] = round(done.delay.fraction, 4)
            facts["denoiser"] = {"name": denoiser.name, "delay": delay, "sure": done.is_sure}
        stored, gain_db = fitted(sides, settings.kind)
        files = {side: _store(audio, settings, side, index, example.sample_rate) for side, audio in stored.items()}
        return {
            "index": index,
            "files": files,
            "sample_rate": example.sample_rate,
            "n_samples": example.clean.shape[1],
            "domain": example.domain,
            "bandwidth_hz": example.bandwidth_hz,
            **ratios_of(stored, example, settings),
            **facts,
            **({"fit_gain_db": gain_db} if gain_db else {}),
            **({"skipped": dict(skipped)} if skipped else {}),
            "recipe": example.recipe,
        }  # fmt: skip


def sides_of(example: Example, settings: ItemSettings) -> dict[str, Audio]:
    """Return what is written of an example, by folder, each ``(channel, time)``."""
    if isinstance(settings.mixing, SeparationConfig):
        sources = {f"s{number + 1}": source[None] for number, source in enumerate(example.clean)}
        return {"mix": example.degraded, **sources}
    return {"clean": example.clean, "degraded": example.degraded}


def fitted(sides: dict[str, Audio], kind: Kind) -> tuple[dict[str, NDArray], float]:
    """Return all sides as they are stored, integers or float32, and the gain in dB that made them fit.

    The gain is one for all: integers clip above full scale, and one side scaled alone would be no pair any more.
    """
    if kind == "wav":
        return {name: audio.astype("<f4") for name, audio in sides.items()}, 0.0
    bits = BITS[kind]
    most = 1 - 2.0 ** (1 - bits)
    peak = max(float(np.abs(audio).max(initial=0)) for audio in sides.values())
    gain_db = float(np.floor(2e4 * np.log10(most / peak)) / 1e3) if peak > most else 0.0
    scale = 2 ** (bits - 1) * 10 ** (gain_db / 20)
    stored = {name: np.round(audio.astype(np.float64) * scale).astype(np.int32) for name, audio in sides.items()}
    return stored, gain_db


def ratios_of(stored: dict[str, NDArray], example: Example, settings: ItemSettings) -> Record:
    """Return the ratios in dB between what was stored: signal to noise, asked for and its error; sources to others."""
    scale = 1.0 if settings.kind == "wav" else 2.0 ** (BITS[settings.kind] - 1)
    values = {name: audio / scale for name, audio in stored.items()}
    sources = [values[name] for name in values if name.startswith("s")]
    clean = np.stack(sources or [values["clean"]]).sum(axis=0, dtype=np.float64)
    noise = (values["mix"] if sources else values["degraded"]) - clean
    # Each side was rounded by half a step (floats: of their 24 bits): what is not more than that is no noise.
    step = np.abs(clean).max(initial=0) * 2.0**-23 if settings.kind == "wav" else 1 / scale
    if np.abs(noise).max(initial=0) <= 0.5 * step * len(values):
        noise = np.zeros(clean.shape)
    facts: Record = {"snr_db": ratio_db(clean, noise)}
    asked = only_noise_of(example.recipe)
    if asked is not None and facts["snr_db"] is not None:
        measured = ratio_db(clean, noise, asked.get("reference", "full"), example.sample_rate)
        facts["asked_snr_db"] = asked["snr_db"]
        facts["snr_error_db"] = None if measured is None else round(measured - asked["snr_db"], 5)
    if sources:
        facts["sir_db"] = [ratio_db(source, clean - source) for source in sources]
    return facts


def ratio_db(
    signal: NDArray, noise: NDArray, reference: Literal["full", "active"] = "full", sample_rate: int = 0
) -> float | None:
    """Return the ratio of mean powers in dB, None where one of them is silent."""
    powers = power_of(signal, sample_rate, reference), power_of(noise, sample_rate, "full")
    return round(10 * float(np.log10(powers[0] / powers[1])), 5) if min(powers) > 0 else None


def only_noise_of(recipe: Record) -> dict[str, Any] | None:
    """Return the parameters of the one step that added noise, where it was all that was done."""
    steps = recipe.get("chain", [])
    if len(steps) != 1 or any(set(line) - HARMLESS for line in recipe.get("augment", [])):
        return None
    step = dict(steps[0])
    if step.pop("target", "auto") == "same":
        return None
    (params,) = step.values()
    return params if params.get("snr_db") is not None else None


def is_whole(folder: Path, files: dict[str, Any]) -> bool:
    """Return whether all files of an example are there with the size and the checksum that were recorded."""
    try:
        return all(
            os.path.getsize(folder / file["path"]) == file["size_bytes"]
            and hashlib.sha256((folder / file["path"]).read_bytes()).hexdigest() == file["sha256"]
            for file in files.values()
        )
    except (OSError, KeyError, TypeError):
        return False


def _store(stored: NDArray, settings: ItemSettings, side: str, index: int, sample_rate: int) -> Record:
    """Write one file of an example and return its path, size and checksums."""
    path = f"{side}/{index:06}{settings.suffix}"
    content = encoded(stored, sample_rate, settings.kind)
    _write(settings.folder / path, content)
    return {
        "path": path,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        # of the samples as soundfile.read(..., dtype="int32" or "float32") gives them: another version of the
        # encoder writes other bytes for the same samples
        "samples_sha256": hashlib.sha256(_interleaved(stored, settings.kind).data).hexdigest(),
    }


def encoded(stored: NDArray, sample_rate: int, kind: Kind) -> bytes:
    """Return the bytes of a file: the same for the same samples, whenever it is made."""
    interleaved = _interleaved(stored, kind)
    if kind == "wav":  # not by libsndfile, which puts the time of day into float files
        return _wav_header(len(stored), sample_rate, interleaved.nbytes) + interleaved.tobytes()
    with _unnamed_file() as file:
        form = {"format": "FLAC", "subtype": f"PCM_{BITS[kind]}"}
        with soundfile.SoundFile(file.fileno(), "w", sample_rate, len(stored), closefd=False, **form) as out:
            out.write(interleaved)
        file.seek(0)
        return file.read()


def _unnamed_file() -> IO[bytes]:
    """Return a file in memory where the system has such.

    A `BytesIO` would not do: libsndfile calls back into Python for it, and an interrupt in there is lost, together
    with what was just to be written.
    """
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("resound"), "w+b")
    return tempfile.TemporaryFile()


def _interleaved(stored: NDArray, kind: Kind) -> NDArray:
    """Return ``(time, channel)`` as libsndfile takes and gives it."""
    shifted = stored if kind == "wav" else stored * np.int32(FACTOR[BITS[kind]])
    return np.ascontiguousarray(shifted.T, dtype="<f4" if kind == "wav" else "<i4")


def _wav_header(n_channels: int, sample_rate: int, n_bytes: int) -> bytes:
    """Return the header of a WAV of 32-bit floats (format tag 3), with the fact chunk that it calls for."""
    frame_bytes = 4 * n_channels
    form = struct.pack(
        "<4sIHHIIHHH", b"fmt ", 18, 3, n_channels, sample_rate, sample_rate * frame_bytes, frame_bytes, 32, 0
    )
    fact = struct.pack("<4sII", b"fact", 4, n_bytes // frame_bytes)
    data = struct.pack("<4sI", b"data", n_bytes)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(fact) + len(data) + n_bytes, b"WAVE") + form + fact + data


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Nothing waits for the disk here: what a power cut leaves of it, its checksum tells.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(temporary, "wb") as out:
            out.write(content)
        os.replace(temporary, path)
    except OSError as error:
        raise write_failure(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
