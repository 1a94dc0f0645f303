"""Figures are those of the libraries, and of formulas written down another time."""

import importlib

import numpy as np
import pytest

from evaluation.folders import RATE, recordings
from resound.evaluation.cases import Loaded
from resound.evaluation.further import with_reference, without_reference
from resound.evaluation.measures import METRICS
from resound.evaluation.scoring import scores_of
from resound.metrics import multi_resolution_stft_distance
from resound.mixing.example import Example


@pytest.fixture(scope="module")
def loaded():
    sides = {side: sounds[1][None].astype(np.float32) for side, sounds in recordings(2, 2.5).items()}
    example = Example(sides["degraded"], sides["clean"], RATE, RATE / 2, "speech")
    return Loaded(example, sides["enhanced"], True)


def scored(loaded: Loaded, name: str) -> float:
    return scores_of(loaded.estimate, loaded, (name,))[name]


def sides_of(loaded: Loaded) -> tuple[np.ndarray, np.ndarray]:
    return loaded.example.clean[0].astype(np.float64), loaded.estimate[0].astype(np.float64)


def test_si_sdr_is_that_of_an_independent_formula(loaded):
    clean, enhanced = (side - side.mean() for side in sides_of(loaded))
    angle = np.arccos(np.dot(clean, enhanced) / np.linalg.norm(clean) / np.linalg.norm(enhanced))
    assert scored(loaded, "si_sdr") == pytest.approx(-20 * np.log10(np.tan(angle)), abs=1e-6)


def test_snr_is_energy_over_error(loaded):
    clean, enhanced = sides_of(loaded)
    assert scored(loaded, "snr") == pytest.approx(-10 * np.log10(np.sum((clean - enhanced) ** 2) / np.sum(clean**2)))


@pytest.mark.parametrize("extended", [False, True])
def test_stoi_is_that_of_pystoi(loaded, extended):
    package = pytest.importorskip("pystoi", reason="needs the extra: pip install '.[eval]'")
    clean, enhanced = sides_of(loaded)
    name = "estoi" if extended else "stoi"
    assert scored(loaded, name) == pytest.approx(package.stoi(clean, enhanced, RATE, extended=extended), abs=1e-4)


def test_pesq_is_that_of_pesq_in_both_bands(loaded):
    package = pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    soxr = importlib.import_module("soxr")
    pair = np.stack([loaded.example.clean[0], loaded.estimate[0]])
    assert scored(loaded, "pesq") == pytest.approx(package.pesq(RATE, *pair, "wb"), abs=1e-6)
    narrow = soxr.resample(pair.T, RATE, 8000, quality="HQ").T
    assert scored(loaded, "pesq_nb") == pytest.approx(package.pesq(8000, *narrow, "nb"), abs=1e-6)


def test_sdr_is_that_of_fast_bss_eval(loaded):
    package = pytest.importorskip("fast_bss_eval", reason="needs the extra: pip install '.[eval]'")
    clean, enhanced = sides_of(loaded)
    assert scored(loaded, "sdr") == pytest.approx(float(package.sdr(clean[None], enhanced[None])[0]), abs=1e-9)


def test_the_stft_distance_is_that_of_the_loss(loaded):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    loss = importlib.import_module("resound.losses.spectral").multi_stft
    clean, enhanced = (side.astype(np.float32) for side in sides_of(loaded))
    theirs = float(loss(torch.from_numpy(enhanced)[None, None], torch.from_numpy(clean)[None, None]))
    assert multi_resolution_stft_distance(enhanced, clean) == pytest.approx(theirs, rel=1e-4)


def test_dnsmos_is_that_of_speechmos(loaded):
    pytest.importorskip("speechmos", reason="needs the extra: pip install '.[mos]'")
    pytest.importorskip("librosa", reason="speechmos itself needs librosa")
    theirs = importlib.import_module("speechmos.dnsmos").run(loaded.estimate[0], RATE)
    ours = without_reference(["dnsmos_sig", "dnsmos_bak", "dnsmos_ovr"], loaded.estimate[0], loaded.estimate[0], RATE)
    assert list(ours.values()) == pytest.approx([theirs[key] for key in ("sig_mos", "bak_mos", "ovrl_mos")], abs=1e-3)


PERFECT = {"si_sdr": 100, "snr": 100, "pesq": 4.644, "pesq_nb": 4.549, "stoi": 1, "estoi": 1, "lsd": 0, "mrstft": 0}


@pytest.mark.parametrize("name", PERFECT)
def test_clean_against_clean_is_perfect(loaded, name):
    package = METRICS[name].package
    if package:
        pytest.importorskip(package, reason="needs the extra: pip install '.[eval]'")
    value = scores_of(loaded.example.clean, loaded, (name,))[name]
    assert value == pytest.approx(PERFECT[name], abs=0.001)


def test_distance_and_sdr_do_not_depend_on_level(loaded):
    pytest.importorskip("fast_bss_eval", reason="needs the extra: pip install '.[eval]'")
    clean, enhanced = sides_of(loaded)
    for name in ("mrstft", "sdr"):
        loud, quiet = (with_reference(name, gain * enhanced, gain * clean, RATE) for gain in (1.0, 0.01))
        assert quiet == pytest.approx(loud, rel=1e-3)
