"""Twelve kinds of healthy outputs: none of them has an error, nor a warning."""

import numpy as np
import pytest
import scipy.signal

from doctor.outputs import Three, findings_of, healthy, masked, speech
from doctor.sets import RATE, clean_sounds, music_sounds, with_noise
from doctor.test_healthy_sets import through_room
from resound.inference.pipeline import restore
from signals import noise


def by_classic(clean, snr_db):
    degraded = with_noise(clean, snr_db)
    return Three(list(clean), degraded, [restore(sound, RATE, "classic") for sound in degraded])


def reverberant():
    """Return speech in a room, the noise removed and the room kept, as the clean side has it."""
    return healthy(through_room(clean_sounds(3, 2.0)))


def quiet():
    three = speech()
    return Three(*([0.003 * sound for sound in side] for side in (three.clean, three.degraded, three.enhanced)))


def other_levels():
    """Return recordings from -20 to -50 dBFS, each as well restored as the others."""
    three = healthy(clean_sounds(6, 2.0))
    gains = 10 ** (-np.arange(6) * 6 / 20)
    return Three(
        *([g * s for g, s in zip(gains, side, strict=True)] for side in (three.clean, three.degraded, three.enhanced))
    )


def already_clean():
    clean = clean_sounds(3, 2.0)
    return Three(clean, clean, clean)


def clipped_before():
    """Return recordings that clip before and after: the tool is not to blame."""
    clean = clean_sounds(3, 2.0)
    degraded = [np.clip(sound + noise(2.0, RATE, 0.02, 3), -0.2, 0.2) for sound in clean]
    return Three(
        clean,
        degraded,
        degraded[:0] + [np.clip(masked(d, c, RATE), -0.2, 0.2) for d, c in zip(degraded, clean, strict=True)],
    )


def narrow_before():
    sections = scipy.signal.ellip(10, 0.1, 80, 3400, fs=RATE, output="sos")
    clean = [scipy.signal.sosfiltfilt(sections, sound) for sound in clean_sounds(3, 2.0)]
    return healthy(clean, 20.0)


OUTPUTS = {
    "speech at 5 dB": speech,
    "speech at -5 dB": lambda: healthy(clean_sounds(3, 2.0), -5.0),
    "music": lambda: healthy(music_sounds(2, 3.0)),
    "8 kHz": lambda: healthy(clean_sounds(3, 2.0, 8000), rate=8000),
    "48 kHz": lambda: healthy(clean_sounds(2, 2.0, 48000), rate=48000),
    "half a second": lambda: Three(
        *([s[16000:24000] for s in side] for side in (speech().clean, speech().degraded, speech().enhanced))
    ),
    "quiet": quiet,
    "many levels": other_levels,
    "the classic chain": lambda: by_classic(clean_sounds(2, 4.0), 15.0),
    "reverberant": reverberant,
    "narrow before": narrow_before,
    "already clean": already_clean,
    "clipped before": clipped_before,
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_healthy_outputs_are_left_alone(tmp_path, name):
    findings = findings_of(OUTPUTS[name]().evidence(tmp_path))
    assert not findings, findings


@pytest.mark.parametrize("name", ["speech at -5 dB", "music", "many levels", "the classic chain", "reverberant"])
def test_healthy_outputs_are_left_alone_without_a_clean_side(tmp_path, name):
    findings = findings_of(OUTPUTS[name]().evidence(tmp_path, has_clean=False))
    assert not findings, findings
