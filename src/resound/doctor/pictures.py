"""The pictures that prove findings about data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, ScalarFormatter

from resound.doctor.data_evidence import DataEvidence
from resound.doctor.drawing import FIRST, SECOND, png_of
from resound.doctor.file_pictures import flat_tops, levels_of_pauses, shared_marks
from resound.doctor.finding import Finding
from resound.doctor.report import Picture

N_CURVES = 12


def pictures_of(evidence: DataEvidence, findings: Sequence[Finding]) -> list[Picture]:
    """Return a picture for each finding that one proves."""
    codes = dict.fromkeys(finding.code for finding in findings)
    return [
        Picture(code, title, png_of(partial(draw, evidence))) for code in codes for title, draw in DRAWN.get(code, ())
    ]


def correlation_curves(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the correlation of some pairs over the shift, and the limit that chance seldom reaches."""
    pooled = evidence.pooled
    found = [pair.likeness for pair in evidence.compared if pair.likeness is not None]
    for likeness in found[:N_CURVES]:
        lags = np.arange(len(likeness.curve)) - len(likeness.curve) // 2
        axes.plot(lags, likeness.curve, color=FIRST, alpha=0.4, linewidth=0.7)
    axes.axhline(pooled.limits.strong, color=SECOND, linestyle="--", label="above: the same recording")
    axes.set(xlabel="shift of the degraded side in ms", ylabel="correlation in deviations", yscale="log")
    axes.set_ylim(bottom=1)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False)


def strengths(evidence: DataEvidence, axes: Axes) -> None:
    """Draw how alike true pairs are, and pairs put together wrongly on purpose."""
    own = [pair.likeness.strength for pair in evidence.compared if pair.likeness is not None]
    chance = [likeness.strength for likeness in evidence.unrelated]
    highest = max([10.0, *own, *chance])
    bins = np.geomspace(2.0, highest * 1.05, 50).tolist()
    axes.hist(own, bins, color=FIRST, alpha=0.8, label="pairs as given")
    axes.hist(chance, bins, color=SECOND, alpha=0.6, label="pairs put together wrongly on purpose")
    axes.set(xlabel="peak of the correlation in deviations", ylabel="pairs", xscale="log")
    axes.legend(frameon=False)


def shifts(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the shifts of all pairs."""
    axes.hist(1000 * evidence.pooled.lags_seconds, 60, color=FIRST)
    axes.set(xlabel="shift of the degraded side in ms", ylabel="pairs")


def ratios(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the SNR of all pairs as measured."""
    values = [pair.gain.snr_db for pair in evidence.compared if pair.gain is not None]
    axes.hist(np.clip(values, -30, 60), 45, color=FIRST)
    axes.set(xlabel="SNR as measured in dB", ylabel="pairs")


def gains(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the gains of all pairs."""
    values = [pair.gain.gain_db for pair in evidence.compared if pair.gain is not None]
    axes.hist(np.clip(values, -40, 40), 45, color=FIRST)
    axes.axvline(0, color=SECOND, linestyle="--")
    axes.set(xlabel="level of what both sides share, degraded against clean, in dB", ylabel="pairs")


def levels(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the levels of all files."""
    values = [file.measured.rms_dbfs for file in evidence.measured if file.measured]
    axes.hist(np.clip(values, -100, 0), 50, color=FIRST)
    axes.set(xlabel="RMS in dBFS", ylabel="files")


def bandwidths(evidence: DataEvidence, axes: Axes) -> None:
    """Draw up to where the clean files reach."""
    values = [file.measured.bandwidth_hz / 1000 for file in evidence.clean_files if file.measured]
    rate = evidence.wanted_rate or max(file.sample_rate for file in evidence.clean_files)
    axes.hist(values, np.linspace(0, rate / 2000, 49).tolist(), color=FIRST)
    axes.axvline(rate / 2000, color=SECOND, linestyle="--", label="half the sample rate")
    axes.set(xlabel="bandwidth in kHz", ylabel="clean files")
    axes.legend(frameon=False)


def noise_spectra(evidence: DataEvidence, axes: Axes) -> None:
    """Draw the noise of the examples against that of the user's recordings."""
    both = evidence.resemblance
    if both is None:
        return
    for number, profile in enumerate(both.target):
        label = "your recordings" if number == 0 else None
        axes.plot(profile.third_octave_hz, profile.noise_db, color=SECOND, alpha=0.7, label=label)
    axes.plot(both.training.third_octave_hz, both.training.noise_db, color=FIRST, linewidth=2, label="the examples")
    axes.set(xlabel="Hz", ylabel="noise against programme in dB", xscale="log")
    axes.legend(frameon=False)


Drawing = tuple[str, Callable[[DataEvidence, Axes], None]]
DRAWN: dict[str, tuple[Drawing, ...]] = {
    "DATA01": (
        ("How alike the pairs are, and what chance gives", strengths),
        ("Correlation of some pairs over the shift", correlation_curves),
    ),
    "DATA02": (("Shift of each pair", shifts), ("Correlation of some pairs over the shift", correlation_curves)),
    "DATA05": (("Levels of the files", levels),),
    "DATA06": (("Flat tops of the worst clean file", flat_tops),),
    "DATA10": (("Bandwidths of the clean files", bandwidths),),
    "DATA11": (("Speech and pauses of the noisiest clean file", levels_of_pauses),),
    "DATA12": (("Pairs of spectral peaks that both files have", shared_marks),),
    "DATA14": (("SNR of the pairs", ratios),),
    "DATA15": (("Noise in third octaves", noise_spectra),),
    "DATA18": (("Gain of each pair", gains),),
}
