"""``resound corpus``: what a folder of recordings holds, as a manifest that trainings are made from."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resound.corpora.manifest import Manifest
    from resound.corpora.scan import Scanned
    from resound.corpora.show import Row, Summary
    from resound.mixing.dehissed import Dehissed

N_NAMED = 5
app = typer.Typer(
    help="Make and look at manifests of recordings: speech, effects, music, noise, rooms, pairs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("scan")
def scan_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="The folder that the corpus lies in.")],
    domain: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="DOMAIN",
            help="speech, effects, music, noise, room or pairs; where a corpus holds several: the one to take.",
        ),
    ] = None,
    layout: Annotated[str, typer.Option(metavar="NAME", help="auto, plain, or a corpus such as vctk.")] = "auto",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The manifest; else ./DIR.jsonl.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The corpus's name, on which splits hang.")] = None,
    valid: Annotated[float, typer.Option(metavar="PERCENT", help="Of the speakers, to validate.")] = 10.0,
    test: Annotated[float, typer.Option(metavar="PERCENT", help="Of the speakers, to test.")] = 0.0,
    split_by: Annotated[str, typer.Option(metavar="WHAT", help="speaker or file.")] = "speaker",
    resplit: Annotated[bool, typer.Option("--resplit", help="Split anew where the corpus has splits.")] = False,
    speaker_from: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="Who speaks, in a plain folder: folder (the first), parent, file or none."),
    ] = None,
    licence: Annotated[str | None, typer.Option(metavar="TEXT", help="Where the corpus does not say.")] = None,
    language: Annotated[str | None, typer.Option(metavar="CODE", help="Where the corpus does not say.")] = None,
    measure: Annotated[
        float, typer.Option(metavar="PERCENT", help="Decode so many files: bandwidth, silence, clipping, DC.")
    ] = 0.0,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Take it with under 90 % usable.")] = False,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", help="Files at a time; 0: one per core.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a manifest of another folder.")] = False,
) -> None:  # fmt: skip
    """Make a manifest of a folder, or bring it up to date; headers are read, and of known files not even those."""
    from resound.corpora.manifest import write_manifest
    from resound.corpora.scan import ScanOptions, scan
    from resound.errors import one_line

    options = ScanOptions(
        domain=domain, layout=layout, corpus=name, speaker_from=speaker_from, licence=licence, language=language,
        valid_percent=valid, test_percent=test, split_by=split_by, keep_own_splits=not resplit,
        measure_percent=measure, n_jobs=jobs,
    )  # fmt: skip
    target = output or Path(f"{folder.resolve().name or 'corpus'}.jsonl")
    with _no_collection(), _bar() as progress:
        previous = _previous(target, folder, overwrite=overwrite)
        scanned = scan(folder, options, previous, progress)
    typer.echo(_told(scanned, is_rescan=previous is not None))
    if not allow_partial:
        scanned.ledger.check(folder)
    manifest = scanned.manifest
    is_new = previous is None or (manifest.recordings, manifest.about) != (previous.recordings, previous.about)
    if is_new:
        write_manifest(target, manifest, overwrite=overwrite or previous is not None)
    for warning in scanned.warnings:
        _warn(warning)
    typer.echo(f"\n{'written' if is_new else 'as it was'}: {one_line(target)}")


@app.command("show")
def show_command(
    manifests: Annotated[list[Path], typer.Argument(metavar="MANIFEST...", readable=False, help="Shown together.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Another number samples other files' bandwidth.")] = 0,
) -> None:  # fmt: skip
    """Show hours, speakers, sample rates, bandwidths, languages and licences."""
    from resound.corpora.show import summarise

    summary = summarise([_read(path) for path in manifests], seed=seed)
    if as_json:
        import json

        typer.echo(json.dumps(summary.as_dict(), indent=2))
    else:
        typer.echo(_shown(summary))


@app.command("check")
def check_command(
    manifests: Annotated[list[Path], typer.Argument(metavar="MANIFEST...", readable=False, help="Manifests.")],
    copies: Annotated[bool, typer.Option("--copies", help="Look for files of the same content as well.")] = False,
) -> None:  # fmt: skip
    """Check that all files are still there, of the same size, and none twice; exit status 1 where not."""
    from resound.corpora.check import check
    from resound.errors import InputError, counted, one_line

    n_unsound = 0
    for path in manifests:
        checked = check(_read(path), look_for_copies=copies)
        state = "as scanned" if checked.is_sound else "not as scanned"
        typer.echo(f"{one_line(path)}: {counted(checked.n_recordings, 'recording')}, {state}")
        for what, names in (("missing", checked.missing), ("changed", checked.changed), ("twice", checked.twice)):
            if names:
                typer.echo(f"  {what:<8} {len(names)}: {_named(names)}")
        if checked.copies:
            named = [" = ".join(item.path for item in same) for same in checked.leaks or checked.copies]
            typer.echo(f"  copies   {len(checked.copies)}, {len(checked.leaks)} across splits: {_named(named)}")
        n_unsound += not checked.is_sound
    if n_unsound:
        which = str(manifests[0]) if len(manifests) == 1 else f"{n_unsound} of {len(manifests)} manifests"
        raise InputError(f"{which}: not as scanned; mend what is named above, or scan again")


@app.command("dehiss")
def dehiss_command(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", readable=False, help="What lists the recordings.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="A folder for the new ones; DIR.jsonl lists them.")
    ],
    domain: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN", help="Only recordings of this domain. Repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", help="Files at a time; 0: one per core.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DIR.jsonl.")] = False,
) -> None:  # fmt: skip
    """Make a corpus without its own hiss, which a network would learn to keep; all but sound to be clean stays."""
    from resound.audio.atomic import check_free
    from resound.corpora.manifest import write_manifest
    from resound.errors import OutputError, counted, one_line
    from resound.mixing.dehissed import dehiss_corpus

    name = output.resolve().name
    if not name:
        raise OutputError(f"{output}: has no name; give another folder with -o")
    target = output.parent / f"{name}.jsonl" if output.name == name else output.resolve().with_name(f"{name}.jsonl")
    if target.resolve() == manifest.resolve():
        raise OutputError(f"{target}: is the manifest itself, which stays; give another folder with -o")
    check_free(target, overwrite=overwrite)
    with _bar() as advance:
        made, found = dehiss_corpus(_of_domains(_read(manifest), domain), output, n_jobs=jobs, advance=advance)
    write_manifest(target, made, overwrite=overwrite)
    for warning in _doubts(found):
        _warn(warning)
    n_kept = sum(each.kept_db is None and each.fault is None for each in found)
    kept = f", {n_kept} of them as they were" if n_kept else ""
    written = f"written: {one_line(target)}, {counted(len(made.recordings), 'recording')}{kept}"
    typer.echo("\n".join([*_went(found), written]))


def _of_domains(manifest: Manifest, domains: Sequence[str] | None) -> Manifest:
    """Return a manifest of some domains' recordings.  Raises `InputError` for a domain of which there are none."""
    from dataclasses import replace

    from resound.errors import InputError, did_you_mean

    if not domains:
        return manifest
    there = dict.fromkeys(each.domain for each in manifest.recordings if each.domain)
    for domain in domains:
        if domain not in there:
            names = ", ".join(there) or "none"
            raise InputError(f"{domain}: no recordings of this domain{did_you_mean(domain, there)}; there are {names}")
    return replace(manifest, recordings=[each for each in manifest.recordings if each.domain in domains])


