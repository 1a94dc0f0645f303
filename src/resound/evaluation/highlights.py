"""The best and the worst recordings: what an average hides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resound.audio.atomic import discard, shortened
from resound.errors import ResoundError, one_line
from resound.evaluation.evaluate import Evaluated
from resound.evaluation.measures import METRICS, title_of
from resound.evaluation.pictures import picture_of, write_picture
from resound.evaluation.result import UNPROCESSED, Evaluation
from resound.evaluation.scoring import ENHANCED, Scorer
from resound.evaluation.sounds import Take, take_of
from resound.evaluation.words import number, signed

N_EACH = 5
SHOWN = ("pesq", "pesq_nb", "stoi", "level_db")  # beside the metric by which they were chosen


@dataclass(frozen=True)
class Highlight:
    """One recording that stands out."""

    kind: str  # best or worst
    place: int  # among those, from 1
    index: int  # of the recording
    name: str
    told: str  # its figures
    take: Take | None = None
    png: bytes | None = None

    @property
    def picture(self) -> str:
        """The name of its picture: ``best-1-p232_005``."""
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in Path(self.name).name)
        return f"{self.kind}-{self.place}-{shortened(plain, 100)}"


def chosen(result: Evaluation) -> list[Highlight]:
    """Return the best recordings and the worst, by improvement, or by value where there is no input to compare."""
    values = ranked(result)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    worst, best = order[:N_EACH], order[::-1][:N_EACH]
    if len(order) < 2 * N_EACH:  # none twice
        best = order[::-1][: -(-len(order) // 2)]
        worst = order[: len(order) // 2]
    return [
        Highlight(kind, place, int(index), result.names[index], figures(result, int(index)))
        for kind, indices in (("best", best), ("worst", worst))
        for place, index in enumerate(indices, 1)
    ]


def ranked(result: Evaluation) -> np.ndarray:
    """Return by what recordings are ranked, more is better."""
    if UNPROCESSED in result.scores:
        return result.improvements(result.main)
    return -np.array([METRICS[result.main].measure.badness(v) for v in result.column(ENHANCED, result.main)])


def figures(result: Evaluation, index: int) -> str:
    """Return the figures of a recording in one line: ``SI-SDR 3.1 → 8.4 dB (+5.3); PESQ 1.62 → 2.10``."""
    parts = []
    for name in dict.fromkeys([result.main, *(each for each in SHOWN if each in result.metrics)]):
        measure = METRICS[name].measure
        after, before = (float(result.column(who, name)[index]) for who in (ENHANCED, UNPROCESSED))
        unit = f" {measure.unit}" if measure.unit not in ("", "MOS") else ""
        if np.isnan(before) or measure.better == "near 0":
            parts.append(f"{measure.title} {number(after, measure.digits)}{unit}")
        else:
            gain = signed(float(result.improvements(name)[index]), measure.digits)
            told = f"{number(before, measure.digits)} → {number(after, measure.digits)}{unit}"
            parts.append(f"{measure.title} {told} ({gain})")
    return "; ".join(parts)


def with_sounds(
    highlights: Sequence[Highlight], evaluated: Evaluated, folder: Path, tell: Callable[[str], None]
) -> list[Highlight]:
    """Return highlights with their versions and pictures, which are written to ``folder``.  Raises `OutputError`."""
    wanted = {f"{each.picture}.png" for each in highlights}
    for stale in folder.glob("*.png"):  # of an earlier evaluation
        if stale.name.startswith(("best-", "worst-")) and stale.name not in wanted:
            discard(stale)
    scorer = Scorer(replace(evaluated.task, baselines=(), audio_folder=None))
    done = []
    for each in highlights:
        try:
            take = take_of(evaluated.cases[each.index], scorer)
        except ResoundError as error:
            tell(f"{each.name}: has no picture ({error})")
            done.append(each)
            continue
        png = picture_of(take)
        write_picture(png, folder / f"{each.picture}.png")
        done.append(replace(each, take=take, png=png))
    return done


def as_markdown(result: Evaluation, highlights: Sequence[Highlight], pictures: str) -> str:
    """Return ``highlights.md``."""
    lines = [f"# {_as_text(result.title)}: best and worst", "", f"Of the output: {result.verdict}."]
    what = "improvement in" if UNPROCESSED in result.scores else ""
    for kind in ("best", "worst"):
        own = [each for each in highlights if each.kind == kind]
        if own:
            lines += ["", f"## {kind.capitalize()} by {what} {title_of(result.main)}".replace("  ", " ")]
        for each in own:
            lines += ["", f"### {_as_text(each.name)}", "", each.told]
            if each.png:
                lines += ["", f"![Waveforms and spectrograms of {_as_text(each.name)}]({pictures}/{each.picture}.png)"]
    return "\n".join(lines) + "\n"


def _as_text(name: str) -> str:
    """Return a name so that Markdown takes none of it for marks or HTML."""
    return "".join(f"\\{letter}" if letter in "\\`*<>[]!#|" else letter for letter in one_line(name))
