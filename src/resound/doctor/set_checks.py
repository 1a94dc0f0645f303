"""The checks of a set as a whole: leakage, amount, shares, sums, validation, likeness to the user's recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resound.doctor.check import Check, Found
from resound.doctor.data_evidence import DataEvidence
from resound.doctor.finding import Finding, Severity
from resound.doctor.settings import DataThresholds, Thresholds
from resound.errors import counted

if TYPE_CHECKING:
    from resound.doctor.resemblance import Resemblance
    from resound.models.presets import Published


def leakage(evidence: DataEvidence, _: Thresholds) -> Found:
    """DATA12: what is validated on was trained on."""
    splits = evidence.splits
    if splits is None:
        return None
    where = f"{splits.n_train} files to train on, {splits.n_valid} to validate on"
    remedy = "split by speaker and by recording, not by file or crop: 'resound corpus scan' does so"

    def finding(severity: Severity, what: str, value: int) -> Finding:
        return Finding("DATA12", severity, what, value, 0, remedy, where)

    if splits.same_files:
        what = f"{counted(len(splits.same_files), 'file')} in train and validation: {_short(splits.same_files)}"
        return finding("error", what, len(splits.same_files))
    if splits.copies:
        one, other = map(_name, splits.copies[0])
        what = f"{counted(len(splits.copies), 'copy', 'copies')}: {one} in train is {other} in validation"
        return finding("error", what, len(splits.copies))
    if splits.twins:
        twin = splits.twins[0]
        what = (
            f"the same sound in train and validation {counted(len(splits.twins), 'time')}: {_name(twin.one)} and "
            f"{_name(twin.other)} share {twin.n_shared} marks at one offset"
        )
        return finding("error", what, len(splits.twins))
    if splits.same_speakers:
        n = len(splits.same_speakers)
        return finding("warning", f"{counted(n, 'speaker')} in both: {_short(splits.same_speakers)}", n)
    return None


def too_little(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA13: there is too little data for the model."""
    amount, limits = evidence.amount, thresholds.data
    if amount is None:
        return None
    for_what = f" for {amount.n_parameters:,} parameters" if amount.n_parameters else ""
    beside = _published(amount.published) if amount.published else ""
    kind = "examples, the same in every epoch" if amount.is_fixed else "clean recordings"
    hours = f"{amount.hours:.2f} h of {kind}, {amount.n_distinct:,} distinct examples{for_what}{beside}"
    least = limits.fixed_hours if amount.is_fixed else limits.dynamic_hours
    if amount.hours < least:
        return _amount_finding("warning", hours, amount.hours, least, MIX_ANEW if amount.is_fixed else ADD)
    speakers = f"{counted(amount.n_speakers or 0, 'speaker')} in {amount.hours:.1f} h{for_what}{beside}"
    if amount.n_speakers is not None and amount.n_speakers < limits.n_speakers:
        return _amount_finding("warning", speakers, amount.n_speakers, limits.n_speakers, ADD_SPEAKERS)
    if amount.published is None:
        return None
    least = limits.published_share * amount.published.hours
    if amount.hours < least:
        return _amount_finding("info", hours, amount.hours, least, MIX_ANEW if amount.is_fixed else ADD)
    least = limits.published_share * amount.published.n_speakers
    if amount.n_speakers is not None and amount.n_speakers < least:
        return _amount_finding("info", speakers, amount.n_speakers, least, ADD_SPEAKERS)
    return None


MIX_ANEW = (
    "add recordings, or mix clean recordings and noise anew for every example (task: enhance or separate, and "
    "training.same_every_epoch=false): N recordings give N x N mixtures"
)
ADD = "add recordings; published recipes have 10 to 100 h"
ADD_SPEAKERS = "add speakers: a model of few voices learns those voices"


def _published(known: Published) -> str:
    return (
        f"; a network of this kind was published with {known.hours:g} h ({known.n_utterances:,} utterances, "
        f"{known.n_speakers} speakers) of {known.corpus}"
    )


def _amount_finding(severity: Severity, message: str, value: float, threshold: float, remedy: str) -> Finding:
    return Finding("DATA13", severity, message, round(value, 4), round(threshold, 4), remedy, "all material")


