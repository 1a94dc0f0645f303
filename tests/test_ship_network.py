"""What is told of a network that ships: where it comes from, by licence, and that the command is the run's."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def ship(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import ship_network

    yield ship_network
    sys.modules.pop("ship_network")


def manifest(folder, *lines):
    usual = {"n_samples": 960_000, "sample_rate": 16_000, "n_channels": 1, "split": "train"}
    head = {"manifest": 1, "root": str(folder), "corpus": "c", "layout": "csv", "domain": None}
    path = folder / "c.jsonl"
    path.write_text("\n".join(map(json.dumps, [head, *({**usual, **line} for line in lines)])) + "\n")
    return path


def test_sources_are_summed_up_by_licence_with_credit(ship, tmp_path):
    path = manifest(
        tmp_path,
        {"path": "speech/a/s1/1.wav", "domain": "speech", "licence": "CC0 1.0"},
        {"path": "speech/a/s2/2.wav", "domain": "speech", "licence": "CC0 1.0"},
        {"path": "speech/a/s2/3.wav", "domain": "speech", "licence": "CC0 1.0", "split": "valid"},
        {"path": "music/b/4.wav", "domain": "music", "licence": "CC BY 4.0"},
        {"path": "rir/c/5.wav", "domain": "room", "licence": "UNVERIFIED: who knows"},
    )
    (tmp_path / "credits.csv").write_text("path,source_repo\nmusic/b/4.opus,her/music\n")
    rows = ship.learnt_from([path], ["speech", "music"], ship.repositories(tmp_path / "credits.csv"))
    assert rows == [
        {"domain": "speech", "source": "a", "files": 2, "minutes": 2.0, "licence": "CC0 1.0"},
        {
            "domain": "music",
            "source": "b",
            "files": 1,
            "minutes": 1.0,
            "licence": "CC BY 4.0",
            "repository": "her/music",
        },
    ]
    with pytest.raises(SystemExit, match=r"rir/c/5.wav: licence is 'UNVERIFIED: who knows'"):
        ship.learnt_from([path], ["speech", "room"], {})


@pytest.mark.parametrize("path", ["1.wav", "/elsewhere/1.wav"])
def test_a_path_that_says_no_source_is_told(ship, path):
    with pytest.raises(SystemExit, match="says no source"):
        ship.source_of(path)


def test_all_that_is_heard_is_told(ship):
    from resound.training.config import load_run_config

    config = load_run_config("voice").model_dump(mode="json")
    config["corpora"] = {name: ["a.jsonl"] for name in ("speech", "noise", "music", "room", "vintage")}
    assert set(ship.domains_heard(config)) == {"speech", "noise", "music", "room"}
    del config["corpora"]["music"]  # optional, and not there
    assert set(ship.domains_heard(config)) == {"speech", "noise", "room"}


def test_the_command_is_that_of_the_run(ship):
    from resound.training.config import load_run_config

    words = ["training.steps=10", "optimiser.lr=1e-3"]
    run = load_run_config("voice", words).model_dump(mode="json")
    ship.check_recipe("voice", words, run)
    with pytest.raises(SystemExit, match="--settings: optimiser would be"):
        ship.check_recipe("voice", words[:1], run)
    with pytest.raises(SystemExit, match=r"--settings: training.steps would be 30000, and the run has 10"):
        ship.check_recipe("voice", words[1:], run)
