"""``resound reproduce``: the command goes on after any end, and knows without torch that all is there."""

import json
import signal
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from conftest import files_below  # noqa: E402
from training.conftest import Run, caches_of_their_own, corpora, losses_of, write_plan  # noqa: E402, F401

WORDS = ["training.steps=8", "n_listen=0"]


@pytest.fixture
def refused(here, resound):
    """Return a function that runs ``resound reproduce``, which must refuse, and gives the line that says why."""

    def run(*words):
        before = files_below(here)
        ended = resound("reproduce", *words)
        assert ended.status == 1, ended
        assert ended.stdout == ""
        line = ended.stderr.splitlines()[-1]
        assert line.startswith("resound: ")
        assert files_below(here) == before
        return line.removeprefix("resound: ")

    return run


def test_wrong_words_are_told_in_one_line_and_leave_nothing(here, corpora, refused):  # noqa: F811
    plan = write_plan(here)
    assert "did you mean 'gatewave'?" in refused("gatewav", "--quick", "--corpus", corpora[0])
    assert "nowhere.jsonl: no such" in refused(plan, "--corpus", "nowhere.jsonl")
    assert "did you mean 'steps'?" in refused(plan, "training.step=3", "--corpus", corpora[0])
    assert "<speech> is missing" in refused("gatewave", "--quick")
    assert "nowhere: is no folder; give --corpus speech=FOLDER" in refused(plan, "--corpus", "speech=nowhere")
    (here / "empty").mkdir()
    assert "empty" in refused(plan, "--corpus", "speech=empty")


def test_it_goes_on_after_a_kill_and_knows_without_torch_that_all_is_there(here, corpora):  # noqa: F811
    write_plan(here)
    words = ["reproduce", "plan.yaml", *WORDS, "--corpus", str(corpora[0]), "-o", "run"]
    command = [sys.executable, "-m", "resound.cli.main", *words]
    begun = Run(command, here)
    steps = here / "run/run"
    begun.wait_for(lambda: (steps / "steps.csv").exists() and len(losses_of(steps)) >= 5)
    begun.interrupt(signal.SIGKILL)
    begun.process.wait()
    assert not (here / "run/model").exists()
    ended = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "1/6 corpus: whole already; 14 recordings (12 speech, 2 noise)" in ended.stderr
    assert ended.stdout.splitlines()[-1] == "all six steps are whole: run"
    assert len(losses_of(steps)) == 8
    code = (
        f"import sys; from resound.cli import main; sys.argv = {['resound', *words]!r}\n"
        "try: main.main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    )
    again = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True)
    assert again.stdout == ended.stdout
    assert again.stderr == "False\n"


def test_a_stop_ends_with_130_and_says_how_to_go_on(here, corpora, resound, monkeypatch):  # noqa: F811
    from resound.training.session import Session

    def stop(self, step, trainer):
        self.outcome.is_interrupted = True
        return "stopped by the user"

    monkeypatch.setattr(Session, "_reason_to_stop", stop)
    ended = resound("reproduce", write_plan(here), *WORDS, "--corpus", corpora[0])
    assert ended.status == 130
    assert ended.stdout.startswith("reproductions/plan: the training was stopped")
    told = json.loads((here / "reproductions/plan/reproduce.json").read_text())
    assert list(told["steps"]) == ["corpus", "prepare", "doctor"]
