"""The checks of pairs: whether both sides are the same recording, at the same time, level and polarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resound.doctor.check import Check, Found
from resound.doctor.data_evidence import DataEvidence, PairFacts
from resound.doctor.finding import Finding, few
from resound.doctor.settings import Thresholds
from resound.doctor.verdict import CERTAIN
from resound.errors import counted


def not_the_same(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA01: the two files of a pair are not the same recording."""
    pooled, limit = evidence.pooled, thresholds.data.different_share
    if not pooled.is_significant:
        return None
    share, n_different = pooled.share_different, pooled.n("different")
    strengths = [pair.likeness.strength for pair in evidence.compared if pair.likeness]
    told = zip(evidence.compared, pooled.verdicts, strict=True)
    names = tuple(pair.name for pair, verdict in told if verdict.kind == "different")
    n_elsewhere = sum(found.strength > CERTAIN for found in evidence.unrelated)
    elsewhere = f"; {n_elsewhere} fit the file of another pair: the lists are in another order" if n_elsewhere else ""
    return Finding(
        "DATA01",
        "error" if share >= limit else "warning",
        f"{n_different} of {counted(pooled.n_told, 'pair')} hold two different recordings (peak of the correlation "
        f"{np.median(strengths):.1f} deviations, a common recording has more than {pooled.limits.strong:.1f}): "
        f"{few(names)}{elsewhere}",
        round(share, 4),
        limit,
        "pair the files anew: cut both sides at the same place, and see that both lists are in the same order",
        evidence.where_pairs,
        names,
    )


def _are_no_pairs(evidence: DataEvidence, thresholds: Thresholds) -> bool:
    """Tell whether most pairs hold two recordings: then nothing is to be learnt from the few that do not."""
    return evidence.pooled.is_significant and evidence.pooled.share_different >= thresholds.data.different_share


