"""What examples are made of, as it is written in YAML: material, degradations, augmentations.

::

    task: enhance
    sample_rate: 48000
    segment_seconds: 3
    n_examples: 20000                       # an epoch
    clean:
      - {corpus: speech.jsonl, share: 0.6}
      - {corpus: effects.jsonl, share: 0.2}
      - {corpus: [musicnet.jsonl, own.jsonl], share: 0.2}
    chain:
      - room: {bank: rooms.jsonl, target: early}
        probability: 0.3
      - noise: {bank: gramophone.jsonl, snr_db: [2, 20]}
    augment:
      - gain: {gain_db: [-6, 4]}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, TypeAdapter, model_validator

from resound.config import read_yaml, set_dotted, validated
from resound.degrade.chain import Chain, load_chain, read_chain
from resound.degrade.spread import Spread, spread, within
from resound.errors import ConfigError
from resound.mixing.augment import AUGMENTATIONS, Augmentation
from resound.mixing.paths import beside, check_paths


def _listed(written: Any) -> Any:
    return written if isinstance(written, list | tuple) else [written]


def chain_from(written: Any, where: str = "chain") -> Chain:
    """Return a chain from the name of one, from a file, from a mapping or from bare steps.  Raises `ConfigError`."""
    if isinstance(written, Chain):
        return written
    if isinstance(written, str | Path):
        path = Path(written)
        if path.suffix.lower() not in (".yaml", ".yml"):
            return load_chain(written)
        return read_chain(beside(read_yaml(path), path.parent), str(path))
    return read_chain({"steps": written} if isinstance(written, list | tuple) else written, where)


def _chain(written: Any) -> Chain:
    try:
        return chain_from(written)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _levels(written: Any) -> Any:
    """Return the name of a rule for levels, or their range."""
    if isinstance(written, str) and written not in LEVELS:
        raise ValueError(f"{' or '.join(LEVELS)}, or a range in dBFS such as [-30, -20]")
    return written if isinstance(written, str) else Spread.model_validate(written)


def _augmentations(written: Any) -> Any:
    """Return augmentations from lines such as ``gain: {gain_db: [-6, 4]}``."""
    if not isinstance(written, list | tuple):
        return written
    return [line if isinstance(line, Augmentation) else _augmentation(line) for line in written]


def _augmentation(line: Any) -> Augmentation:
    names = [key for key in line if key != "probability"] if isinstance(line, dict) else []
    if len(names) != 1 or names[0] not in AUGMENTATIONS:
        raise ValueError(f"an augmentation is one of {', '.join(AUGMENTATIONS)}, such as 'gain: {{gain_db: [-6, 4]}}'")
    options = {key: value for key, value in line.items() if key == "probability"}
    return AUGMENTATIONS[names[0]].model_validate((line[names[0]] or {}) | options)


LEVELS = ("wsj0", "librimix")
Paths = Annotated[tuple[Path, ...], BeforeValidator(_listed)]
ChainField = Annotated[Chain, BeforeValidator(_chain)]
Augmentations = Annotated[tuple[SerializeAsAny[Augmentation], ...], BeforeValidator(_augmentations)]


class Settings(BaseModel):
    """Base of all settings here: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Material(Settings):
    """Recordings of one kind."""

    corpus: Paths  # manifests (.jsonl)
    share: float = Field(1.0, gt=0)  # of the examples, against the other materials'
    domain: str | None = None  # only this domain of the manifests; None: speech, effects, music, and what has none
    language: str | None = None  # only this language
    min_bandwidth_hz: float = 0.0  # not those whose manifest, or sample rate, says less


class Common(Settings):
    """What every kind of example shares."""

    sample_rate: int = Field(48000, ge=4000, le=384_000)
    segment_seconds: float = Field(3.0, gt=0)
    n_channels: Literal[1, 2] = 1
    n_examples: int | None = Field(10_000, ge=1)  # an epoch; None: as many as there are segments
    split: str | None = "train"
    seed: int = Field(0, ge=0)
    augment: Augmentations = ()
    level_dbfs: Spread | None = None  # RMS of the clean part; None: as recorded
    peak: float | None = Field(0.99, gt=0, le=1)  # an example above it is scaled down whole; None: never
    measure_bandwidth: bool = True  # of recordings whose manifest does not say it; else: half their sample rate

    @property
    def segment_samples(self) -> int:
        """Length of an example."""
        return round(self.segment_seconds * self.sample_rate)


class EnhancementConfig(Common):
    """One clean recording after a chain of degradations."""

    task: Literal["enhance"] = "enhance"
    clean: Annotated[tuple[Material, ...], BeforeValidator(_listed)]
    chain: ChainField
    same_on_target: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()  # steps that the clean target gets too
    whole_band: bool = False  # losses hear what is above a recording's own band too: noise there is to go


