"""What is looked at in outputs, gathered once a file for all checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import resample
from resound.doctor.data_evidence import Compared, Progress, compare, drawn_from, loudest_stretch, unrelated_in
from resound.doctor.finding import few
from resound.doctor.likeness import Likeness
from resound.doctor.output_lists import Output, OutputList
from resound.doctor.output_measures import Change, change_between, cliff_hz, lost_above_hz, loud_spectrum_db
from resound.doctor.seams import Jumps, Seams, find_seams, jumps_of
from resound.doctor.settings import DoctorSettings
from resound.doctor.sounds import ANALYSIS_HZ, Audio, FileFacts, flat_share, look_at_file, mono
from resound.doctor.verdict import Pooled
from resound.dsp.alignment import find_delay
from resound.dsp.bandwidth import bandwidth_hz
from resound.errors import InputError, counted
from resound.inference.workers import count_of_jobs, map_in_order

LISTENED_SECONDS = 240.0  # of each file, from its start
DELAY_SECONDS = 20.0  # of it that tell the delay
MOST_DELAY_SECONDS = 1.0
SURE = 0.3  # of a delay
GROUP = 4  # recordings that one process takes at a time
SHORTEST_SECONDS, SILENT_DBFS = 0.1, -90.0  # of what tells anything
LENGTH_SECONDS = 0.001  # by which lengths may differ


@dataclass(frozen=True)
class Band:
    """Up to where a recording reaches, before and after."""

    lost_above_hz: float | None  # None: nothing is lost
    reference_hz: float  # bandwidth of what it was held against
    reference_db: NDArray  # loud frames' levels in bands of 125 Hz
    degraded_db: NDArray
    enhanced_db: NDArray


@dataclass(frozen=True)
class OutputFacts:
    """What is known of one recording."""

    name: str
    degraded: FileFacts
    enhanced: FileFacts
    clean: FileFacts | None = None
    change: Change | None = None  # None: one side cannot be used, or is too short
    delay_ms: float | None = None  # None: it cannot be told
    is_inverted: bool = False
    clipped_share: float = 0.0  # of the samples, beyond what the input has
    band: Band | None = None
    jumps: Jumps | None = None
    reference: Likeness | None = None  # of the clean side and the degraded one
    kept: Likeness | None = None  # of the degraded side and the output


@dataclass(frozen=True)
class LevelPoint:
    """What is left of a recording at a level."""

    name: str
    input_dbfs: float
    level_db: float  # of the output against the input
    is_fed: bool = False  # the same recording was fed at several levels; else each point is a recording of its own


@dataclass(frozen=True)
class OutputEvidence:
    """All that the checks of outputs look at."""

    outputs: Sequence[OutputFacts]
    has_clean: bool
    where: str
    unrelated: Sequence[Likeness] = ()  # of clean and degraded sides put together wrongly on purpose
    unrelated_kept: Sequence[Likeness] = ()  # the same of degraded sides and outputs
    fed: Sequence[LevelPoint] = ()
    separates: bool = False  # into voices, whose sum is looked at
    notes: Sequence[str] = ()

    @cached_property
    def measured(self) -> list[OutputFacts]:
        """Those whose change was measured, and whose output is of the same recording."""
        return [each for each in self.outputs if each.change and not self.is_foreign(each)]

    @cached_property
    def changes(self) -> list[tuple[OutputFacts, Change]]:
        """The same, with the change."""
        return [(each, each.change) for each in self.measured if each.change]

    @cached_property
    def scored(self) -> list[tuple[OutputFacts, tuple[float, float]]]:
        """Those with a clean side, and their SI-SDR before and after."""
        told = [(each, each.change) for each in self.outputs if each.change]
        return [(each, change.si_sdr_db) for each, change in told if change.si_sdr_db]

    @cached_property
    def references(self) -> Pooled:
        """Whether the clean sides belong to the degraded ones."""
        return Pooled([each.reference for each in self.outputs], self.unrelated)

    @cached_property
    def keeps(self) -> Pooled:
        """Whether the outputs belong to the degraded sides."""
        return Pooled([each.kept for each in self.outputs], self.unrelated_kept)

    @cached_property
    def _foreign(self) -> set[int]:
        """The outputs of other recordings: those without likeness, where most are so all that cannot be told."""
        pooled = self.keeps
        if not pooled.is_significant:
            return set()
        kinds = ("different", "unsure") if pooled.share_different > 0.5 else ("different",)
        pairs = zip(self.outputs, pooled.verdicts, strict=True)
        return {id(each) for each, verdict in pairs if verdict.kind in kinds}

    def is_foreign(self, output: OutputFacts) -> bool:
        """Tell whether an output is of another recording than the one that went in."""
        return id(output) in self._foreign

    @cached_property
    def seams(self) -> Seams | None:
        """The period at which the gain jumps most."""
        return find_seams([each.jumps for each in self.measured if each.jumps])

    @cached_property
    def levels(self) -> list[LevelPoint]:
        """What is left of each recording, by its level."""
        if self.fed:
            return list(self.fed)
        told = [(each, change) for each, change in self.changes if change.level_db is not None]
        return [LevelPoint(each.name, change.input_dbfs, change.level_db or 0.0) for each, change in told]

    @property
    def files(self) -> list[FileFacts]:
        """All files."""
        return [file for each in self.outputs for file in (each.clean, each.degraded, each.enhanced) if file]

    @property
    def where_files(self) -> str:
        """What files were read."""
        return counted(len(self.files), "file")


def evidence_of_outputs(
    listed: OutputList, settings: DoctorSettings, *, n_jobs: int = 0, progress: Progress | None = None
) -> OutputEvidence:
    """Return what a drawn sample of recordings and their outputs hold.  Raises `InputError` where all are silent."""
    drawn, rest = drawn_from(listed.outputs, settings)
    groups = [drawn[start : start + GROUP] for start in range(0, len(drawn), GROUP)]
    jobs = 1 if len(groups) == 1 else min(count_of_jobs(n_jobs), len(groups))
    found: list[_Found] = []
    for each in map_in_order(partial(_Looker, settings), groups, jobs):
        found.append(each)
        if progress is not None:
            progress(sum(len(one.outputs) for one in found), len(drawn))
    outputs = [facts for each in found for facts in each.outputs]
    if not any(_is_heard(each) or each.degraded.fault or each.enhanced.fault for each in outputs):
        raise InputError(f"{listed.outputs[0].degraded.parent}: nothing there can be heard; give longer recordings")
    of = f" of {len(listed.outputs)}, drawn with seed {settings.seed}" if rest else ""
    return OutputEvidence(
        outputs,
        listed.outputs[0].clean is not None,
        counted(len(drawn), "recording") + of,
        [one for each in found for one in each.unrelated],
        [one for each in found for one in each.unrelated_kept],
        notes=[*listed.notes, *_odd_forms(outputs)],
    )


@dataclass(frozen=True)
class _Found:
    outputs: list[OutputFacts]
    unrelated: list[Likeness]
    unrelated_kept: list[Likeness]


class _Looker:
    """Looks at recordings and their outputs in one process."""

    def __init__(self, settings: DoctorSettings) -> None:
        self.settings = settings

    def __call__(self, outputs: Sequence[Output]) -> _Found:
        facts, references, kept = [], [], []
        for output in outputs:
            sides = {"degraded": output.degraded, "enhanced": output.enhanced}
            sides |= {"clean": output.clean} if output.clean else {}
            read = {
                side: look_at_file(path, side, start_seconds=0.0, most_seconds=LISTENED_SECONDS)
                for side, path in sides.items()
            }
            files = {side: file for side, (file, _) in read.items()}
            audios = {side: (audio, files[side].sample_rate) for side, (_, audio) in read.items()}
            looked = look_at(output.name, files, audios, self.settings)
            facts.append(looked.facts)
            references += [looked.reference] if looked.reference else []
            kept += [looked.kept] if looked.kept else []
        return _Found(facts, unrelated_in(references), unrelated_in(kept))


@dataclass(frozen=True)
class Looked:
    """What one recording's sides are, kept to be compared with others."""

    facts: OutputFacts
    reference: Compared | None = None
    kept: Compared | None = None


