"""The checks of outputs, in the order of their codes; each a pure function of `OutputEvidence`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.doctor.check import Check, Found
from resound.doctor.finding import Finding, Severity, few
from resound.doctor.output_evidence import LevelPoint, OutputEvidence, OutputFacts
from resound.doctor.output_measures import Change
from resound.doctor.output_settings import OutputThresholds
from resound.doctor.settings import DoctorSettings, Thresholds
from resound.doctor.verdict import Verdict
from resound.errors import counted

MOST_CHANCE = 0.01  # of a rank correlation between level and change
LEAST_POINTS = 6

Low = tuple[float | None, OutputFacts]  # a recording with its SI-SDR


def suppressed(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT01: what is wanted came out much quieter."""
    limits = thresholds.output
    falls = [(-(change.level_db or 0.0), each) for each, change in evidence.changes if not _is_even(change, limits)]
    fallen = sorted(((fall, each) for fall, each in falls if fall > limits.suppression_db), key=lambda one: -one[0])
    if not fallen or len(fallen) <= limits.suppression_share * len(evidence.changes):
        return None
    middle = float(np.median([fall for fall, _ in fallen]))
    is_grave = middle >= limits.grave_suppression_db and len(fallen) > len(evidence.changes) / 2
    names = tuple(f"{each.name} by {fall:.1f} dB" for fall, each in fallen)
    of = "the level of the clean part" if evidence.has_clean else "the level of what is active"
    return Finding(
        "OUT01",
        "error" if is_grave else "warning",
        f"{of} falls by {middle:.1f} dB (median), unevenly, in {len(fallen)} of "
        f"{counted(len(evidence.changes), 'recording')}: "
        f"{few(names)}",
        round(middle, 2),
        limits.suppression_db,
        "what is removed holds what should stay: take less of it (strength, a limit of the reduction), or train with "
        "less noise and a loss that sees what is missing (over_suppression)",
        evidence.where,
        names,
    )


def _is_even(change: Change, limits: OutputThresholds) -> bool:
    """Tell whether a change of level is that of a gain, the same in all loud frames."""
    return change.spread_db is None or change.spread_db < limits.even_db