def _went(found: Sequence[Dehissed]) -> list[str]:
    """Return how much was taken from what, as a table."""
    import statistics

    levels: dict[str, list[float]] = {}
    for each in found:
        if each.kept_db is not None:
            levels.setdefault(each.recording.domain, []).append(each.kept_db)
    rows = [
        (domain, f"{len(kept)}", f"{statistics.median(kept):.0f}", f"{min(kept):.0f}")
        for domain, kept in levels.items()
    ]
    header = ("domain", "dehissed", "dB above what went, median", "least")
    return [*_aligned([header, *rows], right=(1, 2, 3)), ""] if rows else []


def _doubts(found: Sequence[Dehissed]) -> Iterator[str]:
    """Yield what someone should look at."""
    from resound.errors import counted
    from resound.mixing.dehissed import RESEMBLES_DB

    faults = [each.fault for each in found if each.fault is not None]
    if faults:
        yield f"{counted(len(faults), 'recording')} left out: {faults[0]}"
    n_unnamed = sum(not each.recording.domain for each in found)
    if n_unnamed:
        yield f"{counted(n_unnamed, 'recording')} without a domain stay as they are; scan with --as DOMAIN"
    near = [each for each in found if each.kept_db is not None and each.kept_db < RESEMBLES_DB]
    if near:
        names = [each.recording.path for each in sorted(near, key=lambda each: each.kept_db or 0.0)]
        yield (
            f"{counted(len(near), 'recording')} stand less than {RESEMBLES_DB:g} dB above what went; listen whether it "
            f"was hiss: {_named(names)}"
        )


