"""What goes wrong in the middle: killed at any moment, the disk full, memory short.  The run goes on all the same."""

import errno
import json
import random
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

import resound.checkpoint  # noqa: E402
from conftest import largest_file  # noqa: E402
from resound.errors import InputError, OutputError, TrainingError  # noqa: E402
from resound.training import fit, keeper, memory  # noqa: E402
from resound.training.fit import told, train  # noqa: E402
from resound.training.run_folder import RunFolder  # noqa: E402
from resound.training.session import Session  # noqa: E402
from resound.training.tasks import task_of  # noqa: E402
from training.conftest import losses_of  # noqa: E402


class PowerCutError(BaseException):
    """Nothing is tidied up after it."""


def scores_of(folder):
    """Return the table of validations without the times."""
    return [row.split(",")[:1] + row.split(",")[2:] for row in (folder / "validation.csv").read_text().splitlines()]


def assert_same(one, other):
    assert losses_of(one) == losses_of(other)
    assert scores_of(one) == scores_of(other)
    listed = [json.loads((folder / "checkpoints.json").read_text()) for folder in (one, other)]
    assert listed[0] == listed[1]
    for folder in (one, other):
        names = {path.name for path in (folder / "checkpoints").iterdir()}
        kept = [listed[0]["last"], *(best["folder"] for best in listed[0]["best"])]
        assert names == {name.split("/")[1] for name in kept}
        for name in kept:
            assert resound.checkpoint.load_model(folder / name)


# A cut is where the n-th call of a function would begin: what came before is on the disk, what comes after is not.
CUTS = {
    "before the first checkpoint": (Session, "_after_step", 3),
    "between two steps": (Session, "_after_step", 7),
    "before the log of a step": (RunFolder, "log_step", 6),
    "before a checkpoint": (keeper, "save_model", 3),  # two each: the best and the last
    "between the two checkpoints of a step": (keeper, "save_model", 4),
    "while its state is written": (keeper, "write_state", 2),
    "before it is listed": (keeper.Keeper, "_write_index", 2),
    "before the sounds": (fit.Listening, "__call__", 2),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_run_that_is_cut_off_anywhere_goes_on_to_the_bit(tmp_path, plan, shown, monkeypatch, whole, cut):
    owner, name, number = CUTS[cut]
    original, calls = getattr(owner, name), []

    def cut_off(*arguments, **named):
        calls.append(name)
        if len(calls) == number:
            raise PowerCutError
        return original(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, cut_off)
        patch.setattr(keeper.shutil, "rmtree", lambda *_, **__: None)  # a power cut tidies nothing up
        with pytest.raises(PowerCutError):
            train(plan("checkpoints.keep=1"), tmp_path / "run", shown)
    train(plan("checkpoints.keep=1"), tmp_path / "run", shown, resume=True)
    assert_same(tmp_path / "run", whole)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, corpora):
    """A run that nothing happened to."""
    from resound.training.config import load_run_config
    from training.conftest import Silent, write_plan

    folder = tmp_path_factory.mktemp("whole")
    config = load_run_config(str(write_plan(folder)), ["checkpoints.keep=1"], corpora=corpora)
    train(config, folder / "run", Silent())
    return folder / "run"


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_goes_on_to_the_bit(start, whole):
    run = start("checkpoints.keep=1")
    for step in (2, 6, 10):
        run.wait_for_step(step)
        time.sleep(random.uniform(0, 0.2))
        run.interrupt(signal.SIGKILL)
        if run.end() == 0:  # it was faster
            break
        run = start(resume=True)
    run.end()
    assert_same(run.folder, whole)


