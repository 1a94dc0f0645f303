"""What doctor gathers of a plan, and that trainings ask it first."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.presets import load_preset, preset_names
from resound.training import examine
from resound.training.config import load_run_config
from resound.training.examine import plan_evidence, plan_findings, rate_factors

TRAINED = [name for name in preset_names() if load_preset(name).train]


@pytest.fixture
def roomy(monkeypatch):
    """A device with room for everything: what fits depends on the machine."""
    monkeypatch.setattr(examine, "device_bytes", lambda device: 1e15)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", TRAINED)
def test_presets_are_left_alone(roomy, name, quick):
    found = plan_findings(load_run_config(name, quick=quick))
    assert {finding.severity for finding in found} <= {"info"}, found


def test_the_facts_of_the_network_of_a_case_study():
    """Luo & Mesgarani 2019: R repeats of X blocks reach R (P - 1) (2^X - 1) frames beside the first."""
    evidence = plan_evidence(load_run_config("convtasnet-student"))
    assert evidence.network.context_samples == 40 + 20 * 2 * 2 * 127
    assert evidence.network.paper_context_ms == pytest.approx(1000 * (16 + 8 * 3 * 2 * 255) / 8000)
    assert (evidence.examples_per_epoch, evidence.is_fixed_set) == (20_000, False)


def test_the_lowest_snr_is_found_wherever_it_is_written():
    assert plan_evidence(load_run_config("gatewave")).lowest_snr_db == 0
    assert plan_evidence(load_run_config("timbre-report")).lowest_snr_db == 15
    assert plan_evidence(load_run_config("convtasnet-student")).lowest_snr_db is None


def test_a_prepared_set_is_a_fixed_one():
    evidence = plan_evidence(load_run_config("timbre-report"))
    assert (evidence.examples_per_epoch, evidence.is_fixed_set) == (20_000, True)


def test_a_plateau_is_played_through_to_where_the_run_ends():
    words = ["schedule={kind: plateau, factor: 0.5, patience: 2, floor: 1e-5}", "training.steps=100000"]
    endless = rate_factors(load_run_config("gatewave", [*words, "checkpoints.stop_after=null"]))
    assert endless[0] == 1 and endless[-1] == 1e-5 and len(endless) == 1000
    stopped = rate_factors(load_run_config("gatewave", [*words, "checkpoints.stop_after=4"]))
    assert len(stopped) < 100 and stopped[-1] >= 0.25


def test_curves_are_what_the_schedule_says():
    factors = rate_factors(load_run_config("film-prototype"))
    np.testing.assert_allclose(factors[[0, 600, 700, 999]], [1, 1, 0.1, 0.1])


BROKEN = ["training.validate_every=3000", "training.steps=2000"]


def test_the_command_names_what_is_wrong(resound):
    ended = resound("doctor", "plan", "gatewave", *BROKEN, "--json")
    assert ended.status == 1
    assert [(each["code"], each["severity"]) for each in json.loads(ended.stdout)][:1] == [("PLAN01", "error")]


def test_a_plan_that_cannot_be_read_is_status_2(resound):
    ended = resound("doctor", "plan", "gatewav")
    assert ended.status == 2 and "did you mean 'gatewave'" in ended.stderr


def test_thresholds_may_be_given(resound):
    ended = resound("doctor", "plan", "gatewave", "--select", "PLAN01", "--set", "plan.least_checkpoints=500")
    assert "1 warning" in ended.stdout


def test_a_training_with_a_broken_plan_does_not_begin(resound, tmp_path, corpora):
    ended = resound("train", "gatewave", *BROKEN, "--corpus", corpora[0], "-o", tmp_path / "run")
    assert ended.status == 1 and "--force PLAN01" in ended.stderr
    assert not (tmp_path / "run").exists()
