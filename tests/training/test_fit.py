"""A run from its settings to its checkpoints: what it learns, what it leaves, and that going on changes nothing."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.checkpoint import load_model  # noqa: E402
from resound.doctor.finding import Finding  # noqa: E402
from resound.errors import ConfigError, OutputError, TrainingError  # noqa: E402
from resound.training import fit  # noqa: E402
from resound.training.fit import train  # noqa: E402
from resound.training.keeper import read_state  # noqa: E402
from resound.training.session import Session  # noqa: E402
from training.conftest import losses_of  # noqa: E402


def names_in(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("task", ["enhance", "separate"])
def test_a_run_leaves_its_best_checkpoints_the_last_and_nothing_else(tmp_path, plan, shown, task):
    folder = tmp_path / "run"
    outcome = train(plan("checkpoints.keep=2", task=task), folder, shown)
    assert (outcome.n_steps, outcome.is_finished) == (12, True)
    index = json.loads((folder / "checkpoints.json").read_text())
    assert index["last"] == "checkpoints/last-000012"
    assert len(index["best"]) == 2
    kept = {name.split("/")[1] for name in [index["last"], *(best["folder"] for best in index["best"])]}
    assert names_in(folder / "checkpoints") == kept
    best = load_model(folder / index["best"][0]["folder"])
    assert best(torch.zeros(1, 1, 800)).shape == (1, 1 if task == "enhance" else 2, 800)
    about = json.loads((folder / index["best"][0]["folder"] / "model.json").read_text())
    assert about["metrics"]["si_sdr_i"] == pytest.approx(index["best"][0]["value"])


def test_the_log_has_the_baselines_beside_the_model(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    baselines = json.loads((tmp_path / "run" / "baselines.json").read_text())
    assert set(baselines) == {"unprocessed", "silence", "classic", "fixed_filter", "oracle_mask"}
    told = [line for line in shown.lines if line.startswith("step 4")]
    assert "the unprocessed input" in told[0]
    assert "the classic chain" in told[0]


def test_each_session_notes_how_much_memory_it_had(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    (session,) = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert session["peak_memory_mb"] > 50 and session["minutes"] >= 0 and session["peak_device_memory_mb"] is None


def test_it_says_first_what_will_happen(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    assert "12 steps, 24 examples of 1 s" in shown.lines[0]
    assert "MB on disk" in shown.lines[0]


def test_a_network_that_learns_gets_better(tmp_path, plan, shown):
    config = plan("training.steps=80", "training.validate_every=40", "optimiser.lr=3e-3", "schedule.kind=constant")
    outcome = train(config, tmp_path / "run", shown)
    first, last = (validation["snr"] for validation in outcome.validations)
    losses = [float(loss) for loss in losses_of(tmp_path / "run")]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 3
    assert last > first


WAYS = {
    "plain": [],
    "accumulating": ["training.accumulate=2"],
    "with a running mean": ["ema=0.9"],
    "on a plateau": ["schedule.patience=1", "schedule.least_gain=100"],
    "with workers": ["training.workers=2"],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_happened(tmp_path, plan, shown, monkeypatch, way):
    config = plan(*WAYS[way])
    train(config, tmp_path / "whole", shown)
    original = Session._reason_to_stop
    with monkeypatch.context() as patch:  # as by Ctrl-C, between two validations
        patch.setattr(
            Session,
            "_reason_to_stop",
            lambda self, step, trainer: "asked" if step == 6 else original(self, step, trainer),
        )
        assert not train(config, tmp_path / "stopped", shown).is_finished
    assert len(losses_of(tmp_path / "stopped")) == 6
    train(config, tmp_path / "stopped", shown, resume=True)
    assert losses_of(tmp_path / "stopped") == losses_of(tmp_path / "whole")
    one, other = (read_state(tmp_path / name / "checkpoints/last-000012/state.pt") for name in ("whole", "stopped"))
    assert all(torch.equal(one["network"][key], other["network"][key]) for key in one["network"])
    tables = [(tmp_path / name / "validation.csv").read_text().splitlines() for name in ("whole", "stopped")]
    without_time = [[row.split(",")[:1] + row.split(",")[2:] for row in table] for table in tables]
    assert without_time[0] == without_time[1]


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(tmp_path, plan, shown, monkeypatch):
    config = plan()
    train(config, tmp_path / "whole", shown)

    def killed(self, trainer, task, now):
        if task.n_steps == 7:
            raise KeyError("as a power cut: nothing is tidied up")
        return original(self, trainer, task, now)

    original = Session._after_step
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_after_step", killed)
        with pytest.raises(KeyError):
            train(config, tmp_path / "killed", shown)
    (tmp_path / "killed/checkpoints/.last-000008.partial").mkdir()
    train(config, tmp_path / "killed", shown, resume=True)
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")
    assert not [name for name in names_in(tmp_path / "killed/checkpoints") if name.startswith(".")]


def test_a_run_can_be_made_longer(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    with pytest.raises(TrainingError, match="has made its 12 steps"):
        train(plan(), tmp_path / "run", shown, resume=True)
    assert train(plan("training.steps=16"), tmp_path / "run", shown, resume=True).n_steps == 16
    assert "training.steps: 12 there, 16 now" in " ".join(shown.lines)


def test_what_makes_another_run_of_it_is_refused(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    with pytest.raises(TrainingError, match=r"optimiser.lr: 0.001 there, 0.01 now"):
        train(plan("optimiser.lr=0.01", "training.steps=16"), tmp_path / "run", shown, resume=True)


def test_an_existing_folder_is_left_alone(tmp_path, plan, shown):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        train(plan(), tmp_path / "run", shown)
    assert names_in(tmp_path / "run") == {"mine.txt"}
    with pytest.raises(TrainingError, match="holds no run to go on with"):
        train(plan(), tmp_path / "run", shown, resume=True)


def test_a_loss_that_is_no_number_ends_it_with_the_examples_named(tmp_path, plan, shown, monkeypatch):
    original = fit.ExampleDataset.__getitem__

    def spoilt(self, key):
        example = original(self, key)
        if key == (0, 13):
            example["clean"][..., 5] = float("nan")
        return example

    monkeypatch.setattr(fit.ExampleDataset, "__getitem__", spoilt)
    with pytest.raises(TrainingError, match=r"step 6: the loss is no number \(example 13 of epoch 0\)"):
        train(plan(), tmp_path / "run", shown)
    index = json.loads((tmp_path / "run/checkpoints.json").read_text())
    assert load_model(tmp_path / "run" / index["last"])
    found = json.loads((tmp_path / "run/findings.json").read_text())["findings"]
    assert ("RUN10", 6) in {(each["code"], each["step"]) for each in found}


def test_early_stopping_counts_validations_without_gain(tmp_path, plan, shown):
    config = plan("optimiser.lr=1e-12", "checkpoints.stop_after=1", "schedule.floor=1")
    outcome = train(config, tmp_path / "run", shown)
    assert outcome.n_steps < 12
    assert "early stopping" in outcome.reason
    assert outcome.is_finished


def test_time_that_is_up_ends_it_with_a_checkpoint(tmp_path, plan, shown):
    outcome = train(plan("training.max_minutes=1e-9"), tmp_path / "run", shown)
    assert (outcome.n_steps, outcome.is_finished) == (1, False)
    assert json.loads((tmp_path / "run/checkpoints.json").read_text())["last"] == "checkpoints/last-000001"


WRONG_PAIRS = Finding("DATA01", "error", "not the same recording", 0.1, 0.5, "pair them again", "4 pairs")


def test_broken_data_is_refused_unless_forced(tmp_path, plan, shown):
    with pytest.raises(
        TrainingError, match=r"not the same recording .* mend it, or train all the same with --force DATA01"
    ):
        train(plan(), tmp_path / "run", shown, checks=[lambda config: [WRONG_PAIRS]])
    assert not (tmp_path / "run").exists()
    train(plan(), tmp_path / "run", shown, checks=[lambda config: [WRONG_PAIRS]], force=["DATA01"])
    assert json.loads((tmp_path / "run/findings.json").read_text())["forced"] == ["DATA01"]


def test_a_disk_too_small_is_told_before_the_first_step(tmp_path, plan, shown, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("resound.training.keeper.shutil.disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="free some space"):
        train(plan(), tmp_path / "run", shown)


def test_weights_to_begin_with_must_fit(tmp_path, plan, shown):
    train(plan("training.steps=1"), tmp_path / "first", shown)
    first = tmp_path / "first/checkpoints/last-000001"
    config = plan(f"initial={first}", "training.steps=1", "optimiser.lr=1e-12")
    train(config, tmp_path / "second", shown)
    one, other = load_model(first), load_model(tmp_path / "second/checkpoints/last-000001")
    torch.testing.assert_close(one.state_dict(), other.state_dict(), atol=1e-9, rtol=0)
    was = load_model(first).config.hidden
    with pytest.raises(ConfigError, match=f"has another config .* say config.hidden={was}$"):
        train(plan(f"initial={first}", "config.hidden=10"), tmp_path / "third", shown)
    with pytest.raises(ConfigError, match="initial: film is a band_rnn, this training's network a conv_tasnet;"):
        train(plan("initial=film"), tmp_path / "fourth", shown)


def test_sounds_and_pictures_are_kept(tmp_path, plan, shown):
    train(plan(), tmp_path / "run", shown)
    listen = tmp_path / "run/listen"
    assert {"example-0_clean.flac", "example-0_degraded.flac", "step-000004"} <= names_in(listen)
    assert names_in(listen / "step-000012") == {"example-0.flac", "example-0.png"}


def test_the_mean_of_the_best_is_kept_if_it_is_better(tmp_path, plan, shown):
    train(plan("checkpoints.average=true"), tmp_path / "run", shown)
    told = next(line for line in shown.lines if line.startswith("the mean of the best"))
    assert ("better in si_sdr_i" in told) == (tmp_path / "run/average").exists()
