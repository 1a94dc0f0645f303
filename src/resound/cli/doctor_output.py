"""``resound doctor output`` and ``resound doctor model``: what a tool's files, or a model, do to recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resound.cli.doctor_options import (
    AsJson,
    Html,
    Ignore,
    Jobs,
    Select,
    Set,
    Verbose,
    check_page,
    conclude,
    progress_bar,
    recordings_in,
    settings_from,
    status_2,
)

if TYPE_CHECKING:
    from resound.doctor.output_evidence import OutputEvidence
    from resound.doctor.report import Picture
    from resound.doctor.settings import DoctorSettings


def output_command(
    degraded: Annotated[
        Path, typer.Option(metavar="DIR|LIST", help="What the tool was given: a folder, a CSV or a Kaldi scp list.")
    ],
    enhanced: Annotated[Path, typer.Option(metavar="DIR|LIST", help="What it made of it, matched by name or key.")],
    clean: Annotated[
        Path | None, typer.Option(metavar="DIR|LIST", help="The clean side. Without it some checks are not made.")
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    words: Set = None,
    as_json: AsJson = False,
    page: Html = None,
    is_verbose: Verbose = False,
    jobs: Jobs = 0,
) -> None:
    """Look at what any tool made of recordings.

    Example: resound doctor output --clean clean/ --degraded noisy/ --enhanced enhanced/
    """
    with status_2():
        check_page(page)
        from resound.doctor.output_evidence import evidence_of_outputs
        from resound.doctor.output_lists import outputs_between

        settings = settings_from(select, ignore, words)
        with progress_bar("looked at") as progress:
            listed = outputs_between(degraded, enhanced, clean)
            evidence = evidence_of_outputs(listed, settings, n_jobs=jobs, progress=progress)
        tell(evidence, settings, as_json=as_json, page=page, is_verbose=is_verbose)


def model_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="auto, classic, film, voice, a folder, a run, or an .onnx.")
    ],
    on: Annotated[list[Path], typer.Option("--on", metavar="RECORDING|DIR", help="What to try it on; several, too.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="RECORDING", help="More, as * gives them.")] = None,
    select: Select = None,
    ignore: Ignore = None,
    words: Set = None,
    as_json: AsJson = False,
    page: Html = None,
    is_verbose: Verbose = False,
) -> None:
    """Try a model on recordings, as they are and quieter, and look at what it makes of them.

    Example: resound doctor model classic --on film.mkv
    """
    with status_2():
        check_page(page)
        from resound.doctor.model_evidence import evidence_of_model

        settings = settings_from(select, ignore, words)
        recordings = [recording for place in (*on, *(more or ())) for recording in recordings_in(place)]
        with progress_bar("tried") as progress:
            evidence = evidence_of_model(model, recordings, settings, progress=progress)
        tell(evidence, settings, as_json=as_json, page=page, is_verbose=is_verbose)


def tell(
    evidence: OutputEvidence, settings: DoctorSettings, *, as_json: bool, page: Path | None, is_verbose: bool
) -> None:
    """Make the checks, print what they found and what could not be looked at, and end with the status."""
    from resound.doctor.output_report import report_of

    report = report_of(evidence, settings)

    def draw() -> Sequence[Picture]:
        from resound.doctor.output_pictures import output_pictures

        return output_pictures(evidence, report.findings)

    conclude(report, as_json=as_json, is_verbose=is_verbose, page=page, draw=draw)
