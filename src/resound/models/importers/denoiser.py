"""Demucs from the weights of denoiser, the implementation that its authors published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from resound.config import explain
from resound.errors import ModelError, did_you_mean, one_line
from resound.models.demucs import Demucs, DemucsConfig

# What the published checkpoints were built with; the files themselves do not say.
PUBLISHED: dict[str, dict[str, Any]] = {
    "dns48": {"hidden": 48},
    "dns64": {"hidden": 64},
    "master64": {"hidden": 64},
    "valentini_nc": {"hidden": 64, "causal": False, "stride": 2, "resample": 2},
}
SETTINGS = {
    "chin": "n_channels",
    "chout": "n_sources",
    "kernel_size": "kernel",
    **{key: key for key in ("hidden", "depth", "stride", "causal", "resample", "growth", "max_hidden", "glu")},
    **{key: key for key in ("rescale", "floor", "sample_rate", "normalisation")},
}


def from_denoiser(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> Demucs:
    """Return the network with these weights, in eval mode; it gives what the original gives for a whole recording.

    ``config`` has the arguments of denoiser's Demucs, or ``name``: dns48, dns64, master64 or valentini_nc.  A setting
    ``normalisation`` of ours may be among them: with ``running`` the causal ones stream.  Raises `ModelError`.
    """
    ours = _our_config(config)
    network = Demucs(ours)
    left = dict(weights)
    with torch.no_grad():
        for name, own in network.state_dict().items():
            theirs = _their_name(name)
            if theirs not in left:
                raise ModelError(
                    f"denoiser: the weights have no {theirs!r}; check the config (hidden, depth, causal, glu)"
                )
            value = left.pop(theirs)
            if value.shape != own.shape:
                raise ModelError(
                    f"denoiser: {theirs!r} is {tuple(value.shape)}, the config makes it {tuple(own.shape)}; "
                    "give the config it was made with, such as name=dns64"
                )
            own.copy_(value)
    if left:
        raise ModelError(
            f"denoiser: the weights hold {one_line(next(iter(left)))!r}, which Demucs with this config does not have; "
            "check the config (depth, causal)"
        )
    return network.eval()


def _our_config(given: Mapping[str, Any]) -> DemucsConfig:
    config = dict(given)
    name = config.pop("name", None)
    if name is not None and name not in PUBLISHED:
        hint = did_you_mean(str(name), PUBLISHED) or f"; there are {', '.join(PUBLISHED)}"
        raise ModelError(f"denoiser: {one_line(name)}: no such published network{hint}")
    config = {"normalize": True, **PUBLISHED.get(name, {}), **config}
    config.setdefault("normalisation", "whole" if config["normalize"] else "none")
    known = [*SETTINGS, "normalize", "name"]
    for key in config:
        if key not in known:
            raise ModelError(f"denoiser: {one_line(key)}: no such setting of Demucs{did_you_mean(str(key), known)}")
    ours = {SETTINGS[key]: value for key, value in config.items() if key in SETTINGS}
    try:
        return DemucsConfig(**ours)
    except ValidationError as error:
        faults = "; ".join(explain(fault, DemucsConfig) for fault in error.errors())
        raise ModelError(f"denoiser: {faults}") from None


def _their_name(name: str) -> str:
    """Return the original's name of one of our parameters."""
    part, _, rest = name.partition(".")
    if part in ("lstm", "linear"):
        return f"lstm.{name}"
    index, layer, what = rest.split(".")
    place = {"encoder": {"conv": 0, "gate": 2}, "decoder": {"gate": 0, "conv": 2}}[part][layer]
    return f"{part}.{index}.{place}.{what}"
