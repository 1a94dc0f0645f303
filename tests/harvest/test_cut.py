"""What is written: untouched samples, a manifest, reasons."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import read_sound, write_wav
from resound.corpora.manifest import read_manifest
from resound.errors import OutputError
from resound.harvest import cut
from resound.harvest.cut import Source, check_folder, distinct_names, harvest, write_report, writer_like
from resound.harvest.stretches import HarvestConfig
from signals import noise, speech_like

RATE = 16000


def film(path, n_channels=2, subtype="PCM_24", seed=3):
    """8 s of noise with 3 s of speech in the middle."""
    samples = np.stack([noise(8, RATE, seed=seed + index) for index in range(n_channels)])
    samples[:, 3 * RATE : 6 * RATE] += speech_like(3, RATE)
    return write_wav(path, 0.5 * samples, rate=RATE, subtype=subtype)


@pytest.mark.parametrize(("subtype", "suffix"), [("PCM_16", ".flac"), ("PCM_24", ".flac"), ("FLOAT", ".wav")])
def test_stretches_hold_the_very_samples_of_the_recording(tmp_path, subtype, suffix):
    path = film(tmp_path / "film.wav", subtype=subtype)
    (result,) = harvest([Source(path)], tmp_path / "out", HarvestConfig())
    whole = read_sound(path)
    assert len(result.files) == 2
    for stretch, file in zip(result.verdict.stretches, result.files, strict=True):
        assert file.suffix == suffix
        found = read_sound(tmp_path / "out" / file)
        assert (found == whole[:, stretch.start_samples : stretch.start_samples + stretch.n_samples]).all()


def test_an_excerpt_is_named_by_its_place_in_the_recording(tmp_path):
    path = film(tmp_path / "film.wav")
    (result,) = harvest([Source(path, start_seconds=2.5)], tmp_path / "out", HarvestConfig())
    start = float(result.files[-1].stem.rpartition("_")[2].rstrip("s"))
    found = read_sound(tmp_path / "out" / result.files[-1])
    assert start > 5.3
    first = round(start * RATE)
    assert (found == read_sound(path)[:, first : first + found.shape[1]]).all()


def test_the_manifest_lists_every_file_as_noise_of_its_recording(tmp_path):
    sources = [Source(film(tmp_path / folder / "film.wav", seed=index * 7)) for index, folder in enumerate("ab")]
    out = tmp_path / "out"
    results = list(harvest(sources, out, HarvestConfig()))
    write_report(out, results, HarvestConfig(), overwrite=False)
    manifest = read_manifest(out / "manifest.jsonl")
    assert {recording.group for recording in manifest.recordings} == {"film", "film-2"}
    for recording in manifest.recordings:
        facts = soundfile.info(manifest.path_of(recording))
        assert recording.domain == "noise"
        assert (recording.n_samples, recording.sample_rate, recording.n_channels) == (facts.frames, RATE, 2)
        assert recording.size_bytes == manifest.path_of(recording).stat().st_size


def test_the_report_says_why_each_was_kept_and_what_was_not(tmp_path):
    out = tmp_path / "out"
    results = list(harvest([Source(film(tmp_path / "film.wav"))], out, HarvestConfig()))
    write_report(out, results, HarvestConfig(), overwrite=False)
    (told,) = json.loads((out / "harvest.json").read_text())["recordings"]
    assert told["rejected_seconds"]["above_floor"] > 2
    for stretch in told["stretches"]:
        assert (out / stretch["file"]).is_file()
        assert stretch["pitch"] <= 0.25
        assert stretch["line_db"] <= 9
        assert stretch["below_programme_db"] > 10


def test_nothing_is_written_without_a_folder(tmp_path):
    path = film(tmp_path / "film.wav")
    (result,) = harvest([Source(path)], None, HarvestConfig())
    assert result.verdict.stretches
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_that_cannot_be_read_stops_nothing_else(tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF1234WAVE nothing")
    first, second = harvest([Source(broken), Source(film(tmp_path / "film.wav"))], None, HarvestConfig())
    assert "broken.wav" in first.error
    assert "\n" not in first.error
    assert second.verdict.stretches


def test_an_earlier_harvest_is_not_replaced_unasked(tmp_path):
    (tmp_path / "harvest.json").write_text("{}")
    with pytest.raises(OutputError, match="overwrite"):
        check_folder(tmp_path, overwrite=False)
    check_folder(tmp_path, overwrite=True)


def test_names_near_the_limit_are_shortened_and_keep_apart(tmp_path):
    names = [f"{'ä' * 118}{end}.film.wav" for end in "ab"]
    sources = [Source(film(tmp_path / name)) for name in names]
    results = list(harvest(sources, tmp_path / "out", HarvestConfig()))
    assert [result.error for result in results] == ["", ""]
    files = [file for result in results for file in result.files]
    assert len({file.parent for file in files}) == 2
    assert all(("ä" * 100) in file.name and (tmp_path / "out" / file).is_file() for file in files)


def test_what_was_written_before_a_failure_is_told(tmp_path, monkeypatch):
    def fails_later(form, path, *, overwrite):
        if "_00000.000s" not in path.name:
            raise OutputError(f"{path}: disk full")
        return writer_like(form, path, overwrite=overwrite)

    monkeypatch.setattr(cut, "writer_like", fails_later)
    (result,) = harvest([Source(film(tmp_path / "film.wav"))], tmp_path / "out", HarvestConfig())
    assert "disk full" in result.error
    assert len(result.files) == len(result.verdict.stretches) == 1
    write_report(tmp_path / "out", [result], HarvestConfig(), overwrite=False)
    assert len(read_manifest(tmp_path / "out" / "manifest.jsonl").recordings) == 1


def test_recordings_of_one_name_keep_apart():
    assert distinct_names(["a", "b", "a", "a-2", "a"]) == ["a", "b", "a-2", "a-2-2", "a-3"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path):
    def peak_bytes(minutes: int) -> int:
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
            for minute in range(minutes):
                file.write(noise(60, 8000, seed=minute))
        tracemalloc.start()
        list(harvest([Source(Path(path))], None, HarvestConfig()))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # only the evidence grows: some hundred bytes for 25 ms, against 1600 for the samples as float64
    assert peak_bytes(20) - peak_bytes(5) < 15 * 60 * 40 * 300
