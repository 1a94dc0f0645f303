"""Plans and folders of runs without a fault: doctor has nothing to say, beside what is listed with its reason."""

import pytest

from resound.doctor.catalogue import run_checks
from resound.doctor.run_evidence import read_run
from resound.doctor.settings import DoctorSettings

from .healthy import PLANS, RUNS, SAID
from .runs import write_run


@pytest.mark.parametrize("name", RUNS)
def test_of_a_healthy_run_nothing_is_said(tmp_path, name):
    evidence = read_run(write_run(tmp_path / "run", RUNS[name]()))
    assert {finding.code for finding in run_checks("run", evidence, DoctorSettings())} == SAID.get(name, set())


@pytest.mark.parametrize("name", PLANS)
def test_of_a_healthy_plan_nothing_is_said(monkeypatch, name):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.training import examine
    from resound.training.config import load_run_config

    monkeypatch.setattr(examine, "device_bytes", lambda device: 1e15)  # what fits depends on the machine
    preset, quick, words = PLANS[name]
    found = examine.plan_findings(load_run_config(preset, words, quick=quick))
    assert {finding.code for finding in found} == SAID.get(name, set()), found
    assert {finding.severity for finding in found} <= {"info"}
