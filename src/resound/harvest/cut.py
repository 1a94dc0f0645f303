"""Cuts the noise-only stretches out of recordings: files, a manifest, and a report that says why.

A recording streams by twice, once to be listened to and once to be cut, so that memory does not grow with its length.
The samples are those of the recording: no fade, no gain, no resampling, at the depth that holds them exactly.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from resound.audio.atomic import atomic_file, check_can_write_in, check_free, shortened
from resound.audio.files import open_plain_writer, open_reader
from resound.audio.formats import Format, Samples, Writer
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.errors import InputError, OutputError
from resound.harvest.evidence import Evidence, Listener
from resound.harvest.stretches import HarvestConfig, Stretch, Verdict, find_stretches

BLOCK_SECONDS = 5.0
MANIFEST, REPORT = "manifest.jsonl", "harvest.json"
FLAC_STORAGE = {"int8", "int16", "int24"}
MOST_FLAC_CHANNELS, MOST_FLAC_RATE = 8, 655_350
MOST_NAME_BYTES = 200  # of a recording's name, which is followed by a number, a place and a suffix
NOTHING = Verdict((), {}, None)


@dataclass(frozen=True)
class Source:
    """A recording, or an excerpt of it."""

    path: Path
    start_seconds: float = 0.0
    duration_seconds: float | None = None
    audio_track: int | None = None

    def blocks(self, warnings: list[str] | None = None) -> Generator[tuple[Format, Samples]]:
        """Yield the format with each ``(channel, time)`` block; at the end, add what the reader warns of.

        Raises `InputError`.
        """
        with open_reader(
            self.path,
            audio_track=self.audio_track,
            start_seconds=self.start_seconds,
            duration_seconds=self.duration_seconds,
        ) as reader:
            for block in reader.blocks(max(1, round(BLOCK_SECONDS * reader.format.sample_rate))):
                yield reader.format, block
            if warnings is not None:
                warnings += reader.warnings


@dataclass(frozen=True)
class Heard:
    """A recording that was listened to."""

    evidence: Evidence
    form: Format
    warnings: tuple[str, ...]


@dataclass
class Harvest:
    """What came of one recording; ``files`` are relative to the folder, empty where nothing was written."""

    source: Source
    name: str
    seconds: float = 0.0
    form: Format | None = None
    verdict: Verdict = NOTHING
    files: list[Path] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    error: str = ""

    @property
    def kept_seconds(self) -> float:
        """Length of all stretches."""
        return sum(stretch.seconds for stretch in self.verdict.stretches)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        stretches = [asdict(stretch) for stretch in self.verdict.stretches]
        for stretch, file in zip(stretches, self.files, strict=False):
            stretch["file"] = file.as_posix()
        return {
            "recording": str(self.source.path),
            "name": self.name,
            "error": self.error,
            "warnings": list(self.warnings),
            "start_seconds": self.source.start_seconds,
            "seconds": round(self.seconds, 3),
            "sample_rate": self.form and self.form.sample_rate,
            "kept_seconds": round(self.kept_seconds, 3),
            "programme_dbfs": self.verdict.programme_dbfs,
            "rejected_seconds": self.verdict.rejected_seconds,
            "stretches": stretches,
        }


def listen(source: Source) -> Heard:
    """Return the evidence in a recording, its format, and what was wrong with it.  Raises `InputError`."""
    listener = form = None
    warnings: list[str] = []
    for form, block in source.blocks(warnings):
        listener = listener or Listener(form.sample_rate, form.n_channels)
        listener.add(block)
    if listener is None or form is None:
        raise InputError(f"{source.path}: holds no samples there; give another recording or excerpt")
    return Heard(listener.finish(), form, tuple(warnings))


def harvest(
    sources: Sequence[Source],
    folder: Path | None,
    config: HarvestConfig,
    *,
    heard: Mapping[Source, Heard] | None = None,
    overwrite: bool = False,
) -> Iterator[Harvest]:
    """Yield what came of each recording, writing its stretches below ``folder`` (None: nothing is written).

    One that cannot be read, or whose stretches cannot be written, is yielded with its error, and with those stretches
    that were written; it stops nothing else.  Those in ``heard`` are not listened to again.
    """
    heard = heard or {}
    names = distinct_names([shortened(source.path.stem, MOST_NAME_BYTES) for source in sources])
    for source, name in zip(sources, names, strict=True):
        result = Harvest(source, name)
        try:
            found = heard.get(source) or listen(source)
            result.form, result.warnings = found.form, found.warnings
            result.seconds = found.evidence.n_samples / found.form.sample_rate
            result.verdict = find_stretches(found.evidence, found.form.sample_rate, config)
            if folder is not None:
                for file in cut(source, result.verdict.stretches, folder, name, overwrite=overwrite):
                    result.files.append(file)
        except (InputError, OutputError) as error:
            written = result.verdict.stretches[: len(result.files)]
            result.error, result.verdict = str(error), replace(result.verdict, stretches=written)
        yield result


def distinct_names(stems: Sequence[str]) -> list[str]:
    """Return the names with a number behind those that are there already."""
    taken: set[str] = set()
    names = []
    for stem in stems:
        number, name = 1, stem
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names.append(name)
    return names


def cut(source: Source, stretches: Sequence[Stretch], folder: Path, name: str, *, overwrite: bool) -> Iterator[Path]:
    """Write each stretch to ``folder/name/``, and yield its path relative to ``folder`` once it is there."""
    with closing(Tape(source)) as tape:
        for stretch in stretches:
            form = tape.wind_to(stretch.start_samples)
            file = Path(name) / f"{name}_{place(source, stretch)}{suffix_for(form)}"
            with writer_like(form, folder / file, overwrite=overwrite) as writer:
                for piece in tape.read(stretch.n_samples):
                    writer.write(piece)
            yield file


class Tape:
    """A recording that is read forwards in pieces of any length."""

    def __init__(self, source: Source) -> None:
        self._blocks = source.blocks()
        self._block: Samples | None = None
        self._form: Format | None = None
        self._block_start = 0
        self._position = 0

    def wind_to(self, start_samples: int) -> Format:
        """Go forwards to a sample that is there, and return the format."""
        self._position = start_samples
        self._load()
        assert self._form is not None
        return self._form

    def read(self, n_samples: int) -> Iterator[Samples]:
        """Yield the next samples ``(channel, time)`` in pieces."""
        end = self._position + n_samples
        while self._position < end:
            block = self._load()
            piece = block[:, self._position - self._block_start : end - self._block_start]
            self._position += piece.shape[1]
            yield piece

    def close(self) -> None:
        """Close the recording."""
        self._blocks.close()

    def _load(self) -> Samples:
        """Return the block that holds the position."""
        while self._block is None or self._position >= self._block_start + self._block.shape[1]:
            self._block_start += 0 if self._block is None else self._block.shape[1]
            self._form, self._block = next(self._blocks)
        return self._block


def place(source: Source, stretch: Stretch) -> str:
    """Return where in the recording a stretch begins, as part of a file name: ``00731.250s``."""
    return f"{source.start_seconds + stretch.start_seconds:09.3f}s"


def suffix_for(form: Format) -> str:
    """Return ``.flac`` where FLAC holds the samples exactly, else ``.wav``."""
    fits = form.n_channels <= MOST_FLAC_CHANNELS and form.sample_rate <= MOST_FLAC_RATE
    return ".flac" if form.storage in FLAC_STORAGE and fits else ".wav"


def writer_like(form: Format, path: Path, *, overwrite: bool) -> Writer:
    """Return a writer that holds the recording's samples exactly."""
    return open_plain_writer(
        path, sample_rate=form.sample_rate, n_channels=form.n_channels, storage=form.storage, overwrite=overwrite
    )


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` where nothing can be written, or an earlier harvest is in the way."""
    check_can_write_in(folder)
    for name in (MANIFEST, REPORT):
        check_free(folder / name, overwrite=overwrite)


def write_report(folder: Path, harvests: Sequence[Harvest], config: HarvestConfig, *, overwrite: bool) -> None:
    """Write the manifest of all stretches, and the report.  Raises `OutputError`."""
    recordings = [
        recording_of(folder, file, stretch, result)
        for result in harvests
        for stretch, file in zip(result.verdict.stretches, result.files, strict=True)
    ]
    about = {"corpus": "harvest", "domain": "noise"}
    write_manifest(folder / MANIFEST, Manifest(folder, recordings, about), overwrite=overwrite)
    text = json.dumps(report_of(harvests, config), indent=2, ensure_ascii=False) + "\n"
    with atomic_file(folder / REPORT, overwrite=overwrite) as temporary:
        # What is no text in a file's name becomes an escape, as JSON has it too.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def recording_of(folder: Path, file: Path, stretch: Stretch, result: Harvest) -> Recording:
    """Return a written stretch as a line of the manifest."""
    assert result.form is not None
    facts = (folder / file).stat()
    return Recording(
        path=file.as_posix(),
        n_samples=stretch.n_samples,
        sample_rate=result.form.sample_rate,
        n_channels=result.form.n_channels,
        domain="noise",
        group=result.name,
        size_bytes=facts.st_size,
        modified_ns=facts.st_mtime_ns,
    )


def report_of(harvests: Sequence[Harvest], config: HarvestConfig) -> dict[str, Any]:
    """Return what is written to ``harvest.json``."""
    from resound import __version__

    return {
        "resound": __version__,
        "settings": config.model_dump(),
        "recordings": [result.as_dict() for result in harvests],
    }
