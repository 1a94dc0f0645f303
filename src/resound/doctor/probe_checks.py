"""What a few minutes of trying show: each a pure function of `ProbeEvidence`."""

from __future__ import annotations

import math

from resound.doctor.check import Check, Found
from resound.doctor.finding import Finding, Severity, Value
from resound.doctor.probe_evidence import ProbeEvidence
from resound.doctor.settings import Thresholds


def order_of_losses(probe: ProbeEvidence, thresholds: Thresholds) -> Found:
    """PROBE01: the loss is not lowest at the right answer, or prefers silence to the input as it is."""
    del thresholds
    right, noisy, silence = (probe.losses[name] for name in ("right", "noisy", "silence"))
    told = f"the right answer has a loss of {right:.4g}, the input as it is {noisy:.4g}, silence {silence:.4g}"
    if not right < min(noisy, silence):
        return _found(
            probe, "PROBE01", "error", f"{told}: the right answer does not win", right, min(noisy, silence),
            "look for a sign, a scale, or pairs that do not belong together (resound doctor data)",
        )  # fmt: skip
    if noisy > silence and probe.task != "separate":  # a mixture is as far from each voice as silence is
        return _found(
            probe, "PROBE01", "warning", f"{told}: silence beats doing nothing, and is where it may end", noisy,
            silence, "add {kind: multi_stft} or another term on spectra, and mix at less noise",
        )  # fmt: skip
    return None


def memorising(probe: ProbeEvidence, thresholds: Thresholds) -> Found:
    """PROBE02: a few examples cannot be learnt by heart."""
    limit = thresholds.probe.gain_db
    if probe.gain_db >= limit:
        return None
    return _found(
        probe, "PROBE02", "error", f"{probe.n_steps} steps on the same {probe.n_probed} examples improve their SI-SDR "
        f"by {probe.gain_db:.1f} dB", round(probe.gain_db, 2), limit,
        "raise optimiser.lr; see that loss and data fit (PROBE01), and that gradients reach all layers (PROBE03)",
    )  # fmt: skip


def gradients(probe: ProbeEvidence, thresholds: Thresholds) -> Found:
    """PROBE03: parameters without a gradient, or with one that is no number."""
    del thresholds
    for names, what, severity in (
        (probe.not_finite, f"have a gradient that is NaN or infinite at precision {probe.precision}", "error"),
        (probe.without_gradient, "get no gradient", "warning"),
    ):
        if names:
            shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            return _found(
                probe, "PROBE03", severity, f"{len(names)} of {probe.n_parameters} parameters {what}: {shown}",  # type: ignore[arg-type]
                len(names), 0, "set training.precision=32, or lower the loss's weights" if severity == "error" else
                "take what is not used out of the network, or look for what cuts the gradient off",
            )  # fmt: skip
    return None


def level(probe: ProbeEvidence, thresholds: Thresholds) -> Found:
    """PROBE04: the gain depends on the level, or silence gives sound."""
    limits, severity = thresholds.probe, "warning" if probe.follows_level else "info"
    spread = max(probe.gains_db.values()) - min(probe.gains_db.values())
    if spread > limits.level_spread_db:
        quiet, loud = min(probe.gains_db), max(probe.gains_db)
        return _found(
            probe, "PROBE04", severity,  # type: ignore[arg-type]
            f"the gain depends on the level: {probe.gains_db[loud]:+.1f} dB at {loud} dBFS, "
            f"{probe.gains_db[quiet]:+.1f} dB at {quiet} dBFS", round(spread, 2), limits.level_spread_db,
            "let the network normalise its input, or train over a range of levels (augment: gain)",
        )  # fmt: skip
    if probe.silence_dbfs > limits.silence_dbfs:
        return _found(
            probe, "PROBE04", severity, f"silence in gives {probe.silence_dbfs:.0f} dBFS out",  # type: ignore[arg-type]
            round(probe.silence_dbfs, 1), limits.silence_dbfs, "take the bias from the last layer, or mask the input",
        )  # fmt: skip
    return None


def loader(probe: ProbeEvidence, thresholds: Thresholds) -> Found:
    """PROBE05: examples are made more slowly than they are learnt from."""
    making = probe.example_seconds * probe.batch_size
    share = making / max(1, probe.workers) / max(probe.step_seconds, 1e-9)
    if share <= thresholds.probe.loader_share:
        return None
    enough = math.ceil(making / max(probe.step_seconds, 1e-9))
    return _found(
        probe, "PROBE05", "warning", f"a batch takes {making / max(1, probe.workers):.2f} s to make with "
        f"{probe.workers} workers and {probe.step_seconds:.2f} s to learn from: the model waits "
        f"{1 - 1 / share:.0%} of the time", round(share, 2), thresholds.probe.loader_share,
        f"set training.workers={enough} where there are cores, or write the set to disk first (resound prepare)",
    )  # fmt: skip


def repeatable(probe: ProbeEvidence, thresholds: Thresholds) -> Found:
    """PROBE06: one validation example, made and judged twice, comes out different."""
    limit, difference = thresholds.probe.repeat, probe.repeat_difference
    if difference <= limit:
        return None
    return _found(
        probe, "PROBE06", "warning", f"one validation example judged twice differs by {difference:.2g} of its RMS",
        difference, limit, "draw from the example's own seed, and look for dropout or noise that stays on",
    )  # fmt: skip


def _found(
    probe: ProbeEvidence, code: str, severity: Severity, message: str, value: Value, threshold: Value, remedy: str
) -> Finding:
    return Finding(code, severity, message, value, threshold, remedy, probe.where)


CHECKS = (
    Check("PROBE01", "the loss is not lowest at the right answer", order_of_losses),
    Check("PROBE02", "a few examples cannot be learnt by heart", memorising),
    Check("PROBE03", "parameters without a gradient, or with one that is no number", gradients),
    Check("PROBE04", "the output depends on the level of the input", level),
    Check("PROBE05", "the loader starves the model", loader),
    Check("PROBE06", "validation is not repeatable", repeatable),
)
