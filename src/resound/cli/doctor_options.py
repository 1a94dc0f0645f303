"""What the commands of ``resound doctor`` share: their options, their settings, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resound.doctor.report import Picture, Report
    from resound.doctor.settings import DoctorSettings

# What every command here takes.
Select = Annotated[
    list[str] | None, typer.Option("--select", metavar="CODE", help="Only these checks: DATA01, or DATA. Repeatable.")
]
Ignore = Annotated[list[str] | None, typer.Option("--ignore", metavar="CODE", help="Not these checks. Repeatable.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A threshold, such as data.dc_level=0.02. Repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures as well.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", min=0, metavar="N", help="Processes; 0: one per core.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show all findings, however many screens.")]


@contextmanager
def status_2() -> Iterator[None]:
    """Tell an error of the user in one line, with exit status 2: 1 says that doctor found errors."""
    from resound.errors import ResoundError, one_line

    try:
        yield
    except ResoundError as error:
        print(f"resound: {one_line(error)}", file=sys.stderr)
        raise typer.Exit(2) from None


def settings_from(
    select: Sequence[str] | None,
    ignore: Sequence[str] | None,
    words: Sequence[str] | None,
    own: dict[str, Any] | None = None,
) -> DoctorSettings:
    """Return the settings of a ``doctor:`` section, changed by the command line.  Raises `ConfigError`."""
    from resound.config import set_dotted, validated
    from resound.doctor.catalogue import check_codes
    from resound.doctor.settings import DoctorSettings

    values = validated(DoctorSettings, own or {}, "doctor").model_dump(exclude_unset=True)
    for word in words or ():
        set_dotted(values, word)
    values |= {"select": [*select]} if select else {}
    values |= {"ignore": [*values.get("ignore", ()), *ignore]} if ignore else {}
    settings = validated(DoctorSettings, values, "doctor")
    check_codes(settings)
    return settings


def conclude(
    report: Report,
    *,
    as_json: bool,
    is_verbose: bool,
    page: Path | None = None,
    draw: Callable[[], Sequence[Picture]] | None = None,
) -> None:
    """Print a report, write its page, and end with its status.  Raises `ConfigError` where no check was made."""
    from resound.errors import ConfigError

    if not report.n_checks:
        raise ConfigError("no check of this command is left; give --select or --ignore other codes")
    if page is not None:
        from resound.audio.atomic import atomic_file

        text = report.html(draw() if draw else ())
        with atomic_file(page, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    typer.echo(report.json() if as_json else report.text(is_verbose=is_verbose))
    raise typer.Exit(report.status)


def recordings_in(place: Path) -> list[Path]:
    """Return a recording, or those of a folder.  Raises `InputError`."""
    from resound.mixing.pairs import recordings_under

    return recordings_under(place) if place.is_dir() else [place]


def check_page(page: Path | None) -> None:
    """Raise `OutputError`, before anything is measured, for a page that cannot be: no recording is written over."""
    from resound.audio.atomic import check_can_write_in, check_free
    from resound.errors import OutputError

    if page is None:
        return
    if page.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"--html {page}: is no name of a page; give one that ends in .html")
    check_free(page, overwrite=True)
    check_can_write_in(page.parent)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give what shows how many things are done: a bar on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from resound.cli.progress import CountBar

    with CountBar(what) as bar:
        yield bar.advance
