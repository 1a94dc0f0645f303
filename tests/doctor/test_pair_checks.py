"""Each fault of pairs, put into healthy material at three strengths, is named; healthy material is not."""

import numpy as np
import pytest
import scipy.signal

from doctor.sets import (
    RATE,
    clean_sounds,
    codes,
    evidence_in,
    findings_in,
    with_noise,
    write_pairs,
)
from resound.doctor.catalogue import run_checks
from resound.doctor.settings import DoctorSettings

N = 8


def moved(sound, n_samples):
    """Return ``(time,)`` later by ``n_samples``, of the same length."""
    return np.roll(np.pad(sound, (0, abs(n_samples))), n_samples)[: len(sound)] if n_samples >= 0 else np.concatenate(
        [sound[-n_samples:], np.zeros(-n_samples)]
    )  # fmt: skip


def found(folder, clean, degraded, code, **settings):
    """Return what is found, and assert that it is not found where its check is off."""
    write_pairs(folder, clean, degraded)
    evidence = evidence_in(folder)
    off = DoctorSettings(ignore=(code,), **settings)
    assert code not in codes(run_checks("data", evidence, off))
    return {finding.code: finding for finding in run_checks("data", evidence, DoctorSettings(**settings))}


@pytest.mark.parametrize(("n_wrong", "severity"), [(3, "warning"), (5, "error"), (8, "error")])
def test_pairs_of_two_recordings_are_named(tmp_path, n_wrong, severity):
    clean = clean_sounds(2 * N, 3.0)
    degraded = with_noise([clean[k + N] if k < n_wrong else clean[k] for k in range(N)], 5)
    finding = found(tmp_path, clean[:N], degraded, "DATA01")["DATA01"]
    assert finding.severity == severity
    assert finding.value == pytest.approx(n_wrong / N, abs=0.15)


def test_no_gain_is_told_of_pairs_that_are_none(tmp_path):
    clean = clean_sounds(2 * N, 3.0)
    degraded = [0.3 * d for d in with_noise([clean[k + N] if k < 5 else clean[k] for k in range(N)], 5)]
    told = found(tmp_path, clean[:N], degraded, "DATA01")
    assert told["DATA01"].severity == "error" and "DATA18" not in told


@pytest.mark.parametrize("n_samples", [3, -40, 4000])
def test_a_shift_is_named_to_the_sample(tmp_path, n_samples):
    clean = clean_sounds(N)
    finding = found(tmp_path, clean, with_noise([moved(c, n_samples) for c in clean], 0), "DATA02")["DATA02"]
    assert finding.severity == ("error" if abs(n_samples) > RATE / 1000 else "warning")
    assert finding.value == pytest.approx(1000 * n_samples / RATE, abs=0.03)
    assert f"{abs(n_samples)} samples" in finding.message


@pytest.mark.parametrize("most", [60, 400, 4000])
def test_shifts_of_each_pair_by_itself_are_named(tmp_path, most):
    clean, rng = clean_sounds(N), np.random.default_rng(3)
    degraded = [moved(c, int(rng.integers(-most, most))) for c in clean]
    finding = found(tmp_path, clean, with_noise(degraded, 10), "DATA02")["DATA02"]
    assert finding.severity == "error" and "each by its own delay" in finding.message


@pytest.mark.parametrize("n_samples", [20, 200, 2000])
def test_other_lengths_are_named(tmp_path, n_samples):
    clean = clean_sounds(N)
    degraded = [np.pad(c, (0, n_samples)) for c in with_noise(clean, 10)]
    finding = found(tmp_path, clean, degraded, "DATA04")["DATA04"]
    assert finding.value == pytest.approx(1000 * n_samples / RATE, abs=0.01)
    assert finding.severity == ("error" if n_samples == 2000 else "warning")


@pytest.mark.parametrize("beyond_db", [3, 8, 20])
def test_another_snr_than_asked_for_is_named(tmp_path, beyond_db):
    clean = clean_sounds(N)
    finding = found(tmp_path, clean, with_noise(clean, 20 + beyond_db), "DATA14", data={"snr_db": (0, 20)})["DATA14"]
    assert finding.value == pytest.approx(beyond_db, abs=0.5)


@pytest.mark.parametrize("gain_db", [1.3, -3, 12])
def test_a_gain_between_the_sides_is_named(tmp_path, gain_db):
    clean = clean_sounds(N)
    degraded = [10 ** (gain_db / 20) * c for c in with_noise(clean, 5)]
    assert found(tmp_path, clean, degraded, "DATA18")["DATA18"].value == pytest.approx(gain_db, abs=0.2)


@pytest.mark.parametrize(("n_inverted", "severity"), [(1, "warning"), (3, "warning"), (8, "error")])
def test_an_inverted_side_is_named(tmp_path, n_inverted, severity):
    clean = clean_sounds(N)
    degraded = [-c if k < n_inverted else c for k, c in enumerate(with_noise(clean, 0))]
    finding = found(tmp_path, clean, degraded, "DATA19")["DATA19"]
    assert (finding.severity, finding.value) == (severity, n_inverted / N)


def filtered(sounds, *arguments, **keywords):
    sections = scipy.signal.butter(*arguments, fs=RATE, output="sos", **keywords)
    return [scipy.signal.sosfiltfilt(sections, sound) for sound in sounds]


def reverberant(sounds):
    tail = np.random.default_rng(5).standard_normal(RATE // 2) * np.exp(-np.arange(RATE // 2) / 1500) * 0.1
    response = np.concatenate([[1.0], tail])
    return [scipy.signal.fftconvolve(sound, response)[: len(sound)] for sound in sounds]


PROCESSED = {
    "nothing": list,
    "telephone": lambda sounds: filtered(sounds, 4, [300, 3400], btype="band"),
    "reverberant": reverberant,
    "clipped": lambda sounds: [np.clip(sound, -0.1, 0.1) for sound in sounds],
    "few bits": lambda sounds: [np.round(16 * sound) / 16 for sound in sounds],
}


@pytest.mark.parametrize("name", PROCESSED)
def test_processed_pairs_are_the_same_recording(tmp_path, name):
    clean = clean_sounds(N)
    write_pairs(tmp_path, clean, PROCESSED[name](clean))
    assert not {"DATA01", "DATA02", "DATA19"} & set(codes(findings_in(tmp_path)))
