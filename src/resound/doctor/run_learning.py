"""Whether a run still learns: best result, train against validation, gradients, rate, numbers that are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resound.doctor.check import Check, Found
from resound.doctor.finding import Finding
from resound.doctor.run_evidence import RunEvidence, median
from resound.doctor.settings import Thresholds

LEAST_RATE = 1e-9  # moves no weight; schedules may end at 0
# Losses whose negative is a metric; with a term for the level, that is at least so much.
DECIBEL_LOSSES = {"snr": "snr", "si_sdr": "si_sdr", "si_sdr_with_level": "si_sdr"}


def plateau(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN01: the best validation is long ago; all since was wasted."""
    limits, badness = thresholds.run, run.badness
    if not np.isfinite(badness).any():
        return None
    # The first that came as close as makes no difference: a record by a thousandth is no progress.
    first = int(np.argmax(badness <= badness.min() + run.unit_of_last_digit))
    at = run.validations["step"]
    wasted = float(at[-1] - at[first])
    share = wasted / at[-1]
    if len(at) - 1 - first < limits.stale_validations or share < limits.stale_share:
        return None
    best = f"{run.measure.title} {run.validations[run.metric][first]:.2f} {run.measure.unit}".rstrip()
    return Finding(
        "RUN01", "warning",
        f"{best} was reached at step {at[first]:,.0f}, {run.long(wasted)} ago, and nothing since was better: "
        f"{share:.0%} of the run is wasted",
        round(share, 3), limits.stale_share,
        "stop: the best checkpoint is kept. Set checkpoints.stop_after to end such runs; more or other data, or a "
        "larger network, may get further, more steps will not",
        run.where,
    )  # fmt: skip


