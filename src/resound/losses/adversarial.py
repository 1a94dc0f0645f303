"""Losses of a generator and its discriminators, ``(batch,)``, from what `resound.models.discriminators` give.

Each is the mean over the places that a discriminator judges, added up over the discriminators as in HiFi-GAN (Kong et
al. 2020, arXiv 2010.05646).  A high score means a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["ls", "hinge"]  # least squares (Mao et al. 2017), hinge (Lim & Ye 2017)


def discriminator_loss(real_scores: Sequence[Tensor], fake_scores: Sequence[Tensor], kind: Kind = "ls") -> Tensor:
    """Return how badly the discriminators tell recordings from what was made; scores are ``(batch, place)`` each.

    Make ``fake_scores`` of the generator's output detached: this is not for the generator to lower.
    """
    losses = []
    for real, fake in zip(real_scores, fake_scores, strict=True):
        real, fake = real.float(), fake.float()
        if kind == "ls":
            losses.append((real - 1).square().mean(dim=-1) + fake.square().mean(dim=-1))
        else:
            losses.append((1 - real).relu().mean(dim=-1) + (1 + fake).relu().mean(dim=-1))
    return torch.stack(losses).sum(dim=0)


def generator_loss(fake_scores: Sequence[Tensor], kind: Kind = "ls") -> Tensor:
    """Return how little the discriminators take for a recording what was made; scores are ``(batch, place)`` each."""
    scores = [fake.float() for fake in fake_scores]
    losses = [(fake - 1).square().mean(dim=-1) if kind == "ls" else -fake.mean(dim=-1) for fake in scores]
    return torch.stack(losses).sum(dim=0)


def feature_matching(real_features: Sequence[Sequence[Tensor]], fake_features: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return how far the features of each layer are apart, mean absolute differences added up over all layers.

    Features are ``(batch, ...)``.  No gradient goes through the recordings' (MelGAN, arXiv 1910.06711).
    """
    differences = [
        (fake.float() - real.detach().float()).abs().flatten(1).mean(dim=1)
        for reals, fakes in zip(real_features, fake_features, strict=True)
        for real, fake in zip(reals, fakes, strict=True)
    ]
    return torch.stack(differences).sum(dim=0)