class SeparationConfig(Common):
    """Two or three speakers at once."""

    task: Literal["separate"] = "separate"
    sample_rate: int = Field(8000, ge=4000, le=384_000)
    segment_seconds: float = Field(4.0, gt=0)
    speech: Annotated[tuple[Material, ...], BeforeValidator(_listed)]
    n_speakers: Literal[2, 3] = 2
    levels: Annotated[Literal["wsj0", "librimix"] | Spread, BeforeValidator(_levels)] = "wsj0"  # or active dBFS of each
    speed_percent: Annotated[Spread, within(50, 200)] = spread(95, 105)
    length: Literal["min", "max"] = "min"  # only recordings that fill a segment, or padded ones as well
    alone: float = Field(0.0, ge=0, le=1)  # part of the examples in which the first speaks and the others are silent
    source_chain: ChainField | None = None  # over each speaker alone, a room for one: sources are what comes out of it
    chain: ChainField | None = None  # over the mixture, the sources stay clean


INPUTS = (("degraded",), ("denoised",), ("denoised", "degraded"))


class PairsConfig(Common):
    """Recordings that exist clean and degraded."""

    task: Literal["pairs"] = "pairs"
    n_examples: int | None = Field(None, ge=1)
    pairs: Paths = ()  # manifests with roles clean and degraded
    clean: Path | None = None  # or two folders with the same names
    degraded: Path | None = None
    # What the network is given, in channels: of a prepared set with a denoiser also [denoised] or [denoised, degraded].
    inputs: Annotated[tuple[Literal["degraded", "denoised"], ...], BeforeValidator(_listed)] = ("degraded",)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.pairs) == (self.clean is not None and self.degraded is not None):
            raise ValueError("pairs come from manifests (pairs: ...) or from two folders (clean: ..., degraded: ...)")
        if self.inputs not in INPUTS:
            raise ValueError("inputs are " + " or ".join(f"[{', '.join(each)}]" for each in INPUTS))
        if self.clean is not None and self.inputs != ("degraded",):
            raise ValueError(
                "inputs: two folders give [degraded] alone; a prepared set has a manifest for 'pairs: ...'"
            )
        return self


MixingConfig = Annotated[EnhancementConfig | SeparationConfig | PairsConfig, Field(discriminator="task")]
_TASKS: dict[str, type[Common]] = {"enhance": EnhancementConfig, "separate": SeparationConfig, "pairs": PairsConfig}
MIXING: TypeAdapter[Any] = TypeAdapter(MixingConfig)


def load_mixing(path: Path | None, overrides: Sequence[str] = ()) -> EnhancementConfig | SeparationConfig | PairsConfig:
    """Return the settings in a YAML file, changed by words such as ``n_examples=500``.  Raises `ConfigError`."""
    return mixing_from(read_settings(path, overrides), str(path) if path else "")


def read_settings(path: Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a YAML file and words hold, its paths found.  Raises `ConfigError` where nothing is at one.

    Relative paths of the file are looked for beside it, then, as those of the words, where one works.
    """
    values = beside(read_yaml(path), path.parent) if path else {}
    for word in overrides:
        set_dotted(values, word)
    if path:
        check_paths(values, path)
    return values


def mixing_from(values: dict[str, Any], where: str = "") -> EnhancementConfig | SeparationConfig | PairsConfig:
    """Return the settings in a mapping; ``where`` begins the error.  Raises `ConfigError`."""
    task = values.get("task", "enhance")
    if not isinstance(task, str) or task not in _TASKS:
        raise ConfigError(f"{where or 'settings'}: task is {', '.join(_TASKS)}, not {task!r}")
    _refuse_settings_of_others(task, values, where)
    for name in ("chain", "source_chain"):
        if task == "separate" and values.get(name) == []:  # steps for what the corpora have not were left out
            values = values | {name: None}
        if values.get(name) is not None:
            values = values | {name: chain_from(values[name], f"{where}: {name}" if where else name)}
    return validated(_TASKS[task], values, where)  # type: ignore[return-value]


def _refuse_settings_of_others(task: str, values: dict[str, Any], where: str) -> None:
    """Raise `ConfigError` for settings that another task has: then ``task:`` is what is wrong, or missing."""
    for other, model in _TASKS.items():
        foreign = [name for name in values if name in model.model_fields and name not in _TASKS[task].model_fields]
        if foreign:
            raise ConfigError(
                f"{where or 'settings'}: {', '.join(foreign)}: belongs to task: {other}, this one is {task}; "
                "change the task or leave it out"
            )
