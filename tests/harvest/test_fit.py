"""A chain fitted to a recording makes clean speech sound like it."""

import numpy as np
import pytest
import yaml

from harvest.test_profile import RATE, SPECTRUM, profile_of, voice
from resound.degrade.band_limit import limit_band
from resound.degrade.chain import apply_chain, load_chain
from resound.degrade.crackle import add_crackle
from resound.degrade.hiss import add_hiss
from resound.degrade.hum import add_hum
from resound.harvest.fit import fitted_chain_text, harmonic_shape


def film(clean, seed):
    """A voice through a film of known faults."""
    film = limit_band(clean, RATE, low_hz=0, high_hz=6000, db_per_octave=36, kind="butterworth")
    film = add_hiss(film, RATE, snr_db=22, points_db=SPECTRUM, seed=seed)
    ticks = {"rate_per_second": 8, "peak_db": 0, "spread_db": 5, "length_ms": 0.25, "scratch_share": 0, "rpm": 45}
    film = add_crackle(film, RATE, **ticks, seed=seed + 1)
    line = {"frequency_hz": 60.1, "level_dbfs": None, "roll_off_db_per_octave": 6, "even_db": 0, "drift_hz": 0}
    return add_hum(film, RATE, snr_db=20, **line, seed=seed + 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 11])
def test_the_profile_of_the_fitted_chain_is_that_of_the_film(tmp_path, seed):
    wanted = profile_of(film(voice(60), seed), tmp_path)
    path = tmp_path / "film.yaml"
    path.write_text(fitted_chain_text(wanted), encoding="utf-8")
    drawn = load_chain(path).draw(np.random.default_rng(seed))
    found = profile_of(apply_chain(voice(60, seed=5), RATE, drawn), tmp_path)
    assert found.snr_db == pytest.approx(wanted.snr_db, abs=1.5)
    assert found.hum.frequency_hz == pytest.approx(wanted.hum.frequency_hz, abs=0.1)
    assert found.crackle.per_second == pytest.approx(wanted.crackle.per_second, rel=0.25)
    assert found.bandwidth_hz == pytest.approx(wanted.bandwidth_hz, rel=0.1)
    hz = np.array(wanted.third_octave_hz)
    shape = [np.array(p.noise_db) + p.snr_db for p in (wanted, found)]
    assert np.abs(shape[1] - shape[0])[(hz > 120) & (hz < 8000)].max() < 2


def test_the_ranges_lie_around_what_was_measured(tmp_path):
    profile = profile_of(film(voice(32), 1), tmp_path)
    steps = {
        name: values for step in yaml.safe_load(fitted_chain_text(profile))["steps"] for name, values in step.items()
    }
    assert set(steps) == {"band_limit", "hiss", "crackle", "hum"}

    def holds(range_, value):
        return range_[0] < value < range_[1]

    assert holds(steps["band_limit"]["high_hz"], profile.bandwidth_hz)
    assert holds(steps["hiss"]["snr_db"], profile.full_snr_db)
    assert holds(steps["hum"]["frequency_hz"], profile.hum.frequency_hz)
    assert holds(steps["crackle"]["rate_per_second"], profile.crackle.per_second)


def test_noise_without_a_programme_gives_a_chain_that_says_its_level_is_a_guess(tmp_path):
    from signals import noise

    text = fitted_chain_text(profile_of(noise(8, RATE)[None], tmp_path))
    assert "the level is a guess" in text
    (step,) = yaml.safe_load(text)["steps"]
    assert step["hiss"]["snr_db"] == [17, 33]


def test_harmonics_that_fall_evenly_are_a_slope_and_others_are_not():
    slope = harmonic_shape((1, 2, 3, 4, 5), tuple(-20 - 6 * np.log2(n) - 10 * (n % 2 == 0) for n in range(1, 6)))
    assert slope == pytest.approx((6, -10))
    assert harmonic_shape((1, 2, 3), (-66.0, -43.0, -36.0)) is None
    assert harmonic_shape((2, 4), (-30.0, -40.0)) is None
