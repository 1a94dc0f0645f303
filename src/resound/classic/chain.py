"""The classic restoration as a whole: which stages, in which order, with which settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resound.classic.declick import Declick, DeclickConfig
from resound.classic.dehiss import Dehiss, DehissConfig
from resound.classic.dehum import Dehum, DehumConfig
from resound.errors import ConfigError, ModelError, did_you_mean, one_line

StageName = Literal["declick", "dehum", "dehiss"]
STAGES = {"declick": Declick, "dehum": Dehum, "dehiss": Dehiss}


class ClassicConfig(BaseModel):
    """Settings of the classic chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: tuple[StageName, ...] = Field(
        ("declick", "dehum", "dehiss"),
        description="clicks first: they would smear over a whole frame of what follows",
    )
    skip: tuple[StageName, ...] = Field((), description="which of them are left out")
    declick: DeclickConfig = DeclickConfig()
    dehum: DehumConfig = DehumConfig()
    dehiss: DehissConfig = DehissConfig()

    @model_validator(mode="after")
    def _each_once(self) -> ClassicConfig:
        if len(set(self.order)) != len(self.order):
            raise ValueError("a stage can come only once")
        return self

    def with_stages(self, *, only: Sequence[str] = (), skip: Sequence[str] = ()) -> ClassicConfig:
        """Return these settings with only some stages on; a word may name several, as in ``declick,dehum``.

        Raises `ConfigError` for an unknown stage.
        """
        only, skip = _split(only), _split(skip)
        for name in (*only, *skip):
            if name not in STAGES:
                raise ConfigError(
                    f"stage {name!r} is not known{did_you_mean(name, STAGES)}; choose from {', '.join(STAGES)}"
                )
        skip = list(dict.fromkeys((*self.skip, *skip)))
        if not any((not only or name in only) and name not in skip for name in self.order):
            raise ConfigError("no stage is left to run; give --only or --skip fewer names")
        if not only and skip == list(self.skip):
            return self
        # Apart: a network heeds that a stage of its own is left out, and not that others are chosen.
        chosen = {"order": tuple(name for name in self.order if name in only)} if only else {}
        return self.model_copy(update=chosen | ({"skip": tuple(skip)} if skip else {}))

    def with_settings_of(self, other: ClassicConfig) -> ClassicConfig:
        """Return these stages, in this order, with what another one says of them; those that it leaves out are out."""
        order = [stage for stage in self.order if stage in other.order and stage not in (*self.skip, *other.skip)]
        values = {
            stage: getattr(self, stage).model_dump(exclude_unset=True)
            | getattr(other, stage).model_dump(exclude_unset=True)
            for stage in order
        }
        return ClassicConfig.model_validate({"order": order, **values})

    def with_max_reduction(self, max_reduction_db: float) -> ClassicConfig:
        """Return these settings with another depth of noise reduction, checked."""
        dehiss = DehissConfig(**{**self.dehiss.model_dump(), "max_reduction_db": max_reduction_db})
        return self.model_copy(update={"dehiss": dehiss})


def chain_before(told: Any, where: object) -> ClassicConfig:
    """Return the stages that a model's file says run before it, as settings or their JSON; of nothing an empty order.

    Raises `ModelError` for what is none of this chain.
    """
    try:
        values = json.loads(told) if isinstance(told, str) and told else told
        if values and "order" not in values:  # all three stages would be meant, by who wrote of one
            raise ValueError("no order")
        return ClassicConfig.model_validate(values or {"order": ()})
    except (ValueError, TypeError, RecursionError):  # pydantic's errors are such, and those of JSON
        raise ModelError(
            f"{where}: {one_line(str(told))[:80]!r} is to run before it, which is none of this resound's chain; update "
            "resound, or export it again"
        ) from None


def _split(words: Sequence[str]) -> list[str]:
    """Return the names in words that may hold several, between commas."""
    return [name.strip() for word in words for name in word.split(",")]


def build_stages(config: ClassicConfig, sample_rate: int) -> list[Declick | Dehum | Dehiss]:
    """Return the restorers of the chain, in order, for recordings at ``sample_rate``."""
    stages: list[Declick | Dehum | Dehiss] = []
    for name in config.order:
        if name in config.skip:
            continue
        if name == "declick" and config.declick.enabled:
            stages.append(Declick(sample_rate, config.declick))
        elif name == "dehum" and config.dehum.enabled:
            stages.append(Dehum(sample_rate, config.dehum))
        elif name == "dehiss" and config.dehiss.enabled:
            stages.append(Dehiss(sample_rate, config.dehiss))
    return stages
