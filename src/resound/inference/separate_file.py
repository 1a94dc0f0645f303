"""Separates a file: one file for each voice, like the input but for its content, and a log of what was done."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from resound.audio import atomic, files
from resound.audio.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from resound.audio.formats import Reader, Writer
from resound.dsp.levels import LevelMeter
from resound.errors import ConfigError, InputError
from resound.inference.naming import SIDECAR_MARK, excerpt_suffix, expand, is_sidecar, result_suffix, sidecar_path
from resound.inference.naming import check_apart as check_names_apart
from resound.inference.opened import (
    READ_BLOCK_SECONDS,
    Level,
    Progress,
    check_rate,
    check_targets,
    difference_writer,
    expected_seconds,
    rounded,
    versions,
    warnings_of,
)
from resound.inference.separation import NetworkSeparator, SeparationReport, separate_blocks

MOST_REST_DB = -6.0  # beside the input: above it, what is in no voice is worth a warning
QUIET_VOICE_DB = 15.0  # below the loudest: such a voice is likely none (docs/shipped.md, How good separate is)
LEAST_AGREEMENT_DB = 3.0  # below it a recording's voices are hardly told apart (docs/separate.md, How sure)


@dataclass(frozen=True)
class VoiceFiles:
    """One recording to separate and the names of its results."""

    source: Path
    outputs: tuple[Path, ...]  # one a voice
    rest: Path | None  # what is in no voice

    @property
    def all(self) -> list[Path]:
        """All sound files to write."""
        return [*self.outputs, *([self.rest] if self.rest else [])]

    @property
    def is_done(self) -> bool:
        """Whether all of them are there."""
        return all(path.exists() for path in self.all)

    @property
    def is_begun(self) -> bool:
        """Whether those of them that are there were made by separating, so that they may be made again."""
        there = [path for path in self.outputs if path.exists()]
        return bool(there) and all(is_sidecar(sidecar_path(path)) for path in there)


@dataclass(frozen=True)
class Excerpt:
    """Which part of which track."""

    start_seconds: float = 0.0
    duration_seconds: float | None = None
    audio_track: int | None = None

    def __post_init__(self) -> None:
        """Raise `ConfigError` for what is no part of a recording."""
        if not 0 <= self.start_seconds < math.inf:
            raise ConfigError(f"start is {self.start_seconds:g} s; give 0 or more")
        if self.duration_seconds is not None and not 0 < self.duration_seconds < math.inf:
            raise ConfigError(f"duration is {self.duration_seconds:g} s; give more than 0, or leave it out")


@dataclass(frozen=True)
class VoicesReport:
    """What was done to one recording; the content of the sidecar of each voice."""

    input: str
    outputs: list[str]
    rest: str | None  # the file of what is in no voice; None: the voices have it
    model: str
    weights_md5: str
    parameters: dict[str, Any]
    sample_rate: int
    n_channels: int
    n_samples: int
    duration_seconds: float
    input_audio_md5: str
    output_audio_md5: list[str]
    level_before: Level
    levels_after: list[Level]
    rest_db: float | None  # energy of what the network puts into no voice, relative to the input, dB; None: nothing
    n_chunks: int
    n_reordered: int  # chunks that were put into the order of those before
    unsure_seconds: list[float]  # where nothing told the voices apart
    agreement_db: float | None  # of the voices with what they are when separated again; None: not looked at, or silence
    agreements_db: list[tuple[float, float]]  # of each chunk, after the second at which it begins
    n_clipped: int
    warnings: list[str]
    versions: dict[str, str]

    def to_json(self) -> str:
        """Return the report as the text of a sidecar."""
        return json.dumps({SIDECAR_MARK: version("resound"), **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def plan_voices(
    inputs: Sequence[str], output: Path | None, *, n_voices: int, with_rest: bool, excerpt: Excerpt | None = None
) -> list[VoiceFiles]:
    """Return what to separate: files, folders (their structure is kept in ``output``) and patterns.

    ``film.mkv`` becomes ``film_1.wav``, ``film_2.wav`` and ``film_rest.wav``, beside it or in the folder ``output``.
    Raises `InputError` for folders and patterns without recordings, `ConfigError` for results that would collide.
    """
    excerpt = excerpt or Excerpt()
    part = excerpt_suffix(excerpt.start_seconds, excerpt.duration_seconds)
    if output is not None and (output.is_file() or output.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES):
        raise ConfigError(f"{output}: is one file's name, for {n_voices} voices; give a folder with -o")
    plans: dict[Path, VoiceFiles] = {}
    for source, root in (item for word in inputs for item in expand(word)):
        folder = source.parent if output is None else output / (source.parent.relative_to(root) if root else "")
        is_video = source.suffix.lower() in VIDEO_SUFFIXES
        suffix = ".wav" if is_video else result_suffix(source, is_excerpt=bool(part))
        names = [folder / f"{source.stem}{part}_{number}{suffix}" for number in range(1, n_voices + 1)]
        rest = folder / f"{source.stem}{part}_rest.wav" if with_rest else None
        plans.setdefault(source.absolute(), VoiceFiles(source, tuple(names), rest))
    check_names_apart((path, plan.source) for plan in plans.values() for path in plan.all)
    return list(plans.values())


def separate_file(
    plan: VoiceFiles,
    separator: NetworkSeparator,
    *,
    excerpt: Excerpt | None = None,
    check: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> VoicesReport:
    """Separate a recording into the files of a plan and return what was done.

    All files appear whole or not at all; each voice has the rate, channels, length and tags of the input, and beside
    it a JSON which says what was done; with ``check``, which takes as long again, also how sure the network is.
    Raises `ResoundError`.
    """
    excerpt = excerpt or Excerpt()
    sidecars = [sidecar_path(path) for path in plan.outputs]
    check_targets(plan.source, [*plan.all, *sidecars])
    for path in plan.all:
        atomic.check_free(path, overwrite=overwrite)
    for path in sidecars:
        atomic.check_free(path, overwrite=overwrite or is_sidecar(path))
    with files.open_reader(plan.source, **asdict(excerpt)) as reader:
        check_rate(reader)
        with contextlib.ExitStack() as opened:
            history = f"A=PCM,F={reader.format.sample_rate},T=resound {version('resound')}; {separator.name}"
            writers = [
                opened.enter_context(files.open_writer(path, reader, overwrite=overwrite, history=history))
                for path in plan.outputs
            ]
            logs = [opened.enter_context(atomic.atomic_file(path, overwrite=True)) for path in sidecars]
            rest = (
                opened.enter_context(difference_writer(reader, plan.rest, overwrite=overwrite)) if plan.rest else None
            )
            report = _write_voices(reader, separator, writers, rest, plan, excerpt, progress, check=check)
            for path, log in zip(sidecars, logs, strict=True):
                with atomic.writing(path, log):
                    log.write_text(report.to_json(), encoding="utf-8", errors="backslashreplace")
    return report


def _write_voices(
    reader: Reader,
    separator: NetworkSeparator,
    writers: list[Writer],
    rest: Writer | None,
    plan: VoiceFiles,
    excerpt: Excerpt,
    progress: Progress | None,
    *,
    check: bool,
) -> VoicesReport:
    form, told = reader.format, SeparationReport()
    before, *after = (LevelMeter(form.sample_rate, form.n_channels) for _ in range(1 + len(writers)))
    length_seconds = expected_seconds(reader)
    blocks = reader.blocks(max(1, round(READ_BLOCK_SECONDS * form.sample_rate)))
    separated = separate_blocks(
        blocks, separator, sample_rate=form.sample_rate, rest_apart=rest is not None, check=check, report=told
    )
    for mixture, voices in separated:
        stored = [writer.write(voice) for writer, voice in zip(writers, voices, strict=True)]
        if rest is not None:
            rest.write(mixture - np.sum(stored, axis=0))
        before.add(mixture)
        for meter, voice in zip(after, stored, strict=True):
            meter.add(voice)
        if progress is not None:
            progress(before.n_samples / form.sample_rate, length_seconds)
    if not before.n_samples:
        raise InputError(f"{reader.path}: has no sound from {excerpt.start_seconds:g} s on; start earlier")
    everything = [*writers, *([rest] if rest else [])]
    for writer in everything:  # whole, on the disk, before anything gets its name
        writer.finish()
    silent = _silent_voices(plan, after)
    return VoicesReport(
        input=str(reader.path),
        outputs=[str(path) for path in plan.outputs],
        rest=str(plan.rest) if plan.rest else None,
        model=separator.name,
        weights_md5=separator.weights_md5,
        parameters=asdict(excerpt),
        sample_rate=form.sample_rate,
        n_channels=form.n_channels,
        n_samples=before.n_samples,
        duration_seconds=round(before.n_samples / form.sample_rate, 6),
        input_audio_md5=reader.audio_md5,
        output_audio_md5=[writer.audio_md5 for writer in writers],
        level_before=Level.of(before),
        levels_after=[Level.of(meter) for meter in after],
        rest_db=rounded(told.rest_db),
        n_chunks=told.n_chunks,
        n_reordered=told.n_reordered,
        unsure_seconds=told.unsure_seconds,
        agreement_db=rounded(told.agreement.ratio_db),
        agreements_db=told.agreements_db,
        n_clipped=sum(writer.n_clipped for writer in writers),
        warnings=[*warnings_of(reader, *everything), *_doubts(told, reader, silent), *silent],
        versions=versions(*separator.packages),
    )


def _doubts(told: SeparationReport, reader: Reader, silent: list[str]) -> list[str]:
    """Return what the user should know of the separation itself; one who speaks alone need not agree."""
    doubts = []
    if told.unsure_seconds:
        times = ", ".join(f"{seconds:g} s" for seconds in told.unsure_seconds[:5])
        more = f" and {len(told.unsure_seconds) - 5} more" if len(told.unsure_seconds) > 5 else ""
        doubts.append(
            f"{reader.path}: nothing tells at {times}{more} whether the voices go on in the same order; listen there"
        )
    sure_db = told.agreement.ratio_db
    if sure_db is not None and sure_db < LEAST_AGREEMENT_DB and not silent:
        doubts.append(
            f"{reader.path}: separated once more the voices agree with themselves to {sure_db:.1f} dB only: the model "
            "hardly tells them apart; listen before you use them"
        )
    if told.rest_db is not None and told.rest_db > MOST_REST_DB:
        doubts.append(
            f"{reader.path}: the model puts {10 ** (told.rest_db / 10):.0%} of the energy into no voice; it does not "
            "suit this recording"
        )
    return doubts


def _silent_voices(plan: VoiceFiles, meters: Sequence[LevelMeter]) -> list[str]:
    """Return a warning for each voice with next to nothing in it."""
    levels = [-200.0 if meter.rms_dbfs is None else meter.rms_dbfs for meter in meters]
    return [
        f"{path}: is {max(levels) - level:.0f} dB quieter than the loudest voice; perhaps fewer speak"
        for path, level in zip(plan.outputs, levels, strict=True)
        if level < max(levels) - QUIET_VOICE_DB
    ]
