"""What every network is: waveform in, waveforms of the same length out, and it says what it needs and how it behaves.

A network that works on a spectrogram makes and undoes it inside.  A causal network also streams: its state goes in and
comes out, nothing is hidden on the module, and what it gives is what `forward` gives, to the last sample::

    state = network.init_state(batch_size=1)
    for frame in frames:                       # (batch, channel, n * hop_samples)
        out, state = network.step(frame, state)
    tail = network.flush(state)                # latency_samples more
    # all of it together, without its first latency_samples, equals network(whole)
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from resound.errors import ModelError
from resound.models.kernels.when import is_traced

State = Any  # tensors in tuples, lists or dicts: whatever torch.utils._pytree can walk


class NetworkConfig(BaseModel):
    """Sizes of a network; each network has its own, with the paper's symbols in comments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: int = Field(16000, ge=4000, le=192_000)
    n_channels: int = Field(1, ge=1, le=8)  # of the waveform in
    n_sources: int = Field(1, ge=1, le=8)  # waveforms out


class Network(nn.Module):
    """Base of all networks.  A subclass builds itself from its config and writes `process`."""

    config: NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def sample_rate(self) -> int:
        """Samples a second that the network was made for."""
        return self.config.sample_rate

    @property
    def n_sources(self) -> int:
        """Waveforms out."""
        return self.config.n_sources

    @property
    def is_causal(self) -> bool:
        """Whether no output sample depends on input more than `latency_samples` later."""
        return not self.looks_ahead

    @property
    def looks_ahead(self) -> str:
        """What part of it needs more of the future than `latency_samples`, as words; empty where it is causal."""
        return "it does not say what it needs of the future"

    @property
    def latency_samples(self) -> int:
        """How far ahead an output sample looks when the network is causal; what a stream is late by."""
        return 0

    @property
    def receptive_field_samples(self) -> int | None:
        """How many input samples one output sample depends on; None: all of them (recurrent, or a global norm)."""
        return None

    @property
    def follows_level(self) -> bool:
        """Whether an input twice as loud gives an output twice as loud, from −20 to −50 dBFS (to half a percent)."""
        return False

    @property
    def grid_samples(self) -> int:
        """By how much (or a multiple) the input may be shifted so that the output is shifted with it: its frames."""
        return int(getattr(self, "hop_samples", 1))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)`` for ``(batch, channel, time)``, any length.  Raises `ModelError`."""
        if not is_traced():
            self.check(waveform)
        return self.process(waveform)

    def process(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, source, time)`` for a checked ``(batch, channel, time)``."""
        raise NotImplementedError

    def check(self, waveform: Tensor) -> None:
        """Raise `ModelError` for an input of the wrong shape, without samples, or with samples that are no numbers."""
        name, n_channels = type(self).__name__, self.config.n_channels
        if not isinstance(waveform, Tensor):
            raise ModelError(
                f"{name}: expects a torch tensor, got {type(waveform).__name__}; torch.from_numpy makes one"
            )
        shape = tuple(waveform.shape)
        if waveform.ndim != 3 or shape[1] != n_channels:
            raise ModelError(f"{name}: expects (batch, {n_channels}, time), got {shape}; reshape or mix the channels")
        if waveform.numel() == 0:
            raise ModelError(f"{name}: expects at least one sample, got {shape}; leave the empty recording out")
        self._check_type(waveform)
        if not self.training and not bool(torch.isfinite(waveform).all()):
            raise ModelError(f"{name}: the input holds NaN or infinite samples; mend the recording")

    def check_frame(self, frame: Tensor, hop_samples: int) -> None:
        """Raise `ModelError` for what a stream cannot take: another shape, no whole hops, another type.

        Values are not looked at: that would take as long as some networks do.
        """
        if is_traced():
            return
        n_channels, shape = self.config.n_channels, tuple(frame.shape)
        if frame.ndim != 3 or shape[1] != n_channels or shape[2] == 0 or shape[2] % hop_samples:
            raise ModelError(
                f"{type(self).__name__}: step expects (batch, {n_channels}, a multiple of {hop_samples}), got {shape}"
            )
        self._check_type(frame)

    def _check_type(self, waveform: Tensor) -> None:
        """Raise `ModelError` unless it has the type of the weights, or one that autocast makes of it."""
        wanted = next((parameter.dtype for parameter in self.parameters()), torch.float32)
        if not waveform.is_floating_point() or (waveform.dtype == torch.float64 != wanted):
            raise ModelError(
                f"{type(self).__name__}: expects {wanted}, full scale ±1, got {waveform.dtype}; convert it"
            )


def n_parameters(network: nn.Module) -> int:
    """Return how many numbers training may change."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
