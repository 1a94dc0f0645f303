#!/usr/bin/env python3
"""Pack a corpus small, to take it where a graphics card is, and unpack it there.

    resound corpus scan ../shared/data -o data.jsonl
    python scripts/pack_corpus.py pack data.jsonl packed --rate 16000 --kbit 28 --domains speech noise room
    python scripts/pack_corpus.py unpack packed corpus             # over there, on all cores
    resound train separate --corpus corpus/data.jsonl

Recordings become mono, those that are louder than full scale softer; they lie one after another in files of some
minutes, and are Ogg Opus there: thousands of short ones would be headers for a good part.  Room responses are FLAC, for
of their ends a lossy coder leaves nothing.  Three hours of speech take 38 MB at 28 kbit/s.  What learning from Opus
costs was not measured by itself; `separate` did for a part of its training (docs/shipped.md).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile

from resound.audio.segments import read_excerpt
from resound.corpora.manifest import Manifest, Recording, read_manifest, write_manifest
from resound.errors import InputError, ResoundError

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
FILE_SECONDS = 500.0
APART_SECONDS = 0.1  # between two: Opus reaches over an edge
LEAST_KBIT, MOST_KBIT = 6, 256  # what libsndfile's levels of compression, 1 to 0, stand for
INDEX = "index.json"
USUAL = ("speech", "noise", "room")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="a manifest's recordings into a folder")
    packing.add_argument("manifest", type=Path)
    packing.add_argument("folder", type=Path)
    packing.add_argument("--rate", type=int, default=16000, choices=OPUS_RATES, metavar="HZ", help="of what is packed")
    packing.add_argument("--kbit", type=float, default=28, help=f"a second, {LEAST_KBIT} to {MOST_KBIT} (28)")
    packing.add_argument("--domains", nargs="+", metavar="DOMAIN", help=f"of what there is: {' '.join(USUAL)}")
    unpacking = commands.add_parser("unpack", help="such a folder into WAV files and a manifest, data.jsonl")
    unpacking.add_argument("folder", type=Path)
    unpacking.add_argument("corpus", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "pack":
            if not LEAST_KBIT <= arguments.kbit <= MOST_KBIT:
                packing.error(f"--kbit: {arguments.kbit:g} is not from {LEAST_KBIT} to {MOST_KBIT}")
            n_bytes = pack(arguments.manifest, arguments.folder, arguments.rate, arguments.kbit, arguments.domains)
            print(f"{arguments.folder}: {n_bytes / 1e6:.1f} MB")
        else:
            print(unpack(arguments.folder, arguments.corpus))
    except ResoundError as error:
        sys.exit(str(error))
    except (OSError, soundfile.LibsndfileError) as error:
        told = error.strerror if isinstance(error, OSError) else error.error_string
        sys.exit(f"{getattr(error, 'filename', None) or arguments.folder}: {told}; look at the folder and its disk")


def pack(path: Path, folder: Path, sample_rate: int, kbit: float, domains: list[str] | None) -> int:
    """Write the recordings of some domains into an empty folder, and return how many bytes they take there."""
    manifest = read_manifest(path)
    check_new(folder)
    chosen = [each for each in manifest.recordings if each.domain in (domains or USUAL)]
    missing = [domain for domain in domains or () if all(each.domain != domain for each in chosen)]
    if missing or not chosen:
        raise InputError(f"{path}: has no recordings of {', '.join(missing or USUAL)}; choose others by --domains")
    check_names(path, chosen)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = list(files_of(chosen))
    write = partial(write_file, manifest, folder, sample_rate, kbit)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        index = dict(zip((name for name, _ in jobs), pool.map(write, jobs), strict=True))
    about = {"about": manifest.about, "sample_rate": sample_rate, "files": index}
    (folder / INDEX).write_text(json.dumps(about), encoding="utf-8")  # last: without it nothing is unpacked
    return sum(each.stat().st_size for each in folder.iterdir())


def check_new(folder: Path) -> None:
    """Raise `InputError` for a folder in which anything lies: it could be written over."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; give a new folder")


