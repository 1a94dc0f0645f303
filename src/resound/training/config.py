"""What a training is made of, as YAML: network, data, losses, optimiser, schedule, validation, checkpoints.

The names of presets stand for all of it; a file may begin with ``preset: NAME`` and say what differs; words such as
``training.steps=5000`` come last.  ``<speech>``, ``<noise>`` and the like in the data stand for the user's manifests.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_serializer, field_validator, model_validator

from resound.classic.chain import ClassicConfig
from resound.config import read_yaml, set_dotted, set_value, validated, value_at
from resound.corpora.manifest import read_manifest
from resound.doctor.settings import DoctorSettings
from resound.errors import ConfigError, did_you_mean
from resound.judging.measures import PERCEPTUAL, Asked, MeasureName
from resound.losses import Terms, WeightedLoss
from resound.losses.adversarial import Kind
from resound.mixing.config import Common, PairsConfig, Settings, mixing_from
from resound.mixing.paths import beside
from resound.mixing.plan import Plan
from resound.models import MODELS
from resound.models.discriminators import PERIODS, Normalisation
from resound.models.network import NetworkConfig
from resound.models.presets import load_preset, preset_names
from resound.shipped import explicit
from resound.training.expected import ExpectedConfig
from resound.training.prepared import pairs_of, plan_of
from resound.training.schedules import AnySchedule, Plateau

# What bends the curve of the validations, beside some of training.
DECIDE_CURVE = (
    *("task", "network", "config", "initial", "data", "validation", "loss", "adversarial", "optimiser", "schedule"),
    "ema",
)
Paths = Annotated[list[Path], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]  # one, too
OTHER_KIND = re.compile(r"\s*(schedule|loss\.\d+)\.kind\s*=")  # of which each has settings of its own
PLACEHOLDER = re.compile(r"^<(\w+)(\??)>$")  # with ?: left out where there is none


# A sum of terms, or two_stage: the error of both spectrograms of the two-stage U-Net.
Loss = Annotated[
    Annotated[Terms, Tag("terms")] | Annotated[Literal["two_stage"], Tag("name")],
    Discriminator(lambda written: "name" if isinstance(written, str) else "terms"),
]


class OptimiserConfig(Settings):
    """Adam or AdamW."""

    name: Literal["adam", "adamw"] = "adam"
    lr: float = Field(1e-3, gt=0)  # peak
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(5.0, gt=0)  # of all gradients together


class TrainingConfig(Settings):
    """How long, how much at a time, on what."""

    steps: int = Field(20_000, ge=1)  # of the optimiser
    batch_size: int = Field(4, ge=1)  # examples, of each process
    accumulate: int = Field(1, ge=1)  # batches before a step
    validate_every: int = Field(500, ge=1)  # steps
    max_minutes: float | None = Field(None, gt=0)  # stop after that time, whatever is left
    precision: Literal["32", "bf16"] = "32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    n_devices: int = Field(1, ge=1)
    threads: int | None = Field(None, ge=1)  # cores that the steps use on a processor; None: all
    workers: int = Field(2, ge=0)  # processes that make examples; 0: none beside the training itself
    seed: int = Field(0, ge=0, lt=2**32)
    same_every_epoch: bool = False  # the examples of the first epoch again and again, as a set on disk has them

    @field_validator("precision", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class ValidationConfig(Settings):
    """What the model is judged on, beside the baselines."""

    n_examples: int = Field(100, ge=2)
    data: dict[str, Any] = Field(default_factory=dict)  # what differs from the training data, beside the split
    perceptual: tuple[Literal["pesq", "stoi", "estoi"], ...] = ()  # slow ones, which need the extra eval ...
    n_perceptual: int = Field(20, ge=1)  # ... on so many examples
    batch_size: int = Field(4, ge=1)


class KeepConfig(Settings):
    """Which checkpoints stay: the best, and the last one to go on from."""

    keep: int = Field(3, ge=1)
    metric: MeasureName = "si_sdr_i"
    stop_after: int | None = Field(20, ge=1)  # validations without gain; None: never
    average: bool = False  # also the mean of the weights of the best


class DiscriminatorSizes(Settings):
    """Which discriminators there are, and how large."""

    n_scales: int = Field(2, ge=0)
    periods: tuple[Annotated[int, Field(ge=1)], ...] = PERIODS
    width: float = Field(1.0, gt=0)  # of all layers, against the papers'
    norm: Normalisation = "spectral"  # weight: quicker to learn, and to run away

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.n_scales and not self.periods:
            raise ValueError("n_scales is 0 and periods are []; give one of them something to judge by")
        return self


class AdversarialConfig(Settings):
    """What discriminators add to the loss of a generator; see `resound.losses.adversarial`."""

    kind: Kind = "ls"
    from_step: int = Field(0, ge=0)  # before: the loss alone, and the discriminators wait
    weight: float = Field(1.8, ge=0)
    feature_weight: float = Field(2.0, ge=0)
    lr: float | None = Field(None, gt=0)  # peak of the discriminators'; None: the generator's
    discriminators: DiscriminatorSizes = DiscriminatorSizes()


class RunConfig(Settings):
    """Everything that a run folder's ``config.yaml`` holds."""

    preset: str | None = None  # what it began with
    about: str = ""
    task: Literal["enhance", "separate", "regenerate"]
    network: str  # a key of MODELS
    config: dict[str, Any] = Field(default_factory=dict)  # its sizes
    initial: Path | None = None  # a model's folder to begin with, or one that ships; None: fresh weights
    after: ClassicConfig = ClassicConfig(order=())  # of the classic chain, what runs before it when it restores
    corpora: dict[str, Paths] = Field(default_factory=dict)  # what <speech>, <noise> ... stand for
    data: dict[str, Any]
    validation: ValidationConfig = ValidationConfig()
    loss: Loss
    adversarial: AdversarialConfig | None = None  # to regenerate
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: AnySchedule = Field(default_factory=Plateau)
    training: TrainingConfig = TrainingConfig()
    checkpoints: KeepConfig = KeepConfig()
    expected: ExpectedConfig | None = None  # where the validations should lie
    ema: float | None = Field(None, gt=0, lt=1)  # decay of a running mean of the weights, which is what is kept
    tracker: Literal["tensorboard", "clearml", "mlflow", "wandb", "none"] = "tensorboard"
    doctor: DoctorSettings = DoctorSettings()  # which checks are made, and their thresholds
    listen: list[Path] = Field(default_factory=list)  # the user's own recordings, restored at every validation
    n_listen: int = Field(3, ge=0)  # examples of the validation set that are kept as sound and pictures

    @field_serializer("after")
    def _what_was_said(self, after: ClassicConfig) -> dict[str, Any]:
        return after.model_dump(mode="json", exclude_unset=True)

    @field_serializer("doctor")
    def _what_differs(self, doctor: DoctorSettings) -> dict[str, Any]:
        return doctor.model_dump(mode="json", exclude_defaults=True)

    @field_validator("initial", mode="before")
    @classmethod
    def _as_it_was_meant(cls, initial: Any) -> Any:
        return explicit(initial) if isinstance(initial, str) else initial

    @field_validator("listen")
    @classmethod
    def _wherever_it_goes_on(cls, listen: list[Path]) -> list[Path]:
        return [path.absolute() for path in listen]

    @field_validator("after")
    @classmethod
    def _in_order(cls, after: ClassicConfig) -> ClassicConfig:
        if "order" not in after.model_fields_set:
            raise ValueError("has no order; write which stages run, such as {order: [declick]}")
        return after

    @field_validator("network")
    @classmethod
    def _known(cls, network: str) -> str:
        if network not in MODELS:
            hint = did_you_mean(network, MODELS) or f"; there are {', '.join(MODELS)}"
            raise ValueError(f"no such network{hint}")
        return network

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.checkpoints.metric in PERCEPTUAL and self.checkpoints.metric not in self.validation.perceptual:
            metric = self.checkpoints.metric
            raise ValueError(
                f"checkpoints.metric is {metric}, which is not measured; set validation.perceptual=[{metric}]"
            )
        if (self.loss == "two_stage") and self.network != "two_stage_unet":
            raise ValueError(f"loss two_stage is for the network two_stage_unet, this one is {self.network}")
        if self.after.order and self.task != "enhance":
            raise ValueError(
                f"after is for task enhance, this one is {self.task}: nothing runs before it; leave it out"
            )
        self._check_adversarial()
        return self

    def _check_adversarial(self) -> None:
        """Raise `ValueError` unless there are discriminators where, and only where, there is something for them."""
        if self.task != "regenerate":
            if self.adversarial is not None:
                raise ValueError(f"adversarial is for task regenerate, this one is {self.task}; leave one of them out")
            return
        if self.adversarial is None:
            raise ValueError("task regenerate needs discriminators; write 'adversarial: {}' or more of it")
        if self.training.accumulate != 1 or self.training.n_devices != 1:
            raise ValueError(
                "task regenerate makes its steps itself, on one device; set training.accumulate and n_devices to 1, "
                "and raise training.batch_size"
            )
        if self.loss == "two_stage":
            raise ValueError("task regenerate needs a loss of waveforms, not two_stage; give terms such as l1")

    @property
    def weighted_loss(self) -> WeightedLoss:
        """The sum of the losses."""
        assert not isinstance(self.loss, str)
        return WeightedLoss(self.loss)

    @property
    def asked(self) -> Asked:
        """Which slow metrics are wanted, for how many examples."""
        return Asked(self.validation.perceptual, self.validation.n_perceptual)

    @property
    def network_config(self) -> NetworkConfig:
        """The checked sizes of the network.  Raises `ConfigError`."""
        return validated(MODELS[self.network][1], self.config, "config")

    @property
    def mixing(self) -> Common:
        """What training examples are made of.  Raises `ConfigError`."""
        return self._mixing(self.data, "data", self.prepared_plans[:1])

    @property
    def validation_mixing(self) -> Common:
        """What validation examples are made of: the same of the other split, drawn anew.  Raises `ConfigError`."""
        changes = {"split": "valid", "seed": 1, "n_examples": self.validation.n_examples, **self.validation.data}
        return self._mixing(merged(self.data, changes), "validation.data", self.prepared_plans[1:])

    @property
    def prepared_plans(self) -> list[Plan]:
        """The sets that must be on disk before the first step: to learn from, to judge on; none if none is asked for.

        Raises `ConfigError`.
        """
        if "prepare" not in self.data:
            return []
        written = filled(self.data["prepare"], self.corpora)
        rate = self.network_config.sample_rate
        return [plan_of(written, sample_rate=rate, is_valid=is_valid) for is_valid in (False, True)]

    def _mixing(self, values: dict[str, Any], where: str, prepared: list[Plan]) -> Common:
        values = filled({"sample_rate": self.network_config.sample_rate, **values}, self.corpora)
        values.pop("prepare", None)
        mixing = pairs_of(prepared[0], values, where) if prepared else mixing_from(values, where)
        self._check_inputs(mixing, where)
        if mixing.sample_rate != self.network_config.sample_rate:
            raise ConfigError(
                f"{where}.sample_rate: is {mixing.sample_rate} Hz, the network has {self.network_config.sample_rate}; "
                "set config.sample_rate or leave the data's out"
            )
        return mixing

    def _check_inputs(self, mixing: Common, where: str) -> None:
        """Raise `ConfigError` unless a generator is given what it takes."""
        if self.task != "regenerate":
            return
        inputs = mixing.inputs if isinstance(mixing, PairsConfig) else ()
        if "denoised" not in inputs:
            raise ConfigError(
                f"{where}: has no denoised side; task regenerate reads pairs with inputs: [denoised, degraded], from "
                "'prepare: ...' or from a set that 'resound prepare' made with a denoiser"
            )
        n_channels, taken = len(inputs) * mixing.n_channels, self.network_config.n_channels
        if n_channels != taken:
            raise ConfigError(
                f"{where}.inputs: are {n_channels} channels, the network takes {taken}; set config.n_channels"
            )


