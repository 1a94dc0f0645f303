"""Each check switched off by itself: its faults are then found by nobody, so each is found by its own check alone."""

import pytest

from resound.doctor.catalogue import BY_MOMENT, CHECKS, moment_of, run_checks
from resound.doctor.check import Check

from .faults import FAULTS

WITH_TABLES = {moment_of(fault.code) for fault in FAULTS}


def assert_named(fault, evidence, moment):
    found = run_checks(moment, evidence, fault.settings)
    assert fault.code in [finding.code for finding in found], f"{fault.code}, {fault.words}: not named"


@pytest.mark.parametrize("code", CHECKS)
def test_without_its_check_a_fault_is_named_by_nobody(code, tmp_path, monkeypatch):
    faults = [fault for fault in FAULTS if fault.code == code]
    moment = moment_of(code)
    if not faults and moment not in WITH_TABLES:
        pytest.skip(f"the tests of the moment {moment!r} have no table of faults")
    assert faults, f"{code}: no fault is put anywhere"
    made = []
    for number, fault in enumerate(faults):
        (tmp_path / str(number)).mkdir()
        made.append((fault, fault.make(tmp_path / str(number)), moment))
    for each in made:
        assert_named(*each)
    checks = [Check(code, each.title, lambda *_: None) if each.code == code else each for each in BY_MOMENT[moment]]
    monkeypatch.setitem(BY_MOMENT, moment, tuple(checks))
    for each in made:
        with pytest.raises(AssertionError, match="not named"):
            assert_named(*each)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_each_kind_of_fault_is_described(fault):
    assert fault.words or moment_of(fault.code) in ("output", "model")
