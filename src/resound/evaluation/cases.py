"""What is judged: recordings on disk, or examples of a cache, each loaded when its turn has come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from resound.audio.files import open_reader
from resound.audio.segments import NOT_BY_NAME, resample
from resound.degrade.bank import with_channels
from resound.errors import InputError, counted
from resound.mixing.cache import CachedExamples
from resound.mixing.example import Audio, Example

HOP_SECONDS = 0.02  # by which lengths may differ: the longest hop that models commonly have
DAMAGE = ("cut off", "damaged")  # words of what a reader says of a file that is not whole


@dataclass(frozen=True)
class Case:
    """One recording to judge: where its sides lie, and what is known of it."""

    name: str
    degraded: Path | None = None
    enhanced: tuple[Path, ...] = ()  # one, or one for each voice; none where a model is to make it
    clean: tuple[Path, ...] = ()  # the same
    about: dict[str, str] = field(default_factory=dict)  # speaker, noise, snr_db ... as a list says
    cache: Path | None = None  # of examples, instead of files
    index: int = 0  # in it

    @property
    def files(self) -> dict[str, list[str]]:
        """Where its sides lie, by side."""
        sides = {"degraded": [self.degraded] if self.degraded else [], "clean": self.clean, "enhanced": self.enhanced}
        return {side: [str(path) for path in paths] for side, paths in sides.items() if paths}


@dataclass
class Loaded:
    """A case in memory, all sides at one rate and of one length."""

    example: Example  # whose clean side is the degraded one where there is no reference
    estimate: NDArray | None  # (channel or source, time); None where a model is to make it
    has_clean: bool
    notes: list[str] = field(default_factory=list)  # what was done to make the sides comparable


class Loader:
    """Loads cases, in one process."""

    def __init__(self, rate: int | None = None) -> None:
        self.rate = rate  # at which all is judged; None: the lowest of the sides
        self._caches: dict[Path, CachedExamples] = {}

    def __call__(self, case: Case) -> Loaded:
        """Return a case.  Raises `InputError` where its sides cannot be compared."""
        if case.cache is not None:
            if case.cache not in self._caches:
                self._caches[case.cache] = CachedExamples(case.cache)
            return Loaded(self._caches[case.cache].example(0, case.index), None, True)
        return self._from_files(case)

    def _from_files(self, case: Case) -> Loaded:
        paths = {side: [Path(path) for path in listed] for side, listed in case.files.items()}
        read = {side: [_read(path, side) for path in listed] for side, listed in paths.items()}
        rates = {side: sounds[0][1] for side, sounds in read.items()}
        rate = self.rate or min(rates.values())
        notes = [f"{side} resampled from {own} to {rate} Hz" for side, own in rates.items() if own != rate]
        separates = max(len(case.clean), len(case.enhanced)) > 1
        sides = {side: [_at(audio, own, rate) for audio, own in sounds] for side, sounds in read.items()}
        if separates:
            sides = {side: [audio.mean(axis=0, keepdims=True) for audio in sounds] for side, sounds in sides.items()}
        try:
            sides, cut = _of_one_length(sides, rate)
        except InputError:
            for path in itertools.chain.from_iterable(paths.values()):
                _check_whole(path)  # which says more
            raise
        whole = {side: np.concatenate(sounds) for side, sounds in sides.items()}
        reference = whole.get("clean", whole["degraded"])
        whole["degraded"] = _fitted(whole["degraded"], reference, "degraded", separates)
        estimate = whole.get("enhanced")
        if estimate is not None:
            estimate = _fitted(estimate, reference, "enhanced", separates)
        example = Example(
            whole["degraded"], reference, rate, rate / 2, case.about.get("domain", ""),
            recipe=dict(case.about), task="separate" if separates else "enhance",
        )  # fmt: skip
        return Loaded(example, estimate, "clean" in whole, [*notes, *cut])


def _read(path: Path, side: str) -> tuple[Audio, int]:
    """Return ``(channel, time)`` and its rate.  NaN stays in an output, and is an error elsewhere: `InputError`."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        audio = np.ascontiguousarray(samples.T)
    except NOT_BY_NAME:
        with open_reader(path) as reader:
            blocks = [block.astype(np.float32) for block in reader.blocks(1 << 18)]
            rate, warnings = reader.format.sample_rate, reader.warnings
        if warnings and "not finite" in warnings[0]:
            raise InputError(warnings[0].partition(";")[0] + "; write it again") from None
        _check_undamaged(path, warnings)
        audio = np.concatenate(blocks, axis=1) if blocks else np.zeros((1, 0), np.float32)
    if not audio.shape[1]:
        raise InputError(f"{path}: holds no samples; make it again")
    n_bad = int(np.count_nonzero(~np.isfinite(audio)))
    if n_bad and side != "enhanced":
        raise InputError(f"{path}: {counted(n_bad, 'sample is', 'samples are')} not finite; make it again")
    return audio, int(rate)


def _check_whole(path: Path) -> None:
    """Raise `InputError` for a recording of which there is less than its header promises."""
    with open_reader(path) as reader:
        for _ in reader.blocks(1 << 18):
            pass
        _check_undamaged(path, reader.warnings)


def _check_undamaged(path: Path, warnings: Sequence[str]) -> None:
    told = [warning.removeprefix(f"{path}: ") for warning in warnings]
    damage = next((what for what in told if any(word in what for word in DAMAGE)), None)
    if damage:
        raise InputError(f"{path}: is damaged ({damage.removeprefix('damaged ')}); get another copy")


def _at(audio: Audio, from_rate: int, to_rate: int) -> Audio:
    return resample(audio, from_rate, to_rate)


def _of_one_length(sides: dict[str, list[Audio]], rate: int) -> tuple[dict[str, list[Audio]], list[str]]:
    """Return all sides as long as the shortest.  Raises `InputError` where they differ by more than a hop."""
    lengths = {side: {audio.shape[1] for audio in sounds} for side, sounds in sides.items()}
    shortest, longest = min(map(min, lengths.values())), max(map(max, lengths.values()))
    if longest - shortest > HOP_SECONDS * rate:
        told = ", ".join(f"{side} {max(own) / rate:.3f} s" for side, own in lengths.items())
        raise InputError(
            f"sides differ in length by {longest - shortest} samples ({told}); more than {1000 * HOP_SECONDS:.0f} ms "
            "is no rounding: cut them together, or look whether they are the same recording"
        )
    cut = [f"sides cut to one length by {longest - shortest} samples"] if longest > shortest else []
    return {side: [audio[:, :shortest] for audio in sounds] for side, sounds in sides.items()}, cut


def _fitted(audio: Audio, reference: Audio, side: str, separates: bool) -> Audio:
    """Return a side with as many channels as the reference.  Raises `InputError` where that is no copying."""
    if separates and side == "degraded":
        return audio.mean(axis=0, keepdims=True)
    if len(audio) == len(reference):
        return audio
    if len(audio) == 1 and side == "degraded":
        return with_channels(audio, len(reference))
    what = "voices" if separates else "channels"
    raise InputError(f"{side} has {len(audio)} {what}, clean {len(reference)}; give as many on both sides")


def cases_of_cache(examples: CachedExamples, describe: Any) -> Sequence[Case]:
    """Return the examples of a cache as cases; ``describe(example)`` says what is known of each."""
    width = len(str(max(0, len(examples) - 1)))
    cases = []
    for index in range(len(examples)):
        example = examples.example(0, index)
        cases.append(Case(f"example-{index:0{width}d}", about=describe(example), cache=examples.folder, index=index))
    return cases
