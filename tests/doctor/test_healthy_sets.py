"""Twenty-four different healthy sets: of none there is anything to say, beside what is listed with its reason."""

import numpy as np
import pytest
import scipy.signal

from doctor.healthy import SAID
from doctor.sets import clean_sounds, codes, findings_in, music_sounds, with_noise, write_pairs
from signals import noise

N = 4


def through_room(sounds, rate=16000, seconds=0.6):
    n = round(seconds * rate)
    tail = 0.08 * np.random.default_rng(5).standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    return [scipy.signal.fftconvolve(sound, np.concatenate([[1.0], tail]))[: len(sound)] for sound in sounds]


def band_of(sounds, low_hz, high_hz, rate=16000):
    sections = scipy.signal.butter(4, [low_hz, high_hz], "band", fs=rate, output="sos")
    return [scipy.signal.sosfilt(sections, sound) for sound in sounds]


def with_silence(sounds):
    """Return each with as much silence before and behind it."""
    return [np.pad(sound, len(sound)) for sound in sounds]


def gated(sounds):
    """Return sounds after a denoiser that closes in every pause."""
    quiet = [np.abs(scipy.signal.lfilter([0.01], [1, -0.99], np.abs(sound))) < 0.02 for sound in sounds]
    return [np.where(is_quiet, 0.05 * sound, sound) for is_quiet, sound in zip(quiet, sounds, strict=True)]


def stereo(sounds):
    return [np.stack([sound, 0.7 * sound + noise(len(sound) / 16000, 16000, 1e-3, 3)]) for sound in sounds]


def pair(clean, degraded=None, rate=16000):
    return clean, clean if degraded is None else degraded, rate


SETS = {
    "nothing was done": lambda: pair(clean_sounds(N)),
    "20 dB": lambda: pair(clean_sounds(N), with_noise(clean_sounds(N), 20)),
    "0 dB": lambda: pair(clean_sounds(N), with_noise(clean_sounds(N), 0)),
    "-10 dB": lambda: pair(clean_sounds(N, 4.0), with_noise(clean_sounds(N, 4.0), -10)),
    "music": lambda: pair(music_sounds(N)),
    "music at 0 dB": lambda: pair(music_sounds(N), with_noise(music_sounds(N), 0)),
    "music as noise": lambda: pair(
        clean_sounds(N), [a + b for a, b in zip(clean_sounds(N), music_sounds(N), strict=True)]
    ),
    "another voice as noise": lambda: pair(
        clean_sounds(N), [a + b for a, b in zip(clean_sounds(N), clean_sounds(2 * N)[N:], strict=True)]
    ),
    "reverberant": lambda: pair(clean_sounds(N), through_room(clean_sounds(N))),
    "very reverberant": lambda: pair(clean_sounds(N), through_room(clean_sounds(N), seconds=2.0)),
    "reverberant at 5 dB": lambda: pair(clean_sounds(N), with_noise(through_room(clean_sounds(N)), 5)),
    "a telephone": lambda: pair(clean_sounds(N), band_of(clean_sounds(N), 300, 3400)),
    "dull": lambda: pair(clean_sounds(N), band_of(clean_sounds(N), 50, 2000)),
    "clipped degraded side": lambda: pair(clean_sounds(N), [np.clip(s, -0.05, 0.05) for s in clean_sounds(N)]),
    "few bits": lambda: pair(clean_sounds(N), [np.round(32 * s) / 32 for s in clean_sounds(N)]),
    "gated": lambda: pair(clean_sounds(N), gated(with_noise(clean_sounds(N), 10))),
    "8 kHz": lambda: pair(clean_sounds(N, rate=8000), with_noise(clean_sounds(N, rate=8000), 5), 8000),
    "48 kHz": lambda: pair(clean_sounds(N, rate=48000), with_noise(clean_sounds(N, rate=48000), 5), 48000),
    "half a second": lambda: pair(
        [s[12000:20000] for s in clean_sounds(N)], [s[12000:20000] for s in with_noise(clean_sounds(N), 5)]
    ),
    "much silence": lambda: pair(
        with_silence(clean_sounds(N, 1.0)), with_silence(with_noise(clean_sounds(N, 1.0), 10))
    ),
    "stereo": lambda: pair(stereo(clean_sounds(N)), stereo(with_noise(clean_sounds(N), 10))),
    "a single pair": lambda: pair(clean_sounds(1), with_noise(clean_sounds(1), 5)),
    "one recording in four noises": lambda: pair([clean_sounds(1)[0]] * N, with_noise([clean_sounds(1)[0]] * N, 0)),
    "a hum in all": lambda: pair(
        clean_sounds(N), [s + 0.05 * np.sin(2 * np.pi * 50 * np.arange(len(s)) / 16000) for s in clean_sounds(N)]
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_a_healthy_set_has_no_error(tmp_path, name):
    clean, degraded, rate = SETS[name]()
    write_pairs(tmp_path, clean, degraded, rate)
    findings = findings_in(tmp_path)
    assert codes(findings, "error") == []
    assert set(codes(findings)) == SAID.get(name, set()), findings
