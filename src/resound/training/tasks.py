"""What one training step is: the batch in, the loss out.  Lightning does the rest: devices, precision, clipping, DDP.

A task holds the network and what must be the same after a resume: steps done, state of the schedule, running mean of
the weights.  All of it is plain numbers and tensors, so that reading it back runs no code.
"""

from __future__ import annotations

import copy
from typing import Any

import lightning
import torch
from torch import Tensor

from resound.errors import TrainingError
from resound.losses import permutation_invariant, two_stage
from resound.models.network import Network
from resound.models.two_stage_unet import TwoStageUNet
from resound.training.config import RunConfig

Batch = dict[str, Any]  # degraded (batch, channel, time), clean (batch, source, time), bandwidth_hz (batch,), index


class NoNumberError(TrainingError):
    """A loss or a gradient is NaN or infinite."""


class Task(lightning.LightningModule):
    """Base of tasks: one optimiser, one loss.  A subclass says what the loss of a batch is."""

    def __init__(self, network: Network, config: RunConfig) -> None:
        super().__init__()
        self.network = network
        self.run = config
        self.n_steps = 0  # of the optimiser, over all sessions of the run
        self.schedule_state: dict[str, Any] = config.schedule.start()
        self.averaged = copy.deepcopy(network).requires_grad_(False) if config.ema else None
        self.measured: dict[str, float] = {}  # of the last step: losses, learning rate, gradient norm

    @property
    def beside(self) -> torch.nn.Module | None:
        """What is trained beside the network and is no part of the model."""
        return None

    @property
    def judged(self) -> Network:
        """The network that is validated and kept: the running mean of the weights where there is one."""
        return self.network if self.averaged is None else self.averaged

    def losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and its parts."""
        raise NotImplementedError

    def loss_of_each(self, batch: Batch) -> Tensor:
        """Return the loss of each example, ``(batch,)``."""
        raise NotImplementedError

    def training_step(self, batch: Batch, batch_index: int) -> Tensor | None:
        """Return the loss, which must be a number."""
        loss, parts = self.losses(batch)
        if not bool(torch.isfinite(loss)):
            raise self.not_a_number(batch)
        self.measured |= {"loss": float(loss.detach()), **{name: float(part) for name, part in parts.items()}}
        return loss

    def configure_optimizers(self) -> Any:
        """Return the optimiser at the peak rate; `on_train_batch_start` sets that of each step."""
        return self.optimiser_of(self.network)

    def optimiser_of(self, part: torch.nn.Module) -> torch.optim.Optimizer:
        """Return Adam or AdamW for the weights of a module."""
        config = self.run.optimiser
        kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
        return kind(
            [parameter for parameter in part.parameters() if parameter.requires_grad],
            lr=config.lr,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Set the learning rate of the step that this batch belongs to."""
        self.measured["lr"] = rate = self.learning_rate
        for optimiser in self.trainer.optimizers:
            for group in optimiser.param_groups:
                group["lr"] = rate

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        factor = self.run.schedule.at(self.n_steps, self.run.training.steps, self.schedule_state)
        return self.run.optimiser.lr * factor

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the gradients of the network."""
        self.clip(self.network, "grad_norm")

    def clip(self, part: torch.nn.Module, name: str) -> None:
        """Clip the norm of all gradients together, and note what it was; one that is no number ends the training."""
        norm = torch.nn.utils.clip_grad_norm_(part.parameters(), self.run.optimiser.clip_norm or float("inf"))
        self.measured[name] = float(norm)
        if not bool(torch.isfinite(norm)):
            raise NoNumberError(
                f"step {self.n_steps}: a gradient is no number; the checkpoints so far are good. Lower optimiser.lr, "
                "or set training.precision=32"
            )

    def optimizer_step(self, epoch: int, batch_index: int, optimizer: Any, closure: Any = None) -> None:
        """Make a step."""
        super().optimizer_step(epoch, batch_index, optimizer, closure)
        self.count_step()

    def count_step(self) -> None:
        """Count a step of the network, and take its weights into the running mean."""
        self.n_steps += 1
        if self.averaged is not None:
            follow(self.averaged, self.network, min(self.run.ema or 0.0, self.n_steps / (self.n_steps + 10)))

    def about(self, batch: Batch) -> dict[str, Any]:
        """Return what losses must know of a batch beside the sounds."""
        return {"sample_rate": self.network.sample_rate, "bandwidth_hz": batch["bandwidth_hz"]}

    def not_a_number(self, batch: Batch, what: str = "loss") -> NoNumberError:
        """Return an error which names the examples that gave no number."""
        with torch.no_grad():
            is_fine = self.loss_of_each(batch).isfinite().tolist()
        examples = zip(batch["index"].tolist(), batch["epoch"].tolist(), is_fine, strict=True)
        places = [f"{index} of epoch {epoch}" for index, epoch, fine in examples if not fine]
        which = f"example {', '.join(places)}" if places else "no single example: the weights are no numbers any more"
        return NoNumberError(
            f"step {self.n_steps}: the {what} is no number ({which}); the checkpoints so far are good. Lower "
            "optimiser.lr, or look at the examples"
        )


class OfWaveforms(Task):
    """Base of tasks whose loss is a weighted sum of losses of waveforms."""

    def __init__(self, network: Network, config: RunConfig) -> None:
        super().__init__(network, config)
        self.loss = config.weighted_loss


class Enhance(OfWaveforms):
    """One degraded sound in, the clean one out."""

    def losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and its parts."""
        return self.loss(self.network(batch["degraded"]), batch["clean"], **self.about(batch))

    def loss_of_each(self, batch: Batch) -> Tensor:
        """Return the loss of each example, ``(batch,)``."""
        return self.loss.per_example(self.network(batch["degraded"]), batch["clean"], **self.about(batch))


