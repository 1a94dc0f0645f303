"""The front door: opens the examples that a config describes."""

from __future__ import annotations

from resound.errors import ConfigError
from resound.mixing.config import Common, EnhancementConfig, PairsConfig, SeparationConfig
from resound.mixing.enhancement import Enhancement
from resound.mixing.example import Examples
from resound.mixing.pairs import Pairs
from resound.mixing.separation import Separation


def open_examples(config: Common) -> Examples:
    """Return the examples of a config (`resound.mixing.config.load_mixing`).  Raises `InputError`.

    >>> config = load_mixing(Path("mix.yaml"))                                            # doctest: +SKIP
    >>> open_examples(config).example(epoch=0, index=7).degraded.shape                    # doctest: +SKIP
    (1, 144000)
    """
    if isinstance(config, EnhancementConfig):
        return Enhancement(config)
    if isinstance(config, SeparationConfig):
        return Separation(config)
    assert isinstance(config, PairsConfig)
    return Pairs(config)


def open_epoch(config: Common, epoch: int, n_examples: int) -> Examples:
    """Return the examples of a config of which ``epoch`` has ``n_examples`` or more.

    Epoch 0 can be made longer, which leaves its first examples as they are; later ones begin where the one before ends.
    Raises `InputError`, and `ConfigError` where a later one is too short.
    """
    examples = open_examples(config)
    if n_examples > examples.n_examples and epoch:
        raise ConfigError(
            f"{n_examples} examples of epoch {epoch} are more than its {examples.n_examples}; raise n_examples"
        )
    examples.n_examples = max(examples.n_examples, n_examples)
    return examples
