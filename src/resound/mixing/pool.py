"""The recordings of one kind, cut into slots of a segment's length, each of which comes once before any comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import read_excerpt
from resound.corpora.manifest import Recording, read_manifest
from resound.degrade.bank import with_channels
from resound.errors import InputError
from resound.mixing.config import Material
from resound.mixing.shares import Rounds

Audio = NDArray[np.float32]
SHORTEST_SECONDS = 0.1  # what is shorter is no material
SILENT_POWER = 1e-7  # -70 dBFS: nothing to learn from, and no level to mix to
CLIPPED_SHARE = 0.01  # of the samples at full scale
CLEAN_DOMAINS = ("speech", "effects", "music", "")  # taken where no domain is asked for; "": none is given
SPOILT_ROLES = ("degraded", "denoised", "mixture", "noise", "noisy")  # of pairs and mixtures: no clean material
BANDWIDTH_SECONDS = 5.0  # how much of a recording its bandwidth is measured on


class Unusable(InputError):
    """An excerpt that cannot serve; the reason is counted, and another one taken."""


@dataclass(frozen=True)
class Excerpt:
    """A piece of a recording as an example needs it."""

    audio: Audio  # (channel, time), padded with silence where the recording is shorter
    place: dict[str, Any]  # plain JSON: file, start_seconds, pad_samples
    recording: int  # index in its pool


class Pool:
    """Recordings of one kind and how to pick among them."""

    def __init__(self, found: Sequence[tuple[str, Recording]], *, segment_seconds: float, seed: int) -> None:
        self.paths = [path for path, _ in found]
        self.seconds = np.array([item.seconds for _, item in found])
        self.sample_rates = np.array([item.sample_rate for _, item in found])
        self.domains = [item.domain for _, item in found]
        self.speakers = [item.speaker for _, item in found]
        self._bandwidths_hz = np.array([item.bandwidth_hz or np.nan for _, item in found])
        self._slots_until = np.cumsum(np.maximum(1, self.seconds // segment_seconds).astype(np.int64))
        self._rounds = Rounds(self.n_slots, [seed])

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def n_slots(self) -> int:
        """How many segments there are that do not overlap."""
        return int(self._slots_until[-1])

    def slots_of(self, recording: int) -> int:
        """Return the number of slots of a recording."""
        return int(self._slots_until[recording] - (self._slots_until[recording - 1] if recording else 0))

    def pick(self, position: int) -> tuple[int, int]:
        """Return recording and slot; any ``n_slots`` positions in a row from a multiple of it have each slot once."""
        slot = self._rounds.at(position)
        recording = int(np.searchsorted(self._slots_until, slot, side="right"))
        return recording, slot - (int(self._slots_until[recording - 1]) if recording else 0)

    def excerpt(
        self, recording: int, slot: int, *, sample_rate: int, n_samples: int, n_channels: int, rng: np.random.Generator
    ) -> Excerpt:
        """Return ``n_samples`` out of a slot, at a drawn place.  Raises `Unusable` for silence and clipping."""
        path, seconds = self.paths[recording], float(self.seconds[recording])
        n_slots = self.slots_of(recording)
        spare_seconds = max(0.0, seconds - n_samples / sample_rate)
        start_seconds = round(float(spare_seconds * (slot + rng.random()) / n_slots), 4)
        audio = with_channels(
            read_excerpt(Path(path), sample_rate, start_seconds=start_seconds, n_samples=n_samples), n_channels
        )
        check_usable(audio, path)
        missing = n_samples - audio.shape[1]
        before = int(rng.integers(missing + 1)) if missing > 0 else 0
        if missing > 0:
            audio = np.pad(audio, ((0, 0), (before, missing - before)))
        place = {"file": path, "start_seconds": start_seconds} | ({"pad_samples": before} if missing > 0 else {})
        return Excerpt(audio, place, recording)

    def bandwidth_hz(self, recording: int, *, measure: bool = True) -> float:
        """Return the highest frequency of a recording: from its manifest, else measured once and remembered."""
        known = float(self._bandwidths_hz[recording])
        nyquist_hz = float(self.sample_rates[recording]) / 2
        if not np.isnan(known) or not measure:
            return nyquist_hz if np.isnan(known) else known
        from resound.dsp.bandwidth import bandwidth_hz

        # Always on the same part, whichever worker comes first: the result must not depend on that.
        start_seconds = max(0.0, (float(self.seconds[recording]) - BANDWIDTH_SECONDS) / 2)
        rate = int(self.sample_rates[recording])
        n_samples = round(BANDWIDTH_SECONDS * rate)
        audio = read_excerpt(Path(self.paths[recording]), rate, start_seconds=start_seconds, n_samples=n_samples)
        self._bandwidths_hz[recording] = bandwidth_hz(audio, rate)
        return float(self._bandwidths_hz[recording])


def load_pool(
    materials: Sequence[Material],
    *,
    split: str | None,
    segment_seconds: float,
    seed: int,
    min_seconds: float = SHORTEST_SECONDS,
    nameless: Counter[str] | None = None,
) -> Pool:
    """Return the recordings of materials that belong to a split.  Raises `InputError` where there are none.

    Given ``nameless``, recordings without a speaker are left out and counted there.
    """
    found: list[tuple[str, Recording]] = []
    there: list[Recording] = []
    for material in materials:
        for path in material.corpus:
            manifest = read_manifest(path)
            there += manifest.recordings
            wanted = [item for item in manifest.recordings if _wanted(item, material, split)]
            if nameless is not None:
                n_nameless = sum(item.speaker is None for item in wanted)
                if n_nameless:
                    nameless[f"{path}: no speaker is named, so it might be mixed with itself"] += n_nameless
                wanted = [item for item in wanted if item.speaker is not None]
            found += [(str(manifest.path_of(item)), item) for item in wanted if item.seconds >= min_seconds]
    if not found:
        names = ", ".join(str(path) for material in materials for path in material.corpus)
        of_split = (f"split {split!r}, " if split else "") + ("with a speaker, " if nameless is not None else "")
        domains = dict.fromkeys(repr(item.domain) if item.domain else "speech, effects or music" for item in materials)
        raise InputError(
            f"{names}: no recording of {of_split}at least {min_seconds:g} s, of domain {' or '.join(domains)} "
            f"(splits there: {_in_words(item.split for item in there)}; "
            f"domains there: {_in_words(item.domain for item in there)}); "
            "change the setting ('domain: ...' takes another) or scan the corpus again"
        )
    return Pool(found, segment_seconds=segment_seconds, seed=seed)


def _in_words(labels: Iterable[str | None]) -> str:
    return ", ".join(sorted({label or "none" for label in labels})) or "no recordings"


def _wanted(item: Recording, material: Material, split: str | None) -> bool:
    return (
        (split is None or item.split is None or item.split == split)
        and (item.domain == material.domain if material.domain else item.domain in CLEAN_DOMAINS)
        and (material.language is None or item.language == material.language)
        and _at_most_hz(item) >= material.min_bandwidth_hz
        and not (item.role or "").startswith(SPOILT_ROLES)
    )


def _at_most_hz(item: Recording) -> float:
    """Return the bandwidth of a recording as far as its manifest tells: it is never above half the sample rate."""
    nyquist_hz = item.sample_rate / 2
    return nyquist_hz if item.bandwidth_hz is None else min(item.bandwidth_hz, nyquist_hz)


def check_usable(audio: Audio, path: str) -> None:
    """Raise `Unusable` for ``(channel, time)`` that is empty, silent or clipped."""
    if not audio.size:
        raise Unusable(f"{path}: holds no samples there")
    if float(np.mean(np.square(audio, dtype=np.float32))) < SILENT_POWER:
        raise Unusable(f"{path}: silent")
    if float(max(audio.max(), -audio.min())) >= 0.999 and np.mean(np.abs(audio) >= 0.999) > CLIPPED_SHARE:
        raise Unusable(f"{path}: clipped")