def check_names(where: Path, recordings: list[Recording]) -> None:
    """Raise `InputError` for paths that lead out of a folder, or would be one file when unpacked."""
    taken: dict[str, str] = {}
    for each in recordings:
        parts = PurePosixPath(each.path)
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"{where}: {each.path} is not below the corpus' folder; scan that folder as a whole")
        other = taken.setdefault(unpacked(each.path), each.path)
        if other != each.path:
            raise InputError(f"{where}: {other} and {each.path} would be one file; rename one of them")


def unpacked(path: str) -> str:
    """Return the name that a recording has when it is unpacked."""
    return path if path.endswith(".wav") else f"{path}.wav"


def files_of(recordings: list[Recording]) -> Iterator[tuple[str, list[Recording]]]:
    """Yield names of files and what they are to hold: recordings of one domain, some minutes of them."""
    for domain in sorted({each.domain for each in recordings}):
        held: list[Recording] = []
        count, seconds = 0, 0.0
        suffix = "flac" if domain == "room" else "ogg"
        for each in (each for each in recordings if each.domain == domain):
            if held and seconds + each.seconds > FILE_SECONDS:
                yield f"{domain}-{count}.{suffix}", held
                held, count, seconds = [], count + 1, 0.0
            held.append(each)
            seconds += each.seconds
        yield f"{domain}-{count}.{suffix}", held


def write_file(
    manifest: Manifest, folder: Path, sample_rate: int, kbit: float, job: tuple[str, list[Recording]]
) -> list[dict[str, Any]]:
    """Write one file, and return what its recordings are and where they begin."""
    name, recordings = job
    parts, index, begin = [], [], 0
    between = np.zeros(round(APART_SECONDS * sample_rate), np.float32)
    for each in recordings:
        sound = read_excerpt(manifest.path_of(each), sample_rate).mean(axis=0)
        sound = sound / max(1.0, np.abs(sound).max(initial=0.0))
        as_packed = replace(each, n_samples=len(sound), sample_rate=sample_rate, n_channels=1)
        index.append({"begin": begin, "recording": asdict(as_packed)})
        parts += [sound, between]
        begin += len(sound) + len(between)
    form: dict[str, Any] = {"format": "FLAC", "subtype": "PCM_24"}
    if name.endswith(".ogg"):
        level = 1 - (kbit - LEAST_KBIT) / (MOST_KBIT - LEAST_KBIT)
        form = {"format": "OGG", "subtype": "OPUS", "compression_level": level}
    soundfile.write(folder / name, np.concatenate(parts), sample_rate, **form)
    return index


def unpack(folder: Path, corpus: Path) -> Path:
    """Write WAV files and their manifest, and return the path of it."""
    check_new(corpus)
    try:
        about = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        sample_rate, files = int(about["sample_rate"]), dict(about["files"])
        check_names(folder, [Recording(**entry["recording"]) for index in files.values() for entry in index])
    except FileNotFoundError:
        raise InputError(f"{folder}: has no {INDEX}; give a folder that 'pack' made, whole") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{folder / INDEX}: is damaged; pack the corpus again") from None
    cut = partial(cut_file, folder, corpus, sample_rate)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        recordings = [each for some in pool.map(cut, files.items()) for each in some]
    path = corpus / "data.jsonl"
    write_manifest(path, Manifest(corpus, recordings, about.get("about", {})))
    return path


def cut_file(folder: Path, corpus: Path, sample_rate: int, job: tuple[str, list[dict[str, Any]]]) -> list[Recording]:
    """Write the recordings of one file, each into its own, and return them."""
    name, index = job
    try:
        sound, _ = soundfile.read(folder / name, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise InputError(f"{folder / name}: cannot be read ({error.error_string}); pack the corpus again") from None
    if index and len(sound) < index[-1]["begin"] + index[-1]["recording"]["n_samples"]:
        raise InputError(f"{folder / name}: is cut short; copy it again")
    written = []
    for entry in index:
        recording = Recording(**entry["recording"])
        recording = replace(recording, path=unpacked(recording.path))
        path = corpus / recording.path
        path.parent.mkdir(parents=True, exist_ok=True)
        begin = entry["begin"]
        soundfile.write(path, sound[begin : begin + recording.n_samples], sample_rate, subtype="FLOAT")
        status = path.stat()
        written.append(replace(recording, size_bytes=status.st_size, modified_ns=status.st_mtime_ns))
    return written


if __name__ == "__main__":
    main()
