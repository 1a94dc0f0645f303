"""Published pairs of clean and noisy speech after the classic chain: healthy, and named by their fault when spoilt."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from doctor.outputs import Three, findings_of, low_passed, moved, syllables_lost
from doctor.sets import with_noise
from doctor.test_output_checks import dipped
from doctor.test_real_sets import PAIRS
from resound.inference.pipeline import restore

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not PAIRS.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder"),
]
N, RATE = 6, 16000


@pytest.fixture(scope="module")
def three():
    names = sorted(path.name for path in (PAIRS / "clean").glob("*.flac"))[:N]
    clean, noisy = ([soundfile.read(PAIRS / side / name)[0] for name in names] for side in ("clean", "noisy"))
    return Three(clean, noisy, [restore(sound, RATE, "classic") for sound in noisy])


@pytest.mark.parametrize("has_clean", [True, False])
def test_the_classic_chain_is_healthy(tmp_path, three, has_clean):
    assert findings_of(three.evidence(tmp_path, has_clean=has_clean)) == {}


def muted_when_quiet(three):
    """Return recordings down to 30 dB quieter, and outputs that lose another 10 dB on the way."""
    levels_db = np.linspace(0, -30, N)
    sides = [
        [10 ** (slope * level_db / 20) * sound for level_db, sound in zip(levels_db, side, strict=True)]
        for side, slope in ((three.clean, 1), (three.degraded, 1), (three.enhanced, 4 / 3))
    ]
    return Three(*sides)


FAULTS = {
    "OUT01": lambda three: three.with_output(lambda sound: syllables_lost(sound, 0.8)),
    "OUT02": lambda three: replace(three, enhanced=three.degraded),
    "OUT03": lambda three: three.with_output(lambda sound: 1.3 * sound),
    "OUT04": lambda three: three.with_output(lambda sound: moved(sound, 4)),
    "OUT05": lambda three: three.with_output(lambda sound: dipped(sound, 0.5, 10)),
    "OUT06": muted_when_quiet,
    "OUT07": lambda three: replace(three, enhanced=with_noise(three.degraded, 3)),
    "OUT08": lambda three: three.with_output(lambda sound: np.clip(sound, *(0.5 * np.abs(sound).max() * np.r_[-1, 1]))),
    "OUT09": lambda three: three.with_output(lambda sound: low_passed(sound, 4000)),
    "OUT10": lambda three: replace(three, clean=three.clean[1:] + three.clean[:1]),
    "OUT11": lambda three: three.with_output(lambda sound: -sound),
    "OUT12": lambda three: three.with_output(lambda sound: sound + 0.01),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_named(tmp_path, three, code):
    assert code in findings_of(FAULTS[code](three).evidence(tmp_path))
