"""Noise of an optical sound track."""

import numpy as np
import pytest

from degrade.added import added_by, snr_db, tone
from resound.degrade.optical import DensityFlutter, OpticalNoise, Sprocket, bias_line
from resound.errors import InputError

RATE = 16000


def loud_and_quiet(seconds: float = 8) -> np.ndarray:
    """A tone that is there for a second, and 60 dB down for a second, and so on."""
    clean = tone(seconds, RATE)
    clean[:, (np.arange(clean.shape[1]) // RATE) % 2 == 1] *= np.float32(0.001)
    return clean


class TestOpticalNoise:
    @pytest.mark.parametrize("asked", [-100, 25, 100])
    def test_it_reaches_the_snr_it_was_asked_for(self, asked):
        clean = loud_and_quiet(4)
        assert snr_db(clean, added_by(OpticalNoise, clean, RATE, snr_db=asked)) == pytest.approx(asked, abs=0.01)

    @pytest.mark.parametrize("rise_db", [0, 6, 12])
    def test_the_hiss_rises_with_the_programme_as_far_as_asked_for(self, rise_db):
        added = added_by(OpticalNoise, loud_and_quiet(16), RATE, snr_db=0, rise_db=rise_db)[0].reshape(16, RATE)
        middle = added[:, RATE // 4 : -RATE // 4]
        measured = 10 * np.log10(np.mean(middle[::2] ** 2) / np.mean(middle[1::2] ** 2))
        assert measured == pytest.approx(rise_db, abs=0.7)

    def test_the_track_opens_ahead_of_the_sound_and_closes_after_it(self):
        clean = np.zeros((1, RATE), np.float32)
        clean[0, RATE // 2 : RATE // 2 + 800] = 0.5
        opened = bias_line(clean, RATE, 32)
        seconds = np.flatnonzero(opened > 0.5)[[0, -1]] * 32 / RATE
        assert 0.45 < seconds[0] < 0.5 and 0.55 < seconds[1] < 0.6
        assert opened.max() == 1 and opened[0] == opened[-1] == 0

    def test_how_far_the_track_opens_does_not_depend_on_the_level(self):
        np.testing.assert_allclose(bias_line(tone(1) * 1e-4, RATE, 32), bias_line(tone(1), RATE, 32), rtol=1e-4)

    @pytest.mark.parametrize("n_samples", [1, 3, 100])
    def test_a_few_samples_will_do(self, n_samples):
        clean = np.full((2, n_samples), 0.1, np.float32)
        assert snr_db(clean, added_by(OpticalNoise, clean, RATE, snr_db=20)) == pytest.approx(20, abs=0.01)

    def test_a_level_serves_on_silence_and_an_snr_is_refused(self):
        added = added_by(OpticalNoise, 0 * tone(1, RATE), RATE, level_dbfs=-60)
        assert 10 * np.log10(np.mean(added**2)) == pytest.approx(-60, abs=0.01)
        with pytest.raises(InputError, match="the signal is silent"):
            added_by(OpticalNoise, 0 * tone(1, RATE), RATE)


class TestDensityFlutter:
    @pytest.mark.parametrize("depth_db", [0.3, 2])
    @pytest.mark.parametrize("rate_hz", [0.5, 5])
    def test_the_level_sways_as_deep_and_as_slowly_as_asked_for(self, depth_db, rate_hz):
        clean = np.full((2, 20 * RATE), 0.1, np.float32)
        flutter_db = 20 * np.log10(1 + added_by(DensityFlutter, clean, RATE, depth_db=depth_db, rate_hz=rate_hz) / 0.1)
        np.testing.assert_allclose(flutter_db[0], flutter_db[1], atol=1e-5)
        assert flutter_db[0].std() == pytest.approx(depth_db, rel=0.03)
        assert abs(flutter_db[0].mean()) < 0.1 * depth_db
        spectrum = np.abs(np.fft.rfft(flutter_db[0] * np.hanning(flutter_db.shape[1]))) ** 2
        frequencies = np.fft.rfftfreq(flutter_db.shape[1], 1 / RATE)
        assert spectrum[frequencies > 4 * rate_hz].sum() < 0.01 * spectrum.sum()
        assert spectrum[frequencies < 1.5 * rate_hz].sum() > 0.8 * spectrum.sum()

    @pytest.mark.parametrize("n_samples", [0, 1, 3])
    def test_a_few_samples_and_silence_will_do(self, n_samples):
        assert np.isfinite(added_by(DensityFlutter, np.full((1, n_samples), 0.1, np.float32), RATE)).all()
        np.testing.assert_array_equal(added_by(DensityFlutter, 0 * tone(1, RATE), RATE), 0)


class TestSprocket:
    @pytest.mark.parametrize("asked", [-20, 25, 100])
    def test_the_tone_reaches_the_snr_it_was_asked_for(self, asked):
        clean = tone(2, RATE, n_channels=2)
        added = added_by(Sprocket, clean, RATE, snr_db=asked, depth_percent=0)
        assert snr_db(clean, added) == pytest.approx(asked, abs=0.01)

    def test_the_lines_lie_at_the_frames_and_the_perforations(self):
        added = added_by(
            Sprocket, tone(10, RATE), RATE, snr_db=20, frame_db=-10, roll_off_db_per_octave=12, depth_percent=0
        )[0]
        level = np.abs(np.fft.rfft(added * np.hanning(len(added))))
        lines_db = 20 * np.log10(level[[240, 960, 1920, 2880]] / level[960])  # at 24, 96, 192, 288 Hz
        np.testing.assert_allclose(lines_db, [-10, 0, -12, -12 * np.log2(3)], atol=0.1)
        assert 20 * np.log10(level[480] / level[960]) < -80  # nothing at 48 Hz

    @pytest.mark.parametrize("depth_percent", [1, 20])
    def test_the_level_swings_at_the_perforations_as_deep_as_asked_for(self, depth_percent):
        clean = np.full((1, 10 * RATE), 0.1, np.float32)
        added = added_by(Sprocket, clean, RATE, snr_db=150, depth_percent=depth_percent)[0]
        level = np.abs(np.fft.rfft(added)) / len(added) * 2 / 0.1
        assert np.argmax(level) == 960
        assert level[960] == pytest.approx(depth_percent / 100, rel=0.01)

    def test_silence_is_refused_in_one_line(self):
        with pytest.raises(InputError, match="the signal is silent"):
            added_by(Sprocket, 0 * tone(1, RATE), RATE)
