"""The compiled GRUs that BandRNN may be trained with beside torch's."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HEADER = Path(sysconfig.get_paths()["include"]) / "Python.h"
DRIVER = Path(__file__).parent.parent / "scripts" / "fast_gru" / "train.py"


def is_old() -> bool:
    """Return whether the compiler cannot build it: GCC before 12 has no shuffles of vectors; clang says 12 or more."""
    if shutil.which("c++") is None:
        return True
    told = subprocess.run(["c++", "-dumpversion"], capture_output=True, text=True, check=False).stdout
    return int(told.partition(".")[0] or 0) < 12


def has_matrix_unit() -> bool:
    path = Path("/proc/cpuinfo")
    return path.exists() and "amx_bf16" in path.read_text()


@pytest.mark.slow
@pytest.mark.skipif(is_old(), reason="needs GCC 12 or clang")
@pytest.mark.skipif(not HEADER.exists(), reason="needs Python's headers")
def test_values_and_gradients_are_torchs(tmp_path):
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where ninja is
    done = subprocess.run(
        [sys.executable, DRIVER, "--check"],
        env={**os.environ, "FAST_GRU_BUILD": str(tmp_path), "PATH": beside_python},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    largest = dict(re.findall(r"torch\.(\w+): largest difference (\S+)", done.stdout))
    assert float(largest["float32"]) < 1e-4
    assert ("bfloat16" in largest) == has_matrix_unit()
    assert float(largest.get("bfloat16", 0)) < 0.05


@pytest.mark.slow
def test_values_and_gradients_of_graphics_cards_are_torchs():
    pytest.importorskip("triton", reason="needs triton, whose interpreter runs on any processor")
    done = subprocess.run(
        [sys.executable, DRIVER, "--check", "card"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    largest = dict(re.findall(r"torch\.(\w+) in Triton: largest difference (\S+)", done.stdout))
    assert float(largest["float32"]) < 1e-5
    assert float(largest["float16"]) < 0.01  # in the place of bfloat16, which the interpreter does not multiply
