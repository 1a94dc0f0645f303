"""Trackers get what a run tells, offline and below its folder, and can be read back by their own means."""

import json
import sqlite3
from pathlib import Path

import pytest
import soundfile

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.training.fit import train  # noqa: E402
from resound.training.trackers import check_tracker, choice, open_tracker  # noqa: E402
from resound.training.trackers.tracker import IDS, TrackedRun, flat  # noqa: E402
from signals import noise  # noqa: E402

SETTINGS = {"network": "demucs", "training": {"steps": 8, "seed": 0}, "listen": [], "ema": None}
SERVERS = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT")
CLEARML = ("CLEARML_CACHE_DIR", "CLEARML_API_ACCESS_KEY", "CLEARML_AUTH_TOKEN", "CLEARML_OFFLINE_MODE")


@pytest.fixture(autouse=True)
def nothing_set_up(monkeypatch, tmp_path):
    """Neither servers nor folders of this machine's user count, and what a tracker sets is undone."""
    for name in (*SERVERS, *CLEARML, "MLFLOW_DISABLE_TELEMETRY", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards ...
        monkeypatch.delenv(name)  # ... however it was changed
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(tmp_path / "none.conf"))


@pytest.fixture
def told():
    return []


@pytest.fixture
def media(tmp_path):
    """A sound and a picture, as `Listening` writes them."""
    from matplotlib.image import imsave

    folder = tmp_path / "run/listen/step-000004"
    folder.mkdir(parents=True)
    soundfile.write(folder / "film.flac", noise(0.5, 8000, seed=1), 8000)
    imsave(folder / "film.png", torch.rand(30, 40, 3).numpy())
    return folder


def tell_all(name, tmp_path, told, media, first_step=0):
    """Track four steps, a sound and a picture from ``first_step`` on, and return the tracker."""
    tracker = open_tracker(name, TrackedRun(tmp_path / "run", SETTINGS, first_step), told.append)
    for step in range(first_step + 1, first_step + 5):
        tracker.log(step, {"train/loss": 1 / step, "train/lr": 0.001})
    tracker.log(first_step + 4, {"valid/si_sdr": 5.0 + first_step, "unprocessed/si_sdr": float("nan")})
    tracker.log_sound(first_step + 4, "film/restored", media / "film.flac")
    tracker.log_picture(first_step + 4, "film/picture", media / "film.png")
    tracker.close()
    assert told.pop() == f"tracker: {tracker.where}"
    assert not told
    return tracker


def test_tensorboard_has_numbers_sound_picture_and_config(tmp_path, told, media):
    tell_all("tensorboard", tmp_path, told, media)
    read = events_of(tmp_path / "run/tensorboard")
    assert [event.value for event in read.Scalars("train/loss")] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert read.Audio("film/restored")[0].sample_rate == 8000
    assert (read.Images("film/picture")[0].width, read.Images("film/picture")[0].height) == (40, 30)
    assert "network: demucs" in read.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()


def test_tensorboard_keeps_the_last_step_before_a_resume(tmp_path, told, media):
    tell_all("tensorboard", tmp_path, told, media)
    tell_all("tensorboard", tmp_path, told, media, first_step=4)
    read = events_of(tmp_path / "run/tensorboard")
    assert [event.step for event in read.Scalars("train/loss")] == list(range(1, 9))
    assert [event.step for event in read.Scalars("valid/si_sdr")] == [4, 8]


