"""Models on a corpus split: mixed by a YAML, judged as in training, grouped by what the recipes say."""

import json

import numpy as np
import pytest
import yaml

FAST = ("--metrics", "si_sdr", "--count", "6", "-o", "out", "-j", "1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("resound.evaluation.report.with_sounds", lambda highlights, *_: list(highlights))


@pytest.fixture
def mix(here, speech_corpus):
    told = {
        "sample_rate": 8000, "segment_seconds": 1, "clean": {"corpus": str(speech_corpus)},
        "chain": [{"hiss": {"snr_db": [0, 20]}}],
    }  # fmt: skip
    (here / "mix.yaml").write_text(yaml.safe_dump(told))
    return here / "mix.yaml"


def test_a_split_is_mixed_and_grouped(mix, resound):
    ended = resound("evaluate", "--model", "classic", "--config", "mix.yaml", *FAST, "segment_seconds=2")
    assert ended.status == 0 and "6 examples of mix.yaml, split train, seed 0" in ended.stdout
    with open("out/results.json") as file:
        told = json.load(file)
    assert told["n_files"] == 6 and told["seconds"] == pytest.approx(12) and len(told["groups"]["snr_band"]) > 1
    assert set(told["groups"]["speaker"]) <= set("abcd") and len(told["groups"]["speaker"]) > 1


def test_a_network_is_judged_as_in_training(mix, resound):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.checkpoint import save_model
    from resound.judging.scores import score
    from resound.mixing.cache import open_cache
    from resound.mixing.config import mixing_from, read_settings
    from resound.models import build

    torch.manual_seed(0)
    network = build("gatewave", sample_rate=8000, hidden=4, depth=2).eval()
    save_model(mix.parent / "model", network)
    assert resound("evaluate", "--model", "model", "--config", "mix.yaml", *FAST).status == 0
    examples = open_cache(mixing_from(read_settings(mix), "mix.yaml"), 6, n_jobs=1)
    expected = []
    for index in range(6):
        example = examples.example(0, index)
        with torch.inference_mode():
            expected.append(score(network(torch.from_numpy(example.degraded[None]))[0].numpy(), example)["si_sdr"])
    with open("out/results.json") as file:
        told = json.load(file)
    assert told["overall"]["enhanced"]["si_sdr"]["mean"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert told["cost"]["peak_memory_mb"] > 50


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--model", "classic"), "classic: nothing to judge it on; give --clean DIR --degraded DIR"),
        (("--model", "nothing", "--config", "mix.yaml"), "model 'nothing' is not known; choose from auto, classic"),
        (("--model", "classic", "--config", "mixx.yaml"), "mixx.yaml: no such file"),
        (("--model", "classic", "--config", "mix.yaml", "--degraded", "x"), "both a split (--config) and files"),
        (("--model", "classic", "--config", "mix.yaml", "chian=1"), "chian"),
    ],
)
def test_what_cannot_be_judged_is_one_line(mix, resound, words, error):
    ended = resound("evaluate", *words)
    assert ended.status == 1 and error in ended.stderr and ended.stderr.count("\n") == 1


def test_a_preset_without_weights_says_so(mix, resound):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    ended = resound("evaluate", "--model", "gatewave", "--config", "mix.yaml")
    assert ended.status == 1 and "gatewave: comes without weights so far; train it" in ended.stderr
