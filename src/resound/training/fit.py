"""A whole run: from its settings to its best checkpoint.

What can be wrong is told before the first step; what goes wrong later leaves the checkpoints so far whole.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from torch.utils.data import DataLoader

from resound.checkpoint import load_model, save_model, use_all_cores
from resound.errors import ConfigError, OutputError, TrainingError, counted
from resound.mixing.cache import open_cache
from resound.mixing.identity import settings_of
from resound.models import build
from resound.models.network import Network, n_parameters
from resound.training.config import RunConfig
from resound.training.dataset import ExampleDataset, RunSampler
from resound.training.judge import Judge, jobs_for
from resound.training.keeper import Keeper, average_of
from resound.training.listening import Listening
from resound.training.memory import advice_for, is_out_of_memory
from resound.training.recordings import read_recordings
from resound.training.run_folder import RunFolder
from resound.training.session import Outcome, Session, Shown
from resound.training.stopping import deaf_to_signals, stoppable
from resound.training.tasks import Task, task_of
from resound.training.trackers import check_tracker, open_tracker
from resound.training.trackers.tracker import TrackedRun


class Finding(Protocol):
    """What a check of data or plan says; doctor's findings are such."""

    code: str
    severity: str  # error, warning or info

    def __str__(self) -> str:
        """Return it as a line."""
        ...


Check = Callable[[RunConfig], Sequence[Finding]]


@dataclass
class LogAndShow:
    """Tells the user, and the console's log."""

    shown: Shown
    folder: RunFolder

    def line(self, text: str) -> None:
        """Tell something once."""
        self.folder.note(text)
        if self.folder.is_writer:
            self.shown.line(text)

    def progress(self, step: int, n_steps: int, seconds_left: float | None, measured: dict[str, float]) -> None:
        """Tell how far the run is."""
        self.shown.progress(step, n_steps, seconds_left, measured)


def train(
    config: RunConfig,
    folder: Path,
    shown: Shown,
    *,
    resume: bool = False,
    force: Sequence[str] = (),
    checks: Sequence[Check] = (),
    command: Sequence[str] = (),
) -> Outcome:
    """Train a network as a config says, in a run folder, and return how it ended.

    With ``resume`` the run in the folder goes on from its last checkpoint.  Raises `ConfigError`, `InputError`,
    `OutputError` and `TrainingError`.
    """
    rank, n_ranks = ranks(config)
    use_all_cores()
    network = initial_network(config)
    check_tracker(config.tracker)
    recordings = read_recordings(config.listen, network.sample_rate)
    dataset = ExampleDataset(config.mixing)
    run = RunFolder(folder, config, is_writer=rank == 0)
    keeper = Keeper.of(folder, config.checkpoints.metric, config.checkpoints.keep)
    say = LogAndShow(shown, run)
    state = None
    if resume:
        changed = run.reopen()
        state = keeper.state()
        say.line(f"goes on from step {state['n_steps']}" + (f", with {'; '.join(changed)}" if changed else ""))
    else:
        keeper.check_space(network)
    findings = [finding for check in checks for finding in check(config)]
    refuse_broken(findings, force)
    if not resume and rank == 0:
        run.create()
    run.begin_session(list(command) or sys.argv)
    run.write_json("findings.json", {"findings": [vars(finding) for finding in findings], "forced": list(force)})
    for finding in findings:
        say.line(str(finding))
    say.line(announcement(config, dataset, network, keeper))
    examples = open_cache(
        config.validation_mixing, config.validation.n_examples, n_jobs=jobs_for(config.validation.n_examples)
    )
    judge = Judge(config, examples, rank=rank, n_ranks=n_ranks)
    judge.judge_baselines()
    run.write_json("baselines.json", {name: summary.to_json() for name, summary in judge.baselines.items()})
    listening = Listening(config, folder, examples, recordings)
    task = task_of(network, config)
    n_done = int(state["n_steps"]) if state else 0
    if n_done >= config.training.steps:
        raise TrainingError(f"{folder}: has made its {n_done} steps; give more by training.steps=N")
    tracked = TrackedRun(folder, settings_of(config), n_done)
    tracker = open_tracker(config.tracker if rank == 0 else "none", tracked, say.line)
    with stoppable(say.line) as stop:
        session = Session(config, run, keeper, judge, listening, tracker, say, stop, state)
        try:
            fit(task, session, loader_of(dataset, config, n_done, rank, n_ranks), config, n_ranks)
        finally:
            tracker.close()
    say.line(f"{session.outcome.reason}; {counted(session.outcome.n_steps, 'step')} in all")
    if config.checkpoints.average and session.outcome.is_finished and rank == 0:
        say.line(keep_average(keeper, network, judge, run))
    return session.outcome


