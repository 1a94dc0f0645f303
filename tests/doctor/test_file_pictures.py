"""The pictures of files are drawn from the sound again, and show what was found."""

import pytest
from matplotlib.figure import Figure

from resound.doctor.catalogue import run_checks
from resound.doctor.pictures import DRAWN, pictures_of

from .faults import FAULTS

DRAWN_HERE = ("DATA06", "DATA11", "DATA12")
WITH_SOUND = [fault for fault in FAULTS if fault.code in DRAWN_HERE and "speaker" not in fault.words]


@pytest.mark.parametrize("fault", WITH_SOUND, ids=lambda fault: f"{fault.code} {fault.words}")
def test_a_picture_shows_the_fault(tmp_path, fault):
    evidence = fault.make(tmp_path)
    found = [each for each in run_checks("data", evidence, fault.settings) if each.code == fault.code]
    (picture,) = pictures_of(evidence, found)
    assert picture.png.startswith(b"\x89PNG")
    axes = Figure().subplots()
    for _, draw in DRAWN[fault.code]:
        draw(evidence, axes)
    n_drawn = len(axes.patches) + sum(len(line.get_xdata()) for line in axes.lines)
    assert n_drawn > 10 and fault.code in DRAWN_HERE
