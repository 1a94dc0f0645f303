"""PESQ and STOI through the packages of the extra ``eval``; NaN where they have no answer."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import resample

PACKAGES = {"pesq": "pesq", "stoi": "pystoi", "estoi": "pystoi"}
REMEDY = "pip install 'resound[eval]'"
WIDE_BAND_HZ, NARROW_BAND_HZ = 16000, 8000
# The reference program writes beyond its memory at more than 50 utterances, which are 0.4 s apart or more.
LONGEST_PESQ_SECONDS = 20


def left_out(names: Iterable[str]) -> dict[str, str]:
    """Return which of the measures cannot be computed here, and what to do."""
    missing = {name: PACKAGES[name] for name in names if importlib.util.find_spec(PACKAGES[name]) is None}
    return {name: f"needs {package}, which is not installed; run: {REMEDY}" for name, package in missing.items()}


def perceptual(name: str, estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    """Return one measure of ``(time,)`` against ``(time,)``, NaN where it has no answer."""
    if name == "pesq":
        return pesq(estimate, target, sample_rate)
    return stoi(estimate, target, sample_rate, extended=name == "estoi")


def pesq(estimate: NDArray, target: NDArray, sample_rate: int) -> float:
    """Return the MOS-LQO of PESQ: wide band (P.862.2) from 16 kHz on, else narrow band (P.862.1) at 8 kHz.

    Other rates are resampled to these.  What is longer than 20 s is judged in equal parts, of which this is the mean.
    NaN where a part has no utterance in it, and for less than 0.25 s.
    """
    rate = WIDE_BAND_HZ if sample_rate >= WIDE_BAND_HZ else NARROW_BAND_HZ
    pair = resample(np.stack([target, estimate]).astype(np.float32), sample_rate, rate)
    n_parts = max(1, -(-pair.shape[1] // (LONGEST_PESQ_SECONDS * rate)))
    return float(np.mean([_pesq_of_part(part, rate) for part in np.array_split(pair, n_parts, axis=1)]))


def _pesq_of_part(pair: NDArray, rate: int) -> float:
    """Return PESQ of target and estimate, ``(2, time)``."""
    package: Any = importlib.import_module("pesq")
    if not np.ptp(pair, axis=1).all():
        return float("nan")
    mode = "wb" if rate == WIDE_BAND_HZ else "nb"
    value = package.pesq(rate, *pair, mode, on_error=package.PesqError.RETURN_VALUES)
    return float(value) if value > 0 else float("nan")  # a code below 0 says why not


def stoi(estimate: NDArray, target: NDArray, sample_rate: int, *, extended: bool = False) -> float:
    """Return the short-time objective intelligibility; NaN for less than 0.4 s of sound.

    pystoi resamples to 10 kHz itself, as the authors' own program does, which published values depend on.
    """
    package: Any = importlib.import_module("pystoi")
    with warnings.catch_warnings(), _own_random_numbers():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(package.stoi(target, estimate, sample_rate, extended=extended))
        except (RuntimeWarning, ValueError):  # too few frames, or none at all
            return float("nan")


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Give pystoi, which dithers by numpy's global generator, the same numbers always, and nobody else others."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
