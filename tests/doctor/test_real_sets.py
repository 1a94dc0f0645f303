"""Published pairs of clean and noisy speech: healthy as they are, and named by their fault when they are spoilt."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from doctor.sets import codes, write_pairs
from resound.doctor.catalogue import run_checks
from resound.doctor.data_evidence import evidence_of_pairs
from resound.doctor.pair_lists import pairs_between
from resound.doctor.settings import DoctorSettings

DATA = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data"))
PAIRS = DATA / "pairs" / "valentini"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not PAIRS.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder"),
]
N = 10


@pytest.fixture(scope="module")
def sides():
    names = sorted(path.name for path in (PAIRS / "clean").glob("*.flac"))[:N]
    return [[soundfile.read(PAIRS / side / name)[0] for name in names] for side in ("clean", "noisy")]


def findings_of(folder, clean, degraded):
    listed = pairs_between(*write_pairs(folder, clean, degraded))
    return run_checks("data", evidence_of_pairs(listed, DoctorSettings(), n_jobs=1), DoctorSettings())


def test_the_pairs_are_healthy(tmp_path, sides):
    assert codes(findings_of(tmp_path, *sides)) == []


def test_pairs_in_another_order_are_named(tmp_path, sides):
    clean, noisy = sides
    assert codes(findings_of(tmp_path, clean, noisy[1:] + noisy[:1]), "error")[:1] == ["DATA01"]


@pytest.mark.parametrize("n_samples", [4, 320, 8000])
def test_shifted_pairs_are_named(tmp_path, sides, n_samples):
    clean, noisy = sides
    later = [np.concatenate([np.zeros(n_samples), side])[: len(side)] for side in noisy]
    finding = next(finding for finding in findings_of(tmp_path, clean, later) if finding.code == "DATA02")
    assert finding.value == pytest.approx(n_samples / 16, abs=0.04)