def unlike_the_target(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA15: training degradations do not resemble the user's own recordings."""
    if evidence.resemblance is None:
        return None
    beside = differences_of(evidence.resemblance, thresholds.data)
    if not beside:
        return None
    return Finding(
        "DATA15",
        "warning",
        f"the training differs from the target: {'; '.join(beside)}",
        len(beside),
        0,
        "make a chain from a recording: resound harvest RECORDING --fit chain.yaml, and noise: resound harvest "
        "RECORDING -o noise/",
        f"{counted(len(evidence.resemblance.target), 'recording')} and {evidence.where_pairs}",
    )


def differences_of(both: Resemblance, limits: DataThresholds) -> list[str]:
    """Return where the noise of training and target differ, a phrase each."""
    training, target = both.training, both.target
    found = []
    snrs = [profile.full_snr_db for profile in target if profile.full_snr_db is not None]
    if snrs and both.snr_db is not None and abs(both.snr_db - np.median(snrs)) > limits.target_snr_db:
        found.append(f"SNR {both.snr_db:.0f} dB, target {np.median(snrs):.0f} dB")
    tilt = float(np.median([profile.tilt_db_per_octave for profile in target]))
    if abs(training.tilt_db_per_octave - tilt) > limits.target_tilt_db:
        found.append(f"noise falls {training.tilt_db_per_octave:+.1f} dB an octave, target {tilt:+.1f} dB")
    ends = [profile.bandwidth_hz for profile in target if profile.bandwidth_hz]
    if ends and training.bandwidth_hz and abs(np.log2(training.bandwidth_hz / np.median(ends))) > limits.target_octaves:
        found.append(f"bandwidth {training.bandwidth_hz / 1000:.1f} kHz, target {np.median(ends) / 1000:.1f} kHz")
    rate = float(np.median([profile.crackle.per_second if profile.crackle else 0.0 for profile in target]))
    own = training.crackle.per_second if training.crackle else 0.0
    if max(rate, own) > 1 and (min(rate, own) == 0 or max(rate, own) / min(rate, own) > limits.target_crackle):
        found.append(f"{own:.0f} ticks a second, target {rate:.0f}")
    hums = [profile.hum.level_db for profile in target if profile.hum]
    if training.hum is None and 2 * len(hums) > len(target) and np.median(hums) > limits.target_hum_db:
        found.append(f"no hum, target {np.median(hums):.0f} dB")
    return found


def not_the_sum(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA16: mixtures are not the sum of their sources."""
    if not evidence.sums_db:
        return None
    values, limit = np.array(evidence.sums_db), thresholds.data.residual_db
    n_wrong = int(np.count_nonzero(values > limit))
    if not n_wrong:
        return None
    return Finding(
        "DATA16",
        "error" if 2 * n_wrong > len(values) else "warning",
        f"{n_wrong} of {counted(len(values), 'mixture')} differ from the sum of their sources: "
        f"{np.median(values):.0f} dB are left (median), {values.max():.0f} dB at most",
        round(float(np.median(values)), 1),
        limit,
        "write mixture and sources with one common gain, before any clipping, and at one place of the recordings",
        evidence.where_pairs,
    )


def wrong_validation(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA17: validation is too small to tell two models apart, or takes longer than training."""
    judged, limits = evidence.validation, thresholds.data
    if judged is None:
        return None
    half = 1.96 * limits.metric_spread_db / np.sqrt(judged.n_examples)
    where = counted(judged.n_examples, "validation example")
    if half > limits.resolution_db:
        n_needed = int(np.ceil((1.96 * limits.metric_spread_db / limits.resolution_db) ** 2))
        message = f"{judged.n_examples} examples tell two models apart from {half:.2f} dB on (95 % interval)"
        remedy = f"validate on {n_needed} or more: validation.n_examples={n_needed}"
        return Finding("DATA17", "warning", message, round(float(half), 3), limits.resolution_db, remedy, where)
    if judged.cost is not None and judged.cost > limits.validation_cost:
        message = f"a validation costs {judged.cost:.1f} times the training between two of them"
        remedy = "validate more rarely (training.validate_every) or on fewer examples"
        return Finding("DATA17", "warning", message, round(judged.cost, 2), limits.validation_cost, remedy, where)
    return None


def other_shares(evidence: DataEvidence, thresholds: Thresholds) -> Found:
    """DATA20: the domains as drawn are not those asked for."""
    shares, limit = evidence.shares, thresholds.data.share_error
    if shares is None:
        return None
    errors = {name: abs(shares.drawn.get(name, 0.0) - share) for name, share in shares.asked.items()}
    worst = max(errors, key=errors.__getitem__, default=None)
    is_off = worst is not None and errors[worst] > limit
    if not is_off and not shares.left_out:
        return None
    is_empty = worst is not None and is_off and not shares.drawn.get(worst)
    told = [f"{name} {100 * shares.drawn.get(name, 0):.0f} % instead of {100 * share:.0f} %"
            for name, share in shares.asked.items() if errors[name] > limit]  # fmt: skip
    told += [f"no corpus has {name}, so that it is left out" for name in shares.left_out]
    return Finding(
        "DATA20",
        "error" if is_empty else "warning" if is_off else "info",
        "; ".join(told),
        round(errors[worst], 4) if worst is not None else len(shares.left_out),
        limit,
        "give a corpus of each domain (--corpus); 'resound corpus show' tells what there is",
        "the first examples as drawn",
    )


def _short(names: Sequence[str]) -> str:
    return ", ".join(map(_name, names[:3])) + (" ..." if len(names) > 3 else "")


def _name(path: str) -> str:
    return Path(path).name


CHECKS = (
    Check("DATA12", "validation is not independent of training", leakage),
    Check("DATA13", "there is too little data", too_little),
    Check("DATA15", "the degradations are not those of your recordings", unlike_the_target),
    Check("DATA16", "mixtures are not the sum of their sources", not_the_sum),
    Check("DATA17", "the validation set has the wrong size", wrong_validation),
    Check("DATA20", "domains are not drawn as asked for", other_shares),
)
