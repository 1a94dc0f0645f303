"""The past of a stream in pieces, about as long as its steps, so that a step copies none of what it does not need.

A tensor of the whole past would be copied at every step, which for long dilations takes as much time as the products.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resound.models.kernels.when import is_traced

SHORT_FRAMES = 16  # pieces up to which are joined: of many a walk along them costs more than the copy

Pieces = tuple[Tensor, ...]  # (batch, frame, channel) one after the other, never none


def delayed(pieces: Pieces, n_frames: int, delay: int) -> Tensor:
    """Return the ``n_frames`` that end ``delay`` frames before the end of the last piece."""
    parts: list[Tensor] = []
    for piece in reversed(pieces):
        end = piece.shape[1] - delay
        if end > 0:
            start = max(0, end - n_frames)
            parts.insert(0, piece[:, start:end])
            n_frames -= end - start
            if n_frames == 0:
                break
        delay = max(0, -end)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def extended(pieces: Pieces, newest: Tensor, n_frames: int) -> Pieces:
    """Return the pieces with another after them, without those that are before the last ``n_frames``."""
    if is_traced():
        return (torch.cat([*pieces, newest], dim=1),)
    if pieces[-1].shape[1] < SHORT_FRAMES:
        pieces, newest = pieces[:-1], torch.cat([pieces[-1], newest], dim=1)
    pieces = (*pieces, newest)
    n_spare, first = sum(piece.shape[1] for piece in pieces) - n_frames, 0
    while first < len(pieces) - 1 and pieces[first].shape[1] <= n_spare:
        n_spare -= pieces[first].shape[1]
        first += 1
    return pieces[first:]


def for_the_next_step(pieces: Pieces, n_frames: int) -> Pieces:
    """Return the pieces as a stream keeps them: as they are; in a graph, whose state has one size, the last frames."""
    return (torch.cat(pieces, dim=1)[:, -n_frames:],) if is_traced() else pieces
