"""A corpus that was packed to be taken elsewhere is there what it was, nearly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resound.corpora.manifest import Manifest, Recording, read_manifest, write_manifest
from signals import noise, speech_like

SCRIPT = Path(__file__).parent.parent / "scripts" / "pack_corpus.py"
RATE = 24000


def run(*words):
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def corpus(tmp_path):
    """Two voices, one of them stereo, a room's response, and music that is left behind."""
    room = np.exp(-np.arange(RATE) / 2000) * noise(1, RATE)
    stereo = np.stack([speech_like(4, RATE, 2)] * 2, axis=1)
    sounds = {
        "a/one.flac": (speech_like(3, RATE, 1), "speech", "train"),
        "a/two.wav": (stereo, "speech", "valid"),
        "room.wav": (room, "room", "train"),
        "tune.wav": (noise(1, RATE), "music", "train"),
    }
    (tmp_path / "raw" / "a").mkdir(parents=True)
    recordings = []
    for name, (sound, domain, split) in sounds.items():
        soundfile.write(tmp_path / "raw" / name, sound, RATE)
        channels = 1 if sound.ndim == 1 else 2
        recordings.append(Recording(name, len(sound), RATE, channels, domain, speaker=name, licence="CC0", split=split))
    path = tmp_path / "data.jsonl"
    write_manifest(path, Manifest(tmp_path / "raw", recordings, {"corpus": "all", "layout": "plain"}))
    return path, {name: (domain, split) for name, (_, domain, split) in sounds.items()}


def test_what_is_unpacked_is_what_was_packed(corpus, tmp_path):
    path, sounds = corpus
    done = run("pack", path, tmp_path / "packed", "--rate", RATE, "--kbit", 64)
    assert (done.returncode, done.stderr) == (0, "")
    done = run("unpack", tmp_path / "packed", tmp_path / "there")
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", str(tmp_path / "there" / "data.jsonl"))
    there = read_manifest(tmp_path / "there" / "data.jsonl")
    found = {each.path: each for each in there.recordings}
    assert set(found) == {"a/one.flac.wav", "a/two.wav", "room.wav"}
    for name, recording in found.items():
        packed = name.removesuffix(".wav") if name.endswith(".flac.wav") else name
        domain, split = sounds[packed]
        wanted = soundfile.read(tmp_path / "raw" / packed, always_2d=True)[0].mean(axis=1)
        assert (recording.domain, recording.split, recording.licence) == (domain, split, "CC0")
        heard, rate = soundfile.read(there.path_of(recording))
        assert (rate, len(heard), recording.n_samples) == (RATE, len(wanted), len(wanted))
        error_db = 10 * np.log10(np.mean((heard - wanted) ** 2) / np.mean(wanted**2) + 1e-20)
        assert error_db < (-80 if domain == "room" else -15)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pack", "none.jsonl", "packed"], "no such file"),
        (["pack", "data.jsonl", "raw"], "is not empty"),
        (["pack", "data.jsonl", "packed", "--domains", "effects"], "no recordings of effects"),
        (["pack", "data.jsonl", "packed", "--domains", "speach", "room"], "no recordings of speach"),
        (["pack", "data.jsonl", "data.jsonl"], "is a file"),
        (["unpack", "raw", "there"], "has no index.json"),
        (["unpack", "raw", "raw"], "is not empty"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(corpus, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and told in done.stderr


def test_what_is_damaged_is_not_taken_for_a_corpus(corpus, tmp_path):
    path, _ = corpus
    assert run("pack", path, tmp_path / "packed", "--rate", RATE).returncode == 0
    speech = tmp_path / "packed" / "speech-0.ogg"
    whole = speech.read_bytes()
    speech.write_bytes(whole[: len(whole) // 2])
    done = run("unpack", tmp_path / "packed", tmp_path / "there")
    assert done.returncode == 1 and "speech-0.ogg: is cut short" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "there" / "data.jsonl").exists()
    (tmp_path / "packed" / "index.json").write_text('{"about": {}')
    done = run("unpack", tmp_path / "packed", tmp_path / "elsewhere")
    assert done.returncode == 1 and "index.json: is damaged" in done.stderr


@pytest.mark.parametrize(
    ("paths", "told"),
    [(("/tmp/out.wav",), "is not below"), (("../out.wav",), "is not below"), (("x.flac", "x.flac.wav"), "one file")],
)
def test_names_that_would_write_over_others_are_refused(tmp_path, paths, told):
    recordings = [Recording(each, 100, RATE, domain="speech") for each in paths]
    write_manifest(tmp_path / "data.jsonl", Manifest(tmp_path, recordings, {}))
    done = run("pack", tmp_path / "data.jsonl", tmp_path / "packed", "--domains", "speech")
    assert done.returncode == 1 and told in done.stderr and not (tmp_path / "packed").exists()