class EnhanceInStages(Task):
    """A degraded sound in, the clean one out, with both stages of the two-stage U-Net held to it."""

    def losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch."""
        return self.loss_of_each(batch).mean(), {}

    def loss_of_each(self, batch: Batch) -> Tensor:
        """Return the loss of each example, ``(batch,)``."""
        network = self.network
        assert isinstance(network, TwoStageUNet)
        return two_stage(network.estimates(batch["degraded"]), network.spectrogram(batch["clean"]), **self.about(batch))


class Separate(OfWaveforms):
    """A mixture in, its sources out, in whatever order suits best (PIT: Kolbaek et al. 2017, arXiv 1703.06284)."""

    def losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch under the best order of each example."""
        return self.loss_of_each(batch).mean(), {}

    def loss_of_each(self, batch: Batch) -> Tensor:
        """Return the loss of each example under its best order, ``(batch,)``."""
        return self.loss_of_answer(self.network(batch["degraded"]), batch)

    def loss_of_answer(self, estimate: Tensor, batch: Batch) -> Tensor:
        """Return the loss of each example if the network gave an estimate, ``(batch,)``."""
        options = self.about(batch) | {"mixture_power": batch["degraded"].square().mean(dim=(1, 2))}
        return permutation_invariant(self.loss.each, estimate, batch["clean"], **options)[0].mean(dim=1)


def follow(mean: Network, network: Network, decay: float) -> None:
    """Move a running mean of the weights towards a network."""
    with torch.no_grad():
        for slow, fast in zip(mean.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        # Norms of batches measure what the weights at hand make of the sound: the mean of the weights needs that of the
        # measurements, not the newest. A count is copied.
        for held, newest in zip(mean.buffers(), network.buffers(), strict=True):
            if held.is_floating_point():
                held.lerp_(newest, 1 - decay)
            else:
                held.copy_(newest)


def task_of(network: Network, config: RunConfig) -> Task:
    """Return the task of a run."""
    from resound.training.regenerate import Regenerate  # which builds on this file

    if config.loss == "two_stage":
        return EnhanceInStages(network, config)
    return {"enhance": Enhance, "separate": Separate, "regenerate": Regenerate}[config.task](network, config)