def overfit(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN02: training and validation part."""
    return _gap(run, thresholds) or _falling_validation(run, thresholds)


def exploding_or_vanishing(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN05: gradients grow without end or vanish, or clipping decides every step."""
    limits = thresholds.run
    norms = run.steps.get("grad_norm", np.empty(0))
    if len(norms) < limits.least_steps:
        return None
    quarter = len(norms) // 4
    early, late = median(norms[:quarter]), median(norms[-quarter:])
    largest = float(np.max(norms[-2 * quarter :]))
    if late <= limits.gradient_smallest:
        return _gradients(
            run, "error", f"gradients have vanished: their norm is {late:.1e} over the last {quarter:,} steps", late,
            limits.gradient_smallest, "look for saturated activations, a loss that is flat, or weights that are frozen",
        )  # fmt: skip
    if late >= limits.gradient_growth * early or largest >= limits.gradient_largest:
        return _gradients(
            run, "warning", f"gradients explode: their norm went from {early:.3g} to {late:.3g}, the largest of the "
            f"second half is {largest:,.0f}", max(late, largest), min(limits.gradient_growth * early,
            limits.gradient_largest), "lower optimiser.lr, set optimiser.clip_norm, warm up; look at silent examples",
        )  # fmt: skip
    return _clipped(run, norms[-2 * quarter :], thresholds)


def rate_too_small(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN06: the learning rate is too small to matter."""
    limits, rates = thresholds.run, run.steps.get("lr", np.empty(0))
    rates = rates[np.isfinite(rates)]
    if len(rates) < limits.least_steps:
        return None
    top = int(np.argmax(rates))
    peak, last = float(rates[top]), float(rates[-1])
    share = float(np.sum(rates[top:] <= limits.rate_ratio * peak * 1.01)) / len(rates)  # not those of the warm-up
    if share > limits.rate_share:
        steps = round(share * run.last_step)
        fall = peak / max(last, LEAST_RATE)
        return Finding(
            "RUN06", "warning",
            f"the rate is down by {fall:,.0f}x (from {peak:.3g} to {last:.3g}), and was too small to matter for "
            f"{run.long(steps)}, {share:.0%} of the run",
            round(fall), round(1 / limits.rate_ratio),
            "end the run there, or give the schedule a floor, a longer patience and a least_gain above the noise of "
            "validation (schedule.floor, .patience, .least_gain)",
            run.where,
        )  # fmt: skip
    if peak <= limits.rate_peak:
        return Finding(
            "RUN06", "warning", f"the rate never was above {peak:.3g}: Adam moves no weight by more than that a step",
            peak, limits.rate_peak, "raise optimiser.lr; 1e-4 to 1e-3 is usual", run.where,
        )  # fmt: skip
    return None


def perceptual_falls(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN09: the loss improves while what listeners hear gets worse."""
    limits = thresholds.run
    if run.n_validations < 2 * limits.least_validations:
        return None
    for name in ("pesq", "stoi", "estoi"):
        values = run.validations.get(name, np.empty(0))
        known = np.flatnonzero(np.isfinite(values))
        if len(known) < 2 * limits.least_validations:
            continue
        smooth = np.convolve(values[known], np.ones(3) / 3, mode="valid")  # of each three in a row
        best = int(np.argmax(smooth))
        fall = float((smooth[best] - smooth[-1]) / max(abs(smooth[best]), 1e-9))
        since = float(run.validations["step"][known[best + 1]])
        gained = _loss_fall(run, since)
        if fall >= limits.perceptual_fall and gained >= limits.loss_fall:
            return Finding(
                "RUN09", "warning",
                f"since step {since:,.0f} the loss went on falling (by {gained:.0%} of its range), but {name.upper()} "
                f"fell from {smooth[best]:.2f} to {smooth[-1]:.2f}",
                round(fall, 3), limits.perceptual_fall,
                f"choose by checkpoints.metric={name}, and give the loss a term on spectra (multi_stft or "
                "compressed_complex)",
                run.where,
            )  # fmt: skip
    return None


def not_a_number(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN10: a loss, a gradient or the metric that chooses is NaN or infinite."""
    del thresholds
    for name in ("loss", "grad_norm"):
        values = run.steps.get(name, np.empty(0))
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            return _no_number(run, f"{name} is {values[bad[0]]} at step {run.steps['step'][bad[0]]:,.0f}", len(bad))
    values = run.validations.get(run.metric, np.empty(0))
    if len(values) and not np.isfinite(values[-1]):
        return _no_number(run, f"{run.metric} is {values[-1]} at step {run.validations['step'][-1]:,.0f}", 1)
    return None


def _no_number(run: RunEvidence, what: str, n: int) -> Finding:
    return Finding(
        "RUN10", "error", f"{what}: the weights may be spoilt", n, 0,
        "go on from the last good checkpoint with a lower optimiser.lr or training.precision=32, and look for silent "
        "or damaged examples",
        run.where,
    )  # fmt: skip


def _gap(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN02 by decibels: what the loss reaches on the examples to learn from, against validation."""
    limits = thresholds.run
    for loss, metric in DECIBEL_LOSSES.items():
        train = -_recent(_loss_named(run, loss))
        valid = run.latest(metric)
        gap = train - valid
        if run.n_validations >= limits.least_validations and gap >= limits.overfit_gap_db:
            return Finding(
                "RUN02", "error" if gap >= 2 * limits.overfit_gap_db else "warning",
                f"{metric.upper().replace('_', '-')} is {'' if loss == metric else 'at least '}{train:.1f} dB on what "
                f"it learns from and {valid:.2f} dB on validation (loss {-train:.1f} against {valid:.2f} dB): it "
                "learns examples by heart",
                round(gap, 2), limits.overfit_gap_db, MORE_DATA, run.where,
            )  # fmt: skip
    return None


def _falling_validation(run: RunEvidence, thresholds: Thresholds) -> Found:
    """RUN02 by shape: validation gives back part of what it had gained while the loss goes on falling."""
    limits, badness = thresholds.run, run.badness
    if len(badness) < 2 * limits.least_validations or not np.isfinite(badness).all():
        return None
    best = int(np.argmin(badness))
    gained, lost = badness[0] - badness[best], median(badness[-3:]) - badness[best]
    share = lost / max(gained, 1e-9)
    if lost < 5 * run.unit_of_last_digit or share < limits.overfit_drop or len(badness) - best <= 3:
        return None
    fall = _loss_fall(run, float(run.validations["step"][best]))
    if fall < limits.loss_fall:
        return None
    values = run.validations[run.metric]
    return Finding(
        "RUN02", "warning",
        f"since step {run.validations['step'][best]:,.0f} the loss went on falling (by {fall:.0%} of its range), but "
        f"{run.measure.title} on validation went from {values[best]:.2f} to {median(values[-3:]):.2f}",
        round(float(share), 3), limits.overfit_drop, MORE_DATA, run.where,
    )  # fmt: skip


MORE_DATA = (
    "give it more to learn from: mix anew every epoch (training.same_every_epoch=false: N recordings give N x "
    "N pairs), more recordings, augmentation; or a smaller network. The best checkpoint is kept"
)


def _clipped(run: RunEvidence, norms: NDArray[np.float64], thresholds: Thresholds) -> Found:
    limits, clip_norm = thresholds.run, run.setting("optimiser.clip_norm")
    if not clip_norm:
        return None
    share, usual = float(np.mean(norms > clip_norm)), median(norms)
    if share < limits.clipped_share:
        return None
    is_far = usual >= limits.clipped_ratio * clip_norm
    return _gradients(
        run, "warning" if is_far else "info",
        f"clipping acts on {share:.0%} of the steps: the median norm is {usual:.3g}, the limit {clip_norm:g}; the "
        "length of a gradient says nothing any more",
        round(share, 3), limits.clipped_share,
        f"set optimiser.clip_norm to about {_two_digits(2 * usual)}, or lower the rate",
    )  # fmt: skip


def _two_digits(value: float) -> str:
    """Return a number as people write it: 0.37, 5.2, 1,700."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def _gradients(run: RunEvidence, severity: str, message: str, value: float, threshold: float, remedy: str) -> Finding:
    return Finding("RUN05", severity, message, value, threshold, remedy, run.where)  # type: ignore[arg-type]


def _loss_named(run: RunEvidence, name: str) -> NDArray[np.float64]:
    """Return a term of the loss at each step, without its weight; nothing where it is not logged."""
    if name in run.steps:
        return run.steps[name]
    terms = run.setting("loss")
    one = terms[0] if isinstance(terms, list) and len(terms) == 1 else {}
    if one.get("kind") != name or "loss" not in run.steps:
        return np.empty(0)
    return run.steps["loss"] / float(one.get("weight") or 1)


def _recent(values: NDArray[np.float64]) -> float:
    """Return the median of the last twentieth, of at least 20 steps; NaN where there are fewer."""
    return median(values[-max(20, len(values) // 20) :]) if len(values) >= 20 else float("nan")


def _loss_fall(run: RunEvidence, since_step: float) -> float:
    """Return by what share of its range (5th to 95th percentile) the loss fell since a step; negative: it rose."""
    losses, at = run.steps.get("loss", np.empty(0)), run.steps.get("step", np.empty(0))
    width = max(20, len(losses) // 20)
    before = losses[at <= since_step]
    if len(before) < width or len(losses) < 2 * width:
        return 0.0
    low, high = np.percentile(losses, (5, 95))
    return float((median(before[-width:]) - median(losses[-width:])) / max(high - low, 1e-12))


CHECKS = (
    Check("RUN01", "a plateau: the best result is old", plateau),
    Check("RUN02", "overfit: training and validation part", overfit),
    Check("RUN05", "gradients explode or vanish, or clipping decides", exploding_or_vanishing),
    Check("RUN06", "the learning rate is too small to matter", rate_too_small),
    Check("RUN09", "the loss improves while listeners hear it getting worse", perceptual_falls),
    Check("RUN10", "a loss or metric is no number", not_a_number),
)
