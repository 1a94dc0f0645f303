"""Doctor beside a training: what it finds is told once, recorded, and ends what is spoilt."""

import json

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from doctor.runs import healthy, write_run
from resound.doctor.finding import Finding
from resound.training.fit import train
from resound.training.judge import Judge
from resound.training.run_folder import RunFolder
from resound.training.watch import Watch


def findings_in(folder):
    return json.loads((folder / "findings.json").read_text())["findings"]


def test_a_training_that_gets_nowhere_hears_it_while_it_runs(tmp_path, plan, shown):
    train(plan("optimiser.lr=1e-7", "schedule.kind=constant"), tmp_path / "run", shown)
    told = [line for line in shown.lines if line.startswith("RUN07")]
    assert len(told) == 1
    found = [each for each in findings_in(tmp_path / "run") if each["code"] == "RUN07"]
    assert [each["step"] for each in found] == [12]  # the third validation: before, nothing is said
    assert found[0]["severity"] == "error" and found[0]["value"] < 0.3


def test_what_the_config_ignores_is_not_told(tmp_path, plan):
    folder = write_run(tmp_path / "run", healthy())
    (folder / "validation.csv").write_text("step,si_sdr_i\n1000,-3\n2000,-3\n4000,-3\n")
    run = RunFolder(folder, plan())
    assert [finding.code for finding in Watch(run, plan().doctor)(4000)] == ["RUN07"]
    assert Watch(RunFolder(folder, plan()), plan("doctor.ignore=[RUN]").doctor)(4000) == []


def test_a_fault_is_told_again_only_where_it_has_become_worse(tmp_path, plan):
    run = RunFolder(tmp_path / "run", plan())
    run.create()
    run.write_findings([], [])
    watch = Watch(run, plan().doctor)
    steps = [("warning", True), ("warning", False), ("info", False), ("error", True), ("error", False)]
    for step, (severity, is_new) in enumerate(steps):
        assert watch.add(step, Finding("RUN07", severity, "", 0, 0, "", "")) == is_new
    again = Watch(run, plan().doctor)  # a run that goes on
    assert not again.add(9, Finding("RUN07", "error", "", 0, 0, "", ""))
    assert [each["step"] for each in findings_in(run.folder)] == [0, 3]


def test_a_validation_that_is_no_number_ends_the_run_and_keeps_what_was_good(tmp_path, plan, shown, monkeypatch):
    values, folder = Judge.values, tmp_path / "run"

    def spoilt(self, summary):
        is_late = (folder / "validation.csv").exists()
        return {**values(self, summary), **({"si_sdr_i": float("nan")} if is_late else {})}

    monkeypatch.setattr(Judge, "values", spoilt)
    outcome = train(plan(), folder, shown)
    assert outcome.n_steps == 8 and "si_sdr_i is no number" in outcome.reason
    assert json.loads((folder / "checkpoints.json").read_text())["last"] == "checkpoints/last-000004"
    assert [each["code"] for each in findings_in(folder)] == ["RUN10"]
