"""People who talk at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import write_wav
from degrade.added import snr_db, tone
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.degrade.babble import Babble, add_babble
from resound.errors import InputError
from signals import speech_like

RATE = 16000


@pytest.fixture
def speakers(tmp_path: Path) -> str:
    """A manifest of six people, two recordings of each, at levels 30 dB apart."""
    recordings = []
    for index in range(12):
        voice = speech_like(3, RATE, index)[None] * 10 ** (-(index % 4) / 2)
        write_wav(tmp_path / f"{index}.wav", voice, rate=RATE, subtype="FLOAT")
        recordings.append(Recording(f"{index}.wav", 3 * RATE, RATE, speaker=str(index % 6)))
    write_manifest(tmp_path / "speech.jsonl", Manifest(tmp_path, recordings))
    return str(tmp_path / "speech.jsonl")


def test_babble_reaches_the_snr_it_was_asked_for(speakers):
    clean = tone(2, RATE, n_channels=2)
    params = Babble(bank=speakers, n_talkers=5, snr_db=7.5).draw(np.random.default_rng(0))
    added = Babble.apply(clean, RATE, **params).astype(np.float64) - clean
    assert snr_db(clean, added) == pytest.approx(7.5, abs=0.01)
    np.testing.assert_allclose(added[0], added[1], atol=1e-6)


def test_the_talkers_are_as_many_and_as_different_as_asked_for(speakers):
    draws = [Babble(bank=speakers, n_talkers=[4, 6]).draw(np.random.default_rng(seed)) for seed in range(30)]
    assert {len(params["files"]) for params in draws} == {4, 5, 6}
    assert all(len(params["positions"]) == len(params["files"]) for params in draws)
    people = [[int(Path(file).stem) % 6 for file in params["files"]] for params in draws]
    assert all(len(set(who)) == len(who) for who in people)
    assert draws[0] == json.loads(json.dumps(draws[0]))


def test_all_talk_at_the_same_level(tmp_path):
    loud, soft = speech_like(3, RATE, 1), speech_like(3, RATE, 2)
    files = [
        str(write_wav(tmp_path / "loud.wav", loud[None], rate=RATE, subtype="FLOAT")),
        str(write_wav(tmp_path / "soft.wav", 0.001 * soft[None], rate=RATE, subtype="FLOAT")),
    ]
    clean = tone(3, RATE)
    added = add_babble(clean, RATE, files=files, positions=[0, 0], snr_db=0)[0].astype(np.float64) - clean[0]
    shares, *_ = np.linalg.lstsq(np.stack([loud, soft], axis=1), added, rcond=None)
    assert 20 * np.log10(shares[1] / shares[0]) == pytest.approx(0, abs=1.5)  # alike but for their pauses


def test_nobody_who_speaks_is_refused_in_one_line(tmp_path):
    file = str(write_wav(tmp_path / "mute.wav", np.zeros((1, RATE)), rate=RATE))
    with pytest.raises(InputError, match=r"mute\.wav: nobody speaks there; give a bank of speech"):
        add_babble(tone(1, RATE), RATE, files=[file], positions=[0], snr_db=10)
