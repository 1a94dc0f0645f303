"""The words that errors and reports are made of."""

import pytest

from resound.errors import counted, did_you_mean, one_line


@pytest.mark.parametrize(
    ("word", "choices", "found"),
    [
        ("clasic", ["auto", "classic"], "classic"),
        ("snr", ["snr_db", "depth_db"], "snr_db"),
        ("foo", ["room", "noise"], None),
        ("loop", ["loop"], None),
        ("loop", ["loop", "loops"], "loops"),
        ("word", [], None),
    ],
)
def test_only_what_is_near_and_another_word_is_offered(word, choices, found):
    assert did_you_mean(word, choices) == ("" if found is None else f" (did you mean {found!r}?)")


def test_one_is_singular_and_all_else_is_plural():
    assert [counted(n, "file") for n in range(3)] == ["0 files", "1 file", "2 files"]
    assert [counted(n, "stretch", "stretches") for n in range(3)] == ["0 stretches", "1 stretch", "2 stretches"]


def test_a_message_is_one_line_whatever_is_in_it():
    assert one_line("a\nb\udcff\u2028c\td") == r"a\nb\udcff\u2028c\td"
    assert one_line("Größe 大小\u3000é") == "Größe 大小\u3000é"
