"""A whole run: from its settings to its best checkpoint.

What can be wrong is told before the first step; what goes wrong later leaves the checkpoints so far whole.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from torch.utils.data import DataLoader

from resound.audio.alone import alone
from resound.audio.atomic import check_can_write_in
from resound.checkpoint import found_model, load_model, name_of, use_all_cores
from resound.errors import ConfigError, OutputError, ResoundError, TrainingError, counted
from resound.mixing.cache import open_cache
from resound.mixing.identity import settings_of
from resound.mixing.stream import open_examples
from resound.models import build
from resound.models.network import Network, n_parameters
from resound.training.config import RunConfig
from resound.training.dataset import ExampleDataset, RunSampler
from resound.training.judge import Judge, jobs_for
from resound.training.keeper import AVERAGE, Keeper, average_of
from resound.training.listening import Listening
from resound.training.memory import advice_for, is_out_of_memory, refuse_too_large
from resound.training.prepared import prepare
from resound.training.processes import Processes, is_about_others, with_devices
from resound.training.recordings import read_recordings
from resound.training.run_folder import LOCK, RunFolder
from resound.training.session import AfterValidation, Outcome, Session, Shown
from resound.training.stopping import deaf_to_signals, stoppable
from resound.training.tasks import Task, task_of
from resound.training.trackers import Tracker, check_tracker, open_tracker
from resound.training.trackers.tracker import TrackedRun


class Finding(Protocol):
    """What a check of data or plan says; doctor's findings are such."""

    @property
    def code(self) -> str:
        """Its name in the catalogue."""
        ...

    @property
    def severity(self) -> str:
        """How grave it is: error, warning or info."""
        ...

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
    after_validation: AfterValidation | None = None,
    shared_by: int = 1,
) -> Outcome:
    """Train a network as a config says, in a run folder, and return how it ended.

    With ``resume`` the run in the folder goes on from its last checkpoint.  ``after_validation`` hears the step and the
    metrics of each validation; where it returns True the run ends there.  ``shared_by`` so many trainings, this machine
    gives each its share of the cores.  Raises `ConfigError`, `InputError`, `OutputError` and `TrainingError`.
    """
    processes = Processes.of_environment()
    config = with_devices(config, processes)
    processes.join()
    use_all_cores(processes.n_here * shared_by)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    run = RunFolder(folder, config, is_writer=processes.is_first)
    say = LogAndShow(shown, run)
    with ExitStack() as held:
        if processes.is_first and resume and folder.is_dir():
            held.enter_context(in_it_alone(folder))
        ready = processes.after_first(lambda: make_ready(config, run, say, processes, resume, force, checks))
        if processes.is_first and not resume:
            run.create()
            held.enter_context(in_it_alone(folder))
        if processes.is_first:
            begin(run, ready, force, command)
        outcome = make_steps(config, run, say, processes, ready, after_validation)
        end(run, ready, outcome, config, say)
    processes.leave()
    return outcome


def in_it_alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other trainings out of a run's folder.  Raises `OutputError` where one is at work, or none can write."""
    check_can_write_in(folder)
    return alone(folder / LOCK, refusal=f"{folder}: another process trains there; let it finish, or stop it")


def make_steps(
    config: RunConfig,
    run: RunFolder,
    say: LogAndShow,
    processes: Processes,
    ready: Ready,
    after_validation: AfterValidation | None,
) -> Outcome:
    """Make all steps of a run that is ready, and return how it ended."""
    tracked = TrackedRun(run.folder, settings_of(config), ready.n_done)
    tracker = open_tracker(config.tracker if processes.is_first else "none", tracked, say.line)
    with stoppable(say.line) as stop, one_voice():
        session = Session(
            config,
            run,
            ready.keeper,
            ready.judge,
            ready.listening,
            tracker,
            say,
            stop,
            processes,
            ready.state,
            after_validation,
        )
        try:
            fit(ready.task, session, loader_of(ready.dataset, config, ready.n_done, processes), config, processes)
        finally:
            close(tracker, run.folder)
    return session.outcome


def begin(run: RunFolder, ready: Ready, force: Sequence[str], command: Sequence[str]) -> None:
    """Write down what is known before the first step: command, findings and baselines."""
    run.begin_session(list(command) or sys.argv)
    run.write_findings([vars(finding) for finding in ready.findings], list(force))
    run.write_json("baselines.json", {name: each.to_json() for name, each in ready.judge.baselines.items()})


