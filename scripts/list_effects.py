#!/usr/bin/env python3
"""List the sounds of a manifest's noise that are effects of a film, events, and those that go on steadily.

What goes on steadily cannot be told from a medium's hiss and hum; a network that shall take these away must not be
told to keep it.  An effect is what stands out of its own floor: in bands of a third of an octave its mean power is at
least `ABOVE_FLOOR_DB` above the power of its quietest tenth.  Hums and static have 0 to 2 dB, rain 1 to 4, a crowd 3 to
7, wind 8 to 11, a sea's waves 5 to 12; birds have 16 and more, claps of thunder 20 to 30, door bells 17 to 39.

``--steady`` lists as noise what has less than `STEADY_DB`, and with it the recordings that ``--medium`` names, which
hold nothing but the noise of a record or film.

    resound corpus scan ../shared/data -o data.jsonl
    python scripts/list_effects.py data.jsonl -o effects.jsonl \\
        --steady steady.jsonl --medium 'vintage/tumult/*' 'vintage/sonic-pi/vinyl_hiss*'
    resound corpus dehiss data.jsonl --domain speech --domain music -o clean
    resound corpus dehiss effects.jsonl -o clean_effects
    resound train film --corpus clean.jsonl --corpus clean_effects.jsonl --corpus steady.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import scipy
import soundfile
from numpy.typing import NDArray

from resound.corpora.manifest import Manifest, read_manifest, write_manifest
from resound.errors import InputError, ResoundError, one_line

ABOVE_FLOOR_DB = 12.0
STEADY_DB = 4.0
FRAME_SECONDS = 0.1
EDGES_HZ = np.geomspace(80, 20000, 25)  # a third of an octave each
LEAST_FRAMES = 3


def above_floor_db(audio: NDArray, sample_rate: int) -> float:
    """Return how far the mean power of ``(time,)`` is above that of its quietest tenth; NaN where it is too short."""
    length = round(FRAME_SECONDS * sample_rate)
    if len(audio) < (LEAST_FRAMES + 1) * length // 2:
        return float("nan")
    hz, _, spectra = scipy.signal.stft(audio, sample_rate, nperseg=length, boundary=None, padded=False)
    powers = np.square(np.abs(spectra))
    bands = [(hz >= low) & (hz < high) for low, high in itertools.pairwise(EDGES_HZ)]
    power = np.array([powers[band].sum(axis=0) for band in bands])
    power = power[:, power.sum(axis=0) > 1e-12 * power.sum(axis=0).max()]  # without silence before and after
    if power.shape[1] < LEAST_FRAMES:
        return float("nan")
    floor = np.quantile(power, 0.1, axis=1).sum()
    return float(10 * np.log10(power.mean(axis=1).sum() / max(floor, 1e-20)))


def effects_and_steady(
    manifest: Manifest, above_db: float = ABOVE_FLOOR_DB, media: Sequence[str] = ()
) -> tuple[Manifest, Manifest]:
    """Return the noises that are effects, and those that are steady with what the patterns ``media`` name.

    A noise that cannot be read is told and is neither.
    """
    effects, steady = [], []
    for recording in manifest.recordings:
        if any(fnmatch(recording.path, pattern) for pattern in media):
            steady.append(replace(recording, domain="noise"))
        elif recording.domain == "noise":
            try:
                audio, sample_rate = soundfile.read(manifest.path_of(recording), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                print(f"list_effects: left out: {one_line(str(error))}", file=sys.stderr)
                continue
            found_db = above_floor_db(audio.mean(axis=1), sample_rate)
            if found_db >= above_db:
                effects.append(replace(recording, domain="effects"))
            elif found_db < STEADY_DB:
                steady.append(recording)
    about = {"corpus": manifest.about.get("corpus")}
    return (
        Manifest(manifest.root, effects, {**about, "layout": "effects"}),
        Manifest(manifest.root, steady, {**about, "layout": "steady"}),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="what 'resound corpus scan' listed")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the manifest of effects, which is replaced")
    parser.add_argument("--above-floor-db", type=float, default=ABOVE_FLOOR_DB, help=f"({ABOVE_FLOOR_DB:g})")
    parser.add_argument("--steady", type=Path, help="a manifest of steady noises, which is replaced")
    parser.add_argument("--medium", nargs="+", default=[], metavar="PATTERN", help="noise of a medium, for --steady")
    arguments = parser.parse_args()
    try:
        manifest = read_manifest(arguments.manifest)
        for path in filter(None, (arguments.output, arguments.steady)):
            if path.resolve() == arguments.manifest.resolve():
                raise InputError(f"{path}: is the manifest itself, which stays; give another name")
        if arguments.steady is not None and arguments.steady.resolve() == arguments.output.resolve():
            raise InputError(f"{arguments.steady}: is where the effects go; give --steady another name")
        if arguments.medium and arguments.steady is None:
            raise InputError("--medium is for --steady; give that a name as well")
        for pattern in arguments.medium:
            if not any(fnmatch(recording.path, pattern) for recording in manifest.recordings):
                raise InputError(f"--medium {pattern}: no recording is called so; leave it out, or mend it")
        effects, steady = effects_and_steady(manifest, arguments.above_floor_db, arguments.medium)
        n_noises = sum(recording.domain == "noise" for recording in manifest.recordings)
        if not effects.recordings:
            raise InputError(
                f"{arguments.manifest}: none of its {n_noises} noises is an effect; scan one that has some"
            )
        write_manifest(arguments.output, effects, overwrite=True)
        if arguments.steady is not None:
            write_manifest(arguments.steady, steady, overwrite=True)
    except ResoundError as error:
        sys.exit(f"list_effects: {error}")
    print(f"{arguments.output}: {len(effects.recordings)} effects of {n_noises} noises")
    if arguments.steady is not None:
        print(f"{arguments.steady}: {len(steady.recordings)} that go on steadily, or are a medium's")


if __name__ == "__main__":
    main()
