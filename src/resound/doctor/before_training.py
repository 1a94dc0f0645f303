"""What is checked before the first step of a training, and what `resound doctor data CONFIG` looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resound.config import validated
from resound.doctor.catalogue import check_codes, run_checks
from resound.doctor.data_checks import CHECKS
from resound.doctor.data_evidence import Validation
from resound.doctor.finding import Finding
from resound.doctor.settings import DoctorSettings
from resound.doctor.training_data import TrainingData, evidence_of_training
from resound.mixing.config import Common, PairsConfig

if TYPE_CHECKING:
    from resound.training.config import RunConfig

QUICK = {"n_files": 24, "n_examples": 24}  # a few seconds, before every training
BACKWARD = 3.0  # a step costs so many times what judging the same sound does


def data_check(config: RunConfig) -> list[Finding]:
    """Return what the checks of data say of a training, quickly.  Raises `ConfigError` and `InputError`."""
    settings = validated(DoctorSettings, QUICK | config.doctor.model_dump(exclude_unset=True), "doctor")
    check_codes(settings)
    if not any(settings.is_on(check.code) for check in CHECKS):
        return []
    return run_checks("data", evidence_of_training(data_of(config), settings, n_jobs=1), settings)


def data_of(config: RunConfig, targets: Sequence[Path] = ()) -> TrainingData:
    """Return what a training reads.  Raises `ConfigError`."""
    from resound.models import build
    from resound.models.network import n_parameters
    from resound.models.presets import published_with
    from resound.training.config import left_out

    mixing, judged = _mixing_of(config), config.validation_mixing
    is_there = not isinstance(judged, PairsConfig) or all(path.exists() for path in judged.pairs)
    return TrainingData(
        mixing,
        judged if is_there else None,
        n_parameters(build(config.network, **config.config)),
        published_with(config.network, config.task, config.preset),
        config.training.same_every_epoch,
        left_out(config.data, config.corpora),
        _validation_of(config, mixing, judged),
        targets,
    )


def _mixing_of(config: RunConfig) -> Common:
    """Return the examples of a training; of a set that is not prepared yet those it will be made of."""
    mixing, plans = config.mixing, config.prepared_plans
    is_missing = isinstance(mixing, PairsConfig) and not all(path.exists() for path in mixing.pairs)
    return plans[0].mixing if plans and is_missing else mixing


def _validation_of(config: RunConfig, mixing: Common, judged: Common) -> Validation:
    training, n_examples = config.training, config.validation.n_examples
    n_trained = training.validate_every * training.batch_size * training.accumulate * training.n_devices
    cost = n_examples * judged.segment_seconds / (BACKWARD * n_trained * mixing.segment_seconds)
    return Validation(n_examples, cost)
