"""What a model must beat, and what none can: trivial estimates of an example, judged once per set of examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.dsp.spectral import frame_length_for, hann, istft, stft
from resound.inference.workers import count_of_jobs, map_in_order
from resound.judging.fixed_filter import FixedFilter, fixed_filter
from resound.judging.measures import Asked
from resound.judging.scores import Judged, noisy, score, unprocessed
from resound.judging.stored import read_rows, rows_path, write_rows
from resound.judging.summary import Summary, summarise
from resound.mixing.cache import CachedExamples
from resound.mixing.example import Example, Task

MASK_SECONDS = 0.032


def silence(example: Example) -> NDArray:
    """Return nothing at all: what a model that has collapsed gives."""
    return np.zeros_like(example.clean)


def classic(example: Example) -> NDArray:
    """Return the degraded input restored by the classic chain with its defaults."""
    from resound.inference.pipeline import restore

    return restore(noisy(example), example.sample_rate, "classic")


def oracle_mask(example: Example) -> NDArray:
    """Return the degraded input under the ideal ratio mask, for which the target must be known: a ceiling of masks.

    Wang, Narayanan & Wang 2014, "On training targets for supervised speech separation", with β = 0.5, on 32-ms
    Hann frames.  The noise is all that is not the target; of a mixture, the other sources.
    """
    pairs = zip(noisy(example), example.clean, strict=True)
    return np.stack([_ideal_ratio_masked(degraded, target, example.sample_rate) for degraded, target in pairs])


def _ideal_ratio_masked(degraded: NDArray, target: NDArray, sample_rate: int) -> NDArray:
    """Return ``(time,)`` under the mask for a ``(time,)`` target."""
    length = frame_length_for(sample_rate, MASK_SECONDS)
    hop, window = length // 4, hann(length)
    heard, wanted = (stft(samples, length, hop, window) for samples in (degraded, target))
    signal, noise = np.abs(wanted) ** 2, np.abs(heard - wanted) ** 2
    mask = np.sqrt(signal / (signal + noise + np.finfo(np.float32).tiny))
    return istft(mask * heard, length, hop, window, len(degraded))


BASELINES: dict[str, Callable[[Example], NDArray]] = {
    "unprocessed": unprocessed,
    "noisy": noisy,
    "silence": silence,
    "classic": classic,
    "oracle_mask": oracle_mask,
}
OF_A_SET = "fixed_filter"  # is made of all examples of a set together
CEILINGS = ("oracle_mask",)  # know the target
ONLY_FOR: dict[str, tuple[Task, ...]] = {
    "noisy": ("regenerate",),
    OF_A_SET: ("enhance", "regenerate"),
    "classic": ("enhance", "regenerate"),
}


def baselines_for(task: Task) -> list[str]:
    """Return the names of the baselines that mean something for a task, ceilings last."""
    names = [name for name in BASELINES if name not in CEILINGS]
    return [name for name in (*names, OF_A_SET, *CEILINGS) if task in ONLY_FOR.get(name, (task,))]


def judge_baselines(examples: CachedExamples, n_jobs: int = 0, asked: Asked = Asked()) -> dict[str, Summary]:  # noqa: B008
    """Return what each baseline reaches on a set, from the set's folder where it was judged before.

    ``n_jobs`` worker processes, 0: one per core.  Which of them a set has, `baselines_for` says: where a denoiser went
    before, ``unprocessed`` is its output and ``noisy`` what it was given.
    """
    path = rows_path(examples.folder, asked)
    rows = read_rows(path, examples.n_examples)
    if rows is None:
        rows = _judge(examples, min(count_of_jobs(n_jobs), examples.n_examples), asked)
        write_rows(path, rows)
    return {name: summarise(judged, asked.perceptual) for name, judged in rows.items()}


def _judge(examples: CachedExamples, n_jobs: int, asked: Asked) -> dict[str, list[Judged]]:
    rows: dict[str, list[Judged]] = {}
    is_filtered = OF_A_SET in baselines_for(examples.example(0, 0).task)
    of_set = fixed_filter(examples.example(0, n) for n in range(examples.n_examples)) if is_filtered else None
    for judged in map_in_order(partial(_Judge, examples.folder, asked, of_set), range(examples.n_examples), n_jobs):
        for name, row in judged.items():
            rows.setdefault(name, []).append(row)
    return rows


@dataclass
class _Judge:
    """Judges all baselines on examples, in one process."""

    folder: Path
    asked: Asked
    of_set: FixedFilter | None

    def __post_init__(self) -> None:
        self._examples = CachedExamples(self.folder)

    def __call__(self, index: int) -> dict[str, Judged]:
        example = self._examples.example(0, index)
        extra = self.asked.at(index, len(self._examples))
        made = dict(BASELINES) | ({OF_A_SET: self.of_set} if self.of_set else {})
        names = baselines_for(example.task)
        return {name: Judged(index, example.domain, score(made[name](example), example, extra)) for name in names}
