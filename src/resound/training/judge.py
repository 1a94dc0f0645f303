"""Judges a network on the validation set, beside what needs no training: the input as it is, silence, filters."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from resound.judging.baselines import judge_baselines
from resound.judging.measures import ALL
from resound.judging.scores import Judged, score
from resound.judging.summary import Summary, summarise
from resound.judging.table import verdict
from resound.mixing.cache import CachedExamples
from resound.mixing.example import Example
from resound.models.network import Network
from resound.training.before import Audio, after_stages
from resound.training.config import RunConfig
from resound.training.processes import Processes

FEW = 16  # examples that are done before other processes have begun


def jobs_for(n_examples: int) -> int:
    """Return how many processes to work on examples with; 0: one for each core."""
    return 1 if n_examples <= FEW else 0


class Judge:
    """Callable: a network and its device in, a summary of all validation examples out, the same in every process."""

    def __init__(self, config: RunConfig, examples: CachedExamples, processes: Processes = Processes()) -> None:  # noqa: B008
        self._config, self._examples = config, examples
        self._processes = processes
        self._heard: dict[int, Audio] = {}  # by index, where stages run before the network
        self.baselines: dict[str, Summary] = {}
        self.seconds = 0.0  # that a validation takes, going by the last one
        self._stage_seconds = 0.0  # of that one, which no later one takes

    def judge_baselines(self) -> None:
        """Judge what stands beside the network in every log; from a file the second time."""
        self.baselines = judge_baselines(
            self._examples, n_jobs=jobs_for(self._examples.n_examples), asked=self._config.asked
        )

    def __call__(self, network: Network, device: torch.device) -> Summary:
        """Return what a network is worth on all examples."""
        began, self._stage_seconds = time.monotonic(), 0.0
        was_training = network.training
        network.eval()
        rows = [self._row(index, example, estimate) for index, example, estimate in self._estimates(network, device)]
        network.train(was_training)
        rows = sorted(self._processes.gather(rows), key=lambda row: row.index)  # as one process would have them
        self.seconds = time.monotonic() - began - self._stage_seconds
        return summarise(rows, self._config.asked.perceptual)

    def value(self, summary: Summary, metric: str) -> float:
        """Return the mean of a metric, NaN where it could not be computed."""
        return self.values(summary).get(metric, float("nan"))

    def values(self, summary: Summary) -> dict[str, float]:
        """Return the mean of each metric."""
        return {name: statistics.mean for name, statistics in summary.overall.items()}

    def told(self, step: int, summary: Summary, mark: str) -> list[str]:
        """Return lines for the user: the figures that count beside those of the baselines."""
        metric = self._config.checkpoints.metric
        spoken = metric if ALL[metric].better != "near 0" and not metric.endswith("_i") else "si_sdr"
        return [f"step {step:,}{mark}: {verdict(summary, self.baselines, spoken)}"]

    def _estimates(self, network: Network, device: torch.device) -> Iterator[tuple[int, Example, np.ndarray]]:
        size = self._config.validation.batch_size
        indices = list(range(self._processes.rank, self._examples.n_examples, self._processes.n))
        for start in range(0, len(indices), size):
            part = indices[start : start + size]
            batch = [self._examples.example(0, index) for index in part]
            heard = [self._given(index, example) for index, example in zip(part, batch, strict=True)]
            degraded = torch.from_numpy(np.stack(heard)).to(device)
            with torch.inference_mode():
                estimates = network(degraded).float().cpu().numpy()
            yield from zip(part, batch, estimates, strict=True)

    def _given(self, index: int, example: Example) -> Audio:
        """Return what the network hears of an example when it restores; the second time at no cost."""
        if self._config.after.order and index not in self._heard:
            began = time.monotonic()
            self._heard[index] = after_stages(self._config.after, example.degraded, example.sample_rate)
            self._stage_seconds += time.monotonic() - began
        return self._heard.get(index, example.degraded)

    def _row(self, index: int, example: Example, estimate: np.ndarray) -> Judged:
        extra = self._config.asked.at(index, self._examples.n_examples)
        return Judged(index, example.domain, score(estimate, example, extra))
