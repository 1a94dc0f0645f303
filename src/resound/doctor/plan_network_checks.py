"""Whether a plan's network fits its task, its data and its loss."""

from __future__ import annotations

import numpy as np

from resound.doctor.check import Check, Found
from resound.doctor.plan_evidence import PlanEvidence
from resound.doctor.plan_run_checks import found
from resound.doctor.settings import Thresholds

PESQ_HZ = (8000, 16000)


def context(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN03: the layers reach too little of the sound."""
    limits, reach, paper = thresholds.plan, plan.context_ms, plan.network.paper_context_ms
    least = limits.context_separation_ms if plan.setting("task") == "separate" else limits.context_ms
    if reach is None or reach >= least or (paper and reach >= limits.context_share * paper):
        return None
    beside = f", the paper's {paper:,.0f} ms" if paper else ""
    return found(
        plan, "PLAN03", "warning",
        f"an output sample sees {reach:,.1f} ms at {plan.network.sample_rate:,} Hz{beside}; speech needs "
        f"{least:,.0f} ms",
        round(reach, 1), least, "add blocks or repeats (config.n_blocks, n_repeats), or levels",
    )  # fmt: skip


def segment(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN04: segments are shorter than the context, or a few frames only."""
    limits, rate = thresholds.plan, plan.network.sample_rate
    seconds = plan.segment_samples / rate
    hop = plan.network.hop_samples
    if hop and plan.segment_samples // hop < limits.least_frames:
        n_frames = plan.segment_samples // hop
        return found(
            plan, "PLAN04", "warning", f"a segment of {seconds:g} s is {n_frames} frames of the network's spectrogram",
            n_frames, limits.least_frames, f"set data.segment_seconds={limits.least_frames * hop / rate:.1f} or more",
        )  # fmt: skip
    reach = plan.network.context_samples
    if reach is None or plan.segment_samples >= reach:
        return None
    return found(
        plan, "PLAN04", "warning" if seconds < limits.short_seconds else "info",
        f"segments of {seconds:g} s are shorter than the {reach / rate:.2f} s that an output sample sees: much of that "
        "is never used", round(plan.segment_samples / reach, 3), 1, f"set data.segment_seconds={reach / rate:.1f}",
    )  # fmt: skip


def reconstruction(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN07: windows that cannot be put together again, or of an unusual length."""
    limits, window, hop = thresholds.plan, plan.network.window_samples, plan.network.hop_samples
    if window is None or hop is None:
        return None
    least = overlap_of(window, hop)
    if least < limits.reconstruction:
        return found(
            plan, "PLAN07", "error", f"windows of {window} at a hop of {hop}: their squares add up to {least:.2f} of "
            "the largest sum where they add up to least, so parts of the sound are lost or blown up", round(least, 4),
            limits.reconstruction, f"set config.hop={window // 4}",
        )  # fmt: skip
    ms = 1000 * window / plan.network.sample_rate
    if limits.window_ms[0] <= ms <= limits.window_ms[1]:
        return None
    return found(
        plan, "PLAN07", "warning", f"a window of {window} samples is {ms:.1f} ms at {plan.network.sample_rate:,} Hz; "
        f"{limits.window_ms[0]:g} to {limits.window_ms[1]:g} ms suit speech and music", round(ms, 1),
        limits.window_ms[int(ms > limits.window_ms[1])],
        f"set config.n_fft={2 ** round(np.log2(0.032 * plan.network.sample_rate))}",
    )  # fmt: skip


def loss(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN08: the loss cannot see what matters."""
    if plan.level_blind:
        return found(
            plan, "PLAN08", "warning", "the loss is scale-invariant: the level of the output is left to chance",
            "si_sdr", None, "use snr or si_sdr_with_level instead of si_sdr, or add l1 or multi_stft",
        )  # fmt: skip
    terms = plan.setting("loss")
    kinds = {term["kind"] for term in terms if term.get("weight", 1)} if isinstance(terms, list) else set()
    if plan.setting("task") == "separate" or not kinds or not kinds <= {"l1", "mse"}:
        return None
    snr, name = plan.lowest_snr_db, " and ".join(sorted(kinds))
    is_low = snr is not None and snr < thresholds.plan.low_snr_db
    mixed = f", and noise is mixed at down to {snr:g} dB" if snr is not None else ""
    return found(
        plan, "PLAN08", "error" if is_low else "warning",
        f"the loss is {name} of samples alone, without a term on spectra{mixed}: muting, or doing nothing, is its "
        "safest answer", name if snr is None else snr, thresholds.plan.low_snr_db,
        "add {kind: multi_stft}" + (", and raise the lower end of snr_db to 10" if is_low else ""),
    )  # fmt: skip


def causality(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN10: a network that is said to be causal uses the future."""
    limit, moved = thresholds.plan.future_db, plan.future_db
    if not plan.network.is_causal or moved is None or moved <= limit:
        return None
    return found(
        plan, "PLAN10", "error", f"the network is said to be causal, but another future moves its past by {moved:.1f} "
        "dB against the output", round(moved, 1), limit,
        "look for a norm over the whole recording, a centred convolution or STFT, or a recurrence that runs both ways",
    )  # fmt: skip


def encoder(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN11: kernel and stride of the encoder do not overlap by half, as is stated."""
    del thresholds
    length, stride = plan.network.filter_samples, plan.network.stride_samples
    if length is None or stride is None or 2 * stride == length:
        return None
    overlap = 1 - stride / length
    return found(
        plan, "PLAN11", "error" if stride > length else "warning",
        f"filters of {length} samples at a stride of {stride} overlap by {overlap:.0%}, not by half", round(overlap, 3),
        0.5, f"set config.stride_samples={max(1, length // 2)}",
    )  # fmt: skip


def rates(plan: PlanEvidence, thresholds: Thresholds) -> Found:
    """PLAN12: sample rates of weights, preset and metrics disagree with the network's."""
    del thresholds
    network, rate = plan.network, plan.network.sample_rate
    if network.initial_sample_rate not in (None, rate):
        return found(
            plan, "PLAN12", "error", f"weights of {network.initial_sample_rate:,} Hz are put on {rate:,} Hz",
            network.initial_sample_rate, rate, f"set config.sample_rate={network.initial_sample_rate}",
        )  # fmt: skip
    own = network.window_samples or network.filter_samples
    if network.preset_sample_rate not in (None, rate) and own is not None and own == network.preset_window_samples:
        return found(
            plan, "PLAN12", "warning", f"the preset is made for {network.preset_sample_rate:,} Hz: at {rate:,} Hz its "
            f"windows of {own} samples last {1000 * own / rate:.1f} ms instead of "
            f"{1000 * own / network.preset_sample_rate:.1f} ms", rate, network.preset_sample_rate,
            "set config.sample_rate back (data is resampled), or make the windows longer by as much",
        )  # fmt: skip
    if "pesq" in (plan.setting("validation.perceptual") or ()) and rate not in PESQ_HZ:
        chooses = plan.setting("checkpoints.metric") == "pesq"
        return found(
            plan, "PLAN12", "warning" if chooses else "info",
            f"PESQ is for 8,000 and 16,000 Hz: of {rate:,} Hz it hears what is below "
            f"{PESQ_HZ[rate > PESQ_HZ[1]] // 2:,} Hz", rate, PESQ_HZ[1],
            "let another metric choose: lsd hears all of it",
        )  # fmt: skip
    return None


def overlap_of(window: int, hop: int) -> float:
    """Return the least sum of squared Hann windows at a hop against the largest; 0: what lies there is lost."""
    squares = np.sin(np.pi * (np.arange(window) + 0.5) / window) ** 4
    padded = np.pad(squares, (0, -window % hop)).reshape(-1, hop).sum(axis=0)
    return float(padded.min() / padded.max()) if hop <= window else 0.0


CHECKS = (
    Check("PLAN03", "the receptive field is short for the task", context),
    Check("PLAN04", "the training segment is short", segment),
    Check("PLAN07", "window and hop cannot reconstruct, or do not suit the rate", reconstruction),
    Check("PLAN08", "the loss cannot see what matters", loss),
    Check("PLAN10", "a causal network uses the future", causality),
    Check("PLAN11", "the encoder's kernel and stride do not match its overlap", encoder),
    Check("PLAN12", "sample rates disagree", rates),
)
