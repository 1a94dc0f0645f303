"""Real denoisers, whose output is training material for what repairs their artefacts; each without its delay.

::

    denoiser: {with: deep-filter}                              # a program on PATH
    denoiser: {with: deep-filter, options: [--pf]}
    denoiser: {with: "my-denoiser --in {in} --out {out}", sample_rate: 16000}
    denoiser: {with: model.onnx}
    denoiser: {with: rnnoise}                                  # through pyrnnoise
    denoiser: {with: classic}
    denoiser: [voice, classic, {with: deep-filter}]            # each example goes through one of them, in turn

A program gets a 16-bit WAV, the one kind that all of them read.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from resound.audio.segments import read_excerpt, resample
from resound.config import validated
from resound.dsp.alignment import Delay, find_delay, moved_earlier
from resound.errors import ConfigError, InputError, did_you_mean
from resound.shipped import RESTORING

Audio = NDArray[np.float32]  # (channel, time), full scale ±1
LEAST_CONFIDENCE = 0.2  # of a delay; unrelated material stays below

# Commands known by name, the rate each program works at, and where to get it.
PROGRAMS = {
    "deep-filter": (
        "deep-filter {options} -o {out_dir} {in}", 48000,
        "install it from https://github.com/Rikorose/DeepFilterNet/releases",
    ),
}  # fmt: skip
NO_COMMAND = "write its command with {in} and {out} (or {out_dir}), such as 'my-denoiser {in} {out}'"


class DenoiserConfig(BaseModel):
    """Which denoiser, and how it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    with_: str = Field(alias="with", min_length=1)  # deep-filter, rnnoise, classic, voice, an .onnx file, or a command
    options: tuple[str, ...] = ()  # more words for a program
    sample_rate: int | None = Field(None, ge=1000, le=384_000)  # what a command wants; None: the recording's
    timeout_seconds: float = Field(120.0, gt=0)  # for one recording
    max_delay_seconds: float = Field(0.1, ge=0, le=5)  # either way


class Denoiser(Protocol):
    """Anything that denoises; it may come out late."""

    name: str

    def __call__(self, audio: Audio, sample_rate: int) -> Audio:
        """Return ``(channel, time)`` denoised, perhaps later and of another length.  Raises `InputError`."""
        ...


class Denoised(NamedTuple):
    """A denoised recording in time with what it was made from, and how late it had come."""

    audio: Audio
    delay: Delay

    @property
    def is_sure(self) -> bool:
        """Whether the delay was found for certain; else nothing was moved."""
        return self.delay.confidence >= LEAST_CONFIDENCE


def denoisers_from(written: Any, where: str) -> tuple[DenoiserConfig, ...]:
    """Return the denoisers that settings ask for: none, a word, a mapping, or a list.  Raises `ConfigError`."""
    if written is None:
        return ()
    if not isinstance(written, list):
        return (_denoiser_from(written, where),)
    if not written:
        raise ConfigError(f"{where}: is an empty list; name at least one denoiser")
    return tuple(_denoiser_from(each, f"{where}[{number}]") for number, each in enumerate(written))


def _denoiser_from(written: Any, where: str) -> DenoiserConfig:
    if isinstance(written, str):
        written = {"with": written}
    if not isinstance(written, dict):
        raise ConfigError(f"{where}: is {written!r:.40}; write it as {{with: deep-filter}}")
    return validated(DenoiserConfig, written, where)


def open_denoiser(config: DenoiserConfig) -> Denoiser:
    """Return the denoiser of a config.  Raises `ConfigError` where a program or a package is missing, `ModelError`."""
    word = config.with_
    if word == "rnnoise":
        return _RnNoise()
    if word == "classic" or word in RESTORING or word.lower().endswith(".onnx"):
        return _Model(word)
    return _Program(config)


def denoise(denoiser: Denoiser, audio: Audio, sample_rate: int, *, max_delay_seconds: float = 0.1) -> Denoised:
    """Return ``(channel, time)`` denoised, its delay measured and removed, same shape.

    What comes late is not lost: the denoiser gets as much silence after the end.  Where the delay cannot be told for
    certain (silence came back, or something else) nothing is moved.  Raises `InputError`.
    """
    furthest = round(max_delay_seconds * sample_rate)
    length = audio.shape[1]
    padded = np.pad(audio, ((0, 0), (0, furthest)))
    output = _checked(denoiser(padded, sample_rate), padded, denoiser.name, sample_rate)
    delay = find_delay(padded, output, furthest)
    moved = moved_earlier(output, delay.samples) if delay.confidence >= LEAST_CONFIDENCE else output
    return Denoised(np.ascontiguousarray(moved[:, :length]), delay)


def _checked(output: Audio, padded: Audio, name: str, sample_rate: int) -> Audio:
    """Return the output at the input's length.  Raises `InputError` where it is no version of the input at all."""
    if len(output) != len(padded):
        raise InputError(f"{name}: gave {len(output)} channels for {len(padded)}; use one that keeps them")
    if not np.isfinite(output).all():
        raise InputError(f"{name}: gave samples that are not finite; use another denoiser")
    missing = padded.shape[1] - output.shape[1]
    if missing > 0.25 * padded.shape[1]:
        seconds = [n / sample_rate for n in (output.shape[1], padded.shape[1])]
        raise InputError(f"{name}: gave {seconds[0]:.2f} s for {seconds[1]:.2f} s; look at its options and sample_rate")
    return np.pad(output, ((0, 0), (0, max(0, missing))))[:, : padded.shape[1]].astype(np.float32)


