"""Which settings of a training a search varies, and how, as YAML.

::

    about: The weights of both losses.
    needs: {loss.0.kind: l1}                   # what it must have for the keys to mean what they say; a list: any
    set: {checkpoints.metric: pesq}            # what all trials have; words of the command line win
    prune: {after_trials: 5, after_share: 0.3} # null: every trial makes all its steps
    vary:
      loss.0.weight: {low: 0.1, high: 10, log: true}
      config.depth: {low: 2, high: 4}          # whole numbers, as this setting takes no others
      schedule.kind: {choices: [plateau, cosine]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from resound.config import read_yaml, set_value, validated, value_at
from resound.errors import ConfigError, did_you_mean
from resound.judging.measures import ALL
from resound.judging.perceptual import left_out
from resound.mixing.config import Settings
from resound.mixing.identity import settings_of
from resound.models.presets import load_preset
from resound.training.config import RunConfig, load_run_config

SEARCHES = Path(__file__).parent.parent / "presets" / "searches"
DEFAULT = "optimiser"
JUDGING = ("validation", "checkpoints.metric", "corpora")  # what decides by which yardstick trials are compared


class Varied(Settings):
    """The values that one setting may take: a range of numbers, or choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False  # as likely between 1 and 10 as between 10 and 100
    step: int | float | None = Field(None, gt=0)
    whole: bool = False  # whole numbers only; found out by itself where the setting takes no others
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.choices is not None:
            if {self.low, self.high, self.step} != {None} or self.log or self.whole:
                raise ValueError("has choices and a range; give one of them")
            if len(self.choices) < 2 or len(set(self.labels)) < len(self.choices):
                raise ValueError("choices must be two or more, each once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0, and no step")
        if self.whole and not all(float(number or 0).is_integer() for number in (self.low, self.high, self.step)):
            raise ValueError("whole needs whole numbers for low, high and step")
        return self

    @property
    def labels(self) -> dict[Any, Any]:
        """The choices by what stands for them in a study, which holds plain values: others are written as JSON."""
        plain = str | int | float | bool | None
        return {each if isinstance(each, plain) else json.dumps(each): each for each in self.choices or ()}

    @property
    def ends(self) -> list[Any]:
        """The values that show whether a training can have this setting: both ends, or all choices."""
        return list(self.choices) if self.choices is not None else [self.low, self.high]

    def value_of(self, label: Any) -> Any:
        """Return the value of a setting that a study's value stands for."""
        return self.labels[label] if self.choices is not None else label

    def label_of(self, value: Any) -> Any:
        """Return what stands for a value in a study; raises `ValueError` where it is none of those that it may take."""
        if self.choices is not None:
            for label, choice in self.labels.items():
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return label
            raise ValueError(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:  # type: ignore[operator]
            raise ValueError(value)
        steps = 0.0 if self.step is None else (value - self.low) / self.step  # type: ignore[operator]
        if not math.isclose(steps, round(steps), abs_tol=1e-9) or (self.whole and value != int(value)):
            raise ValueError(value)
        return int(value) if self.whole else float(value)


class Pruning(Settings):
    """When a trial is given up: its best so far is below the median of the others' at the same step."""

    after_trials: int = Field(5, ge=1)  # as many must have been made to the end
    after_share: float = Field(0.3, ge=0, lt=1)  # of a trial's steps: young networks say little


class Search(Settings):
    """What is varied, and for which trainings."""

    about: str = ""
    needs: dict[str, Any] = Field(default_factory=dict)
    set: dict[str, Any] = Field(default_factory=dict)
    prune: Pruning | None = Pruning()
    vary: dict[str, Varied] = Field(min_length=1)


class Plan(Settings):
    """A search over the settings of one training, checked."""

    search: Search
    settings: dict[str, Any]  # of the training as it is, all of them

    @property
    def metric(self) -> str:
        """The measure by which trials are compared."""
        return str(self.settings["checkpoints"]["metric"])

    @property
    def usual(self) -> dict[str, Any]:
        """The training's own values of what is varied."""
        return {key: value_at(self.settings, key) for key in self.search.vary}

    def config(self, values: dict[str, Any]) -> RunConfig:
        """Return the training with some values.  Raises `ConfigError`."""
        settings = json.loads(json.dumps(self.settings))
        for key, value in values.items():
            set_value(settings, key, value)
        if values:
            settings["expected"] = None  # that of the training as it is
        return validated(RunConfig, settings)


def load_plan(
    name: str,
    words: Sequence[str] = (),
    *,
    space: str | None = None,
    corpora: Sequence[Path] = (),
    quick: bool = False,
) -> Plan:
    """Return a search over a preset's or a file's training; ``space`` names one or is a file.  Raises `ConfigError`."""
    before = load_run_config(name, words, corpora=corpora, quick=quick)
    search, where = load_search(space or (load_preset(before.preset).search if before.preset else DEFAULT))
    fixed = [f"{key}={json.dumps(value)}" for key, value in search.set.items()]
    config = load_run_config(name, [*fixed, *words], corpora=corpora, quick=quick)
    settings = settings_of(config)
    settings["config"] = settings_of(config.network_config)  # those that are not written out may vary too
    plan = Plan(search=search, settings=settings)
    for key, value in search.needs.items():
        there, allowed = value_at(settings, key), value if isinstance(value, list) else [value]
        if there not in allowed:
            any_of = " or ".join(map(str, allowed))
            raise ConfigError(
                f"{where}: is for trainings with {key}={any_of}, {name} has {there}; give another --space"
            )
    check_metric(config)
    check_keys(plan, config, where)
    vary = {key: with_wholeness(plan, key, varied) for key, varied in search.vary.items()}
    return plan.model_copy(update={"search": search.model_copy(update={"vary": vary})})


def load_search(name: str) -> tuple[Search, str]:
    """Return the search of a name or in a YAML file, and what to call it in errors.  Raises `ConfigError`."""
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        return validated(Search, read_yaml(path), name), name
    names = sorted(each.stem for each in SEARCHES.glob("*.yaml"))
    if name not in names:
        hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
        raise ConfigError(f"--space {name}: no such search{hint}, or give a YAML file")
    return validated(Search, read_yaml(SEARCHES / f"{name}.yaml"), name), name


def check_metric(config: RunConfig) -> None:
    """Raise `ConfigError` where what trials are compared by cannot be measured here."""
    metric = config.checkpoints.metric
    for reason in left_out([metric] if metric in config.validation.perceptual else []).values():
        raise ConfigError(f"checkpoints.metric: {metric} {reason}")
    if config.training.n_devices > 1:
        raise ConfigError("training.n_devices: a trial uses one device; set it to 1")
    if ALL[metric].better == "near 0":
        raise ConfigError(f"checkpoints.metric: {metric} is best near 0; search by one of which more or less is better")


def check_keys(plan: Plan, config: RunConfig, where: str) -> None:
    """Raise `ConfigError` for what cannot be varied: no such setting, a value it cannot have, another yardstick."""
    judged_on = settings_of(config.validation_mixing)
    for key, varied in plan.search.vary.items():
        if key.startswith(JUDGING):
            raise ConfigError(f"{where}: vary.{key}: decides how trials are compared, so all must have the same")
        for value in varied.ends:
            try:
                changed = plan.config({key: value})
                _ = changed.network_config, changed.mixing
                now = settings_of(changed.validation_mixing)
            except ConfigError as error:
                raise ConfigError(f"{where}: vary.{key}: {value!r:.40} cannot be: {error}") from None
            if now != judged_on:
                raise ConfigError(
                    f"{where}: vary.{key}: changes what trials are judged on too, so they could not be compared; "
                    "hold that still by validation.data"
                )


def with_wholeness(plan: Plan, key: str, varied: Varied) -> Varied:
    """Return a range which is of whole numbers where its ends are and the setting takes no others."""
    if varied.choices is not None or not all(isinstance(number, int) for number in (varied.low, varied.high)):
        return varied
    try:
        _ = plan.config({key: varied.low + 0.5}).network_config  # type: ignore[operator]
    except ConfigError:
        return validated(Varied, varied.model_dump() | {"whole": True}, f"vary.{key}")
    return varied