def did_nothing(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT02: as much noise as before."""
    limits = thresholds.output
    if evidence.separates:
        return None
    noisy = [(each, change) for each, change in evidence.changes if _is_noisy(change, limits.noisy_db)]
    idle = [(each, change) for each, change in noisy if _is_idle(change, limits)]
    if not idle or len(idle) <= len(noisy) / 2:
        return None
    is_same = float(np.median([change.removed_db for _, change in idle])) < limits.removed_db
    falls = [change.noise_fall_db for _, change in idle if change.noise_fall_db is not None]
    middle = float(np.median(falls)) if falls else 0.0
    told = f"the noise in pauses falls by {middle:.1f} dB" if falls else "nothing is taken away"
    return Finding(
        "OUT02",
        "error" if is_same else "warning",
        f"{told} (median) in {len(idle)} of {counted(len(noisy), 'noisy recording')}"
        + (", the output is the input" if is_same else ""),
        round(middle, 2),
        limits.noise_fall_db,
        "see that the model was loaded and its output written, not the input; a network that learnt to copy needs "
        "other data or another loss (doctor run: RUN04)",
        evidence.where,
    )


def _is_noisy(change: Change, noisy_db: float) -> bool:
    if change.input_pause_db is not None:
        return change.input_pause_db < noisy_db
    return change.si_sdr_db is not None and change.si_sdr_db[0] < noisy_db - 15


def _is_idle(change: Change, limits: OutputThresholds) -> bool:
    if change.si_sdr_db and change.si_sdr_db[1] - change.si_sdr_db[0] > limits.noise_fall_db:
        return False
    if change.noise_fall_db is None:
        return change.removed_db < limits.removed_db
    level = change.level_db or 0.0  # a gain is no reduction of noise
    return change.noise_fall_db + level < limits.noise_fall_db


def other_level(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT03: the output is louder or quieter."""
    limit = thresholds.output.level_db
    told = [(change.level_db, change) for _, change in evidence.changes if change.level_db is not None]
    levels = np.array([level for level, change in told if level > 0 or _is_even(change, thresholds.output)])
    if not len(levels) or len(levels) < len(told) / 2:  # what falls unevenly is OUT01's
        return None
    middle, (low, high) = float(np.median(levels)), np.quantile(levels, [0.05, 0.95])
    spread = float(np.median(np.abs(levels - middle)))
    if abs(middle) <= limit and spread <= limit:
        return None
    if spread > limit and spread > abs(middle) / 3:
        message = f"each recording comes out at another level: {low:+.1f} to {high:+.1f} dB against the input"
        remedy, value = "keep each recording's own level: something normalises them one by one", spread
    else:
        message = (
            f"what is wanted comes out {abs(middle):.1f} dB {'louder' if middle > 0 else 'quieter'} (5th to 95th "
            f"percentile {low:+.1f} to {high:+.1f} dB)"
        )
        remedy, value = f"multiply the output by {10 ** (-middle / 20):.3g}, or find what normalises it", middle
    severity: Severity = "error" if middle <= -thresholds.output.grave_fall_db else "warning"
    return Finding("OUT03", severity, message, round(value, 2), limit, remedy, evidence.where)


def late(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT04: the output is later or earlier than the input."""
    limits = thresholds.output
    told = [each for each in evidence.outputs if each.delay_ms is not None]
    if not told:
        return None
    delays = np.array([each.delay_ms for each in told])
    middle = float(np.median(delays))
    strays = np.abs(delays - middle) > limits.stray_delay_ms
    if strays.sum() > 1 and strays.mean() > limits.stray_delay_share:
        return _each_its_own(delays, strays, evidence, limits)
    if abs(middle) < limits.delay_ms:
        return None
    rate = min(told[0].degraded.sample_rate, told[0].enhanced.sample_rate)
    samples = counted(round(abs(middle) * rate / 1000), "sample")
    mend = f"drop its first {samples}" if middle > 0 else f"put {samples} of silence before it"
    return Finding(
        "OUT04",
        "error" if abs(middle) >= limits.grave_delay_ms else "warning",
        f"the output is {samples} ({abs(middle):.2f} ms at {rate} Hz) {'later' if middle > 0 else 'earlier'} than the "
        f"input, the same in {np.count_nonzero(~strays)} of {counted(len(told), 'recording')}",
        round(middle, 3),
        limits.delay_ms,
        f"{mend}; before, scores of waveforms (SI-SDR) mean nothing: the other checks here took the delay out",
        evidence.where,
    )


def _each_its_own(delays: NDArray, strays: NDArray, evidence: OutputEvidence, limits: OutputThresholds) -> Finding:
    low, high = np.quantile(delays, [0.05, 0.95])
    return Finding(
        "OUT04",
        "error",
        f"{strays.sum()} of {counted(len(delays), 'output')} lie by more than {limits.stray_delay_ms:g} ms beside the "
        f"others, each by its own delay: {low:.1f} to {high:.1f} ms",
        round(float(strays.mean()), 4),
        limits.stray_delay_share,
        "align each output with its input by itself, and see whether the tool cuts or pads the beginning",
        evidence.where,
    )


def seams(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT05: the gain jumps at even distances."""
    limits, found = thresholds.output, evidence.seams
    if found is None or found.strength < limits.seam_strength or found.jump_db < limits.seam_jump_db:
        return None
    return Finding(
        "OUT05",
        "error" if found.jump_db >= limits.grave_seam_jump_db else "warning",
        f"a seam every {found.period_seconds:.3g} s, the first at {found.first_seconds:.2f} s: there the gain jumps by "
        f"{found.jump_db:.1f} dB more than elsewhere ({counted(found.n_seams, 'seam')}; their strength is "
        f"{found.strength:.1f}, chance reaches 5)",
        round(found.period_seconds, 3),
        limits.seam_strength,
        "let chunks overlap and cross-fade them, give each context on both sides, and normalise the recording, not "
        "the chunk",
        evidence.where,
    )


def level_sensitive(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT06: quiet recordings are treated otherwise than loud ones."""
    limits = thresholds.output
    found = _of_fed(evidence.levels) if evidence.fed else _of_recordings(evidence.levels, limits.level_range_db)
    if found is None or abs(found[0]) < limits.level_change_db:
        return None
    difference, quiet_dbfs, loud_dbfs = found
    return Finding(
        "OUT06",
        "error" if abs(difference) >= limits.grave_level_change_db else "warning",
        f"at {quiet_dbfs:.0f} dBFS the output is {abs(difference):.1f} dB {'quieter' if difference < 0 else 'louder'}, "
        f"against the input, than at {loud_dbfs:.0f} dBFS",
        round(difference, 2),
        limits.level_change_db,
        "bring recordings to the level that the model was trained at and back afterwards, or train with random gains "
        "(doctor plan --probe: PROBE04)",
        evidence.where,
    )


def _of_fed(points: Sequence[LevelPoint]) -> tuple[float, float, float] | None:
    """Return the largest difference to the recording as it is, its level, and the recording's: medians."""
    found = []
    for name in dict.fromkeys(point.name for point in points):
        own = [point for point in points if point.name == name]
        worst = max(own[1:], key=lambda point: abs(point.level_db - own[0].level_db), default=None)
        if worst:
            found.append((worst.level_db - own[0].level_db, worst.input_dbfs, own[0].input_dbfs))
    return tuple(np.median(found, axis=0).tolist()) if found else None


def _of_recordings(points: Sequence[LevelPoint], least_range_db: float) -> tuple[float, float, float] | None:
    """Return how quiet recordings (a third of all) differ from loud ones; None where their levels are too alike."""
    levels, changes = (np.array(side) for side in ([p.input_dbfs for p in points], [p.level_db for p in points]))
    if len(points) < LEAST_POINTS:
        return None
    low, high = np.quantile(levels, [1 / 3, 2 / 3])
    quiet, loud = levels <= low, levels >= high
    quiet_dbfs, loud_dbfs = float(np.median(levels[quiet])), float(np.median(levels[loud]))
    if loud_dbfs - quiet_dbfs < least_range_db or np.ptp(changes) == 0:
        return None
    if scipy.stats.spearmanr(levels, changes).pvalue > MOST_CHANCE:
        return None
    return float(np.median(changes[quiet]) - np.median(changes[loud])), quiet_dbfs, loud_dbfs


def worse(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT07: recordings came out worse than they went in."""
    limits = thresholds.output
    good = limits.good_enough_db
    own = [(each, scores) for each, scores in evidence.scored if not evidence.is_foreign(each)]
    gains = [(min(after, good) - min(before, good), each) for each, (before, after) in own]
    lost = sorted(((gain, each) for gain, each in gains if gain < -limits.worse_db), key=lambda one: one[0])
    share = len(lost) / max(1, len(gains))
    if not lost or share <= limits.worse_share:
        return None
    names = tuple(f"{each.name} by {-gain:.1f} dB" for gain, each in lost)
    return Finding(
        "OUT07",
        "error" if share > 0.5 else "warning",
        f"{len(lost)} of {counted(len(gains), 'recording')} have a lower SI-SDR than their input (median of all "
        f"{np.median([gain for gain, _ in gains]):+.1f} dB): {few(names)}",
        round(share, 4),
        limits.worse_share,
        "listen to these first, and ask what they have in common: level, noise, language; leave alone what needs "
        "nothing",
        evidence.where,
        names,
    )


def clips(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT08: the output clips where the input does not."""
    limits = thresholds.output
    cut = sorted(
        ((each.clipped_share, each) for each in evidence.measured if each.clipped_share > limits.flat_share),
        key=lambda one: -one[0],
    )
    share = len(cut) / max(1, len(evidence.measured))
    if share <= limits.clipped_share:
        return None
    names = tuple(f"{each.name} in {100 * value:.2g} % of its samples" for value, each in cut)
    return Finding(
        "OUT08",
        "error" if share >= 0.5 else "warning",
        f"{len(cut)} of {counted(len(evidence.measured), 'output')} clip, or rise above full scale, where the input "
        f"does not: {few(names)}",
        round(share, 4),
        limits.clipped_share,
        "write with headroom or as float, and look for a gain that is not taken back",
        evidence.where,
        names,
    )


def narrow(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT09: the upper part of the band is gone."""
    limits = thresholds.output
    bands = [(each.band, each) for each in evidence.measured if each.band and each.band.reference_hz > 0]
    lost = [
        band.lost_above_hz
        for band, _ in bands
        if band.lost_above_hz and np.log2(band.reference_hz / band.lost_above_hz) > limits.lost_octaves
    ]
    if len(lost) <= limits.lost_share * len(bands):
        return None
    edge = float(np.median(lost))
    reference = "clean side" if evidence.has_clean else "input"
    before = float(np.median([band.reference_hz for band, _ in bands]))
    return Finding(
        "OUT09",
        "warning",
        f"above {edge / 1000:.1f} kHz nothing is left in {len(lost)} of {counted(len(bands), 'output')}; the "
        f"{reference} reaches up to {before / 1000:.1f} kHz",
        edge,
        limits.lost_octaves,
        "run a model of a lower rate on its own band only and keep the rest of the input, as 'resound restore' does, "
        "or use one for the full rate",
        evidence.where,
    )


def foreign(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT10: the scores are so low that reference or output cannot belong to the recording."""
    limits, kinds = thresholds.output, _foreign_kinds(evidence, thresholds)
    n_low = sum(map(len, kinds.values()))
    if not n_low or n_low <= limits.impossible_share * len(evidence.outputs):
        return None
    kind = max(kinds, key=lambda name: len(kinds[name]))
    told, remedy = FOREIGN[kind]
    share = n_low / len(evidence.outputs)
    scores = [score for score, _ in kinds[kind] if score is not None]
    low = f"{np.median(scores):.0f} dB SI-SDR (median), and " if scores else ""
    names = tuple(each.name for _, each in kinds[kind])
    return Finding(
        "OUT10",
        "error" if share >= 0.5 and kind != "unsure" else "warning",
        f"{n_low} of {counted(len(evidence.outputs), 'recording')}: {low}{told}: {few(names)}",
        round(share, 4),
        limits.impossible_db,
        remedy,
        evidence.where,
        names,
    )


def _foreign_kinds(evidence: OutputEvidence, thresholds: Thresholds) -> dict[str, list[Low]]:
    """Return recordings whose score is impossible, each with it, by the keys of `FOREIGN`.

    Without a clean side there is no score, and only outputs of other recordings can be told.
    """
    limit, scores = thresholds.output.impossible_db, {id(each): both for each, both in evidence.scored}
    kinds: dict[str, list[Low]] = {}
    verdicts = zip(evidence.outputs, evidence.references.verdicts, evidence.keeps.verdicts, strict=True)
    for each, reference, kept in verdicts:
        before, after = scores.get(id(each), (None, None))
        kind = ""
        if before is not None and after is not None and after < limit:
            kind = _why_so_low(reference, kept, before < limit, thresholds.data.grave_shift_ms)
        elif evidence.is_foreign(each):
            kind = "output"
        if kind:
            kinds.setdefault(kind, []).append((after, each))
    return kinds


def _why_so_low(reference: Verdict, kept: Verdict, was_low: bool, shift_ms: float) -> str:
    """Return why a score is impossible, by a key of `FOREIGN`; empty where it is the model's own fault."""
    if reference.kind == "different":
        return "reference"
    if reference.kind == "same" and reference.is_exact and abs(1000 * reference.lag_seconds) >= shift_ms:
        return "shifted"
    if reference.kind == "same" and kept.kind == "different":
        return "output"
    return "unsure" if was_low and reference.kind == "unsure" else ""


def turned_over(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT11: the polarity of the output is inverted."""
    limit = thresholds.output.turned_share
    known = [each for each in evidence.outputs if each.delay_ms is not None]
    turned = tuple(each.name for each in known if each.is_inverted)
    share = len(turned) / max(1, len(known))
    if share <= limit:
        return None
    return Finding(
        "OUT11",
        "warning",  # alone it sounds as it should
        f"turned over, the input times -1: {len(turned)} of {counted(len(known), 'output')}: {few(turned)}",
        round(share, 4),
        limit,
        "multiply them by -1: mixed with anything of the same recording they cancel it",
        evidence.where,
        turned,
    )


def off_zero(evidence: OutputEvidence, thresholds: Thresholds) -> Found:
    """OUT12: the output has an offset that the input does not have."""
    limits = thresholds.output
    added = [
        (each.enhanced.measured.dc - each.degraded.measured.dc, each)
        for each in evidence.measured
        if each.enhanced.measured and each.degraded.measured
    ]
    off = sorted(((dc, each) for dc, each in added if dc >= limits.offset_level), key=lambda one: -one[0])
    share = len(off) / max(1, len(added))
    if share <= limits.offset_share:
        return None
    names = tuple(f"{each.name} by {100 * dc:.2g} % of full scale" for dc, each in off)
    return Finding(
        "OUT12",
        "error" if share >= 0.5 else "warning",
        f"an offset that the input does not have: {len(off)} of {counted(len(added), 'output')}: {few(names)}",
        round(off[0][0], 5),
        limits.offset_level,
        "take the mean away (a high-pass at 20 Hz): cuts click and headroom is lost",
        evidence.where,
        names,
    )


FOREIGN = {
    "reference": (
        "their clean and degraded sides are two recordings (DATA01)",
        "do not blame the model: pair clean and degraded files anew; 'resound doctor data' tells which",
    ),
    "shifted": (
        "their clean and degraded sides are shifted against each other (DATA02)",
        "do not blame the model: align the clean sides; 'resound doctor data' tells by how much",
    ),
    "output": (
        "the output is not the recording that went in",
        "see that outputs are written under the name of their own input, in its order",
    ),
    "unsure": (
        "as low before; they are too short or noisy to tell whether the clean side belongs to them",
        "look at the pairs with 'resound doctor data' (DATA01, DATA02) before blaming the model",
    ),
}

CHECKS = (
    Check("OUT01", "what should stay is removed", suppressed),
    Check("OUT02", "nothing is removed", did_nothing),
    Check("OUT03", "the level changed", other_level),
    Check("OUT04", "the output is late", late),
    Check("OUT05", "there are seams", seams),
    Check("OUT06", "quiet recordings are treated otherwise than loud ones", level_sensitive),
    Check("OUT07", "recordings get worse", worse),
    Check("OUT08", "the output clips", clips),
    Check("OUT09", "the upper band is gone", narrow),
    Check("OUT10", "scores are so low that the files cannot belong together", foreign),
    Check("OUT11", "the output is turned over", turned_over),
    Check("OUT12", "the output has an offset", off_zero),
)
NEED_CLEAN = ("OUT07",)


def not_made(evidence: OutputEvidence, settings: DoctorSettings) -> dict[str, str]:
    """Return the checks that are on and cannot be made, each with what it lacks."""
    lacking = dict.fromkeys(() if evidence.has_clean else NEED_CLEAN, "a clean side")
    if not evidence.seams:
        lacking["OUT05"] = "recordings of a second or more"
    if _of_fed(evidence.levels) is None if evidence.fed else not _has_range(evidence, settings):
        lacking["OUT06"] = f"recordings whose levels differ by {settings.output.level_range_db:g} dB"
    if evidence.separates:
        lacking["OUT02"] = "a model that removes something, not one that separates"
    return {code: what for code, what in sorted(lacking.items()) if settings.is_on(code)}


def _has_range(evidence: OutputEvidence, settings: DoctorSettings) -> bool:
    levels = sorted(point.input_dbfs for point in evidence.levels)
    third = len(levels) // 3
    return (
        len(levels) >= LEAST_POINTS and levels[-1 - third // 2] - levels[third // 2] >= settings.output.level_range_db
    )