def fit(task: Task, session: Session, loader: DataLoader[Any], config: RunConfig, n_ranks: int) -> None:
    """Let Lightning make the steps.  Raises `TrainingError` if memory runs out, `OutputError` if the disk does."""
    training = config.training
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what they tell, we tell in our words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice is about what we do ourselves
        trainer = lightning.Trainer(
            accelerator=training.device,
            devices=training.n_devices if n_ranks == 1 or "LOCAL_RANK" not in os.environ else "auto",
            strategy="ddp" if n_ranks > 1 else "auto",
            precision="bf16-mixed" if training.precision == "bf16" else "32-true",
            max_epochs=1,
            min_epochs=0,
            accumulate_grad_batches=training.accumulate,
            gradient_clip_val=config.optimiser.clip_norm or float("inf"),
            callbacks=[session],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
        try:
            trainer.fit(task, loader)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(advice_for(task, config)) from None
        except OSError as error:
            where, reason = session.folder.folder, error.strerror or error
            raise OutputError(f"{where}: cannot be written ({reason}); free some space, then --resume") from None


def ranks(config: RunConfig) -> tuple[int, int]:
    """Return which of how many processes this is: started by torchrun, by Lightning, or alone."""
    n_ranks = int(os.environ.get("WORLD_SIZE", config.training.n_devices))
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))), n_ranks


def initial_network(config: RunConfig) -> Network:
    """Return the network that training begins with: fresh by the seed, or with the weights of a model's folder."""
    torch.manual_seed(config.training.seed)
    network = build(config.network, **config.config)
    if config.initial is not None:
        given = load_model(config.initial)
        if given.config != network.config:
            raise ConfigError(
                f"initial: {config.initial} has another config than this training's; give network and config as its "
                "model.json has them"
            )
        network.load_state_dict(given.state_dict())
    return network.train()


def loader_of(
    dataset: ExampleDataset, config: RunConfig, n_done: int, rank: int, n_ranks: int
) -> DataLoader[dict[str, Any]]:
    """Return the batches from step ``n_done`` on."""
    training = config.training
    n_a_step = training.batch_size * training.accumulate * n_ranks
    sampler = RunSampler(len(dataset), n_a_step * training.steps, start=n_a_step * n_done, rank=rank, n_ranks=n_ranks)
    return DataLoader(
        dataset,
        batch_size=training.batch_size,
        sampler=sampler,
        num_workers=training.workers,
        worker_init_fn=deaf_to_signals,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if training.workers else None,
    )


def refuse_broken(findings: Sequence[Finding], force: Sequence[str]) -> None:
    """Raise `TrainingError` for what makes a training a waste of time, unless its code is forced."""
    grave = [finding for finding in findings if finding.severity == "error" and finding.code not in force]
    if grave:
        codes = " ".join(f"--force {code}" for code in dict.fromkeys(finding.code for finding in grave))
        told = "; ".join(map(str, grave[:3]))
        raise TrainingError(f"{told}; mend it, or train all the same with {codes}")


def announcement(config: RunConfig, dataset: ExampleDataset, network: Network, keeper: Keeper) -> str:
    """Return one line about what will happen."""
    training = config.training
    _, n_ranks = ranks(config)
    n_examples = training.steps * training.batch_size * training.accumulate * n_ranks
    hours = n_examples * dataset.config.segment_seconds / 3600
    megabytes = keeper.needed_bytes(network) / 1e6
    return (
        f"{config.network}, {n_parameters(network):,} parameters: {training.steps:,} steps, {n_examples:,} examples of "
        f"{dataset.config.segment_seconds:g} s ({hours:.1f} h of sound), validated every {training.validate_every:,}; "
        f"up to {megabytes:,.0f} MB on disk"
    )


def keep_average(keeper: Keeper, network: Network, judge: Judge, run: RunFolder) -> str:
    """Write the mean of the best checkpoints if it is better than each, and return what came of it."""
    average_of([keeper.run / kept.folder for kept in keeper.best], network)
    metrics = judge.values(judge(network, next(network.parameters()).device))
    gain = keeper.gain(metrics.get(keeper.metric, float("nan")))
    if gain <= 0:
        return f"the mean of the best {len(keeper.best)} is no better ({keeper.metric} {-gain:.2f} worse); left out"
    target = keeper.run / "average"
    save_model(target, network, overwrite=True, metrics=metrics, **run.about_model())
    return f"the mean of the best {len(keeper.best)} is {gain:.2f} better in {keeper.metric}: {target}"
