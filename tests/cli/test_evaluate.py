"""``resound evaluate`` and ``resound compare`` at the command line: one line for what is wrong, JSON, no torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.folders import SIDES, recordings, write_folders


@pytest.fixture
def wrong(here):
    """Folders with nothing in them, with no sound in their files, with torn results, and a list of nothing."""
    for name in ("empty", "broken", "other", "torn"):
        Path(name).mkdir()
    for name in ("broken", "other"):
        Path(name, "take0.wav").write_text("garbage")
    Path("torn/results.json").write_text("{")
    Path("list.txt").write_text("")
    return here


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("evaluate", "nothing to judge; give --enhanced DIR"),
        ("evaluate --enhanced nope --degraded nope", "nope: is no folder"),
        ("evaluate --enhanced empty --degraded empty", "empty: holds no recordings"),
        ("evaluate --enhanced list.txt --degraded list.txt", "list.txt: lists no file"),
        ("evaluate --enhanced broken --degraded broken --rate 1", "rate is 1 Hz; give 4000 to 192000"),
        ("evaluate --enhanced broken --degraded broken --baselines best", "baseline 'best' is not known"),
        ("evaluate --enhanced broken --degraded other --metrics si_sdr", "si_sdr needs clean references (--clean)"),
        ("evaluate --model classic --config nope.yaml", "nope.yaml: no such file"),
        ("compare torn torn", "torn: results.json or results.csv is missing, broken"),
    ],
)
def test_what_cannot_be_done_is_one_line(wrong, resound, words, error):
    ended = resound(*words.split())
    assert ended.status == 1 and error in ended.stderr and ended.stderr.count("\n") == 1
    assert not Path("evaluation").exists() and not Path("comparison").exists()


def test_json_is_what_lies_in_the_folder(here, resound):
    write_folders(recordings(2, 1.0))
    ended = resound("evaluate", *SIDES, "--metrics", "snr", "--baselines", "unprocessed", "--json")
    assert ended.status == 0 and json.loads(ended.stdout) == json.loads(Path("out/results.json").read_text())


def test_outputs_of_any_tool_are_judged_without_torch(here):
    write_folders(recordings(2, 1.0))
    words = ["resound", "evaluate", *SIDES, "--metrics", "snr", "--baselines", "unprocessed,classic,oracle_mask"]
    code = (
        f"import sys; sys.argv = {words}; from resound.cli import main\n"
        "try: main.main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert 'torch' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_model_is_judged_on_a_split_that_is_mixed_for_it(here, resound, write_corpus, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    sounds = {f"take{number}": sound for number, sound in enumerate(recordings(3, 3.0, rate=8000)["clean"])}
    corpus = write_corpus("speech", sounds, split="valid", bandwidth_hz=4000.0)
    Path("mix.yaml").write_text(
        "sample_rate: 8000\nsegment_seconds: 2.0\nsplit: valid\n"
        f"clean: {{corpus: {corpus}}}\nchain:\n  - hiss: {{snr_db: [5, 10]}}\n"
    )
    ended = resound(
        "evaluate", "--model", "classic", "--config", "mix.yaml", "--count", "3", "-o", "out", "-j", "1",
        "--metrics", "si_sdr", "--baselines", "unprocessed",
    )  # fmt: skip
    assert ended.status == 0, ended.stderr
    told = json.loads(Path("out/results.json").read_text())
    assert told["n_files"] == 3 and 4 < told["overall"]["unprocessed"]["si_sdr"]["mean"] < 11
