"""`resound.evaluate`: a typed result that turns into rows; and what works without torch."""

import subprocess
import sys

import pytest

import resound
from evaluation.folders import recordings, write_folders
from resound.errors import ConfigError

SIDES = {"enhanced": "enhanced", "clean": "clean", "degraded": "degraded"}


@pytest.fixture
def folders(here):
    write_folders(recordings(3))
    return here


def test_the_result_turns_into_rows(folders):
    result = resound.evaluate(**SIDES, metrics="si_sdr,snr", baselines=["unprocessed"])
    rows = list(result.rows())
    assert [row["name"] for row in rows] == ["take0", "take1", "take2"] and rows[0]["snr_i"] == pytest.approx(
        6.02, abs=0.01
    )
    assert result.improvement("snr").mean == pytest.approx(6.02, abs=0.01)
    assert result.verdict.startswith(
        "3 files can prove nothing against the unprocessed input (it takes 6): better on 3;"
    )
    assert sorted(path.name for path in folders.iterdir()) == ["clean", "degraded", "enhanced"]  # nothing is kept


def test_from_six_files_on_better_is_said(here):
    write_folders(recordings(6))
    result = resound.evaluate(**SIDES, metrics="snr", baselines=["unprocessed"])
    assert result.verdict.startswith("better than the unprocessed input on 6 of 6 files")


def test_a_folder_keeps_all_that_the_command_keeps(folders):
    resound.evaluate(**SIDES, metrics=["si_sdr"], baselines=["unprocessed"], output="out")
    kept = {path.name for path in (folders / "out").iterdir()}
    assert kept == {"rows.jsonl", "results.csv", "results.json", "highlights.md", "pictures", "report.html"}


def test_a_mistake_is_one_of_ours_with_a_remedy(folders):
    with pytest.raises(ConfigError, match="nothing to judge; give --enhanced"):
        resound.evaluate(clean="clean", degraded="degraded")


def test_finished_outputs_and_the_classic_chain_need_no_torch(folders):
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('torch', 'safetensors'): raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import resound\n"
        "sides = dict(clean='clean', degraded='degraded', metrics='si_sdr,stoi,lsd')\n"
        "print(resound.evaluate(enhanced='enhanced', output='out', **sides).verdict)\n"
        "if __name__ == '__main__': print(resound.evaluate(model='classic', **sides).verdict)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("the unprocessed input") == 2, done.stderr
