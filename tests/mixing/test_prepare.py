"""Sets on disk: what is written is what was mixed, and the same whoever writes it, in whatever order and pieces."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import files_below, largest_file
from resound.corpora.manifest import read_manifest
from resound.errors import ConfigError, InputError, OutputError
from resound.mixing import prepare as preparing
from resound.mixing.config import PairsConfig, mixing_from
from resound.mixing.denoisers import DenoiserConfig
from resound.mixing.items import encoded, fitted
from resound.mixing.journal import FOLDER, Journal, Records
from resound.mixing.plan import Plan, Shard, load_plan, read_shard
from resound.mixing.prepare import Preparation
from resound.mixing.stream import open_examples
from resound.mixing.summary import Summary
from resound.shipped import card_of

RATE = 8000
CLASSIC = (DenoiserConfig(**{"with": "classic"}),)


@pytest.fixture
def mixing(speech_corpus):
    """Settings of short examples with one noise, changed by keywords."""

    def make(**changes):
        values = {
            "sample_rate": RATE,
            "segment_seconds": 0.5,
            "n_examples": 6,
            "clean": {"corpus": str(speech_corpus)},
            "chain": [{"hiss": {"snr_db": [0, 30]}}],
        }
        return mixing_from(values | changes)

    return make


def write(plan: Plan, **options) -> tuple[Summary, list]:
    preparation = Preparation(plan, **options)
    outcomes = list(preparation.run())
    return preparation.finish(), outcomes


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def records_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "examples.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("kind", "tolerance"), [("flac24", 2**-24), ("flac16", 2**-16), ("wav", 0)])
def test_what_is_written_is_what_was_mixed(mixing, tmp_path, kind, tolerance):
    write(Plan(mixing(), tmp_path / "set", kind=kind))
    examples = open_examples(mixing())
    suffix = "wav" if kind == "wav" else "flac"
    for index in range(6):
        example = examples.example(0, index)
        for side in ("clean", "degraded"):
            path = tmp_path / "set" / side / f"{index:06}.{suffix}"
            samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
            assert rate == RATE
            np.testing.assert_allclose(samples.T, getattr(example, side), rtol=0, atol=tolerance)


def test_another_epoch_has_other_examples(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set", epoch=3, kind="wav"))
    samples, _ = soundfile.read(tmp_path / "set" / "degraded" / "000002.wav", dtype="float32")
    np.testing.assert_array_equal(samples, open_examples(mixing()).example(3, 2).degraded[0])


def test_records_hold_sizes_checksums_and_all_that_was_drawn(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set"))
    for index, record in enumerate(records_of(tmp_path / "set")):
        assert record["recipe"] == open_examples(mixing()).example(0, index).recipe
        for file in record["files"].values():
            path = tmp_path / "set" / file["path"]
            assert path.stat().st_size == file["size_bytes"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
            samples, _ = soundfile.read(path, dtype="int32", always_2d=True)
            assert hashlib.sha256(samples.tobytes()).hexdigest() == file["samples_sha256"]


@pytest.mark.parametrize("kind", ["flac24", "wav"])
def test_the_ratio_in_the_record_is_that_between_the_files(mixing, tmp_path, kind):
    write(Plan(mixing(), tmp_path / "set", kind=kind))
    for record in records_of(tmp_path / "set"):
        clean, degraded = (
            soundfile.read(tmp_path / "set" / record["files"][side]["path"], dtype="float64")[0]
            for side in ("clean", "degraded")
        )
        snr_db = 10 * np.log10(np.mean(clean**2) / np.mean((degraded - clean) ** 2))
        assert record["snr_db"] == pytest.approx(snr_db, abs=1e-4)
        assert record["asked_snr_db"] == record["recipe"]["chain"][0]["hiss"]["snr_db"]
        assert abs(record["snr_error_db"]) < 0.01
        assert record["snr_error_db"] == pytest.approx(snr_db - record["asked_snr_db"], abs=1e-4)


def test_no_error_of_the_ratio_is_stated_where_more_than_one_noise_was_added(mixing, tmp_path):
    write(Plan(mixing(chain=[{"hiss": {"snr_db": 20}}, {"hiss": {"snr_db": 10}}]), tmp_path / "set"))
    assert all("snr_error_db" not in record and record["snr_db"] < 10 for record in records_of(tmp_path / "set"))


def test_an_example_without_noise_has_no_ratio(mixing, tmp_path):
    summary, _ = write(Plan(mixing(chain=[{"hiss": {"snr_db": 20}, "probability": 0}]), tmp_path / "set"))
    assert {record["snr_db"] for record in records_of(tmp_path / "set")} == {None}
    assert any("no difference" in line for line in summary.lines())


def test_the_manifest_serves_as_pairs(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set"))
    manifest = read_manifest(tmp_path / "set" / "manifest.jsonl")
    assert {(item.role, item.split, item.domain) for item in manifest.recordings} == {
        ("clean", "train", "speech"),
        ("degraded", "train", "speech"),
    }
    assert all(item.speaker in set("abcd") and item.bandwidth_hz == 4000 for item in manifest.recordings)
    pairs = open_examples(
        PairsConfig(pairs=tmp_path / "set" / "manifest.jsonl", sample_rate=RATE, segment_seconds=0.5, n_examples=6)
    )
    made = {pairs.example(0, index).degraded.tobytes() for index in range(6)}
    written = {soundfile.read(path, dtype="float32")[0].tobytes() for path in (tmp_path / "set" / "degraded").iterdir()}
    assert made == written


@pytest.mark.parametrize("kind", ["flac24", "flac16", "wav"])
def test_mixtures_to_separate_are_the_sum_of_their_sources(speech_corpus, tmp_path, kind):
    config = mixing_from(
        {
            "task": "separate",
            "sample_rate": RATE,
            "segment_seconds": 0.5,
            "n_examples": 3,
            "n_speakers": 3,
            "speech": {"corpus": str(speech_corpus)},
        }
    )
    write(Plan(config, tmp_path / "set", kind=kind))
    manifest = read_manifest(tmp_path / "set" / "manifest.jsonl")
    roles = [item.role for item in manifest.recordings]
    assert roles == ["mixture", "source1", "source2", "source3"] * 3
    for record in records_of(tmp_path / "set"):
        mix, *sources = (
            soundfile.read(tmp_path / "set" / record["files"][side]["path"])[0] for side in ("mix", "s1", "s2", "s3")
        )
        np.testing.assert_allclose(mix, sum(sources), atol=2 * 2.0 ** (-15 if kind == "flac16" else -23))
        assert record["snr_db"] is None  # rounding is no noise
        speakers = [
            item.speaker for item in manifest.recordings if item.group == f"{record['index']:06}" and "s" in item.role
        ]
        assert speakers == [source["speaker"] for source in record["recipe"]["sources"]]
        others = sources[1] + sources[2]
        sir_db = 10 * np.log10(np.mean(sources[0] ** 2) / np.mean(others**2))
        assert record["sir_db"][0] == pytest.approx(sir_db, abs=1e-3)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_in_one_folder_make_the_unsharded_set_in_any_order(mixing, tmp_path, order):
    write(Plan(mixing(), tmp_path / "whole"))
    for done, number in enumerate(order, 1):
        summary, outcomes = write(Plan(mixing(), tmp_path / "shards", shard=Shard(number, 3)))
        assert [outcome.index for outcome in outcomes] == [number - 1, number + 2]
        assert summary.n_missing == 6 - 2 * done
        assert (tmp_path / "shards" / "manifest.jsonl").exists() == (done == 3)
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_shards_of_several_machines_copied_together_make_the_unsharded_set(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "whole"))
    for number in (1, 2):
        write(Plan(mixing(), tmp_path / f"machine{number}", shard=Shard(number, 2)))
        shutil.copytree(tmp_path / f"machine{number}", tmp_path / "together", dirs_exist_ok=True)
    _, outcomes = write(Plan(mixing(), tmp_path / "together"))
    assert all(outcome.was_whole for outcome in outcomes)
    assert contents(tmp_path / "together") == contents(tmp_path / "whole")


def test_a_run_that_was_stopped_goes_on_where_it_was(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "whole"))
    running = Preparation(Plan(mixing(), tmp_path / "set")).run()
    for _ in range(3):
        next(running)
    running.close()
    preparation = Preparation(Plan(mixing(), tmp_path / "set"))
    assert preparation.n_recorded == 3
    assert "3 are there already" in preparation.announce()
    assert [outcome.was_whole for outcome in preparation.run()] == [True] * 3 + [False] * 3
    preparation.finish()
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def spoil_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def spoil_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("spoil", [spoil_size, spoil_bit, Path.unlink])
@pytest.mark.parametrize("finished", [True, False])
def test_a_file_that_is_not_whole_is_made_again_and_no_other(mixing, tmp_path, spoil, finished):
    write(Plan(mixing(), tmp_path / "whole"))
    plan = Plan(mixing(), tmp_path / "set")
    preparation = Preparation(plan)
    list(preparation.run())
    if finished:
        preparation.finish()
    spoil(tmp_path / "set" / "degraded" / "000004.flac")
    _, outcomes = write(plan)
    assert [outcome.index for outcome in outcomes if not outcome.was_whole] == [4]
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_a_torn_last_line_of_the_journal_counts_as_none(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "whole"))
    list(Preparation(Plan(mixing(), tmp_path / "set")).run())
    journal = tmp_path / "set" / FOLDER / "1of1.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    _, outcomes = write(Plan(mixing(), tmp_path / "set"))
    assert [outcome.index for outcome in outcomes if not outcome.was_whole] == [5]
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_what_a_killed_run_left_half_written_is_removed(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set", n_examples=2))
    half = tmp_path / "set" / "clean" / ".000003.flac.0123abcd.partial"
    other = tmp_path / "set" / "clean" / ".mine.partial"
    for path in (half, other):
        path.write_bytes(b"half")
    write(Plan(mixing(), tmp_path / "set"))
    assert not half.exists()
    assert other.exists()


def test_a_larger_count_adds_to_the_set(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "whole"))
    write(Plan(mixing(), tmp_path / "set", n_examples=2))
    assert len(records_of(tmp_path / "set")) == 2
    _, outcomes = write(Plan(mixing(), tmp_path / "set"))
    assert [outcome.was_whole for outcome in outcomes] == [True] * 2 + [False] * 4
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_a_smaller_count_than_is_there_is_refused(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set"))
    with pytest.raises(OutputError, match="set: holds 6 examples already, more than the 5 asked for; give --count 6"):
        Preparation(Plan(mixing(), tmp_path / "set", n_examples=5))
    assert len(write(Plan(mixing(), tmp_path / "set", n_examples=5), overwrite=True)[1]) == 5


def test_a_folder_made_from_something_else_is_refused_with_what_differs(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set"))
    before = contents(tmp_path / "set")
    other = mixing(seed=5, chain=[{"hiss": {"snr_db": [5, 30]}}])
    with pytest.raises(OutputError, match=r"set: its examples were made from something else") as error:
        Preparation(Plan(other, tmp_path / "set"))
    assert "config.seed: 0 there, 5 now" in str(error.value)
    assert "config.chain.steps.0.hiss.snr_db.0: 0.0 there, 5.0 now" in str(error.value)
    assert "--overwrite" in str(error.value)
    with pytest.raises(OutputError, match='kind: "flac24" there, "wav" now'):
        Preparation(Plan(mixing(), tmp_path / "set", kind="wav"))
    assert contents(tmp_path / "set") == before


def test_a_manifest_that_has_changed_since_is_refused(mixing, tmp_path, speech_corpus):
    write(Plan(mixing(), tmp_path / "set", n_examples=2))
    speech_corpus.write_text(speech_corpus.read_text().replace('"speaker": "d"', '"speaker": "e"'))
    with pytest.raises(OutputError, match=r"material\.[^:]*speech.jsonl: .* there, .* now"):
        Preparation(Plan(mixing(), tmp_path / "set"))


def test_overwrite_starts_anew_and_leaves_what_is_not_its_own(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "set", denoisers=CLASSIC, n_examples=2))
    (tmp_path / "set" / "clean" / "notes.txt").write_text("mine")
    write(Plan(mixing(seed=1), tmp_path / "set"), overwrite=True)
    write(Plan(mixing(seed=1), tmp_path / "other"))
    there = contents(tmp_path / "set")
    assert there.pop("clean/notes.txt") == b"mine"
    assert there == contents(tmp_path / "other")


def test_a_folder_with_something_else_in_it_is_refused_even_with_overwrite(mixing, tmp_path):
    (tmp_path / "music" / "clean").mkdir(parents=True)
    for overwrite in (True, False):
        with pytest.raises(OutputError, match=r"music: holds something else \(clean\); choose an empty folder"):
            Preparation(Plan(mixing(), tmp_path / "music"), overwrite=overwrite)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file: is a file; give a folder"):
        Preparation(Plan(mixing(), tmp_path / "file"))


def test_one_shard_is_written_by_one_process_at_a_time(mixing, tmp_path):
    running = Preparation(Plan(mixing(), tmp_path / "set")).run()
    next(running)
    with pytest.raises(OutputError, match="shard 1/1 is being written by another process"):
        next(Preparation(Plan(mixing(), tmp_path / "set")).run())
    running.close()
    assert len(list(Preparation(Plan(mixing(), tmp_path / "set")).run())) == 6


def test_a_full_disk_ends_the_run_and_more_space_lets_it_go_on(mixing, tmp_path):
    write(Plan(mixing(), tmp_path / "whole"))
    running = Preparation(Plan(mixing(), tmp_path / "set")).run()
    next(running)
    with largest_file(500), pytest.raises(OutputError, match=r"disk full \(.*\); free some space"):
        list(running)
    assert not any("partial" in name for name in files_below(tmp_path / "set"))
    write(Plan(mixing(), tmp_path / "set"))
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_a_disk_that_is_full_for_the_lists_leaves_them_out_and_the_next_run_writes_them(mixing, tmp_path):
    preparation = Preparation(Plan(mixing(), tmp_path / "set"))
    list(preparation.run())
    with largest_file(300), pytest.raises(OutputError, match="disk full"):
        preparation.finish()
    assert not (tmp_path / "set" / "examples.jsonl").exists()
    write(Plan(mixing(), tmp_path / "set"))
    assert len(records_of(tmp_path / "set")) == 6


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(mixing, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "free_bytes", lambda folder: 1000)
    with pytest.raises(OutputError, match=r"set: about 0.00 GB are needed, 0.00 GB are free; free some space"):
        Preparation(Plan(mixing(), tmp_path / "set"))
    assert not (tmp_path / "set").exists()


def test_an_example_above_full_scale_is_scaled_down_as_a_whole_and_said_so():
    sides = {"clean": np.array([[0.5, -2.0]], np.float32), "degraded": np.array([[0.25, 0.5]], np.float32)}
    stored, gain_db = fitted(sides, "flac24")
    assert -6.03 < gain_db < -6.02
    assert np.abs(stored["clean"]).max() <= 2**23 - 1
    assert stored["clean"][0, 0] / stored["degraded"][0, 0] == pytest.approx(2, rel=1e-6)
    assert fitted(sides, "wav")[1] == 0
    assert fitted({"clean": np.array([[0.9]], np.float32)}, "flac16")[1] == 0


@pytest.mark.parametrize("n_samples", [0, 1, 3])
@pytest.mark.parametrize("kind", ["flac24", "flac16", "wav"])
def test_a_few_samples_are_written_too(tmp_path, n_samples, kind):
    audio = np.linspace(-0.5, 0.5, 2 * n_samples, dtype=np.float32).reshape(2, n_samples)
    path = tmp_path / "file"
    path.write_bytes(encoded(fitted({"clean": audio}, kind)[0]["clean"], RATE, kind))
    if n_samples or kind == "wav":  # libFLAC writes no header before the first sample
        read, rate = soundfile.read(path, always_2d=True)
        assert rate == RATE
        np.testing.assert_allclose(read.T, audio, atol=2**-16)


def test_material_that_cannot_be_used_is_counted_with_its_reason(write_corpus, tmp_path):
    rng = np.random.default_rng(0)
    sounds = {"good": 0.1 * rng.standard_normal(8000), "silent": np.zeros(8000), "clipped": np.ones(8000)}
    corpus = write_corpus("some", sounds, split="train", bandwidth_hz=4000.0)
    config = mixing_from(
        {
            "sample_rate": RATE,
            "segment_seconds": 0.5,
            "n_examples": 6,
            "clean": {"corpus": str(corpus)},
            "chain": [{"hiss": {}}],
        }
    )
    summary, outcomes = write(Plan(config, tmp_path / "set"))
    assert all(outcome.error is None for outcome in outcomes)
    assert {reason.rpartition(": ")[2] for reason in summary.skipped} == {"silent", "clipped"}
    assert summary.skipped.total() >= 4  # each bad one has two segments, and comes once in a round
    text = "\n".join(summary.lines())
    assert f"{summary.skipped.total()} pieces of material were skipped:" in text


def test_the_run_ends_where_one_example_after_the_other_fails(write_corpus, tmp_path):
    corpus = write_corpus("silent", {"a": np.zeros(8000)}, split="train", bandwidth_hz=4000.0)
    config = mixing_from(
        {
            "sample_rate": RATE,
            "segment_seconds": 0.5,
            "n_examples": 50,
            "clean": {"corpus": str(corpus)},
            "chain": [{"hiss": {}}],
        }
    )
    running = Preparation(Plan(config, tmp_path / "set")).run()
    with pytest.raises(InputError, match=r"20 examples in a row failed, the last because: no example can be made: .*"):
        list(running)
    with Journal(tmp_path / "set", 1, 1) as journal:
        assert len(Records([journal.path])) == 0


def test_a_recording_that_its_manifest_promises_but_is_gone_is_skipped_and_counted(mixing, tmp_path, speech_corpus):
    (speech_corpus.parent / "speech" / "a1.wav").unlink()
    summary, outcomes = write(Plan(mixing(n_examples=12, segment_seconds=2.0), tmp_path / "set"))
    assert all(outcome.error is None for outcome in outcomes)
    assert any("a1.wav: does not exist" in reason for reason in summary.skipped)


def test_denoised_sides_come_without_delay_and_unsure_ones_stay_out_of_the_manifest(mixing, tmp_path, monkeypatch):
    def late(config):
        class Late:
            name = "late"
            count = 0

            def __call__(self, audio, sample_rate):
                Late.count += 1
                if Late.count == 2:
                    return np.zeros_like(audio)
                return np.pad(audio, ((0, 0), (37, 0)))[:, : audio.shape[1]]

        return Late()

    monkeypatch.setattr("resound.mixing.items.open_denoiser", late)
    plan = Plan(mixing(), tmp_path / "set", denoisers=CLASSIC)
    summary, _ = write(plan)
    for record in records_of(tmp_path / "set"):
        sure = record["index"] != 1
        assert record["denoiser"]["sure"] == sure
        if sure:
            assert record["denoiser"]["delay"]["samples"] == 37
            degraded, denoised = (
                soundfile.read(tmp_path / "set" / record["files"][side]["path"])[0] for side in ("degraded", "denoised")
            )
            np.testing.assert_array_equal(degraded, denoised)
    listed = {(item.group, item.role) for item in read_manifest(tmp_path / "set" / "manifest.jsonl").recordings}
    assert ("000001", "degraded") in listed
    assert ("000001", "denoised") not in listed
    assert ("000002", "denoised") in listed
    assert summary.n_unsure == 1
    text = "\n".join(summary.lines())
    assert "37 samples 5 times" in text
    assert "1 denoised files have a delay that could not be told" in text


def test_of_several_denoisers_each_example_goes_through_one_in_turn(mixing, tmp_path, monkeypatch):
    class Gain:
        def __init__(self, config):
            self.name, self.gain = config.with_, 0.5 if config.with_ == "half" else 0.25

        def __call__(self, audio, sample_rate):
            return self.gain * audio

    for module in ("items", "prepare"):
        monkeypatch.setattr(f"resound.mixing.{module}.open_denoiser", Gain)
    denoisers = tuple(DenoiserConfig(**{"with": word}) for word in ("half", "quarter"))
    write(Plan(mixing(), tmp_path / "set", denoisers=denoisers))
    for record in records_of(tmp_path / "set"):
        sides = {
            side: soundfile.read(tmp_path / "set" / record["files"][side]["path"])[0]
            for side in ("degraded", "denoised")
        }
        name, gain = (("half", 0.5), ("quarter", 0.25))[record["index"] % 2]
        assert record["denoiser"]["name"] == name
        np.testing.assert_allclose(sides["denoised"], gain * sides["degraded"], atol=2**-22)


def test_a_set_knows_the_weights_of_a_network_that_ships(mixing, tmp_path):
    voice = Plan(mixing(), tmp_path / "set", denoisers=(DenoiserConfig(**{"with": "voice"}),))
    assert voice.facts()["material"]["voice"] == card_of("voice").files["voice.onnx"]
    assert "voice" not in Plan(mixing(), tmp_path / "set", denoisers=CLASSIC).facts()["material"]


def test_a_plan_reads_its_denoiser_beside_the_mixing(tmp_path, speech_corpus):
    path = tmp_path / "mix.yaml"
    path.write_text(
        f"sample_rate: {RATE}\nclean: {{corpus: {speech_corpus}}}\nchain:\n  - hiss: {{}}\n"
        "denoiser: {with: classic, max_delay_seconds: 0.05}\n"
    )
    plan = load_plan(path, ["denoiser.timeout_seconds=5", "n_examples=7"], folder=tmp_path / "set")
    (denoiser,) = plan.denoisers
    assert (denoiser.with_, denoiser.timeout_seconds, denoiser.max_delay_seconds) == ("classic", 5, 0.05)
    assert plan.mixing.n_examples == 7
    assert load_plan(path, ["denoiser=rnnoise"], folder=tmp_path).denoisers[0].with_ == "rnnoise"
    several = load_plan(path, ["denoiser=[voice, {with: classic}]"], folder=tmp_path)
    assert [each.with_ for each in several.denoisers] == ["voice", "classic"]
    with pytest.raises(ConfigError, match=r"mix.yaml: denoiser: timeout_secs: no such setting \(did you mean"):
        load_plan(path, ["denoiser.timeout_secs=5"], folder=tmp_path)
    with pytest.raises(ConfigError, match=r"mix.yaml: denoiser: is 3; write it as"):
        load_plan(path, ["denoiser=3"], folder=tmp_path)
    with pytest.raises(ConfigError, match=r"mix.yaml: denoiser\[1\]: is 3; write it as"):
        load_plan(path, ["denoiser=[classic, 3]"], folder=tmp_path)
    with pytest.raises(ConfigError, match=r"mix.yaml: denoiser: is an empty list"):
        load_plan(path, ["denoiser=[]"], folder=tmp_path)
    with pytest.raises(ConfigError, match=r"mix.yaml: task is enhance, separate, pairs, not 'x'"):
        load_plan(path, ["task=x"], folder=tmp_path)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "-1/2", "1/0", ""])
def test_a_shard_that_is_none_is_refused(text):
    assert read_shard("2/8") == Shard(2, 8)
    with pytest.raises(ConfigError, match=r"--shard is .*; write i/n"):
        read_shard(text)


def test_a_count_or_epoch_below_what_makes_sense_is_refused(mixing, tmp_path):
    for changes in ({"n_examples": -1}, {"epoch": -1}):
        with pytest.raises(ConfigError, match="give at least 1 and 0"):
            Preparation(Plan(mixing(), tmp_path / "set", **changes))


@pytest.mark.parametrize("source", ["folders", "manifest"])
def test_pairs_can_be_prepared_and_by_default_each_segment_once(mixing, tmp_path, source):
    write(Plan(mixing(), tmp_path / "first"))
    folders = {side: str(tmp_path / "first" / side) for side in ("clean", "degraded")}
    material = folders if source == "folders" else {"pairs": str(tmp_path / "first" / "manifest.jsonl")}
    config = mixing_from({"task": "pairs", "sample_rate": RATE, "segment_seconds": 0.25} | material)
    summary, _ = write(Plan(config, tmp_path / "second"))
    assert summary.n_examples == 12  # 6 pairs of half a second
    manifest = read_manifest(tmp_path / "second" / "manifest.jsonl")
    speakers = {item.speaker for item in manifest.recordings}
    assert len(manifest.recordings) == 24
    assert speakers == {None} if source == "folders" else speakers <= set("abcd")


def test_more_examples_than_an_epoch_has_are_those_of_a_longer_one(mixing, tmp_path):
    write(Plan(mixing(n_examples=2), tmp_path / "more", n_examples=6))
    write(Plan(mixing(), tmp_path / "set"))
    for side in ("clean", "degraded"):
        one, other = (contents(tmp_path / name / side) for name in ("more", "set"))
        assert one == other
    with pytest.raises(ConfigError, match="6 examples of epoch 1 are more than its 2; raise n_examples"):
        Preparation(Plan(mixing(n_examples=2), tmp_path / "later", n_examples=6, epoch=1))


def test_a_shard_that_another_writes_is_refused_before_anything_is_made(mixing, tmp_path):
    plan = Plan(mixing(), tmp_path / "set")
    with Preparation(plan).begun(), pytest.raises(OutputError, match="shard 1/1 is being written"):
        Preparation(plan).begun().__enter__()
