import numpy as np
import pytest
import scipy.signal

from resound.degrade.wow_flutter import WowFlutter, sway

RATE = 48000
STILL = {
    "wow_percent": 0, "wow_hz": 0, "wow_random_percent": 0,
    "flutter_percent": 0, "flutter_hz": 0, "flutter_random_percent": 0, "seed": 1,
}  # fmt: skip


def speed_percent(frequency_hz: float, seconds: float, **params: float) -> tuple[np.ndarray, np.ndarray]:
    """Return time and speed deviation of a swayed tone, by demodulating it; edges of 0.1 s left out."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * frequency_hz * time)[np.newaxis].astype("f4")
    swayed = sway(tone, RATE, **(STILL | params))[0]
    low_pass = scipy.signal.firwin(961, 400, fs=RATE)
    base = scipy.signal.oaconvolve(swayed * np.exp(-2j * np.pi * frequency_hz * time), low_pass, mode="same")
    deviation = np.diff(np.unwrap(np.angle(base))) * RATE / (2 * np.pi * frequency_hz) * 100
    return time[4800:-4800], deviation[4800 : len(time) - 4800]


@pytest.mark.parametrize(
    ("kind", "percent", "rate_hz"), [("wow", 0.5, 1.1), ("flutter", 0.2, 24), ("flutter", 0.1, 96)]
)
def test_a_periodic_sway_is_found_again_by_demodulating_the_standard_tone(kind, percent, rate_hz):
    time, deviation = speed_percent(3150, 5, **{f"{kind}_percent": percent, f"{kind}_hz": rate_hz})
    time, deviation = time[::48], deviation[::48]  # it holds nothing above 400 Hz

    def remainder(hz: float) -> tuple[float, float]:
        waves = np.stack([np.sin(2 * np.pi * hz * time), np.cos(2 * np.pi * hz * time)], axis=1)
        weights = np.linalg.lstsq(waves, deviation, rcond=None)[0]
        return float(np.std(deviation - waves @ weights)), float(np.hypot(*weights))

    rates = rate_hz * np.linspace(0.97, 1.03, 61)
    best = min(rates, key=lambda hz: remainder(hz)[0])
    assert best == pytest.approx(rate_hz, rel=0.01)
    assert remainder(best)[1] == pytest.approx(percent, rel=0.02)
    assert remainder(best)[0] < 0.05 * percent  # and nothing else sways


@pytest.mark.parametrize(("kind", "band_hz"), [("wow", (0.2, 6)), ("flutter", (6, 100))])
def test_random_sway_has_its_rms_in_its_band(kind, band_hz):
    _, deviation = speed_percent(3150, 8, **{f"{kind}_random_percent": 0.2})
    assert np.sqrt(np.mean(deviation**2)) == pytest.approx(0.2, rel=0.06)  # edges left out: not quite all of it
    hz, power = scipy.signal.periodogram(deviation, RATE, window="hann")
    inside = (hz >= band_hz[0] - 0.3) & (hz <= band_hz[1] + 0.3)
    assert power[inside].sum() > 0.995 * power.sum()


def test_nothing_drifts_and_the_length_stays():
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((1, 3 * RATE + 17)).astype("f4")
    swayed = sway(audio, RATE, **STILL | {"wow_random_percent": 1.0, "wow_percent": 0.5, "wow_hz": 1.0})
    assert swayed.shape == audio.shape
    # a whole turn of the wow apart, the displacement at both ends is the same
    lags = [
        int(np.argmax(scipy.signal.correlate(swayed[0, place], audio[0, place]))) - 1999
        for place in (slice(0, 2000), slice(3 * RATE - 2000, 3 * RATE))
    ]
    assert abs(lags[1] - lags[0]) <= 60  # 1.25 ms; 1 % for 3 s would be 1440


def test_channels_sway_together():
    audio = np.random.default_rng(0).standard_normal((1, 20000)).astype("f4")
    params = WowFlutter().draw(np.random.default_rng(2))
    both = sway(np.repeat(audio, 2, axis=0), RATE, **params)
    np.testing.assert_array_equal(both[0], both[1])
    np.testing.assert_array_equal(both[0], sway(audio, RATE, **params)[0])


def test_no_sway_returns_the_recording():
    audio = np.random.default_rng(0).standard_normal((1, 2000)).astype("f4")
    np.testing.assert_array_equal(sway(audio, RATE, **STILL), audio)
