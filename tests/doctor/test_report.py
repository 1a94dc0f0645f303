"""What a person, a program and a browser get to see."""

import json
from dataclasses import replace

from resound.doctor.finding import Finding
from resound.doctor.report import SCREEN_LINES, Picture, Report


def findings(n, severity="warning"):
    return [Finding("DATA08", severity, f"{k} files & more", k, 0, "mend them", "files") for k in range(n)]


def test_many_findings_fit_on_a_screen_unless_all_are_wanted():
    report = Report("pairs", findings(30), 20, [f"note {k}" for k in range(9)])
    assert len(report.text().splitlines()) <= SCREEN_LINES
    assert "more findings; -v shows all" in report.text()
    assert report.text(is_verbose=True).count("mend them") == 30


def test_only_errors_make_the_status_1():
    assert Report("pairs", findings(1), 20).status == 0
    assert Report("pairs", findings(1, "error"), 20).status == 1


def test_nothing_found_is_said():
    assert Report("3 pairs", [], 20).text() == "nothing found by 20 checks: 3 pairs"


def test_json_is_what_a_finding_holds():
    assert json.loads(Report("pairs", findings(2), 20).json())[1] == {
        "code": "DATA08", "severity": "warning", "message": "1 files & more", "value": 1, "threshold": 0,
        "remedy": "mend them", "where": "files", "files": [],
    }  # fmt: skip


def test_all_files_are_there_for_who_asks():
    report = Report("pairs", [replace(findings(1)[0], files=tuple("abcdefgh"))], 20)
    assert "\n            h" not in report.text()
    assert [line.strip() for line in report.text(is_verbose=True).splitlines()][-9:-1] == list("abcdefgh")
    assert json.loads(report.json())[0]["files"] == list("abcdefgh")
    assert "<summary>8 files</summary><ul><li>a</li>" in report.html()


def test_the_page_needs_nothing_else():
    page = Report("pairs", findings(1), 20).html([Picture("DATA08", "proof", b"PNG")])
    assert "src='data:image/png;base64,UE5H'" in page and "&amp; more" in page
    assert "http" not in page
