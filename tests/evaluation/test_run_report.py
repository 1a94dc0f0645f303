"""``resound report``: what a run was, in Markdown and as a page, whether it is over or under way."""

import numpy as np
import pytest

from doctor.runs import changed, healthy, write_run
from evaluation.chromium import Browser
from resound.doctor.run_evidence import read_run
from resound.evaluation.training_story import story_of, wasted_share


@pytest.fixture
def run(here):
    write_run(here / "run", healthy(1000, 10))
    return here / "run"


def test_the_story_of_a_run_is_told(run, resound):
    ended = resound("report", "run")
    assert ended.status == 0 and ended.stdout.startswith("1,000 of 1,000 steps: best SI-SDRi ")
    text = (run / "report.md").read_text()
    for title in ("Phases", "Best validations, and the baselines", "Learning rate", "Gradient norms", "Configuration"):
        assert f"## {title}" in text
    assert "half of the gain was made by" in text and "## What doctor finds" in text and "```yaml" in text
    assert (run / "report-curves.png").stat().st_size > 10_000


def test_the_best_validations_come_first_and_the_baselines_last(run):
    table = next(table for table in story_of(run).tables if table.title.startswith("Best"))
    column = table.headings.index("SI-SDRi (dB)")
    values = [float(row[column]) for row in table.rows if row[0].startswith("step")]
    assert values == sorted(values, reverse=True) and table.rows[-1][0] == "oracle mask"


def test_what_came_after_the_best_is_wasted(here):
    late = healthy(1000, 10)
    late.validations["si_sdr_i"][2] = 20.0
    write_run(here / "run", late)
    assert wasted_share(read_run(here / "run")) == pytest.approx(0.7)
    assert "the last 70% of the steps added less than 0.1 dB" in story_of(here / "run").verdict


def test_a_run_without_validation_is_told_as_such(run, resound):
    (run / "validation.csv").unlink()
    ended = resound("report", "run")
    assert ended.status == 0 and "no validation yet" in ended.stdout


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_folder_that_is_no_run_is_one_line(here, resound, name):
    (here / "empty").mkdir()
    ended = resound("report", name)
    assert ended.status == 1 and f"{name}: holds no run" in ended.stderr and ended.stderr.count("\n") == 1


def test_the_page_draws_its_curves(run, resound):
    resound("report", "run", "-o", "elsewhere")
    with Browser(run.parent / "elsewhere" / "report.html") as browser:
        browser.wait("document.body?.dataset.ready === 'yes'")
        assert browser.run("document.querySelectorAll('#curves svg').length") >= 4
        assert not browser.errors


def test_what_was_not_validated_is_not_called_wasted(here):
    whole = healthy(1000, 10)
    write_run(here / "run", changed(whole, validations={name: each[:2] for name, each in whole.validations.items()}))
    assert wasted_share(read_run(here / "run")) == 0


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("steps.csv", lambda text: text.replace("step", "pace", 1), "it has no column 'step'"),
        ("validation.csv", lambda text: text.replace("step", "pace", 1), "it has no column 'step'"),
        ("validation.csv", lambda text: text.replace(",", ";"), "is no table of a run"),
        ("validation.csv", lambda text: text + "1100,20\n", "a row begins '1100' and has 2 columns, not"),
        ("steps.csv", lambda text: text.replace("\n7,", "\nnan,"), "a step is no number"),
        ("baselines.json", lambda text: text[:40], "cannot be read"),
        ("config.yaml", lambda text: text.replace("clip_norm: 5.0", "clip_norm: abc"), "is no plan of a run"),
    ],
)
def test_a_damaged_run_is_one_line(run, resound, file, change, error):
    (run / file).write_text(change((run / file).read_text()))
    ended = resound("report", "run")
    assert ended.status == 1 and error in ended.stderr and ended.stderr.count("\n") == 1
    assert not (run / "report.html").exists()


def test_numbers_that_are_none_and_notes_of_another_kind_are_borne(here, resound):
    spoilt = healthy(1000, 10)
    spoilt.steps["lr"][-900:] = 0
    spoilt.steps["lr"][10], spoilt.steps["grad_norm"][7] = np.inf, np.nan
    spoilt.validations["si_sdr_i"][:] = np.nan
    write_run(here / "run", spoilt)
    (here / "run" / "run.json").write_text('{"sessions": [{"peak_memory_mb": "much"}, 3]}')
    ended = resound("report", "run")
    assert ended.status == 0 and "no validation yet" in ended.stdout and "peak memory: not recorded" in ended.stdout
    assert "the rate is down by" in ended.stdout
