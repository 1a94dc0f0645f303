"""Adversarial training: a generator learns to give a voice back, discriminators to tell it from recordings.

Each batch makes two steps.  First the discriminators learn from the recordings and from what the generator makes now;
then, with the discriminators held still, the generator learns from its own loss, from what they take for a recording,
and from what they see in either.  Before ``adversarial.from_step`` there is the generator's own loss alone: at first
anything can tell its output from a recording, and there is nothing to learn from that.

What is logged of the balance: the mean scores of recordings and of what was made, and the share of places that are
judged rightly.  At 1 the discriminators have won and teach little; at a half they hear no difference any more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resound.errors import ConfigError
from resound.losses.adversarial import discriminator_loss, feature_matching, generator_loss
from resound.losses.looking_away import heard
from resound.models.discriminators import Judged, MultiPeriodDiscriminator, MultiScaleDiscriminator
from resound.models.network import Network
from resound.training.config import DiscriminatorSizes, RunConfig
from resound.training.tasks import Batch, OfWaveforms

BETWEEN = {"ls": 0.5, "hinge": 0.0}  # the scores that are taken for a recording, and the others
QUIETEST_RMS = 1e-3  # -60 dBFS: what is below is judged as what it is, next to silence
# What has no value before the discriminators begin; the log has a column for it all the same.
OF_DISCRIMINATORS = (
    *("adversarial", "feature_matching", "discriminator", "discriminator_grad_norm"),
    *("score_real", "score_fake", "share_right"),
)


class Discriminators(nn.Module):
    """Several families of discriminators as one."""

    def __init__(self, sizes: DiscriminatorSizes) -> None:
        super().__init__()
        self.families = nn.ModuleList()
        if sizes.n_scales:
            self.families.append(MultiScaleDiscriminator(sizes.n_scales, width=sizes.width, norm=sizes.norm))
        if sizes.periods:
            self.families.append(MultiPeriodDiscriminator(sizes.periods, width=sizes.width, norm=sizes.norm))

    def forward(self, waveform: Tensor) -> Judged:
        """Return scores and features of ``(batch, 1, time)``, an item for each discriminator of all families."""
        judged = [family(waveform) for family in self.families]
        return [score for scores, _ in judged for score in scores], [
            each for _, features in judged for each in features
        ]


class Regenerate(OfWaveforms):
    """What a denoiser made of a voice in, and what it was given; the voice out."""

    def __init__(self, network: Network, config: RunConfig) -> None:
        super().__init__(network, config)
        assert config.adversarial is not None
        self.automatic_optimization = False  # two optimisers, each with a loss of its own
        self.adversarial = config.adversarial
        self.discriminators = Discriminators(config.adversarial.discriminators)

    @property
    def beside(self) -> nn.Module:
        """The discriminators."""
        return self.discriminators

    @property
    def is_adversarial(self) -> bool:
        """Whether the discriminators take part in the next step."""
        return self.n_steps >= self.adversarial.from_step

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the generator's optimiser, then the discriminators'."""
        if self.trainer.world_size > 1:
            raise ConfigError("task regenerate trains on one device; start it without torchrun")
        return [self.optimiser_of(self.network), self.optimiser_of(self.discriminators)]

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Set the learning rates of the step: one schedule, two peaks."""
        super().on_train_batch_start(batch, batch_index)
        peak = self.run.optimiser.lr
        for group in self.trainer.optimizers[1].param_groups:
            group["lr"] = self.measured["lr"] * (self.adversarial.lr or peak) / peak

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """Make both steps of a batch, from one output of the generator."""
        estimate = self.network(batch["degraded"])
        if self.is_adversarial:
            self.discriminator_step(batch, estimate.detach())
        else:
            self.measured |= dict.fromkeys(OF_DISCRIMINATORS, float("nan"))
        self.generator_step(batch, estimate)
        self.count_step()

    def discriminator_step(self, batch: Batch, estimate: Tensor) -> None:
        """Let the discriminators learn to tell the recordings from ``estimate``, which has no gradient."""
        optimiser = self.optimizers()[1]  # type: ignore[index]
        self.discriminators.train()
        with optimiser.toggle_model():
            loss, balance = self.telling_apart(batch, estimate)
            if not bool(torch.isfinite(loss)):
                raise self.not_a_number(batch, "discriminators' loss")
            optimiser.zero_grad()
            self.manual_backward(loss)
            self.clip(self.discriminators, "discriminator_grad_norm")
            optimiser.step()
        self.measured |= {"discriminator": float(loss.detach()), **balance}

    def generator_step(self, batch: Batch, estimate: Tensor) -> None:
        """Let the generator learn; the discriminators judge and stay as they are, the state of their norms included."""
        optimiser = self.optimizers()[0]  # type: ignore[index]
        self.discriminators.eval()
        with optimiser.toggle_model():
            loss, parts = self.losses_of(batch, estimate)
            if not bool(torch.isfinite(loss)):
                raise self.not_a_number(batch)
            optimiser.zero_grad()
            self.manual_backward(loss)
            self.clip(self.network, "grad_norm")
            optimiser.step()
        self.measured |= {"loss": float(loss.detach()), **{name: float(part) for name, part in parts.items()}}

    def losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the generator's loss of a batch, and its parts."""
        return self.losses_of(batch, self.network(batch["degraded"]))

    def losses_of(self, batch: Batch, estimate: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the generator's loss of what it made of a batch, and its parts."""
        loss, parts = self.loss(estimate, batch["clean"], **self.about(batch))
        if not self.is_adversarial:
            return loss, parts
        fooling, matching = (each.mean() for each in self.judged_losses(batch, estimate))
        loss = loss + self.adversarial.weight * fooling + self.adversarial.feature_weight * matching
        return loss, {**parts, "adversarial": fooling.detach(), "feature_matching": matching.detach()}

    def judged_losses(self, batch: Batch, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Return how little is taken for a recording, and how far the features are from those of one, ``(batch,)``."""
        real, fake = self.sides(batch, estimate)
        with torch.no_grad():
            _, real_features = self.discriminators(real)
        fake_scores, fake_features = self.discriminators(fake)
        return generator_loss(fake_scores, self.adversarial.kind), feature_matching(real_features, fake_features)

    def telling_apart(self, batch: Batch, estimate: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the discriminators' loss, and how well they tell recordings from what was made."""
        real, fake = self.sides(batch, estimate)
        scores, _ = self.discriminators(torch.cat([real, fake]))
        of_real, of_fake = zip(*(each.chunk(2) for each in scores), strict=True)
        loss = discriminator_loss(of_real, of_fake, self.adversarial.kind).mean()
        return loss, balance_of(of_real, of_fake, BETWEEN[self.adversarial.kind])

    def sides(self, batch: Batch, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Return recordings and what was made as they are judged: within the recordings' bandwidths, at their RMS of 1.

        Else a narrow recording would be told by its edge alone, and the generator would learn to cut there; and under
        spectral norm scores hardly move more than the waveform does: those of quiet recordings would be alike.
        """
        about = self.about(batch)
        fake, real, _ = heard(estimate, batch["clean"], about["sample_rate"], about["bandwidth_hz"])
        rms = real.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp_min(QUIETEST_RMS)
        return real / rms, fake / rms

    def loss_of_each(self, batch: Batch) -> Tensor:
        """Return the sum of all losses of each example, ``(batch,)``: the discriminators' too where they take part."""
        estimate = self.network(batch["degraded"])
        loss = self.loss.per_example(estimate, batch["clean"], **self.about(batch))
        if self.is_adversarial:
            loss = loss + sum(self.judged_losses(batch, estimate))
        return loss


def balance_of(of_real: tuple[Tensor, ...], of_fake: tuple[Tensor, ...], between: float) -> dict[str, float]:
    """Return the mean scores ``(batch, place)`` over all discriminators, and the share that is on its right side."""
    with torch.no_grad():
        real, fake = (torch.stack([scores.float().mean() for scores in side]).mean() for side in (of_real, of_fake))
        right = [(scores > between).float().mean() for scores in of_real]
        right += [(scores <= between).float().mean() for scores in of_fake]
        return {"score_real": float(real), "score_fake": float(fake), "share_right": float(torch.stack(right).mean())}
