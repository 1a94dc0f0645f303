"""The catalogue is whole, and its switches switch."""

import pytest

from resound.doctor.catalogue import BY_MOMENT, CHECKS, check_codes, explained, explanations, run_checks
from resound.doctor.check import Check
from resound.doctor.finding import Finding
from resound.doctor.settings import DoctorSettings
from resound.errors import ConfigError


def test_every_check_is_explained_and_nothing_else_is():
    assert explanations().keys() == CHECKS.keys()


@pytest.mark.parametrize("code", CHECKS)
def test_an_explanation_says_all_five_things(code):
    parts = explained(code).split("\n\n")
    assert [part.split(".")[0] for part in parts[1:]] == [
        "What it means", "Why it hurts", "A real case", "How to fix it", "How to silence it",
    ]  # fmt: skip


def test_codes_come_once_and_in_order():
    for checks in BY_MOMENT.values():
        codes = [check.code for check in checks]
        assert codes == sorted(set(codes))


@pytest.fixture
def two_checks(monkeypatch):
    made = []

    def judge(code, severity):
        def found(evidence, _):
            made.append(code)
            return Finding(code, severity, f"{evidence} is 7", 7, 5, "make it 5", "one file")

        return Check(code, "too much", found)

    monkeypatch.setitem(BY_MOMENT, "data", (judge("DATA01", "info"), judge("DATA02", "error")))
    return made


def test_the_worst_comes_first(two_checks):
    assert [finding.code for finding in run_checks("data", "x", DoctorSettings())] == ["DATA02", "DATA01"]


def test_a_check_that_is_off_is_not_made(two_checks):
    run_checks("data", "x", DoctorSettings(ignore=("DATA02",)))
    assert two_checks == ["DATA01"]


def test_selecting_by_prefix(two_checks):
    run_checks("data", "x", DoctorSettings(select=("DATA",), ignore=("DATA01",)))
    assert two_checks == ["DATA02"]


def test_a_code_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="no check begins with 'DATA9'"):
        check_codes(DoctorSettings(ignore=("DATA9",)))


def test_a_finding_is_one_line():
    finding = Finding("DATA02", "error", "late by 40 samples", 40, 2, "move it", "1 pair")
    assert str(finding) == "DATA02 · error · late by 40 samples · move it · 1 pair"
