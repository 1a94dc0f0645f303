"""A training so small that it takes seconds: two voices, a tiny network, sounds of our own making."""

import pytest
import soundfile
import yaml

from resound.corpora.manifest import Manifest, Recording, write_manifest
from signals import noise, speech_like

RATE = 8000
TINY = {"sample_rate": RATE, "n_filters": 16, "filter_samples": 16, "bottleneck": 8, "hidden": 12, "skip": 8,
        "n_blocks": 2, "n_repeats": 1}  # fmt: skip


class Silent:
    """Shows nothing, and remembers what it was told."""

    def __init__(self):
        self.lines, self.steps = [], []

    def line(self, text):
        self.lines.append(text)

    def progress(self, step, n_steps, seconds_left, measured):
        self.steps.append((step, dict(measured)))


@pytest.fixture
def shown():
    return Silent()


@pytest.fixture(scope="session")
def corpora(tmp_path_factory):
    """A manifest with four speakers to learn from, two to judge on, and noise for both."""
    root = tmp_path_factory.mktemp("corpora")
    recordings = []
    for number, key in enumerate(f"{speaker}{take}" for speaker in "abcdef" for take in (1, 2)):
        split = "valid" if key[0] in "ef" else "train"
        recordings.append(_recording(root, key, speech_like(2.5, RATE, seed=number), "speech", split, key[0]))
    for number, split in enumerate(("train", "valid")):
        recordings.append(_recording(root, f"n{number}", noise(3, RATE, seed=number), "noise", split, None))
    write_manifest(root / "corpus.jsonl", Manifest(root, recordings))
    return [root / "corpus.jsonl"]


def _recording(root, key, samples, domain, split, speaker):
    soundfile.write(root / f"{key}.wav", samples, RATE, subtype="FLOAT")
    form = {"n_samples": len(samples), "sample_rate": RATE, "n_channels": 1, "bandwidth_hz": RATE / 2}
    return Recording(f"{key}.wav", **form, domain=domain, split=split, speaker=speaker)


@pytest.fixture
def plan(tmp_path, corpora):
    """Return a function that gives a checked config: of an enhancement, or with ``task="separate"``."""
    from resound.training.config import load_run_config

    def make(*words, task="enhance"):
        enhance = {
            "clean": {"corpus": "<speech>", "domain": "speech"},
            "chain": [{"noise": {"bank": "<noise>", "snr_db": [0, 10]}}],
        }
        separate = {"task": "separate", "speech": {"corpus": "<speech>", "domain": "speech"}}
        values = {
            "task": task,
            "network": "conv_tasnet",
            "config": {**TINY, "n_sources": 1 if task == "enhance" else 2},
            "data": {**(enhance if task == "enhance" else separate), "segment_seconds": 1, "n_examples": 30},
            "validation": {"n_examples": 4},
            "loss": [{"kind": "snr"}],
            "training": {"steps": 12, "batch_size": 2, "validate_every": 4, "workers": 0, "device": "cpu"},
            "tracker": "none",
            "n_listen": 1,
        }
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(values))
        return load_run_config(str(path), words, corpora=corpora)

    return make


@pytest.fixture(scope="session", autouse=True)
def caches_of_their_own(tmp_path_factory):
    """Keep validation sets out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def losses_of(folder):
    """Return the losses of every step of a run, as text: equal means equal to the bit."""
    header, *rows = (folder / "steps.csv").read_text().splitlines()
    column = header.split(",").index("loss")
    return [row.split(",")[column] for row in rows]
