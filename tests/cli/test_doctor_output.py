"""``resound doctor output`` and ``resound doctor model``: what they say, of bad input too, and how they end."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from doctor.outputs import moved, speech, write_three

SIDES = ("--clean", "clean", "--degraded", "degraded", "--enhanced", "enhanced", "-j", "1")


@pytest.fixture
def healthy(here):
    write_three(here, speech())


@pytest.fixture
def late(here):
    write_three(here, speech().with_output(lambda sound: moved(sound, 800)))


def test_healthy_outputs_end_with_status_0(healthy, resound):
    ended = resound("doctor", "output", *SIDES)
    assert ended.status == 0
    assert ended.stdout.splitlines()[-1] == "nothing found by 12 checks: 3 recordings"
    assert "not looked at: OUT06, which needs recordings whose levels differ by 12 dB" in ended.stdout


def test_a_fault_is_told_with_its_remedy(late, resound):
    ended = resound("doctor", "output", *SIDES)
    assert ended.status == 1 and "error    OUT04" in ended.stdout and "drop its first 800 samples" in ended.stdout


def test_json_switches_and_thresholds(late, resound):
    (finding,) = json.loads(resound("doctor", "output", *SIDES, "--json").stdout)
    assert finding["code"] == "OUT04" and finding["value"] == pytest.approx(50, abs=0.1)
    assert resound("doctor", "output", *SIDES, "--ignore", "OUT04").status == 0
    assert resound("doctor", "output", *SIDES, "--set", "output.grave_delay_ms=60").status == 0


def test_without_a_clean_side_what_needs_none_is_checked(late, resound):
    ended = resound("doctor", "output", *SIDES[2:])
    assert ended.status == 1 and "OUT04" in ended.stdout
    assert "not looked at: OUT07, which needs a clean side" in ended.stdout
    assert "by 11 checks" in ended.stdout


def test_the_page_proves_each_finding(here, resound):
    rng = np.random.default_rng(0)
    three = speech(2, 12.0)
    gains = [np.repeat(10 ** (rng.standard_normal(24) / 4), 8000) for _ in three.enhanced]
    louder = [4 * gain * sound for gain, sound in zip(gains, three.enhanced, strict=True)]
    write_three(here, replace(three, enhanced=louder))
    resound("doctor", "output", *SIDES, "--html", "page.html")
    page = (here / "page.html").read_text()
    assert page.count("<h2>") >= 3 and page.count("data:image/png;base64,iVBOR") > page.count("<h2>")


def test_files_without_a_partner_are_named_and_the_rest_goes_on(healthy, here, resound):
    (here / "enhanced/take2.wav").rename(here / "enhanced/alone.wav")
    ended = resound("doctor", "output", *SIDES, "-v")
    assert ended.status == 0 and "2 recordings" in ended.stdout
    assert "enhanced: 1 file without a partner, left out: alone.wav" in ended.stdout
    assert "degraded: 1 file without a partner, left out: take2.wav" in ended.stdout


def test_names_may_have_a_mark_behind(healthy, here, resound):
    for path in list((here / "enhanced").iterdir()):
        path.rename(path.with_name(f"{path.stem}_restored.wav"))
    assert "3 recordings" in resound("doctor", "output", *SIDES).stdout


def test_lists_are_read(late, here, resound):
    rows = "\n".join(",".join(f"{side}/take{k}.wav" for side in ("clean", "degraded", "enhanced")) for k in range(3))
    (here / "list.csv").write_text(f"clean,noisy,enhanced\n{rows}\n")
    ended = resound(
        "doctor", "output", *[word if word.startswith("-") else "list.csv" for word in SIDES[:6]], "-j", "1"
    )
    assert ended.status == 1 and "OUT04" in ended.stdout


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-2000])


def put_nan(path):
    sound, rate = soundfile.read(path)
    sound[100] = np.nan
    soundfile.write(path, sound, rate, subtype="FLOAT")


@pytest.mark.parametrize("harm", [cut_off, put_nan, lambda path: path.write_bytes(b"no sound")])
def test_an_unusable_output_is_a_finding(healthy, here, resound, harm):
    harm(here / "enhanced/take1.wav")
    ended = resound("doctor", "output", *SIDES, "--json")
    (finding,) = json.loads(ended.stdout)
    assert ended.status == 1 and finding["code"] == "DATA08" and "take1.wav" in finding["message"]


def test_other_lengths_are_noted_and_compared_as_far_as_they_go(healthy, here, resound):
    sound, rate = soundfile.read(here / "enhanced/take2.wav")
    soundfile.write(here / "enhanced/take2.wav", sound[: -rate // 10], rate, subtype="FLOAT")
    ended = resound("doctor", "output", *SIDES)
    assert ended.status == 0 and "1 of 3 outputs have another length than the input: take2 by -100.0 ms" in ended.stdout


def test_silent_and_tiny_files_are_no_crash(here, resound):
    silent = [np.zeros(16000), np.zeros(10), np.full(400, 0.1)]
    write_three(here, replace(speech(), clean=silent, degraded=silent, enhanced=silent))
    ended = resound("doctor", "output", *SIDES)
    assert ended.status == 2 and "nothing there can be heard" in ended.stderr


def test_recordings_without_anything_to_hear_are_named(healthy, here, resound):
    for side in ("clean", "degraded", "enhanced"):
        soundfile.write(here / side / "take1.wav", np.zeros(16000), 16000)
    told = resound("doctor", "output", *SIDES).stdout
    assert "1 of 3 recordings are silent or too short to be told anything of: take1" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("output", *SIDES[:4], "--enhanced", "empty"), "empty: holds no recordings"),
        (("output", *SIDES[:4], "--enhanced", "gone"), "gone: is no folder"),
        (("output", *SIDES[:4], "--enhanced", "other"), "no name is in all of them"),
        (("output", *SIDES, "--select", "OUTER"), "no check begins with 'OUTER'"),
        (("output", *SIDES, "--set", "output.x=1"), "output.x: no such setting"),
        (("model", "clasic", "--on", "degraded"), "did you mean 'classic'?"),
        (("model", "empty", "--on", "degraded"), "empty: "),
        (("model", "degraded/take0.wav", "--on", "degraded"), "take0.wav"),
        (("model", "classic", "--on", "empty"), "empty: holds no recordings"),
        (("model", "classic", "--on", "gone.wav"), "gone.wav: "),
        (("model", "classic", "--on", "broken.wav"), "broken.wav: "),
    ],
)
def test_bad_input_is_one_line_and_status_2(healthy, here, resound, words, said):
    (here / "empty").mkdir()
    (here / "other").mkdir()
    soundfile.write(here / "other/x.wav", np.zeros(100), 8000)
    (here / "broken.wav").write_bytes(b"no sound")
    ended = resound("doctor", *words)
    assert ended.status == 2 and said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_the_classic_chain_is_healthy_and_needs_no_torch(here):
    write_three(here, speech(2, 4.0, 15.0))
    program = (
        "import sys; sys.argv[1:] = ['doctor', 'model', 'classic', '--on', 'degraded']\n"
        "from resound.cli.main import main\n"
        "try: main()\nexcept SystemExit as ended: print('status', ended.code, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-2:] == ["nothing found by 12 checks: classic on 2 recordings", "status 0 False"]


def test_recordings_may_come_as_a_shell_lists_them(here, resound):
    write_three(here, speech(2, 4.0, 15.0))
    ended = resound("doctor", "model", "classic", "--on", "degraded/take0.wav", "degraded/take1.wav")
    assert ended.status == 0 and ended.stdout.endswith("classic on 2 recordings\n")


def test_two_files_of_one_name_are_two_recordings(here):
    from resound.cli.doctor_options import recordings_in

    write_three(here, speech(1, 1.0))
    (here / "clean/take0.flac").write_bytes((here / "clean/take0.wav").read_bytes())
    assert len(recordings_in(here / "clean")) == 2


def test_a_code_is_explained(resound):
    told = resound("doctor", "--explain", "out05").stdout
    assert told.startswith("OUT05: there are seams") and "How to silence it." in told


def test_outputs_in_another_order_are_told_and_drawn_without_a_clean_side(here, resound):
    three = speech(6, 3.0)
    write_three(here, replace(three, enhanced=three.enhanced[1:] + three.enhanced[:1]))
    ended = resound("doctor", "output", *SIDES[2:], "--html", "page.html")
    assert ended.status == 1 and "error    OUT10" in ended.stdout
    assert "data:image/png;base64,iVBOR" in (here / "page.html").read_text()
