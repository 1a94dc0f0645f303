"""Broken data are refused before the first step, unless their code is forced."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.doctor.before_training import data_check  # noqa: E402
from resound.errors import ConfigError, TrainingError  # noqa: E402
from resound.training.config import load_run_config  # noqa: E402
from resound.training.fit import train  # noqa: E402
from training.conftest import corpora, plan, shown, write_plan  # noqa: E402, F401

INVERTED = [{"polarity": {}, "target": "clean"}, {"hiss": {"snr_db": 10}}]


@pytest.fixture
def inverting(tmp_path, corpora):  # noqa: F811
    """A training whose degraded sides are all upside down."""
    data = {
        "clean": {"corpus": "<speech>", "domain": "speech"},
        "chain": INVERTED,
        "segment_seconds": 1,
        "n_examples": 30,
    }
    return lambda *words: load_run_config(str(write_plan(tmp_path, data=data)), words, corpora=corpora)


def test_healthy_data_have_no_error(plan):  # noqa: F811
    assert [finding.code for finding in data_check(plan()) if finding.severity == "error"] == []


def test_broken_data_are_refused_and_nothing_is_written(tmp_path, inverting, shown):  # noqa: F811
    with pytest.raises(TrainingError, match=r"DATA19 · error · .* --force DATA19"):
        train(inverting(), tmp_path / "run", shown, checks=[data_check])
    assert not (tmp_path / "run").exists()


def test_forced_data_train_and_the_run_says_so(tmp_path, inverting, shown):  # noqa: F811
    train(inverting("training.steps=1"), tmp_path / "run", shown, checks=[data_check], force=["DATA19"])
    told = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert told["forced"] == ["DATA19"]
    assert "DATA19" in [finding["code"] for finding in told["findings"]]


def test_a_check_that_is_ignored_in_the_config_is_not_made(inverting):
    assert data_check(inverting("doctor.ignore=[DATA]")) == []
    assert "DATA19" not in [finding.code for finding in data_check(inverting("doctor.ignore=[DATA19]"))]


def test_a_threshold_of_the_config_counts(plan):  # noqa: F811
    codes = [finding.code for finding in data_check(plan("doctor.data.dynamic_hours=0", "doctor.data.n_speakers=1"))]
    assert "DATA13" not in codes and "DATA13" in [finding.code for finding in data_check(plan())]


def test_a_wrong_setting_of_doctor_is_told(plan):  # noqa: F811
    with pytest.raises(ConfigError, match=r"doctor.data.dc_levle: no such setting \(did you mean 'dc_level'"):
        data_check(plan("doctor.data.dc_levle=1"))
