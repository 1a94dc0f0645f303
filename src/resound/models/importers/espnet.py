"""Weights of ESPnet: a ``.pth`` of its enhancement model, whose separator is TF-GridNet in its second version.

Encoder and decoder of such a model hold no weights (their STFT is inside the separator), and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from resound.config import explain
from resound.errors import ModelError, did_you_mean, one_line
from resound.models.tf_gridnet import TFGridNet, TFGridNetConfig

# Theirs -> ours, where the value is taken over.
SETTINGS = {
    "n_srcs": "n_sources",
    "n_fft": "n_fft",
    "stride": "hop",
    "window": "window",
    "n_imics": "n_channels",
    "n_layers": "n_blocks",
    "lstm_hidden_units": "hidden",
    "attn_n_head": "n_heads",
    "attn_approx_qk_dim": "qk_size",
    "emb_dim": "embedding",
    "emb_ks": "unfold",
    "emb_hs": "unfold_hop",
    "eps": "eps",
    "sample_rate": "sample_rate",
}
# Settings of the separator that change nothing here, or have one form.
IGNORED = ("input_dim", "use_builtin_complex", "source", "num_spk")
NAMES = ("tfgridnetv2",)

Change = Callable[[Tensor], Tensor]


def from_espnet(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> TFGridNet:
    """Return the TF-GridNet of ESPnet's parameters and its config, ready to use.

    The config is that of the separator (``separator_conf``), or the whole one.  Raises `ModelError` that names the
    first setting or parameter which does not fit.
    """
    network = TFGridNet(_our_config(dict(config)))
    left = _separator(weights)
    with torch.no_grad():
        for theirs, own, change in _names(network):
            _fill(own, left, theirs, change)
    if left:
        raise ModelError(f"espnet: {one_line(next(iter(left)))!r} has no place in the network; check its config")
    return network.eval()


def _separator(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters of the separator by their names in it."""
    prefix = "separator."
    if any(key.startswith(prefix) for key in weights):
        return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    return {key: value for key, value in weights.items() if not key.startswith(("encoder.", "decoder."))}


def _our_config(config: dict[str, Any]) -> TFGridNetConfig:
    name = config.pop("separator", NAMES[0])
    if name not in NAMES:
        raise ModelError(f"espnet: separator {one_line(name)} cannot be imported; {', '.join(NAMES)} can")
    if "separator_conf" in config:
        sample_rate = config.get("sample_rate", config.get("fs"))
        config = dict(config["separator_conf"] or {})
        if sample_rate is not None:
            config["sample_rate"] = sample_rate
    known = [*SETTINGS, *IGNORED, "activation"]
    for key in config:
        if key not in known:
            raise ModelError(f"espnet: {one_line(key)}: no such setting of TFGridNetV2{did_you_mean(str(key), known)}")
    if config.get("activation", "prelu") != "prelu":
        raise ModelError(f"espnet: activation {one_line(config['activation'])} cannot be imported; prelu can")
    ours = {SETTINGS[key]: value for key, value in config.items() if key in SETTINGS}
    ours["window"] = ours.get("window", "hann") or "none"
    try:
        return TFGridNetConfig(**ours)
    except ValidationError as error:
        faults = "; ".join(explain(fault, TFGridNetConfig) for fault in error.errors())
        raise ModelError(f"espnet: {faults}") from None