def load_run_config(
    name: str, overrides: Sequence[str] = (), *, corpora: Sequence[Path] = (), quick: bool = False
) -> RunConfig:
    """Return the training that a preset or a YAML file describes, changed by words.  Raises `ConfigError`.

    ``corpora`` are manifests that stand for every ``<...>`` of whose domain they have recordings.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        values = beside(read_yaml(path), path.parent)
        where = str(path)
    else:
        values, where = {"preset": name}, name
    usual: dict[str, Any] = {}
    if values.get("preset") is not None:
        usual, own = preset_values(str(values["preset"]), quick=quick), values
        values = copy.deepcopy(merged(usual, own)) | {key: own[key] for key in ("expected",) if key in own}
    elif quick:
        raise ConfigError(f"{where}: has no quick form; leave out --quick, or begin the file with 'preset: NAME'")
    for number, word in enumerate(overrides):
        set_word(values, word, overrides[:number])
    if values.get("expected") == usual.get("expected") and _is_other_training(values, usual):
        values["expected"] = None  # the preset's band says nothing of this one
    named = values.get("corpora") or {}
    if isinstance(named, dict):
        values["corpora"] = {**found_in(corpora), **named}
    return validated(RunConfig, values, where)


def set_word(values: dict[str, Any], word: str, earlier: Sequence[str]) -> None:
    """Set ``a.b=value``; with another kind of schedule or loss all of it goes that ``earlier`` words have not set.

    Raises `ConfigError`.
    """
    match = OTHER_KIND.match(word)
    place = match[1] if match else ""
    before = value_at(values, place) if match else None
    kind = before.get("kind") if isinstance(before, dict) else None
    set_dotted(values, word)
    if isinstance(before, dict) and kind != before["kind"]:
        of_all = {"weight": before["weight"]} if "weight" in before else {}  # terms of the loss
        set_value(values, place, {"kind": before["kind"], **of_all})
        for other in earlier:
            if other.startswith(f"{place}."):
                set_dotted(values, other)
        set_dotted(values, word)


def preset_values(name: str, *, quick: bool = False) -> dict[str, Any]:
    """Return a preset as values for `RunConfig`.  Raises `ConfigError` for one that there is not, or has no recipe."""
    preset = load_preset(name)
    if not preset.train:
        names = [each for each in preset_names() if load_preset(each).train]
        raise ConfigError(f"{name}: has no recipe to train it; those with one are {', '.join(names)}")
    values = {"preset": name, "about": preset.about, "network": preset.network, "config": preset.config}
    if not quick:
        return merged(values, preset.train)
    # Its curve is another one.
    return merged(merged(values, {**preset.train, "expected": None}), preset.quick)


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings with changes; mappings are merged, but for those of another ``kind``.

    Of adversarial losses all kinds have the same settings.
    """
    result = dict(values)
    for key, value in changes.items():
        before = result.get(key)
        are_nested = isinstance(before, dict) and isinstance(value, dict)
        is_same_kind = are_nested and (key == "adversarial" or _is_alike(before, value))  # type: ignore[arg-type]
        result[key] = merged(before, value) if is_same_kind else value  # type: ignore[arg-type]
    return result