def events_of(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return read


@pytest.mark.slow  # five seconds for the tables of its database
def test_mlflow_has_all_in_one_run_after_a_resume(tmp_path, told, media):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra: pip install '.[track-mlflow]'")
    tracker = tell_all("mlflow", tmp_path, told, media)
    tell_all("mlflow", tmp_path, told, media, first_step=4)
    uri = tracker.where.partition("--backend-store-uri ")[2]
    client = mlflow.MlflowClient(tracking_uri=uri)
    [run] = client.search_runs([client.get_experiment_by_name("resound").experiment_id])
    assert run.info.run_id == json.loads((tmp_path / "run" / IDS).read_text())["mlflow"]
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    history = sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train/loss"))
    assert [step for step, _ in history] == list(range(1, 9))
    assert history[7][1] == pytest.approx(1 / 8)
    assert run.data.params["training.steps"] == "8"
    paths = [path for path in (tmp_path / "run/mlflow/files").rglob("*") if path.is_file()]
    names = sorted(path.name.partition("%")[0] for path in paths)
    assert names.count("film.flac") == 2  # one a step
    assert "config.yaml" in names
    assert sum(path.suffix == ".png" for path in paths) == 2
    assert soundfile.info(next(path for path in paths if path.suffix == ".flac")).samplerate == 8000
    with sqlite3.connect(tmp_path / "run/mlflow/mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)


def test_wandb_writes_offline_and_goes_on_under_its_id(tmp_path, told, media):
    pytest.importorskip("wandb", reason="needs the extra: pip install '.[track-wandb]'")
    tell_all("wandb", tmp_path, told, media)
    tell_all("wandb", tmp_path, told, media, first_step=4)
    its_id = json.loads((tmp_path / "run" / IDS).read_text())["wandb"]
    first, second = sorted((tmp_path / "run/wandb").glob("offline-run-*"))
    for folder, value in ((first, 5.0), (second, 9.0)):
        rows = wandb_rows(folder / f"run-{its_id}.wandb")
        assert [row["_step"] for row in rows if "train/loss" in row] == list(range(int(value) - 4, int(value)))
        assert [row["valid/si_sdr"] for row in rows if "valid/si_sdr" in row] == [value]
        kinds = {path.suffix for path in (folder / "files/media").rglob("*") if path.is_file()}
        assert kinds == {".flac", ".png"}


def wandb_rows(path):
    """Return the rows in a file of W&B, whose own reader is not in Python any more: a log in LevelDB's format."""
    from wandb.proto import wandb_internal_pb2

    content, place, data, rows = path.read_bytes(), 7, b"", []  # 7: the file's header
    while place + 7 <= len(content):
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        data += content[place + 7 : place + 7 + length]
        place += 7 + length
        if 32768 - place % 32768 < 7:  # the rest of a block, in which no header fits
            place += -place % 32768
        if kind not in (1, 4):  # first or middle part of a record
            continue
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        data = b""
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


@pytest.mark.slow  # ClearML waits ten seconds when it ends
def test_clearml_writes_a_session_that_can_be_imported(tmp_path, told, media, capsys):
    pytest.importorskip("clearml", reason="needs the extra: pip install '.[track-clearml]'")
    tracker = tell_all("clearml", tmp_path, told, media)
    assert not capsys.readouterr().out
    archive = Path(tracker.where.partition("('")[2].partition("')")[0])
    assert archive.is_file()
    folder = archive.with_suffix("")
    assert folder.is_relative_to(tmp_path / "run/clearml")
    lines = [line for line in (folder / "metrics.jsonl").read_text().splitlines() if line]
    events = [event for line in lines for event in json.loads(line)]
    losses = {event["iter"]: event["value"] for event in events if event["metric"] == "loss"}
    assert losses == pytest.approx({1: 1, 2: 1 / 2, 3: 1 / 3, 4: 1 / 4})
    assert {event["variant"] for event in events if event["metric"] == "si_sdr"} >= {"valid"}
    assert {path.suffix for path in (folder / "data").rglob("*") if path.is_file()} == {".flac", ".png"}
    task = json.loads((folder / "task.json").read_text())
    assert "demucs" in task["configuration"]["config"]["value"]
    assert task["name"] == "run"


@pytest.mark.parametrize("name", ["clearml", "mlflow", "wandb"])
def test_a_package_that_is_missing_is_told_before_anything_is_written(tmp_path, plan, shown, monkeypatch, name):
    monkeypatch.setattr(choice, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"pip install 'resound\[track-{name}\]'") as caught:
        train(plan(f"tracker={name}"), tmp_path / "run", shown)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    check_tracker("none")


class Failing:
    where = "a server"

    def __init__(self, run):
        self.n_calls = 0

    def log(self, step, values):
        self.n_calls += 1
        raise ConnectionError("no\nroute")

    log_sound = log_picture = close = log


def test_a_tracker_that_fails_says_so_once_and_ends_no_run(tmp_path, plan, shown, monkeypatch):
    monkeypatch.setattr(choice, "_opened", lambda name, run: Failing(run))
    assert train(plan("tracker=tensorboard", "training.steps=1"), tmp_path / "run", shown).is_finished
    lines = [line for line in shown.lines if "gets no more" in line]
    assert lines == [
        "tracker: tensorboard failed and gets no more (no\\nroute); the run goes on, and its folder holds everything"
    ]


def test_a_tracker_that_cannot_be_opened_is_one_line(tmp_path, told, monkeypatch):
    def refused(name, run):
        raise RuntimeError("401\nUnauthorized")

    monkeypatch.setattr(choice, "_opened", refused)
    with pytest.raises(ConfigError, match=r"cannot be opened \(401\\nUnauthorized\); mend what it is set to"):
        open_tracker("tensorboard", TrackedRun(tmp_path, {}), told.append)


def test_ids_are_kept_for_each_tracker(tmp_path):
    TrackedRun(tmp_path, {}).remember("mlflow", "a")
    TrackedRun(tmp_path, {}).remember("wandb", "b")
    assert TrackedRun(tmp_path, {}, first_step=5).known_id("mlflow") == "a"
    assert TrackedRun(tmp_path, {}).known_id("mlflow") is None  # a run that begins anew
    assert TrackedRun(tmp_path, {}, first_step=5).known_id("clearml") is None
    (tmp_path / IDS).write_text("{")
    assert TrackedRun(tmp_path, {}, first_step=5).known_id("mlflow") is None


def test_settings_become_one_level():
    assert flat(SETTINGS) == {"network": "demucs", "training.steps": 8, "training.seed": 0, "listen": [], "ema": None}
