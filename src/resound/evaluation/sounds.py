"""The versions of a recording side by side: cut to what a page can hold, at one loudness, as FLAC in text."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from resound.audio.segments import resample
from resound.doctor.data_evidence import loudest_stretch
from resound.dsp.levels import LevelMeter
from resound.evaluation.cases import Case
from resound.evaluation.scoring import Scorer
from resound.judging.scores import noisy, separates

LONGEST_SECONDS = 8.0  # of a recording, where it is loudest
HIGHEST_HZ = 48000
PEAK = 0.95
REMOVED = ("degraded", "enhanced")  # of which players make what was removed themselves: a quarter of a page less
TITLES = {
    "degraded": "what went in",
    "enhanced": "what came out",
    "clean": "the reference",
    "removed": "degraded minus enhanced, at the gain of degraded",
}


@dataclass(frozen=True)
class Take:
    """Versions of a recording, ``(channel, time)`` each, of one length, in the order in which they are heard."""

    name: str
    sample_rate: int
    versions: Mapping[str, NDArray]  # by what they are called
    start_seconds: float  # of the stretch in the recording

    @property
    def seconds(self) -> float:
        """Length."""
        return next(iter(self.versions.values())).shape[1] / self.sample_rate


def take_of(case: Case, scorer: Scorer) -> Take:
    """Return the versions of a case: degraded, enhanced, clean, removed; of a mixture the voices.

    Raises `ResoundError` where it cannot be read.
    """
    loaded, _ = scorer.estimated(case)
    assert loaded.estimate is not None
    example, estimate = loaded.example, np.nan_to_num(loaded.estimate)
    if separates(example):
        versions = {"mixture": example.degraded}
        for number in range(len(example.clean)):
            versions[f"voice {number + 1}"] = estimate[number : number + 1]
            versions[f"clean {number + 1}"] = example.clean[number : number + 1]
    else:
        given = noisy(example)
        versions = {"degraded": given, "enhanced": estimate}
        versions |= {"clean": example.clean} if loaded.has_clean else {}
        versions["removed"] = given - estimate
    return shortened(Take(case.name, example.sample_rate, versions, 0.0))


def shortened(take: Take) -> Take:
    """Return the loudest stretch of a take, at a rate that players have."""
    first = next(iter(take.versions.values()))
    start, length = loudest_stretch(first.mean(axis=0), round(LONGEST_SECONDS * take.sample_rate))
    rate = min(take.sample_rate, HIGHEST_HZ)
    cut = {
        name: resample(sound[:, start : start + length].astype(np.float32), take.sample_rate, rate)
        for name, sound in take.versions.items()
    }
    return Take(take.name, rate, cut, start / take.sample_rate)


def for_player(take: Take, id_: str) -> dict[str, Any]:
    """Return a take as the page's players have it; ``gain_db`` brings a version to the loudness of all."""
    gains = gains_db(take)
    return {
        "id": id_,
        "name": take.name,
        "seconds": round(take.seconds, 3),
        "versions": [
            {
                "key": name.replace(" ", "-"),
                "label": name,
                "title": TITLES.get(name, ""),
                "gain_db": round(gains[name], 2),
                **({"difference_of": REMOVED} if name == "removed" else {"audio": flac_text(sound, take.sample_rate)}),
            }
            for name, sound in take.versions.items()
        ],
    }


def gains_db(take: Take) -> dict[str, float]:
    """Return the gains at which all versions are as loud (BS.1770) as the quietest peak allows; removed keeps its own.

    What was taken away is heard at the gain of the input, so that it is as loud as it was in there.
    """
    loudness = {name: _loudness(sound, take.sample_rate) for name, sound in take.versions.items() if name != "removed"}
    known = [value for value in loudness.values() if value is not None]
    if not known:
        return dict.fromkeys(take.versions, 0.0)
    target = float(np.mean(known))
    gains = {name: target - value if value is not None else 0.0 for name, value in loudness.items()}
    if "removed" in take.versions:
        gains["removed"] = gains["degraded"]
    peaks_db = [20 * np.log10(_peak(take.versions[name]) / PEAK) + gain for name, gain in gains.items()]
    over = max(0.0, *peaks_db)
    return {name: gain - over for name, gain in gains.items()}


def _peak(sound: NDArray) -> float:
    return max(float(np.abs(sound).max(initial=0.0)), 1e-6)


def _loudness(sound: NDArray, sample_rate: int) -> float | None:
    meter = LevelMeter(sample_rate, len(sound))
    meter.add(sound.astype(np.float64))
    return meter.loudness_lufs if meter.loudness_lufs is not None else meter.rms_dbfs


def flac_text(sound: NDArray, sample_rate: int) -> str:
    """Return a sound as 16-bit FLAC in base64; what exceeds full scale is cut there."""
    out = io.BytesIO()
    soundfile.write(out, np.clip(sound.T, -1.0, 1.0), sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(out.getvalue()).decode()