def _is_other_training(values: dict[str, Any], usual: dict[str, Any]) -> bool:
    """Tell whether settings differ from a preset's in what bends the curve of its validations."""

    def deciding(settings: dict[str, Any]) -> list[Any]:
        training = settings.get("training") or {}
        if not isinstance(training, dict):  # which is told in a moment
            return []
        return [
            *(settings.get(key) for key in DECIDE_CURVE),
            *(training.get(key) for key in ("steps", "batch_size", "accumulate", "n_devices", "same_every_epoch")),
        ]

    return deciding(values) != deciding(usual)


def _is_alike(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return "kind" not in after or before.get("kind") == after["kind"]


def found_in(manifests: Sequence[Path]) -> dict[str, list[Path]]:
    """Return which manifests have recordings of each domain.  Raises `InputError` for what is no manifest."""
    found: dict[str, list[Path]] = {}
    for path in manifests:
        for domain in dict.fromkeys(recording.domain for recording in read_manifest(path).recordings):
            if domain:
                found.setdefault(domain, []).append(path.absolute())
    return found


def filled(values: Any, corpora: dict[str, list[Path]], key: str = "") -> Any:
    """Return nested settings with ``<name>`` replaced by manifests, and without lines whose ``<name?>`` has none.

    Raises `ConfigError` for one that is missing.
    """
    if isinstance(values, dict):
        return {name: filled(value, corpora, str(name)) for name, value in values.items()}
    if isinstance(values, list):
        return [filled(value, corpora, key) for value in values if not _is_spare(value, corpora)]
    match = PLACEHOLDER.match(values) if isinstance(values, str) else None
    if match is None:
        return values
    name = match[1]
    if not corpora.get(name):
        raise ConfigError(
            f"data: <{name}> is missing; give manifests with --corpus FILE or corpora.{name}=FILE "
            "('resound corpus scan FOLDER' makes one)"
        )
    paths = [str(path) for path in corpora[name]]
    if key != "bank":
        return paths
    if len(paths) > 1:
        raise ConfigError(f"data: <{name}> is one bank, got {', '.join(paths)}; choose by corpora.{name}=FILE")
    return paths[0]


def left_out(values: Any, corpora: dict[str, list[Path]]) -> list[str]:
    """Return the names of material that a training could use and that no manifest has."""
    if isinstance(values, dict):
        return [name for value in values.values() for name in left_out(value, corpora)]
    if isinstance(values, list):
        return [name for value in values for name in left_out(value, corpora)]
    match = PLACEHOLDER.match(values) if isinstance(values, str) else None
    return [match[1]] if match and match[2] and not corpora.get(match[1]) else []


def _is_spare(line: Any, corpora: dict[str, list[Path]]) -> bool:
    """Tell whether a line is about material that may be missing, and is."""
    values = list(line.values()) if isinstance(line, dict) else []
    values += [value for step in values if isinstance(step, dict) for value in step.values()]  # noise: {bank: ...}
    texts = [text for text in values if isinstance(text, str)]
    matches = [match for text in texts if (match := PLACEHOLDER.match(text))]
    return any(match[2] and not corpora.get(match[1]) for match in matches)
