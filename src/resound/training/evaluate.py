"""What a training's best checkpoint is worth: on fresh examples, beside the baselines, with how sure that is.

The validations of the training are no answer: the best of many checkpoints was chosen by them, and looks better there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resound.audio.atomic import atomic_file
from resound.checkpoint import load_model, model_folder, read_about
from resound.judging.measures import ALL
from resound.judging.summary import Summary
from resound.judging.table import interval_table, markdown_table, verdict
from resound.mixing.cache import open_cache
from resound.training.config import RunConfig
from resound.training.fresh import n_in_split, with_fresh_examples
from resound.training.judge import Judge, jobs_for
from resound.training.memory import device_of
from resound.training.prepared import prepare
from resound.training.session import Shown

TIMES_MORE, MOST_EXAMPLES = 2, 1000  # than the validations have, and than are worth the time


@dataclass(frozen=True)
class Evaluation:
    """A model beside the baselines."""

    title: str
    model: Summary
    baselines: dict[str, Summary]
    about: dict[str, Any]  # which checkpoint, which examples

    @property
    def verdict(self) -> str:
        """Say in words whether the model beats the input and the classic chain."""
        metric = self.about["metric"]
        spoken = metric if ALL[metric].better != "near 0" and not metric.endswith("_i") else "si_sdr"
        return verdict(self.model, self.baselines, spoken)

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain JSON."""
        baselines = {name: summary.to_json() for name, summary in self.baselines.items()}
        return {**self.about, "verdict": self.verdict, "model": self.model.to_json(), "baselines": baselines}

    def to_markdown(self) -> str:
        """Return all figures as people read them."""
        summaries = {"model": self.model, **self.baselines}
        examples = self.about["examples"]
        parts = [
            f"# {self.title}\n",
            f"The model {self.verdict}.\n",
            f"Step {self.about['checkpoint']['step']:,}, judged on {examples['n']} mixtures of the split "
            f"{examples['split']} that chose nothing (seed {examples['seed']}).\n",
            markdown_table(summaries),
        ]
        if len(self.model.domains) > 1:
            parts += [f"\n## {domain}\n\n{markdown_table(summaries, domain)}" for domain in self.model.domains]
        parts.append(f"\n## 95 % intervals of the means\n\n{interval_table(summaries)}")
        return "\n".join(parts) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write ``results.json`` and ``results.md``, and return their paths.  Raises `OutputError`."""
        texts = {"results.json": json.dumps(self.to_json(), indent=2) + "\n", "results.md": self.to_markdown()}
        for name, text in texts.items():
            with atomic_file(folder / name, overwrite=True) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return [folder / name for name in texts]


def evaluate(title: str, config: RunConfig, run: Path, shown: Shown) -> Evaluation:
    """Judge the best checkpoint of a run on the whole validation split, in mixtures that no validation had.

    These are at least twice as many as the validations have, and no more than 1,000 if that is enough for it.
    """
    least = TIMES_MORE * config.validation.n_examples
    n_examples = max(least, min(n_in_split(config), MOST_EXAMPLES))
    fresh = with_fresh_examples(config, n_examples)
    for plan in fresh.prepared_plans[1:]:
        prepare(plan, shown.line, jobs_for(plan.n_examples))
    mixing = fresh.validation_mixing
    shown.line(f"judges the best checkpoint and the baselines on {n_examples} fresh examples")
    judge = Judge(fresh, open_cache(mixing, n_examples, n_jobs=jobs_for(n_examples)))
    judge.judge_baselines()
    folder, device = model_folder(run), device_of(config.training.device)
    told = read_about(folder)
    about = {
        "metric": config.checkpoints.metric,
        "checkpoint": {"folder": str(folder.relative_to(run)), "step": told.get("step", 0), "sha256": told["sha256"]},
        "examples": {"n": n_examples, "split": mixing.split, "seed": mixing.seed},
    }
    summary = judge(load_model(folder).to(device), device)
    return Evaluation(title, summary, judge.baselines, about)
