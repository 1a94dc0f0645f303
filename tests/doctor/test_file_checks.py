"""Each fault of files, put into healthy files at three strengths, is named, and is not where its check is off."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from doctor.sets import RATE, clean_sounds, codes, evidence_in, findings_in, with_noise, write_pairs
from resound.doctor.catalogue import run_checks
from resound.doctor.settings import DoctorSettings
from signals import noise

N = 4


def found(folder, code):
    """Return what is found in a folder of pairs, and assert that it is not found where its check is off."""
    evidence = evidence_in(folder)
    assert code not in codes(run_checks("data", evidence, DoctorSettings(ignore=(code,))))
    return {finding.code: finding for finding in run_checks("data", evidence, DoctorSettings())}


def pairs_with(folder, change, *, sides="clean", n_changed=N):
    """Write pairs of which some files are changed."""
    clean = clean_sounds(N, 1.0)
    degraded = with_noise(clean, 10)
    changed = {"clean": clean, "degraded": degraded}[sides]
    changed[:n_changed] = [change(sound) for sound in changed[:n_changed]]
    write_pairs(folder, clean, degraded)


@pytest.mark.parametrize("rate", [16100, 22050, 48000])
def test_two_sample_rates_in_a_pair_are_named(tmp_path, rate):
    clean = clean_sounds(N, 1.0)
    write_pairs(tmp_path, clean, with_noise(clean, 10), (RATE, rate))
    assert found(tmp_path, "DATA03")["DATA03"].severity == "error"


@pytest.mark.parametrize("level_db", [-42, -60, -300])
def test_silent_files_are_named(tmp_path, level_db):
    pairs_with(tmp_path, lambda sound: sound * 10 ** (level_db / 20), n_changed=1)
    finding = found(tmp_path, "DATA05")["DATA05"]
    assert finding.value == pytest.approx(1 / (2 * N)) and "pair0.wav" in finding.message


@pytest.mark.parametrize("above_db", [3, 6, 12])
def test_clipped_clean_files_are_named(tmp_path, above_db):
    def clip(sound):
        limit = np.abs(sound).max() * 10 ** (-above_db / 20)
        return np.clip(sound, -limit, limit)

    pairs_with(tmp_path, clip)
    assert found(tmp_path, "DATA06")["DATA06"].value >= 0.5 * (above_db > 3)


@pytest.mark.parametrize("offset", [0.006, -0.02, 0.1])
def test_an_offset_is_named(tmp_path, offset):
    pairs_with(tmp_path, lambda sound: sound + offset)
    assert found(tmp_path, "DATA07")["DATA07"].value == pytest.approx(abs(offset), rel=0.05)


def cut_end(path):
    path.write_bytes(path.read_bytes()[:-2000])


def put_nan(path):
    sound, rate = soundfile.read(path)
    sound[1000] = np.nan
    soundfile.write(path, sound, rate, subtype="FLOAT")


@pytest.mark.parametrize("harm", [cut_end, put_nan, lambda path: path.write_bytes(b"")])
def test_files_that_cannot_be_used_are_named(tmp_path, harm):
    pairs_with(tmp_path, lambda sound: sound)
    harm(tmp_path / "clean" / "pair2.wav")
    finding = found(tmp_path, "DATA08")["DATA08"]
    assert finding.severity == "error" and finding.value == 1 and "pair2.wav" in finding.message


@pytest.mark.parametrize(
    ("second", "severity"),
    [(lambda sound: 0 * sound, "warning"), (lambda sound: 1e-5 * sound, "warning"), (lambda sound: sound, "info")],
)
def test_dead_and_doubled_channels_are_named(tmp_path, second, severity):
    clean = [np.stack([sound, second(sound)]) for sound in clean_sounds(N, 1.0)]
    write_pairs(tmp_path, clean, clean)
    assert found(tmp_path, "DATA09")["DATA09"].severity == severity


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_material_that_was_sampled_up_is_named(tmp_path, rate):
    from resound.audio.segments import resample

    slow = [noise(1.0, rate, 0.1, seed).astype(np.float32) for seed in range(N)]
    clean = [resample(sound[None], rate, 48000)[0] for sound in slow]
    write_pairs(tmp_path, clean, clean, 48000)
    assert found(tmp_path, "DATA10")["DATA10"].value == pytest.approx(rate / 48000, abs=0.03)


@pytest.mark.parametrize("snr_db", [16, 10, 3])
def test_noisy_clean_files_are_named(tmp_path, snr_db):
    clean = with_noise(clean_sounds(N, 3.0), snr_db)
    write_pairs(tmp_path, clean, clean)
    assert found(tmp_path, "DATA11")["DATA11"].value == pytest.approx(snr_db + 2, abs=3)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_healthy_files_are_left_alone(tmp_path, rate):
    clean = [sound + noise(2.0, rate, 1e-4, 7) for sound in clean_sounds(N, 2.0, rate)]
    write_pairs(tmp_path, clean, with_noise(clean, 5), rate)
    assert {"DATA03", "DATA05", "DATA06", "DATA07", "DATA08", "DATA09", "DATA11"} & set(
        codes(findings_in(tmp_path))
    ) == set()


@pytest.mark.parametrize("peak", [32768.0, 1e30])
def test_samples_far_above_full_scale_are_no_sound(tmp_path, peak):
    pairs_with(tmp_path, lambda sound: sound * peak, n_changed=1)
    message = found(tmp_path, "DATA08")["DATA08"].message
    assert message.startswith("1 of 8 files cannot be used as they are: clean/pair0.wav reaches ")


def test_files_that_fill_their_own_rate_are_not_narrow(tmp_path):
    clean = clean_sounds(N, 1.0)
    write_pairs(tmp_path, clean, with_noise(clean, 10), (RATE, RATE))
    evidence = evidence_in(tmp_path)
    fast = replace(evidence.clean_files[0], sample_rate=3 * RATE)
    fast = replace(fast, measured=replace(fast.measured, bandwidth_hz=1.5 * RATE))
    pairs = [replace(evidence.pairs[0], clean=fast), *evidence.pairs[1:]]
    found_codes = codes(run_checks("data", replace(evidence, pairs=pairs), DoctorSettings()))
    assert "DATA03" in found_codes and "DATA10" not in found_codes
