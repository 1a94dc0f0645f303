"""Tables and the line in words, letter by letter."""

from __future__ import annotations

import math

import pytest

from resound.judging.scores import Judged
from resound.judging.summary import Summary, summarise
from resound.judging.table import markdown_table, text_table, verdict


def summary(si_sdr, level_db=(-0.3, -0.3, -0.3, -0.3), pesq=(), domain="speech", **options) -> Summary:
    rows = []
    for index, values in enumerate(zip(si_sdr, level_db, strict=True)):
        scores = dict(zip(("si_sdr", "level_db"), values, strict=True))
        rows.append(Judged(index, domain, scores | ({"pesq": pesq[index]} if index < len(pesq) else {})))
    return summarise(rows, **options)


@pytest.fixture
def four() -> dict[str, Summary]:
    return {
        "model": summary([9.0, 11.0, 10.0, 12.0], pesq=[2.5]),
        "unprocessed": summary([5.0, 7.0, 6.0, 7.0], [0.0, 0.0, 0.0, -0.01]),
        "silence": summary([-100.0] * 4, [math.nan] * 4),
        "oracle_mask": summary([15.0, 16.0, 15.0, math.nan]),
    }


def test_a_table_for_a_terminal(four):
    assert text_table(four) == "\n".join(
        [
            "            SI-SDR  level  PESQ",
            "                dB     dB   MOS",
            "model         10.5*  -0.3  2.50*",
            "unprocessed    6.2    0.0*    –",
            "silence     -100.0      –     –",
            "oracle mask   15.3   -0.3     –",
            "means of 4 examples; *: best, what knows the target left aside",
            "measured on fewer: PESQ 1",
            "examples without a value: oracle mask SI-SDR 1",
        ]
    )


def test_a_table_in_markdown(four):
    assert markdown_table(four) == "\n".join(
        [
            "|  | SI-SDR (dB) | level (dB) | PESQ (MOS) |",
            "| --- | ---: | ---: | ---: |",
            "| model | **10.5** | -0.3 | **2.50** |",
            "| unprocessed | 6.2 | **0.0** | – |",
            "| silence | -100.0 | – | – |",
            "| oracle mask | 15.3 | -0.3 | – |",
            "",
            "means of 4 examples; bold: best, what knows the target left aside; measured on fewer: PESQ 1; "
            "examples without a value: oracle mask SI-SDR 1",
        ]
    )


def test_a_table_of_one_domain():
    rows = [Judged(0, "speech", {"snr": 1.0}), Judged(1, "music", {"snr": 5.0})]
    assert text_table({"model": summarise(rows)}, "music").splitlines()[2:4] == [
        "model 5.0*",
        "means of 1 example; *: best, what knows the target left aside",
    ]


def test_what_is_left_out_is_told(monkeypatch, four):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = text_table({"model": summary([1.0] * 4, extra=("stoi",))}).splitlines()[-1]
    assert told == "STOI left out: needs pystoi, which is not installed; run: pip install 'resound[eval]'"


def test_a_model_that_beats_both(four):
    model = summary([9.0, 11.0, 10.0, 12.0], [-0.3] * 4)
    classic = summary([8.0, 9.9, 8.9, 10.6], [0.0] * 4)
    assert verdict(model, four | {"classic": classic}) == (
        "beats the unprocessed input by 4.2 dB SI-SDR (95 % 3.8 to 5.0), the classic chain by 1.1 dB "
        "(95 % 0.9 to 1.6); level 0.3 dB low"
    )


def test_a_model_that_is_worse_and_too_loud(four):
    model = summary([3.0, 4.0, 3.0, 5.0], [1.0] * 4)
    classic = summary([1.0, 6.0, 2.0, 5.0])
    assert verdict(model, {"unprocessed": four["unprocessed"], "classic": classic}) == (
        "is worse than the unprocessed input by 2.5 dB SI-SDR (95 % 2.0 to 3.0), "
        "cannot be told from the classic chain (0.2 dB, 95 % -3.4 to 2.1); level 1.0 dB high"
    )


def test_examples_without_a_value_are_told(four):
    model = summary([9.0, 11.0, 10.0, math.nan], [0.0] * 4)
    assert verdict(model, four) == (
        "beats the unprocessed input by 4.0 dB SI-SDR (95 % 4.0 to 4.0, 3 of 4 examples); level right"
    )
    model = summary([math.nan] * 4, [math.nan] * 4)
    assert verdict(model, four) == "cannot be compared with the unprocessed input (no example has SI-SDR of both)"
    assert verdict(model, {}) == "no baseline to compare with"


def test_after_a_denoiser_it_is_compared_with_that_and_with_its_input(four):
    model = summary([9.0, 11.0, 10.0, 12.0])
    told = verdict(model, four | {"noisy": summary([1.0, 2.0, 1.0, 2.0]), "classic": four["unprocessed"]})
    assert told.startswith("beats the denoiser's output by 4.2 dB SI-SDR")
    assert ", the noisy input by 9.0 dB" in told
    assert "classic" not in told


def test_of_some_measures_less_is_better():
    def only(values):
        return summarise([Judged(index, "speech", {"lsd": value}) for index, value in enumerate(values)])

    assert verdict(only([5.0, 6.0, 7.0]), {"unprocessed": only([9.0, 9.0, 12.0])}, "lsd") == (
        "beats the unprocessed input by 4.0 dB LSD (95 % 2.8 to 5.2)"
    )
    assert verdict(only([5.0]), {"unprocessed": only([9.0])}, "lsd") == (
        "cannot be told from the unprocessed input (4.0 dB LSD, one example)"
    )
