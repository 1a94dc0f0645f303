"""The front door: opens the examples that a config describes."""

from __future__ import annotations

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
