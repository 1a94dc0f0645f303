"""What every degradation is: a physical cause that draws its parameters from ranges, then applies them.

>>> import numpy as np
>>> from resound.degrade.hiss import Hiss
>>> rng = np.random.default_rng(1)
>>> params = Hiss(snr_db=[10, 40]).draw(rng)          # plain JSON, such as {"snr_db": 25.4, ..., "seed": 2041}
>>> audio = rng.standard_normal((1, 48000)).astype("f4")
>>> noisy = Hiss.apply(audio, 48000, **params)        # the same for the same parameters, on any machine

To add one: write a pure function ``(audio, sample_rate, *, params...) -> audio``, a class with its ranges, and a line
in `resound.degrade.registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from resound.degrade.spread import Spread

Audio = NDArray[np.float32]  # (channel, time), full scale ±1
Params = dict[str, Any]  # plain JSON


class Degradation(BaseModel):
    """The ranges of a physical cause.

    A subclass has a field for each keyword argument of its ``apply`` (but ``seed``), in the same names: a `Spread`
    where a number is drawn, anything JSON otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    # (audio (channel, time) float32, sample_rate, **params) -> audio; never touches its input, draws nothing but from
    # the seed in its parameters.
    apply: ClassVar[Callable[..., Audio]]
    # What the clean target of a training pair becomes where the degraded one was made by `apply`: None leaves it as it
    # is; what moves samples in time must move the target with them.
    apply_to_target: ClassVar[Callable[..., Audio] | None] = None
    # Whether `apply` to a sum is the sum of what it makes of the parts: then each voice of a mixture can follow it.
    adds_up: ClassVar[bool] = False
    # Whether `apply` needs random numbers: then `draw` adds a "seed" to the parameters.
    seeded: ClassVar[bool] = False

    def draw(self, rng: np.random.Generator) -> Params:
        """Return parameters for one recording, plain JSON, drawn in the order of the fields."""
        params = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            params[name] = value.draw(rng) if isinstance(value, Spread) else value
        if self.seeded:
            params["seed"] = int(rng.integers(2**32))
        return params

    @classmethod
    def n_samples_needed(cls, n_samples: int, **params: Any) -> int:
        """Return how many samples to put in for ``n_samples`` to come out; more only for changes of speed."""
        return n_samples
