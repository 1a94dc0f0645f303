"""Packets that never arrive: frames of a call that are silent, or filled with what came before."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from resound.degrade.degradation import Audio, Degradation
from resound.degrade.spread import Spread, spread, within
from resound.errors import ConfigError

Concealment = Literal["zero", "repeat"]
FADE_SECONDS = 0.06  # a repeated frame is silent after that, as in ITU-T G.711 Appendix I
EDGE_SECONDS = 0.0025  # over which a repetition blends into what is there again


def lose_packets(
    audio: Audio,
    sample_rate: int,
    *,
    percent: float,
    burst_packets: float,
    frame_ms: float,
    concealment: Concealment,
    seed: int,
) -> Audio:
    """Return ``audio`` without ``percent`` of its frames on the average, lost in bursts of a mean length.

    ``repeat`` plays the last frame that came, fading out over 60 ms, and blends over 2.5 ms into the next that comes;
    ``zero`` leaves silence.
    """
    n_frame = max(1, round(frame_ms / 1000 * sample_rate))
    out = audio.copy()
    rng = np.random.default_rng(seed)
    fade = np.maximum(0, 1 - np.arange(audio.shape[1]) / (FADE_SECONDS * sample_rate)).astype(np.float32)
    for begin, end in _gaps(lost_packets(-(-audio.shape[1] // n_frame), percent, burst_packets, rng)):
        gap = slice(begin * n_frame, end * n_frame)
        heard = audio[:, max(0, gap.start - n_frame) : gap.start] if concealment == "repeat" else audio[:, :0]
        out[:, gap] = 0
        if heard.shape[1]:
            n_edge = min(round(EDGE_SECONDS * sample_rate), n_frame)
            filled = out[:, gap.start : gap.stop + n_edge]
            n_filled = filled.shape[1]
            repeated = np.tile(heard, -(-n_filled // n_frame))[:, :n_filled] * fade[:n_filled]
            n_gap = min(n_filled, gap.stop - gap.start)
            edge = (np.arange(n_filled - n_gap, dtype=np.float32) + 1) / (n_edge + 1)
            filled[:, :n_gap] = repeated[:, :n_gap]
            filled[:, n_gap:] += (1 - edge) * (repeated[:, n_gap:] - filled[:, n_gap:])
    return out


def lost_packets(n_packets: int, percent: float, burst_packets: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which packets ``(packet,)`` are lost: two states, from one to the other by chance.

    Gilbert, "Capacity of a burst-noise channel", BSTJ 39, 1960: a loss goes on with 1 - 1 / burst.
    """
    share = percent / 100
    if not 0 <= share < 1 or burst_packets < 1 or share > burst_packets * (1 - share):
        raise ConfigError(
            f"packet_loss: {percent:g} % cannot be lost in bursts of {burst_packets:g}; "
            "lower percent or raise burst_packets (1 or more)"
        )
    to_lost, to_kept = share / (burst_packets * (1 - share)), 1 / burst_packets
    lost = np.zeros(n_packets, bool)
    state = False
    for packet, chance in enumerate(rng.random(n_packets)):
        state = chance < (share if packet == 0 else 1 - to_kept if state else to_lost)
        lost[packet] = state
    return lost


def _gaps(lost: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first, first after) of each run of lost packets."""
    edges = np.flatnonzero(np.diff(lost, prepend=False, append=False))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


class PacketLoss(Degradation):
    """Lost packets of a call; not on the target."""

    apply: ClassVar = staticmethod(lose_packets)
    seeded: ClassVar = True
    percent: Annotated[Spread, within(0, 90)] = Field(spread(1, 15), description="packets lost, on the average")
    burst_packets: Annotated[Spread, within(1, 100)] = Field(spread(1, 4), description="mean length of a loss")
    frame_ms: Annotated[Spread, within(1, 200)] = Field(spread(20), description="length of a packet")
    concealment: Concealment = Field("repeat", description="silence, or the last packet fading out")