Sound = tuple[Audio, int]  # (channel, time) and its rate


def look_at(name: str, files: dict[str, FileFacts], audios: dict[str, Sound], settings: DoctorSettings) -> Looked:
    """Return what became of one recording, by its sides: degraded, enhanced and, where there is one, clean."""
    own = OutputFacts(name, files["degraded"], files["enhanced"], files.get("clean"))
    if any(file.fault for file in files.values()) or not all(audio.size for audio, _ in audios.values()):
        return Looked(own)
    rate = min(own_rate for _, own_rate in audios.values())
    sides = {
        side: resample(mono(audio)[None], own_rate, rate)[0].astype(np.float64)
        for side, (audio, own_rate) in audios.items()
    }
    n_samples = min(map(len, sides.values()))
    sides = {side: samples[:n_samples] for side, samples in sides.items()}
    start, length = loudest_stretch(sides["degraded"], round(DELAY_SECONDS * rate))
    told = {side: samples[start : start + length] for side, samples in sides.items()}
    delay = find_delay(told["degraded"], told["enhanced"], round(MOST_DELAY_SECONDS * rate))
    is_sure = delay.confidence > SURE
    late = delay.samples if is_sure else 0
    degraded, enhanced, clean = (
        _cut(sides[side], late, is_late=side == "enhanced") if side in sides else None
        for side in ("degraded", "enhanced", "clean")
    )
    if degraded is None or enhanced is None or len(degraded) < rate * 0.05:
        return Looked(own)
    if is_sure and delay.inverted:
        enhanced = -enhanced
    change = change_between(degraded, enhanced, clean, rate)
    compared = [
        compare(audios[one][0], audios[other][0], (audios[one][1], audios[other][1])) if one in audios else None
        for one, other in (("clean", "degraded"), ("degraded", "enhanced"))
    ]
    reference, kept = compared
    facts = OutputFacts(
        name, own.degraded, own.enhanced, own.clean,
        change=change,
        delay_ms=1000 * (delay.samples + delay.fraction) / rate if is_sure else None,
        is_inverted=is_sure and delay.inverted,
        clipped_share=clipped_share(audios["enhanced"][0], audios["degraded"][0]),
        band=_band_of(audios, change, settings),
        jumps=_jumps(degraded, enhanced, rate),
        reference=reference.likeness if reference else None,
        kept=kept.likeness if kept else None,
    )  # fmt: skip
    return Looked(facts, reference, kept)


