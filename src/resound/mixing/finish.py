"""What every example goes through at the end: augmentations, its level, its peak; and trying again where one fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from resound.degrade.bank import Bank, FromBank
from resound.degrade.chain import GROUPS, Chain, Step
from resound.errors import ConfigError, InputError, did_you_mean
from resound.mixing.augment import Sides, apply_augmentations
from resound.mixing.config import Common

ATTEMPTS = 20  # of making one example, before the material as a whole is called unusable
Made = TypeVar("Made")


def finish(
    sides: Sides, config: Common, drawn: list[dict[str, Any]], rng: np.random.Generator
) -> tuple[Sides, dict[str, Any]]:
    """Return both sides augmented, cut to a segment and scaled, and what was done, plain JSON.

    Raises `InputError` for samples that are not finite.
    """
    n_samples = config.segment_samples
    augmented = apply_augmentations(sides, config.sample_rate, drawn)
    sides = Sides(fit_length(augmented.degraded, n_samples), fit_length(augmented.clean, n_samples))
    gain_db = _gain_to_level_db(sides, config, rng)
    peak = float(np.abs(sides.degraded).max()) * 10 ** (gain_db / 20)
    if not np.isfinite(peak):
        raise InputError("samples that are not finite came out of the chain; look at its ranges")
    if config.peak is not None and peak > config.peak:
        gain_db += 20 * np.log10(config.peak / peak)
    gain_db = float(f"{gain_db:.6g}")
    if gain_db:
        gain = np.float32(10 ** (gain_db / 20))
        sides = Sides(gain * sides.degraded, gain * sides.clean)
    done: dict[str, Any] = {"augment": drawn} if drawn else {}
    return sides, done | ({"gain_db": gain_db} if gain_db else {})


def _gain_to_level_db(sides: Sides, config: Common, rng: np.random.Generator) -> float:
    """Return the gain that brings the clean side's RMS to a drawn level."""
    if config.level_dbfs is None:
        return 0.0
    power = float(np.mean(np.square(sides.clean, dtype=np.float64)))
    return config.level_dbfs.draw(rng) - 10 * np.log10(power) if power > 0 else 0.0


def fit_length(audio: np.ndarray, n_samples: int) -> np.ndarray:
    """Return ``(channel, time)`` cut, or padded by the few samples that rounding may leave out, to ``n_samples``."""
    missing = n_samples - audio.shape[1]
    return np.pad(audio, ((0, 0), (0, missing))) if missing > 0 else audio[:, :n_samples]


def make(
    attempt: Callable[[np.random.Generator, int], Made], seed: tuple[int, int, int], skipped: Counter[str]
) -> Made:
    """Return what ``attempt(rng, number)`` makes, the reasons of those that fail counted.

    Each number has a generator of its own, so that the example does not depend on what came before it.
    Raises `InputError` after 20 failures in a row.
    """
    for number in range(ATTEMPTS):
        try:
            return attempt(np.random.default_rng([*seed, number]), number)
        except InputError as error:
            reason = str(error)
            skipped[reason] += 1
    raise InputError(
        f"no example can be made: {ATTEMPTS} attempts in a row failed, the last because {reason}; "
        "look at the material with 'resound corpus show'"
    )


def with_split(chain: Chain, split: str | None) -> Chain:
    """Return a chain whose noises and rooms out of manifests come from ``split``, where it does not say another."""
    return chain.model_copy(update={"steps": tuple(_step_with_split(step, split) for step in chain.steps)})


def with_target(chain: Chain, names: Sequence[str]) -> Chain:
    """Return a chain whose steps of these names the target gets too.  Raises `ConfigError` for a name it has not."""
    there = {step.name for step in _steps_below(chain.steps)}
    for name in names:
        if name not in there:
            hint = did_you_mean(name, there) or f"; there are {', '.join(sorted(there))}"
            raise ConfigError(f"same_on_target: the chain has no step {name!r}{hint}")
    return chain.model_copy(update={"steps": tuple(_step_with_target(step, names) for step in chain.steps)})


def _steps_below(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield every degradation of steps and of their groups."""
    for step in steps:
        yield from _steps_below(step.parts) if step.parts else [step]


def _step_with_target(step: Step, names: Sequence[str]) -> Step:
    changes: dict[str, Any] = {
        name: tuple(_step_with_target(inner, names) for inner in getattr(step, name)) for name in GROUPS
    }
    return step.model_copy(update=changes | ({"target": "same"} if step.name in names else {}))


def banks_of(steps: Sequence[Step]) -> Iterator[tuple[str, Bank]]:
    """Yield each bank that steps draw from, opened, with the step's name.  Raises `InputError`."""
    for step in steps:
        yield from banks_of(step.parts)
        if isinstance(step.degradation, FromBank):
            yield step.name, step.degradation.open()


def open_banks(chain: Chain) -> None:
    """Open all banks of a chain, so that what is wrong with one is told before anything is made."""
    for _ in banks_of(chain.steps):
        pass


def describe_banks(steps: Sequence[Step], segment_seconds: float) -> list[dict[str, Any]]:
    """Return the banks that steps draw from: recordings, hours and segments that do not overlap; plain JSON."""
    told = []
    for name, bank in banks_of(steps):
        segments = int(np.maximum(1, bank.seconds // segment_seconds).sum())
        hours = round(float(bank.seconds.sum()) / 3600, 3)
        told.append({name: bank.source, "recordings": len(bank.files), "hours": hours, "segments": segments})
    return told


def _step_with_split(step: Step, split: str | None) -> Step:
    changes: dict[str, Any] = {
        name: tuple(_step_with_split(inner, split) for inner in getattr(step, name)) for name in GROUPS
    }
    spoiling = step.degradation
    if isinstance(spoiling, FromBank) and spoiling.bank.endswith(".jsonl") and spoiling.split is None:
        changes["degradation"] = spoiling.model_copy(update={"split": split})
    return step.model_copy(update=changes)
