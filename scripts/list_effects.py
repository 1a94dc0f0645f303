#!/usr/bin/env python3
"""List the sounds of a manifest's noise that are effects of a film: events, not rain or machines.

What goes on steadily cannot be told from a medium's hiss and hum; a network that shall take these away must not be
told to keep it.  An effect is what stands out of its own floor: in bands of a third of an octave its mean power is at
least `ABOVE_FLOOR_DB` above the power of its quietest tenth.  Hums and static have 0 to 2 dB, rain 1 to 4, a crowd 3 to
7, wind 8 to 11, a sea's waves 5 to 12; birds have 16 and more, claps of thunder 20 to 30, door bells 17 to 39.

    resound corpus scan ../shared/data -o data.jsonl
    python scripts/list_effects.py data.jsonl -o effects.jsonl
    resound train film --corpus data.jsonl --corpus effects.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy
import soundfile
from numpy.typing import NDArray

from resound.corpora.manifest import Manifest, read_manifest, write_manifest
from resound.errors import InputError, ResoundError

ABOVE_FLOOR_DB = 12.0
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


def effects_of(manifest: Manifest, above_db: float = ABOVE_FLOOR_DB) -> Manifest:
    """Return a manifest of the noises that are effects."""
    chosen = []
    for recording in manifest.recordings:
        if recording.domain == "noise":
            audio, sample_rate = soundfile.read(manifest.path_of(recording), dtype="float32", always_2d=True)
            if above_floor_db(audio.mean(axis=1), sample_rate) >= above_db:
                chosen.append(replace(recording, domain="effects"))
    return Manifest(manifest.root, chosen, {"corpus": manifest.about.get("corpus"), "layout": "effects"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="what 'resound corpus scan' listed")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the manifest of effects, which is replaced")
    parser.add_argument("--above-floor-db", type=float, default=ABOVE_FLOOR_DB, help=f"({ABOVE_FLOOR_DB:g})")
    arguments = parser.parse_args()
    try:
        manifest = read_manifest(arguments.manifest)
        if arguments.output.resolve() == arguments.manifest.resolve():
            raise InputError(f"{arguments.output}: is the manifest itself, which stays; give another name with -o")
        effects = effects_of(manifest, arguments.above_floor_db)
        n_noises = sum(recording.domain == "noise" for recording in manifest.recordings)
        if not effects.recordings:
            raise InputError(
                f"{arguments.manifest}: none of its {n_noises} noises is an effect; scan one that has some"
            )
        write_manifest(arguments.output, effects, overwrite=True)
    except (ResoundError, soundfile.LibsndfileError) as error:
        sys.exit(f"list_effects: {error}")
    print(f"{arguments.output}: {len(effects.recordings)} effects of {n_noises} noises")


if __name__ == "__main__":
    main()
