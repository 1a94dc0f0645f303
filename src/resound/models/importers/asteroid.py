"""Weights of asteroid: a saved model is a dict of ``model_name``, ``model_args`` and ``state_dict``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from resound.config import explain
from resound.errors import ModelError, did_you_mean, one_line
from resound.models.conv_tasnet import ConvTasNet, ConvTasNetConfig

NORMS = {"gLN": "global", "cLN": "channel", "cgLN": "cumulative"}  # its cLN is over one frame, the paper's is its cgLN
# Theirs -> ours, where the value is taken over.
SETTINGS = {
    "n_src": "n_sources",
    "n_filters": "n_filters",
    "kernel_size": "filter_samples",
    "stride": "stride_samples",
    "bn_chan": "bottleneck",
    "hid_chan": "hidden",
    "skip_chan": "skip",
    "conv_kernel_size": "kernel",
    "n_blocks": "n_blocks",
    "n_repeats": "n_repeats",
    "causal": "causal",
    "mask_act": "mask",
    "sample_rate": "sample_rate",
}
# What asteroid itself takes where a saved model does not say.
DEFAULTS = {"mask_act": "sigmoid", "stride": 8, "sample_rate": 8000, "norm_type": "gLN", "causal": False}
# Settings that change the network; ours has the one form that published models use.
ONE_FORM: dict[str, tuple[Any, ...]] = {
    "fb_name": ("free", "FreeFB"),
    "encoder_activation": (None, "linear", "relu"),
    "padding": (None, 0),
    "n_samples": (None,),
}

Change = Callable[[Tensor], Tensor]


def unpack(package: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and config of a saved model, as `from_asteroid` takes them.  Raises `ModelError`."""
    if not isinstance(package.get("state_dict"), Mapping):
        found = ", ".join(one_line(key) for key in list(package)[:5])
        raise ModelError(f"asteroid: no 'state_dict' (found {found or 'nothing'}); give the file that asteroid saved")
    config = dict(package.get("model_args") or {})
    if "model_name" in package:
        config["model_name"] = package["model_name"]
    return dict(package["state_dict"]), config


