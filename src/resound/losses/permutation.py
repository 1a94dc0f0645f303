"""Losses of separated sources that come in any order: the likeness of pairs is one thing, the search another.

Permutation-invariant training: Yu et al. 2017, arXiv 1607.00325; Kolbæk et al. 2017, arXiv 1703.06284.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resound.dsp.permutation import best_matching

ALL_TRIED_UP_TO = 4  # sources; 24 orders, all at once on the device.  Above it the Hungarian method, on the host


def permutation_invariant(
    loss: Callable[..., Tensor], estimate: Tensor, target: Tensor, **options: Any
) -> tuple[Tensor, Tensor]:
    """Return the loss of each target with its estimate in the best order, and that order: ``(batch, source)`` each.

    ``loss`` maps ``(batch, ..., time)`` to ``(batch, ...)`` and is called with the options; waveforms are ``(batch,
    source, time)``.  Pairs that are not chosen have no gradient, nor do they take memory for one.
    """
    with torch.no_grad():
        order = best_orders(pairwise(loss, estimate, target, **options))
    return loss(in_order(estimate, order), target, **options), order


def pairwise(loss: Callable[..., Tensor], estimate: Tensor, target: Tensor, **options: Any) -> Tensor:
    """Return the loss of each target with each estimate, ``(batch, target, estimate)``."""
    return loss(estimate.unsqueeze(1), target.unsqueeze(2), **options)


def best_orders(pairwise: Tensor) -> Tensor:
    """Return the order with the lowest sum of ``pairwise`` losses ``(batch, target, estimate)``: ``(batch, target)``.

    Target i gets estimate ``order[i]``, as in `resound.dsp.permutation`.  Where losses are not numbers, any order.
    """
    n_sources = pairwise.shape[-1]
    if n_sources > ALL_TRIED_UP_TO:
        scores = np.nan_to_num(-pairwise.detach().double().numpy(force=True))
        return torch.tensor(np.stack([best_matching(each).order for each in scores]), device=pairwise.device)
    orders = _all_orders(n_sources, pairwise.device)  # (order, target)
    sums = pairwise[:, torch.arange(n_sources, device=pairwise.device), orders].sum(dim=-1)  # (batch, order)
    return orders[sums.argmin(dim=-1)]


def in_order(estimate: Tensor, order: Tensor) -> Tensor:
    """Return the estimates ``(batch, source, time)`` so that each stands where its target does."""
    return estimate.take_along_dim(order.unsqueeze(-1), dim=1)


@lru_cache(maxsize=16)
def _all_orders(n_sources: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what validation makes under inference mode, training could not use
        return torch.tensor(list(permutations(range(n_sources))), device=device)
