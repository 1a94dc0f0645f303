"""What the output of a run is worth: silence, the input again, no better than nothing; and the balance of a GAN."""

from __future__ import annotations

import numpy as np

from resound.doctor.check import Check, Found
from resound.doctor.finding import Finding
from resound.doctor.run_evidence import RunEvidence
from resound.doctor.settings import RunThresholds, Thresholds

TRIVIAL = ("unprocessed", "noisy", "silence")  # what costs nothing; the classic chain at least does something
CLEAR_GAIN_DB = 1.0  # of SI-SDR: who has it has not collapsed, whatever the level


def silence(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN03: the output collapses to silence, and what is removed is the signal."""
    limits = thresholds.run
    level_db, correlation = run.latest("level_ratio_db"), run.latest("removed_correlation")
    if not _is_settled(run, limits) or run.latest("si_sdr_i") >= CLEAR_GAIN_DB:
        return None
    if not (level_db <= limits.silence_level_db and correlation >= limits.silence_correlation):
        return None
    kept = 10 ** (level_db / 10)
    return Finding(
        "RUN03", "error" if level_db <= limits.silence_level_db - 4 else "warning",
        f"the output is collapsing to silence: it has {kept:.0%} of the target's energy ({level_db:.1f} dB), and what "
        f"was removed has a correlation of {correlation:.3f} with the target",
        round(level_db, 2), limits.silence_level_db,
        "muting is what pays: mix at less noise (raise the lower end of snr_db), and give the loss a term that misses "
        "what is gone (over_suppression, si_sdr_with_level, multi_stft) instead of a mean absolute error alone",
        run.where,
    )  # fmt: skip


def identity(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN04: the output is the input: nothing is removed."""
    limits = thresholds.run
    names = ("si_sdr_i", "snr_i", "lsd", "level_ratio_db")
    distances = [abs(run.latest(name) - run.baseline("unprocessed", name)) for name in names]
    farthest = max(distances) if all(np.isfinite(distances)) else np.inf
    if not _is_settled(run, limits) or farthest > limits.identity_db:
        return None
    return Finding(
        "RUN04", "error" if run.progress >= limits.half_way_share else "warning",
        f"the output is the input: SI-SDR gains {run.latest('si_sdr_i'):+.2f} dB, and no figure differs from the "
        f"input's by more than {farthest:.2f} dB",
        round(float(farthest), 3), limits.identity_db,
        "see whether there is anything to remove (resound doctor data), whether input and target are the same files, "
        "and whether the rate is large enough",
        run.where,
    )  # fmt: skip


def baselines(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN07: no better than what costs nothing."""
    limits = thresholds.run
    if not np.isfinite(run.badness).any() or not _is_half_way(run, limits):
        return None
    best = float(run.validations[run.metric][int(np.argmin(run.badness))])
    margin = limits.gain_digits * run.unit_of_last_digit
    beaten_by = [name for name in (*TRIVIAL, "fixed_filter", "classic") if _is_no_better(run, best, name, margin)]
    if not beaten_by:
        return None
    digits, unit = run.measure.digits + 1, f" {run.measure.unit}".rstrip()
    others = {name: run.baseline(name, run.metric) for name in (*beaten_by, "oracle_mask")}
    told = ", ".join(f"{NAMES[name]} {value:.{digits}f}{unit}" for name, value in others.items() if value == value)
    is_trivial = beaten_by[0] in TRIVIAL
    remedy = (
        "let it train longer if it is still gaining; else look at the data (resound doctor data): pairs that do not "
        "belong together teach nothing; then whether the network can learn a few examples by heart "
        "(data.n_examples=10 training.same_every_epoch=true)"
    )
    if beaten_by[0] == "fixed_filter":
        remedy = (
            "what it does may be the same at all times, as a high-pass filter is: look at the spectrogram of what it "
            "removes; " + remedy
        )
    return Finding(
        "RUN07", "error" if is_trivial else "warning",
        f"the best {run.measure.title} is {best:.{digits}f}{unit}, no better than what needs no training: {told}",
        best, others[beaten_by[0]], remedy,
        run.where,
    )  # fmt: skip


def strangers(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN12: inputs that have nothing of their targets."""
    limit = thresholds.run.least_input_si_sdr_db
    value = run.baseline("unprocessed", "si_sdr")
    if not value < limit:
        return None
    return Finding(
        "RUN12",
        "error",
        f"the SI-SDR of the unprocessed validation examples is {value:.1f} dB: their targets are not what is in them",
        round(value, 2),
        limit,
        "look at the pairs before anything else (resound doctor data): other recordings on either side are DATA01, a "
        "shift is DATA02",
        run.where,
    )


def unheard(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN13: what SI-SDR cannot hear, an output that is turned over or has an offset."""
    limits = thresholds.run
    si_sdr_db, snr_db = run.latest("si_sdr"), run.latest("snr")
    if not _is_settled(run, limits) or not si_sdr_db >= limits.turned_si_sdr_db:
        return None
    level_db, ratio_db = run.latest("level_db"), run.latest("level_ratio_db")
    offset_db = ratio_db - level_db - 10 * np.log10(1 + 10 ** (-si_sdr_db / 10))
    blind = f"SI-SDR, which is blind to that, is {si_sdr_db:.1f} dB, SNR {snr_db:.1f}"
    remedy = "give the loss a term that hears it (si_sdr_with_level, snr, l1) and train anew, or "
    if offset_db >= limits.offset_db and snr_db < si_sdr_db - 2 * limits.offset_db:
        return Finding(
            "RUN13", "error",
            f"the output has an offset: {ratio_db - level_db:.1f} dB more power than what it has of the target; "
            f"{blind}",
            round(float(offset_db), 2), limits.offset_db, remedy + "take the mean away after the network", run.where,
        )  # fmt: skip
    if snr_db <= limits.turned_snr_db and abs(level_db) <= 2 * limits.offset_db:
        return Finding(
            "RUN13", "error", f"the output is turned over, the target times -1: {blind}",
            round(snr_db, 2), limits.turned_snr_db,
            remedy + "multiply the output by -1: mixed with anything of its recording it cancels", run.where,
        )  # fmt: skip
    return None


def balance(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN08: one side of adversarial training has won, or is not heard."""
    limits, right = thresholds.run, run.steps.get("share_right", np.empty(0))
    judged = np.flatnonzero(np.isfinite(right))
    if len(judged) < 2 * limits.least_steps:
        return None
    rows = judged[len(judged) // 2 :]
    share = float(np.median(right[rows]))
    if share >= limits.share_right_won:
        return _unbalanced(
            run, f"the discriminators have won: they tell {share:.1%} of all places rightly, which teaches the "
            "generator little", share, limits.share_right_won,
            "lower adversarial.lr, make the discriminators smaller, or let the generator begin longer (from_step)",
        )  # fmt: skip
    if share <= limits.share_right_blind:
        return _unbalanced(
            run, f"the discriminators hear no difference: they tell {share:.1%} of all places rightly, and a coin 50 %",
            share, limits.share_right_blind, "raise adversarial.lr, or make the discriminators larger",
        )  # fmt: skip
    return _ignored(run, rows, limits)


NAMES = {
    "unprocessed": "the input itself",
    "noisy": "the noisy input",
    "silence": "silence",
    "fixed_filter": "a filter that never changes",
    "classic": "the classic chain",
    "oracle_mask": "and the ceiling of masks",
}


def _ignored(run: RunEvidence, rows: np.ndarray, limits: RunThresholds) -> Found:
    """RUN08: what the discriminators say is next to nothing in the generator's loss."""
    said = [
        float(run.setting(f"adversarial.{weight}") or 0) * run.steps[column][rows]
        for weight, column in (("weight", "adversarial"), ("feature_weight", "feature_matching"))
        if column in run.steps
    ]
    share = float(np.median(np.sum(np.abs(said), axis=0) / np.maximum(np.abs(run.steps["loss"][rows]), 1e-12)))
    if not said or share >= limits.adversarial_share:
        return None
    return _unbalanced(
        run, f"the generator ignores the discriminators: they make {share:.2%} of its loss", share,
        limits.adversarial_share, "raise adversarial.weight and adversarial.feature_weight, or lower the other weights",
    )  # fmt: skip


def _unbalanced(run: RunEvidence, message: str, share: float, threshold: float, remedy: str) -> Finding:
    return Finding("RUN08", "warning", message, round(share, 4), threshold, remedy, run.where)


def _is_no_better(run: RunEvidence, best: float, name: str, margin: float) -> bool:
    value = run.baseline(name, run.metric)
    return bool(run.measure.badness(best) > run.measure.badness(value) - margin)  # False where it is not known


def _is_settled(run: RunEvidence, limits: RunThresholds) -> bool:
    """Tell whether a run is old enough for its output to be judged."""
    return run.n_validations >= limits.least_validations and run.progress >= limits.early_share


def _is_half_way(run: RunEvidence, limits: RunThresholds) -> bool:
    """Tell whether a run should be good by now: half its steps are made, or nothing was gained for long."""
    since_best = len(run.badness) - 1 - int(np.argmin(run.badness))
    is_stale = since_best >= limits.stale_validations and since_best >= limits.stale_share * run.n_validations
    return run.n_validations >= limits.least_validations and (run.progress >= limits.half_way_share or is_stale)


CHECKS = (
    Check("RUN03", "the output collapses to silence", silence),
    Check("RUN04", "the output collapses to the input", identity),
    Check("RUN07", "no better than what needs no training", baselines),
    Check("RUN08", "discriminators and generator are out of balance", balance),
    Check("RUN12", "the input does not belong to its target", strangers),
    Check("RUN13", "the output is turned over, or has an offset", unheard),
)