def end(run: RunFolder, ready: Ready, outcome: Outcome, config: RunConfig, say: LogAndShow) -> None:
    """Tell how a run ended, and keep the average of its best checkpoints where that is asked for and better."""
    say.line(f"{outcome.reason}; {counted(outcome.n_steps, 'step')} in all")
    if config.checkpoints.average and outcome.is_finished:
        say.line(keep_average(ready.keeper, ready.task.network, ready.judge, run))


@dataclass
class Ready:
    """What a run is made of, once nothing speaks against it."""

    task: Task
    dataset: ExampleDataset
    keeper: Keeper
    judge: Judge
    listening: Listening
    findings: list[Finding]
    state: dict[str, Any] | None  # to go on from

    @property
    def n_done(self) -> int:
        """How many steps are done."""
        return int(self.state["n_steps"]) if self.state else 0


def make_ready(
    config: RunConfig,
    run: RunFolder,
    say: LogAndShow,
    processes: Processes,
    resume: bool,
    force: Sequence[str],
    checks: Sequence[Check],
) -> Ready:
    """Check and make all that comes before the first step; a new run's folder is not touched."""
    folder, kept = run.folder, config.checkpoints
    task = task_of(initial_network(config), config)
    check_tracker(config.tracker)
    recordings = read_recordings(config.listen, task.network.sample_rate)
    keeper = Keeper.of(folder, kept.metric, kept.keep, is_writer=processes.is_first)
    state = go_on(run, keeper, say) if resume else None
    if not resume and processes.is_first:
        run.check_free()
        keeper.check_space(task.network, task.beside)
    for plan in config.prepared_plans:
        prepare(plan, say.line, jobs_for(plan.n_examples))
    dataset = ExampleDataset(config.mixing)
    open_examples(config.validation_mixing)  # what is missing there is told now, not after the training set is read
    findings = [finding for check in checks for finding in check(config)]
    refuse_broken(findings, force)
    for finding in findings:
        say.line(str(finding))
    say.line(announcement(config, dataset, task, keeper))
    n_examples = config.validation.n_examples
    examples = open_cache(config.validation_mixing, n_examples, n_jobs=jobs_for(n_examples))
    judge = Judge(config, examples, processes)
    judge.judge_baselines()
    return Ready(task, dataset, keeper, judge, Listening(config, folder, examples, recordings), findings, state)


def go_on(run: RunFolder, keeper: Keeper, say: LogAndShow) -> dict[str, Any] | None:
    """Return the state to go on from; None for a run that was left before its first checkpoint."""
    changed = run.reopen()
    state = None if keeper.last is None else keeper.state()
    if state and state["n_steps"] >= run.config.training.steps:
        raise TrainingError(f"{run.folder}: has made its {state['n_steps']} steps; give more by training.steps=N")
    where = f"goes on from step {state['n_steps']}" if state else "has no checkpoint yet: begins again"
    say.line(f"{where}, with {'; '.join(changed)}" if changed else where)
    most = run.config.checkpoints.stop_after
    if state and most is not None and state["n_without_gain"] >= most:
        say.line(
            f"it had {counted(state['n_without_gain'], 'validation')} without gain and ends after another one, unless "
            "checkpoints.stop_after=N gives it more"
        )
    return state


def fit(task: Task, session: Session, loader: DataLoader[Any], config: RunConfig, processes: Processes) -> None:
    """Let Lightning make the steps.

    Raises `TrainingError` if memory runs out or another process is gone, `OutputError` if the disk is full.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what they tell, we tell in our words
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning's advice is about what we do ourselves
            trainer_of(task, config, processes, session).fit(task, loader)
        return
    except (RuntimeError, MemoryError, OSError, ResoundError) as error:
        device = session.device
        if not is_out_of_memory(error):
            raise told(error, session.folder.folder) from None
    # Not above: as long as the error is at hand, so is what the step that failed had allocated.
    raise TrainingError(advice_for(task.to(device), config))


def close(tracker: Tracker, folder: Path) -> None:
    """Have a tracker write what is left.  Raises `OutputError` where the disk is full."""
    try:
        tracker.close()
    except OSError as error:
        raise told(error, folder) from None


@contextmanager
def one_voice() -> Iterator[None]:
    """Keep threads that cannot write (TensorBoard has one) from saying so: the training hears of it and tells it."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.exc_value, OSError):
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def told(error: Exception, folder: Path) -> Exception:
    """Return an error as the user should read it; one that is our own bug as it is."""
    in_worker = re.search(r"DataLoader worker \(pid", str(error))
    if in_worker:
        return TrainingError(
            f"{folder}: a process that makes examples was killed, perhaps for lack of memory; lower training.workers, "
            "then --resume"
        )
    if isinstance(error, ResoundError):  # of a loader's process it comes with a traceback before it
        last = str(error).strip().splitlines()[-1]
        return type(error)(last.partition("Error: ")[2]) if "Traceback" in str(error) else error
    if is_about_others(error):
        return TrainingError(f"{folder}: another process of this run has ended; see what it said, then --resume")
    if isinstance(error, OSError):
        return OutputError(f"{folder}: cannot be written ({error.strerror or error}); free some space, then --resume")
    return error


