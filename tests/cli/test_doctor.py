"""``resound doctor``: its exit status, what it says of bad input, and what it leaves."""

import json
import os
import sys

import numpy as np
import pytest
import soundfile

from doctor.sets import clean_sounds, with_noise, write_pairs
from doctor.test_pair_checks import moved


@pytest.fixture
def shifted(here):
    """Two folders here whose pairs are shifted by 100 samples."""
    clean = clean_sounds(4, 1.0)
    write_pairs(here, clean, with_noise([moved(sound, 100) for sound in clean], 5))


@pytest.fixture
def healthy(here):
    clean = clean_sounds(4, 1.0)
    write_pairs(here, clean, with_noise(clean, 5))


SIDES = ("--clean", "clean", "--degraded", "degraded", "-j", "1")


def test_healthy_pairs_end_with_status_0(healthy, resound):
    ended = resound("doctor", "data", *SIDES)
    assert (ended.status, ended.stdout) == (0, "nothing found by 22 checks: 4 pairs\n")


def test_an_error_ends_with_status_1_and_says_what_to_do(shifted, resound):
    ended = resound("doctor", "data", *SIDES)
    assert ended.status == 1
    assert "error    DATA02" in ended.stdout and "drop the first 100 samples of each degraded file" in ended.stdout


def test_json_is_complete(shifted, resound):
    (finding,) = json.loads(resound("doctor", "data", *SIDES, "--json").stdout)
    assert list(finding) == ["code", "severity", "message", "value", "threshold", "remedy", "where", "files"]
    assert finding["value"] == pytest.approx(6.25, abs=0.05)


def test_checks_are_chosen_by_code_and_prefix(shifted, resound):
    assert resound("doctor", "data", *SIDES, "--ignore", "DATA02").status == 0
    assert resound("doctor", "data", *SIDES, "--select", "DATA1").status == 0
    assert resound("doctor", "data", *SIDES, "--set", "data.shift_ms=10", "--set", "data.grave_shift_ms=20").status == 0


