"""Files that appear whole or not at all, and name themselves where they cannot."""

import pytest

from conftest import files_below, largest_file
from resound.audio.atomic import atomic_file
from resound.errors import OutputError


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    with (
        largest_file(1000),
        pytest.raises(OutputError, match=r"a\.txt: disk full"),
        atomic_file(tmp_path / "a.txt", overwrite=False) as temporary,
    ):
        temporary.write_text("x" * 2000)
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), FileNotFoundError(2, "No such file", "other")])
def test_what_is_not_about_the_file_is_left_as_it_is(tmp_path, error):
    with pytest.raises(type(error)), atomic_file(tmp_path / "a.txt", overwrite=False):
        raise error
    assert files_below(tmp_path) == set()
