"""A search: what it refuses, what it leaves, and that a study which was stopped goes on."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("optuna", reason="needs the extra: pip install '.[tune]'")
pytest.importorskip("plotly", reason="needs the extra: pip install '.[tune]'")

from resound.errors import ConfigError, OutputError, TrainingError  # noqa: E402
from resound.models.presets import load_preset, preset_names  # noqa: E402
from resound.training import findings  # noqa: E402
from resound.training import tune as tuning  # noqa: E402
from resound.training.config import load_run_config  # noqa: E402
from resound.training.findings import certainty, write_findings  # noqa: E402
from resound.training.search import load_plan, load_search  # noqa: E402
from resound.training.session import Session  # noqa: E402
from resound.training.study import StudyFolder, alone  # noqa: E402
from resound.training.tasks import Task  # noqa: E402
from resound.training.tune import tune  # noqa: E402
from training.conftest import losses_of  # noqa: E402

RATE = {"optimiser.lr": {"low": 1e-5, "high": 1e-2, "log": True}}
SHORT = ("training.steps=4", "training.validate_every=2")


@pytest.fixture
def search(tmp_path, plan, corpora):
    """Return a function that gives the plan of a search over a tiny training."""

    def make(vary=RATE, *words, **settings):
        plan()
        space = tmp_path / "space.yaml"
        space.write_text(yaml.safe_dump({"vary": vary, **settings}))
        return load_plan(str(tmp_path / "plan.yaml"), [*SHORT, *words], space=str(space), corpora=corpora)

    return make


def states(study):
    return [trial.state.name for trial in study.trials]


def table(study):
    with open(study.folder / "trials.csv", newline="") as rows:
        return list(csv.DictReader(rows))


# Spaces


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"optimizer.lr": {"low": 1, "high": 2}}, "vary.optimizer.lr: 1 cannot be: optimizer: no such setting (did"),
        ({"optimiser.rate": {"low": 1, "high": 2}}, "optimiser.rate: no such setting (there are"),
        ({"optimiser.lr": {"low": 2, "high": 1}}, "vary.optimiser.lr: low 2 must be below high 1"),
        ({"optimiser.lr": {"low": 0, "high": 1, "log": True}}, "log needs low above 0"),
        ({"optimiser.lr": {"low": -1, "high": 1}}, "vary.optimiser.lr: -1 cannot be: optimiser.lr: input should be gr"),
        ({"optimiser.lr": {"low": 1}}, "needs low and high, or choices"),
        ({"optimiser.lr": {"lowest": 1}}, "vary.optimiser.lr.lowest: no such setting"),
        ({"optimiser.name": {"choices": ["adam"]}}, "choices must be two or more"),
        ({"optimiser.name": {"choices": ["adam", "sgd"]}}, "'sgd' cannot be: optimiser.name: input should be"),
        ({"optimiser.name": {"choices": ["adam", "adamw"], "low": 1}}, "has choices and a range"),
        ({"loss.1.weight": {"low": 1, "high": 2}}, "loss.1.weight: '1' is no item of that list; there are those from"),
        ({"loss.weight": {"low": 1, "high": 2}}, "'weight' is no item of that list"),
        ({"training.steps.most": {"low": 1, "high": 2}}, "'training.steps' is a single value"),
        ({"config.hiden": {"low": 1, "high": 2}}, "config: hiden: no such setting (did you mean 'hidden'?)"),
        ({"validation.n_examples": {"low": 2, "high": 3}}, "decides how trials are compared"),
        ({"checkpoints.metric": {"choices": ["snr", "lsd"]}}, "decides how trials are compared"),
        ({"config.sample_rate": {"choices": [4000, 8000]}}, "changes what trials are judged on too"),
        ({}, "vary: dictionary should have at least 1 item"),
    ],
)  # fmt: skip
def test_a_space_that_cannot_be_is_one_line(search, vary, message):
    with pytest.raises(ConfigError) as caught:
        search(vary)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_search_is_refused_for_a_training_that_it_is_not_for(search):
    with pytest.raises(ConfigError, match=r"is for trainings with loss.0.kind=l1, .* has snr"):
        search(needs={"loss.0.kind": "l1"})
    with pytest.raises(ConfigError, match=r"with loss.0.kind=l1 or mae, .* has snr"):
        search(needs={"loss.0.kind": ["l1", "mae"]})
    search(needs={"loss.0.kind": ["l1", "snr"]})
    with pytest.raises(ConfigError, match="best near 0"):
        search(RATE, "checkpoints.metric=level_db")
    with pytest.raises(ConfigError, match="a trial uses one device"):
        search(RATE, "training.n_devices=2")
    with pytest.raises(ConfigError, match="no such search \\(did you mean 'waveform-loss'"):
        load_search("waveform-los")


def test_whole_numbers_are_drawn_where_the_setting_takes_no_others(search):
    vary = search({"config.hidden": {"low": 4, "high": 12}, "loss.0.weight": {"low": 1, "high": 10}}).search.vary
    assert vary["config.hidden"].whole
    assert not vary["loss.0.weight"].whole


def test_choices_may_be_lists(search):
    vary = search({"optimiser.betas": {"choices": [[0.9, 0.999], [0.8, 0.99]]}}).search.vary["optimiser.betas"]
    assert vary.value_of(vary.label_of([0.8, 0.99])) == [0.8, 0.99]


def test_words_of_the_command_line_win_over_what_a_search_sets(search):
    assert search(set={"ema": 0.5}).settings["ema"] == 0.5
    assert search(RATE, "ema=0.9", set={"ema": 0.5}).settings["ema"] == 0.9


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_with_a_recipe_has_a_search(name, corpora):
    if not load_preset(name).train:
        pytest.skip("has no recipe")
    try:
        plan = load_plan(name, corpora=corpora, quick=True)
    except ConfigError as error:
        assert re.search(r"<\w+> is missing", str(error)), error  # music, rooms ...
        return
    assert all(varied.label_of(plan.usual[key]) == plan.usual[key] for key, varied in plan.search.vary.items())


def test_the_search_of_the_case_study_varies_both_weights_against_pesq(corpora):
    pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    for name, usual in {"gatewave": (1, 1), "waveunet": (1, 1), "demucs48": (1, 0.1)}.items():
        plan = load_plan(name, space="waveform-loss", corpora=corpora)
        assert plan.metric == "pesq"
        assert tuple(plan.usual.values()) == usual
        assert list(plan.usual) == ["loss.0.weight", "loss.1.weight"]


# Studies


def test_a_study_leaves_its_best_training_a_table_and_a_page_that_needs_no_network(tmp_path, search, shown):
    vary = {**RATE, "config.hidden": {"low": 8, "high": 14}}
    study = tune(search(vary, prune=None), tmp_path / "study", shown, n_trials=5)
    lines = write_findings(study)
    assert states(study) == ["COMPLETE"] * 5
    assert study.trials[0].params == {"optimiser.lr": 1e-3, "config.hidden": 12}
    rows = table(study)
    best = max(rows, key=lambda row: float(row["si_sdr_i"]))
    assert best["trial"] == str(study.best.number)
    config = load_run_config(str(tmp_path / "study/best.yaml"))
    assert config.optimiser.lr == float(best["optimiser.lr"])
    assert config.config["hidden"] == int(best["config.hidden"])
    assert config.checkpoints.keep == 3  # the user's, not that of trials
    assert "5 trials (5 complete)" in lines[0]
    page = (tmp_path / "study/report.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page)
    for heading in ("History", "Learning", "One by one", "Two by two", "What matters", "Trials"):
        assert f"<h2>{heading}</h2>" in page
    assert lines[0] in page


def test_trials_are_runs_with_their_best_checkpoint_and_no_other(tmp_path, search, shown):
    study = tune(search(), tmp_path / "study", shown, n_trials=2)
    for trial in study.trials:
        folder = study.folder_of(trial.number)
        assert {"config.yaml", "steps.csv", "validation.csv", "console.log", "run.json"} <= set(os.listdir(folder))
        index = json.loads((folder / "checkpoints.json").read_text())
        assert index["last"] is None
        assert os.listdir(folder / "checkpoints") == [f"step-{trial.user_attrs['best_step']:06}"]
        assert index["best"][0]["value"] == pytest.approx(trial.value)


def test_a_study_goes_on_to_more_trials_and_never_draws_the_same_twice(tmp_path, search, shown):
    whole = tune(search(), tmp_path / "whole", shown, n_trials=4)
    tune(search(), tmp_path / "parts", shown, n_trials=2)
    parts = tune(search(), tmp_path / "parts", shown, n_trials=4)
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]
    assert len({trial.params["optimiser.lr"] for trial in parts.trials}) == 4
    tune(search(), tmp_path / "parts", shown, n_trials=3)
    assert "has its 4 trials" in shown.lines[-1]


@pytest.mark.parametrize("way", ["asked to stop", "killed"])
def test_a_trial_that_was_interrupted_goes_on_where_it_was(tmp_path, search, shown, monkeypatch, way):
    words = ("training.steps=8",)
    whole = tune(search(RATE, *words), tmp_path / "whole", shown, n_trials=3)
    original = Session._after_step

    def interrupted(self, trainer, task, now):
        if task.n_steps == 5 and self.folder.folder.name == "0001":
            if way == "killed":
                raise KeyboardInterrupt
            self.stop.is_asked = True
        original(self, trainer, task, now)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_after_step", interrupted)
        if way == "killed":
            patch.setattr("lightning.pytorch.trainer.call._interrupt", _raise, raising=False)
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                tune(search(RATE, *words), tmp_path / "study", shown, n_trials=3)
        else:
            stopped = tune(search(RATE, *words), tmp_path / "study", shown, n_trials=3)
            assert states(stopped) == ["COMPLETE", "RUNNING"]
            write_findings(stopped)
            assert table(stopped)[1]["state"] == "interrupted"
    study = tune(search(RATE, *words), tmp_path / "study", shown, n_trials=3)
    assert "trial 1 was interrupted, and goes on" in shown.lines
    assert [trial.number for trial in study.trials] == [0, 2, 3]
    assert [trial.params for trial in study.trials] == [trial.params for trial in whole.trials]
    assert [trial.values for trial in study.trials] == [trial.values for trial in whole.trials]
    assert sorted(os.listdir(tmp_path / "study/trials")) == ["0000", "0002", "0003"]
    assert losses_of(tmp_path / "study/trials/0002") == losses_of(tmp_path / "whole/trials/0001")


def _raise(*_):
    raise KeyboardInterrupt


def test_a_trial_that_ends_its_process_each_time_is_left_out(tmp_path, search, shown, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "train", killed)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                tune(search(), tmp_path / "study", shown, n_trials=2)
    study = tune(search(), tmp_path / "study", shown, n_trials=2)
    assert any("its process ended 3 times" in line for line in shown.lines)
    assert states(study) == ["FAIL", "COMPLETE"]


def test_hopeless_trials_are_given_up(tmp_path, search, shown, monkeypatch):
    monkeypatch.setattr(tuning.optuna.Trial, "should_prune", lambda self: True)
    study = tune(search(), tmp_path / "study", shown, n_trials=2)
    assert states(study) == ["COMPLETE", "PRUNED"]  # the training as it is is always made to its end
    assert len(losses_of(study.folder_of(1))) == 2
    assert os.listdir(study.folder_of(1) / "checkpoints") == []
    write_findings(study)
    assert "given up after 2 steps" in table(study)[1]["ending"]


@pytest.mark.parametrize("is_pruned", [True, False])
def test_what_is_worse_than_the_median_is_given_up_after_its_share_of_steps(tmp_path, search, is_pruned):
    prune = {"after_trials": 1, "after_share": 0.4} if is_pruned else None
    (tmp_path / "study").mkdir()
    study = StudyFolder(tmp_path / "study", search(RATE, "training.steps=8", prune=prune))

    def asked_to_end(values):
        trial, _ = study.next_trial(9)
        reports = tuning.Reports(study, trial)
        answers = [reports(step, {"si_sdr_i": value}) for step, value in zip((2, 4, 6, 8), values, strict=True)]
        study.study.tell(trial, reports.best)
        return answers

    assert asked_to_end([1, 2, 3, 4]) == [False] * 4  # nothing to compare with
    assert asked_to_end([0, 1, 2, 3]) == [False, is_pruned, is_pruned, False]  # at the last step it is too late
    assert asked_to_end([0, 9, 0, 0]) == [False] * 4  # its best so far counts


FAULTS = {
    "no number": TrainingError("step 3: the loss is no number"),
    "out of memory": RuntimeError("CUDA out of memory"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_trial_that_fails_is_noted_and_the_search_goes_on(tmp_path, search, shown, monkeypatch, fault):
    original = Task.training_step

    def failing(self, batch, batch_index):
        if self.n_steps == 2 and self.run.optimiser.lr != 1e-3 and not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise FAULTS[fault]
        return original(self, batch, batch_index)

    monkeypatch.setattr(Task, "training_step", failing)
    study = tune(search(), tmp_path / "study", shown, n_trials=3)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    write_findings(study)
    row = table(study)[1]
    assert (row["state"], fault in row["ending"]) == ("failed", True)
    assert "Traceback" in (study.folder_of(1) / "console.log").read_text()
    assert os.listdir(study.folder_of(1) / "checkpoints") == []


def test_if_the_first_trials_all_fail_the_plan_is_at_fault(tmp_path, search, shown, monkeypatch):
    def failing(*_, **__):
        raise TrainingError("there is no such thing")

    monkeypatch.setattr(tuning, "train", failing)
    with pytest.raises(TrainingError, match=r"the first 3 trials failed, the last with: there is no such thing"):
        tune(search(), tmp_path / "study", shown, n_trials=9)


def test_what_is_no_study_or_another_one_is_left_alone(tmp_path, search, shown):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already, and is no study"):
        tune(search(), tmp_path / "mine", shown, n_trials=1)
    tune(search(), tmp_path / "study", shown, n_trials=1)
    with pytest.raises(OutputError, match=r"something else: settings.training.steps: 4 there, 6 now"):
        tune(search(RATE, "training.steps=6"), tmp_path / "study", shown, n_trials=2)
    with pytest.raises(OutputError, match=r"search.vary.optimiser.lr.low: 1e-05 there, 0.0001 now"):
        tune(search({"optimiser.lr": {"low": 1e-4, "high": 1e-2}}), tmp_path / "study", shown, n_trials=2)


def test_two_commands_do_not_work_on_one_study(tmp_path, search, shown):
    (tmp_path / "study").mkdir()
    with alone(tmp_path / "study/.lock"), pytest.raises(OutputError, match="another process works on this study"):
        tune(search(), tmp_path / "study", shown, n_trials=1)


def test_a_disk_too_small_is_told_before_the_first_trial(tmp_path, search, shown, monkeypatch):
    monkeypatch.setattr(tuning.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputError, match="free some space"):
        tune(search(), tmp_path / "study", shown, n_trials=20)


def test_the_usual_value_may_lie_outside_of_what_is_searched(tmp_path, search, shown):
    study = tune(search({"optimiser.lr": {"low": 1e-5, "high": 1e-4}}), tmp_path / "study", shown, n_trials=2)
    assert study.trials[0].params == {}
    write_findings(study)
    assert next(row["optimiser.lr"] for row in table(study)) == "0.001"


# How sure it is


@pytest.mark.parametrize(
    ("mean", "low", "high", "said"),
    [
        (0.9, 0.5, 1.2, "better than as it is"),
        (0.9, -0.5, 1.2, "cannot be told from the training as it is; take it for chance"),
        (-0.9, -1.5, -0.2, "worse than as it is; keep the settings as they are"),
        (0.01, 0.005, 0.02, "nothing that counts"),
        (0.9, float("nan"), float("nan"), "too few to say"),
    ],
)
@pytest.mark.parametrize("metric", ["si_sdr", "lsd"])
def test_a_gain_is_told_with_its_interval(tmp_path, search, shown, monkeypatch, mean, low, high, said, metric):
    sign = 1 if metric == "si_sdr" else -1
    low, high = sorted((sign * low, sign * high))
    given = findings.Statistics(sign * mean, sign * mean, low, high, 4, 0)
    monkeypatch.setattr(findings, "compared", lambda *_: given)
    trial = type("Trial", (), {"number": 7, "user_attrs": {}, "values": [1.0]})
    (tmp_path / "study").mkdir()
    study = StudyFolder(tmp_path / "study", search(RATE, f"checkpoints.metric={metric}"))
    monkeypatch.setattr(StudyFolder, "usual", trial)
    assert said in certainty(study, trial)
    assert f"gains {mean:+.2f} dB" in certainty(study, trial)


def test_the_best_is_judged_on_examples_that_chose_nothing(search):
    config = search().config({})
    fresh = findings.with_fresh_examples(config)
    assert fresh.validation_mixing.seed != config.validation_mixing.seed
    assert fresh.validation_mixing.split == "valid"
    assert fresh.mixing == config.mixing


# In several processes


def test_two_processes_share_the_trials(tmp_path, search, shown):
    study = tune(search(), tmp_path / "study", shown, n_trials=4, n_jobs=2)
    assert states(study) == ["COMPLETE"] * 4
    assert len({trial.params["optimiser.lr"] for trial in study.trials}) == 4


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_and_the_same_command_goes_on(tmp_path, search, corpora):
    search()
    command = [sys.executable, "-m", "resound.cli.main", "tune", "plan.yaml", "--trials", "3", "--jobs", "2"]
    command += ["--space", "space.yaml", "--corpus", str(corpora[0]), "-o", "study"]
    words = ["training.steps=100000", "training.validate_every=2", "checkpoints.stop_after=null"]
    running = subprocess.Popen(
        [*command, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    tables = [tmp_path / f"study/trials/{number:04}/validation.csv" for number in (0, 1)]
    while not all(path.exists() for path in tables) and time.monotonic() < deadline:
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "the same command goes on" in err
    assert "2 trials (2 interrupted)" in out
    assert "Traceback" not in err
