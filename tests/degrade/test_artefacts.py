"""What a too eager denoiser leaves, measured back."""

import numpy as np
import pytest

from resound.degrade.artefacts import (
    Frames,
    MusicalNoise,
    add_musical_noise,
    cut_holes,
    dull,
    over_gate,
    with_gains,
)
from resound.errors import InputError
from signals import noise, speech_like

RATE = 16000


def speech(n_channels=1):
    return np.stack([speech_like(2.0, RATE, seed) for seed in range(n_channels)]).astype(np.float32)


def spectrum_db(audio):
    return 10 * np.log10(np.abs(Frames(RATE).spectra(audio)[0]) ** 2 + 1e-20)


@pytest.mark.parametrize("n_samples", [1, 3, 511, 512, 16001])
@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_gains_of_one_give_the_signal_back(n_samples, rate):
    audio = noise(1, n_samples, rms=0.3).astype(np.float32)[np.newaxis]
    np.testing.assert_allclose(with_gains(audio, rate, lambda power, _: np.ones_like(power)), audio, atol=3e-7)


def test_holes_are_as_deep_as_asked_for_and_leave_the_rest():
    white = noise(4, RATE, rms=0.1).astype(np.float32)[np.newaxis]
    params = {"holes_per_second": 3.0, "length_ms": 300.0, "width_octaves": 1.0, "seed": 5}
    removed_db = spectrum_db(cut_holes(white, RATE, depth_db=20.0, **params)) - spectrum_db(white)
    assert np.median(removed_db[removed_db < -15]) == pytest.approx(-20, abs=1)
    untouched = np.abs(removed_db) < 0.1
    assert 0.4 < untouched.mean() < 0.97


def test_more_holes_take_more():
    white = noise(4, RATE, rms=0.1).astype(np.float32)[np.newaxis]
    params = {"length_ms": 100.0, "width_octaves": 0.5, "depth_db": 60.0, "seed": 5}
    kept = [np.mean(cut_holes(white, RATE, holes_per_second=rate, **params) ** 2) for rate in (0.0, 5.0, 50.0)]
    assert kept[0] == pytest.approx(np.mean(white**2), rel=1e-5)
    assert kept[0] > kept[1] > kept[2]


def test_musical_noise_reaches_its_snr_and_is_sparse():
    clean = speech()
    noisy = add_musical_noise(clean, RATE, snr_db=25.0, density=0.005, db_per_octave=0.0, seed=3)
    tones = noisy - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(tones**2)) == pytest.approx(25, abs=0.01)
    # a tone is heard in its frame and, weaker, in the half-overlapping neighbours and bins
    power = np.abs(Frames(RATE).spectra(tones)[0]) ** 2
    share = np.mean(power > 0.05 * power.max())
    assert 0.005 < share < 0.05


def test_denser_musical_noise_fills_more_of_the_spectrogram():
    shares = []
    for density in (0.002, 0.02):
        tones = add_musical_noise(speech(), RATE, snr_db=0.0, density=density, db_per_octave=0.0, seed=1) - speech()
        power = np.abs(Frames(RATE).spectra(tones)[0]) ** 2
        shares.append(power.sum() ** 2 / np.sum(power**2))  # how many cells hold the energy
    assert shares[1] / shares[0] == pytest.approx(10, rel=0.4)


def test_musical_noise_on_silence_is_an_error_of_one_line():
    params = MusicalNoise(density=0.1).draw(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"^the signal is silent"):
        add_musical_noise(np.zeros((1, 4000), np.float32), RATE, **params)


def test_a_gate_lowers_what_is_weak_by_its_reduction_and_keeps_what_is_strong():
    time = np.arange(2 * RATE) / RATE
    strong, weak = np.sin(2 * np.pi * 1000 * time) * (time < 1), 0.01 * np.sin(2 * np.pi * 1000 * time) * (time >= 1)
    audio = (strong + weak).astype(np.float32)[np.newaxis]
    gated = over_gate(audio, RATE, threshold_db=-20.0, reduction_db=30.0, release_ms=0.0)
    late, early = slice(round(1.2 * RATE), round(1.8 * RATE)), slice(round(0.2 * RATE), round(0.8 * RATE))
    assert level_db(gated[0, late]) - level_db(audio[0, late]) == pytest.approx(-30, abs=0.5)
    assert level_db(gated[0, early]) - level_db(audio[0, early]) == pytest.approx(0, abs=0.05)


def test_a_slow_release_lets_the_tail_through():
    time = np.arange(RATE) / RATE
    tail = (np.sin(2 * np.pi * 1000 * time) * np.where(time < 0.3, 1.0, 0.01)).astype(np.float32)[np.newaxis]
    just_after = slice(round(0.37 * RATE), round(0.42 * RATE))
    levels = [
        level_db(over_gate(tail, RATE, threshold_db=-20.0, reduction_db=40.0, release_ms=ms)[0, just_after])
        for ms in (0.0, 400.0)
    ]
    assert levels[1] - levels[0] > 15


def test_dull_falls_by_its_slope_beyond_its_cutoff():
    white = noise(4, RATE, rms=0.1).astype(np.float32)[np.newaxis]
    result = dull(white, RATE, cutoff_hz=1500.0, db_per_octave=24.0, consonants_above_hz=7900.0, ratio=1.0)
    change_db = spectrum_db(result).mean(axis=0) - spectrum_db(white).mean(axis=0)
    frequencies = Frames(RATE).frequencies_hz
    assert np.interp(1500, frequencies, change_db) == pytest.approx(-3, abs=0.3)
    assert np.interp(6000, frequencies, change_db) - np.interp(3000, frequencies, change_db) == pytest.approx(
        -24, abs=1
    )


def test_weak_consonants_lose_more_than_strong_ones():
    hiss = noise(2, RATE, rms=0.1) * np.where(np.arange(2 * RATE) < RATE, 1.0, 0.1)
    audio = hiss.astype(np.float32)[np.newaxis]
    result = dull(audio, RATE, cutoff_hz=24000.0, db_per_octave=6.0, consonants_above_hz=500.0, ratio=2.0)
    per_frame_db = np.median((spectrum_db(result) - spectrum_db(audio))[:, 50:200], axis=1)
    # 20 dB weaker, 17 dB below the mean of both: that much is lost again at a ratio of 2
    assert np.median(per_frame_db[70:]) == pytest.approx(-17, abs=1)
    assert np.median(per_frame_db[:55]) == pytest.approx(0, abs=0.5)


def test_frequencies_above_nyquist_are_left_out():
    audio = noise(1, 8000, rms=0.1).astype(np.float32)[np.newaxis]
    result = dull(audio, 8000, cutoff_hz=20000.0, db_per_octave=48.0, consonants_above_hz=20000.0, ratio=3.0)
    np.testing.assert_allclose(result, audio, atol=1e-5)


def test_channels_share_one_gain_so_that_the_image_stays():
    left = speech()[0]
    audio = np.stack([left, 0.5 * left])
    gated = over_gate(audio, RATE, threshold_db=-15.0, reduction_db=30.0, release_ms=0.0)
    np.testing.assert_allclose(gated[1], 0.5 * gated[0], atol=1e-6)


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))
