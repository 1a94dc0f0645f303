"""Makes a larger BandRNN that does what a smaller one does, to go on training from (Net2Net, arXiv 1511.05641).

    python scripts/widen_network.py voice wide --channels 32 48 --band-hidden 32
    resound train voice --corpus data.jsonl initial=wide "config.channels=[32,48]" config.band_hidden=32
    python scripts/widen_network.py separate deeper --blocks 6
    python scripts/widen_network.py voice repairs --behind-a-denoiser --channels 32 64 --band-hidden 32

Channels are copied, and what a layer makes of a channel is shared out among its copies in random parts that add up to
it.  So the function stays as it was, and yet no two copies have the same gradient: they learn apart.  Blocks that
are added come last, and add nothing yet: the norms that they end in begin with a weight of 0.

``--behind-a-denoiser`` makes one of two channels in: what it heard becomes the second, and of the first, which is what
a denoiser left of it, nothing is taken yet.  The level that it divides by is that of both, so that its function is the
same where both are as loud, and by a percent another where the first is quieter.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

import resound
from resound.checkpoint import save_model
from resound.errors import ResoundError
from resound.models import build
from resound.models.band_rnn import BandRNN

SETTINGS = {"narrow": "channels[0]", "wide": "channels[1]", "time": "time_hidden", "bands": "band_hidden"}
SPREAD = 0.2  # standard deviation of the parts around equal ones, before they are made to add up


def main() -> None:
    """Widen, and tell how far the functions are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a name that ships, or a model's folder")
    parser.add_argument("output", type=Path, help="folder of the wider one")
    parser.add_argument("--channels", type=int, nargs=2, metavar=("NARROW", "WIDE"))
    parser.add_argument("--time-hidden", type=int)
    parser.add_argument("--band-hidden", type=int)
    parser.add_argument("--blocks", type=int, dest="n_blocks", help="how many in all")
    parser.add_argument("--behind-a-denoiser", action="store_true", help="give it a denoiser's output as well")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asked = {name: getattr(arguments, name) for name in ("channels", "time_hidden", "band_hidden", "n_blocks")}
    sizes = {name: size for name, size in asked.items() if size is not None}
    try:
        network = resound.load(arguments.model)
        if not isinstance(network, BandRNN):
            sys.exit(f"{arguments.model}: is {type(network).__name__}; only BandRNN is widened here")
        wider = widened(network, sizes, torch.Generator().manual_seed(arguments.seed))
        if arguments.behind_a_denoiser:
            wider = behind_a_denoiser(wider)
        save_model(arguments.output, wider)
    except ResoundError as error:
        sys.exit(str(error))
    except ValueError as error:
        sys.exit(f"{arguments.model}: {error}")
    n_before, n_after = (sum(each.numel() for each in one.parameters()) for one in (network, wider))
    print(f"{n_before:,} parameters to {n_after:,}; difference {difference(network, wider):.0e} of the largest sample")


def widened(network: BandRNN, sizes: dict[str, object], generator: torch.Generator) -> BandRNN:
    """Return a network of larger sizes with the same function.  Raises `ValueError` for one that is smaller."""
    config = network.config.model_dump()
    with torch.random.fork_rng(devices=[]):  # blocks that are added begin with random weights
        torch.manual_seed(generator.initial_seed())
        wider = build("band_rnn", **config | sizes)
    assert isinstance(wider, BandRNN)
    before, after = (
        {
            "narrow": one.config.channels[0], "wide": one.config.channels[1],
            "time": one.config.time_hidden or one.config.channels[1], "bands": one.config.band_hidden,
        }
        for one in (network, wider)
    )  # fmt: skip
    copies = {name: copied(before[name], after[name], name, generator) for name in before}
    n_blocks = network.config.n_blocks
    if wider.config.n_blocks < n_blocks:
        raise ValueError(f"n_blocks is {n_blocks}, {wider.config.n_blocks} is less; give as many or more")
    rules = Rules(copies, generator)
    wider.load_state_dict(
        wider.state_dict() | {name: rules.apply(name, weights) for name, weights in network.state_dict().items()}
    )
    for block in list(wider.blocks)[n_blocks:]:
        for layer in (block.after_time, block.after_bands):
            torch.nn.init.zeros_(layer.norm.weight)  # its bias is 0 to begin with
    return wider.train(network.training)