def _names(network: TFGridNet) -> list[tuple[str, Tensor, Change]]:
    """Return their name, our parameter or its part, and what makes ours of theirs, for every parameter."""
    config = network.config
    kernel, width = config.unfold, config.embedding
    linear = kernel == config.unfold_hop  # there are then no deconvolutions, and neighbours come one after the other

    def same(tensor: Tensor) -> Tensor:
        return tensor

    def flipped(tensor: Tensor) -> Tensor:
        return tensor.flip(2, 3).transpose(0, 1)  # a transposed convolution as a convolution

    def matrix(tensor: Tensor) -> Tensor:
        return tensor.flatten(1)  # a 1×1 convolution

    def neighbours(tensor: Tensor) -> Tensor:
        return tensor if linear else tensor.unflatten(1, (width, kernel)).transpose(1, 2).flatten(1)

    def out(tensor: Tensor) -> Tensor:
        return tensor if linear else tensor.permute(2, 1, 0).flatten(0, 1)

    def gain(tensor: Tensor) -> Tensor:
        return tensor[0].permute(0, 2, 3, 1)  # (1, head, width, 1, freq)

    def frame_gain(tensor: Tensor) -> Tensor:
        return tensor[0, :, 0].t()  # (1, D, 1, freq)

    own = network.get_parameter
    names: list[tuple[str, Tensor, Change]] = [
        ("conv.0.weight", own("entry.weight"), same),
        ("conv.0.bias", own("entry.bias"), same),
        ("conv.1.weight", own("norm.weight"), same),
        ("conv.1.bias", own("norm.bias"), same),
        ("deconv.weight", own("exit.weight"), flipped),
        ("deconv.bias", own("exit.bias"), same),
    ]
    sizes = [config.n_heads * size for size in (config.qk_width, config.qk_width, width // config.n_heads)]
    for index in range(config.n_blocks):
        for axis, path in (("intra", f"blocks.{index}.along_freq"), ("inter", f"blocks.{index}.along_time")):
            theirs = f"blocks.{index}.{axis}"
            names += [(f"{theirs}_norm.{part}", own(f"{path}.norm.{part}"), same) for part in ("weight", "bias")]
            for part, _ in network.get_submodule(f"{path}.lstm").named_parameters():
                change = neighbours if part.startswith("weight_ih") else same
                names.append((f"{theirs}_rnn.{part}", own(f"{path}.lstm.{part}"), change))
            names.append((f"{theirs}_linear.weight", own(f"{path}.out.weight"), out))
            names.append((f"{theirs}_linear.bias", own(f"{path}.bias"), same))
        ours, theirs = f"blocks.{index}.attention", f"blocks.{index}.attn"
        weights, biases = (own(f"{ours}.split.{part}").split(sizes) for part in ("weight", "bias"))
        for place, letter in enumerate("QKV"):
            names += [
                (f"{theirs}_conv_{letter}.weight", weights[place], matrix),
                (f"{theirs}_conv_{letter}.bias", biases[place], same),
                (f"{theirs}_norm_{letter}.gamma", own(f"{ours}.gains.{place}"), gain),
                (f"{theirs}_norm_{letter}.beta", own(f"{ours}.biases.{place}"), gain),
                (f"{theirs}_norm_{letter}.act.weight", own(f"{ours}.slopes")[place], same),
            ]
        names += [
            (f"{theirs}_concat_proj.0.weight", own(f"{ours}.out.weight"), matrix),
            (f"{theirs}_concat_proj.0.bias", own(f"{ours}.out.bias"), same),
            (f"{theirs}_concat_proj.1.weight", own(f"{ours}.out_slope"), same),
            (f"{theirs}_concat_proj.2.gamma", own(f"{ours}.out_norm.weight"), frame_gain),
            (f"{theirs}_concat_proj.2.beta", own(f"{ours}.out_norm.bias"), frame_gain),
        ]
    return names


def _fill(own: Tensor, left: dict[str, Tensor], name: str, change: Change) -> None:
    """Take a parameter out of `left` and put it into ours.  Raises `ModelError`."""
    if name not in left:
        raise ModelError(f"espnet: the weights have no {name!r}; check the config (n_layers, emb_ks ...)")
    value = left.pop(name)
    try:
        changed = change(value)
    except (RuntimeError, IndexError):  # not even as many axes
        changed = value
    if changed.shape != own.shape:
        raise ModelError(
            f"espnet: {name!r} is {tuple(value.shape)}, which the config makes {tuple(own.shape)} in our order; "
            "give the config it was made with"
        )
    own.copy_(changed)
