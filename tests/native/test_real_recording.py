"""A real recording comes out of the native program as out of ``resound restore``; skipped where there is none."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

DATA = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder")
def test_it_is_what_restore_gives(exported, program, resound, tmp_path):
    recording = sorted((DATA / "vintage").rglob("*.flac"))[0]
    sound, rate = soundfile.read(recording, frames=10 * 48000, always_2d=True)
    soundfile.write(tmp_path / "in.wav", soxr.resample(sound, rate, 8000), 8000, subtype="FLOAT")
    model = exported("one")
    assert program(tmp_path / "in.wav", tmp_path / "native.wav", "--model", model).status == 0
    assert resound("restore", tmp_path / "in.wav", "--model", model, "-o", tmp_path / "restored.wav").status == 0
    native, restored = (soundfile.read(tmp_path / name)[0] for name in ("native.wav", "restored.wav"))
    assert native.shape == restored.shape
    np.testing.assert_allclose(native, restored, atol=1e-6)
