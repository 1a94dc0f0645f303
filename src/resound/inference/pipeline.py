"""Restores arrays and files: stage after stage, mixed with the input, written with a log of what was done."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio import atomic, files
from resound.audio.formats import Reader, Writer
from resound.classic.chain import ClassicConfig
from resound.dsp.levels import LevelMeter
from resound.errors import ConfigError, InputError, OutputError
from resound.inference.models import Model, find_model
from resound.inference.naming import SIDECAR_MARK, is_sidecar, result_name, sidecar_path
from resound.inference.offline import Restorer, Samples, StageReport, Timeline, checked_samples, restore_blocks
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
from resound.inference.picture import Spectrograms
from resound.inference.repair import Repairer, repaired

LONGEST_SECONDS = 1e9


@dataclass(frozen=True)
class Options:
    """How to restore a file; what the flags of ``resound restore`` say."""

    model: str = "auto"
    strength: float = 1.0
    max_reduction_db: float | None = None
    then: str | Path | None = None  # a network that gives a voice back what the model took
    config: ClassicConfig = field(default_factory=ClassicConfig)
    start_seconds: float = 0.0
    duration_seconds: float | None = None
    audio_track: int | None = None
    audio_codec: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without a file.  Raises `ConfigError`."""
        check_strength(self.strength)
        if self.max_reduction_db is not None and not 0 <= self.max_reduction_db <= 60:
            raise ConfigError(f"max reduction is {self.max_reduction_db:g} dB; give 0 to 60")
        if not 0 <= self.start_seconds <= LONGEST_SECONDS:
            raise ConfigError(f"start is {self.start_seconds:g} s; give 0 or more")
        if self.duration_seconds is not None and not 0 < self.duration_seconds <= LONGEST_SECONDS:
            raise ConfigError(f"duration is {self.duration_seconds:g} s; give more than 0, or leave it out")

    def find_model(self) -> Model:
        """Return what restores.  Raises `ModelError` and `ConfigError`."""
        return find_model(self.model, config=self.config, max_reduction_db=self.max_reduction_db, then=self.then)