@pytest.mark.parametrize("name", ["steps.csv", "console.log", "validation.csv", "state.pt", "weights.safetensors"])
def test_a_full_disk_ends_it_in_one_line_and_it_goes_on_with_some_space(
    tmp_path, plan, shown, monkeypatch, whole, name
):
    original = Session._after_step
    room = {"state.pt": 20_000, "weights.safetensors": 2_000}

    def full(self, trainer, task, now):
        if task.n_steps != 8:
            return original(self, trainer, task, now)
        path = tmp_path / "run" / name
        with largest_file(room.get(name) or path.stat().st_size + 5):  # there is room for the beginning of a line
            return original(self, trainer, task, now)

    config = plan("checkpoints.keep=1", "n_listen=0")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_after_step", full)
        with pytest.raises(OutputError) as error:
            train(config, tmp_path / "run", shown)
    assert len(str(error.value).splitlines()) == 1
    assert "free some space" in str(error.value)
    assert json.loads((tmp_path / "run/checkpoints.json").read_text())["last"] == "checkpoints/last-000004"
    train(config, tmp_path / "run", shown, resume=True)
    assert_same(tmp_path / "run", whole)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_that_cannot_be_written_are_told_once_and_the_run_goes_on(tmp_path, plan, shown, monkeypatch, capfd):
    pytest.importorskip("tensorboard", reason="needs the extra: pip install '.[train]'")
    from resound.training.trackers.tensorboard import TensorBoard

    def full(self, step, values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TensorBoard, "log", full)
    assert train(plan("tracker=tensorboard", "n_listen=0"), tmp_path / "run", shown).is_finished
    assert len([line for line in shown.lines if line.startswith("tracker: tensorboard failed")]) == 1
    assert "Traceback" not in capfd.readouterr().err


TOO_LARGE = """
import resource, torch
from resound.training.memory import is_out_of_memory
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, resource.RLIM_INFINITY))
try:
    torch.zeros(2**40)
except RuntimeError as error:
    print(is_out_of_memory(error), str(error)[:60])
"""


def test_memory_that_runs_out_is_known_by_its_error():
    ran = subprocess.run([sys.executable, "-c", TOO_LARGE], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("True"), ran.stdout
    on_gpu = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    assert memory.is_out_of_memory(RuntimeError(on_gpu))
    assert not memory.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


TIGHT = """
import ctypes, resource, sys
from resound.cli import main
from resound.training import fit
steps = fit.fit
ctypes.CDLL(None).mallopt(-8, 1)  # one arena: those of threads take 64 MB of addresses each, whenever they come

def tight(*arguments):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 1200 * 2**20, resource.RLIM_INFINITY))
    steps(*arguments)

fit.fit = tight
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_batch_that_it_names_fits(start, tmp_path):
    words = ["training.steps=1", "config.hidden=256", "config.bottleneck=256", "n_listen=0"]
    run = start("training.batch_size=192", *words, before=TIGHT)
    assert run.end() == 1
    line = run.told.splitlines()[-1]
    assert line.startswith("resound: out of memory at batch_size 192; training.batch_size="), run.told
    size, accumulate = (int(word.partition("=")[2]) for word in line.split() if word.startswith("training."))
    assert size * accumulate == 192
    run.folder.rename(tmp_path / "first")
    again = start(f"training.batch_size={size}", f"training.accumulate={accumulate}", *words, before=TIGHT)
    assert again.end() == 0, again.told


def test_a_network_larger_than_the_device_is_refused_before_it_is_made(plan, monkeypatch):
    config = plan()
    n_values = sum(weight.numel() for weight in fit.initial_network(config).parameters())
    monkeypatch.setattr(memory, "device_bytes", lambda device: 16 * n_values - 1)
    monkeypatch.setattr(fit, "build", None)
    with pytest.raises(TrainingError, match=f"{n_values:,} parameters take .* give a smaller network"):
        fit.initial_network(config)
    monkeypatch.setattr(memory, "device_bytes", lambda device: None)  # not known: tried
    with pytest.raises(TypeError):
        fit.initial_network(config)


def test_advice_where_nothing_fits(plan, monkeypatch):
    config = plan("training.batch_size=8")

    def short(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(memory, "one_step", short)
    task = task_of(fit.initial_network(config), config)
    assert "one example does not fit either" in memory.advice_for(task, config)


def test_errors_of_the_loaders_processes_are_told_without_their_traceback(tmp_path):
    text = 'Caught it in a process\nTraceback:\n  File "x.py"\nresound.errors.InputError: a.wav: is empty; remove it'
    caught = InputError(text)
    assert str(told(caught, tmp_path)) == "a.wav: is empty; remove it"
    killed = RuntimeError("DataLoader worker (pid 17) is killed by signal: Killed.")
    assert isinstance(told(killed, tmp_path), TrainingError)
    assert "lower training.workers" in str(told(killed, tmp_path))
    ours = RuntimeError("a bug")
    assert told(ours, tmp_path) is ours
