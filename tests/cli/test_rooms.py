"""``resound rooms``, as a user runs it."""

import json
import sys

import numpy as np
import pytest
import soundfile

from resound.corpora.manifest import read_manifest
from resound.degrade.chain import load_chain
from resound.dsp.reverberation import direct_sample, rt60_seconds


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    pytest.importorskip("pyroomacoustics", reason="needs the extra 'sim'")
    from resound.degrade.rooms import make_rooms

    folder = tmp_path_factory.mktemp("rooms")
    make_rooms(folder, 3, seed=4, sample_rate=16000)
    return folder


def test_a_bank_holds_responses_a_manifest_and_what_each_is_like(bank):
    manifest = read_manifest(bank / "rooms.jsonl")
    details = json.loads((bank / "rooms.json").read_text())
    assert [recording.path for recording in manifest.recordings] == sorted(details)
    for recording in manifest.recordings:
        response, rate = soundfile.read(manifest.path_of(recording))
        told = details[recording.path]
        assert (rate, len(response)) == (16000, recording.n_samples)
        assert direct_sample(response[np.newaxis], rate) == told["direct_sample"] == 80
        found = rt60_seconds(response[80:], rate)
        assert found == pytest.approx(told["measured_rt60_seconds"], rel=0.01)
        assert found == pytest.approx(told["rt60_seconds"], rel=0.35)  # Sabine's formula is an estimate


def test_the_same_seed_makes_the_same_rooms(bank, tmp_path):
    from resound.degrade.rooms import make_rooms

    make_rooms(tmp_path, 2, seed=4, sample_rate=16000)
    for name in ("room-00000.flac", "room-00001.flac"):
        assert (tmp_path / name).read_bytes() == (bank / name).read_bytes()


def test_a_chain_draws_from_the_bank(bank, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(f"steps:\n  - room: {{bank: {bank / 'rooms.jsonl'}}}\n")
    drawn = load_chain(path).draw(np.random.default_rng(0))
    assert drawn[0]["room"]["file"].startswith(str(bank))


def test_the_command_tells_what_it_made(resound, here):
    pytest.importorskip("pyroomacoustics", reason="needs the extra 'sim'")
    ended = resound("rooms", "-o", "rooms", "--count", 1, "--sample-rate", 8000)
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith("rooms/rooms.jsonl  1 rooms")
    again = resound("rooms", "-o", "rooms", "--count", 1, "--sample-rate", 8000)
    assert again.status == 1
    assert "rooms.jsonl: exists already; use --overwrite" in again.stderr


def test_without_pyroomacoustics_there_is_one_line_that_says_how_to_get_it(resound, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    ended = resound("rooms", "-o", "rooms", "--count", 1)
    assert ended.status == 1
    assert ended.stderr.endswith("run: pip install 'resound[sim]'\n")


@pytest.mark.parametrize(
    ("flag", "value", "fault"),
    [
        ("--count", 0, "count: 0 rooms make no bank"),
        ("--seed", -1, "seed: -1 is negative"),
        ("--sample-rate", 0, "sample rate: 0 Hz cannot be simulated; give 8000 to 192000"),
        ("--sample-rate", 10, "sample rate: 10 Hz cannot be simulated"),
    ],
)
def test_what_makes_no_bank_is_one_line(resound, here, flag, value, fault):
    ended = resound("rooms", "-o", "rooms", flag, value)
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert fault in ended.stderr


def test_an_interrupted_bank_leaves_nothing_and_can_be_made_again(tmp_path):
    pytest.importorskip("pyroomacoustics", reason="needs the extra 'sim'")
    from resound.degrade.rooms import make_rooms

    def interrupt(n_done):
        if n_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_rooms(tmp_path, 3, sample_rate=8000, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    make_rooms(tmp_path, 1, sample_rate=8000)
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(KeyboardInterrupt):
        make_rooms(tmp_path, 2, sample_rate=8000, overwrite=True, progress=interrupt)
    assert not (tmp_path / "rooms.jsonl").exists(), "a bank that is not whole has no manifest"
    assert (tmp_path / "mine.txt").exists()