@dataclass(frozen=True)
class Report:
    """What was done to one recording; the sidecar's content."""

    input: str
    output: str
    removed: str | None
    model: str
    weights_md5: str | None
    then: str | None  # what repaired it
    then_weights_md5: str | None
    then_changed_db: float | None  # energy of what it changed, relative to what the model made, dB; None: nothing
    is_generative: bool  # some of what is heard was invented
    parameters: dict[str, Any]
    sample_rate: int
    n_channels: int
    n_samples: int
    duration_seconds: float
    input_audio_md5: str
    output_audio_md5: str
    level_before: Level
    level_after: Level
    stages: dict[str, float | None]  # energy each removed, relative to what came in, dB; None: nothing
    removed_db: float | None  # energy of the whole difference relative to the input, dB
    n_clipped: int
    warnings: list[str]
    versions: dict[str, str]

    def to_json(self) -> str:
        """Return the report as the text of a sidecar."""
        return json.dumps({SIDECAR_MARK: version("resound"), **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def check_strength(strength: float) -> None:
    """Raise `ConfigError` unless ``strength`` is between 0 and 1."""
    if not isinstance(strength, Real) or not 0 <= strength <= 1:
        raise ConfigError(f"strength is {strength}; give 0 (leave as it is) to 1 (restore in full)")


def restored(
    blocks: Iterable[Samples],
    stages: Sequence[Restorer],
    *,
    sample_rate: int,
    strength: float = 1.0,
    then: Repairer | None = None,
    reports: Sequence[StageReport] = (),
) -> Iterator[tuple[Samples, Samples]]:
    """Yield ``(input, output)`` blocks, aligned to the sample: ``output = input + strength (restored - input)``.

    ``reports`` are of the stages, and of ``then`` where it is given.
    """
    heard = Timeline()

    def remembered() -> Iterator[Samples]:
        for block in blocks:
            heard.append(block)
            yield block

    stream: Iterable[Samples] = remembered()
    reports = reports or reports_of(stages, then)
    for stage, report in zip(stages, reports[: len(stages)], strict=True):
        stream = restore_blocks(stream, stage, sample_rate=sample_rate, report=report)
    if then is not None:
        stream = repaired(stream, heard, then, sample_rate=sample_rate, report=reports[-1])
    position = 0
    for block in stream:
        before = heard.between(position, position + block.shape[1])
        position += block.shape[1]
        heard.forget_before(position)
        yield before, mixed(before, block, strength)


def reports_of(stages: Sequence[Restorer], then: Repairer | None) -> list[StageReport]:
    """Return an empty report for each stage, and for what repairs."""
    return [StageReport(stage.name) for stage in (*stages, *([then] if then else []))]


def mixed(before: Samples, after: Samples, strength: float) -> Samples:
    """Return ``before + strength (after - before)``; exactly one of them at 0 and 1, down to the sign of a zero."""
    if strength in (0, 1):
        return after if strength else before
    return before + strength * (after - before)


def restore(
    samples: NDArray,
    sample_rate: int,
    model: str = "auto",
    strength: float = 1.0,
    *,
    max_reduction_db: float | None = None,
    config: ClassicConfig | None = None,
    then: str | Path | None = None,
) -> NDArray:
    """Return the samples restored: ``(time,)`` or ``(channel, time)`` float32 or float64, same shape and type.

    Full scale is ±1, but nothing depends on level.  ``strength`` 0 changes nothing, 1 restores in full.  Samples that
    are not finite count as 0.  ``then`` is a network that gives a voice back what the model is likely to have taken.
    Raises `ConfigError` for settings and shapes out of range, `ModelError` for an unknown model.

    >>> import numpy as np
    >>> restore(np.zeros(48000, dtype=np.float32), 48000).shape
    (48000,)
    """
    check_strength(strength)
    wide = checked_samples(samples, sample_rate)
    chosen = find_model(model, config=config, max_reduction_db=max_reduction_db, then=then)
    if not wide.size:
        return np.array(samples)
    rate = int(sample_rate)
    pairs = restored([wide], chosen.stages(rate), sample_rate=rate, strength=strength, then=chosen.then)
    output = np.concatenate([output for _, output in pairs], axis=1)
    return output.reshape(np.shape(samples)).astype(np.asarray(samples).dtype)


def restore_file(
    source: str | Path,
    output: str | Path | None = None,
    *,
    options: Options | None = None,
    removed: str | Path | None = None,
    picture: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Report:
    """Restore a recording into ``output`` (default ``<stem>_restored.<ext>`` beside it) and return what was done.

    ``removed`` also writes input minus output as a sound file, ``picture`` a PNG of all three.  ``settings`` are
    fields of `Options`, such as ``strength=0.5``.  A sidecar JSON is written beside the output.  All files appear
    whole or not at all, and the output last.  Raises `ResoundError`.

    >>> restore_file("film.mkv", strength=0.7)                                            # doctest: +SKIP
    """
    if options is not None and settings:
        raise ConfigError(f"give either options or {', '.join(settings)}, not both")
    options = options or Options(**settings)
    source = Path(source)
    if output is None:
        output = source.with_name(
            result_name(
                source,
                strength=options.strength,
                start_seconds=options.start_seconds,
                duration_seconds=options.duration_seconds,
            )
        )
    targets = Targets(Path(output), _path(removed), _path(picture))
    targets.check_apart(source)
    targets.check_free(overwrite=options.overwrite)
    model = options.find_model()
    with files.open_reader(
        source,
        audio_track=options.audio_track,
        start_seconds=options.start_seconds,
        duration_seconds=options.duration_seconds,
    ) as reader:
        return _restore_opened(reader, targets, model, options, progress)


@dataclass(frozen=True)
class Targets:
    """The files that one restoration writes."""

    output: Path
    removed: Path | None
    picture: Path | None

    @property
    def sidecar(self) -> Path:
        """The log beside the output."""
        return sidecar_path(self.output)

    def check_apart(self, source: Path) -> None:
        """Raise `OutputError` if two of the files, or one and the source, are the same, through links too."""
        check_targets(source, [path for path in (self.output, self.sidecar, self.removed, self.picture) if path])

    def check_free(self, *, overwrite: bool) -> None:
        """Raise `OutputError` if one of the files exists and may not be replaced; a log of ours always may."""
        for path in (self.output, self.removed, self.picture):
            if path is not None:
                atomic.check_free(path, overwrite=overwrite)
        atomic.check_free(self.sidecar, overwrite=overwrite or is_sidecar(self.sidecar))
        if self.picture is not None and self.picture.suffix.lower() != ".png":
            raise OutputError(f"{self.picture}: pictures are PNG files; give a name ending in .png")


@dataclass
class Tally:
    """What is summed over a recording while it is restored."""

    stages: list[StageReport]
    before: LevelMeter
    after: LevelMeter
    whole: StageReport = field(default_factory=lambda: StageReport("whole"))

    def add(self, before: Samples, after: Samples, difference: Samples) -> None:
        """Take the next blocks, ``(channel, time)`` each."""
        self.before.add(before)
        self.after.add(after)
        self.whole.energy_in += float(np.sum(np.square(before)))
        self.whole.energy_removed += float(np.sum(np.square(difference)))


def _restore_opened(
    reader: Reader, targets: Targets, model: Model, options: Options, progress: Progress | None
) -> Report:
    """Restore an opened recording; the writers are context managers, so an exception leaves nothing behind."""
    form = reader.format
    check_rate(reader)
    stages = model.stages(form.sample_rate)
    before, after = (LevelMeter(form.sample_rate, form.n_channels) for _ in range(2))
    tally = Tally(reports_of(stages, model.then), before, after)
    length_seconds = expected_seconds(reader)
    with contextlib.ExitStack() as opened:
        # The stack closes in reverse: the output, the file that counts, is entered first and so named last.
        writer: Writer = opened.enter_context(
            files.open_writer(
                targets.output,
                reader,
                audio_codec=options.audio_codec,
                overwrite=options.overwrite,
                history=_coding_history(form.sample_rate, model, options),
            )
        )
        sidecar = opened.enter_context(atomic.atomic_file(targets.sidecar, overwrite=True))
        removed_writer = (
            opened.enter_context(difference_writer(reader, targets.removed, overwrite=options.overwrite))
            if targets.removed
            else None
        )
        picture = (
            opened.enter_context(atomic.atomic_file(targets.picture, overwrite=options.overwrite))
            if targets.picture
            else None
        )
        pictures = (
            Spectrograms(form.sample_rate, length_seconds, start_seconds=options.start_seconds)
            if targets.picture
            else None
        )
        for heard, wanted in restored(
            reader.blocks(max(1, round(READ_BLOCK_SECONDS * form.sample_rate))),
            stages,
            sample_rate=form.sample_rate,
            strength=options.strength,
            then=model.then,
            reports=tally.stages,
        ):
            stored = writer.write(wanted)
            difference = heard - stored
            if removed_writer is not None:
                removed_writer.write(difference)
            if pictures is not None:
                pictures.add(heard, stored, difference)
            tally.add(heard, stored, difference)
            if progress is not None:
                progress(before.n_samples / form.sample_rate, length_seconds)
        if not before.n_samples:
            raise InputError(f"{reader.path}: has no sound from {options.start_seconds:g} s on; start earlier")
        # Everything is made whole, on the disk, before anything gets its name.
        writer.finish()
        if removed_writer is not None:
            removed_writer.finish()
        report = _report(reader, writer, removed_writer, targets, model, options, tally)
        if picture is not None and pictures is not None and targets.picture is not None:
            with atomic.writing(targets.picture, picture):
                pictures.draw(picture, title=f"{reader.path.name}   ·   {model.told}, strength {options.strength:g}")
        with atomic.writing(targets.sidecar, sidecar):
            # names that are no valid text come as JSON's own escapes
            sidecar.write_text(report.to_json(), encoding="utf-8", errors="backslashreplace")
        targets.check_free(overwrite=options.overwrite)
    return report


def _coding_history(sample_rate: int, model: Model, options: Options) -> str:
    """Return the line that a broadcast WAV gets about what was done to it (EBU R 98)."""
    return f"A=PCM,F={sample_rate},T=resound {version('resound')}; {model.told}; strength {options.strength:g}"


def _report(
    reader: Reader,
    writer: Writer,
    removed_writer: Writer | None,
    targets: Targets,
    model: Model,
    options: Options,
    tally: Tally,
) -> Report:
    """Return what was done, once all is written."""
    form, n_samples = reader.format, tally.before.n_samples
    return Report(
        input=str(reader.path),
        output=str(targets.output),
        removed=str(targets.removed) if targets.removed else None,
        model=model.name,
        weights_md5=model.weights_md5,
        then=model.then.name if model.then else None,
        then_weights_md5=model.then.weights_md5 if model.then else None,
        then_changed_db=rounded(tally.stages[-1].at_strength(options.strength)) if model.then else None,
        is_generative=model.then is not None and options.strength > 0,
        parameters={**_parameters(options), "settings": model.settings},
        sample_rate=form.sample_rate,
        n_channels=form.n_channels,
        n_samples=n_samples,
        duration_seconds=round(n_samples / form.sample_rate, 6),
        input_audio_md5=reader.audio_md5,
        output_audio_md5=writer.audio_md5,
        level_before=Level.of(tally.before),
        level_after=Level.of(tally.after),
        stages={
            stage.name: rounded(stage.at_strength(options.strength))
            for stage in tally.stages[: -1 if model.then else None]
        },
        removed_db=rounded(tally.whole.removed_db),
        n_clipped=writer.n_clipped,
        warnings=warnings_of(reader, *([writer, removed_writer] if removed_writer else [writer])),
        versions=versions(*model.packages),
    )


def _parameters(options: Options) -> dict[str, Any]:
    wanted = (
        "strength",
        "then",
        "max_reduction_db",
        "start_seconds",
        "duration_seconds",
        "audio_track",
        "audio_codec",
    )
    return {name: str(value) if isinstance(value := getattr(options, name), Path) else value for name in wanted}


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