def test_the_page_holds_its_pictures(shifted, here, resound):
    resound("doctor", "data", *SIDES, "--html", "page.html")
    page = (here / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "DATA02" in page


def test_files_without_a_partner_are_named_and_the_rest_goes_on(healthy, here, resound):
    (here / "clean/pair3.wav").rename(here / "clean/alone.wav")
    ended = resound("doctor", "data", *SIDES)
    assert ended.status == 0 and "3 pairs" in ended.stdout
    assert "clean: 1 file without a partner, left out: alone.wav" in ended.stdout
    assert "degraded: 1 file without a partner, left out: pair3.wav" in ended.stdout


def test_a_list_of_pairs_is_read(shifted, here, resound):
    rows = "\n".join(f"clean/pair{k}.wav,degraded/pair{k}.wav" for k in range(4))
    (here / "list.csv").write_text(f"clean,noisy\n{rows}\n")
    ended = resound("doctor", "data", "--clean", "list.csv", "--degraded", "list.csv", "-j", "1")
    assert ended.status == 1 and "DATA02" in ended.stdout


def test_kaldi_lists_are_read(shifted, here, resound):
    for side in ("clean", "degraded"):
        (here / f"{side}.scp").write_text("".join(f"utt{k} {side}/pair{k}.wav\n" for k in range(4)))
    ended = resound("doctor", "data", "--clean", "clean.scp", "--degraded", "degraded.scp", "-j", "1")
    assert ended.status == 1 and "DATA02" in ended.stdout


def test_mixtures_and_sources_are_compared(here, resound):
    one, other = clean_sounds(4, 1.0)[:2], clean_sounds(4, 1.0)[2:]
    write_pairs(here, one, other)
    mixtures = [2 * (a + b) for a, b in zip(one, other, strict=True)]
    write_pairs(here / "mix", mixtures, mixtures)
    ended = resound("doctor", "data", "--degraded", "mix/clean", "--sources", "clean", "--sources", "degraded")
    assert ended.status == 1 and "DATA16" in ended.stdout


def test_a_mixing_file_is_looked_at_without_a_network(here, speech_corpus, resound):
    (here / "mix.yaml").write_text(
        f"clean: {{corpus: {speech_corpus}}}\nsample_rate: 8000\nsegment_seconds: 1\nn_examples: 8\n"
        "chain:\n  - hiss: {snr_db: 10}\ndoctor: {ignore: [DATA13]}\n"
    )
    ended = resound("doctor", "data", "mix.yaml", "-j", "1")
    assert ended.status == 0 and "DATA13" not in ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data",), "nothing to look at"),
        (("data", "--clean", "gone", "--degraded", "degraded"), "gone: is no folder"),
        (("data", "--clean", "empty", "--degraded", "degraded"), "empty: holds no recordings"),
        (("data", "--clean", "other", "--degraded", "degraded"), "no name is in both ('x' and 'pair0')"),
        (("data", "--clean", "bad.csv", "--degraded", "degraded"), "has no column 'clean' or 'path'"),
        (("data", "--clean", "bad.scp", "--degraded", "degraded"), "'one' has no path"),
        (("data", *SIDES, "--select", "DATE"), "no check begins with 'DATE'"),
        (("data", *SIDES, "--set", "data.dc=1"), "data.dc: no such setting"),
        (("data", "no-such-preset"), "no-such-preset"),
        (("data", "--clean", "clean/pair0.wav", "--degraded", "degraded"), "is neither a folder nor a list"),
        (("data", "--clean", "clean", "--degraded", "clean"), "are the same files"),
        (("data", *SIDES, "--select", "OUT01"), "no check of this command is left"),
        (("data", *SIDES, "--target", "clean"), "a training and files were given"),
        (("data", "gatewave", *SIDES), "a training and files were given"),
        (("data", *SIDES, "--html", "clean/pair0.wav"), "clean/pair0.wav: is no name of a page"),
        (("data", *SIDES, "--html", "bad.csv/page.html"), "a file has that name"),
        (("--explain", "DATA99"), "no such code"),
    ],
)
def test_bad_input_is_one_line_and_status_2(healthy, here, resound, words, said):
    (here / "empty").mkdir()
    write_pairs(here / "o", clean_sounds(1, 1.0), clean_sounds(1, 1.0))
    (here / "other").mkdir()
    soundfile.write(here / "other/x.wav", np.zeros(100), 8000)
    (here / "bad.csv").write_text("a,b\n1,2\n")
    (here / "bad.scp").write_text("one\n")
    ended = resound("doctor", *words)
    assert ended.status == 2 and said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_code_is_explained(resound):
    told = resound("doctor", "--explain", "data02").stdout
    assert told.startswith("DATA02: pairs are shifted") and "How to silence it." in told


def test_without_a_moment_the_moments_are_listed(resound):
    ended = resound("doctor")
    assert ended.status == 0 and "data" in ended.stdout


def test_a_training_of_ones_own_may_leave_its_manifests_to_the_command(here, resound, speech_corpus):
    pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")
    (here / "mine.yaml").write_text(
        "{network: conv_tasnet, task: separate, config: {sample_rate: 8000, n_sources: 2, n_filters: 16, hidden: 8},"
        " data: {task: separate, speech: {corpus: <speech>}, segment_seconds: 2, n_examples: 8},"
        " validation: {n_examples: 4, data: {split: train}}, loss: [{kind: snr}]}"
    )
    ended = resound("doctor", "data", "mine.yaml", "corpora.speech=" + json.dumps([str(speech_corpus)]), "-j", "1")
    assert ended.status in (0, 1) and "by 22 checks" in ended.stdout


def test_the_beginning_of_codes_lists_them(resound):
    told = resound("doctor", "--explain", "probe").stdout.splitlines()
    assert [line.partition("  ")[0] for line in told] == [f"PROBE{number:02}" for number in range(1, 7)]


def test_codes_are_taken_in_small_letters_and_with_commas(shifted, resound):
    assert resound("doctor", "data", *SIDES, "--ignore", "data02,data04").status == 0
    assert resound("doctor", "data", *SIDES, "--set", "ignore=DATA02").status == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_names_that_are_no_text_come_into_page_and_json(healthy, here, resound):
    for side in ("clean", "degraded"):
        (here / side / os.fsdecode(b"\xff.wav")).write_bytes(b"")
    ended = resound("doctor", "data", *SIDES, "--json", "--html", "page.html")
    assert "/\udcff.wav is empty" in json.loads(ended.stdout)[0]["message"]
    assert "\\udcff.wav is empty" in (here / "page.html").read_text(encoding="utf-8")
