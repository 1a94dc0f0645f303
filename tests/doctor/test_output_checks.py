"""Each fault of outputs, put into healthy ones at three strengths, is named, and is not where its check is off."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import soundfile

from doctor.outputs import (
    Three,
    clipped_at,
    evidence_in,
    findings_of,
    healthy,
    low_passed,
    masked,
    moved,
    speech,
    stepped,
    syllables_lost,
    write_three,
)
from doctor.sets import RATE, clean_sounds, with_noise
from resound.doctor.seams import find_seams, jumps_of
from resound.doctor.settings import DoctorSettings


def found(three: Three, folder, code, *, has_clean=True):
    """Return the finding of a code, None where it is not found; assert that it is not where its check is off."""
    evidence = three.evidence(folder, has_clean=has_clean)
    assert code not in findings_of(evidence, ignore=(code,))
    return findings_of(evidence).get(code)


@pytest.mark.parametrize(("share", "severity"), [(0.65, "warning"), (0.8, "warning"), (0.9, "error")])
@pytest.mark.parametrize("has_clean", [True, False])
def test_over_suppression_is_named(tmp_path, share, severity, has_clean):
    three = speech(snr_db=10.0).with_output(lambda sound: syllables_lost(sound, share))
    assert found(three, tmp_path, "OUT01", has_clean=has_clean).severity == severity


@pytest.mark.parametrize(("kept", "severity"), [(0.93, "warning"), (0.96, "warning"), (1.0, "error")])
@pytest.mark.parametrize("has_clean", [True, False])
def test_doing_nothing_is_named(tmp_path, kept, severity, has_clean):
    three = speech()
    enhanced = [kept * d + (1 - kept) * e for d, e in zip(three.degraded, three.enhanced, strict=True)]
    assert found(replace(three, enhanced=enhanced), tmp_path, "OUT02", has_clean=has_clean).severity == severity


@pytest.mark.parametrize(("gain_db", "severity"), [(2, "warning"), (-4, "warning"), (-30, "error")])
@pytest.mark.parametrize("has_clean", [True, False])
def test_another_level_is_named(tmp_path, gain_db, severity, has_clean):
    three = speech().with_output(lambda sound: 10 ** (gain_db / 20) * sound)
    assert found(three, tmp_path, "OUT03", has_clean=has_clean).severity == severity


def test_levels_of_each_recording_by_itself_are_named(tmp_path):
    three = speech().with_output(lambda sound: 0.9 * sound / np.abs(sound).max())
    quieter = [sound * 10 ** (-4 * k / 20) for k, sound in enumerate(three.degraded)]
    clean = [sound * 10 ** (-4 * k / 20) for k, sound in enumerate(three.clean)]
    finding = found(replace(three, clean=clean, degraded=quieter), tmp_path, "OUT03")
    assert "each recording comes out at another level" in finding.message


@pytest.mark.parametrize(("n_samples", "severity"), [(3, "warning"), (-160, "warning"), (1600, "error")])
def test_a_delay_is_named_and_spoils_nothing_else(tmp_path, n_samples, severity):
    three = speech().with_output(lambda sound: moved(sound, n_samples))
    evidence = three.evidence(tmp_path)
    assert [finding.severity for finding in findings_of(evidence).values()] == [severity]
    assert findings_of(evidence, ignore=("OUT04",)) == {}
    assert evidence.outputs[0].delay_ms == pytest.approx(1000 * n_samples / RATE, abs=0.03)


def test_delays_of_each_output_by_itself_are_named(tmp_path):
    rng = np.random.default_rng(1)
    three = speech().with_output(lambda sound: moved(sound, int(rng.integers(-800, 800))))
    assert found(three, tmp_path, "OUT04").severity == "error"


def dipped(sound, seconds, depth_db):
    """Return sound with a dip of 20 ms at the end of each chunk."""
    position = np.arange(len(sound)) / RATE % seconds
    return np.where(position > seconds - 0.02, 10 ** (-depth_db / 20), 1.0) * sound


SEAMS = {
    "steps of 2 dB each 0.73 s": (0.73, lambda sound: stepped(sound, 0.73, 2)),
    "steps of 4 dB each 1.5 s": (1.5, lambda sound: stepped(sound, 1.5, 4)),
    "dips of 6 dB each 2 s": (2.0, lambda sound: dipped(sound, 2.0, 6)),
    "dips of 20 dB each 4.3 s": (4.3, lambda sound: dipped(sound, 4.3, 20)),
}


@pytest.fixture(scope="module")
def long_evidence(tmp_path_factory):
    """What doctor sees of healthy outputs of 24 s."""
    return speech(3, 24.0).evidence(tmp_path_factory.mktemp("long"))


def test_long_healthy_outputs_have_no_seams(long_evidence):
    assert findings_of(long_evidence) == {}


@pytest.mark.parametrize("name", SEAMS)
def test_seams_are_named_and_their_distance_found(long_evidence, name):
    period_seconds, harm = SEAMS[name]
    three = speech(3, 24.0)
    jumps = [jumps_of(one, harm(other), RATE) for one, other in zip(three.degraded, three.enhanced, strict=True)]
    outputs = [replace(facts, jumps=own) for facts, own in zip(long_evidence.outputs, jumps, strict=True)]
    evidence = replace(long_evidence, outputs=outputs)
    assert "OUT05" not in findings_of(evidence, ignore=("OUT05",))
    assert findings_of(evidence)["OUT05"].value == pytest.approx(period_seconds, rel=0.01)


@pytest.mark.parametrize("beat_seconds", [0.5, 0.25])
def test_a_beat_of_the_recording_is_no_seam(beat_seconds):
    """Drums under noise: what removes the noise lets each beat pass, and so changes its gain at each."""
    n, rng = round(beat_seconds * RATE), np.random.default_rng(3)
    beat = rng.standard_normal(n) * np.exp(-np.arange(n) / 800)
    clean = np.tile(beat, round(20 / beat_seconds))
    degraded = clean + 0.05 * rng.standard_normal(len(clean))
    found = find_seams([jumps_of(degraded, masked(degraded, clean, RATE), RATE)])
    assert found.strength < DoctorSettings().output.seam_strength


@pytest.mark.parametrize(("lost_db", "severity"), [(4, "warning"), (8, "warning"), (20, "error")])
def test_muted_quiet_recordings_are_named(tmp_path, lost_db, severity):
    quiet = speech(6)
    gains_db = np.linspace(0, -30, 6)
    sides = [
        [10 ** (g / 20) * s for g, s in zip(gains_db, side, strict=True)] for side in (quiet.clean, quiet.degraded)
    ]
    lost = [10 ** ((g + lost_db * g / 24) / 20) * s for g, s in zip(gains_db, quiet.enhanced, strict=True)]
    assert found(Three(*sides, lost), tmp_path, "OUT06").severity == severity


@pytest.mark.parametrize(("n_worse", "severity"), [(1, "warning"), (2, "error"), (3, "error")])
def test_recordings_that_get_worse_are_named(tmp_path, n_worse, severity):
    three = speech()
    noisier = with_noise(three.degraded, 3)
    three = replace(three, enhanced=[*noisier[:n_worse], *three.enhanced[n_worse:]])
    finding = found(three, tmp_path, "OUT07")
    assert finding.severity == severity and finding.value == pytest.approx(n_worse / 3, abs=1e-3)
    assert all(f"take{number} by" in finding.message for number in range(n_worse))


@pytest.mark.parametrize(("below_db", "n", "severity"), [(4, 1, "warning"), (6, 2, "error"), (12, 3, "error")])
def test_clipping_is_named(tmp_path, below_db, n, severity):
    three = speech().with_output(lambda sound: clipped_at(sound, below_db), n)
    assert found(three, tmp_path, "OUT08").severity == severity


def test_samples_above_full_scale_are_named(tmp_path):
    three = speech().with_output(lambda sound: 1.5 * sound / np.abs(sound).max())
    assert found(three, tmp_path, "OUT08").severity == "error"


@pytest.mark.parametrize("cutoff_hz", [5500, 4000, 2000])
@pytest.mark.parametrize("has_clean", [True, False])
def test_a_lost_band_is_named(tmp_path, cutoff_hz, has_clean):
    three = speech().with_output(lambda sound: low_passed(sound, cutoff_hz))
    evidence = three.evidence(tmp_path, has_clean=has_clean)
    assert "OUT09" not in findings_of(evidence, ignore=("OUT09",))
    assert findings_of(evidence)["OUT09"].value == pytest.approx(cutoff_hz, abs=400)


def test_an_output_of_a_lower_rate_has_lost_its_band(tmp_path):
    three = healthy(clean_sounds(2, 2.0, 48000), rate=48000)
    write_three(tmp_path, three)
    for path in (tmp_path / "enhanced").iterdir():
        sound = scipy.signal.resample_poly(soundfile.read(path)[0], 1, 3)
        soundfile.write(path, sound, 16000, subtype="FLOAT")
    evidence = evidence_in(tmp_path)
    assert findings_of(evidence)["OUT09"].value == 8000
    assert "take0 16000 instead of 48000 Hz" in evidence.notes[0]


@pytest.mark.parametrize(("n_wrong", "severity"), [(2, "warning"), (4, "error"), (6, "error")])
def test_references_of_other_recordings_are_named_as_such(tmp_path, n_wrong, severity):
    others, three = clean_sounds(12, 3.0)[6:], speech(6, 3.0)
    three = replace(three, clean=[*others[:n_wrong], *three.clean[n_wrong:]])
    finding = found(three, tmp_path, "OUT10")
    assert finding.severity == severity and "DATA01" in finding.message


@pytest.mark.parametrize("n_samples", [40, 400, 4000])
def test_shifted_references_are_named_as_such(tmp_path, n_samples):
    three = speech()
    three = replace(three, clean=[moved(sound, n_samples) for sound in three.clean])
    finding = found(three, tmp_path, "OUT10")
    assert finding.severity == "error" and "DATA02" in finding.message


def test_outputs_in_another_order_are_named_as_such(tmp_path):
    three = speech(6, 3.0)
    finding = found(replace(three, enhanced=three.enhanced[1:] + three.enhanced[:1]), tmp_path, "OUT10")
    assert finding.severity == "error" and "not the recording that went in" in finding.message


def test_a_gain_is_no_suppression(tmp_path):
    three = speech()
    three = replace(three, enhanced=[0.3 * sound for sound in three.degraded])
    assert findings_of(three.evidence(tmp_path)).keys() == {"OUT02", "OUT03"}


def test_of_a_model_that_reverses_polarity_that_alone_is_said(tmp_path):
    assert findings_of(speech().with_output(np.negative).evidence(tmp_path)).keys() == {"OUT11"}
