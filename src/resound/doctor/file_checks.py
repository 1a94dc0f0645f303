"""The checks of single files: whether they can be read, and whether what is called clean is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from resound.doctor.check import Check, Found
from resound.doctor.data_evidence import DataEvidence
from resound.doctor.finding import Finding, Severity, few
from resound.doctor.settings import Thresholds
from resound.doctor.sounds import FileFacts, Measured
from resound.errors import counted


def other_rates(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA03: files have another sample rate than their partner, than most files, or than the training."""
    rates = Counter(file.sample_rate for file in evidence.files if file.sample_rate)
    if not rates:
        return None
    uneven = [pair for pair in evidence.pairs if 0 != pair.clean.sample_rate != pair.degraded.sample_rate != 0]
    if uneven:
        first = uneven[0]
        return _rate_finding(
            "error",
            f"{len(uneven)} of {counted(len(evidence.pairs), 'pair')} have two sample rates: {first.name} "
            f"{first.clean.sample_rate} and {first.degraded.sample_rate} Hz",
            len(uneven), evidence, [file for pair in uneven for file in (pair.clean, pair.degraded)],
        )  # fmt: skip
    wanted = evidence.wanted_rate or rates.most_common(1)[0][0]
    # A training resamples what it reads: only what is slower than it lacks something.
    others = {rate: n for rate, n in rates.items() if rate != wanted and not (evidence.wanted_rate and rate > wanted)}
    share = sum(others.values()) / rates.total()
    if share <= thresholds.data.rare_rate_share:
        return None
    there = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(others.items()))
    of = "the training has" if evidence.wanted_rate else "the others have"
    severity: Severity = "info" if evidence.wanted_rate else "warning"
    odd = [file for file in evidence.files if file.sample_rate in others]
    return _rate_finding(severity, f"{there}, {of} {wanted} Hz: {few(_names(odd))}", round(share, 4), evidence, odd)


def _rate_finding(
    severity: Severity, message: str, value: float, evidence: DataEvidence, files: Sequence[FileFacts]
) -> Finding:
    return Finding(
        "DATA03", severity, message, value, 0, "resample all files to one rate", counted(len(evidence.files), "file"),
        tuple(f"{_short(file)} {file.sample_rate} Hz" for file in files),
    )  # fmt: skip


