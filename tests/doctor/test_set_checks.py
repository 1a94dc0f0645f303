"""Faults of a set as a whole, each at three strengths, and sets without."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from doctor.sets import RATE, clean_sounds, codes, with_noise, write_pairs
from resound.doctor.catalogue import run_checks
from resound.doctor.data_evidence import Amount, DataEvidence, Shares, Validation
from resound.doctor.pair_lists import Pair, PairList
from resound.doctor.settings import DoctorSettings
from resound.doctor.splits import splits_of
from resound.doctor.training_data import TrainingData, evidence_of_sums, evidence_of_training, with_asked
from resound.mixing.config import mixing_from

SETTINGS = DoctorSettings()


def found(evidence, code):
    """Return the finding of a code, None for none; with the check off there is none anyway."""
    assert code not in codes(run_checks("data", evidence, DoctorSettings(ignore=(code,))))
    return next((finding for finding in run_checks("data", evidence, SETTINGS) if finding.code == code), None)


@pytest.fixture
def two_parts(tmp_path):
    """Return six files of speech to train on, and six others to validate on."""
    sounds = clean_sounds(12, 4.0)
    write_pairs(tmp_path, sounds[:6], sounds[6:])
    return [sorted((tmp_path / side).glob("*.wav")) for side in ("clean", "degraded")]


def leak(train, valid, speakers=({"a"}, {"b"})):
    return found(DataEvidence(splits=splits_of(train, valid, speakers, SETTINGS)), "DATA12")


def test_independent_parts_are_left_alone(two_parts):
    assert leak(*two_parts) is None


def test_a_common_speaker_is_named(two_parts):
    finding = leak(*two_parts, ({"a", "b"}, {"b", "c"}))
    assert (finding.severity, finding.value) == ("warning", 1) and "b" in finding.message


def test_a_common_file_is_named(two_parts):
    train, valid = two_parts
    assert leak([*train, valid[0]], valid).severity == "error"


def test_a_copy_under_another_name_is_named(two_parts):
    train, valid = two_parts
    copy = train[0].with_name("other.wav")
    copy.write_bytes(valid[3].read_bytes())
    assert "other.wav in train is pair3.wav in validation" in leak([*train, copy], valid).message


@pytest.mark.parametrize("change", ["quieter", "later", "noisy"])
def test_the_same_sound_in_other_bytes_is_named(two_parts, change):
    train, valid = two_parts
    sound = clean_sounds(12, 4.0)[8]
    changed = {
        "quieter": lambda: 0.3 * sound,
        "later": lambda: np.concatenate([0 * sound[:5000], sound[:-7000]]),
        "noisy": lambda: with_noise([sound], 10)[0],
    }[change]()
    twin, _ = write_pairs(train[0].parent / "more", [changed], [changed])
    assert "marks at one offset" in leak([*train, twin / "pair0.wav"], valid).message


@pytest.mark.parametrize(
    ("hours", "is_fixed"), [(4.9, True), (0.9, True), (0.1, True), (0.4, False), (0.1, False), (0.01, False)]
)
def test_too_little_data_is_named(hours, is_fixed):
    finding = found(DataEvidence(amount=Amount(hours, 50, 800, is_fixed, 1_470_000)), "DATA13")
    assert finding.value == hours and "1,470,000 parameters" in finding.message
    assert ("N x N mixtures" in finding.remedy) == is_fixed


@pytest.mark.parametrize("n_speakers", [7, 3, 1])
def test_too_few_speakers_are_named(n_speakers):
    assert found(DataEvidence(amount=Amount(20, n_speakers, 800, False)), "DATA13").value == n_speakers


def test_enough_data_are_left_alone():
    assert found(DataEvidence(amount=Amount(20, 100, 20_000, True, 5_000_000)), "DATA13") is None
    assert found(DataEvidence(amount=Amount(1, None, 20_000, False)), "DATA13") is None


WSJ = SimpleNamespace(corpus="WSJ0-2mix", hours=30, n_utterances=20_000, n_speakers=101)


@pytest.mark.parametrize(("hours", "n_speakers"), [(2.9, 101), (0.6, 101), (20, 10)])
def test_much_less_than_was_published_with_is_told(hours, n_speakers):
    finding = found(DataEvidence(amount=Amount(hours, n_speakers, 800, False, 5_050_545, WSJ)), "DATA13")
    assert finding.severity == "info"
    assert "published with 30 h (20,000 utterances, 101 speakers) of WSJ0-2mix" in finding.message


def test_a_tenth_of_what_was_published_with_is_left_alone():
    assert found(DataEvidence(amount=Amount(3.1, 11, 800, False, 5_050_545, WSJ)), "DATA13") is None


def test_examples_that_come_again_in_every_epoch_are_a_fixed_set(speech_corpus):
    config = mixing_from(
        {"task": "separate", "speech": {"corpus": str(speech_corpus)}, "segment_seconds": 2, "n_examples": 8}
    )
    data = TrainingData(config, is_repeated=True)
    amount = evidence_of_training(data, DoctorSettings(n_examples=4), n_jobs=1).amount
    assert amount.is_fixed and amount.n_distinct == 8 and amount.hours == pytest.approx(16 / 3600, abs=1e-4)


def profile(**values):
    usual = {"full_snr_db": 20.0, "tilt_db_per_octave": -3.0, "bandwidth_hz": 6000.0, "crackle": None, "hum": None}
    return SimpleNamespace(**(usual | values))


def crackle(per_second):
    return SimpleNamespace(per_second=per_second)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        *(({"full_snr_db": snr_db}, "SNR") for snr_db in (11, 5, -5)),
        *(({"tilt_db_per_octave": tilt}, "an octave") for tilt in (-7.5, -10, 3)),
        *(({"bandwidth_hz": end}, "bandwidth") for end in (3500, 2000, 14000)),
        *(({"crackle": crackle(rate)}, "ticks") for rate in (2, 10, 100)),
        *(({"hum": SimpleNamespace(level_db=level)}, "hum") for level in (-34, -25, -10)),
    ],
)
def test_degradations_unlike_the_target_are_named(target, said):
    both = SimpleNamespace(target=[profile(**target)], training=profile(), snr_db=20.0)
    assert said in found(DataEvidence(resemblance=both), "DATA15").message


def test_degradations_like_the_target_are_left_alone():
    both = SimpleNamespace(
        target=[profile(full_snr_db=24.0, crackle=crackle(9))], training=profile(crackle=crackle(6)), snr_db=20.0
    )
    assert found(DataEvidence(resemblance=both), "DATA15") is None


@pytest.mark.parametrize("gain", [1.02, 1.5, 0.1])
def test_a_mixture_that_is_not_the_sum_is_named(tmp_path, gain):
    sounds = clean_sounds(8, 1.0)
    write_pairs(tmp_path, sounds[:4], sounds[4:])
    mixtures = [gain * (one + other) for one, other in zip(sounds[:4], sounds[4:], strict=True)]
    write_pairs(tmp_path / "mixed", mixtures, mixtures)
    evidence = evidence_of_sums(tmp_path / "mixed/clean", [tmp_path / "clean", tmp_path / "degraded"], SETTINGS)
    assert found(evidence, "DATA16").value == pytest.approx(20 * np.log10(abs(1 - 1 / gain)), abs=0.1)
    write_pairs(tmp_path / "mixed", [mixture / gain for mixture in mixtures], mixtures)
    evidence = evidence_of_sums(tmp_path / "mixed/clean", [tmp_path / "clean", tmp_path / "degraded"], SETTINGS)
    assert found(evidence, "DATA16") is None


@pytest.mark.parametrize("n_examples", [40, 12, 2])
def test_a_validation_that_tells_nothing_apart_is_named(n_examples):
    assert "tell two models apart" in found(DataEvidence(validation=Validation(n_examples, 0.1)), "DATA17").message


@pytest.mark.parametrize("cost", [1.1, 3, 100])
def test_a_validation_that_takes_longer_than_training_is_named(cost):
    assert found(DataEvidence(validation=Validation(100, cost)), "DATA17").value == cost


def test_a_validation_of_the_right_size_is_left_alone():
    assert found(DataEvidence(validation=Validation(60, 0.9)), "DATA17") is None


@pytest.mark.parametrize(("music", "severity"), [(0.14, "warning"), (0.05, "warning"), (0.0, "error")])
def test_other_shares_than_asked_for_are_named(music, severity):
    shares = Shares({"speech": 0.8, "music": 0.2}, {"speech": 1 - music, "music": music})
    assert found(DataEvidence(shares=shares), "DATA20").severity == severity


def test_the_shares_asked_for_are_left_alone():
    shares = Shares({"speech": 0.8, "music": 0.2}, {"speech": 0.82, "music": 0.18})
    assert found(DataEvidence(shares=shares), "DATA20") is None


def test_material_that_nobody_gave_is_told():
    assert found(DataEvidence(shares=Shares({}, {}, ["effects"])), "DATA20").severity == "info"


def config_of(speech, music, **others):
    values = {
        "sample_rate": 8000,
        "segment_seconds": 2,
        "n_examples": 40,
        "clean": [
            {"corpus": str(speech), "domain": "speech", "share": 0.75},
            {"corpus": str(music), "domain": "music", "share": 0.25},
        ],
        "chain": [{"hiss": {"snr_db": [5, 15]}}],
    }
    return mixing_from(values | others)


def test_a_training_without_fault_has_no_error(speech_corpus, music_corpus):
    data = TrainingData(config_of(speech_corpus, music_corpus), judged=Validation(100, 0.2))
    evidence = evidence_of_training(data, DoctorSettings(n_examples=12), n_jobs=1)
    findings = run_checks("data", evidence, SETTINGS)
    assert codes(findings, "error") == [] and codes(findings) == ["DATA13"]  # 22 s of clean sound
    asked = [pair.asked_snr_db - pair.gain.snr_db for pair in evidence.pairs]
    assert np.abs(asked).max() < 0.5


@pytest.mark.parametrize(("inputs", "is_asked"), [(["degraded"], True), (["denoised", "degraded"], False)])
def test_the_snr_asked_for_is_that_of_the_recording_not_of_what_a_denoiser_left(tmp_path, inputs, is_asked):
    record = {"files": {"clean": {"path": "clean/0.wav"}}, "recipe": {"chain": [{"hiss": {"snr_db": 5.0}}]}}
    (tmp_path / "examples.jsonl").write_text(json.dumps(record) + "\n")
    config = mixing_from({"task": "pairs", "pairs": [str(tmp_path / "manifest.jsonl")], "inputs": inputs})
    pair = Pair("0", tmp_path / "clean" / "0.wav", tmp_path / inputs[0] / "0.wav")
    (told,) = with_asked(PairList([pair], []), config).pairs
    assert told.asked_snr_db == (5.0 if is_asked else None)


def test_a_training_that_inverts_is_told(speech_corpus, music_corpus):
    config = config_of(
        speech_corpus, music_corpus, chain=[{"polarity": {}, "target": "clean"}, {"hiss": {"snr_db": 10}}]
    )
    evidence = evidence_of_training(TrainingData(config), DoctorSettings(n_examples=12), n_jobs=1)
    assert found(evidence, "DATA19").severity == "error"


def test_mixtures_of_a_training_are_the_sum_of_their_sources(speech_corpus):
    config = mixing_from({"task": "separate", "speech": {"corpus": str(speech_corpus)}, "segment_seconds": 2})
    evidence = evidence_of_training(TrainingData(config), DoctorSettings(n_examples=6), n_jobs=1)
    assert len(evidence.sums_db) == 6 and found(evidence, "DATA16") is None
    assert found(replace(evidence, sums_db=[-20.0] * 6), "DATA16").severity == "error"


def test_the_rate_of_the_training_counts(tmp_path):
    clean = clean_sounds(4, 1.0)
    folders = write_pairs(tmp_path, clean, with_noise(clean, 10))
    config = mixing_from({"task": "pairs", "clean": str(folders[0]), "degraded": str(folders[1]), "sample_rate": 48000})
    evidence = evidence_of_training(TrainingData(config), SETTINGS, n_jobs=1)
    assert evidence.wanted_rate == 48000 and RATE == 16000
    assert found(evidence, "DATA03").severity == "info"
