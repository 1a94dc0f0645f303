"""Sets that a training has made for itself before it begins: mixed, sent through a real denoiser, kept on disk.

::

    data:
      prepare:
        n_examples: 2000                    # to learn from; those to judge on are of the other split
        validation_examples: 100
        mixing: {clean: ..., chain: ...}    # as `resound prepare` takes it
        denoiser: {with: deep-filter}
      segment_seconds: 2                    # the rest is about the pairs that are read from the set: crops of 2 s

A denoiser is too slow to run beside a training, so each set is made once, into ``FOLDER/<key>``.  The key is a hash of
the settings, the material and this package's own code: whatever could change a sample makes another set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from resound.audio.alone import alone
from resound.audio.atomic import make_folder
from resound.config import validated
from resound.errors import ConfigError, InputError
from resound.mixing.cache import default_folder
from resound.mixing.config import PairsConfig, SeparationConfig, Settings, mixing_from
from resound.mixing.denoisers import denoisers_from
from resound.mixing.identity import SOURCES, code_of, hash_of, recordings_of, settings_of
from resound.mixing.plan import Plan
from resound.mixing.prepare import Preparation
from resound.mixing.set_folder import MANIFEST
from resound.mixing.summary import Summary

ALSO_DECIDE = ("classic", "inference")  # parts of this package that the denoiser may be made of


class PreparedConfig(Settings):
    """How much, of what, through which denoiser."""

    n_examples: int = Field(2000, ge=1)
    validation_examples: int = Field(100, ge=2)
    mixing: dict[str, Any]
    denoiser: Any  # as `resound.mixing.denoisers` reads it: one, or several in turn
    folder: Path | None = None  # None: resound/prepared in the user's cache folder


def plan_of(written: dict[str, Any], *, sample_rate: int, is_valid: bool, where: str = "data.prepare") -> Plan:
    """Return the plan of the set to learn from, or to judge on; its folder says what it is.  Raises `ConfigError`."""
    config = validated(PreparedConfig, written, where)
    mixing = mixing_from({"sample_rate": sample_rate, **config.mixing}, f"{where}.mixing")
    if isinstance(mixing, SeparationConfig):
        raise ConfigError(f"{where}.mixing.task: is separate, which has no side to be denoised; make it enhance")
    if mixing.sample_rate != sample_rate:
        raise ConfigError(
            f"{where}.mixing.sample_rate: is {mixing.sample_rate} Hz, the network has {sample_rate}; leave it out"
        )
    if is_valid:  # another seed too: where the material has no splits the two sets must not be the same
        mixing = mixing.model_copy(update={"split": "valid", "seed": mixing.seed + 1})
    n_examples = config.validation_examples if is_valid else config.n_examples
    denoisers = denoisers_from(config.denoiser, f"{where}.denoiser")
    if not denoisers:
        raise ConfigError(f"{where}.denoiser: is missing; name one, such as 'denoiser: classic'")
    plan = Plan(mixing, Path(), denoisers, n_examples)
    return replace(plan, folder=(config.folder or cache_folder()) / key_of(plan))


def pairs_of(plan: Plan, values: dict[str, Any], where: str = "data") -> PairsConfig:
    """Return the pairs that a plan's set will hold, ``values`` being their other settings.  Raises `ConfigError`."""
    pairs = mixing_from({"task": "pairs", **values, "pairs": str(plan.folder / MANIFEST)}, where)
    assert isinstance(pairs, PairsConfig)
    if pairs.segment_seconds > plan.mixing.segment_seconds:
        raise ConfigError(
            f"{where}.segment_seconds: is {pairs.segment_seconds:g}, prepared are {plan.mixing.segment_seconds:g} s; "
            "ask for no more than that"
        )
    return pairs


def prepare(plan: Plan, tell: Callable[[str], None], n_jobs: int = 1) -> None:
    """Make a plan's set, or what is left to make of it, and tell the user; processes that want it at once wait.

    Stopped at any time, the next call goes on.  Raises `ConfigError`, `OutputError`, and `InputError` where an example
    cannot be made.
    """
    make_folder(plan.folder.parent)
    with alone(plan.folder.with_suffix(".lock")):
        if (plan.folder / MANIFEST).exists():  # written when all is there
            tell(f"{plan.n_examples:,} prepared examples ({plan.mixing.split}) are there: {plan.folder}")
            return
        preparation = Preparation(plan)
        left = f", {preparation.n_recorded:,} of them are there already" if preparation.n_recorded else ""
        through = f" through {', '.join(each.with_ for each in plan.denoisers)}"
        tell(f"prepares {plan.n_examples:,} examples ({plan.mixing.split}){through}, once{left}: {plan.folder}")
        failures = [outcome.error for outcome in preparation.run(n_jobs) if outcome.error]
        summary = preparation.finish()
    if summary.n_missing:
        raise InputError(
            f"{plan.folder}: {summary.n_missing} of {plan.n_examples} examples could not be made, the last because: "
            f"{failures[-1] if failures else 'unknown'}; the same command tries them again"
        )
    for line in delays_in(summary):
        tell(line)


def delays_in(summary: Summary) -> list[str]:
    """Return what was found about the denoiser's delay."""
    return [line for line in summary.lines() if "delay" in line]


def key_of(plan: Plan) -> str:
    """Return the name of a plan's folder."""
    settings = {"mixing": settings_of(plan.mixing), "denoiser": plan.denoiser_settings}
    facts = {
        **plan.facts(),
        "n_examples": plan.n_examples,
        "recordings": recordings_of(settings),
        "code": code_of((*SOURCES, *ALSO_DECIDE)),
    }
    return hash_of(facts)[:32]


def cache_folder() -> Path:
    """Return where prepared sets of this user lie."""
    return default_folder().parent / "prepared"