class _Model:
    """The classic chain, a network that ships, or an ONNX file."""

    def __init__(self, word: str) -> None:
        from resound.inference.models import find_model

        self._model = find_model(word)
        self.name = self._model.name

    def __call__(self, audio: Audio, sample_rate: int) -> Audio:
        from resound.inference.pipeline import restored

        if not audio.size:
            return audio
        stages = self._model.stages(sample_rate)
        blocks = [block for _, block in restored([audio.astype(np.float64)], stages, sample_rate=sample_rate)]
        return np.concatenate(blocks, axis=1).astype(np.float32)


class _RnNoise:
    """RNNoise (Valin 2018) through pyrnnoise."""

    name = "rnnoise"

    def __init__(self) -> None:
        try:
            self._make: Callable[..., Any] = importlib.import_module("pyrnnoise").RNNoise
        except (ImportError, OSError) as error:
            raise ConfigError(f"denoiser: rnnoise cannot be loaded ({error}); pip install 'resound[rnnoise]'") from None

    def __call__(self, audio: Audio, sample_rate: int) -> Audio:
        if not audio.size:
            return audio
        scaled, gain = _as_int16(resample(audio, sample_rate, 48000))
        frames = [frame for _, frame in self._make(sample_rate=48000).denoise_chunk(scaled, partial=True)]
        output = np.concatenate([np.atleast_2d(frame) for frame in frames], axis=1)
        return resample(output.astype(np.float32) / np.float32(32768 * gain), 48000, sample_rate)


class _Program:
    """A program that reads one file and writes another."""

    def __init__(self, config: DenoiserConfig) -> None:
        template, rate, remedy = PROGRAMS.get(config.with_, (config.with_, None, "install it, or give its path"))
        try:
            words = shlex.split(template)
        except ValueError as error:
            raise ConfigError(f"denoiser: {template!r} is no command ({error}); {NO_COMMAND}") from None
        if "{options}" in words:
            place = words.index("{options}")
            words[place : place + 1] = config.options
        else:
            words += config.options
        self.name = os.path.basename(words[0]) if words else ""
        if not any("{in}" in word for word in words) or not any("{out" in word for word in words):
            known = (*PROGRAMS, "rnnoise", "classic", *RESTORING)
            hint = did_you_mean(config.with_, known) or f"; {NO_COMMAND}"
            raise ConfigError(f"denoiser: {config.with_!r} does not say where its files go{hint}")
        if shutil.which(words[0]) is None:
            raise ConfigError(f"denoiser: {words[0]!r} is no program on PATH; {remedy}")
        self._words = words
        self._rate = config.sample_rate or rate
        self._timeout_seconds = config.timeout_seconds

    def __call__(self, audio: Audio, sample_rate: int) -> Audio:
        rate = self._rate or sample_rate
        scaled, gain = _as_int16(resample(audio, sample_rate, rate))
        with tempfile.TemporaryDirectory(prefix="resound-") as folder:
            source, out_dir = Path(folder, "in.wav"), Path(folder, "out")
            out_dir.mkdir()
            target = out_dir / source.name
            soundfile.write(source, scaled.T, rate, subtype="PCM_16")
            places = {"{in}": str(source), "{out}": str(target), "{out_dir}": str(out_dir)}
            run_program([_filled(word, places) for word in self._words], self._timeout_seconds)
            output = self._read(target, sample_rate)
        return output / np.float32(gain)

    def _read(self, target: Path, sample_rate: int) -> Audio:
        if not target.is_file() or not target.stat().st_size:
            raise InputError(f"{self.name}: wrote nothing; run it by hand on one file and see")
        try:
            return read_excerpt(target, sample_rate)
        except InputError as error:
            reason = str(error).removeprefix(f"{target}: ")
            raise InputError(f"{self.name}: what it wrote {reason}") from None


def run_program(words: list[str], timeout_seconds: float) -> None:
    """Run a program to its end.  Raises `InputError` with its last words where it fails or takes too long.

    Whatever ends the wait, Ctrl-C too, ends the program and all it has started.
    """
    name = os.path.basename(words[0])
    try:
        program = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise InputError(f"{name}: cannot be started ({error.strerror}); run it by hand and see") from None
    try:
        _, said = program.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{name}: took longer than {timeout_seconds:g} s; raise timeout_seconds, or run it by hand and see"
        ) from None
    finally:
        if program.poll() is None:
            _end_group(program)
    if program.returncode:
        last = (said.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
        raise InputError(f"{name}: failed with status {program.returncode} ({last[:120]}); run it by hand and see")


def _end_group(program: subprocess.Popen[bytes]) -> None:
    """Kill a program together with the processes it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(program.pid, signal.SIGKILL)
        program.kill()
    program.wait()
    if program.stderr:
        program.stderr.close()


def _filled(word: str, places: dict[str, str]) -> str:
    for key, value in places.items():
        word = word.replace(key, value)
    return word


def _as_int16(audio: Audio) -> tuple[NDArray[np.int16], float]:
    """Return ``(channel, time)`` as 16-bit integers, and the gain that made it fit, 1 below full scale."""
    gain = min(1.0, (32767 / 32768) / max(float(np.abs(audio).max(initial=0)), 1e-9))
    return np.round(audio.astype(np.float64) * (gain * 32768)).astype(np.int16), gain
