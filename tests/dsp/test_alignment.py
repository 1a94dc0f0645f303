import numpy as np
import pytest
import scipy.signal

from resound.dsp.alignment import delay_samples, find_delay, moved_earlier
from signals import music_like, noise, speech_like

RATE = 48000
HALF_A_SECOND = RATE // 2
FURTHEST = 1000


def cut(sound: np.ndarray, delay: int, n_samples: int = HALF_A_SECOND) -> tuple[np.ndarray, np.ndarray]:
    """Two excerpts with something in them, of which the second is ``delay`` samples later."""
    energy = np.cumsum(sound**2)
    start = FURTHEST + int(np.argmax((energy[n_samples:] - energy[:-n_samples])[FURTHEST:-FURTHEST]))
    return sound[start : start + n_samples], sound[start - delay : start - delay + n_samples]


def with_noise(sound: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return sound + rng.standard_normal(len(sound)) * np.sqrt(np.mean(sound**2)) * 10 ** (-snr_db / 20)


@pytest.mark.parametrize("delay", [0, 1, -1, 480, 902, -902])
@pytest.mark.parametrize("snr_db", [60, 10, 0])
def test_a_delay_is_found_to_the_sample_in_half_a_second_of_noisy_speech(delay, snr_db):
    reference, other = cut(speech_like(3, RATE, seed=3), delay)
    found = find_delay(reference, with_noise(other, snr_db, seed=delay + 1000), FURTHEST)
    assert found.samples == delay
    assert found.confidence > 0.2


@pytest.mark.parametrize("delay", [-700, 33])
def test_a_delay_is_found_in_music_at_a_steady_pitch(delay):
    reference, other = cut(music_like(3, RATE, seed=2), delay)
    assert delay_samples(reference, with_noise(other, 20, seed=1), FURTHEST) == delay


def test_a_delay_is_found_though_the_noise_is_gone_on_one_side():
    degraded = with_noise(speech_like(4, RATE, seed=5), 0, seed=6)
    _, _, frames = scipy.signal.stft(degraded, RATE, nperseg=1024)
    floor = 1.4 * np.median(np.abs(frames) ** 2, axis=1, keepdims=True)
    gain = np.clip(1 - 2 * floor / np.abs(frames) ** 2, 0, 1)  # as a spectral gate denoises
    denoised = scipy.signal.istft(gain * frames, RATE, nperseg=1024)[1]
    reference, other = degraded[RATE : RATE + HALF_A_SECOND], denoised[RATE - 377 : RATE - 377 + HALF_A_SECOND]
    found = find_delay(reference, other, FURTHEST)
    assert found.samples == 377
    assert found.confidence > 0.2


@pytest.mark.parametrize("cutoff_hz", [1000, 3400, 8000])
def test_a_low_pass_on_one_side_does_not_move_the_delay(cutoff_hz):
    sound = speech_like(4, RATE, seed=7)
    taps = scipy.signal.firwin(801, cutoff_hz, fs=RATE)  # linear phase: 400 samples late
    dulled = np.convolve(sound, taps)[400 : 400 + len(sound)]
    reference, other = sound[RATE : 2 * RATE], dulled[RATE - 480 : 2 * RATE - 480]
    assert delay_samples(reference, other, FURTHEST) == 480


def test_an_inverted_recording_has_the_same_delay_and_is_called_inverted():
    reference, other = cut(speech_like(3, RATE, seed=8), 250)
    assert find_delay(reference, -other, FURTHEST)[:1] == (250,)
    assert find_delay(reference, -other, FURTHEST).inverted
    assert not find_delay(reference, other, FURTHEST).inverted


def test_channels_that_cancel_each_other_are_still_aligned():
    reference, other = cut(speech_like(3, RATE, seed=9), 77)
    assert delay_samples(np.stack([reference, -reference]), np.stack([other, -other]), FURTHEST) == 77


@pytest.mark.parametrize("seed", range(4))
def test_unrelated_recordings_have_no_confidence(seed):
    one, other = (cut(speech_like(3, RATE, seed=number), 0)[0] for number in (seed, 50 + seed))
    assert find_delay(one, other, FURTHEST).confidence < 0.2
    assert find_delay(noise(0.5, RATE, seed=seed), noise(0.5, RATE, seed=70 + seed), FURTHEST).confidence < 0.2


def test_a_delay_out_of_reach_has_no_confidence():
    reference, other = cut(speech_like(3, RATE, seed=3), 3000)
    assert find_delay(reference, other, FURTHEST).confidence < 0.2
    assert find_delay(reference, other, 4000).samples == 3000


def test_a_steady_tone_has_no_confidence():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    one, other = with_noise(tone, 40, seed=1), with_noise(np.roll(tone, 10), 40, seed=2)
    assert find_delay(one, other, FURTHEST).confidence < 0.1


@pytest.mark.parametrize("fraction", [-0.4, 0.25])
def test_a_part_of_a_sample_is_found(fraction):
    sound = noise(1, RATE, seed=4)
    frequencies = np.fft.rfftfreq(RATE)
    shift = np.exp(-2j * np.pi * frequencies * (100 + fraction)) * (frequencies < 0.2)  # band-limited: a parabola fits
    other = np.fft.irfft(np.fft.rfft(sound) * shift)
    found = find_delay(np.fft.irfft(np.fft.rfft(sound) * (frequencies < 0.2)), other, FURTHEST)
    assert found.samples + found.fraction == pytest.approx(100 + fraction, abs=0.1)


@pytest.mark.parametrize("n_samples", [0, 1, 3, 31, 32, 100])
def test_what_is_too_short_or_silent_has_no_delay(n_samples):
    silence = np.zeros(n_samples, np.float32)
    assert find_delay(silence, silence, FURTHEST) == (0, 0.0, False, 0.0)
    assert find_delay(silence + 0.5, silence, FURTHEST).samples == 0
    assert abs(find_delay(noise(1, RATE)[:n_samples], silence, FURTHEST).samples) <= max(0, n_samples - 1)


def test_moving_earlier_undoes_a_delay_and_keeps_the_length():
    audio = np.arange(1, 6, dtype=np.float32)[None]
    assert moved_earlier(audio, 2).tolist() == [[3, 4, 5, 0, 0]]
    assert moved_earlier(audio, -2).tolist() == [[0, 0, 1, 2, 3]]
    assert moved_earlier(audio, 9).tolist() == [[0, 0, 0, 0, 0]]
    assert audio.tolist() == [[1, 2, 3, 4, 5]]
