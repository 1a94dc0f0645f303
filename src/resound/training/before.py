"""What runs before a network when it restores: validation and listening have it too, so that they tell what users hear.

Training has not: a network that hears more than what is left learns as well, and the stages take longer than it does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resound.classic.chain import ClassicConfig

Audio = NDArray[np.float32]


def after_stages(stages: ClassicConfig, samples: Audio, sample_rate: int) -> Audio:
    """Return ``(channel, time)`` as the stages leave it; the same array where there are none."""
    if not stages.order:
        return samples
    from resound.inference.pipeline import restore  # has much to import

    return restore(samples, sample_rate, "classic", config=stages)
