"""What is looked at in a plan: settings as they were resolved, and facts of the network that no settings tell.

Plain data: `resound.training.examine` gathers it, and tests write it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.config import value_at


@dataclass(frozen=True)
class NetworkFacts:
    """What a network is, beyond its parameters."""

    name: str
    sample_rate: int  # Hz
    is_causal: bool
    context_samples: int | None  # that the layers of one output sample reach; None: all of them
    paper_context_ms: float | None  # of the preset that is the paper's; None: there is none, or it sees all
    window_samples: int | None = None  # of its own spectrogram
    hop_samples: int | None = None
    filter_samples: int | None = None  # of a learnt encoder
    stride_samples: int | None = None
    preset_sample_rate: int | None = None  # that its preset was made for
    preset_window_samples: int | None = None  # of its spectrogram or its encoder there
    initial_sample_rate: int | None = None  # of the weights that it begins with


@dataclass(frozen=True)
class PlanEvidence:
    """All that the checks of plans look at."""

    settings: Mapping[str, Any]  # as config.yaml has them
    network: NetworkFacts
    factors: NDArray[np.float64]  # of the rate over the run, at even steps, if validation never gains
    level_blind: bool  # what the loss does not see
    has_spectral_term: bool
    segment_samples: int
    examples_per_epoch: int | None
    is_fixed_set: bool  # the same examples in every epoch
    lowest_snr_db: float | None  # that is mixed; None: not known
    checkpoint_bytes: int  # all that a run may have on disk
    free_bytes: int
    step_bytes: float  # memory of one step, estimated or, by --probe, measured
    device_bytes: float | None
    is_measured: bool
    future_db: float | None  # change of the past by the future against the output; None: not probed
    where: str

    def setting(self, key: str) -> Any:
        """Return a setting such as ``training.steps``."""
        return value_at(dict(self.settings), key)

    @property
    def n_steps(self) -> int:
        """Of the optimiser."""
        return int(self.setting("training.steps"))

    @property
    def n_examples(self) -> int:
        """How many examples are seen in all."""
        sizes = [self.setting(f"training.{name}") for name in ("batch_size", "accumulate", "n_devices")]
        return self.n_steps * int(np.prod(sizes))

    @property
    def n_epochs(self) -> float | None:
        """How often an example is seen; None where nobody says how many there are."""
        return self.n_examples / self.examples_per_epoch if self.examples_per_epoch else None

    @property
    def context_ms(self) -> float | None:
        """What one output sample sees."""
        reach = self.network.context_samples
        return None if reach is None else 1000 * reach / self.network.sample_rate

    def long(self, n_steps: float) -> str:
        """Return a number of steps in words, in epochs too."""
        epochs = None if self.n_epochs is None else n_steps / self.n_steps * self.n_epochs
        if epochs is None or epochs < 1:
            return f"{n_steps:,.0f} steps"
        return f"{n_steps:,.0f} steps ({epochs:,.{int(epochs < 10 and epochs % 1 > 0)}f} epochs)"