def clipped_share(enhanced: Audio, degraded: Audio) -> float:
    """Return the share of samples on cut-off tops or above full scale, beyond what the input has."""
    shares = [
        max(max(flat_share(channel) for channel in side), float(np.mean(np.abs(side) > 1.0)))
        for side in (enhanced, degraded)
    ]
    return max(0.0, shares[0] - shares[1])


def _cut(samples: NDArray, late: int, *, is_late: bool) -> NDArray:
    """Return samples so that a side that is ``late`` by so many lies on the others; all of one length."""
    first = max(0, late) if is_late else max(0, -late)
    return samples[first : len(samples) - abs(late) + first]


def _jumps(degraded: NDArray, enhanced: NDArray, rate: int) -> Jumps:
    to_rate = min(rate, ANALYSIS_HZ)
    before, after = (
        resample(side[None].astype(np.float32), rate, to_rate)[0].astype(np.float64) for side in (degraded, enhanced)
    )
    return jumps_of(before, after, to_rate)


def _band_of(audios: dict[str, Sound], change: Change, settings: DoctorSettings) -> Band:
    """Return up to where each side reaches, each at its own rate."""
    limits = settings.output
    spectra = {side: loud_spectrum_db(mono(audio).astype(np.float64), rate) for side, (audio, rate) in audios.items()}
    reference = "clean" if "clean" in audios else "degraded"
    if reference == "clean":
        lost = lost_above_hz(spectra["clean"], spectra["enhanced"] - (change.level_db or 0.0), limits.lost_db)
    else:
        lost = cliff_hz(spectra["degraded"], spectra["enhanced"], limits.cliff_db)
    return Band(lost, bandwidth_hz(*audios[reference]), spectra[reference], spectra["degraded"], spectra["enhanced"])


def _is_heard(facts: OutputFacts) -> bool:
    """Return whether the input is long and loud enough to tell anything of its output."""
    is_silent = facts.change is not None and facts.change.input_dbfs < SILENT_DBFS
    return not is_silent and facts.degraded.seconds >= SHORTEST_SECONDS


def _odd_forms(outputs: Sequence[OutputFacts]) -> list[str]:
    """Return notes on recordings without anything to hear, on outputs of another rate and of another length."""
    usable = [each for each in outputs if each.degraded.sample_rate and each.enhanced.sample_rate]
    notes = []
    unheard = [each.name for each in usable if not _is_heard(each)]
    if unheard:
        notes.append(
            f"{len(unheard)} of {counted(len(usable), 'recording')} are silent or too short to be told anything of: "
            f"{few(unheard)}"
        )
    rates = [each for each in usable if each.degraded.sample_rate != each.enhanced.sample_rate]
    if rates:
        first = rates[0]
        notes.append(
            f"{len(rates)} of {counted(len(usable), 'output')} have another sample rate than the input: {first.name} "
            f"{first.enhanced.sample_rate} instead of {first.degraded.sample_rate} Hz; compared at the lower one"
        )
    lengths = [(each.enhanced.seconds - each.degraded.seconds, each.name) for each in usable]
    other = [one for one in lengths if abs(one[0]) > LENGTH_SECONDS]
    if other:
        seconds, name = max(other, key=lambda one: abs(one[0]))
        notes.append(
            f"{len(other)} of {counted(len(usable), 'output')} have another length than the input: {name} by "
            f"{1000 * seconds:+.1f} ms"
        )
    return notes