def behind_a_denoiser(network: BandRNN) -> BandRNN:
    """Return a network of two channels, the second of which it does with what it did.

    Raises `ValueError` for one that has two already.
    """
    if network.config.n_channels != 1:
        raise ValueError(f"has {network.config.n_channels} channels already")
    wider = build("band_rnn", **network.config.model_dump() | {"n_channels": 2})
    assert isinstance(wider, BandRNN)
    state = network.state_dict()
    # Features are (frame, channel, kind), filters (source, channel, tap, part).
    heard = state["enter.0.weight"].unflatten(1, (-1, 1, 3))
    state["enter.0.weight"] = torch.cat([torch.zeros_like(heard), heard], dim=2).flatten(1, 3)
    for name, axis in (("leave.weight", 1), ("leave.bias", 0)):
        filters = state[name].unflatten(axis, (network.n_sources, 1, -1))
        state[name] = torch.cat([torch.zeros_like(filters), filters], dim=axis + 1).flatten(axis, axis + 2)
    wider.load_state_dict(state)
    return wider.train(network.training)


def copied(n_before: int, n_after: int, name: str, generator: torch.Generator) -> Tensor:
    """Return of which channel each is a copy: all of them first, then any."""
    if n_after < n_before:
        raise ValueError(f"{SETTINGS[name]} is {n_before}, {n_after} is less; give as much or more")
    rounds = [torch.arange(n_before)]
    rounds += [torch.randperm(n_before, generator=generator) for _ in range(n_after // n_before)]
    return torch.cat(rounds)[:n_after]


class Rules:
    """What becomes of each of BandRNN's weights."""

    def __init__(self, copies: dict[str, Tensor], generator: torch.Generator) -> None:
        self._copies, self._generator = copies, generator

    def apply(self, name: str, weights: Tensor) -> Tensor:
        """Return the wider weights of a name in the state."""
        if weights.ndim == 0:  # a norm's count
            return weights
        narrow, wide = self._copies["narrow"], self._copies["wide"]
        layer, _, rest = name.partition(".")
        if layer == "blocks":
            return self._of_block(rest.partition(".")[2], weights)
        if layer == "place":
            return weights[:, wide]
        if layer == "leave":
            return self._shared(weights, 0, narrow) if rest == "weight" else weights
        is_convolution = weights.ndim == 3
        if layer == "enter":
            return weights[narrow]
        if layer == "down":
            return self._shared(weights[wide], 1, narrow) if is_convolution else weights[wide]
        if layer == "up":
            return self._shared(weights[:, narrow], 0, wide) if is_convolution else weights[narrow]
        raise ValueError(f"{name}: is no part of a BandRNN that is known here")

    def _of_block(self, name: str, weights: Tensor) -> Tensor:
        """Return those of a GRU, ``(gate · hidden, channel)``, or of the layer after it."""
        layer, _, rest = name.partition(".")
        wide, hidden = self._copies["wide"], self._copies[layer.removeprefix("after_")]
        if layer.startswith("after_"):
            n_hidden = int(hidden.max()) + 1
            n_ways = weights.shape[1] // n_hidden if rest == "linear.weight" else 0
            ways = torch.cat([hidden + way * n_hidden for way in range(n_ways)]) if n_ways else hidden
            return self._shared(weights[wide], 1, ways) if n_ways else weights[wide]
        of_gates = torch.cat([gate[hidden] for gate in weights.chunk(3)])
        if rest.startswith("weight_ih"):
            return self._shared(of_gates, 1, wide)
        return self._shared(of_gates, 1, hidden) if rest.startswith("weight_hh") else of_gates

    def _shared(self, weights: Tensor, axis: int, copies: Tensor) -> Tensor:
        """Return weights whose inputs along an axis are copied, shared out among the copies."""
        spread = weights.index_select(axis, copies)
        parts = (0.5 + SPREAD * torch.randn(spread.shape, generator=self._generator)).clamp(0.1, 0.9)
        sums = torch.zeros_like(weights).index_add_(axis, copies, parts)
        return spread * parts / sums.index_select(axis, copies)


def difference(one: BandRNN, other: BandRNN) -> float:
    """Return the largest difference on noise, as part of the largest sample."""
    noise = 0.05 * torch.randn(1, 1, one.config.sample_rate, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours, theirs = (each.eval()(noise.expand(-1, each.config.n_channels, -1)) for each in (one, other))
    return float((ours - theirs).abs().max() / ours.abs().max())


if __name__ == "__main__":
    main()
