"""What is in a corpus: hours, speakers, rates, bandwidths; and whether it is still so."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from conftest import write_wav
from resound.corpora.check import check
from resound.corpora.manifest import Manifest, Recording
from resound.corpora.scan import ScanOptions, scan
from resound.corpora.show import N_SAMPLED, summarise


def recording(path: str, seconds: float, **values: object) -> Recording:
    return Recording(path, round(seconds * 16000), 16000, **values)


def test_hours_speakers_and_rates_are_summed_by_domain_and_split(tmp_path):
    speech = [
        recording("a", 3600, domain="speech", speaker="anna", split="train", language="de", bandwidth_hz=7000.0),
        recording("b", 1800, domain="speech", speaker="anna", split="train", language="en", bandwidth_hz=8000.0),
        recording("c", 900, domain="speech", speaker="ben", split="valid", licence="CC0", bandwidth_hz=4000.0),
    ]
    noise = [Recording("d", 48000 * 36, 48000, domain="noise", split="train", licence="CC0", bandwidth_hz=20000.0)]
    summary = summarise([Manifest(tmp_path, speech), Manifest(tmp_path, noise)])
    assert [(r.domain, r.split, r.n_files, r.hours, r.n_speakers, r.sample_rates) for r in summary.rows] == [
        ("noise", "train", 1, 0.01, 0, [48000]),
        ("speech", "train", 2, 1.5, 1, [16000]),
        ("speech", "valid", 1, 0.25, 1, [16000]),
    ]
    assert (summary.total.n_files, summary.total.hours, summary.total.n_speakers) == (4, 1.76, 2)
    assert summary.language_hours == {"de": 1.0, "en": 0.5, "unknown": 0.25}
    assert summary.licence_hours == {"unknown": 1.5, "CC0": 0.26}
    assert {item.domain: (item.median_hz, item.n_measured) for item in summary.bandwidths} == {
        "noise": (20000, 1), "speech": (7000, 3)
    }  # fmt: skip


def test_bandwidths_that_no_manifest_holds_are_measured_on_a_seeded_sample(tmp_path):
    narrow = soxr.resample(0.1 * np.random.default_rng(0).standard_normal(4000), 8000, 48000)[None]
    for number in range(N_SAMPLED + 5):
        write_wav(tmp_path / f"{number}.wav", narrow, rate=48000)
    manifest = scan(tmp_path, ScanOptions(domain="noise")).manifest
    (found,) = summarise([manifest], seed=1).bandwidths
    assert (found.n_measured, found.n_files) == (N_SAMPLED, N_SAMPLED + 5)
    assert found.median_hz == pytest.approx(4000, abs=250)
    assert summarise([manifest], seed=1) == summarise([manifest], seed=1)


def test_what_cannot_be_sampled_any_more_is_left_out(tmp_path):
    summary = summarise([Manifest(tmp_path, [recording("gone.wav", 1, domain="noise")])])
    assert summary.bandwidths == []
    assert summarise([Manifest(tmp_path, [])]).rows == []


def test_a_check_finds_what_is_gone_changed_or_named_twice(tmp_path):
    for name in "abc":
        write_wav(tmp_path / f"{name}.wav")
    manifest = scan(tmp_path, ScanOptions(domain="noise")).manifest
    assert check(manifest).is_sound
    (tmp_path / "a.wav").unlink()
    write_wav(tmp_path / "b.wav", n_samples=999)
    checked = check(Manifest(manifest.root, [*manifest.recordings, manifest.recordings[2]]))
    assert (checked.missing, checked.changed, checked.twice) == (["a.wav"], ["b.wav"], ["c.wav"])
    assert not checked.is_sound


def test_copies_are_found_and_those_across_splits_are_a_fault(tmp_path):
    rng = np.random.default_rng(0)
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        write_wav(tmp_path / f"{name}.wav", 0.1 * np.random.default_rng(seed).standard_normal((1, 4000)))
    write_wav(tmp_path / "d.wav", 0.1 * rng.standard_normal((1, 5000)))
    items = scan(tmp_path, ScanOptions(domain="noise", valid_percent=0)).manifest.recordings
    within = check(Manifest(tmp_path, items), look_for_copies=True)
    assert [[item.path for item in same] for same in within.copies] == [["a.wav", "b.wav"]]
    assert within.is_sound
    across = [Recording(**{**_values(item), "split": "test"}) if item.path == "b.wav" else item for item in items]
    assert not check(Manifest(tmp_path, across), look_for_copies=True).is_sound
    assert check(Manifest(tmp_path, across)).is_sound


def _values(item: Recording) -> dict[str, object]:
    return {name: getattr(item, name) for name in Recording.__slots__}
