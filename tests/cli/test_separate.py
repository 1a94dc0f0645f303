"""`resound separate` as its users meet it: names, levels, what is left, and every wrong input in one line."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from conftest import files_below, hiss, read_sound, write_wav  # noqa: E402
from resound.checkpoint import save_model  # noqa: E402
from resound.models import build  # noqa: E402

SIZES = {"n_filters": 16, "filter_samples": 8, "bottleneck": 8, "hidden": 8, "skip": 8, "n_blocks": 2, "n_repeats": 1}


@pytest.fixture
def model(here):
    torch.manual_seed(0)
    save_model(here / "model", build("conv_tasnet", **SIZES))
    return "model"


@pytest.fixture
def meeting(here):
    return write_wav(here / "meeting.wav", hiss(8000, 2), subtype="PCM_24")


def test_each_voice_is_a_file_like_the_input(resound, model, meeting):
    ended = resound("separate", "meeting.wav", "--model", model, "--rest")
    assert (ended.status, ended.stdout.split("  ")[0]) == (0, "meeting_1.wav, meeting_2.wav")
    voices = [read_sound(meeting.with_name(f"meeting_{number}.wav")) for number in (1, 2)]
    assert [voice.shape for voice in voices] == [(2, 8000)] * 2
    # float32 holds differences of 24-bit integers exactly
    rest = read_sound(meeting.with_name("meeting_rest.wav"))
    np.testing.assert_array_equal(rest + sum(voices), read_sound(meeting))


def test_without_a_file_for_the_rest_the_voices_are_the_recording(resound, model, meeting):
    ended = resound("separate", "meeting.wav", "--model", model)
    assert (ended.status, "left over, and given to the louder: " in ended.stdout) == (0, True)
    voices = [read_sound(meeting.with_name(f"meeting_{number}.wav")) for number in (1, 2)]
    np.testing.assert_allclose(sum(voices), read_sound(meeting), atol=2.0**-22)  # each is rounded to 24 bits
    told = json.loads(meeting.with_name("meeting_1.wav.json").read_text())
    assert told["rest"] is None and told["rest_db"] < 0


def test_the_log_says_what_was_done(resound, model, meeting):
    resound("separate", "meeting.wav", "--model", model)
    told = json.loads(meeting.with_name("meeting_2.wav.json").read_text())
    assert told["outputs"] == ["meeting_1.wav", "meeting_2.wav"]
    assert (told["n_samples"], told["n_chunks"], told["model"]) == (8000, 1, "conv_tasnet")
    assert told["rest_db"] < 0
    assert "torch" in told["versions"]


def test_results_are_left_out_of_the_next_run(resound, model, meeting):
    resound("separate", "meeting.wav", "--model", model)
    ended = resound("separate", ".", "--model", model, "--skip-existing", "--json")
    assert [told["status"] for told in json.loads(ended.stdout)] == ["skipped"]


def test_a_run_that_ended_between_two_names_is_made_again(resound, model, meeting):
    resound("separate", "meeting.wav", "--model", model)
    meeting.with_name("meeting_2.wav").unlink()
    assert resound("separate", "meeting.wav", "--model", model, "--skip-existing").status == 0
    assert read_sound(meeting.with_name("meeting_2.wav")).shape == (2, 8000)
    write_wav(meeting.with_name("other_1.wav"))  # of somebody else
    write_wav(meeting.with_name("other.wav"))
    ended = resound("separate", "other.wav", "--model", model, "--skip-existing")
    assert (ended.status, "exists already" in ended.stderr) == (1, True)


def test_what_was_not_asked_for_then_is_made_now(resound, model, meeting):
    resound("separate", "meeting.wav", "--model", model)
    assert resound("separate", "meeting.wav", "--model", model, "--rest", "--skip-existing").status == 0
    assert meeting.with_name("meeting_rest.wav").exists()


def test_a_folder_may_have_a_dot_in_its_name(resound, model, meeting):
    assert resound("separate", "meeting.wav", "--model", model, "-o", "out.v2").status == 0
    assert (meeting.parent / "out.v2/meeting_1.wav").exists()


def test_a_folder_keeps_its_structure(resound, model, here):
    for name in ("talks/a.wav", "talks/deep/b.wav"):
        write_wav(here / name)
    ended = resound("separate", "talks", "--model", model, "-o", "out")
    assert ended.stdout.splitlines()[-1] == "2 separated"
    expected = {"a_1.wav", "a_2.wav", "deep/b_1.wav", "deep/b_2.wav"}
    assert {name for name in files_below(here / "out") if name.endswith(".wav")} == expected


def test_the_same_input_gives_the_same_voices(resound, model, meeting):
    for folder in ("one", "two"):
        resound("separate", "meeting.wav", "--model", model, "-o", folder)
    one, two = (read_sound(meeting.parent / folder / "meeting_1.wav") for folder in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_voices_that_hold_next_to_nothing_are_told(resound, model, meeting):
    ended = resound("separate", "meeting.wav", "--model", model)  # an untrained network, on noise
    assert "% of the energy into no voice; it does not suit this recording" in ended.stderr


def test_how_sure_the_voices_are_is_told_unless_it_is_not_asked_for(resound, model, meeting):
    ended = resound("separate", "meeting.wav", "--model", model)
    told = json.loads(meeting.with_name("meeting_1.wav.json").read_text())
    assert f"; agree to {told['agreement_db']:.1f} dB when separated again" in ended.stdout
    assert [start for start, _ in told["agreements_db"]] == [0.0]
    assert told["agreement_db"] == pytest.approx(told["agreements_db"][0][1], abs=0.06)

    ended = resound("separate", "meeting.wav", "--model", model, "--no-check", "--overwrite")
    told = json.loads(meeting.with_name("meeting_1.wav.json").read_text())
    assert (told["agreement_db"], told["agreements_db"]) == (None, [])
    assert "agree" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("least_db", [-100.0, 100.0])
def test_voices_that_do_not_agree_are_told(resound, model, meeting, monkeypatch, least_db):
    monkeypatch.setattr("resound.inference.separate_file.LEAST_AGREEMENT_DB", least_db)
    ended = resound("separate", "meeting.wav", "--model", model)
    assert ("hardly tells them apart; listen before you use them" in ended.stderr) == (least_db > 0)


def test_one_who_speaks_alone_need_not_agree(resound, model, meeting, monkeypatch):
    monkeypatch.setattr("resound.inference.separate_file.LEAST_AGREEMENT_DB", 100.0)
    monkeypatch.setattr("resound.inference.separate_file.QUIET_VOICE_DB", 0.01)  # there is a louder one
    ended = resound("separate", "meeting.wav", "--model", model)
    assert "quieter than the loudest voice; perhaps fewer speak" in ended.stderr
    assert "hardly tells them apart" not in ended.stderr


def test_an_excerpt_is_separated(resound, model, meeting):
    resound("separate", "meeting.wav", "--model", model, "--start", 0.25, "--duration", 0.5)
    assert read_sound(meeting.with_name("meeting_0.25-0.75s_1.wav")).shape == (2, 4000)


def test_python_gives_the_voices_too(model):
    import resound as package

    mono, stereo = hiss(5000)[0].astype(np.float32), hiss(5000, 2)
    assert package.separate(mono, 8000, model).shape == (2, 5000)
    assert package.separate(mono, 8000, model).dtype == np.float32
    assert package.separate(stereo, 8000, model).shape == (2, 2, 5000)


def test_python_may_ask_how_sure_the_voices_are(model):
    import resound as package
    from resound.inference.separation import SeparationReport

    report = SeparationReport()
    voices = package.separate(hiss(5000)[0], 8000, model, report=report)
    np.testing.assert_array_equal(voices, package.separate(hiss(5000)[0], 8000, model))
    assert (report.n_chunks, len(report.agreements_db)) == (1, 1)
    assert report.agreement.ratio_db is not None


def test_python_is_told_too(model):
    import resound as package
    from resound.errors import ConfigError, ModelError

    with pytest.raises(ModelError, match="comes without weights so far"):
        package.separate(hiss(100), 8000, "convtasnet-paper")
    with pytest.raises(ModelError, match="None: is no model"):
        package.separate(hiss(100), 8000, None)
    with pytest.raises(ConfigError, match="no array"):
        package.separate([[0.0, 1.0], [0.0]], 8000, model)


WRONG = {
    "no such model": (["meeting.wav", "--model", "seperate"], "(did you mean 'separate'?); give separate, an .onnx"),
    "one that restores": (["meeting.wav", "--model", "film"], "film: gives one source; use it with 'resound restore'"),
    "one that restores, too": (
        ["meeting.wav", "--model", "auto"],
        "model 'auto' is not known; give separate, an .onnx",
    ),
    "no file": (["meeting.wav", "--model", "gone.onnx"], "gone.onnx: no such model file"),
    "no folder": (["meeting.wav", "--model", "meeting.wav"], "meeting.wav: is a file, not a model's folder"),
    "another number": (["meeting.wav", "--model", "model", "--speakers", 3], "speakers is 3, model gives 2 voices"),
    "a file for two": (
        ["meeting.wav", "--model", "model", "-o", "out.wav"],
        "is one file's name, for 2 voices",
    ),
    "no recording": (["gone.wav", "--model", "model"], "gone.wav: does not exist"),
    "before the start": (["meeting.wav", "--model", "model", "--start", -1], "start is -1 s"),
    "no length": (["meeting.wav", "--model", "model", "--duration", 0], "duration is 0 s"),
    "after the end": (["meeting.wav", "--model", "model", "--start", 99], "start"),
    "one source": (["meeting.wav", "--model", "single"], "single: gives one source; use it with 'resound restore'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(resound, model, meeting, case, here):
    save_model(here / "single", build("conv_tasnet", **SIZES, n_sources=1))
    before = files_below(here)
    arguments, message = WRONG[case]
    ended = resound("separate", *arguments)
    assert ended.status == 1
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert files_below(here) == before


def test_existing_results_are_replaced_only_if_asked(resound, model, meeting):
    resound("separate", "meeting.wav", "--model", model)
    again = resound("separate", "meeting.wav", "--model", model)
    assert (again.status, "exists already" in again.stderr) == (1, True)
    assert resound("separate", "meeting.wav", "--model", model, "--overwrite").status == 0


def test_a_bad_recording_stops_nothing_else(resound, model, meeting):
    ended = resound("separate", "gone.wav", "meeting.wav", "--model", model)
    assert ended.status == 1
    assert ended.stdout.splitlines()[-1] == "1 failed, 1 separated"
