"""What a peer tells `models_speed.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from resound.models.network import Network


@dataclass(frozen=True)
class Case:
    """One network at one size, ours and the plain reading on the same weights.

    A peer that streams has ``init_state(batch_size)`` and ``step(frame, state)`` of the contract of `Network`.
    """

    name: str
    build: Callable[[], tuple[Network, nn.Module]]  # both in eval mode
    seconds: float = 10.0  # of audio, offline
    frame_samples: int | None = None  # of a streamed frame; None: does not stream
    training: tuple[int, float] | None = (2, 4.0)  # batch size, seconds; None: not timed
    loss: Callable[[Any], Any] | None = None  # of an output; None: its mean square
