"""What the default, and the classic chain, do to real recordings; skipped where they are absent."""

import os
from pathlib import Path

import numpy as np
import pytest

import resound
from resound.audio.files import open_reader
from resound.metrics import log_spectral_distance, noise_and_active_change_db, si_sdr, speech_level_change_db
from signals import music_like, speech_like

DATA = Path(os.environ.get("RESOUND_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="no real recordings here; RESOUND_DATA can name their folder"),
]


def read(path: Path, seconds: float = 15) -> tuple[np.ndarray, int]:
    with open_reader(path, duration_seconds=seconds) as reader:
        return np.concatenate([block[0] for block in reader.blocks(65536)]), reader.format.sample_rate


def every(pattern: str, n_files: int) -> list[Path]:
    """So many files, evenly from the sorted list."""
    found = sorted(path for path in DATA.glob(pattern) if path.is_file())
    return found[:: max(1, len(found) // n_files)][:n_files]


either = pytest.mark.parametrize("model", ["auto", "classic"])


@either
@pytest.mark.parametrize("make", [speech_like, music_like])
@pytest.mark.parametrize("sample_rate", [16000, 44100])
@pytest.mark.parametrize("seed", [0, 1])
def test_clean_sound_keeps_its_level_and_its_samples_through(make, sample_rate, seed, model):
    clean = make(8, sample_rate, seed)
    restored = resound.restore(clean, sample_rate, model)
    assert si_sdr(restored, clean) > 25
    assert abs(10 * np.log10(np.mean(restored**2) / np.mean(clean**2))) < 0.2


class TestReal:
    pytestmark = needs_data

    @either
    def test_noisy_speech_gets_nearer_to_the_clean(self, model):
        gains, distances, levels_db = [], [], []
        for path in every("pairs/valentini/noisy/*.flac", 12):
            noisy, rate = read(path)
            clean, _ = read(DATA / "pairs/valentini/clean" / path.name)
            restored = resound.restore(noisy, rate, model)
            gains.append(float(si_sdr(restored, clean) - si_sdr(noisy, clean)))
            distances.append(log_spectral_distance(restored, clean, rate) - log_spectral_distance(noisy, clean, rate))
            levels_db.append(speech_level_change_db(restored, clean, rate))
        assert np.mean(gains) > 1.5
        assert min(gains) > -0.5
        assert np.mean(distances) < -2
        assert max(np.abs(levels_db)) < 1

    @either
    def test_noise_of_old_speech_on_film_falls_and_speech_stays(self, model):
        changes = []
        for path in [*every("vintage/notld1968/*.flac", 6), *every("vintage/nara_film/speech*.flac", 6)]:
            degraded, rate = read(path, 30)
            change = noise_and_active_change_db(degraded, resound.restore(degraded, rate, model), rate)
            if change is not None:
                changes.append(change)
        fall_db, active_db = np.transpose(changes)
        assert len(changes) >= 8
        assert np.median(fall_db) > 6
        assert np.abs(active_db).max() < 1

    @either
    @pytest.mark.parametrize("pattern", ["speech_fullband/**/*", "speech/librispeech/**/*", "music/*/*.opus"])
    def test_clean_recordings_stay(self, pattern, model):
        kept = []
        for path in every(pattern, 10):
            clean, rate = read(path)
            kept.append(float(si_sdr(resound.restore(clean, rate, model), clean)))
        assert np.median(kept) > 25
