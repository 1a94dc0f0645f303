"""A run on two devices: as one process with twice the batch, whoever starts it, and with one end for both."""

import json
import os
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.training import processes  # noqa: E402
from resound.training.fit import train  # noqa: E402
from resound.training.keeper import read_state  # noqa: E402
from resound.training.processes import Processes, with_companions, with_devices  # noqa: E402
from training.conftest import losses_of  # noqa: E402

TWO = ["training.batch_size=1"]
LAUNCHERS = {"torchrun": (2, []), "the command": (0, ["training.n_devices=2"])}


def begin(start, launcher, *words, **how):
    torchrun, own = LAUNCHERS[launcher]
    return start(*TWO, *([] if how.get("resume") else own), *words, torchrun=torchrun, **how)


def metrics_of(folder):
    header, *rows = (folder / "validation.csv").read_text().splitlines()
    assert header.split(",")[1] == "minutes"
    return np.array([[float(value) for value in row.split(",")[2:]] for row in rows])


SPY = """
import json, os, torch
from resound.cli import main
from resound.training import fit
from resound.training.dataset import ExampleDataset

rank, get, steps = os.environ["RANK"], ExampleDataset.__getitem__, fit.fit

def seen(self, key):
    with open(f"seen-{rank}", "a") as log:
        log.write(json.dumps(key) + chr(10))
    return get(self, key)

def spied(task, *rest):
    steps(task, *rest)
    torch.save(task.state_dict(), f"weights-{rank}")

ExampleDataset.__getitem__, fit.fit = seen, spied
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_learn_as_one_with_twice_the_batch(tmp_path, plan, shown, start, launcher):
    run = begin(start, launcher)
    assert run.end() == 0, run.told
    train(plan(), tmp_path / "one", shown)
    one, two = (tmp_path / name for name in ("one", "run"))
    # Sums of floats in another order: 1e-5 dB of losses of some dB.
    np.testing.assert_allclose(
        [float(loss) for loss in losses_of(two)], [float(loss) for loss in losses_of(one)], atol=1e-4
    )
    np.testing.assert_allclose(metrics_of(two), metrics_of(one), atol=1e-3)
    states = [read_state(folder / "checkpoints/last-000012/state.pt")["network"] for folder in (one, two)]
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, atol=1e-5, rtol=1e-4)
    told = run.told.splitlines()
    assert sum("step 4" in line for line in told) == 1  # only the first tells
    assert json.loads((two / "checkpoints.json").read_text())["last"] == "checkpoints/last-000012"
    assert (two / "config.yaml").read_text().count("n_devices: 2") == 1


@pytest.mark.slow
def test_both_have_the_same_weights_and_every_example_is_seen_once(tmp_path, start):
    run = begin(start, "torchrun", before=SPY)
    assert run.end() == 0, run.told
    one, other = (torch.load(tmp_path / f"weights-{rank}") for rank in (0, 1))
    assert all(torch.equal(one[key], other[key]) for key in one)
    seen = [[json.loads(line) for line in (tmp_path / f"seen-{rank}").read_text().splitlines()] for rank in (0, 1)]
    assert seen == [[[0, index] for index in range(rank, 24, 2)] for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ctrl_c_stops_both_at_the_same_step_and_both_go_on(tmp_path, start, launcher):
    words = ["training.steps=100000", "training.validate_every=50000"]
    run = begin(start, launcher, *words)
    run.wait_for_step(4)
    run.interrupt()
    status = run.end()
    assert status == 130 if launcher == "the command" else status != 0  # torchrun has a status of its own
    assert "Traceback" not in run.told or launcher == "torchrun"
    n_done = len(losses_of(run.folder))
    assert json.loads((run.folder / "checkpoints.json").read_text())["last"] == f"checkpoints/last-{n_done:06}"
    run = begin(start, launcher, f"training.steps={n_done + 2}", resume=True)
    assert run.end() == 0, run.told
    assert len(losses_of(run.folder)) == n_done + 2
    assert f"goes on from step {n_done}" in run.told


@pytest.mark.slow
@pytest.mark.parametrize("whose", [0, 1])
def test_where_one_is_killed_the_other_ends(tmp_path, start, whose):
    run = begin(start, "the command", "training.steps=100000", "training.validate_every=5", "n_listen=0")
    run.wait_for_step(7)
    first = run.process.pid
    victim = first if whose == 0 else child_of(first)
    os.kill(victim, signal.SIGKILL)
    assert run.end() == (-signal.SIGKILL if whose == 0 else 1)
    if whose == 1:
        assert run.told.splitlines()[-1].endswith(
            "another process of this run has ended; see what it said, then --resume"
        )
    assert "Traceback" not in run.told
    assert json.loads((run.folder / "checkpoints.json").read_text())["last"]


def child_of(process):
    """Return the first process that another one started."""
    return int(open(f"/proc/{process}/task/{process}/children").read().split()[0])


@pytest.mark.slow
def test_a_mistake_is_told_once(tmp_path, start):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine").touch()
    run = begin(start, "the command")
    assert run.end() == 1
    assert [line for line in run.told.splitlines() if line.startswith("resound:")] == [
        "resound: run: exists already; go on with --resume, or give another folder with -o"
    ]
    assert "Traceback" not in run.told


def test_the_first_works_before_the_others(monkeypatch):
    told = []
    monkeypatch.setattr(processes.distributed, "broadcast_object_list", lambda words, src: told.extend(words))
    assert Processes(0, 2).after_first(lambda: "made") == "made"
    with pytest.raises(OSError, match="full"):
        Processes(0, 2).after_first(lambda: (_ for _ in ()).throw(OSError("full")))
    assert told == [True, False]


def test_the_others_end_in_silence_where_the_first_failed(monkeypatch):
    def hear(words, src):
        words[0] = False

    monkeypatch.setattr(processes.distributed, "broadcast_object_list", hear)
    with pytest.raises(SystemExit) as ended:
        Processes(1, 2).after_first(lambda: pytest.fail("works all the same"))
    assert ended.value.code == 1


def test_a_plan_says_on_how_many_devices_it_was_trained(plan):
    assert with_devices(plan(), Processes(1, 2, 2)).training.n_devices == 2
    with pytest.raises(ConfigError, match="n_devices is 2, and this is one process"):
        with_devices(plan("training.n_devices=2"), Processes())
    with pytest.raises(ConfigError, match="n_devices is 3, torchrun started 2"):
        with_devices(plan("training.n_devices=3"), Processes(0, 2, 2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without")
def test_a_device_that_is_not_there_is_told_at_once(tmp_path, plan, shown):
    with pytest.raises(ConfigError, match="device is cuda, and torch finds none"):
        train(plan("training.device=cuda"), tmp_path / "run", shown)
    assert not (tmp_path / "run").exists()


def test_one_process_needs_no_companions(monkeypatch):
    monkeypatch.setattr(processes.subprocess, "Popen", lambda *_, **__: pytest.fail("starts one"))
    before = dict(os.environ)
    with with_companions(1, []):
        assert dict(os.environ) == before
    monkeypatch.setenv("WORLD_SIZE", "2")  # torchrun has started them
    with with_companions(2, []):
        pass
