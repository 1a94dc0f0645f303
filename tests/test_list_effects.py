"""Which noises are effects of a film: those that stand out of their own floor."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resound.corpora.manifest import Manifest, Recording, read_manifest, write_manifest
from signals import noise

SCRIPT = Path(__file__).parent.parent / "scripts" / "list_effects.py"
RATE = 16000


def knocks(seconds):
    """Five decaying knocks, 40 dB above a floor."""
    sound = noise(seconds, RATE).astype("f8")
    since = np.arange(len(sound)) % (len(sound) // 5) / RATE
    return sound * np.maximum(np.exp(-since / 0.03), 0.01) * 0.3


def manifest(folder, sounds):
    recordings = []
    for name, (sound, domain) in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound, RATE)
        recordings.append(Recording(f"{name}.wav", len(sound), RATE, domain=domain, licence="CC0 1.0", split="train"))
    path = folder / "all.jsonl"
    write_manifest(path, Manifest(folder, recordings, {"corpus": "all", "layout": "plain"}))
    return path


def run(*words):
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_events_are_effects_and_what_goes_on_is_not(tmp_path):
    short = noise(0.1, RATE)  # too short to tell
    sounds = {"knocks": (knocks(4), "noise"), "rain": (noise(4, RATE) * 0.1, "noise"), "short": (short, "noise")}
    path = manifest(tmp_path, sounds | {"speech": (knocks(2), "speech")})
    done = run(path, "-o", tmp_path / "effects.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    (effect,) = read_manifest(tmp_path / "effects.jsonl").recordings
    assert (effect.path, effect.domain, effect.licence, effect.split) == ("knocks.wav", "effects", "CC0 1.0", "train")


def test_what_goes_on_is_listed_with_the_noise_of_media(tmp_path):
    sounds = {"knocks": (knocks(4), "noise"), "rain": (noise(4, RATE) * 0.1, "noise"), "runout": (knocks(4), "vintage")}
    path = manifest(tmp_path, sounds | {"speech": (knocks(2), "speech")})
    done = run(path, "-o", tmp_path / "effects.jsonl", "--steady", tmp_path / "steady.jsonl", "--medium", "run*")
    assert (done.returncode, done.stderr) == (0, "")
    listed = read_manifest(tmp_path / "steady.jsonl").recordings
    assert [(each.path, each.domain) for each in listed] == [("rain.wav", "noise"), ("runout.wav", "noise")]


@pytest.mark.parametrize("domain", ["noise", "speech"])
def test_where_none_is_one_line_says_so(tmp_path, domain):
    path = manifest(tmp_path, {"rain": (noise(2, RATE) * 0.1, domain)})
    done = run(path, "-o", tmp_path / "effects.jsonl")
    assert done.returncode == 1
    assert "is an effect" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "effects.jsonl").exists()


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path):
    path = manifest(tmp_path, {"broken": (knocks(4), "noise"), "knocks": (knocks(4), "noise")})
    (tmp_path / "broken.wav").write_bytes(b"not a sound")
    done = run(path, "-o", tmp_path / "effects.jsonl")
    assert done.returncode == 0 and "left out" in done.stderr and "broken.wav" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [each.path for each in read_manifest(tmp_path / "effects.jsonl").recordings] == ["knocks.wav"]


def test_the_manifest_itself_is_never_replaced(tmp_path):
    path = manifest(tmp_path, {"knocks": (knocks(4), "noise")})
    before = path.read_bytes()
    done = run(path, "-o", path)
    assert (done.returncode, path.read_bytes()) == (1, before)
    assert "is the manifest itself" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steady", "effects.jsonl"), "is where the effects go"),
        (("--medium", "x*"), "--medium is for --steady"),
        (("--steady", "s.jsonl", "--medium", "x*"), "no recording is called so"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    done = run(manifest(tmp_path, {"knocks": (knocks(4), "noise")}), "-o", "effects.jsonl", *words)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("[es]*.jsonl"))
