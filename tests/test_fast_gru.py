"""The compiled GRUs that BandRNN may be trained with beside torch's."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HEADER = Path(sysconfig.get_paths()["include"]) / "Python.h"
DRIVER = Path(__file__).parent.parent / "scripts" / "fast_gru" / "train.py"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
@pytest.mark.skipif(not HEADER.exists(), reason="needs Python's headers")
def test_values_and_gradients_are_torchs(tmp_path):
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where ninja is
    done = subprocess.run(
        [sys.executable, DRIVER, "--check"],
        env={**os.environ, "FAST_GRU_BUILD": str(tmp_path), "PATH": beside_python},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.rsplit(": ", 1)[1]) < 1e-4
