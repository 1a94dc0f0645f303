"""Whether a plan's run can end well: checkpoints, rate, length, memory, passes over the data."""

from __future__ import annotations

import numpy as np

from resound.doctor.check import Check, Found
from resound.doctor.finding import Finding, Severity, Value
from resound.doctor.plan_evidence import PlanEvidence
from resound.doctor.settings import Thresholds


def checkpoints(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN01: no checkpoint before the end, or more than the disk holds."""
    limits, period = thresholds.plan, int(plan.setting("training.validate_every"))
    n = plan.n_steps // period
    if n < limits.least_checkpoints:
        severity: Severity = "error" if not n and plan.n_steps >= limits.trial_steps else "warning"
        return found(
            plan, "PLAN01", severity,
            f"a checkpoint every {plan.long(period)} of {plan.long(plan.n_steps)}: {n or 'none'} before the end, so a "
            "run that is killed leaves nothing, and none is chosen", n, limits.least_checkpoints,
            f"set training.validate_every={max(1, plan.n_steps // 10)}",
        )  # fmt: skip
    share = plan.checkpoint_bytes / max(plan.free_bytes, 1)
    if share < limits.disk_share:
        return None
    return found(
        plan, "PLAN01", "error" if share >= 1 else "warning",
        f"checkpoints take up to {plan.checkpoint_bytes / 1e9:.2f} GB, and {plan.free_bytes / 1e9:.2f} GB are free",
        round(share, 3), limits.disk_share, "lower checkpoints.keep, free space, or choose another folder with -o",
    )  # fmt: skip


def schedule(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN02: the rate is spent long before the end, or never there."""
    limits, rate = thresholds.plan, float(plan.setting("optimiser.lr"))
    if rate <= limits.rate_peak:
        return found(
            plan, "PLAN02", "error", f"the rate is {rate:.3g}: Adam moves no weight by more than that a step", rate,
            limits.rate_peak, "raise optimiser.lr; 1e-4 to 1e-3 is usual",
        )  # fmt: skip
    warmup = int(plan.setting("schedule.warmup_steps") or 0)
    if warmup > limits.warmup_share * plan.n_steps:
        return found(
            plan, "PLAN02", "warning", f"the rate rises for {warmup:,} of {plan.n_steps:,} steps",
            warmup / plan.n_steps,
            limits.warmup_share, "lower schedule.warmup_steps; a hundredth of the run is usual",
        )  # fmt: skip
    top = int(np.argmax(plan.factors))
    low = plan.factors[top:] <= limits.rate_ratio * plan.factors[top] * 1.01
    share = float(np.sum(low)) / len(plan.factors)
    if share <= limits.rate_share:
        return None
    fall = plan.factors[top] / plan.factors[-1]
    kind = plan.setting("schedule.kind")
    why = " if validation does not gain" if kind in ("plateau", "halving") else ""
    return found(
        plan, "PLAN02", "warning",
        f"the rate is down by {fall:,.0f}x, from {rate:.3g} to {rate / fall:.3g}{why}, with "
        f"{share:.0%} of the run to go",
        round(share, 3), limits.rate_share,
        "raise schedule.patience and least_gain above the noise of validation, give schedule.floor, or set "
        "checkpoints.stop_after so that the run ends there",
    )  # fmt: skip


def endless(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN05: thousands of epochs, and nothing that ends the run when it stops gaining."""
    limits = thresholds.plan
    if plan.setting("checkpoints.stop_after") is not None or plan.setting("training.max_minutes") is not None:
        return None
    n_validations = plan.n_steps // int(plan.setting("training.validate_every"))
    epochs = plan.n_epochs or 0
    if epochs < limits.epochs and n_validations < limits.validations:
        return None
    return found(
        plan, "PLAN05", "warning",
        f"{plan.long(plan.n_steps)} and {n_validations:,} validations, and nothing ends the run when it stops gaining",
        round(max(epochs, n_validations)), limits.epochs if epochs >= limits.epochs else limits.validations,
        "set checkpoints.stop_after=20",
    )  # fmt: skip


def memory(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN06: a step does not fit the device."""
    limits = thresholds.plan
    if plan.device_bytes is None or plan.step_bytes <= limits.memory_share * plan.device_bytes:
        return None
    size = int(plan.setting("training.batch_size"))
    fits = max(1, int(size * limits.memory_share * plan.device_bytes / plan.step_bytes))
    how = "takes" if plan.is_measured else "takes about"
    return found(
        plan, "PLAN06", "error" if plan.is_measured else "warning",
        f"a step {how} {plan.step_bytes / 1e9:.1f} GB, and the device has {plan.device_bytes / 1e9:.1f} GB",
        round(plan.step_bytes / plan.device_bytes, 3), limits.memory_share,
        f"set training.batch_size={fits} training.accumulate={-(-size // fits)}"
        + ("" if plan.is_measured else " (--probe measures it)"),
    )  # fmt: skip


def passes(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN09: less than one pass over a fixed set, or more than helps."""
    epochs = plan.n_epochs
    if not plan.is_fixed_set or epochs is None or 1 <= epochs <= thresholds.plan.passes:
        return None
    told = f"{plan.n_examples:,} examples are {epochs:,.3g} passes over the same {plan.examples_per_epoch:,}"
    if epochs < 1:
        return found(
            plan, "PLAN09", "warning", f"{told}: some are never seen", round(epochs, 3), 1, "raise training.steps"
        )
    return found(
        plan, "PLAN09", "warning", f"{told}: they will be learnt by heart", round(epochs, 1), thresholds.plan.passes,
        "mix anew in every epoch (training.same_every_epoch=false), add recordings, or lower training.steps",
    )  # fmt: skip


def found(
    plan: PlanEvidence, code: str, severity: Severity, message: str, value: Value, threshold: Value, remedy: str
) -> Finding:
    """Return a finding about a plan."""
    return Finding(code, severity, message, value, threshold, remedy, plan.where)


CHECKS = (
    Check("PLAN01", "the policy of checkpoints saves nothing, or fills the disk", checkpoints),
    Check("PLAN02", "the learning rate is spent too early", schedule),
    Check("PLAN05", "thousands of epochs without early stopping", endless),
    Check("PLAN06", "a step does not fit the memory of the device", memory),
    Check("PLAN09", "too few or too many passes over the data", passes),
)
