"""Ctrl-C: the first stops with a checkpoint, the second at once, and before the first step nothing is left."""

import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.training import fit, stopping  # noqa: E402
from resound.training.judge import Judge  # noqa: E402
from resound.training.keeper import Keeper  # noqa: E402
from training.conftest import losses_of, write_plan  # noqa: E402

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def at(monkeypatch, owner, name, is_time, number=signal.SIGINT, times=1):
    """Let a signal come within a method, once it is time."""
    original, came = getattr(owner, name), []

    def interrupted(*arguments, **named):
        if not came and is_time(*arguments):
            came.append(True)
            for _ in range(times):
                signal.raise_signal(number)
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.fixture
def command(here, corpora, resound):
    """Return a function that trains the tiny plan in the folder ``run``, or goes on with it."""
    plan = write_plan(here)

    def run(*words, to="run"):
        return resound("train", plan, "--corpus", corpora[0], "-o", to, *words)

    run.on = lambda *words: resound("train", "run", "--resume", *words)
    return run


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_stops_after_the_step_and_the_run_goes_on_to_the_bit(here, command, monkeypatch, number):
    assert command(to="whole").status == 0
    with monkeypatch.context() as patch:
        at(patch, fit.ExampleDataset, "__getitem__", lambda self, key: key[1] == 13, number)
        ended = command()
    assert ended.status == 130
    assert len(losses_of(here / "run")) == 7  # examples 12 and 13 are those of step 7
    *_, asked, last = ended.stderr.splitlines()
    assert asked.startswith("stopping after this step")
    assert last == "stopped by the user; 7 steps in all"
    assert ended.stdout.endswith("to go on: resound train run --resume\n")
    assert command.on().status == 0
    assert losses_of(here / "run") == losses_of(here / "whole")


def test_during_a_validation_that_is_finished_first(here, command, monkeypatch):
    at(monkeypatch, Judge, "_row", lambda *_: True)
    assert command().status == 130
    assert len(losses_of(here / "run")) == 4
    assert Keeper.of(here / "run", "si_sdr_i", 3).last_step == 4
    assert len((here / "run/validation.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("when", ["open_cache", "Listening"])
def test_before_the_first_step_nothing_is_left(here, command, monkeypatch, when):
    at(monkeypatch, fit, when, lambda *_: True)
    ended = command()
    assert ended.status == 130
    assert ended.stderr.splitlines()[-1] == "resound: interrupted; nothing half-written was left"
    assert not (here / "run").exists()


def test_a_second_one_ends_at_once(here, command, monkeypatch):
    class AtOnceError(Exception):
        pass

    def end(status):
        raise AtOnceError(status)

    monkeypatch.setattr(stopping, "end_at_once", end)
    at(monkeypatch, fit.ExampleDataset, "__getitem__", lambda self, key: key[1] == 13, times=2)
    with pytest.raises(AtOnceError, match="130"):
        command()
    assert Keeper.of(here / "run", "si_sdr_i", 3).last_step == 4


def test_two_signals_at_once_are_one_under_torchrun_which_hands_on_what_the_terminal_sent(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setattr(stopping, "end_at_once", lambda status: pytest.fail("ends"))
    with stopping.stoppable(lambda text: None) as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_asked
        ended = []
        monkeypatch.setattr(stopping, "end_at_once", ended.append)
        monkeypatch.setattr(stopping, "SAME_REQUEST_SECONDS", 0.0)
        signal.raise_signal(signal.SIGTERM)
        assert ended == [143]


def test_the_handlers_are_those_of_before_when_all_is_over(plan, shown, tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    fit.train(plan("training.steps=1", "n_listen=0"), tmp_path / "run", shown)
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.slow
@pytest.mark.parametrize("n_times", [1, 2])
def test_processes_of_the_loader_end_with_the_training(start, n_times):
    run = start("training.workers=2", "training.steps=100000", "training.validate_every=50000")
    run.wait_for_step(3)
    run.interrupt()
    if n_times == 2:
        run.wait_for(lambda: "stopping" in run.told)
        run.interrupt()
    assert run.end() == 130  # and nothing is left, see `Run.end`
    assert "Traceback" not in run.told
