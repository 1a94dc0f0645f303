"""A training so small that it takes seconds: two voices, a tiny network, sounds of our own making."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

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
        return load_run_config(str(write_plan(tmp_path, task)), words, corpora=corpora)

    return make


def write_plan(folder, task="enhance", **changes):
    """Write a plan, and return its path."""
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
        "training": {
            "steps": 12, "batch_size": 2, "validate_every": 4, "workers": 0, "device": "cpu",
            "threads": 1,  # networks this small are slower on several, far slower where others share the cores
        },
        "tracker": "none",
        "n_listen": 1,
        **changes,
    }  # fmt: skip
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


class Run:
    """``resound train`` in a process of its own, in a group of its own as a terminal has it."""

    def __init__(self, command, folder, **popen):
        self.folder, self.err = folder / "run", folder / f"stderr-{len(list(folder.glob('stderr-*')))}"
        with open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=err, start_new_session=True, **popen
            )

    @property
    def told(self):
        """What it has told so far."""
        return self.err.read_text()

    def wait_for(self, is_so, seconds=300.0):
        """Wait until something is so, with the run still going."""
        end = time.monotonic() + seconds
        while not is_so():
            assert self.process.poll() is None, f"ended before: {self.told}"
            assert time.monotonic() < end, f"never: {self.told}"
            time.sleep(0.01)

    def wait_for_step(self, step):
        """Wait until so many steps are made."""
        self.wait_for(lambda: (self.folder / "steps.csv").exists() and len(losses_of(self.folder)) >= step)

    def interrupt(self, number=signal.SIGINT):
        """Do what Ctrl-C on a terminal does: tell every process of the group."""
        os.killpg(self.process.pid, number)

    def end(self, seconds=300.0):
        """Wait for its end and return the status; what it started must be gone soon after."""
        status = self.process.wait(seconds)
        end = time.monotonic() + 8.0  # torch's workers look every 5 s whether their parent is alive
        while is_group_alive(self.process.pid):
            assert time.monotonic() < end, "processes are left"
            time.sleep(0.05)
        return status


def is_group_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def start(tmp_path, corpora):
    """Return a function that starts a training of the tiny plan in ``tmp_path/run``; what is left is killed."""
    runs = []

    def begin(*words, resume=False, torchrun=0, before="", **popen):
        write_plan(tmp_path)
        resound = ["-m", "resound.cli.main"]
        if before:  # code to run in each process before the command
            (tmp_path / "script.py").write_text(f"{before}\nif __name__ == '__main__':\n    main.main()\n")
            resound = ["script.py"]
        several = ["-m", "torch.distributed.run", f"--nproc_per_node={torchrun}", f"--master_port={free_port()}"]
        what = ["run", "--resume"] if resume else ["plan.yaml", "--corpus", str(corpora[0]), "-o", "run"]
        command = [sys.executable, *(several if torchrun else []), *resound, "train", *what, *words]
        runs.append(Run(command, tmp_path, **popen))
        return runs[-1]

    yield begin
    for run in runs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.communicate()


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="session", autouse=True)
def caches_of_their_own(tmp_path_factory):
    """Keep validation sets out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def losses_of(folder):
    """Return the losses of every step of a run, as text: equal means equal to the bit."""
    whole = (folder / "steps.csv").read_text().rpartition("\n")[0]  # of a run under way a line may be half written
    if not whole:
        return []
    header, *rows = whole.splitlines()
    column = header.split(",").index("loss")
    return [row.split(",")[column] for row in rows]
