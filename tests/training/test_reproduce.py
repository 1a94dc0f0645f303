"""A preset from recordings to a judged model: what it leaves, what it skips, and how it goes on."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.checkpoint import load_model, model_folder  # noqa: E402
from resound.errors import ConfigError, InputError, OutputError, TrainingError  # noqa: E402
from resound.training.milestones import STEPS, Asked, Milestones  # noqa: E402
from resound.training.reproduce import reproduce  # noqa: E402
from resound.training.session import Session  # noqa: E402
from training.conftest import Silent, losses_of, write_plan  # noqa: E402

WORDS = ("training.steps=8", "n_listen=0")


@pytest.fixture
def asked(tmp_path, corpora):
    """Return a function that asks for the reproduction of the tiny plan."""

    def ask(*words, **more):
        return Asked(str(write_plan(tmp_path)), (*WORDS, *words), **{"manifests": tuple(corpora), **more})

    return ask


@pytest.fixture(scope="module")
def made(tmp_path_factory, corpora):
    """A folder with a plan and its whole reproduction, and what was told."""
    root, told = tmp_path_factory.mktemp("made"), Silent()
    assert reproduce(Asked(str(write_plan(root)), WORDS, manifests=tuple(corpora)), root / "out", told)
    return root, told.lines


@pytest.fixture
def whole(tmp_path, made):
    """A copy of it."""
    shutil.copytree(made[0] / "out", tmp_path / "out")
    return tmp_path / "out"


def steps_made(lines):
    """Return which steps were made, and not skipped."""
    return [line.split()[1] for line in lines if line.startswith(tuple("123456")) and line.endswith(" ...")]


def test_six_steps_lead_to_a_judged_model(made):
    root, lines = made
    assert steps_made(lines) == list(STEPS)
    best, model = model_folder(root / "out/run"), root / "out/model"
    assert (best / "weights.safetensors").read_bytes() == (model / "weights.safetensors").read_bytes()
    assert load_model(model)(torch.zeros(1, 1, 800)).shape == (1, 1, 800)
    results = json.loads((root / "out/results.json").read_text())
    about = json.loads((model / "model.json").read_text())
    assert about["metrics"]["si_sdr"] == results["model"]["overall"]["si_sdr"]["mean"]
    assert about["evaluation"]["verdict"] == results["verdict"]
    assert "the unprocessed input" in results["verdict"]


def test_the_model_is_judged_on_more_examples_than_chose_it_beside_all_baselines(made):
    results = json.loads((made[0] / "out/results.json").read_text())
    assert results["examples"] == {"n": 8, "split": "valid", "seed": 1_000_004}
    assert set(results["baselines"]) == {"unprocessed", "silence", "classic", "fixed_filter", "oracle_mask"}
    si_sdr = results["model"]["overall"]["si_sdr"]
    assert si_sdr["low"] < si_sdr["mean"] < si_sdr["high"]
    text = (made[0] / "out/results.md").read_text()
    assert text.startswith("# plan\n\nThe model ")
    assert f"{si_sdr['mean']:.2f} ({si_sdr['low']:.2f} to {si_sdr['high']:.2f})" in text


def test_what_is_whole_is_skipped(whole, asked, shown):
    assert reproduce(asked(), whole, shown)
    assert steps_made(shown.lines) == []
    assert len([line for line in shown.lines if "whole already" in line]) == 6
    assert Milestones(whole).are_all_whole(asked().hash)
    assert not Milestones(whole).are_all_whole(asked("training.seed=1").hash)


@pytest.mark.parametrize(
    ("lost", "steps"),
    [
        ("results.md", ["evaluate"]),
        ("model/weights.safetensors", ["export"]),
        ("model/model.json", ["export"]),
        ("run/checkpoints.json", ["train", "evaluate", "export"]),
        ("reproduce.json", list(STEPS)),
    ],
)
def test_what_is_lost_is_made_again(whole, asked, shown, lost, steps):
    losses = losses_of(whole / "run")
    (whole / lost).unlink()
    assert not Milestones(whole).are_all_whole(asked().hash)
    assert reproduce(asked(), whole, shown)
    made_again = steps_made(shown.lines)
    assert made_again == steps[: len(made_again)]  # what comes out the same needs no new judgement
    assert made_again[0] == steps[0]
    assert (whole / lost).exists()
    assert losses_of(whole / "run") == losses
    assert Milestones(whole).are_all_whole(asked().hash)


def test_a_training_that_was_stopped_goes_on(tmp_path, made, asked, shown, monkeypatch):
    original = Session._reason_to_stop

    def stop(self, step, trainer):
        if step == 6:
            self.outcome.is_interrupted = True
            return "stopped by the user"
        return original(self, step, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_reason_to_stop", stop)
        assert not reproduce(asked(), tmp_path / "out", shown)
    assert not (tmp_path / "out/results.json").exists()
    assert reproduce(asked(), tmp_path / "out", shown)
    assert steps_made(shown.lines) == ["corpus", "prepare", "doctor", "train", "train", "evaluate", "export"]
    assert losses_of(tmp_path / "out/run") == losses_of(made[0] / "out/run")


def test_a_training_may_be_made_longer_and_is_judged_again(whole, asked, shown):
    assert reproduce(asked("training.steps=12"), whole, shown)
    assert "changed since the last time: training.steps: 8 there, 12 now" in shown.lines
    assert steps_made(shown.lines)[:2] == ["doctor", "train"]
    assert len(losses_of(whole / "run")) == 12


def test_what_would_be_another_training_is_refused_with_what_differs(whole, asked, shown):
    with pytest.raises(TrainingError, match=r"other settings or recordings: optimiser.lr: 0.001 there, 0.5 now"):
        reproduce(asked("optimiser.lr=0.5"), whole, shown)
    (whole / "reproduce.json").unlink()
    with pytest.raises(TrainingError, match=r"optimiser.lr: 0.001 there, 0.5 now"):
        reproduce(asked("optimiser.lr=0.5"), whole, shown)


def test_another_manifest_under_the_same_name_is_refused(tmp_path, corpora, asked, shown):
    own = tmp_path / "own.jsonl"
    first, *lines = corpora[0].read_text().splitlines(keepends=True)
    head = json.dumps({**json.loads(first), "root": str(corpora[0].parent)}) + "\n"
    own.write_text(head + "".join(lines))
    assert reproduce(asked(manifests=(own,)), tmp_path / "out", shown)
    own.write_text(head + "".join(lines[1:]))
    with pytest.raises(TrainingError, match=r"own.jsonl is no longer the same"):
        reproduce(asked(manifests=(own,)), tmp_path / "out", shown)


# Folders


@pytest.fixture
def folders(tmp_path, corpora):
    """Two folders of recordings, as `--corpus speech=DIR --corpus noise=DIR` gives them."""
    for path in corpora[0].parent.glob("*.wav"):
        is_noise = path.name.startswith("n")
        place = tmp_path / "rec" / ("noise" if is_noise else f"voices/{path.name[0]}") / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    for number in range(2, 10):  # so that both splits have noise
        shutil.copy(tmp_path / "rec/noise/n1.wav", tmp_path / f"rec/noise/n{number}.wav")
    return (("speech", tmp_path / "rec/voices"), ("noise", tmp_path / "rec/noise"))


def test_folders_are_scanned_and_must_stay_as_they_are(tmp_path, folders, asked, shown):
    given = asked(manifests=(), folders=folders)
    assert reproduce(given, tmp_path / "out", shown)
    assert "1/6 corpus: 22 recordings (12 speech, 10 noise)" in shown.lines
    assert (tmp_path / "out/corpus-2.jsonl").exists()
    assert Milestones(tmp_path / "out").are_all_whole(given.hash)
    before = (tmp_path / "out/corpus.jsonl").read_bytes()
    (tmp_path / "rec/voices/a/a1.wav").unlink()
    assert not Milestones(tmp_path / "out").are_all_whole(given.hash)
    with pytest.raises(InputError, match=r"no longer what the training began with \(1 removed\)"):
        reproduce(given, tmp_path / "out", shown)
    assert (tmp_path / "out/corpus.jsonl").read_bytes() == before


def test_a_folder_that_does_not_say_what_it_holds_is_told_and_nothing_is_left(tmp_path, folders, asked, shown):
    with pytest.raises(ConfigError, match=r"nothing says what it holds; give --corpus speech=.*voices"):
        reproduce(asked(manifests=(), folders=((None, folders[0][1]),)), tmp_path / "out", shown)
    assert not (tmp_path / "out").exists()


def test_a_place_among_the_recordings_is_refused(tmp_path, folders, asked, shown):
    with pytest.raises(OutputError, match="lies in the folder of recordings"):
        reproduce(asked(folders=folders), tmp_path / "rec/voices/out", shown)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, asked, shown):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(OutputError, match=r"holds something else \(mine.txt\)"):
        reproduce(asked(), tmp_path / "out", shown)


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path, asked, shown):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match=r"cannot make this folder \(a file has that name\)"):
        reproduce(asked(), tmp_path / "out", shown)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder where root cannot make another is there on Linux")
def test_a_folder_that_cannot_be_made_is_one_line(asked, shown):
    with pytest.raises(OutputError, match="cannot make this folder"):
        reproduce(asked(), Path("/proc/out"), shown)


def test_torchrun_is_refused(tmp_path, asked, shown, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"give training.n_devices=2"):
        reproduce(asked(), tmp_path / "out", shown)


# Checks


class Finding:
    def __init__(self, code, severity):
        self.code, self.severity = code, severity

    def __str__(self):
        return f"{self.code} the data are not as they should be"


def test_what_a_check_finds_ends_it_before_the_training_unless_forced(tmp_path, asked, shown):
    looked = []

    def check(config):
        looked.append(config.task)
        return [Finding("DATA01", "error"), Finding("DATA02", "warning")]

    with pytest.raises(TrainingError, match=r"DATA01 .* train all the same with --force DATA01"):
        reproduce(asked(), tmp_path / "out", shown, checks=[check])
    assert not (tmp_path / "out/run").exists()
    assert reproduce(asked(force=("DATA01",)), tmp_path / "out", shown, checks=[check])
    assert looked == ["enhance", "enhance"]  # the training has not looked once more
    found = json.loads((tmp_path / "out/run/findings.json").read_text())
    assert [(each["code"], each["severity"]) for each in found["findings"]] == [
        ("DATA01", "error"),
        ("DATA02", "warning"),
    ]
    assert found["forced"] == ["DATA01"]
