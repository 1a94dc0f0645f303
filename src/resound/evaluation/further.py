"""Metrics that only evaluation has, of one estimate ``(time,)``; NaN where they have no answer."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import resample
from resound.evaluation.measures import DNSMOS
from resound.judging.perceptual import NARROW_BAND_HZ, pesq
from resound.metrics import multi_resolution_stft_distance, noise_and_active_change_db

NAN = float("nan")
DNSMOS_HZ, DNSMOS_SECONDS = 16000, 9.01
# Reddy, Gopal & Cutler 2022 (DNSMOS P.835, arXiv 2110.01763): from what the network says to MOS, highest power first.
DNSMOS_CURVES = {
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovr": (-0.06766283, 1.11546468, 0.04602535),
}


def with_reference(name: str, estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    """Return a metric of ``(time,)`` against ``(time,)``."""
    if name == "mrstft":
        return _scaled_distance(estimate, target)
    if name == "sdr":
        return _sdr_db(estimate, target)
    assert name == "pesq_nb", name
    pair = resample(np.stack([estimate, target]).astype(np.float32), sample_rate, NARROW_BAND_HZ)
    return pesq(pair[0], pair[1], NARROW_BAND_HZ)


def without_reference(names: list[str], estimate: NDArray, degraded: NDArray, sample_rate: int) -> dict[str, float]:
    """Return the metrics that look at the input and the estimate alone, ``(time,)`` each."""
    found: dict[str, float] = {}
    if {"noise_fall_db", "active_db"} & set(names):
        change = noise_and_active_change_db(degraded, estimate, sample_rate)
        found["noise_fall_db"], found["active_db"] = np.clip(change, -100, 100).tolist() if change else (NAN, NAN)
    if set(DNSMOS) & set(names):
        found |= dnsmos(estimate, sample_rate)
    return {name: found[name] for name in names}


def dnsmos(samples: NDArray, sample_rate: int) -> dict[str, float]:
    """Return DNSMOS P.835 of ``(time,)``: speech, background, overall; the mean over windows of 9.01 s, one a second.

    By the network in the package speechmos; what is shorter is repeated, what exceeds full scale is made quieter.
    """
    wide = resample(samples[None].astype(np.float32), sample_rate, DNSMOS_HZ)[0]
    if not np.ptp(wide):
        return dict.fromkeys(DNSMOS, NAN)
    wide = wide / max(1.0, float(np.abs(wide).max()))
    length = int(DNSMOS_SECONDS * DNSMOS_HZ)
    while len(wide) < length:
        wide = np.append(wide, wide)
    n_windows = int(len(wide) // DNSMOS_HZ - DNSMOS_SECONDS) + 1
    ends = [int((start + DNSMOS_SECONDS) * DNSMOS_HZ) for start in range(n_windows)]  # rounded as speechmos does,
    windows = [wide[start * DNSMOS_HZ : end] for start, end in enumerate(ends)]  # which skips what is a sample short
    session = _dnsmos_session()
    raw = np.stack([session.run(None, {"input_1": one[None]})[0][0] for one in windows if len(one) == length])
    return {name: float(np.mean(np.polyval(DNSMOS_CURVES[name], raw[:, i]))) for i, name in enumerate(DNSMOS)}


@cache
def _dnsmos_session() -> Any:
    import onnxruntime

    found = importlib.util.find_spec("speechmos")
    assert found and found.submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = Path(found.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _sdr_db(estimate: NDArray, target: NDArray) -> float:
    """Return the SDR of BSS-Eval with a distortion filter of 512 taps, by fast-bss-eval (Scheibler 2022)."""
    package: Any = importlib.import_module("fast_bss_eval")
    try:
        return float(np.clip(package.sdr(target[None], estimate[None])[0], -100, 100))
    except np.linalg.LinAlgError:  # a target of a few tones
        return NAN


def _scaled_distance(estimate: NDArray, target: NDArray) -> float:
    """Return the distance at the target's RMS of 0.1: its floor is absolute, and level must not decide."""
    scale = 0.1 / np.sqrt(np.mean(target**2))
    return multi_resolution_stft_distance((scale * estimate).astype(np.float32), (scale * target).astype(np.float32))
