"""Examples that chose nothing: those of a training's validations have chosen its best checkpoint, and flatter it.

They are of the same recordings, which nothing learns from, in other mixtures.
"""

from __future__ import annotations

from typing import Any

from resound.mixing.config import Common
from resound.mixing.stream import open_examples
from resound.training.config import RunConfig, merged

FRESH_SEED = 1_000_003  # added to that of the validation set


def with_fresh_examples(config: RunConfig, n_examples: int | None = None) -> RunConfig:
    """Return a training that is judged on the same recordings in other mixtures, ``n_examples`` of them or as many."""
    n_examples = n_examples or config.validation.n_examples
    judged = {**config.validation.data, "seed": config.validation_mixing.seed + FRESH_SEED}
    validation = config.validation.model_copy(update={"data": judged, "n_examples": n_examples})
    data = config.data
    if config.prepared_plans:  # where a denoiser went over the mixtures, other mixtures are another set
        seed = int(data["prepare"]["mixing"].get("seed", 0)) + FRESH_SEED
        changes: dict[str, Any] = {"validation_examples": n_examples, "mixing": {"seed": seed}}
        data = merged(data, {"prepare": changes})
    return config.model_copy(update={"validation": validation, "data": data})


def n_in_split(config: RunConfig) -> int:
    """Return how many examples it takes to hear all recordings of the validation split once."""
    mixing: Common = config.prepared_plans[1].mixing if config.prepared_plans else config.validation_mixing
    return open_examples(mixing.model_copy(update={"n_examples": None})).n_examples
