"""`resound doctor run`: what a run's folder tells, over or under way."""

import json

import numpy as np
import pytest
import yaml

from resound.doctor.run_evidence import RunReader, read_run
from resound.errors import InputError

from .runs import healthy, write_run


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / "run", healthy(400, 8))


def test_what_is_read_is_what_was_written(folder):
    run, written = read_run(folder), healthy(400, 8)
    assert run.last_step == 400 and run.n_validations == 8 and run.progress == 1
    np.testing.assert_allclose(run.steps["loss"], written.steps["loss"], rtol=1e-8)
    assert run.baseline("classic", "si_sdr_i") == 1.5


def test_a_growing_run_is_read_on_from_where_it_was_left(folder):
    reader = RunReader(folder)
    assert reader.read().last_step == 400
    with open(folder / "steps.csv", "a") as table:
        table.write("401,0.001,-9.0,2.0\n402,0.001,-9")  # the second is being written
    assert reader.read().last_step == 401
    with open(folder / "steps.csv", "a") as table:
        table.write(".5,2.0\n")
    assert list(reader.read().steps["loss"][-2:]) == [-9.0, -9.5]


def test_the_command_is_silent_on_a_healthy_run(folder, resound):
    ended = resound("doctor", "run", folder)
    assert ended.status == 0 and ended.stdout.startswith("nothing found by 13 checks: run: 400 steps, 8 validations")


def test_the_command_ends_with_1_where_a_run_was_for_nothing(tmp_path, resound):
    run = healthy()
    run.validations["si_sdr_i"][:] = -3.0
    ended = resound("doctor", "run", write_run(tmp_path / "run", run), "--json")
    assert ended.status == 1
    assert "RUN07" in {each["code"] for each in json.loads(ended.stdout)}


def test_the_page_shows_the_curves(tmp_path, resound):
    run = healthy()
    run.validations["si_sdr_i"][:] = -3.0
    run.steps["lr"][2000:] = 1e-8
    resound("doctor", "run", write_run(tmp_path / "run", run), "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "RUN06" in page and page.count("data:image/png;base64,iVBOR") == page.count("<h2>") >= 2


def test_a_run_may_say_which_checks_it_wants(tmp_path, resound):
    run = healthy(doctor={"ignore": ["RUN07"]})
    run.validations["si_sdr_i"][:] = -3.0
    assert resound("doctor", "run", write_run(tmp_path / "run", run), "--select", "RUN01,RUN07").status == 0


def test_a_folder_without_a_run_is_status_2(tmp_path, resound):
    ended = resound("doctor", "run", tmp_path)
    assert ended.status == 2 and "holds no run (config.yaml is missing)" in ended.stderr


def test_a_run_without_metrics_is_status_2(folder, resound):
    (folder / "steps.csv").unlink()
    (folder / "validation.csv").unlink()
    ended = resound("doctor", "run", folder)
    assert ended.status == 2 and "no metrics yet" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("text", ["step,loss\n1,2\n2,3,4\n", "step,loss\n1,high\n", "step,loss\n\xff\n"])
def test_a_damaged_table_is_told_in_one_line(folder, text):
    (folder / "steps.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"steps.csv: is no table of a run"):
        read_run(folder)


def test_damaged_baselines_are_told(folder):
    (folder / "baselines.json").write_text('{"classic": 3}')
    with pytest.raises(InputError, match=r"baselines.json: cannot be read"):
        read_run(folder)


@pytest.mark.parametrize(
    ("key", "value"), [("training", {"steps": "many"}), ("checkpoints", {"metric": "beauty"}), ("doctor", 3)]
)
def test_settings_that_no_run_has_are_told_in_one_line(folder, resound, key, value):
    plan = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(plan | {key: value}))
    ended = resound("doctor", "run", folder)
    assert ended.status == 2 and len(ended.stderr.splitlines()) == 1


def test_a_run_without_validations_says_what_cannot_be_told(folder, resound):
    (folder / "validation.csv").unlink()
    assert "note     no validation yet" in resound("doctor", "run", folder).stdout