def _read(path: Path) -> Manifest:
    from resound.corpora.manifest import read_manifest

    return read_manifest(path)


def _previous(target: Path, folder: Path, *, overwrite: bool) -> Manifest | None:
    """Return the last scan of the folder, if the target is one.  Raises `OutputError` where it is anything else."""
    from resound.audio.atomic import check_free
    from resound.errors import InputError

    if not target.exists():
        return None
    try:
        previous = _read(target)
    except InputError:
        check_free(target, overwrite=overwrite)
        return None
    if previous.root.resolve() == folder.resolve():
        return previous
    check_free(target, overwrite=overwrite)
    return None


def _told(scanned: Scanned, *, is_rescan: bool) -> str:
    """Return what a scan found, for people."""
    from resound.errors import counted, one_line

    lines = [f"{one_line(scanned.manifest.about['corpus'])}: {scanned.layout.about}", ""]
    lines += scanned.ledger.table().splitlines()
    if is_rescan:
        lines += ["", "since the last scan: " + ", ".join(f"{n} {what}" for what, n in scanned.changes.items())]
    counts: dict[str, list[str | None]] = {}
    for item in scanned.manifest.recordings:
        counts.setdefault(str(item.split), []).append(item.speaker)
    splits = []
    for split in sorted(counts, key=("train", "valid", "test").index):
        n_speakers = len(set(counts[split]) - {None})
        splits.append(f"{split} {len(counts[split])}" + (f" ({counted(n_speakers, 'speaker')})" if n_speakers else ""))
    return "\n".join([*lines, "", ", ".join(splits)] if splits else lines)


def _shown(summary: Summary) -> str:
    """Return a summary as tables."""

    def cells(row: Row) -> list[str]:
        rates = ", ".join(map(str, row.sample_rates))
        return [row.domain, row.split, f"{row.n_files}", f"{row.hours:.2f}", f"{row.n_speakers or '-'}", rates]

    header = ["domain", "split", "files", "hours", "speakers", "sample rates, Hz"]
    lines = _aligned([header, *map(cells, summary.rows), cells(summary.total)], right=(2, 3, 4))
    if summary.bandwidths:
        rows = [["domain", "bandwidth, Hz", "10 to 90 %", "measured on"]]
        for item in summary.bandwidths:
            span = f"{item.low_hz:.0f} to {item.high_hz:.0f}"
            rows.append([item.domain, f"{item.median_hz:.0f}", span, f"{item.n_measured} of {item.n_files} files"])
        lines += ["", *_aligned(rows, right=(1,))]
    for title, hours in (("language", summary.language_hours), ("licence", summary.licence_hours)):
        lines += [
            "",
            *_aligned([[title, "hours"], *([key, f"{value:.2f}"] for key, value in hours.items())], right=(1,)),
        ]
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return lines whose columns stand below each other."""
    from resound.errors import one_line

    rows = [list(map(one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _named(names: Sequence[str]) -> str:
    from resound.errors import one_line

    return one_line(", ".join(names[:N_NAMED]) + (", ..." if len(names) > N_NAMED else ""))


def _warn(message: str) -> None:
    from resound.errors import one_line

    print(f"resound: warning: {one_line(message)}", file=sys.stderr)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave garbage uncollected: a hundred thousand recordings are none, but to look through them takes time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """Yield what moves a bar on a terminal, None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from resound.cli.progress import CountBar

    with CountBar("files") as bar:
        yield bar.advance
