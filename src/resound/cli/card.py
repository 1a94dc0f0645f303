"""The card of a network that ships, as lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resound.shipped import Card, Facts, Source

WIDTH = 100


def card_lines(card: Card) -> Iterator[str]:
    """Yield what a card says, for people."""
    network, training, figures = card.network, card.training, card.figures
    yield from textwrap.wrap(f"{card.name}: {card.about}", WIDTH)
    yield ""
    yield from table(
        [
            ("licence", f"{card.licence}, the weights included"),
            ("network", f"{network.name}, {network.parameters:,} parameters, {network.sample_rate:,} Hz"),
            ("latency", _latency(network)),
            ("made", f"{card.made}, resound {card.resound}"),
            *([("runs after", _stages(network.after))] if network.after else []),
        ]
    ).splitlines()
    yield from ("", "Learnt from, split 'train':")
    yield from table(
        [
            ("", "source", "recordings", "minutes", "licence"),
            *((row.domain, _source(row), f"{row.files:,}", _minutes(row.minutes), row.licence) for row in card.data),
        ],
        right=(2, 3),
    ).splitlines()
    yield from ("", *textwrap.wrap(f"Trained: {training.told}", WIDTH))
    yield f"  {training.command}"
    if figures is None:
        yield from ("", "Quality: these weights have not been measured yet.")
    else:
        yield from ("", *textwrap.wrap(f"Quality: {figures.told}", WIDTH))
        yield from table([figures.columns, *figures.rows], right=tuple(range(1, len(figures.columns)))).splitlines()
        yield f"  {figures.command}"
    yield from ("", "What it cannot do:")
    for limit in card.limits:
        yield from textwrap.wrap(limit, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _latency(network: Facts) -> str:
    if network.latency_ms is None:
        return "for recordings, not for streams (not causal)"
    return f"{network.latency_ms:g} ms, and a frame of {network.hop_ms:g} ms"


def _stages(after: dict[str, Any]) -> str:
    """Return what runs before a network: ``declick, dehiss (max_reduction_db 6)``."""
    told = []
    for stage in after["order"]:
        own = ", ".join(f"{name} {value}" for name, value in after.get(stage, {}).items())
        told.append(f"{stage} ({own})" if own else stage)
    return ", ".join(told)


def _source(row: Source) -> str:
    return row.source if row.repository is None else f"{row.source} ({row.repository})"


def _minutes(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes else "< 0.1"


def table(lines: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return lines of cells as columns two spaces apart; those in ``right`` flush right."""
    cells = [tuple(line) for line in lines]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )
