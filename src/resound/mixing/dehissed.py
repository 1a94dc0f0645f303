"""A corpus without its own hiss, so that no network learns to keep hiss.

Recordings that are called clean have a floor of their own, often 30 to 40 dB below the speech.  It is in the target,
and so a training says of steady noise at that level that it stays; and at that level lies the noise of old films.  The
classic chain's dehiss takes it out beforehand, with all of a recording to hear the noise in, and more than enough SNR
to leave no trace.  ``docs/measurements.md``, "What made it of use", has what it is worth.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile

from resound.audio.atomic import atomic_file, discard, reserve, writing
from resound.audio.segments import read_segment
from resound.classic.chain import ClassicConfig
from resound.classic.dehiss import DehissConfig
from resound.corpora.manifest import Manifest, Recording
from resound.errors import InputError, OutputError, counted
from resound.inference.pipeline import restore
from resound.inference.workers import count_of_jobs, map_in_order

DOMAINS = ("speech", "effects", "music")  # what becomes a clean side
MAX_REDUCTION_DB = 40.0
RESEMBLES_DB = 15.0  # sound that stands less above what went may itself have been hiss, such as rain
LARGEST_PEAK = 1 - 2.0**-23  # of 24 bits
FLAC_CHANNELS, FLAC_RATE = 8, 655_350
CONFIG = ClassicConfig(order=("dehiss",), dehiss=DehissConfig(max_reduction_db=MAX_REDUCTION_DB))
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Dehissed:
    """What became of one recording."""

    recording: Recording  # as it lies in the new folder; as it was where there is a fault
    kept_db: float | None = None  # power of what stayed above that of what went; None: nothing went, or not looked at
    fault: str | None = None  # why it is left out


def dehiss_corpus(
    manifest: Manifest, folder: Path, *, n_jobs: int = 0, advance: Advance | None = None
) -> tuple[Manifest, list[Dehissed]]:
    """Write all that a manifest lists into a folder, and return the manifest of that, and what became of each.

    What can be a clean side (`DOMAINS`) is written as FLAC without its hiss, all else linked or copied.  Results of an
    earlier run that are newer than their originals are kept.  Raises `OutputError`, also where the folder is that of
    the recordings, and `InputError` where none can be read.
    """
    root = manifest.root.resolve()
    if root.is_relative_to(folder.resolve()):
        raise OutputError(f"{folder}: is where the recordings lie, which stay; give another folder with -o")
    found: list[Dehissed] = []
    named = zip(manifest.recordings, _names(manifest.recordings), strict=True)
    for each in map_in_order(partial(_worker, root, folder), named, count_of_jobs(n_jobs)):
        found.append(each)
        if advance:
            advance(len(found), len(manifest.recordings))
    kept = [each.recording for each in found if each.fault is None]
    if not kept:
        fault = found[0].fault if found else "the manifest lists none"
        raise InputError(f"{root}: no recording can be read ({fault}); scan the corpus again")
    about = {key: value for key, value in manifest.about.items() if key != "ledger"}  # of files that are not here
    return Manifest(folder, kept, about), found


def _names(recordings: Sequence[Recording]) -> list[str]:
    """Return what each is called in the new folder: as before, and FLAC where it is written anew."""
    names: list[str] = []
    taken = {each.path for each in recordings if each.domain not in DOMAINS}
    for each in recordings:
        name = each.path
        if each.domain in DOMAINS:
            # Of its own path alone, so that another run with other recordings does not mean another one by it.
            name = name if name.endswith(".flac") else f"{name}.flac"
            while name in taken:
                name = f"{name}.flac"
            taken.add(name)
        names.append(name)
    return names


def _worker(root: Path, folder: Path) -> Callable[[tuple[Recording, str]], Dehissed]:
    return partial(_made, root, folder)


def _made(root: Path, folder: Path, named: tuple[Recording, str]) -> Dehissed:
    """Write one recording, unless it is there."""
    recording, name = named
    source, target, kept_db = root / recording.path, folder / name, None
    try:
        _check_inside(recording.path)
        if not _is_there(source, target, is_link=recording.domain not in DOMAINS):
            if recording.domain in DOMAINS:
                kept_db = _dehiss(source, target)
            else:
                _link(source, target)
        status = target.stat()
    except InputError as error:
        return Dehissed(recording, fault=str(error))
    except OSError as error:
        where = error.filename or source
        return Dehissed(recording, fault=f"{where}: cannot be used ({error.strerror or error})")
    there = replace(recording, path=name, size_bytes=status.st_size, modified_ns=status.st_mtime_ns)
    return Dehissed(there, kept_db)


def _check_inside(path: str) -> None:
    """Raise `InputError` for a recording that does not lie below the corpus's folder."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.name:
        raise InputError(f"path {path!r}: does not lie below the corpus's folder; scan the corpus again")


def _is_there(source: Path, target: Path, *, is_link: bool) -> bool:
    """Tell whether an earlier run has written a recording, and the original is no newer."""
    if not target.is_file() or target.stat().st_mtime_ns < source.stat().st_mtime_ns:
        return False
    return is_link or not target.samefile(source)  # linked when it was called noise, and now it is speech


def _dehiss(source: Path, target: Path) -> float | None:
    """Write a recording without its hiss; return how far what stayed lies above what went."""
    sound, sample_rate = read_segment(source)
    if not sound.size:
        raise InputError(f"{source}: is empty; copy or record it again")
    if len(sound) > FLAC_CHANNELS or sample_rate > FLAC_RATE:
        raise InputError(
            f"{source}: has {counted(len(sound), 'channel')} at {sample_rate} Hz; FLAC holds {FLAC_CHANNELS} at "
            f"{FLAC_RATE}"
        )
    clean = restore(sound, sample_rate, "classic", config=CONFIG)
    peak = float(np.abs(clean).max(initial=0.0))
    # Scaled where it would clip: the level of a clean side is drawn anew for every example.
    fitted = (clean * min(1.0, LARGEST_PEAK / max(peak, 1e-9))).T
    with atomic_file(target, overwrite=True) as temporary:
        try:
            soundfile.write(temporary, fitted, sample_rate, "PCM_24", format="FLAC")
        except soundfile.LibsndfileError as error:
            raise OutputError(f"{target}: cannot be written ({error}); free some space") from None
    went = float(np.mean(np.square(sound - clean, dtype=np.float64)))
    return float(10 * np.log10(np.mean(np.square(clean, dtype=np.float64)) / went + 1e-20)) if went else None


def _link(source: Path, target: Path) -> None:
    """Let a recording lie in the folder as well: the same file where the disk can, else a copy."""
    temporary = reserve(target, overwrite=True)
    try:
        try:
            os.link(source.resolve(), temporary)  # of a link itself it would be another link
        except OSError:
            with writing(target, temporary):
                shutil.copyfile(source, temporary)  # not its mode: it may be read-only
        os.replace(temporary, target)
    finally:
        discard(temporary)
