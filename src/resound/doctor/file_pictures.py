"""The pictures of files: flat tops, the levels of speech and pauses, and what two near-duplicates share.

The sound is read again, as evidence keeps none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from resound.doctor.data_evidence import DataEvidence
from resound.doctor.drawing import FIRST, SECOND
from resound.doctor.fingerprint import HOP, RATE
from resound.doctor.sounds import NEAR_PEAK, look_at_file, mono
from resound.doctor.splits import Marker
from resound.metrics import frame_powers, pause_frames

AROUND_TOP_SECONDS = 0.005


def flat_tops(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the waveform of the worst clean file around its longest cut-off top."""
    worst = max(evidence.clean_files, key=lambda file: file.measured.flat_share if file.measured else 0.0)
    audio = look_at_file(worst.path, "clean")[1]
    if not audio.size:
        return
    channel = audio[int(np.abs(audio).max(axis=1).argmax())]
    peak = float(np.abs(channel).max())
    is_high = np.abs(channel) >= NEAR_PEAK * peak
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_high.astype(np.int8), [0]])))
    longest = int(np.argmax(edges[1::2] - edges[::2]))
    middle, reach = int(edges[2 * longest : 2 * longest + 2].mean()), round(AROUND_TOP_SECONDS * worst.sample_rate)
    part = np.arange(max(0, middle - reach), min(len(channel), middle + reach))
    ms = 1000 * (part - middle) / worst.sample_rate
    axes.plot(ms, channel[part], color=FIRST, linewidth=1)
    axes.plot(ms[is_high[part]], channel[part][is_high[part]], ".", color=SECOND, markersize=4, label="at the limit")
    axes.set(xlabel=f"ms, around the longest flat top of {worst.path.name}", ylabel="sample, of full scale")
    axes.margins(y=0.25)
    axes.legend(frameon=False, loc="upper left")


def levels_of_pauses(evidence: DataEvidence, axes: Axes) -> None:
    """Draw how loud the frames of speech and those of pauses are in the noisiest clean file."""
    files = [file for file in evidence.clean_files if file.measured and file.measured.pause_snr_db is not None]
    worst = min(files, key=lambda file: file.measured.pause_snr_db or 0.0 if file.measured else 0.0)
    audio = look_at_file(worst.path, "clean")[1]
    if not audio.size:
        return
    samples = mono(audio)
    quiet, active = pause_frames(samples, worst.sample_rate)
    level_db = 10 * np.log10(frame_powers(samples, worst.sample_rate) + 1e-12)
    bins = np.arange(np.floor(level_db.min()), np.ceil(level_db.max()) + 1.5, 1.0).tolist()
    axes.hist(level_db[active], bins, color=FIRST, alpha=0.7, label="speech")
    axes.hist(level_db[quiet], bins, color=SECOND, alpha=0.7, label="pauses")
    axes.set(xlabel=f"level of the frames of {worst.path.name} in dBFS", ylabel="frames")
    axes.legend(frameon=False)


def shared_marks(evidence: DataEvidence, axes: Axes) -> None:
    """Draw where two near-duplicates have the same pair of spectral peaks: a line, where it is one sound."""
    if evidence.splits is None or not evidence.splits.twins:
        return
    twin = evidence.splits.twins[0]
    sides = [Marker()(Path(name)) for name in (twin.one, twin.other)]
    places: dict[int, list[int]] = {}
    for mark, frame in sides[0]:
        places.setdefault(mark, []).append(frame)
    both = np.array([(one, other) for mark, other in sides[1] for one in places.get(mark, ())]).reshape(-1, 2)
    frame_seconds = HOP / RATE
    axes.plot(*(frame_seconds * both.T), ".", color=FIRST, markersize=5)
    axes.set(
        xlabel=f"s of the middle of {Path(twin.one).name} (train)", ylabel=f"s in {Path(twin.other).name}\n(validation)"
    )