def trainer_of(task: Task, config: RunConfig, processes: Processes, session: Session) -> lightning.Trainer:
    """Return Lightning's trainer, which leaves to us all but devices, precision and the steps themselves."""
    training, is_one = config.training, processes.n == 1
    most = config.optimiser.clip_norm or float("inf")
    return lightning.Trainer(
        accelerator=training.device,
        devices=processes.n_here,
        num_nodes=processes.n // processes.n_here,
        strategy="auto" if is_one else "ddp",
        plugins=[LightningEnvironment() if is_one else TorchElasticEnvironment()],  # never guessed
        precision="bf16-mixed" if training.precision == "bf16" else "32-true",
        max_epochs=1,
        min_epochs=0,
        accumulate_grad_batches=training.accumulate,
        gradient_clip_val=most if task.automatic_optimization else None,
        callbacks=[session],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def initial_network(config: RunConfig) -> Network:
    """Return the network that training begins with: fresh by the seed, or with the weights of a model's folder.

    Raises `TrainingError` where the device is too small for it.
    """
    refuse_too_large(config)
    torch.manual_seed(config.training.seed)
    network = build(config.network, **config.config)
    if config.initial is not None:
        given = load_model(found_model(config.initial))
        _check_alike(str(config.initial), given, network)
        network.load_state_dict(given.state_dict())
    return network.train()


def _check_alike(initial: str, given: Network, network: Network) -> None:
    """Raise `ConfigError` unless two networks are of one kind and size, with the words that would make them so."""
    if type(given) is not type(network):
        raise ConfigError(
            f"initial: {initial} is a {name_of(given)}, this training's network a {name_of(network)}; give a model of "
            "that kind"
        )
    has, wanted = given.config.model_dump(mode="json"), network.config.model_dump(mode="json")
    words = [
        shlex.quote(f"config.{key}={json.dumps(has[key], separators=(',', ':'))}")
        for key in has
        if has[key] != wanted[key]
    ]
    if words:
        raise ConfigError(
            f"initial: {initial} has another config than this training's; to go on with it say {' '.join(words)}"
        )


def loader_of(
    dataset: ExampleDataset, config: RunConfig, n_done: int, processes: Processes
) -> DataLoader[dict[str, Any]]:
    """Return the batches from step ``n_done`` on."""
    training = config.training
    n_a_step = training.batch_size * training.accumulate * processes.n
    sampler = RunSampler(
        len(dataset),
        n_a_step * training.steps,
        start=n_a_step * n_done,
        rank=processes.rank,
        n_ranks=processes.n,
        same_every_epoch=training.same_every_epoch,
    )
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


def announcement(config: RunConfig, dataset: ExampleDataset, task: Task, keeper: Keeper) -> str:
    """Return one line about what will happen."""
    training, network = config.training, task.network
    beside = f" and {n_parameters(task.beside):,} of what judges it" if task.beside is not None else ""
    n_examples = training.steps * training.batch_size * training.accumulate * training.n_devices
    hours = n_examples * dataset.config.segment_seconds / 3600
    megabytes = keeper.needed_bytes(network, task.beside) / 1e6
    return (
        f"{config.network}, {n_parameters(network):,} parameters{beside}: {training.steps:,} steps, "
        f"{n_examples:,} examples of {dataset.config.segment_seconds:g} s ({hours:.1f} h of sound), "
        f"validated every {training.validate_every:,}; up to {megabytes:,.0f} MB on disk"
    )


def keep_average(keeper: Keeper, network: Network, judge: Judge, run: RunFolder) -> str:
    """Write the mean of the best checkpoints if it is better than each, and return what came of it."""
    average_of([keeper.run / kept.folder for kept in keeper.best], network)
    metrics = judge.values(judge(network, next(network.parameters()).device))
    gain = keeper.gain(metrics.get(keeper.metric, float("nan")))
    if gain <= 0:
        return f"the mean of the best {len(keeper.best)} is no better ({keeper.metric} {-gain:.2f} worse); left out"
    keeper.keep_average(network, metrics, run.about_model())
    return f"the mean of the best {len(keeper.best)} is {gain:.2f} better in {keeper.metric}: {run.folder / AVERAGE}"