def from_asteroid(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> ConvTasNet:
    """Return the Conv-TasNet of asteroid's parameters and its ``model_args``, ready to use.

    Raises `ModelError` that names the first setting or parameter which does not fit.
    """
    config = dict(config)
    name = config.pop("model_name", "ConvTasNet")
    if name != "ConvTasNet":
        raise ModelError(f"asteroid: {one_line(name)} cannot be imported; give a ConvTasNet")
    network = ConvTasNet(_our_config(config))
    left = dict(weights)
    with torch.no_grad():
        for theirs, ours, change in _names(network):
            _fill(_rows(network.get_parameter(ours), theirs, network.config.bottleneck), left, theirs, change)
    if left:
        raise ModelError(f"asteroid: {one_line(next(iter(left)))!r} has no place in the network; check its config")
    return network.eval()


def _our_config(config: dict[str, Any]) -> ConvTasNetConfig:
    known = [*SETTINGS, *ONE_FORM, "norm_type", "in_chan", "out_chan"]
    for key in config:
        if key not in known:
            raise ModelError(f"asteroid: {one_line(key)}: no such setting of ConvTasNet{did_you_mean(str(key), known)}")
    if "n_src" not in config:
        raise ModelError("asteroid: the config has no n_src, the number of sources; give it, such as n_src=2")
    for key, accepted in ONE_FORM.items():
        if config.get(key) not in accepted and key in config:
            raise ModelError(f"asteroid: {key} {one_line(config[key])} cannot be imported; {accepted[0]} can")
    config = DEFAULTS | config
    n_filters = config.get("n_filters", 512)
    for key in ("in_chan", "out_chan"):
        if config.get(key) not in (None, n_filters):
            raise ModelError(f"asteroid: {key} {config[key]} cannot be imported; it must be n_filters, {n_filters}")
    norm = config["norm_type"]
    if norm not in NORMS:
        raise ModelError(f"asteroid: norm_type {one_line(norm)} cannot be imported; {', '.join(NORMS)} can")
    ours = {SETTINGS[key]: value for key, value in config.items() if key in SETTINGS}
    ours["skip"] = ours.get("skip", 128) or 0
    ours["encoder_relu"] = config.get("encoder_activation") == "relu"
    # asteroid too takes cLN for gLN when causal, and leaves out a last frame that is not full.
    ours["norm"] = "channel" if norm == "gLN" and config["causal"] else NORMS[norm]
    try:
        return ConvTasNetConfig(**ours, pad_end=False)
    except ValidationError as error:
        faults = "; ".join(explain(fault, ConvTasNetConfig) for fault in error.errors())
        raise ModelError(f"asteroid: {faults}") from None


def _names(network: ConvTasNet) -> list[tuple[str, str, Change]]:
    """Return their name, our name and what makes ours of theirs, for every parameter."""

    def same(tensor: Tensor) -> Tensor:
        return tensor

    def matrix(tensor: Tensor) -> Tensor:
        return tensor.squeeze(-1)  # a 1x1 convolution

    def row(tensor: Tensor) -> Tensor:
        return tensor.squeeze(1)  # one channel

    names: list[tuple[str, str, Change]] = [
        ("encoder.filterbank._filters", "encoder.weight", row),
        ("masker.bottleneck.0.gamma", "norm.gain", same),
        ("masker.bottleneck.0.beta", "norm.bias", same),
        ("masker.bottleneck.1.weight", "bottleneck.weight", matrix),
        ("masker.bottleneck.1.bias", "bottleneck.bias", same),
    ]
    config = network.config
    depthwise = "3.0" if config.causal else "3"  # followed there by what cuts the end off
    for index in range(len(network.blocks)):
        theirs, ours = f"masker.TCN.{index}", f"blocks.{index}"
        shared = f"{theirs}.shared_block"
        names += [
            (f"{shared}.0.weight", f"{ours}.expand.weight", matrix),
            (f"{shared}.0.bias", f"{ours}.expand.bias", same),
            (f"{shared}.1.weight", f"{ours}.slope1", same),
            (f"{shared}.2.gamma", f"{ours}.norm1.gain", same),
            (f"{shared}.2.beta", f"{ours}.norm1.bias", same),
            (f"{shared}.{depthwise}.weight", f"{ours}.taps", lambda tensor: tensor.squeeze(1).t()),
            (f"{shared}.{depthwise}.bias", f"{ours}.taps_bias", same),
            (f"{shared}.4.weight", f"{ours}.slope2", same),
            (f"{shared}.5.gamma", f"{ours}.norm2.gain", same),
            (f"{shared}.5.beta", f"{ours}.norm2.bias", same),
            (f"{theirs}.res_conv.weight", f"{ours}.out.weight", matrix),
            (f"{theirs}.res_conv.bias", f"{ours}.out.bias", same),
        ]
        if config.skip:
            names += [
                (f"{theirs}.skip_conv.weight", f"{ours}.out.weight", matrix),
                (f"{theirs}.skip_conv.bias", f"{ours}.out.bias", same),
            ]
    return [
        *names,
        ("masker.mask_net.0.weight", "mask_slope", same),
        ("masker.mask_net.1.weight", "mask.weight", matrix),
        ("masker.mask_net.1.bias", "mask.bias", same),
        ("decoder.filterbank._filters", "decoder.weight", lambda tensor: tensor.squeeze(1).t()),
    ]


def _rows(own: Tensor, theirs: str, n_residual: int) -> Tensor:
    """Return the part of our parameter that theirs fills: residual and skip rows are one matrix here."""
    if ".res_conv." in theirs:
        return own[:n_residual]
    return own[n_residual:] if ".skip_conv." in theirs else own


def _fill(own: Tensor, left: dict[str, Tensor], name: str, change: Change) -> None:
    """Take a parameter out of `left` and put it into ours.  Raises `ModelError`."""
    if name not in left:
        raise ModelError(f"asteroid: the weights have no {name!r}; check the config (causal, skip_chan, n_blocks ...)")
    value = left.pop(name)
    changed = change(value)
    if changed.shape != own.shape:
        raise ModelError(
            f"asteroid: {name!r} is {tuple(value.shape)}, which the config makes {tuple(own.shape)} in our order; "
            "give the config it was made with"
        )
    own.copy_(changed)
