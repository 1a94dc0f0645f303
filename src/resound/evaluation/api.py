"""`resound.evaluate`: what the command does, for Python."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from resound.evaluation.evaluate import USUAL_BASELINES, Asked
from resound.evaluation.evaluate import evaluate as evaluate_asked
from resound.evaluation.report import write_all
from resound.evaluation.result import Evaluation

Place = str | os.PathLike[str]


def evaluate(
    *,
    enhanced: Place | Iterable[Place] = (),
    clean: Place | Iterable[Place] = (),
    degraded: Place | None = None,
    model: Place | None = None,
    config: Place | None = None,
    n_examples: int | None = None,
    metrics: str | Iterable[str] = (),
    baselines: Iterable[str] = USUAL_BASELINES,
    about: Place | None = None,
    rate: int | None = None,
    output: Place | None = None,
    overwrite: bool = False,
    n_jobs: int = 1,
) -> Evaluation:
    """Judge finished outputs, or a model, on recordings or on a split; the arguments are the flags of the command.

    ``output`` is a folder for rows, sums, highlights and the page, with which the same call goes on where it was
    stopped; without it nothing is kept on disk.  Several processes (``n_jobs``, 0: one per core) need a program that
    may be imported, as multiprocessing does.  Raises `ResoundError`.

    >>> result = evaluate(enhanced="out", clean="clean", degraded="noisy")                # doctest: +SKIP
    >>> result.verdict, result.improvement("si_sdr").mean, list(result.rows())            # doctest: +SKIP
    """
    asked = Asked(
        degraded=_path(degraded),
        enhanced=_paths(enhanced),
        clean=_paths(clean),
        about=_path(about),
        model=None if model is None else str(model),
        config=None if config is None else str(config),
        n_examples=n_examples,
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
        baselines=tuple(baselines),
        rate=rate,
    )
    folder = _path(output)
    evaluated = evaluate_asked(asked, folder, n_jobs=n_jobs, overwrite=overwrite)
    if folder is not None:
        write_all(evaluated, folder, lambda line: None)
    return evaluated.result


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)


def _paths(places: Place | Iterable[Place]) -> tuple[Path, ...]:
    return (Path(places),) if isinstance(places, str | os.PathLike) else tuple(map(Path, places))
