"""Weights of the two-stage U-Net's TensorFlow original, from an ``.npz`` of its variables in the order of their making.

A TensorFlow checkpoint becomes such a file where TensorFlow and the original's code are (``model`` is what its
``build_model_denoise`` returned, after ``model.load_weights(CHECKPOINT)``)::

    numpy.savez("weights.npz", **{f"{i:04d}:{v.name.split(':')[0]}": v.numpy() for i, v in enumerate(model.weights)})

Names are ``0002:multi_stage_denoise/encoder/e__block/i__block/dense_block/conv2d_1/kernel``.  Kernels are (height,
width, in, out), those of transposed convolutions (height, width, out, in).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from resound.config import explain
from resound.errors import ModelError, did_you_mean, one_line
from resound.models.two_stage_unet import TwoStageUNet, TwoStageUNetConfig

# Theirs -> ours, where the value is taken over.
SETTINGS = {"depth": "depth", "num_tfc": "num_tfc", "num_stages": "n_stages", "use_SAM": "use_sam"}
# Settings that change the network; ours has the one form that published weights use.
ONE_FORM: dict[str, Any] = {
    "activation": "elu",
    "use_csff": False,
    "use_cam": False,
    "use_fam": False,
    "use_fencoding": True,
    "use_tdf": False,
    "use_alttdfs": False,
}


def from_two_stage_unet(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> TwoStageUNet:
    """Return the network of the original's variables and its ``unet`` settings, ready to use.

    Raises `ModelError` that names the first setting or variable which does not fit.
    """
    network = TwoStageUNet(_our_config(dict(config)))
    left = {key: weights[key] for key in sorted(weights)}  # numbers in front: the order of making
    with torch.no_grad():
        for kind, ours in _in_order(network):
            for theirs, part in (("kernel", "weight"), ("bias", "bias")):
                _fill(network.get_parameter(f"{ours}.{part}") if ours else None, kind, theirs, left)
    if left:
        raise ModelError(
            f"two-stage-unet: {one_line(next(iter(left)))!r} has no place in the network; check depth, num_tfc and "
            "num_stages of the config"
        )
    return network.eval()


def _our_config(config: dict[str, Any]) -> TwoStageUNetConfig:
    known = [*SETTINGS, *ONE_FORM, "f_dim", "n_fft", "hop", "sample_rate"]
    for key in config:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise ModelError(f"two-stage-unet: {one_line(key)}: no such setting of the original{hint}")
    for key, accepted in ONE_FORM.items():
        if config.get(key, accepted) != accepted:
            raise ModelError(f"two-stage-unet: {key} {one_line(config[key])} cannot be imported; {accepted} can")
    ours = {SETTINGS[key]: value for key, value in config.items() if key in SETTINGS}
    ours |= {key: config[key] for key in ("n_fft", "hop", "sample_rate") if key in config}
    try:
        made = TwoStageUNetConfig(**ours, pad_start=False)
    except ValidationError as error:
        faults = "; ".join(explain(fault, TwoStageUNetConfig) for fault in error.errors())
        raise ModelError(f"two-stage-unet: {faults}") from None
    n_freqs = made.n_fft // 2 + 1
    if config.get("f_dim", n_freqs) != n_freqs:
        raise ModelError(
            f"two-stage-unet: f_dim {one_line(config['f_dim'])} does not fit n_fft {made.n_fft}; {n_freqs} does"
        )
    return made


def _in_order(network: TwoStageUNet) -> Iterator[tuple[str, str | None]]:
    """Yield words of the name of each kernel with its bias, in the order of making, and ours, if it has a place."""
    for index in range(network.config.n_stages):
        if index:
            # Without attention, its layers are made all the same, and never used.
            for part in ("features", "residual", "mask"):
                is_used = network.config.use_sam or part == "residual"
                yield "sam/conv2d", f"attention.{part}" if is_used else None
        yield from _stage(network.config, f"stages.{index}")
        if not index:
            yield "final_block/conv2d", "final"


def _stage(config: TwoStageUNetConfig, ours: str) -> Iterator[tuple[str, str]]:
    yield "/conv2d", f"{ours}.features"
    for level in range(config.depth):
        yield from _block(config, f"{ours}.encoder.{level}.block", "e__block")
        yield "e__block", f"{ours}.encoder.{level}.down"
    yield from _block(config, f"{ours}.bottom", "i__block")
    for level in range(config.depth):  # made from the top level down, used from the deepest up
        yield "conv2d_transpose", f"{ours}.decoder.{level}.up"
        if config.widths[level] != config.widths[level + 1]:
            yield "d__block", f"{ours}.decoder.{level}.projection"
        yield from _block(config, f"{ours}.decoder.{level}.block", "d__block")


def _block(config: TwoStageUNetConfig, ours: str, place: str) -> Iterator[tuple[str, str]]:
    for index in range(config.num_tfc):
        yield f"{place}|dense_block", f"{ours}.dense.{index}"
    yield f"{place}|i__block", f"{ours}.shortcut"


def _fill(own: Tensor | None, kind: str, part: str, left: dict[str, Tensor]) -> None:
    """Take the next variable and put it into ours.  Raises `ModelError`."""
    words = kind.split("|")
    name = next(iter(left), None)
    if name is None:
        raise ModelError(f"two-stage-unet: the weights end before a {part} of {words[0]}; check depth and num_tfc")
    value = left.pop(name)
    if own is None:
        return
    changed = value.permute(3, 2, 0, 1) if value.ndim == 4 else value
    if not name.endswith(f"/{part}") or any(word not in name for word in words) or changed.shape != own.shape:
        raise ModelError(
            f"two-stage-unet: {one_line(name)!r} is {tuple(value.shape)}, the config has a {part} of {' '.join(words)} "
            f"there, {tuple(own.permute(2, 3, 1, 0).shape) if own.ndim == 4 else tuple(own.shape)}; give the config it "
            "was made with"
        )
    own.copy_(changed)
