"""A preset from recordings to a model that is judged: six steps, each skipped where its result is whole.

::

    FOLDER/
      reproduce.json               which steps are whole, and what they were made of
      corpus.jsonl                 what a folder of recordings holds, if one was given; corpus-2.jsonl of a second one
      config.yaml                  the training with everything resolved
      run/                         the training, as `resound train` leaves it
      results.json, results.md     its best checkpoint beside the baselines, on examples that chose nothing
      model/                       that checkpoint with its figures, as `resound restore --model` takes it

A step that was interrupted begins again; the training goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from resound.audio.alone import alone
from resound.audio.atomic import atomic_file, make_folder
from resound.checkpoint import ABOUT, WEIGHTS, load_model, model_folder, read_about, save_model
from resound.config import read_yaml
from resound.corpora.layouts import UnnamedDomainError
from resound.corpora.manifest import Manifest, read_manifest, write_manifest
from resound.corpora.scan import ScanOptions, scan
from resound.errors import ConfigError, InputError, OutputError, TrainingError, counted
from resound.judging.baselines import judge_baselines
from resound.judging.measures import ALL
from resound.mixing.cache import ABOUT as CACHE
from resound.mixing.cache import open_cache
from resound.mixing.identity import differences, hash_of, material_of, settings_of
from resound.mixing.set_folder import MANIFEST
from resound.training.config import load_run_config
from resound.training.evaluate import evaluate
from resound.training.fit import Check, refuse_broken, train
from resound.training.judge import jobs_for
from resound.training.keeper import INDEX, Keeper
from resound.training.milestones import LOCK, STEPS, Asked, Milestones
from resound.training.prepared import prepare
from resound.training.processes import with_companions
from resound.training.run_folder import CONFIG, FREE_TO_CHANGE
from resound.training.session import Shown

RUN, MODEL = "run", "model"
LENGTH = ("steps", "max_minutes")  # of a training, which may change, and changes the result


class StoppedError(Exception):
    """The user has stopped the training, which has its checkpoint."""


class StoredFinding(SimpleNamespace):
    """What a check said, as it was noted."""

    code: str
    severity: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class Made:
    """What came of a step."""

    told: str  # in a few words
    files: list[Path] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # more that is noted


def reproduce(asked: Asked, folder: Path, shown: Shown, *, checks: Sequence[Check] = ()) -> bool:
    """Make what is missing of a reproduction; return whether all of it is whole now, False where the user stopped it.

    Raises `ConfigError`, `InputError`, `ModelError`, `OutputError` and `TrainingError`.
    """
    if "WORLD_SIZE" in os.environ:
        raise ConfigError("reproduce is no command for torchrun; give training.n_devices=2 for two devices")
    for _, recordings in asked.folders:
        if folder.absolute().is_relative_to(recordings.absolute()):
            raise OutputError(f"{folder}: lies in the folder of recordings, {recordings}; give another with -o")
    milestones = Milestones(folder)
    check_settings(asked)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    try:
        with alone(folder / LOCK, refusal=f"{folder}: another process works on this; let it finish, or stop it"):
            Reproduction(asked, milestones, shown, checks).make()
    except StoppedError:
        return False
    finally:
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
        remove_empty(missing)
    return True


def check_settings(asked: Asked) -> None:
    """Raise `ConfigError` for what can be known to be wrong before anything is scanned or written."""
    config = load_run_config(asked.name, asked.words, corpora=asked.manifests, quick=asked.quick)
    if not asked.folders:
        _ = config.mixing, config.validation_mixing


class Reproduction:
    """Makes the steps one after another."""

    def __init__(self, asked: Asked, milestones: Milestones, shown: Shown, checks: Sequence[Check]) -> None:
        self.asked, self.milestones, self.shown, self.checks = asked, milestones, shown, checks
        self.folder, self.run = milestones.folder, milestones.folder / RUN
        self.scanned = [self.folder / manifest_name(number) for number in range(1, len(asked.folders) + 1)]
        self.manifests = [*asked.manifests, *self.scanned]
        self.material: dict[str, str] = {}

    def make(self) -> None:
        """Make what is missing."""
        self.step("corpus", self.asked.recordings, self.corpus)
        self.config = load_run_config(self.asked.name, self.asked.words, corpora=self.manifests, quick=self.asked.quick)
        self.settings = settings_of(self.config)
        self.check_changes()
        settings, material = self.settings, {"material": self.material}
        data = {"settings": {key: settings[key] for key in ("data", "validation", "corpora", "config")}, **material}
        self.step("prepare", data, self.prepare)
        named = sorted(getattr(check, "__qualname__", type(check).__name__) for check in self.checks)
        whole = {"settings": deciding(settings), **material}
        self.step("doctor", {**whole, "checks": named, "force": self.asked.force}, self.doctor)
        self.step("train", whole, self.train)
        judged = {"model": read_about(model_folder(self.run))["sha256"], **data}
        self.step("evaluate", judged, self.evaluate)
        self.step("export", {**judged, "figures": (self.folder / "results.json").read_text("utf-8")}, self.export)
        self.milestones.write(command=self.asked.hash)

    def step(self, name: str, facts: dict[str, Any], make: Callable[[], Made]) -> None:
        """Make a step unless it is whole, and tell the user."""
        identity, number = hash_of(facts), f"{STEPS.index(name) + 1}/{len(STEPS)} {name}"
        if self.milestones.is_whole(name, identity):
            self.shown.line(f"{number}: whole already; {self.milestones[name]['told']}")
            return
        began = time.monotonic()
        self.shown.line(f"{number} ...")
        made = make()
        seconds = round(time.monotonic() - began, 1)
        self.milestones.set(name, identity, made.told, made.files, seconds=seconds, **made.facts)
        self.shown.line(f"{number}: {made.told}")

    def check_changes(self) -> None:
        """Say what has changed since the steps so far.  Raises `TrainingError` where a training was begun by then."""
        self.material = material_of(self.settings)
        before = self.milestones
        settings = read_yaml(self.run / CONFIG) if self.is_begun else before.settings
        changed = differences(settings, self.settings) if settings else []
        grave = [line for line in changed if not line.startswith(FREE_TO_CHANGE)]
        others = [path for path, known in self.material.items() if before.material.get(path, known) != known]
        if self.is_begun and (grave or others):
            what = "; ".join([*grave[:5], *(f"{path} is no longer the same" for path in others[:3])])
            raise TrainingError(
                f"{self.folder}: was begun with other settings or recordings: {what}; give those, or another folder "
                "with -o"
            )
        if changed:
            self.shown.line(f"changed since the last time: {'; '.join(changed[:5])}")
        self.milestones.write(command=None, settings=self.settings, material=self.material)
        with atomic_file(self.folder / CONFIG, overwrite=True) as temporary:
            temporary.write_text(yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True), encoding="utf-8")

    @property
    def is_begun(self) -> bool:
        """Whether there is a training, which cannot become another one."""
        return (self.run / CONFIG).exists()

    # The steps

    def corpus(self) -> Made:
        """List the recordings of folders; count those of manifests."""
        for path, (domain, recordings) in zip(self.scanned, self.asked.folders, strict=True):
            self.scan(path, domain, recordings)
        if not self.manifests:
            return Made("named by the settings")
        found = Counter(item.domain for path in self.manifests for item in read_manifest(path).recordings)
        counts = [f"{number:,} {domain or 'of no domain'}" for domain, number in found.items()]
        return Made(f"{counted(found.total(), 'recording')} ({', '.join(counts)})", self.scanned)

    def scan(self, path: Path, domain: str | None, recordings: Path) -> None:
        """Bring the manifest of a folder up to date.  Raises `InputError` where a training was begun with another."""
        previous = read_manifest(path) if path.exists() else None
        if previous is not None and previous.root.resolve() != recordings.resolve():
            previous = None
        try:
            scanned = scan(recordings, ScanOptions(domain=domain), previous)
        except UnnamedDomainError:
            raise ConfigError(
                f"{recordings}: nothing says what it holds; give --corpus speech={recordings}, or noise=..., music=..."
            ) from None
        scanned.ledger.check(recordings)
        if previous is not None and contents_of(previous) == contents_of(scanned.manifest):
            return
        if self.is_begun:
            what = ", ".join(f"{n} {how}" for how, n in scanned.changes.items() if n and how != "unchanged")
            raise InputError(
                f"{recordings}: is no longer what the training began with ({what or 'another folder'}); bring that "
                "back, or give another folder with -o"
            )
        for warning in scanned.warnings:
            self.shown.line(warning)
        write_manifest(path, scanned.manifest, overwrite=True)

    def prepare(self) -> Made:
        """Make the sets that must be on disk, the validation set, and the scores of the baselines."""
        files = []
        for plan in self.config.prepared_plans:
            prepare(plan, self.shown.line, jobs_for(plan.n_examples))
            files.append(plan.folder / MANIFEST)
        n_examples = self.config.validation.n_examples
        examples = open_cache(self.config.validation_mixing, n_examples, n_jobs=jobs_for(n_examples))
        judge_baselines(examples, n_jobs=jobs_for(n_examples), asked=self.config.asked)
        beside = f", and {counted(len(files), 'set')} on disk" if files else "; training examples are mixed on the fly"
        return Made(f"{counted(len(examples), 'validation example')}{beside}", [*files, examples.folder / CACHE])

    def doctor(self) -> Made:
        """Look over data and plan as `resound train` does before its first step."""
        found = [finding for check in self.checks for finding in check(self.config)]
        refuse_broken(found, self.asked.force)
        for finding in found:
            self.shown.line(str(finding))
        told = f"{counted(len(found), 'finding')} of {counted(len(self.checks), 'check')}"
        return Made(told, facts={"findings": [{**vars(finding), "text": str(finding)} for finding in found]})

    def train(self) -> Made:
        """Train, or go on with a training that was stopped.  Raises `StoppedError`."""
        goes_on = self.is_begun
        if not goes_on:
            remove_empty([*self.run.glob("*"), self.run])  # of one that was killed while it made its folder
        if not (goes_on and self.has_all_steps):
            self.fit(resume=goes_on)
        kept = self.kept
        if not kept.best:
            raise TrainingError(f"{self.run}: ended before its first validation; raise training.max_minutes")
        best = kept.best[0]
        told = f"{kept.last_step:,} steps; best at {best.step:,} with {ALL[kept.metric].title} {best.value:.2f}"
        return Made(told, [self.run / INDEX, model_folder(self.run) / WEIGHTS])

    @property
    def has_all_steps(self) -> bool:
        """Whether the training is done, though that was not noted."""
        return (self.kept.last_step or 0) >= self.config.training.steps

    @property
    def kept(self) -> Keeper:
        """The training's checkpoints."""
        return Keeper.of(self.run, self.config.checkpoints.metric, self.config.checkpoints.keep)

    def fit(self, *, resume: bool) -> None:
        """Run the training to one of its ends."""
        config, force = self.config, self.asked.force
        stored = [StoredFinding(**finding) for finding in self.milestones["doctor"]["findings"]]
        words = ["train", str(self.folder / CONFIG), "-o", str(self.run), *(["--resume"] if resume else [])]
        words += [word for code in force for word in ("--force", code)]
        with with_companions(config.training.n_devices, words):
            outcome = train(
                config,
                self.run,
                self.shown,
                resume=resume,
                force=force,
                checks=[lambda _: stored],
                command=["resound", *words],
            )
        if outcome.is_interrupted:
            raise StoppedError

    def evaluate(self) -> Made:
        """Judge the best checkpoint beside the baselines."""
        title = self.config.preset or Path(self.asked.name).stem
        evaluation = evaluate(title, self.config, self.run, self.shown)
        return Made(f"the model {evaluation.verdict}", evaluation.write(self.folder))

    def export(self) -> Made:
        """Copy the best checkpoint, with its figures, to where people look for a model."""
        best, folder = model_folder(self.run), self.folder / MODEL
        results = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        kept = ("title", "source", "licence", "after", "step")
        about = {key: value for key, value in read_about(best).items() if key in kept}
        metrics = {name: figures["mean"] for name, figures in results["model"]["overall"].items()}
        evaluation = {"verdict": results["verdict"], "examples": results["examples"], **results["model"]["overall"]}
        network = load_model(best)
        if folder.is_dir() and {path.name for path in folder.iterdir()} <= {WEIGHTS}:
            shutil.rmtree(folder)  # the rest of a model
        save_model(folder, network, overwrite=True, **about, metrics=metrics, evaluation=evaluation)
        verb = "separate" if network.n_sources > 1 else "restore"
        return Made(
            f"the best checkpoint with its figures, for 'resound {verb} RECORDING --model {folder}' (safetensors and "
            "model.json; nothing else is made of it)",
            [folder / WEIGHTS, folder / ABOUT],
        )


def deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the result of a training depends on."""
    kept = {key: value for key, value in settings.items() if key not in FREE_TO_CHANGE}
    training = {
        key: value
        for key, value in settings["training"].items()
        if key in LENGTH or f"training.{key}" not in FREE_TO_CHANGE
    }
    return {**kept, "training": training}


def manifest_name(number: int) -> str:
    """Return what the manifest of a folder that was given is called: of the first, the second ..."""
    return "corpus.jsonl" if number == 1 else f"corpus-{number}.jsonl"


def contents_of(manifest: Manifest) -> list[tuple[Any, ...]]:
    """Return what a manifest says of each recording, but for times."""
    return [
        (item.path, item.n_samples, item.sample_rate, item.domain, item.split, item.speaker)
        for item in manifest.recordings
    ]


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove the folders that have nothing in them, the inner ones first."""
    for path in folders:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