def silent(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA05: files are silent or nearly so."""
    limits = thresholds.data
    quiet = [file for file in evidence.measured if _of(file).rms_dbfs < limits.silent_dbfs]
    if not quiet:
        return None
    share = len(quiet) / len(evidence.measured)
    return Finding(
        "DATA05",
        "error" if share >= limits.silent_share else "warning",
        f"{len(quiet)} of {counted(len(evidence.measured), 'file')} are below {limits.silent_dbfs:g} dBFS: "
        f"{few(_names(quiet))}",
        round(share, 4),
        limits.silent_share,
        "leave them out: no SNR can be set against silence, and a scale-invariant loss of it is no number",
        evidence.where_files,
        _names(quiet),
    )


def clipped(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA06: 'clean' files have cut-off tops."""
    limits, files = thresholds.data, evidence.clean_files
    cut = [file for file in files if _of(file).flat_share > limits.flat_share]
    share = len(cut) / max(1, len(files))
    if share <= limits.clipped_share:
        return None
    worst = max(cut, key=lambda file: _of(file).flat_share)
    return Finding(
        "DATA06",
        "error" if share >= 0.5 else "warning",
        f"{len(cut)} of {counted(len(files), 'clean file')} are clipped, the worst in "
        f"{100 * _of(worst).flat_share:.2f} % of its samples: {few(_names(cut))}",
        round(share, 4),
        limits.clipped_share,
        "leave them out, or make them again below full scale: the model learns to clip",
        evidence.where_files,
        _names(sorted(cut, key=lambda file: -_of(file).flat_share)),
    )


def off_zero(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA07: files have a DC offset."""
    limits = thresholds.data
    off = [file for file in evidence.measured if _of(file).dc >= limits.dc_level]
    share = len(off) / max(1, len(evidence.measured))
    if share <= limits.dc_share:
        return None
    worst = max(off, key=lambda file: _of(file).dc)
    return Finding(
        "DATA07",
        "warning",
        f"{len(off)} of {counted(len(evidence.measured), 'file')} have a DC offset, {_short(worst)} of "
        f"{100 * _of(worst).dc:.2f} % of full scale",
        round(_of(worst).dc, 5),
        limits.dc_level,
        "high-pass them at 20 Hz: crops begin and end with a click, and levels and SNR are wrong",
        evidence.where_files,
        _names(sorted(off, key=lambda file: -_of(file).dc)),
    )


def unreadable(evidence: DataEvidence, _: Thresholds) -> Found:
    """DATA08: files that cannot be decoded, are cut off, or hold samples that are no numbers."""
    bad = [file for file in evidence.files if file.fault]
    if not bad:
        return None
    return Finding(
        "DATA08",
        "error",
        f"{len(bad)} of {counted(len(evidence.files), 'file')} cannot be used as they are: {_short(bad[0])} "
        f"{bad[0].fault}" + (f"; {few(_names(bad[1:]))}" if len(bad) > 1 else ""),
        len(bad),
        0,
        "copy or make them again, or leave them out of the list",
        counted(len(evidence.files), "file"),
        tuple(f"{_short(file)} {file.fault}" for file in bad),
    )


def odd_channels(evidence: DataEvidence, _: Thresholds) -> Found:
    """DATA09: files differ in channels, have a dead one, or the same sound in all."""
    files = evidence.measured
    counts = Counter(file.n_channels for file in files)
    found = []
    uneven = [pair for pair in evidence.pairs if 0 != pair.clean.n_channels != pair.degraded.n_channels != 0]
    if uneven or len(counts) > 1:
        there = ", ".join(f"{count} with {counted(n, 'channel')}" for n, count in sorted(counts.items()))
        where = f"; {counted(len(uneven), 'pair')} with another number on each side" if uneven else ""
        found.append(_channel_finding("warning", f"files differ in channels: {there}{where}", len(counts), 1, evidence))
    dead = [file for file in files if _of(file).n_dead_channels]
    if dead:
        message = f"{len(dead)} of {counted(len(files), 'file')} have a silent channel: {few(_names(dead))}"
        found.append(_channel_finding("warning", message, len(dead), 0, evidence, dead))
    alike = [file for file in files if _of(file).are_identical]
    if alike:
        message = (
            f"{len(alike)} of {counted(len(files), 'file')} have the same sound in all channels: {few(_names(alike))}"
        )
        found.append(_channel_finding("info", message, len(alike), 0, evidence, alike))
    return found


def _channel_finding(
    severity: Severity,
    message: str,
    value: float,
    threshold: float,
    evidence: DataEvidence,
    files: Sequence[FileFacts] = (),
) -> Finding:
    return Finding(
        "DATA09", severity, message, value, threshold,
        "write all files with the channels that the model takes; mix no dead channel into mono, it halves the level",
        evidence.where_files, _names(files),
    )  # fmt: skip


def narrow(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA10: the clean files hold nothing in the upper part of the band."""
    files = [file for file in evidence.clean_files if _of(file).bandwidth_hz > 0]
    if not files:
        return None
    # Without a training each file is held against its own rate: DATA03 tells that rates differ.
    rates = [evidence.wanted_rate or file.sample_rate for file in files]
    rate = Counter(rates).most_common(1)[0][0]
    shares = np.array([min(1.0, 2 * _of(file).bandwidth_hz / own) for file, own in zip(files, rates, strict=True)])
    n_narrow = int(np.count_nonzero(shares < thresholds.data.bandwidth_share))
    if n_narrow <= len(files) / 2:
        return None
    middle_hz = float(np.median([_of(file).bandwidth_hz for file in files]))
    return Finding(
        "DATA10",
        "warning",
        f"{n_narrow} of {counted(len(files), 'clean file')} end far below half the sample rate of {rate} Hz: their "
        f"median bandwidth is {middle_hz / 1000:.1f} kHz",
        round(float(np.median(shares)), 4),
        thresholds.data.bandwidth_share,
        f"train at {_rate_for(middle_hz)} Hz, or add recordings with a full band: up-sampling adds no treble, and the "
        "model learns that there is none",
        evidence.where_files,
    )


def _rate_for(bandwidth_hz: float) -> int:
    rates = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
    return next((rate for rate in rates if rate / 2 >= 0.97 * bandwidth_hz), 48000)


def noisy(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA11: the clean files are noisy."""
    levels = [(value, file) for file in evidence.clean_files if (value := _of(file).pause_snr_db) is not None]
    if len(levels) <= thresholds.data.pause_share * len(evidence.clean_files):
        return None  # short crops: what seems a pause in a few of them may be none
    values = np.array([value for value, _ in levels])
    middle, limit = float(np.median(values)), thresholds.data.pause_snr_db
    if middle >= limit:
        return None
    worst = [file for _, file in sorted(levels, key=lambda one: one[0])]
    return Finding(
        "DATA11",
        "warning",
        f"the clean files are {middle:.0f} dB above the noise in their own pauses (median of {len(values)} with "
        f"pauses; worst tenth below {np.quantile(values, 0.1):.0f} dB): {few(_names(worst))}",
        round(middle, 1),
        limit,
        "take cleaner recordings or leave the worst out: the model learns to keep what noise the targets have",
        evidence.where_files,
        _names(worst),
    )


def _of(file: FileFacts) -> Measured:
    assert file.measured is not None
    return file.measured


def _names(files: Sequence[FileFacts]) -> tuple[str, ...]:
    return tuple(_short(file) for file in files)


def _short(file: FileFacts) -> str:
    """Return a file's name with its folder: both sides of a pair have one name."""
    return "/".join(file.path.parts[-2:])


CHECKS = (
    Check("DATA03", "sample rates differ", other_rates),
    Check("DATA05", "files are silent", silent),
    Check("DATA06", "'clean' files are clipped", clipped),
    Check("DATA07", "files have a DC offset", off_zero),
    Check("DATA08", "files are unreadable, cut off, or hold NaN or Inf", unreadable),
    Check("DATA09", "channels are not what they should be", odd_channels),
    Check("DATA10", "the band is not full", narrow),
    Check("DATA11", "'clean' files are noisy", noisy),
)