def shifted(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA02: pairs are shifted, all by the same or each by its own delay."""
    limits, lags_ms = thresholds.data, 1000 * evidence.pooled.lags_seconds
    if not len(lags_ms):
        return None
    middle = float(np.median(lags_ms))
    strays = np.abs(lags_ms - middle) > limits.stray_shift_ms
    if strays.mean() > limits.stray_share and strays.sum() > 1:
        return _each_its_own(evidence, lags_ms, strays, thresholds)
    if abs(middle) < limits.shift_ms:
        return None
    rate = evidence.compared[0].clean.sample_rate
    n_samples = round(middle * rate / 1000)
    direction = "later" if middle > 0 else "earlier"
    return Finding(
        "DATA02",
        "error" if abs(middle) >= limits.grave_shift_ms else "warning",
        f"the degraded side is {abs(n_samples)} samples ({abs(middle):.2f} ms at {rate} Hz) {direction} than the clean "
        f"one, the same in {np.count_nonzero(~strays)} of {counted(len(lags_ms), 'pair')}",
        round(middle, 3),
        limits.shift_ms,
        f"drop the first {abs(n_samples)} samples of each {'degraded' if middle > 0 else 'clean'} file, or write them "
        "again without the delay of the tool that made them",
        evidence.where_pairs,
    )


def _each_its_own(evidence: DataEvidence, lags_ms: NDArray, strays: NDArray, thresholds: Thresholds) -> Finding:
    low, high = np.quantile(lags_ms, [0.05, 0.95])
    return Finding(
        "DATA02",
        "error",
        f"{strays.sum()} of {counted(len(lags_ms), 'pair')} are shifted by more than "
        f"{thresholds.data.stray_shift_ms:g} ms beside the others, each by its own delay: {low:.1f} to {high:.1f} ms",
        round(float(strays.mean()), 4),
        thresholds.data.stray_share,
        "align each pair by itself before training; 'resound prepare' does so after a denoiser",
        evidence.where_pairs,
    )


def wrong_gain(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA18: what is common to both sides is louder or quieter on one of them, at all frequencies alike."""
    limits = thresholds.data
    gains = [pair.gain for pair in evidence.compared if pair.gain is not None]
    if not gains or _are_no_pairs(evidence, thresholds):
        return None
    with np.errstate(all="ignore"):
        bands = np.array([gain.bands_db for gain in gains])
        usual = [float(np.median(band[~np.isnan(band)])) for band in bands.T if not np.isnan(band).all()]
    values = np.array([gain.gain_db for gain in gains])
    middle = float(np.median(values))
    is_filter = len(usual) > 1 and max(usual) - min(usual) > limits.gain_spread_db
    if abs(middle) < limits.gain_db or is_filter:
        return None
    low, high = np.quantile(values, [0.05, 0.95])
    return Finding(
        "DATA18",
        "warning",
        f"the clean part of the degraded side is {abs(middle):.1f} dB {'louder' if middle > 0 else 'quieter'} than the "
        f"clean side (5th to 95th percentile {low:+.1f} to {high:+.1f} dB)",
        round(middle, 2),
        limits.gain_db,
        "normalise both sides of a pair by one factor, not each by its own; a scale-invariant loss hides this, the "
        "restored sound will have the wrong level",
        evidence.where_pairs,
    )


def inverted(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA19: the polarity of one side is inverted."""
    upside_down = evidence.pooled.inverted
    if not len(upside_down) or upside_down.mean() <= thresholds.data.inverted_share:
        return None
    share = float(upside_down.mean())
    return Finding(
        "DATA19",
        "error" if share > 0.5 else "warning",
        f"{upside_down.sum()} of {counted(len(upside_down), 'pair')} have one side upside down",
        round(share, 4),
        thresholds.data.inverted_share,
        "multiply one side by -1; losses on the waveform would teach the model to invert everything",
        evidence.where_pairs,
    )


def wrong_snr(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA14: the SNR as measured is not the SNR that was asked for."""
    limits = thresholds.data
    told = [(pair, pair.gain.snr_db) for pair in evidence.compared if pair.gain is not None]
    asked = [(value, pair.asked_snr_db) for pair, value in told if pair.asked_snr_db is not None]
    if asked:
        errors = np.array([value - wanted for value, wanted in asked])
        middle = float(np.median(np.abs(errors)))
        if middle <= limits.snr_error_db:
            return None
        return _snr_finding(
            f"the SNR is off by {middle:.1f} dB from what the pairs are said to have (median of {len(asked)}; "
            f"5th to 95th percentile {_span(errors)})",
            round(middle, 2), limits.snr_error_db, evidence,
        )  # fmt: skip
    if limits.snr_db is None or not told:
        return None
    values = np.array([value for _, value in told])
    low, high = np.quantile(values, [0.05, 0.95])
    wanted_low, wanted_high = limits.snr_db
    beyond = max(wanted_low - low, high - wanted_high)
    if beyond <= limits.snr_error_db:
        return None
    return _snr_finding(
        f"the SNR is {np.mean(values):.1f} dB on average, 5th to 95th percentile {_span(values)}; asked for is "
        f"{wanted_low:g} to {wanted_high:g} dB",
        round(float(beyond), 2), limits.snr_error_db, evidence,
    )  # fmt: skip


def _snr_finding(message: str, value: float, threshold: float, evidence: DataEvidence) -> Finding:
    return Finding(
        "DATA14", "warning", message, value, threshold,
        "mix again: measure both levels on what is added, after all filters, and scale the noise by their ratio",
        evidence.where_pairs,
    )  # fmt: skip


def _span(values: NDArray) -> str:
    low, high = np.quantile(values, [0.05, 0.95])
    return f"{low:.1f} to {high:.1f} dB"


def other_lengths(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA04: the two files of a pair differ in length."""
    limits = thresholds.data
    differences_ms = [(_length_difference_ms(pair), pair.name) for pair in evidence.pairs]
    longer = sorted((abs(value), name) for value, name in differences_ms if abs(value) >= limits.length_ms)
    if not longer:
        return None
    largest, name = longer[-1]
    return Finding(
        "DATA04",
        "error" if largest >= limits.grave_length_ms else "warning",
        f"{len(longer)} of {counted(len(evidence.pairs), 'pair')} differ in length, {name} by {largest:.1f} ms",
        round(largest, 2),
        limits.length_ms,
        "cut both sides to the same samples; where the difference is the same everywhere it is a tool's delay (DATA02)",
        counted(len(evidence.pairs), "pair"),
    )


def _length_difference_ms(pair: PairFacts) -> float:
    sides = (pair.clean, pair.degraded)
    return 1000 * (pair.degraded.seconds - pair.clean.seconds) if all(side.n_samples for side in sides) else 0.0


def given_away(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA21: most clean sides end early, and the noise of nearly all of those goes on above."""
    limits = thresholds.data
    narrow = [pair.above_db for pair in evidence.compared if pair.above_db is not None]
    if len(narrow) <= len(evidence.compared) / 2 or len(narrow) < limits.least_narrow:
        return None
    n_open = sum(above_db > limits.above_db for above_db in narrow)
    if n_open <= limits.open_share * len(narrow):
        return None
    return Finding(
        "DATA21",
        "warning",
        f"{len(narrow)} of {counted(len(evidence.compared), 'clean side')} end early, and in {n_open} of those the "
        "noise goes on above: the model learns to know noise by that",
        round(n_open / len(narrow), 4),
        limits.open_share,
        "let most inputs end where their speech does: 'resample: {rate_hz: 16000}' with 'target: same' and a "
        "'probability' at the end of data.chain",
        evidence.where_pairs,
    )


def as_quiet_as_the_floor(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA22: much of the noise that is to go is as quiet as the noise that the clean sides keep."""
    limits = thresholds.data
    told = [
        (pair.own_snr_db, pair.gain.snr_db)
        for pair in evidence.compared
        if pair.gain is not None and pair.own_snr_db is not None
    ]
    n_near = sum(own_db < min(noise_db + limits.floor_db, limits.quiet_floor_db) for own_db, noise_db in told)
    if len(told) < limits.least_paused or n_near <= limits.floor_share * len(told):
        return None
    middle_db = np.median([own_db for own_db, _ in told])
    return Finding(
        "DATA22",
        "warning",
        f"in {n_near} of {counted(len(told), 'pair')} the noise that is to go is as quiet as the clean side's own, "
        f"{middle_db:.0f} dB below the sound in the median: the model learns to leave noise of that level",
        round(n_near / len(told), 4),
        limits.floor_share,
        "take it out of the clean recordings beforehand: 'resound corpus dehiss MANIFEST -o clean', and train on "
        "clean.jsonl",
        evidence.where_pairs,
    )


CHECKS = (
    Check("DATA01", "the two files of a pair are not the same recording", not_the_same),
    Check("DATA02", "pairs are shifted against each other", shifted),
    Check("DATA04", "the two files of a pair differ in length", other_lengths),
    Check("DATA14", "the SNR of the pairs is not the one that was asked for", wrong_snr),
    Check("DATA18", "the gain between the two sides of a pair is not 1", wrong_gain),
    Check("DATA19", "one side of a pair is upside down", inverted),
    Check("DATA21", "noise goes on where the clean sides end", given_away),
    Check("DATA22", "noise that is to go is as quiet as the clean sides' own", as_quiet_as_the_floor),
)
