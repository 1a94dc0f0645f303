"""``resound evaluate`` on folders: the figures, what stands beside them, and input that is not as it should be."""

import csv
import json

import numpy as np
import pytest
import soundfile

from evaluation.folders import RATE, SIDES, changed, recordings, write_folders
from resound.evaluation.result import Evaluation
from resound.judging.fixed_filter import fixed_filter
from resound.judging.scores import score
from resound.mixing.example import Example

FAST = ("--metrics", "si_sdr,snr,lsd", "--baselines", "unprocessed")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Leave out what takes longest and has tests of its own."""
    monkeypatch.setattr("resound.evaluation.report.with_sounds", lambda highlights, *_: list(highlights))


@pytest.fixture
def folders(here):
    write_folders(recordings())
    return here


def results(folder="out"):
    with open(f"{folder}/results.json") as file:
        return json.load(file)


def rows(folder="out"):
    with open(f"{folder}/results.csv") as file:
        return list(csv.DictReader(file))


def test_half_of_the_noise_is_six_decibels_better(folders, resound):
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0
    few = "4 files can prove nothing against the unprocessed input (it takes 6): better on 4; "
    assert few + "+6.0 dB SI-SDR, 95 % interval 6.0 to 6.0" in ended.stdout
    told = results()
    assert told["overall"]["enhanced"]["snr"]["mean"] - told["overall"]["unprocessed"]["snr"]["mean"] == pytest.approx(
        20 * np.log10(2), abs=1e-3
    )
    assert told["improvement"]["unprocessed"]["si_sdr"]["mean"] == pytest.approx(6.02, abs=0.02)
    assert [row["name"] for row in rows()] == ["take0", "take1", "take2", "take3"]
    assert float(rows()[0]["snr_i"]) == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_classic_and_the_ideal_mask_stand_beside_it(folders, resound):
    ended = resound("evaluate", *SIDES, "--metrics", "si_sdr")
    assert ended.status == 0 and "oracle mask" in ended.stdout and "the classic chain" in ended.stdout
    overall = results()["overall"]
    assert list(overall) == ["enhanced", "unprocessed", "classic", "oracle_mask"]
    assert overall["oracle_mask"]["si_sdr"]["mean"] > overall["unprocessed"]["si_sdr"]["mean"]


def test_a_filter_that_never_changes_stands_beside_it(folders, resound):
    beside = ("--metrics", "si_sdr", "--baselines", "unprocessed,fixed_filter")
    ended = resound("evaluate", *SIDES, *beside)
    assert ended.status == 0 and "the best filter that never changes" in ended.stdout
    examples = []
    for degraded in sorted((folders / "degraded").iterdir()):
        (noisy, rate), (clean, _) = soundfile.read(degraded), soundfile.read(folders / "clean" / degraded.name)
        examples.append(Example(noisy[None].astype("f4"), clean[None].astype("f4"), rate, rate / 2, ""))
    of_all = fixed_filter(examples)
    for row, example in zip(rows(), examples, strict=True):
        wanted = score(of_all(example), example)["si_sdr"]
        assert float(row["si_sdr_fixed_filter"]) == pytest.approx(wanted, abs=0.01)
        assert wanted > float(row["si_sdr_unprocessed"])
    changed("degraded/take0.wav", lambda sound: 0.5 * sound + 0.5 * np.roll(sound, 7))  # and so the filter of all
    before = rows()
    assert resound("evaluate", *SIDES, *beside).status == 0
    assert all(
        new["si_sdr_fixed_filter"] != old["si_sdr_fixed_filter"] for new, old in zip(rows(), before, strict=True)
    )
    without_references = (*SIDES[2:], *beside[2:], "--metrics", "noise_fall_db", "--overwrite")
    ended = resound("evaluate", *without_references)
    assert ended.status == 0 and "fixed_filter is left out" in ended.stderr


def test_baselines_that_there_are_not_are_named(folders, resound):
    ended = resound("evaluate", *SIDES, "--baselines", "fixd_filter")
    assert ended.status == 1 and "baseline 'fixd_filter' is not known (did you mean 'fixed_filter'?)" in ended.stderr


def test_metrics_that_there_are_not_are_named(folders, resound):
    ended = resound("evaluate", *SIDES, "--metrics", "pesk")
    assert ended.status == 1 and "metric 'pesk' is not known (did you mean 'pesq'?)" in ended.stderr


def test_outputs_may_have_a_mark_behind_the_name(folders, resound):
    for path in list((folders / "enhanced").iterdir()):
        path.rename(path.with_name(f"{path.stem}_restored.wav"))
    assert resound("evaluate", *SIDES, *FAST).status == 0 and len(rows()) == 4


def test_a_run_that_was_stopped_goes_on(folders, resound, monkeypatch):
    from resound.evaluation import scoring

    judged, whole = [], scoring.Scorer.__call__

    def until_the_third(self, case):
        if len(judged) == 2:
            raise KeyboardInterrupt
        judged.append(case.name)
        return whole(self, case)

    monkeypatch.setattr(scoring.Scorer, "__call__", until_the_third)
    assert resound("evaluate", *SIDES, *FAST).status == 130
    with open("out/rows.jsonl", "a") as file:
        file.write('{"name": "take2", "scor')  # as a kill leaves it
    monkeypatch.setattr(scoring.Scorer, "__call__", lambda self, case: judged.append(case.name) or whole(self, case))
    ended = resound("evaluate", *SIDES, *FAST)
    assert judged == ["take0", "take1", "take2", "take3"]
    assert ended.status == 0 and "goes on: 2 of 4 are judged already" in ended.stderr and len(rows()) == 4


def test_a_row_of_another_kind_ends_what_is_used_again(folders, resound):
    resound("evaluate", *SIDES, *FAST)
    lines = (folders / "out" / "rows.jsonl").read_text().splitlines(keepends=True)
    (folders / "out" / "rows.jsonl").write_text("".join([*lines[:3], "[1, 2]\n", lines[4]]))
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0 and "goes on: 2 of 4 are judged already" in ended.stderr and len(rows()) == 4


def test_rows_that_cannot_be_read_are_one_line(folders, resound):
    (folders / "out" / "rows.jsonl").mkdir(parents=True)
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "rows.jsonl: cannot be gone on with (Is a directory)" in ended.stderr


def test_a_file_that_changed_is_judged_anew(folders, resound):
    resound("evaluate", *SIDES, *FAST)
    before = rows()
    changed("enhanced/take1.wav", lambda sound: sound + 0.1 * np.random.default_rng(1).standard_normal(len(sound)))
    resound("evaluate", *SIDES, *FAST)
    assert [a["si_sdr"] == b["si_sdr"] for a, b in zip(before, rows(), strict=True)] == [True, False, True, True]


def test_another_evaluation_is_not_written_over(folders, resound):
    resound("evaluate", *SIDES, *FAST)
    ended = resound("evaluate", *SIDES, "--metrics", "snr")
    assert ended.status == 1 and "with other settings; give another folder with -o, or --overwrite" in ended.stderr
    assert resound("evaluate", *SIDES, "--metrics", "snr", "--overwrite").status == 0


def test_a_folder_of_something_else_is_left_alone(folders, resound):
    (folders / "out").mkdir()
    (folders / "out" / "thesis.txt").write_text("mine")
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "out: holds something else already" in ended.stderr


def test_files_without_partner_are_named(folders, resound):
    (folders / "enhanced" / "take3.wav").unlink()
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0 and "clean: 1 file without a partner, left out: take3.wav" in ended.stderr


def test_no_name_in_common_is_one_line(folders, resound):
    for path in list((folders / "enhanced").iterdir()):
        path.rename(path.with_name(f"x{path.stem[-1]}.wav"))
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "no name is in all of them" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("place", ["enhanced", "list.txt"])
def test_two_files_of_one_name_are_one_line(folders, resound, place):
    soundfile.write("enhanced/take1.flac", soundfile.read("enhanced/take1.wav")[0], RATE)
    (folders / "list.txt").write_text("".join(f"{path}\n" for path in (folders / "enhanced").iterdir()))
    ended = resound("evaluate", "--clean", "clean", "--degraded", "degraded", "--enhanced", place, "-o", "out", *FAST)
    assert ended.status == 1 and ended.stderr.count("\n") == 1
    assert "take1.flac" in ended.stderr and "take1.wav" in ended.stderr


def test_a_hop_of_difference_is_cut_and_said(folders, resound):
    changed("enhanced/take1.wav", lambda sound: sound[:-100])
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0 and "note: sides cut to one length: 1 recording" in ended.stdout
    assert float(rows()[1]["snr_i"]) == pytest.approx(6.02, abs=0.05)


def test_a_longer_difference_is_an_error_of_that_file(folders, resound):
    changed("enhanced/take1.wav", lambda sound: sound[:-1600])
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "take1: sides differ in length by 1600 samples" in ended.stdout
    assert "3 files can prove nothing against the unprocessed input (it takes 6): better on 3" in ended.stdout
    assert rows()[1]["si_sdr"] == "" and "differ in length" in rows()[1]["error"]


def test_a_recording_that_was_cut_short_is_called_damaged(folders, resound):
    whole = (folders / "degraded" / "take1.wav").read_bytes()
    (folders / "degraded" / "take1.wav").write_bytes(whole[:-32000])
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1
    told = "take1.wav: is damaged (cut off; 0.50 s that its header promises are missing); get another copy"
    assert told in ended.stdout and "differ in length" not in ended.stdout


def test_a_recording_that_does_not_decode_is_called_damaged(folders, resound):
    soundfile.write("clean/take1.flac", soundfile.read("clean/take1.wav")[0], RATE)
    (folders / "clean" / "take1.wav").unlink()
    whole = bytearray((folders / "clean" / "take1.flac").read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 400] = bytes(400)
    (folders / "clean" / "take1.flac").write_bytes(whole)
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "take1.flac: is damaged (at 0." in ended.stdout


def test_other_rates_are_resampled_and_said(folders, resound):
    for number in range(4):
        changed(f"enhanced/take{number}.wav", lambda sound: sound[::2], rate=RATE // 2)
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0 and "note: clean resampled from 16000 to 8000 Hz: 4 recordings" in ended.stdout
    assert rows()[0]["sample_rate"] == "8000"
    ended = resound("evaluate", *SIDES, *FAST, "--rate", "16000", "--overwrite")
    assert "note: enhanced resampled from 8000 to 16000 Hz: 4 recordings" in ended.stdout


def test_a_silent_output_is_the_worst_and_a_silent_reference_has_no_answer(folders, resound):
    changed("enhanced/take0.wav", np.zeros_like)
    changed("clean/take1.wav", np.zeros_like)
    ended = resound("evaluate", *SIDES, *FAST)
    assert float(rows()[0]["si_sdr"]) == -100 and rows()[1]["si_sdr"] == ""
    assert "SI-SDR, SNR, LSD have no value for 1 output: the reference is silent" in ended.stdout


def test_nothing_improves_on_a_silent_input(folders, resound):
    changed("degraded/take1.wav", np.zeros_like)
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0 and "note: silent input, so no improvement: 1 recording" in ended.stdout
    assert rows()[1]["si_sdr"] != "" and rows()[1]["si_sdr_i"] == rows()[1]["si_sdr_unprocessed"] == ""
    assert results()["improvement"]["unprocessed"]["si_sdr"]["mean"] == pytest.approx(6.02, abs=0.05)


def test_a_silent_channel_is_left_out_and_the_other_judged(folders, resound):
    for side in ("clean", "degraded", "enhanced"):
        for number in range(4):
            changed(f"{side}/take{number}.wav", lambda sound: np.stack([sound, np.zeros_like(sound)], axis=1))
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 0 and "note: silent channels of the input left out: 4 recordings" in ended.stdout
    assert results()["improvement"]["unprocessed"]["si_sdr"]["mean"] == pytest.approx(6.02, abs=0.05)


def test_no_value_at_all_is_one_line(folders, resound):
    for number in range(4):
        changed(f"clean/take{number}.wav", np.zeros_like)
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and ended.stdout == ""
    assert "none of 4 recordings has a value of any metric (the reference is silent); look at" in ended.stderr


def test_an_output_that_is_not_finite_is_counted(folders, resound):
    changed("enhanced/take2.wav", lambda sound: np.where(np.arange(len(sound)) == 5, np.nan, sound))
    ended = resound("evaluate", *SIDES, *FAST)
    assert "SI-SDR, SNR, LSD have no value for 1 output: the output has samples that are not finite" in ended.stdout
    told = results()
    assert told["missing"]["si_sdr"] == {"the output has samples that are not finite": 1}
    assert told["overall"]["enhanced"]["si_sdr"]["n_nan"] == 1


def test_nan_in_the_input_is_an_error_of_that_file(folders, resound):
    changed("degraded/take2.wav", lambda sound: np.where(np.arange(len(sound)) == 5, np.nan, sound))
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "take2.wav: 1 sample is not finite" in ended.stdout


def test_speech_free_recordings_have_no_pesq_and_say_why(here, resound):
    pytest.importorskip("pesq", reason="needs the extra: pip install '.[eval]'")
    rng = np.random.default_rng(0)
    clicks = [np.where(abs(np.arange(RATE) - 8000) < 480, 0.3 * rng.standard_normal(RATE), 0.0) for _ in range(3)]
    spoilt = [[sound + 1e-4 * rng.standard_normal(RATE) for sound in clicks] for _ in range(2)]
    write_folders({"clean": clicks, "degraded": spoilt[0], "enhanced": spoilt[1]})
    ended = resound("evaluate", *SIDES, "--metrics", "pesq,si_sdr", "--baselines", "unprocessed")
    assert "PESQ has no value for 3 outputs: no speech was found in it, or less than 0.25 s" in ended.stdout


def test_one_recording_gives_no_interval_and_says_so(here, resound):
    write_folders(recordings(1))
    ended = resound("evaluate", *SIDES, *FAST)
    assert "on the one recording (+6.0 dB SI-SDR); one recording gives no interval" in ended.stdout
    assert results()["overall"]["enhanced"]["si_sdr"]["low"] is None


def test_references_that_are_not_the_recordings_are_told_before_any_figure(here, resound):
    sides = recordings(8, 3.0)
    write_folders(sides | {"clean": sides["clean"][1:] + sides["clean"][:1]})
    ended = resound("evaluate", *SIDES, *FAST)
    assert ended.status == 1 and "error: DATA01" in ended.stderr.splitlines()[0]
    assert "no verdict: the references are not of these recordings (DATA01" in ended.stdout
    assert results()["findings"][0]["code"] == "DATA01"


def test_the_same_folder_twice_is_an_error(folders, resound):
    ended = resound("evaluate", "--enhanced", "clean", "--clean", "clean", "--degraded", "degraded", "-o", "out")
    assert ended.status == 1 and "--enhanced and --clean: are the same files" in ended.stderr


def test_nothing_to_judge_is_one_line(folders, resound):
    ended = resound("evaluate", "--clean", "clean", "--degraded", "degraded")
    assert ended.status == 1 and ended.stderr.startswith("resound: nothing to judge; give --enhanced DIR")
    ended = resound("evaluate", "--clean", "clean", "--enhanced", "enhanced")
    assert ended.status == 1 and "--degraded is missing" in ended.stderr


def test_groups_come_from_a_table(folders, resound):
    (folders / "about.csv").write_text(
        "name,speaker,noise\ntake0,anna,bus\ntake1,anna,cafe\ntake2,ben,bus\ntake3,ben,cafe\n"
    )
    assert resound("evaluate", *SIDES, *FAST, "--about", "about.csv").status == 0
    groups = results()["groups"]
    assert {kind: [group["n"] for group in groups[kind].values()] for kind in ("speaker", "noise")} == {
        "speaker": [2, 2],
        "noise": [2, 2],
    }
    assert rows()[3]["speaker"] == "ben"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("path,speaker\n,ann\ntake0.wav,bob\n", None),
        ("name,speaker\ntake0," + "x" * 200_000, "is no CSV that can be read (field larger than field limit"),
        ("foo,bar\n1,2\n", "needs a column 'name' and one of speaker"),
    ],
)
def test_a_strange_table_is_one_line(folders, resound, text, error):
    (folders / "about.csv").write_text(text)
    ended = resound("evaluate", *SIDES, *FAST, "--about", "about.csv")
    if error is None:
        assert ended.status == 0 and [row["speaker"] for row in rows()] == ["bob", "", "", ""]
    else:
        assert ended.status == 1 and error in ended.stderr and ended.stderr.count("\n") == 1


def test_a_name_of_its_own_goes_before_one_without_suffix(folders, resound):
    (folders / "about.csv").write_text("name,speaker\ntake0,ann\ntake0.b,ben\n")
    resound("evaluate", *SIDES, *FAST, "--about", "about.csv")
    assert rows()[0]["speaker"] == "ann"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("loss.kind=l1",), "setting 'loss.kind=l1' is for a split, and files are given"),
        (("--count", "3"), "--count is for a split, and files are given"),
    ],
)
def test_what_files_have_no_use_for_is_refused(folders, resound, words, error):
    ended = resound("evaluate", *SIDES, *FAST, *words)
    assert ended.status == 1 and error in ended.stderr


def test_sound_is_not_kept_over_the_recordings(folders, resound):
    words = ("--model", "classic", "--degraded", "enhanced", "--clean", "clean", "-o", ".", "--overwrite")
    ended = resound("evaluate", *words, "--save-audio", *FAST)
    assert ended.status == 1 and "would write over the recordings in enhanced" in ended.stderr


def test_one_voice_given_twice_is_refused(folders, resound):
    places = ("--degraded", "degraded", "--clean", "clean", "--clean", "clean")
    ended = resound("evaluate", *places, "--enhanced", "enhanced", "--enhanced", "enhanced", "-o", "out")
    assert ended.status == 1 and "--enhanced and --enhanced: are the same files" in ended.stderr


def test_quieter_pauses_are_not_called_better(here, resound):
    sides = recordings(2, 4.0)
    write_folders({"degraded": sides["degraded"], "enhanced": [1e-3 * sound for sound in sides["degraded"]]})
    ended = resound("evaluate", "--degraded", "degraded", "--enhanced", "enhanced", "-o", "out", "-j", "1")
    assert "quieter in pauses on 2; +60.0 dB noise fall" in ended.stdout and "better" not in ended.stdout


def test_what_gets_worse_is_told_beside_what_gets_better():
    rng = np.random.default_rng(0)
    scores = {
        "unprocessed": {"si_sdr": np.zeros(8), "stoi": np.full(8, 0.9), "level_db": np.zeros(8)},
        "enhanced": {"si_sdr": 3 + rng.random(8), "stoi": 0.8 + 0.05 * rng.random(8), "level_db": np.full(8, -2.0)},
    }
    empty = {"labels": {}, "errors": {}, "missing": {}, "notes": [], "left_out": {}}
    names = [f"take{number}" for number in range(8)]
    result = Evaluation("mine", names, scores, seconds=np.ones(8), sample_rates=[RATE] * 8, **empty)
    assert result.verdict.startswith("better than the unprocessed input on 8 of 8 files; +3.")
    assert "; but worse in STOI (-0.07" in result.verdict and "level" not in result.verdict.partition("worse")[2][:20]


def test_behind_a_denoiser_the_verdict_knows_the_filter_that_never_changes():
    scores = {
        name: {"si_sdr": mean_db + np.linspace(0, 0.1, 8)}
        for name, mean_db in (("unprocessed", 10.0), ("noisy", 5.0), ("fixed_filter", 13.0), ("enhanced", 12.0))
    }
    empty = {"labels": {}, "errors": {}, "missing": {}, "notes": [], "left_out": {}}
    names = [f"take{number}" for number in range(8)]
    said = Evaluation("mine", names, scores, seconds=np.ones(8), sample_rates=[RATE] * 8, **empty).verdict
    assert said.startswith("better than the denoiser's output on 8 of 8 files; +2.")
    assert "better than the noisy input on 8" in said and "worse than the best filter that never changes on 8" in said


def test_without_clean_there_are_noise_and_level(here, resound):
    sides = recordings(3, 4.0)
    write_folders({side: sides[side] for side in ("degraded", "enhanced")})
    ended = resound("evaluate", "--degraded", "degraded", "--enhanced", "enhanced", "-o", "out", "-j", "1")
    assert ended.status == 0
    assert results()["overall"]["enhanced"]["noise_fall_db"]["mean"] == pytest.approx(6.02, abs=0.5)


def test_voices_are_put_in_order(here, resound):
    voices = [recordings(2, 1.5)["clean"], recordings(4, 1.5)["clean"][2:]]
    mixed = [one + other for one, other in zip(*voices, strict=True)]
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(mixed[0]))
    swapped = {"e1": [voices[1][0] + noise, voices[0][1] + noise], "e2": [voices[0][0] + noise, voices[1][1] + noise]}
    write_folders({"s1": voices[0], "s2": voices[1], "mix": mixed, **swapped})
    ended = resound(
        "evaluate", "--degraded", "mix", "--clean", "s1", "--clean", "s2", "--enhanced", "e1", "--enhanced", "e2",
        "-o", "out", "-j", "1", "--metrics", "si_sdr",
    )  # fmt: skip
    assert ended.status == 0 and float(rows()[0]["si_sdr"]) > 15 and float(rows()[1]["si_sdr"]) > 15


def test_a_model_is_judged_with_its_cost_and_kept(folders, resound):
    for number in range(4):
        sound = soundfile.read(f"degraded/take{number}.wav")[0]
        soundfile.write(f"degraded/take{number}.wav", sound, RATE, subtype="PCM_24")
    ended = resound(
        "evaluate", "--model", "classic", "--clean", "clean", "--degraded", "degraded", "-o", "out", "-j", "1",
        "--save-audio", *FAST,
    )  # fmt: skip
    assert ended.status == 0 and "real-time factor" in ended.stdout
    cost = results()["cost"]
    assert cost["real_time_factor"] > 0 and cost["peak_memory_mb"] > 20
    assert soundfile.info("out/enhanced/take0.wav").subtype == "PCM_24"
    (folders / "out" / "enhanced" / "take2.wav").unlink()
    again = resound(
        "evaluate", "--model", "classic", "--clean", "clean", "--degraded", "degraded", "-o", "out", "-j", "1",
        "--save-audio", *FAST,
    )  # fmt: skip
    assert "goes on: 3 of 4" in again.stderr and (folders / "out" / "enhanced" / "take2.wav").exists()
