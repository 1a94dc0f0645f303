"""The same parameters give the same samples in any process, on any processor of a family, with any BLAS."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import write_wav
from resound.degrade.chain import (
    DEGRADATIONS,
    apply_chain,
    chain_names,
    load_chain,
    n_samples_needed,
    read_degradation,
)
from signals import speech_like

RATE = 48000
PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[2])
from degrade.test_repeatable import hashes
print(json.dumps(hashes(json.loads(sys.argv[1]))))
"""


def hashes(chains):
    """Return the SHA-256 of what each list of drawn steps makes of the same speech, step by step."""
    result = {}
    for name, drawn in chains.items():
        audio = speech_like(1.5, RATE)[np.newaxis, : n_samples_needed(RATE, drawn)].astype(np.float32)
        result[name] = []
        for line in drawn:
            audio = apply_chain(audio, RATE, [line])
            result[name].append(hashlib.sha256(audio.tobytes()).hexdigest())
    return result


def in_another_process(chains, **environment):
    paths = json.dumps([path for path in sys.path if path])
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(chains), json.dumps([tests, *json.loads(paths)])],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    return json.loads(done.stdout)


def differing(chains, **environment):
    """Return the first step of each chain whose samples differ in another process."""
    ours, theirs = hashes(chains), in_another_process(chains, **environment)
    found = {}
    for name, drawn in chains.items():
        wrong = [i for i, pair in enumerate(zip(ours[name], theirs[name], strict=True)) if pair[0] != pair[1]]
        if wrong:
            found[name] = next(key for key in drawn[wrong[0]] if key != "target")
    return found


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    """What each preset and each degradation draws for some seeds."""
    bank = str(write_wav(tmp_path_factory.mktemp("bank") / "0.wav", speech_like(2.0, 16000)[np.newaxis], rate=16000))
    drawn = {
        f"{name} {seed}": load_chain(name).draw(np.random.default_rng(seed))
        for name in chain_names()
        for seed in (1, 2)
    }
    for name, kind in DEGRADATIONS.items():
        made = read_degradation(name, {"bank": bank} if "bank" in kind.model_fields else None)
        drawn[f"{name} alone"] = [{name: made.draw(np.random.default_rng(1))}]
    return drawn


@pytest.mark.slow
def test_the_oldest_processor_makes_the_same_samples(chains):
    from numpy._core._multiarray_umath import __cpu_dispatch__ as optional

    assert optional, "numpy chose nothing at run time, so this shows nothing"
    assert differing(chains, NPY_DISABLE_CPU_FEATURES=" ".join(optional)) == {}


@pytest.mark.slow
def test_another_blas_kernel_and_more_threads_make_the_same_samples(chains):
    environment = {name: "2" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    assert differing(chains, OPENBLAS_CORETYPE="Prescott", PYTHONHASHSEED="7", **environment) == {}


def test_doing_it_twice_makes_the_same_samples(chains):
    few = {name: drawn for name, drawn in chains.items() if name.endswith(" 1")}
    assert hashes(few) == hashes(dict(reversed(few.items())))
