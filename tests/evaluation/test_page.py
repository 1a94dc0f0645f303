"""The page of an evaluation, opened from disk in a real browser that has no network."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluation.chromium import Browser
from evaluation.folders import SIDES, changed, recordings, write_folders
from resound.evaluation.evaluate import Asked, evaluate
from resound.evaluation.report import write_all


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    where = tmp_path_factory.mktemp("page")
    write_folders(recordings(4), where=where)
    sides = {side: where / side for side in ("clean", "degraded", "enhanced")}
    asked = Asked(
        sides["degraded"], (sides["enhanced"],), (sides["clean"],), metrics=("si_sdr,lsd",),
        baselines=("unprocessed", "oracle_mask"),
    )  # fmt: skip
    write_all(evaluate(asked, where / "out", n_jobs=1), where / "out", print)
    return where / "out"


def test_the_page_has_all_in_it_and_nothing_outside(evaluated):
    page = (evaluated / "report.html").read_text()
    outside = [found for found in re.findall(r"(?:src|href)='([^']*)'", page) if not found.startswith("data:")]
    assert not outside and "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "https://" not in page
    data = json.loads(page.partition("id='data'>")[2].partition("</script>")[0])
    assert [take["name"] for take in data["takes"]] and len(data["table"]["rows"]) == 4


def test_highlights_name_the_best_and_the_worst_with_pictures(evaluated):
    text = (evaluated / "highlights.md").read_text()
    assert text.count("### take") == 4 and "## Best by improvement in SI-SDR (dB)" in text
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", text)
    assert len(pictures) == 4 and all((evaluated / name).exists() for name in pictures)


def test_players_switch_at_the_same_position_and_the_table_sorts(evaluated):
    first = "document.querySelector('.controls')"
    with Browser(evaluated / "report.html") as browser:
        browser.wait("document.body?.dataset.ready === 'yes'")
        browser.run(f"{first}.querySelector('.play').click()")
        browser.wait(f"{first}.dataset.state === 'playing' && Number({first}.dataset.position) > 0.1")
        before = float(browser.run(f"{first}.dataset.position"))
        browser.run(f"{first}.querySelector('[data-version=clean]').click()")
        now = browser.run(f"({{...{first}.dataset}})")
        assert (
            now["version"] == "clean" and now["state"] == "playing" and before <= float(now["position"]) < before + 0.5
        )
        gains = browser.run(
            f"new Promise((done) => setTimeout(() => done({first}.player.sources.map((s) => s.gain.gain.value)), 200))"
        )
        assert [gain > 0.01 for gain in gains] == [False, False, True, False]
        degraded, enhanced, removed = (f"{first}.player.buffers[{n}].getChannelData(0)" for n in (0, 1, 3))
        assert browser.run(f"{removed}.every((value, i) => value === Math.fround({degraded}[i] - {enhanced}[i]))")
        browser.run("document.querySelectorAll('.controls')[1].querySelector('.play').click()")
        browser.wait(f"{first}.dataset.state === 'paused'")  # one at a time

        column = "[...document.querySelectorAll('#recordings tbody tr')].map((row) => Number(row.cells[1].textContent))"
        for _ in range(2):
            browser.run("document.querySelectorAll('#recordings th button')[1].click()")
            values = browser.run(column)
            descending = (
                browser.run("document.querySelectorAll('#recordings th')[1].getAttribute('aria-sort')") == "descending"
            )
            assert values == sorted(values, reverse=descending) and len(values) == 4
        browser.run("metric.value = 'lsd'; metric.onchange()")
        assert browser.run("document.querySelectorAll('#charts circle').length") > 4
        assert not browser.errors
        assert {request.partition(":")[0] for request in browser.requests} <= {"file", "data", "about"}


def test_versions_are_heard_at_one_loudness(evaluated):
    page = (evaluated / "report.html").read_text()
    data = json.loads(page.partition("id='data'>")[2].partition("</script>")[0])
    for take in data["takes"]:
        levels = {}
        assert take["versions"][-1]["difference_of"] == ["degraded", "enhanced"]
        for version in take["versions"][:-1]:
            sound = soundfile.read(io.BytesIO(base64.b64decode(version["audio"])))[0]
            assert np.abs(sound).max() * 10 ** (version["gain_db"] / 20) <= 1.0
            levels[version["key"]] = 10 * np.log10(np.mean(sound**2)) + version["gain_db"]
        assert np.ptp([levels[key] for key in ("degraded", "enhanced", "clean")]) < 3  # dB; loudness is no plain power


def test_file_names_are_text_not_html(here, resound):
    write_folders(recordings(2))
    for side in ("clean", "degraded", "enhanced"):
        Path(side, "take0.wav").rename(Path(side, "<img src=x onerror=alert(1)>.wav"))
        Path(side, "take1.wav").rename(Path(side, "a [b](c)\n#1%.wav"))
    assert resound("evaluate", *SIDES, "--metrics", "si_sdr", "--baselines", "unprocessed").status == 0
    assert "<img src=x" not in Path("out/report.html").read_text()
    text = Path("out/highlights.md").read_text()
    assert "### \\<img src=x onerror=alert(1)\\>" in text and "### a \\[b\\](c)\\\\n\\#1%" in text
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", text)
    assert len(pictures) == 2 and all(
        Path("out", name).exists() and re.fullmatch(r"[\w./-]+", name) for name in pictures
    )


def test_outputs_that_are_far_too_loud_are_drawn_without_a_warning(here, resound):
    write_folders(recordings(1))
    changed("enhanced/take0.wav", lambda sound: 1e30 * sound)
    assert resound("evaluate", *SIDES, "--metrics", "si_sdr", "--baselines", "unprocessed").stderr == ""


def test_pages_fit_a_telephone(here, resound):
    write_folders(recordings(2))
    for side in ("clean", "degraded", "enhanced"):
        Path(side, "take0.wav").rename(Path(side, "x" * 200 + ".wav"))
    resound("evaluate", *SIDES, "--metrics", "si_sdr,lsd,snr", "--baselines", "unprocessed,silence")
    with Browser(here / "out" / "report.html", width=400) as browser:
        browser.wait("document.body?.dataset.ready === 'yes'")
        assert browser.run("document.documentElement.scrollWidth") == 400
        loaded = "[...document.querySelectorAll('.take img')].map((image) => image.naturalWidth)"
        assert browser.run(loaded) == [1500, 1500]
